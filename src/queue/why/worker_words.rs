//! The worker as text: why it does not act on a job, and the command that clears it. Pure; `why`,
//! `status` and `doctor` share it.

use crate::clock as time;
use crate::escape::quote_text;
use crate::host::report::{CODES, Condition, Phase, Report};
use crate::host::sight::{Process, Sight};
use crate::job::Advice;
use crate::store::job::counted::QueueRow;
use crate::store::job::rows::Job;
use crate::units::count;

/// A claim loop without a round for this long, in milliseconds, hangs: it polls at least every 10
/// s.
const CLAIMS_HANG_MS: u64 = 30_000;
/// After this many ticks without a round of the reaper, in addition to the time above, it hangs.
const REAPER_HANG_TICKS: u64 = 3;
/// A job that is older than this, in milliseconds, has been announced to the worker.
const ANNOUNCED_MS: u64 = 5_000;

/// Returns the pid for use in a command.
fn pid(sight: &Sight) -> u32 {
    sight.holder.pid
}

fn name(sight: &Sight) -> String {
    format!("the worker ({})", sight.holder.named())
}

/// Returns the findings about the worker, for every caller.
pub(crate) fn of_worker(sight: &Sight) -> Vec<Advice> {
    let mut all = Vec::new();
    all.extend(cannot_act(sight));
    let Some(report) = &sight.report else {
        let text = format!("{} has not reported its state: it is starting, or it cannot write {}", name(sight), "worker.json");
        all.push(Advice::new("worker_silent", text, "tenure status; if it stays so, restart the worker".to_owned()));
        return all;
    };
    all.extend(of_phase(sight, report));
    all.extend(report.conditions.iter().map(of_condition));
    all
}

/// Whether it is stopped or hangs.
fn cannot_act(sight: &Sight) -> Option<Advice> {
    let (who, pid) = (name(sight), pid(sight));
    match sight.process {
        Process::Stopped => {
            let text = format!("{who} is stopped by a signal: nothing is claimed, stopped or recorded until it is continued");
            return Some(Advice::new("worker_stopped", text, format!("kill -CONT {pid}")));
        }
        // Under strace it is in that state for an instant, again and again.
        Process::Traced if sight.claims_ago_ms.is_none_or(|ms| ms > ANNOUNCED_MS) => {
            let text = format!("{who} is held by a debugger: nothing is claimed, stopped or recorded until then");
            return Some(Advice::new("worker_stopped", text, "let the debugger continue it".to_owned()));
        }
        Process::Runs | Process::Traced | Process::Unseen => {}
    }
    let report = sight.report.as_ref().filter(|report| report.phase == Phase::Serving)?;
    let reaper_most_ms = CLAIMS_HANG_MS.saturating_add(report.tick_ms.saturating_mul(REAPER_HANG_TICKS));
    let what = match (sight.claims_ago_ms, sight.reaper_ago_ms) {
        (Some(ms), _) if ms > CLAIMS_HANG_MS => format!("has not looked for jobs for {}", elapsed(ms)),
        (_, Some(ms)) if ms > reaper_most_ms => format!("has not looked after its runs for {}", elapsed(ms)),
        _ => return None,
    };
    let blocked = sight.blocked.as_ref().and_then(|blocked| blocked.by.as_ref());
    let blocked = blocked.map(|by| format!("; {by} holds the write lock")).unwrap_or_default();
    let remedy = format!("tenure doctor; if it stays so: kill -9 {pid}, then tenure work (running jobs continue)");
    Some(Advice::new("worker_hangs", format!("{who} {what}: it hangs{blocked}"), remedy))
}

fn elapsed(ms: u64) -> String {
    time::between(0, i64::try_from(ms).unwrap_or(i64::MAX))
}

fn of_phase(sight: &Sight, report: &Report) -> Option<Advice> {
    let who = name(sight);
    let next = "tenure ls --state running shows what it waits for; when it has ended: tenure work";
    let (code, text, remedy) = match report.phase {
        Phase::Serving => return None,
        Phase::Starting => ("worker_starting", format!("{who} is starting: nothing is claimed yet"), None),
        Phase::Draining => {
            ("worker_draining", format!("{who} drains: it claims nothing more, and ends when its jobs have ended"), Some(next))
        }
        Phase::Leaving => ("worker_leaving", format!("{who} is ending: it claims nothing more"), Some(next)),
    };
    Some(Advice::new(code, text, remedy.map(str::to_owned)))
}

