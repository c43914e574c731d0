//! Short texts about jobs, for a model. Pure.

use std::os::unix::ffi::OsStrExt;

use crate::escape::{line, quote_arguments};
use crate::job::{Hold, JobId, State};
use crate::queue::{Advice, JobInfo};
use crate::store::receipt::OneJob;

/// Longest command in a text, in characters.
const COMMAND_CHARS_MAX: usize = 120;

/// Returns the state, with the hold or with how it ended.
pub fn state(job: &JobInfo) -> String {
    let state = job.state;
    let because = match state {
        State::Queued => job.hold.map(|hold| if hold == Hold::User { "held" } else { hold.as_str() }.to_owned()),
        State::Running if job.is_cancelling => Some("being cancelled".to_owned()),
        State::Running if job.suspension.is_some() => Some("suspended".to_owned()),
        State::Failed => match (job.exit_code, job.signal, job.reason) {
            (Some(code), ..) => Some(format!("exit code {code}")),
            (_, Some(signal), _) => Some(format!("signal {signal}")),
            (.., reason) => reason.map(|reason| reason.as_str().to_owned()),
        },
        _ => None,
    };
    because.map_or_else(|| state.to_string(), |because| format!("{state} ({because})"))
}

/// Returns a job as one line.
pub fn one(job: &JobInfo) -> String {
    let label = job.label.as_deref().map(|label| format!(" [{}]", cut(label))).unwrap_or_default();
    let command = cut(&quote_arguments(job.command.iter().map(|one| one.as_bytes())));
    format!("job {} is {}{label}: {command}", job.id, state(job))
}

/// Returns a job with its error, its progress and its result.
pub fn whole(job: &JobInfo) -> String {
    let mut text = one(job);
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text += &format!("\n{name}: {}", line(value));
        }
    };
    add("error", job.error.as_deref());
    add("result", job.result.as_deref());
    add("progress", job.stored.progress.as_deref().filter(|_| !job.has_ended()));
    text
}

/// Returns a job that was waited for.
pub fn waited(job: &JobInfo) -> String {
    let next = match (job.has_ended(), job.attempts) {
        (true, 0) => "it has not run",
        (true, _) => "logs has its output",
        (false, _) => "it has not ended in this time: wait again, or ask why",
    };
    format!("{}\n{next}", whole(job))
}

/// Returns jobs, one a line. `next`: no job below this number was looked at.
pub fn list(jobs: &[JobInfo], next: Option<JobId>) -> String {
    let mut lines: Vec<String> = jobs.iter().map(one).collect();
    match (jobs.is_empty(), next) {
        (true, None) => lines.push("no job matches".into()),
        (true, Some(id)) => lines.push(format!("no job from {id} on matches; for those before it, give before: {id}")),
        (false, Some(id)) => lines.push(format!("for older ones, give before: {id}")),
        (false, None) => {}
    }
    lines.join("\n")
}

/// Returns why a job waits or has ended.
pub fn why(job: &JobInfo, all: &[Advice]) -> String {
    let mut text = one(job);
    if all.is_empty() && job.state == State::Queued {
        text += "\nready: it starts in the next free slot";
    }
    for obstacle in all {
        text += &format!("\n- {}", line(&obstacle.text));
        if let Some(remedy) = &obstacle.remedy {
            text += &format!(" (the operator can: {})", line(remedy));
        }
    }
    text
}

/// Returns what an addition came to.
pub fn added(all: &[OneJob]) -> String {
    let one = |one: &OneJob| match (one.existing, one.replaced) {
        (true, _) => format!("job {} is live and has this unique key; nothing was added", one.id),
        (false, Some(replaced)) => format!("job {} is accepted; it replaces job {replaced}, which is cancelled", one.id),
        (false, None) => format!("job {} is accepted", one.id),
    };
    match all {
        [] => "no job was added".into(),
        [only] => one(only),
        [first, .., last] => format!("jobs {} to {} are accepted", first.id, last.id),
    }
}

fn cut(text: &str) -> String {
    let text = line(text);
    match text.char_indices().nth(COMMAND_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture;
    use crate::escape::is_unsafe;

    #[test]
    fn a_hostile_job_is_one_printable_line() {
        let mut row = fixture::job(7, State::Queued);
        row.label = Some("a\x1b[2J\n\u{202e}b".into());
        row.command = serde_json::json!(["echo", "\x07\n", "x".repeat(10_000)]).to_string();
        let text = one(&JobInfo::of(row));
        assert!(text.starts_with("job 7 is queued") && text.len() < 500 && !text.contains(is_unsafe), "{text}");
    }

    #[test]
    fn a_list_is_not_called_empty_before_all_was_looked_at() {
        assert_eq!(list(&[], None), "no job matches");
        assert_eq!(list(&[], Some(JobId(5))), "no job from 5 on matches; for those before it, give before: 5");
        let job = JobInfo::of(fixture::job(7, State::Queued));
        assert!(list(std::slice::from_ref(&job), Some(JobId(7))).ends_with("\nfor older ones, give before: 7"));
    }

    #[test]
    fn a_job_that_never_ran_has_no_output_to_look_at() {
        let mut row = fixture::job(7, State::Cancelled);
        row.attempts = 0;
        assert!(waited(&JobInfo::of(row.clone())).ends_with("it has not run"));
        row.attempts = 1;
        assert!(waited(&JobInfo::of(row)).ends_with("logs has its output"));
    }

    #[test]
    fn an_addition_is_told_by_its_numbers() {
        let job = |id| OneJob { id: JobId(id), existing: false, replaced: None };
        assert_eq!(added(&[job(7)]), "job 7 is accepted");
        assert_eq!(added(&[job(7), job(8), job(9)]), "jobs 7 to 9 are accepted");
        assert!(added(&[OneJob { existing: true, ..job(7) }]).contains("nothing was added"));
        assert!(added(&[OneJob { replaced: Some(JobId(3)), ..job(7) }]).contains("replaces job 3"));
    }
}
