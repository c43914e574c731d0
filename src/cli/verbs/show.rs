//! `tenure show`: one job with all its runs.

use std::time::{Duration, SystemTime};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::pick::Named;
use crate::cli::parse::time;
use crate::cli::parse::values::signal_name;
use crate::cli::view::escape::line;
use crate::cli::view::{json, policy_shown, table, task_shown};
use crate::error::{Result, exit};
use crate::job::RunKind;
use crate::job::pool;
use crate::queue::why::stopped;
use crate::queue::{Event, HookInfo, JobInfo, Record, RunInfo};
use crate::units::{duration_text, size_text};

/// An end that was recorded this long after it is shown with both times.
const RECORDED_LATE: Duration = Duration::from_secs(10);

pub fn run(face: &Face, which: &Named) -> Result<u8> {
    let queue = face.queue()?;
    let now = face.now();
    let mut jobs = pick::jobs(&queue, &which.ids)?;
    stopped::mark(&queue, &mut jobs)?;
    for (at, job) in jobs.iter().enumerate() {
        let record = queue.record(job.id)?;
        if face.json {
            face.print_line(&json::job_with_record(job, &record))?;
        } else {
            let Record { runs, events, hooks, step, suspended_ms } = record;
            let gap = if at > 0 { "\n" } else { "" };
            let step = step.as_ref().map(task_shown::step_of);
            let over = queue.over(job.id)?;
            let around = Around { step, over, suspended_ms, hooks: &hooks, events: &events, now: &now, columns: face.columns };
            face::print(&format!("{gap}{}", for_people(job, &runs, &around)))?;
        }
    }
    Ok(exit::OK)
}

/// Additional facts about a job.
pub(in crate::cli) struct Around<'a> {
    /// Its step of a task, as text.
    pub step: Option<String>,
    /// The text about its run, if it is over and no worker records it.
    pub over: Option<String>,
    pub suspended_ms: u64,
    pub hooks: &'a [HookInfo],
    pub events: &'a [Event],
    pub now: &'a jiff::Zoned,
    pub columns: Option<usize>,
}

pub(in crate::cli) fn for_people(job: &JobInfo, runs: &[RunInfo], around: &Around<'_>) -> String {
    let (events, now) = (around.events, around.now);
    let at = |at: Option<SystemTime>| at.map(|at| time::local(time::ms_of(at), now));
    let mut all = vec![
        ("id", Some(job.id.to_string())),
        ("state", Some(table::state(job))),
        ("note", around.over.clone().map(|over| format!("no worker is running, and {over}"))),
        ("error", job.error.clone()),
        ("command", Some(table::command(job))),
        ("cwd", Some(job.cwd.clone())),
        ("label", job.label.clone()),
        ("owner", job.owner.map(table::owner)),
        ("made", events.iter().find(|event| event.kind == "scheduled").and_then(|event| event.detail.clone())),
        ("task", around.step.clone()),
        ("queue", Some(job.queue.clone())),
        ("lane", job.lane.clone()),
        ("priority", (job.priority != 0).then(|| job.priority.to_string())),
        ("slots", (job.slots != 1).then(|| job.slots.to_string())),
        ("uses", (!job.uses.is_empty()).then(|| pool::text(&job.uses))),
        ("unique", job.unique_key.clone()),
        ("array index", job.array_index.map(|index| index.to_string())),
        ("array", job.stops_array.then(|| "the queued rest is cancelled when one fails (--stop-on-failure)".into())),
        ("attempts", Some(format!("{} of {}", job.attempts, job.max_attempts))),
        ("deferrals", (job.deferrals > 0).then(|| job.deferrals.to_string())),
        ("added", at(Some(job.created_at))),
        ("not before", at(Some(job.available_at).filter(|at| *at > job.created_at))),
        ("expires", at(job.expires_at)),
        ("started", at(job.started_at)),
        ("ended", at(job.finished_at)),
        ("recorded", at(recorded_late(job, runs))),
        ("took", job.started_at.map(|_| table::took(job, now.timestamp().as_millisecond()))),
        ("suspended", suspended(job, around)),
        ("pid", job.pid.map(|pid| pid.to_string())),
        ("progress", job.stored.progress.as_deref().map(table::progress)),
        ("result", job.result.clone()),
        ("environment", Some(policy_shown::environment(&job.stored.env)).filter(|env| !env.is_empty())),
    ];
    all.extend(policy_shown::rows(&job.stored.policy, memory_by(events).as_deref()));
    let mut text = table::pairs(&all);
    if !runs.is_empty() {
        text.push('\n');
        text += &runs_table(runs, now, around.columns);
    }
    if !around.hooks.is_empty() {
        text.push('\n');
        text += &hooks_table(around.hooks, now, around.columns);
    }
    // Its own: `tenure logs` shows that one.
    if let Some(last) = runs.iter().rfind(|run| run.kind == RunKind::Job).or(runs.last()) {
        text += &format!("\nlog of run {}: {}\n", last.id, line(&last.log.to_string_lossy()));
    }
    text
}