fn of_condition(condition: &Condition) -> Advice {
    let code = CODES.iter().find(|code| **code == condition.advice.code).unwrap_or(&"worker_trouble");
    let held = if condition.holds_claims { ": no job is claimed until then" } else { "" };
    Advice::new(code, format!("{}{held}", condition.advice.text), condition.advice.remedy.clone())
}

/// Returns the obstacles of a queued job that come from the worker. `has_launcher`: another engine
/// will run it. `running`: how many jobs run, and the slots that they take.
pub(crate) fn of_queued(sight: &Sight, job: &Job, has_launcher: bool, running: (i64, i64), now_ms: i64) -> Vec<Advice> {
    let mut all: Vec<Advice> = of_worker(sight);
    all.extend(write_lock(sight, now_ms));
    let serves = serves(sight, job);
    all.extend(serves.as_ref().err().cloned());
    // Another engine needs no slot of this machine.
    if serves.is_ok() && !has_launcher {
        all.extend(slots_busy(sight, running, i64::from(job.slots)));
    }
    // It looks each ten seconds, and once for what has become ready.
    let waited_ms = now_ms.saturating_sub(job.created_at.max(job.available_at)).max(0).cast_unsigned();
    if all.is_empty()
        && job.hold.is_none()
        && waited_ms > ANNOUNCED_MS
        && let Some(ms) = sight.claims_ago_ms.filter(|ms| *ms >= waited_ms)
    {
        let text = format!("{} last looked for jobs {} ago", name(sight), elapsed(ms));
        all.push(Advice::new("worker_slow", text, "tenure doctor".to_owned()));
    }
    all
}

/// Returns the findings about the worker that affect a running job: whether its end is recorded,
/// and a stop is passed on.
pub(crate) fn of_running(sight: &Sight, now_ms: i64) -> Vec<Advice> {
    const FELT: [&str; 7] =
        ["spawner_stopped", "disk_full", "disk_error", "claim_error", "recovery_error", "file_replaced", "engine_silent"];
    let conditions = sight.report.iter().flat_map(|report| &report.conditions);
    let felt = conditions.filter(|one| FELT.contains(&&*one.advice.code));
    let all = cannot_act(sight).into_iter().chain(felt.map(of_condition));
    all.chain(write_lock(sight, now_ms)).collect()
}

fn write_lock(sight: &Sight, now_ms: i64) -> Option<Advice> {
    let blocked = sight.blocked.as_ref()?;
    let by = blocked.by.as_ref().map_or_else(|| "another program".to_owned(), ToString::to_string);
    let text = format!("{by} holds the write lock of the file for {}", time::between(blocked.since_ms, now_ms));
    Some(Advice::new("writer_blocked", text, "end that program's transaction, or the program".to_owned()))
}

/// Whether the worker may claim this job at all.
fn serves(sight: &Sight, job: &Job) -> Result<(), Advice> {
    if let Some(only) = alone(sight) {
        let is_followed = sight.report.as_ref().is_some_and(|report| report.serves.contains(&job.id.0));
        return if only == Some(job.id.0) || is_followed { Ok(()) } else { Err(serves_one(sight, only)) };
    }
    let Some(report) = &sight.report else { return Ok(()) };
    if is_served(report, &job.queue) {
        return Ok(());
    }
    let first = report.queues.first().map(|queue| quote_text(queue)).unwrap_or_default();
    let remedy =
        format!("tenure set {} queue={first}, or restart the worker with --queue {} as well", job.id, quote_text(&job.queue));
    Err(Advice::new("queue_not_served", not_served(sight, report, &job.queue), remedy))
}

/// The one job that the worker serves, where it serves no other.
#[allow(clippy::option_option, reason = "a run that has not reported its job serves one all the same")]
fn alone(sight: &Sight) -> Option<Option<i64>> {
    let only = sight.report.as_ref().and_then(|report| report.only);
    (only.is_some() || sight.holder.kind == "run").then_some(only)
}

