//! A shortage of tenure's own resources: disk space or inodes for its files, processes,
//! descriptors, memory.
//!
//! It ends no job and counts against none. An affected job is requeued as if it had never been
//! claimed; nothing more is claimed; once a second a cheap probe checks whether there is enough
//! again, and then one job is started as a trial. When that one has started the shortage is over.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::error::Error;
use crate::job::RunId;
use crate::sync::lock;

/// Time between two probes.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Descriptors that must be free for a start.
const DESCRIPTORS: usize = 8;
/// Processes and threads that a start creates.
const PROCESSES: usize = 3;

/// The codes of shortages.
pub(super) const CODES: [&str; 5] = ["no_files", "disk_error", "no_processes", "no_descriptors", "no_memory"];

/// How many jobs may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admits {
    All,
    /// As a trial.
    One,
    None,
}

/// The current shortage, if any.
#[derive(Default)]
pub(super) struct Shortage {
    held: Mutex<Option<Held>>,
    /// Auxiliary runs that wait for its end.
    waiting: AtomicUsize,
}

struct Held {
    code: &'static str,
    next_probe: Instant,
    trial: Trial,
}

#[derive(PartialEq, Eq)]
enum Trial {
    No,
    Allowed,
    Under(RunId),
}

/// Returns the errno if the error is a shortage of tenure's resources.
pub(super) fn want_of(error: &Error) -> Option<i32> {
    let Error::Io { source, .. } = error else { return None };
    source.raw_os_error().filter(|errno| is_want(*errno))
}

fn is_want(errno: i32) -> bool {
    let errno = Errno::from_raw_os_error(errno);
    [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ROFS,
        Errno::IO,
        Errno::MFILE,
        Errno::NFILE,
        Errno::TOOMANYREFS,
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::NOBUFS,
    ]
    .contains(&errno)
}

/// Returns the code, the description and the remedy.
pub(super) fn of_errno(errno: i32) -> (&'static str, &'static str, &'static str) {
    match Errno::from_raw_os_error(errno) {
        Errno::NOSPC | Errno::DQUOT => {
            ("no_files", "there is no room or no inode for our own files", "tenure prune --older-than 7d; see df -i and quota")
        }
        Errno::MFILE | Errno::NFILE | Errno::TOOMANYREFS => (
            "no_descriptors",
            "there are not enough file descriptors",
            "raise the limit (ulimit -Hn, LimitNOFILE=, fs.file-max) and restart the worker, or give it fewer --slots",
        ),
        Errno::AGAIN => (
            "no_processes",
            "no process or thread can be started",
            "end what fills the limit (ulimit -u, pids.max, TasksMax=), or raise it",
        ),
        Errno::NOMEM | Errno::NOBUFS => ("no_memory", "the kernel has no memory for a start", "free some memory"),
        _ => (
            "disk_error",
            "our own files cannot be written",
            "check the disk and the permissions of FILE.d: tenure doctor, dmesg",
        ),
    }
}

impl Shortage {
    pub fn admits(&self) -> Admits {
        match &*lock(&self.held) {
            None => Admits::All,
            Some(Held { trial: Trial::Allowed, .. }) => Admits::One,
            Some(_) => Admits::None,
        }
    }

    /// Begins a shortage. Returns the code of the previous one.
    pub fn begin(&self, code: &'static str) -> Option<&'static str> {
        let next_probe = Instant::now() + PROBE_EVERY;
        lock(&self.held).replace(Held { code, next_probe, trial: Trial::No }).map(|held| held.code)
    }

    /// Returns what a probe is due for, if one is.
    pub fn due_probe(&self, is_owned: impl Fn(RunId) -> bool) -> Option<&'static str> {
        let mut held = lock(&self.held);
        let held = held.as_mut()?;
        if let Trial::Under(run) = held.trial
            && !is_owned(run)
        {
            // It ended before it could start.
            held.trial = Trial::No;
        }
        if held.trial != Trial::No || Instant::now() < held.next_probe {
            return None;
        }
        held.next_probe = Instant::now() + PROBE_EVERY;
        Some(held.code)
    }

    /// The probe found enough: one job may be tried.
    pub fn allow_trial(&self) {
        if let Some(held) = &mut *lock(&self.held) {
            held.trial = Trial::Allowed;
        }
    }

    /// Whether this run is the trial.
    pub fn is_trial(&self, run: RunId) -> bool {
        matches!(&*lock(&self.held), Some(Held { trial: Trial::Under(trial), .. }) if *trial == run)
    }

    /// Whether a trial may be made and no job waits for one.
    pub fn has_no_use_of_its_trial(&self) -> bool {
        matches!(&*lock(&self.held), Some(Held { trial: Trial::Allowed, .. })) && self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Ends the shortage. Returns its code.
    pub fn end(&self) -> Option<&'static str> {
        lock(&self.held).take().map(|held| held.code)
    }

    /// While this runs, an auxiliary run waits for the end of the shortage.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waited = wait();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        waited
    }

    /// This run was claimed as the trial.
    pub fn under(&self, run: RunId) {
        if let Some(held) = &mut *lock(&self.held)
            && held.trial == Trial::Allowed
        {
            held.trial = Trial::Under(run);
        }
    }
}

/// Checks whether a start would have enough of this. `scratch`: a file that may be created and
/// removed again.
pub(super) fn probe(code: &str, scratch: &Path) -> std::io::Result<()> {
    match code {
        "no_descriptors" => {
            let null = std::fs::File::open("/dev/null")?;
            (0..DESCRIPTORS).map(|_| null.try_clone()).collect::<std::io::Result<Vec<_>>>().map(drop)
        }
        "no_processes" => start_threads(),
        "no_files" | "disk_error" => {
            let made = std::fs::write(scratch, b"probe");
            let _none_was_made = std::fs::remove_file(scratch);
            made
        }
        _ => Ok(()),
    }
}

/// As many as a start needs, all at once.
fn start_threads() -> std::io::Result<()> {
    // Each waits until all are there, or one could not be started.
    let (word, hear) = crossbeam_channel::bounded::<()>(0);
    let started: std::io::Result<Vec<_>> = (0..PROCESSES)
        .map(|_| {
            let hear = hear.clone();
            std::thread::Builder::new().name("probe".into()).stack_size(64 << 10).spawn(move || hear.recv().is_ok())
        })
        .collect();
    drop(word);
    started.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_has_a_code_that_is_in_the_lists() {
        for errno in [5, 11, 12, 23, 24, 28, 30, 105, 109, 122] {
            let (code, text, remedy) = of_errno(errno);
            assert!(is_want(errno) && CODES.contains(&code) && crate::host::condition::CODES.contains(&code), "{errno}");
            assert!(!text.is_empty() && !remedy.is_empty());
        }
        assert!(!is_want(2) && !is_want(13));
    }

    #[test]
    fn threads_for_a_probe_can_be_started() {
        start_threads().unwrap();
    }
}
