//! Gives a job's run to another engine, at most once.
//!
//! The submission is a run on this machine, with a run file and a shim. Its name for the engine is
//! durable before it begins. Its end says whether the engine has the run; where it does not say so,
//! the engine is asked for the name:
//!
//! | the submission | the engine | what follows |
//! | --- | --- | --- |
//! | never began | | the job is queued again |
//! | ended with 0 | | the engine has the run |
//! | could not be executed | | the job fails |
//! | ended with 75, or late | has no such run | the job is queued again, and engines are left alone for a while |
//! | ended otherwise | has no such run | the engine has refused it: the job fails |
//! | its end was not seen | has no such run | the job is queued again |
//! | ended in any of these ways | has the run | the engine has the run |
//! | ended in any of these ways | does not know | it is asked again |

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::Result;
use crate::host::condition::Condition;
use crate::job::launcher::{self, GONE_TIMES};
use crate::job::{Cause, Exit, RunEnd};
use crate::run::record::Records;
use crate::store::job::launched::{self, Launched};
use crate::store::upkeep::open_runs;
use crate::worker::attempt::{self, Attempt, Ending, Halt, Over, Verb, wait_for};
use crate::worker::engines::{Group, Remote};
use crate::worker::job_run::JobRun;

/// Exit code of a launcher that cannot submit now, and has not.
const TRY_LATER: i32 = 75;
/// Waits between two questions for a run whose submission did not say how it ended: first, and
/// longest.
const ASK_FIRST: Duration = Duration::from_secs(1);
const ASK_MOST: Duration = Duration::from_secs(30);
/// The condition of an engine that takes no job.
const FULL: &str = "engine_full";
/// Longest output of a submission that is read, in bytes.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// What is to be done after a submission.
enum Next {
    /// The engine has the run, and calls it so.
    Sent(Option<String>),
    /// The run has ended like this.
    End(RunEnd),
    /// The engine is asked; if it does not have the run, this is its end.
    Ask { unless_it_has_it: RunEnd, is_for_now: bool },
}

/// Evaluates a submission that is over.
///
/// # Errors
/// [`Halt::Launched`]: another engine has the run. Otherwise as for any run.
pub fn conclude(attempt: &Attempt<'_>, job: &JobRun, launched: &Launched, over: Over) -> Result<Ending, Halt> {
    let (next, has_its_file) = match over {
        Over::Unstarted { has_its_file } => (Next::End(RunEnd::NeverStarted), has_its_file),
        Over::Lost { has_its_file, .. } => {
            (Next::Ask { unless_it_has_it: RunEnd::NeverStarted, is_for_now: false }, has_its_file)
        }
        Over::Recorded(records) => (of_records(attempt, launched, &records), true),
    };
    let ended = |end| Ok(Ending { has_its_file, ..Ending::unrecorded(end) });
    match next {
        Next::Sent(remote) => Err(sent(attempt, job, launched, remote, has_its_file)?),
        Next::End(end) => ended(end),
        Next::Ask { unless_it_has_it, is_for_now } => {
            if has_the_run(attempt, job, launched)? {
                return Err(sent(attempt, job, launched, None, has_its_file)?);
            }
            if is_for_now {
                hold(attempt, launched);
            }
            ended(unless_it_has_it)
        }
    }
}

/// Leaves the engines alone for a while, and says why.
fn hold(attempt: &Attempt<'_>, launched: &Launched) {
    attempt.ctx.engines.hold();
    let last = launcher::last_line(&output(attempt)).map(|line| format!(": {line}")).unwrap_or_default();
    let text = format!("the engine of the launcher {} takes no job now{last}", launched.launcher);
    attempt.ctx.report.set(Condition::notice(FULL, text, "it is tried again, within a minute"));
}

fn of_records(attempt: &Attempt<'_>, launched: &Launched, records: &Records) -> Next {
    let output = || output(attempt);
    match attempt.end_of(records) {
        RunEnd::Ended { exit: Exit::Code(0), cause: None, .. } => Next::Sent(launcher::last_line(&output())),
        RunEnd::Ended { cause: Some(Cause::Cancel), .. } => Next::Ask { unless_it_has_it: RunEnd::Withdrawn, is_for_now: false },
        RunEnd::Ended { exit: Exit::Code(TRY_LATER), .. } | RunEnd::Ended { cause: Some(_), .. } => {
            Next::Ask { unless_it_has_it: RunEnd::Unprepared, is_for_now: true }
        }
        RunEnd::Ended { exit, .. } => {
            let last = launcher::last_line(&output()).map(|line| format!(": {line}")).unwrap_or_default();
            let error = format!("the launcher {} refused it: {}{last}", launched.launcher, exit.in_words());
            Next::Ask { unless_it_has_it: RunEnd::Unrunnable { error }, is_for_now: false }
        }
        RunEnd::Lost => Next::Ask { unless_it_has_it: RunEnd::NeverStarted, is_for_now: false },
        end => Next::End(end),
    }
}