fn serves_one(sight: &Sight, only: Option<i64>) -> Advice {
    let holder = &sight.holder;
    let text = match only {
        Some(0) => format!("{} only repairs the file and claims nothing", name(sight)),
        Some(job) => {
            format!("the only worker is a tenure {} ({}), which runs its own job {job} alone", holder.kind, holder.named())
        }
        None => format!(
            "the only worker is a tenure {} ({}), which runs only jobs that a `tenure run` follows",
            holder.kind,
            holder.named()
        ),
    };
    Advice::new("no_worker", text, "tenure work".to_owned())
}

fn is_served(report: &Report, queue: &str) -> bool {
    report.queues.is_empty() || report.queues_cut || report.queues.iter().any(|served| served == queue)
}

fn not_served(sight: &Sight, report: &Report, queue: &str) -> String {
    let served = report.queues.iter().map(|queue| format!("{queue:?}")).collect::<Vec<_>>().join(", ");
    format!("{} does not serve queue {queue:?}, only {served}", name(sight))
}

/// `wants`: the slots that the job takes. If it takes more than there are, it is not ready, and has
/// that as an obstacle.
fn slots_busy(sight: &Sight, (running, taken): (i64, i64), wants: i64) -> Option<Advice> {
    let holder = &sight.holder;
    let slots = i64::try_from(sight.slots()).unwrap_or(i64::MAX);
    // A worker that has not identified itself has no known number of slots.
    if slots == 0 || wants > slots || taken + wants <= slots {
        return None;
    }
    let running = count(running, "job", "runs", "run");
    let text = if taken >= slots {
        let (busy, are) = if slots == 1 { ("the only slot".to_owned(), "is") } else { (format!("all {slots} slots"), "are") };
        format!("{busy} of the worker ({}) {are} busy; {running}", holder.named())
    } else {
        let free = slots - taken;
        format!("it takes {wants} slots, and {free} of {slots} of the worker ({}) are free; {running}", holder.named())
    };
    let more = format!("tenure ls --state running; more slots: tenure slots {}", taken.max(slots - wants + 1) + wants);
    Some(Advice::new("slots", text, more))
}

/// Returns the findings about the worker of a file with so many ready jobs, for `status` and
/// `doctor`.
pub(crate) fn of_file(sight: &Sight, ready: i64, queues: &[QueueRow]) -> Vec<Advice> {
    let waits = |one: &Advice| !["worker_draining", "worker_leaving", "worker_starting", "worker_silent"].contains(&&*one.code);
    let mut all: Vec<Advice> = of_worker(sight).into_iter().filter(|one| waits(one) || ready > 0).collect();
    if let Some(only) = alone(sight) {
        if ready > 0 {
            let one = serves_one(sight, only);
            all.push(Advice { text: format!("{}, and {}", count(ready, "job", "is ready", "are ready"), one.text), ..one });
        }
        return all;
    }
    if let Some(report) = &sight.report {
        for queue in queues.iter().filter(|queue| queue.ready > 0 && !queue.paused && !is_served(report, &queue.name)) {
            let ready = count(queue.ready, "ready job", "waits", "wait");
            let remedy = format!("restart the worker with --queue {} as well, or without --queue", quote_text(&queue.name));
            let text = format!("{}: {ready}", not_served(sight, report, &queue.name));
            all.push(Advice::new("queue_not_served", text, remedy));
        }
    }
    all
}

/// Returns the state of the worker, for its line.
pub(crate) fn state(sight: &Sight) -> &'static str {
    match (sight.process, sight.report.as_ref().map(|report| (report.phase, report.held_back().next().is_some()))) {
        (Process::Stopped, _) => ", stopped",
        (_, None) => "",
        (_, Some((Phase::Starting, _))) => ", starting",
        (_, Some((Phase::Draining, _))) => ", draining",
        (_, Some((Phase::Leaving, _))) => ", ending",
        (_, Some((Phase::Serving, true))) => ", holding back",
        (_, Some((Phase::Serving, false))) => "",
    }
}

#[cfg(test)]
#[path = "worker_words_tests.rs"]
mod tests;
