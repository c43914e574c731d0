//! The loop that asks other engines for the runs that they have.
//!
//! One call of `status` asks for all runs of a launcher with the same options. A run ends when the
//! engine says so; an engine that gives no answer is asked again, less often, and ends nothing. A
//! stop request is passed on at once, and again until the run has ended. Without such runs the
//! thread sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::engine_logs;
use crate::error::Result;
use crate::host::condition::Condition;
use crate::job::launcher::{self, Answer, State};
use crate::job::{Cause, Exit, RunEnd};
use crate::run::machine::boottime_ms;
use crate::store::job::launched::{self, Launched};
use crate::store::job::settle::RunRecord;
use crate::store::upkeep::open_runs::{self, OpenRun};
use crate::units::parse_duration;
use crate::worker::attempt::{self, Halt, Verb, wait_for};
use crate::worker::context::Context;
use crate::worker::engines::{Group, Remote};
use crate::worker::run_job::{self, EndedThere};
use crate::worker::steps::submit::group_of;

/// Longest wait after an engine has not answered.
const SILENT_MOST: Duration = Duration::from_secs(60);
/// When an engine is asked after a stop request was passed on to it, and how often it is passed on.
const AFTER_STOP: Duration = Duration::from_secs(1);
const STOP_AGAIN: Duration = Duration::from_secs(30);
/// Wait until a run is settled for which there is no thread now.
const NO_THREAD: Duration = Duration::from_millis(100);
/// Most runs that one call names: the arguments of a program are limited.
const NAMES_MAX: usize = 10_000;
/// The condition of an engine that does not answer.
const SILENT: &str = "engine_silent";

/// When a group is asked, and how often it has not answered.
struct Poll {
    next: Instant,
    failures: u32,
}

/// The thread.
pub fn run(ctx: &Arc<Context>) {
    let mut polls = BTreeMap::new();
    while !ctx.is_detaching() {
        let next = round(ctx, &mut polls).unwrap_or_else(|halt| {
            if let Halt::Failed(error) = halt {
                log::error!("asking the engines: {error}");
            }
            Some(Instant::now() + AFTER_STOP)
        });
        // A wake-up of the time before the round is not lost: it is read after it.
        if let Err(error) = wait_for(&mut [PollFd::new(&ctx.engines, PollFlags::IN)], next) {
            log::error!("waiting for the engines: {error}");
            ctx.pause(1_000);
        }
        let _nothing_woke_it = rustix::io::read(&ctx.engines, &mut [0u8; 8]);
    }
}

/// Watches a run that an earlier worker has given to an engine.
///
/// # Errors
/// There is no thread for a run whose end is known.
pub(super) fn adopt(ctx: &Arc<Context>, open: &OpenRun, launched: &Launched) -> Result<()> {
    let (run, instance) = (open.run.id, ctx.instance.clone());
    log::info!("job {} run {run}: {} has it; asking for it", open.job.id, launched.launcher);
    ctx.store.commit(move |conn| open_runs::adopted(conn, run, &instance))?;
    // Its own end is recorded, and its check was begun.
    if open.run.exited_at.is_some() {
        let end = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
        let slot = ctx.engines.ending.take(1);
        run_job::end_launched(ctx, ctx.pool.reserve()?, open.clone(), EndedThere { end, record: RunRecord::default() }, slot);
        return Ok(());
    }
    let waker = ctx.engines.waker();
    if open.open_cancel {
        waker.request_stop(Cause::Cancel);
    }
    ctx.roster.watch(run, Arc::clone(&waker));
    let policy = open.job.policy().unwrap_or_default();
    ctx.engines.watch(Remote {
        key: open.run.key(),
        job: open.job.id,
        group: group_of(launched),
        waker,
        timeout_ms: policy.timeout_ms,
        ran_at: launched.ran_at,
        cause: launched.cause,
        asked: None,
        gone_times: 0,
        said: launched.says.clone().map(|word| (word, launched.detail.clone())),
        log_at: launched.log_at.unwrap_or(0).cast_unsigned(),
    });
    Ok(())
}

