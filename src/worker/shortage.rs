//! Want of our own means: room or inodes for our files, processes, descriptors, memory.
//!
//! It ends no job and counts against none. Whatever met it is put back as if it had never been claimed; nothing more is claimed; once
//! a second a cheap probe looks whether there is enough again, and then one job is started as a trial. When that one has started it is over.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::context::Context;
use crate::error::Error;
use crate::host::condition::Condition;
use crate::job::RunId;
use crate::units::size_text;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Descriptors that must be free for a start.
const DESCRIPTORS: usize = 8;
/// Processes and threads that a start makes.
const PROCESSES: usize = 3;

/// The codes of what may be lacking.
pub(super) const CODES: [&str; 5] = ["no_files", "disk_error", "no_processes", "no_descriptors", "no_memory"];

/// How many jobs may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admits {
    All,
    /// As a trial.
    One,
    None,
}

/// What is lacking, if anything.
#[derive(Default)]
pub(super) struct Shortage {
    held: Mutex<Option<Held>>,
    /// Commands around jobs that wait for it to be over.
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

/// The errors that mean that something of ours is lacking.
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

/// Its code, what is lacking, and what helps.
fn of_errno(errno: i32) -> (&'static str, &'static str, &'static str) {
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
            "look at the disk and at the permissions of FILE.d: tenure doctor, dmesg",
        ),
    }
}

impl Shortage {
    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        // A panic elsewhere leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn admits(&self) -> Admits {
        match &*self.lock() {
            None => Admits::All,
            Some(Held { trial: Trial::Allowed, .. }) => Admits::One,
            Some(_) => Admits::None,
        }
    }

    /// This run was claimed as the trial.
    fn under(&self, run: RunId) {
        if let Some(held) = &mut *self.lock()
            && held.trial == Trial::Allowed
        {
            held.trial = Trial::Under(run);
        }
    }
}

impl Context {
    /// Something was lacking for a start.
    pub fn lacks(&self, errno: i32, what: &str) {
        let (code, lacking, remedy) = of_errno(errno);
        let before = {
            let mut held = self.shortage.lock();
            let next_probe = Instant::now() + PROBE_EVERY;
            held.replace(Held { code, next_probe, trial: Trial::No }).map(|held| held.code)
        };
        if let Some(before) = before.filter(|before| *before != code) {
            self.report.clear(before);
        }
        let inodes = rustix::fs::statvfs(self.place().dir()).ok();
        let inodes = inodes.filter(|_| code == "no_files").map_or_else(String::new, |disk| {
            let free = size_text(disk.f_bavail.saturating_mul(disk.f_frsize));
            format!("; {free} and {} inodes are free", disk.f_favail)
        });
        self.report.set(Condition::holding(code, format!("{lacking}: {what}{inodes}"), remedy));
    }

    /// As [`Context::lacks`], where an error is of that kind.
    pub fn notes_want(&self, error: &Error) -> bool {
        let want = want_of(error);
        want.inspect(|errno| self.lacks(*errno, &error.to_string())).is_some()
    }

    /// Looks, once a second while something is lacking, whether a trial may be made. Asked in each round of the claim loop.
    pub(super) fn probe_means(self: &Arc<Self>) {
        let code = {
            let mut held = self.shortage.lock();
            let Some(held) = &mut *held else { return };
            if let Trial::Under(run) = held.trial
                && !self.roster.owns(run)
            {
                // It ended before it came to a start.
                held.trial = Trial::No;
            }
            if held.trial != Trial::No || Instant::now() < held.next_probe {
                return;
            }
            held.next_probe = Instant::now() + PROBE_EVERY;
            held.code
        };
        if let Err(error) = self.has_means(code) {
            log::debug!("still lacking: {error}");
            return;
        }
        if let Some(held) = &mut *self.shortage.lock() {
            held.trial = Trial::Allowed;
        }
    }

    fn has_means(&self, code: &str) -> std::io::Result<()> {
        match code {
            "no_descriptors" => {
                let null = std::fs::File::open("/dev/null")?;
                (0..DESCRIPTORS).map(|_| null.try_clone()).collect::<std::io::Result<Vec<_>>>().map(drop)
            }
            "no_processes" => start_threads(),
            "no_files" | "disk_error" => {
                // A kill in between leaves it to the sweep of what is unfinished.
                let path = self.place().runs().join(format!("probe.tmp-{}", self.instance));
                let made = std::fs::write(&path, b"probe");
                let _none_was_made = std::fs::remove_file(&path);
                made
            }
            _ => Ok(()),
        }
    }

    /// A run was claimed, which may be the trial.
    pub fn claimed_for_trial(&self, run: RunId) {
        self.shortage.under(run);
    }

    /// The process of this run exists: if it was the trial, nothing is lacking any more.
    pub fn has_started(&self, run: RunId) {
        if matches!(&*self.shortage.lock(), Some(Held { trial: Trial::Under(trial), .. }) if *trial == run) {
            self.has_enough();
        }
    }

    /// There is nothing to try it with, and the probe found enough.
    pub fn has_nothing_to_try(&self) {
        let is_over = matches!(&*self.shortage.lock(), Some(Held { trial: Trial::Allowed, .. }));
        if is_over && self.shortage.waiting.load(Ordering::SeqCst) == 0 {
            self.has_enough();
        }
    }

    fn has_enough(&self) {
        let was = self.shortage.lock().take();
        if let Some(held) = was {
            self.report.clear(held.code);
            self.look();
        }
    }

    /// A command around a job lacked something: waits a second. False where it is not to be tried again.
    pub fn waits_for_means(&self, stops: impl Fn() -> bool) -> bool {
        self.shortage.waiting.fetch_add(1, Ordering::SeqCst);
        let until = Instant::now() + PROBE_EVERY;
        while Instant::now() < until && !stops() && !self.is_leaving() {
            self.pause(20);
        }
        self.shortage.waiting.fetch_sub(1, Ordering::SeqCst);
        !stops() && !self.is_leaving()
    }
}

/// As many as a start needs, all at once.
fn start_threads() -> std::io::Result<()> {
    // Each waits for the word that all are there, or that one could not be started.
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
