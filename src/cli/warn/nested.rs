//! `tenure run` inside a job: finds the jobs that wait for the new one, and refuses one that could
//! never start beside them.

use std::path::Path;

use crate::cli::view::escape::command_on;
use crate::error::{Error, Result};
use crate::host::sight::Sight;
use crate::job::template::PARENT;
use crate::job::{JobId, NewJob, RunId, State};
use crate::store::Store;
use crate::store::job::nested::{self, Followed, Never};
use crate::store::job::rows::Job;

/// Sets the job inside which this command runs as the parent of the new one. If a live job has the
/// key of the new one, that job is followed, and must be able to start; a running one blocks no
/// other.
///
/// # Errors
/// `Refused` if the followed job could never start; nothing was added then.
pub fn enter(store: &Store, jobs: &mut [NewJob]) -> Result<()> {
    let ancestors = ancestors(store)?;
    let Some(innermost) = ancestors.first() else { return Ok(()) };
    let (mut all_run, mut needs) = (true, 0);
    for new in jobs {
        let (followed, never) = store.read(|conn| {
            let followed = nested::followed(conn, new)?;
            let never = nested::never(conn, new, &followed, &ancestors)?;
            Ok((followed, never))
        })?;
        if let Some(never) = never {
            return Err(Error::Refused(text_of(&never)));
        }
        needs = needs.max(followed.slots(new));
        all_run &= matches!(followed, Followed::Live(job) if job.state == State::Running);
        new.placement.env.insert(PARENT.to_owned(), innermost.id.to_string());
    }
    if all_run {
        return Ok(());
    }
    let worker = Sight::read(store.place())?.filter(|worker| worker.holder.kind == "work" && worker.slots() > 0);
    needs += ancestors.iter().map(|job| i64::from(job.slots)).sum::<i64>();
    match worker.filter(|worker| i64::try_from(worker.slots()).is_ok_and(|slots| needs > slots)) {
        Some(worker) => Err(Error::Refused(format!(
            "it would never start: {} of the worker (pid {}) until it ends; add it without waiting (tenure add), \
             or give the worker more slots: tenure slots {}",
            hold(&ancestors.iter().map(|job| job.id).collect::<Vec<_>>(), "slots", worker.slots()),
            worker.holder.pid,
            needs
        ))),
        None => Ok(()),
    }
}

/// Returns the jobs that wait for this command, if it runs inside a job of this file.
fn ancestors(store: &Store) -> Result<Vec<Job>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<i64>().ok();
    let (Some(job), Some(run), Some(db)) = (number("TENURE_JOB"), number("TENURE_RUN"), std::env::var_os("TENURE_DB")) else {
        return Ok(Vec::new());
    };
    if std::fs::canonicalize(Path::new(&db)).ok().as_deref() != Some(store.place().db()) {
        return Ok(Vec::new());
    }
    store.read(|conn| nested::ancestors(conn, JobId(job), RunId(run)))
}

fn text_of(never: &Never) -> String {
    match never {
        Never::Key { key, of } => format!(
            "job {of} has the --unique key {key:?} and is the job that this command runs in, so both would wait for each other; use another key"
        ),
        Never::Dependency { on } => format!(
            "it would wait for job {on}, which waits for this command to end; leave job {on} out, or add it without waiting: tenure add"
        ),
        Never::Lane { key, limit, by } => format!(
            "it would never start: {} of lane {key:?} until it ends; use another lane, or {}",
            hold(by, "places", usize::try_from(*limit).unwrap_or(0)),
            command_on("tenure lane set", key, &format!("--limit {}", by.len() + 1))
        ),
        Never::Pool { name, size, needs, by } => {
            let by = by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!(
                "it would never start: with job {by}, which waits for it, it needs {needs} of pool {name:?}, which has {size}; \
                 use less, or tenure pool set {name} --limit {needs}"
            )
        }
        Never::Queue { name, slots, needs, by } => format!(
            "it would never start: {} of queue {name:?} until it ends; use another queue, or {}",
            hold(by, "slots", usize::try_from(*slots).unwrap_or(0)),
            command_on("tenure queue set", name, &format!("--slots {needs}"))
        ),
    }
}

/// `job 5, which waits for it, holds the only slot`
fn hold(by: &[JobId], what: &str, most: usize) -> String {
    let names = by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match by {
        [one] => format!(
            "job {one}, which waits for it, holds {} {}",
            if most == 1 { "the only" } else { "all" },
            what.trim_end_matches('s')
        ),
        _ => format!("jobs {names}, which wait for it, hold all {most} {what}"),
    }
}