/// Returns when the next round is due; `None`: when the loop is woken.
fn round(ctx: &Arc<Context>, polls: &mut BTreeMap<Group, Poll>) -> Result<Option<Instant>, Halt> {
    let groups = ctx.engines.groups();
    polls.retain(|group, _| groups.contains_key(group));
    if groups.is_empty() {
        ctx.report.clear(SILENT);
        return Ok(None);
    }
    give_up(ctx, &groups)?;
    for (group, runs) in &groups {
        let poll = polls.entry(group.clone()).or_insert_with(|| Poll { next: Instant::now() + interval(group), failures: 0 });
        if stop(ctx, group, runs)? {
            // The next round knows why they were stopped.
            poll.next = Instant::now() + AFTER_STOP.min(interval(group));
        } else if Instant::now() >= poll.next {
            let mut wait = interval(group);
            for some in runs.chunks(NAMES_MAX) {
                wait = wait.min(ask(ctx, group, some, poll)?);
                if poll.failures > 0 {
                    wait = silent_wait(interval(group), poll.failures);
                    break;
                }
            }
            poll.next = Instant::now() + wait;
        }
    }
    if polls.values().all(|poll| poll.failures == 0) {
        ctx.report.clear(SILENT);
    }
    let limits = groups.values().flatten().filter_map(|remote| left_ms(ctx, remote));
    let limits = limits.map(|ms| Instant::now() + Duration::from_millis(ms));
    let followed = engine_logs::round(ctx, &groups)?;
    Ok(polls.values().map(|poll| poll.next).chain(limits).chain(followed).min())
}

/// Ends the runs of which a person knows that their engine will never answer for them.
fn give_up(ctx: &Arc<Context>, groups: &BTreeMap<Group, Vec<Remote>>) -> Result<()> {
    for run in ctx.store.read(launched::given_up)? {
        let answer = Answer { state: State::Lost, words: None };
        if let Some(remote) = groups.values().flatten().find(|remote| remote.key.run == run) {
            settle(ctx, remote, &answer, RunEnd::Lost)?;
        }
    }
    Ok(())
}

/// How often the engine of a group is asked.
fn interval(group: &Group) -> Duration {
    let asked = group.options.get(launcher::INTERVAL).and_then(|text| parse_duration(text).ok());
    let (least, most) = launcher::INTERVAL_MS;
    Duration::from_millis(asked.unwrap_or(launcher::INTERVAL_MS_DEFAULT).clamp(least, most))
}

/// Passes stop requests on; true if there was one.
fn stop(ctx: &Arc<Context>, group: &Group, runs: &[Remote]) -> Result<bool, Halt> {
    let mut names = Vec::new();
    for remote in runs {
        if left_ms(ctx, remote) == Some(0) {
            remote.waker.request_stop(Cause::Timeout);
        }
        let Some(cause) = remote.cause.or_else(|| remote.waker.cause_without_clearing()) else { continue };
        if remote.asked.is_some_and(|asked| asked.elapsed() < STOP_AGAIN) {
            continue;
        }
        let run = remote.key.run;
        if remote.cause.is_none() {
            // Its end is read by this cause, also by the next worker.
            ctx.store.commit(move |conn| launched::asked(conn, run, cause))?;
        }
        ctx.engines.update(run, |remote| (remote.cause, remote.asked) = (Some(cause), Some(Instant::now())));
        names.push(launcher::name(remote.key.nonce));
    }
    for some in names.chunks(NAMES_MAX) {
        if let Err(why) = attempt::call(ctx, group, Verb::Cancel, some)? {
            log::warn!("{why}; it is asked again");
        }
    }
    Ok(!names.is_empty())
}

/// Returns how long a run may continue by the timeout of its job, in milliseconds; `None`: it has
/// none, or does not run yet, or was asked to stop.
fn left_ms(ctx: &Context, remote: &Remote) -> Option<u64> {
    let (timeout_ms, ran_at) = (remote.timeout_ms.filter(|_| remote.cause.is_none())?, remote.ran_at?);
    let ran_ms = u64::try_from(ctx.now_ms().saturating_sub(ran_at)).unwrap_or(0);
    Some(timeout_ms.saturating_sub(ran_ms))
}