/// What the submission has printed.
fn output(attempt: &Attempt<'_>) -> String {
    let log = attempt.ctx.place().log_file(attempt.key.run);
    String::from_utf8_lossy(&attempt::read_up_to(&log, OUTPUT_BYTES_MAX)).into_owned()
}

/// Asks the engine for a run until it says whether it has it.
fn has_the_run(attempt: &Attempt<'_>, job: &JobRun, launched: &Launched) -> Result<bool, Halt> {
    let ctx = attempt.ctx;
    let (group, names) = (group_of(launched), [launcher::name(job.key.nonce)]);
    let (mut gone_times, mut wait) = (0, ASK_FIRST);
    loop {
        let why = match attempt::call(ctx, &group, Verb::Status, &names)? {
            Ok(output) => {
                let answer = launcher::answers(&String::from_utf8_lossy(&output), &names).remove(&names[0]);
                match answer {
                    Some(answer) if answer.is_of_a_known_run() => return Ok(true),
                    Some(answer) if answer.state == launcher::State::Gone => {
                        gone_times += 1;
                        None
                    }
                    answer => Some(answer.and_then(|answer| answer.words).unwrap_or_else(|| "unknown".into())),
                }
            }
            Err(why) => Some(why),
        };
        if gone_times >= GONE_TIMES {
            return Ok(false);
        }
        if let Some(why) = why {
            gone_times = 0;
            let run = attempt.key.run;
            let why = format!(
                "whether the engine has it is not known: {why}\nthe engine is asked again, and nothing is submitted twice"
            );
            ctx.store.commit(move |conn| open_runs::note_trouble(conn, run, Some(&why)))?;
            wait = (wait * 2).min(ASK_MOST);
        }
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if ctx.is_detaching() {
                return Err(Halt::Detached);
            }
            wait_for(&mut [PollFd::new(&*attempt.waker, PollFlags::IN)], Some(until))?;
            // A stop request does not say whether the engine has the run.
            let _cleared = attempt.waker.cause();
        }
    }
}

/// Records that the engine has the run, and lets the loop of the engines ask for it.
fn sent(attempt: &Attempt<'_>, job: &JobRun, launched: &Launched, remote: Option<String>, has_its_file: bool) -> Result<Halt> {
    let (ctx, run) = (attempt.ctx, attempt.key.run);
    let log_at = std::fs::metadata(ctx.place().log_file(run)).map_or(0, |log| log.len().cast_signed());
    let (is_open, ticket) = ctx.persist("recording a submission", || {
        let remote = remote.clone();
        ctx.store.commit(move |conn| {
            open_runs::note_trouble(conn, run, None)?;
            launched::sent(conn, run, remote.as_deref(), log_at)
        })
    })?;
    ctx.engines.release();
    ctx.report.clear(FULL);
    if is_open {
        let waker = ctx.engines.waker();
        if let Some(cause) = attempt.waker.cause() {
            waker.request_stop(cause);
        }
        ctx.roster.watch(run, std::sync::Arc::clone(&waker));
        ctx.engines.watch(Remote {
            key: attempt.key,
            job: job.row.id,
            group: group_of(launched),
            waker,
            timeout_ms: job.policy.timeout_ms,
            ran_at: launched.ran_at,
            cause: launched.cause,
            asked: None,
            gone_times: 0,
            said: None,
            log_at: log_at.cast_unsigned(),
        });
    } else {
        ctx.roster.disown(run);
    }
    // The record is what the next worker would learn it from.
    let then = std::sync::Arc::clone(ctx);
    ctx.store.after_flush(ticket, move || {
        if has_its_file && let Err(error) = then.run_files.retire(then.place(), run) {
            log::warn!("run {run}: removing its run file: {error} (recovery tries again)");
        }
    });
    Ok(Halt::Launched)
}

/// Returns whom to ask for a run.
pub fn group_of(launched: &Launched) -> Group {
    Group { launcher: launched.launcher.clone(), options: launched.options.clone() }
}
