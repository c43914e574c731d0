//! The environment of a job.
//!
//! A few variables of the worker, the requested ones, and `TENURE_*`. Nothing else: a job must not
//! depend on the environment in which the worker was started.

use std::collections::BTreeMap;
use std::path::Path;

use crate::job::pipeline::{STAGE_VARIABLE, TASK_VARIABLE};
use crate::job::template::is_given_at_making;
use crate::job::{Reason, RunId, RunKey, pool};
use crate::store::job::rows::Job;
use crate::store::resource::Resource;

/// Variables of the worker that a job gets. The page `docs/what-a-job-finds.md` lists them; a test
/// compares it with what a job finds.
const INHERITED: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
];
/// Variables that every job gets, with their values if the worker has none. Programs such as `tput`
/// fail without a terminal name; Python buffers its output for minutes if it is a file, and would
/// look silent to `--idle-timeout` and `logs -f`.
const DEFAULTS: [(&str, &str); 2] = [("TERM", "dumb"), ("PYTHONUNBUFFERED", "1")];

/// Facts of a run that are not in its job.
pub struct Circumstances<'a> {
    pub db: &'a Path,
    pub key: RunKey,
    pub slot: usize,
    /// The units that it has of each pool.
    pub units: &'a [(String, Vec<i64>)],
    pub previous_reason: Option<Reason>,
    pub result: &'a Path,
    /// When its timeout expires, in milliseconds UTC.
    pub deadline_ms: Option<i64>,
}

/// Bytes of names and values.
pub type Environment = Vec<(Vec<u8>, Vec<u8>)>;

/// Variables of the worker, or defaults.
fn of_worker(inherited: impl Fn(&str) -> Option<Vec<u8>>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let defaults = DEFAULTS.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = defaults.collect();
    let names = INHERITED.iter().chain(DEFAULTS.iter().map(|(name, _)| name));
    all.extend(names.filter_map(|name| inherited(name).map(|value| (name.as_bytes().to_vec(), value))));
    all
}

/// Builds the whole environment of a run. `inherited` reads a variable of the worker; `asked` and
/// `secrets` come from the job, and cannot override a variable that tenure sets.
pub fn assemble(
    job: &Job,
    asked: &BTreeMap<String, String>,
    secrets: BTreeMap<String, Vec<u8>>,
    around: &Circumstances<'_>,
    inherited: impl Fn(&str) -> Option<Vec<u8>>,
) -> Environment {
    let mut all = of_worker(inherited);
    all.extend(asked.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())));
    all.extend(secrets.into_iter().map(|(name, value)| (name.into_bytes(), value)));
    all.extend(units(around).map(|(name, value)| (name.into_bytes(), value.into_bytes())));
    all.extend(ours(job, around).into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)));
    all.into_iter().collect()
}

/// Builds the environment of a probe or a teardown. `TENURE_RUN` is its own run, not that of the
/// resource.
pub fn of_resource(
    resource: &Resource,
    asked: &BTreeMap<String, String>,
    db: &Path,
    run: RunId,
    inherited: impl Fn(&str) -> Option<Vec<u8>>,
) -> Environment {
    use std::os::unix::ffi::OsStrExt;
    let mut all = of_worker(inherited);
    all.extend(asked.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())));
    let owner = [
        ("TENURE_RESOURCE_RUN", resource.run.map(|run| run.0)),
        ("TENURE_RESOURCE_JOB", resource.job.map(|job| job.0)),
        ("TENURE_RESOURCE_TASK", resource.task),
    ];
    let owner = owner.into_iter().filter_map(|(name, id)| Some((name, id?.to_string().into_bytes())));
    let ours = [
        ("TENURE_DB", db.as_os_str().as_bytes().to_vec()),
        ("TENURE_RUN", run.to_string().into_bytes()),
        ("TENURE_RESOURCE", resource.id.to_string().into_bytes()),
        ("TENURE_RESOURCE_NAME", resource.name.clone().into_bytes()),
    ];
    all.extend(ours.into_iter().chain(owner).map(|(name, value)| (name.as_bytes().to_vec(), value)));
    all.into_iter().collect()
}

/// Builds the environment of a hook. `facts` are what tenure tells it.
pub fn of_hook(asked: &BTreeMap<String, String>, inherited: impl Fn(&str) -> Option<Vec<u8>>, facts: Environment) -> Environment {
    let mut all = of_worker(inherited);
    all.extend(asked.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())));
    all.extend(facts);
    all.into_iter().collect()
}

/// Whether a job may have this variable in its row. Names that begin with `TENURE_` are reserved,
/// except for the parameters of a template, and for those that the task of a job has set.
pub fn may_be_asked(name: &str, of_task: bool) -> bool {
    let by_its_task = of_task && [TASK_VARIABLE, STAGE_VARIABLE].contains(&name);
    let fine = !name.is_empty() && !name.contains(['=', '\0']);
    fine && (!name.starts_with("TENURE_") || is_given_at_making(name) || by_its_task)
}

/// The numbers of the units, such as `TENURE_POOL_GPU=0,1`.
fn units(around: &Circumstances<'_>) -> impl Iterator<Item = (String, String)> {
    let list = |units: &[i64]| units.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    around.units.iter().map(move |(pool, units)| (pool::variable(pool), list(units)))
}

fn ours(job: &Job, around: &Circumstances<'_>) -> Vec<(&'static str, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt;
    // A user whom the file is closed to reaches the worker as everywhere: `tenure` in a job of the
    // system worker is a client of that worker.
    let reached = match job.owner {
        None => ("TENURE_DB", around.db.as_os_str().as_bytes().to_vec()),
        Some(_) => ("TENURE_SYSTEM", b"true".to_vec()),
    };
    let mut ours = vec![
        reached,
        ("TENURE_JOB", job.id.to_string().into_bytes()),
        ("TENURE_RUN", around.key.run.to_string().into_bytes()),
        ("TENURE_COOKIE", around.key.nonce.to_string().into_bytes()),
        ("TENURE_ATTEMPT", job.attempts.to_string().into_bytes()),
        ("TENURE_MAX_ATTEMPTS", job.max_attempts.to_string().into_bytes()),
        ("TENURE_QUEUE", job.queue.clone().into_bytes()),
        ("TENURE_SLOT", around.slot.to_string().into_bytes()),
        ("TENURE_RESULT", around.result.as_os_str().as_bytes().to_vec()),
    ];
    ours.extend(job.lane.iter().map(|lane| ("TENURE_LANE", lane.clone().into_bytes())));
    ours.extend(job.array_index.iter().map(|index| ("TENURE_ARRAY_INDEX", index.to_string().into_bytes())));
    ours.extend(around.previous_reason.map(|reason| ("TENURE_PREVIOUS_REASON", reason.as_str().into())));
    let deadline = around.deadline_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    ours.extend(deadline.map(|at| ("TENURE_DEADLINE", format!("{at:.3}").into_bytes())));
    ours
}
