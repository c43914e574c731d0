//! Log lines of jobs: one when a run starts, and one when it has ended. For the journal, or for a
//! terminal.
//!
//! ```text
//! job 7 started: run 12, attempt 1 of 3, queue default: nightly: make all
//! job 7 ended: failed, reason exit, exit code 3, took 1m 2s, run 12: nightly: make all
//! job 7 queued again in 30s: failed, reason exit, exit code 3, took 1m 2s, run 12: nightly: make all
//! ```
//!
//! Text of clients (label, command, error) comes last and has no control characters, so that no
//! client can forge a line.

use std::fmt::Write;

use crate::job::{Decision, Next, Outcome, RunId};
use crate::store::job::rows::Job;
use crate::store::job::settle::RunRecord;
use crate::units::duration_text;

/// The target of these lines, by which the command line shows or hides them.
pub const TARGET: &str = "tenure::jobs";
/// Longest text of a client in a line, in characters.
const CHARS_MAX: usize = 80;

/// A run has been handed to its shim.
pub(super) fn started(job: &Job, run: RunId) {
    log::info!(target: TARGET, "job {} started: run {run}, {}", job.id, circumstances(job));
}

/// A run that an earlier worker has started continues under this one.
pub(super) fn adopted(job: &Job, run: RunId) {
    log::info!(target: TARGET, "job {} continues under this worker: run {run}, {}", job.id, circumstances(job));
}

/// A run is settled.
pub(super) fn ended(job: &Job, run: RunId, decision: &Decision, record: &RunRecord, now_ms: i64) {
    log::info!(target: TARGET, "{}", end(job, run, decision, record, now_ms));
}

fn circumstances(job: &Job) -> String {
    // A claim has counted the attempt already.
    let attempt = job.attempts.max(1);
    let lane = job.lane.as_deref().map(|lane| format!(", lane {}", short(lane))).unwrap_or_default();
    format!("attempt {attempt} of {}, queue {}{lane}: {}", job.max_attempts, short(&job.queue), name(job))
}

fn end(job: &Job, run: RunId, decision: &Decision, record: &RunRecord, now_ms: i64) -> String {
    let mut line = match decision.next {
        Next::Again { available_at, .. } if available_at > now_ms => {
            let wait = u64::try_from(available_at - now_ms).unwrap_or(0);
            format!("job {} queued again in {}: ", job.id, duration_text(wait))
        }
        Next::Again { .. } => format!("job {} queued again: ", job.id),
        Next::Done | Next::Failed(_) | Next::Cancelled => format!("job {} ended: ", job.id),
    };
    line += decision.outcome.as_str();
    if let Some(reason) = decision.reason.filter(|_| decision.outcome != Outcome::Done) {
        _ = write!(line, ", reason {reason}");
    }
    match (decision.exit_code, decision.signal) {
        (_, Some(signal)) => _ = write!(line, ", signal {signal}"),
        (Some(code), None) => _ = write!(line, ", exit code {code}"),
        (None, None) => {
            if let Some(error) = &decision.error {
                _ = write!(line, " ({})", short(error));
            }
        }
    }
    if let (Some(from), Some(to)) = (record.started_at, record.exited_at) {
        _ = write!(line, ", took {}", duration_text(u64::try_from(to.saturating_sub(from)).unwrap_or(0)));
    }
    _ = write!(line, ", run {run}: {}", name(job));
    line
}

/// Returns label and command, shortened.
fn name(job: &Job) -> String {
    let label = job.label.as_deref().map(|label| format!("{}: ", short(label))).unwrap_or_default();
    let command = job.argv().map_or_else(
        |_| job.command.clone(),
        |argv| argv.arguments().iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" "),
    );
    label + &short(&command)
}

/// Returns a text of a client on one line.
fn short(text: &str) -> String {
    let mut line = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == CHARS_MAX {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