/// Returns since when it is suspended, and how long it was before.
fn suspended(job: &JobInfo, around: &Around<'_>) -> Option<String> {
    let since = job.suspension.and_then(|one| one.since).map(|at| format!("since {}", time::local(time::ms_of(at), around.now)));
    let before = (around.suspended_ms > 0).then(|| format!("for {} in all", duration_text(around.suspended_ms)));
    let parts: Vec<String> = since.into_iter().chain(before).collect();
    (!parts.is_empty()).then(|| parts.join(", before "))
}

/// Returns when the end of a job was recorded, if that was long after it: there was no worker.
fn recorded_late(job: &JobInfo, runs: &[RunInfo]) -> Option<SystemTime> {
    let run = runs.iter().find(|run| Some(run.id) == job.run)?;
    let late = |at: &SystemTime| at.duration_since(job.finished_at.unwrap_or(*at)).unwrap_or_default();
    run.finished_at.filter(|at| late(at) > RECORDED_LATE)
}

/// Returns what enforced the memory limit in the latest run.
fn memory_by(events: &[Event]) -> Option<String> {
    events.iter().rfind(|event| event.kind == "memory_limit")?.detail.clone()
}

/// The hooks that ends of the job have caused.
fn hooks_table(hooks: &[HookInfo], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let row = |hook: &HookInfo| {
        let when = hook.closed_at.or(hook.next_at).map(|at| time::local(time::ms_of(at), now));
        vec![
            hook.id.to_string(),
            hook.event.to_string(),
            hook.rule.clone().unwrap_or_default(),
            hook.state().to_owned(),
            hook.failures.to_string(),
            when.unwrap_or_default(),
            hook.last_error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = hooks.iter().map(row).collect();
    table::table(&["hook", "event", "rule", "state", "failures", "ended or next", "error"], &[0, 4], &rows, columns)
}

pub fn runs_table(runs: &[RunInfo], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let now_ms = now.timestamp().as_millisecond();
    let row = |run: &RunInfo| {
        let end = run.exited_at.or(run.finished_at).map_or(now_ms, time::ms_of);
        let start = run.started_at.map(time::ms_of);
        let how = match (run.exit_code, run.signal) {
            (_, Some(signal)) => signal_name(signal),
            (Some(code), None) => code.to_string(),
            (None, None) => String::new(),
        };
        vec![
            run.id.to_string(),
            run.kind.to_string(),
            run.attempt.to_string(),
            run.outcome.map_or_else(|| "running".to_owned(), |outcome| outcome.to_string()),
            run.reason.map(|reason| reason.to_string()).unwrap_or_default(),
            how,
            start.map(|at| time::local(at, now)).unwrap_or_default(),
            start.map(|at| time::between(at, end)).unwrap_or_default(),
            run.max_rss_bytes.and_then(|n| u64::try_from(n).ok()).map(size_text).unwrap_or_default(),
            run.leftovers.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    table::table(
        &["run", "kind", "attempt", "outcome", "reason", "exit", "started", "took", "memory", "left behind"],
        &[0, 2, 7, 8],
        &rows,
        columns,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;
    use crate::job::State;
    use crate::place::Place;

    #[test]
    fn a_hostile_job_is_shown_in_printable_lines() {
        let mut job = fixture::job(7, State::Failed);
        job.error = Some("\x1b]0;x\x07".into());
        job.env = "{\"A\": \"b\\u001b[2J\"}".into();
        job.policy = "{\"check\": [\"\\u001b\"], \"user\": \"\\u009b\"}".into();
        job.progress = Some("{\"percent\": 40, \"text\": \"a\\u001b\"}".into());
        let mut run = fixture::run(11, 7);
        run.leftovers = Some("12 \x1b[2J".into());
        let run = RunInfo::of(&run, &Place::new("/q\x1b.db".into()));
        let around = Around {
            step: Some("\x1b".into()),
            over: None,
            suspended_ms: 0,
            hooks: &[],
            events: &[],
            now: &time::here(5_000),
            columns: None,
        };
        let text = for_people(&JobInfo::of(job), &[run], &around);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("40% a"));
    }
}
