//! Running jobs whose processes are stopped although no client has suspended them: by a signal from
//! outside (SIGSTOP), by a terminal (SIGTTIN, SIGTTOU), or by the job itself. The kernel is asked;
//! no row says so.

use crate::error::Result;
use crate::job::{Advice, JobId, State};
use crate::queue::Queue;
use crate::queue::info::JobInfo;
use crate::run::stop;
use crate::run::trouble::{self, Left};
use crate::store::job::rows::Job;
use crate::store::{Store, upkeep::open_runs};

/// The processes of a job.
struct Processes {
    stopped: Vec<Left>,
    all: usize,
}

/// Returns what is stopped of a running job that is not suspended.
///
/// # Errors
/// The file or a run file cannot be read.
pub(crate) fn of(store: &Store, job: &Job) -> Result<Option<Advice>> {
    if job.state != State::Running || job.suspension.is_some() {
        return Ok(None);
    }
    Ok(Some(look(store, job.id)?).filter(|seen| !seen.stopped.is_empty()).map(|seen| advice(&seen)))
}

/// As [`of`], if the first process of the job is stopped: a cheap look, to be repeated.
///
/// # Errors
/// As [`of`].
pub(crate) fn at_a_glance(store: &Store, job: &Job) -> Result<Option<Advice>> {
    if job.pid.is_some_and(trouble::is_stopped_by_signal) { of(store, job) } else { Ok(None) }
}

/// Marks the running jobs of which every process is stopped. The pid of a row is only a hint.
///
/// # Errors
/// As [`of`].
pub(crate) fn mark(queue: &Queue, jobs: &mut [JobInfo]) -> Result<()> {
    for job in jobs.iter_mut().filter(|job| job.state == State::Running && job.suspension.is_none()) {
        if job.pid.is_some_and(trouble::is_stopped_by_signal) {
            let seen = look(&queue.store, job.id)?;
            job.is_stopped = seen.all > 0 && seen.stopped.len() == seen.all;
        }
    }
    Ok(())
}

fn look(store: &Store, job: JobId) -> Result<Processes> {
    let mut seen = Processes { stopped: Vec::new(), all: 0 };
    let Some((own, around)) = store.read(move |conn| open_runs::open_run_of(conn, job))? else { return Ok(seen) };
    for key in [Some(own), around].into_iter().flatten() {
        // A process is the job's if it is below the shim that holds the lock of its run.
        if let Ok(shim) = stop::shim_pid(store.place(), key)? {
            let live = trouble::below(shim);
            seen.all += live.len();
            seen.stopped.extend(live.into_iter().filter(|process| trouble::is_stopped_by_signal(process.pid)));
        }
    }
    Ok(seen)
}

fn advice(seen: &Processes) -> Advice {
    let (words, numbers) = (trouble::words(&seen.stopped), trouble::numbers(&seen.stopped));
    let text = if seen.stopped.len() == seen.all {
        format!("all its processes are stopped, by a signal or a terminal and not by tenure suspend: {words}")
    } else {
        format!("{} of its {} processes are stopped, by a signal or a terminal: {words}", seen.stopped.len(), seen.all)
    };
    Advice::new("stopped", text, format!("kill -CONT {numbers}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stopped_is_named_with_the_command_that_continues_it() {
        let left = |pid| Left { pid, name: "sleep".into(), user: None, may_be_signalled: true };
        let all = advice(&Processes { stopped: vec![left(7), left(8)], all: 2 });
        assert!(all.text.starts_with("all its processes") && all.remedy.as_deref() == Some("kill -CONT 7 8"), "{all:?}");
        let some = advice(&Processes { stopped: vec![left(7)], all: 3 });
        assert!(some.text.starts_with("1 of its 3 processes"), "{some:?}");
    }
}