/// Asks an engine for its runs. Returns when to ask again.
fn ask(ctx: &Arc<Context>, group: &Group, runs: &[Remote], poll: &mut Poll) -> Result<Duration, Halt> {
    let names: Vec<String> = runs.iter().map(|remote| launcher::name(remote.key.nonce)).collect();
    let mut answers = match attempt::call(ctx, group, Verb::Status, &names)? {
        Ok(output) => {
            poll.failures = 0;
            launcher::answers(&String::from_utf8_lossy(&output), &names)
        }
        Err(why) => {
            poll.failures = poll.failures.saturating_add(1);
            log::warn!("{why}");
            ctx.report.set(Condition::notice(
                SILENT,
                why,
                "its runs continue, and it is asked again; tenure logs shows their output",
            ));
            return Ok(interval(group));
        }
    };
    let mut wait = interval(group);
    let mut said = Vec::new();
    for (remote, name) in runs.iter().zip(&names) {
        let Some(answer) = answers.remove(name) else { continue };
        note(ctx, remote, &answer, &mut said);
        if let Some(end) = answer.end(remote.cause, remote.gone_times + u32::from(answer.state == State::Gone))
            && !settle(ctx, remote, &answer, end)?
        {
            wait = NO_THREAD;
        }
    }
    if !said.is_empty() {
        let now_ms = ctx.now_ms();
        ctx.store.commit(move |conn| {
            said.iter().try_for_each(|(run, word, words): &Said| launched::said(conn, *run, word, words.as_deref(), now_ms))
        })?;
    }
    Ok(wait)
}

/// What an engine newly says of a run.
type Said = (crate::job::RunId, &'static str, Option<String>);

fn note(ctx: &Context, remote: &Remote, answer: &Answer, said: &mut Vec<Said>) {
    let run = remote.key.run;
    let now_ms = ctx.now_ms();
    let now = (answer.word().to_owned(), answer.words.clone());
    if remote.said.as_ref() != Some(&now) {
        said.push((run, answer.word(), answer.words.clone()));
    }
    let is_running = answer.state == State::Running;
    let ran_at = remote.ran_at.or(is_running.then_some(now_ms));
    ctx.engines.update(run, |remote| {
        remote.gone_times = if answer.state == State::Gone { remote.gone_times + 1 } else { 0 };
        remote.ran_at = ran_at;
        remote.said = Some(now);
    });
    // The max-runtime of the queue counts from here, on the clock of the boot.
    remote.waker.limits_stand_still(ran_at.is_none());
    if let Some(ran_at) = ran_at.filter(|_| remote.ran_at.is_none() || remote.said.is_none()) {
        let ran_ms = u64::try_from(now_ms.saturating_sub(ran_at)).unwrap_or(0);
        remote.waker.began(boottime_ms().saturating_sub(ran_ms));
    }
}

/// Hands a run that has ended to a thread. False: there is none now.
fn settle(ctx: &Arc<Context>, remote: &Remote, answer: &Answer, end: RunEnd) -> Result<bool> {
    let (run, job) = (remote.key.run, remote.job);
    if ctx.engines.ending.free() == 0 {
        return Ok(false);
    }
    let Some(open) = ctx.store.read(move |conn| open_runs::open_run(conn, job, run))? else {
        // It was settled otherwise, such as by a person who knows that it is gone.
        ctx.engines.take(run);
        ctx.roster.disown(run);
        return Ok(true);
    };
    let Ok(seat) = ctx.pool.reserve() else { return Ok(false) };
    if ctx.engines.take(run).is_none() {
        return Ok(true);
    }
    let usage = answer.usage();
    let now_ms = ctx.now_ms();
    let record = RunRecord {
        // It may have run between two questions.
        started_at: remote.ran_at.or(Some(now_ms)),
        exited_at: Some(now_ms),
        max_rss_bytes: usage.max_rss_bytes,
        user_ms: usage.user_ms,
        system_ms: usage.system_ms,
        ..RunRecord::default()
    };
    log::info!("job {job} run {run}: its engine says {}", answer.word());
    run_job::end_launched(ctx, seat, open, EndedThere { end, record }, ctx.engines.ending.take(1));
    Ok(true)
}

/// Returns when an engine is asked that has not answered so often.
fn silent_wait(interval: Duration, failures: u32) -> Duration {
    let most = SILENT_MOST.max(interval);
    interval.saturating_mul(1 << failures.min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_engine_is_asked_less_often() {
        let wait = |ms, failures| silent_wait(Duration::from_millis(ms), failures).as_millis();
        assert_eq!([1, 2, 3, 4, 30].map(|n| wait(5_000, n)), [10_000, 20_000, 40_000, 60_000, 60_000]);
        assert_eq!(wait(600_000, 3), 600_000);
    }
}
