//! Resources as text: for lists, and for the reasons why a job waits.

use crate::clock as time;
use crate::escape::quote;
use crate::job::Advice;
use crate::job::{Argv, ResourceState};
use crate::store::resource::Resource;

/// Returns the owner as text.
pub(crate) fn owner(resource: &Resource) -> String {
    match (resource.run, resource.job, resource.task) {
        (Some(run), Some(job), _) => format!("run {run} (job {job})"),
        (Some(run), None, _) => format!("run {run}"),
        (None, Some(job), _) => format!("job {job}"),
        (None, None, Some(task)) => format!("task {task}"),
        (None, None, None) => "no owner".to_owned(),
    }
}

/// Returns `held`, or the progress of the teardown.
pub(crate) fn state(resource: &Resource, now_ms: i64) -> String {
    match (resource.state, resource.auxiliary) {
        (ResourceState::Releasing, Some(run)) => format!("releasing (run {run} is under way)"),
        (ResourceState::Releasing, None) if resource.next_at > now_ms => {
            format!("releasing (next try in {})", time::between(now_ms, resource.next_at))
        }
        (ResourceState::Released, _) => {
            format!("released ({})", resource.released_by.map_or("", crate::job::ReleasedBy::as_str))
        }
        (state, _) => state.to_string(),
    }
}

/// Returns a command as a person would type it; any other value unchanged.
pub(crate) fn command(json: &str) -> String {
    Argv::from_json(json).map_or_else(|_| json.to_owned(), |argv| quote(&argv))
}

/// Explains why it still exists, with numbers.
pub(crate) fn why(resource: &Resource, now_ms: i64) -> String {
    let failed = match (resource.attempts, &resource.last_error) {
        (0, _) | (_, None) => String::new(),
        (1, Some(error)) => format!("; it failed once: {error}"),
        (n, Some(error)) => format!("; it failed {n} times, the last time: {error}"),
    };
    let next = match resource.auxiliary {
        Some(run) => format!("; run {run} is under way"),
        None if resource.next_at > now_ms => format!("; next try in {}", time::between(now_ms, resource.next_at)),
        None => "; a worker tries next".to_owned(),
    };
    format!("resource {} {:?} of {} is not torn down yet{failed}{next}", resource.id, resource.name, owner(resource))
}

/// Returns the command that helps. A resource that never failed needs only a worker.
pub(crate) fn remedy(resource: &Resource) -> String {
    let id = resource.id;
    if resource.attempts == 0 {
        return format!("tenure resource release {id}");
    }
    format!("tenure resource release {id} --force    # after you have removed it by hand; without --force it is tried again now")
}

/// Describes the resource as an obstacle of the job that created it.
pub(crate) fn obstacle(resource: &Resource, now_ms: i64) -> Advice {
    Advice::new("resource", why(resource, now_ms), remedy(resource))
}
