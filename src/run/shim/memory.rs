//! The memory limit: a cgroup of the run where the worker may create one, otherwise `RLIMIT_DATA`.
//!
//! A cgroup counts the whole tree and reports afterwards whether the kernel killed a process
//! because of the limit; `RLIMIT_DATA` applies to each process separately and makes its allocations
//! fail. DRAINED records which one was used. Whether a limit around the worker (of a container or a
//! unit) has killed is read from a kernel counter that is compared before and after.
//!
//! Each run has a fresh cgroup, which the child joins by writing to `cgroup.procs`: a process that
//! is cloned into a cgroup that was ever killed is killed at birth.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::job::Exit;
use crate::run::groups::kills_in;
use crate::run::launch::Launch;
use crate::run::record::MemoryBy;
use crate::run::standstill::Freezer;

/// How the memory of a run is limited.
#[derive(Debug)]
pub struct Memory {
    limit: Limit,
    outer: Option<Outer>,
}

#[derive(Debug)]
enum Limit {
    None,
    Cgroup(Cgroup),
    Rlimit { bytes: u64 },
}

#[derive(Debug)]
struct Cgroup {
    dir: PathBuf,
    procs: OwnedFd,
}

/// The kernel's count of kills around the run, and its value before the run.
#[derive(Debug)]
struct Outer {
    file: PathBuf,
    before: u64,
}

impl Memory {
    /// Prepares the limit that a launch requests.
    pub fn of(launch: &Launch) -> Self {
        let limit = match (launch.memory_bytes, &launch.memory_group) {
            (None, _) => Limit::None,
            (Some(bytes), None) => Limit::Rlimit { bytes },
            (Some(bytes), Some(dir)) => Cgroup::create(dir, bytes).map_or(Limit::Rlimit { bytes }, Limit::Cgroup),
        };
        let outer = launch.memory_kills.clone().map(|file| Outer { before: kills_in(&file), file });
        Self { limit, outer }
    }

    /// The descriptor that the child writes to in order to join the cgroup.
    pub fn join_fd(&self) -> Option<i32> {
        match &self.limit {
            Limit::Cgroup(cgroup) => Some(cgroup.procs.as_raw_fd()),
            Limit::None | Limit::Rlimit { .. } => None,
        }
    }

    /// Returns the freezer of the run's cgroup, if it has one.
    pub fn freezer(&self) -> Option<Freezer> {
        match &self.limit {
            Limit::Cgroup(cgroup) => Freezer::of(&cgroup.dir),
            Limit::None | Limit::Rlimit { .. } => None,
        }
    }

    pub fn data_limit_bytes(&self) -> Option<u64> {
        match self.limit {
            Limit::Rlimit { bytes } => Some(bytes),
            Limit::None | Limit::Cgroup(_) => None,
        }
    }

    pub fn kept_by(&self) -> Option<MemoryBy> {
        match self.limit {
            Limit::None => None,
            Limit::Cgroup(_) => Some(MemoryBy::Cgroup),
            Limit::Rlimit { .. } => Some(MemoryBy::Rlimit),
        }
    }

    /// Whether the kernel has killed a process of this run because of a memory limit. A limit
    /// around the worker kills in other runs as well, so only a run that was killed counts.
    pub fn has_killed(&self, exit: Exit) -> bool {
        let was_killed = matches!(exit, Exit::Signal(libc::SIGKILL)) || exit == Exit::Code(128 + libc::SIGKILL);
        let by_own = matches!(&self.limit, Limit::Cgroup(cgroup) if kills_in(&cgroup.dir.join("memory.events")) > 0);
        by_own || (was_killed && self.outer.as_ref().is_some_and(|outer| kills_in(&outer.file) > outer.before))
    }

    /// Removes the cgroup. One that is not empty stays, and the worker removes it later.
    pub fn remove(&self) {
        if let Limit::Cgroup(cgroup) = &self.limit {
            let _ = fs::remove_dir(&cgroup.dir);
        }
    }
}

impl Cgroup {
    fn create(dir: &Path, bytes: u64) -> io::Result<Self> {
        fs::create_dir(dir)?;
        let made = Self::fill(dir, bytes);
        if made.is_err() {
            // Empty, because no process has joined it.
            let _ = fs::remove_dir(dir);
        }
        made.map(|procs| Self { dir: dir.to_owned(), procs })
    }

    fn fill(dir: &Path, bytes: u64) -> io::Result<OwnedFd> {
        write_existing(&dir.join("memory.max"), &bytes.to_string())?;
        // Swap counts as memory. A kernel that does not account for swap has no such file.
        match write_existing(&dir.join("memory.swap.max"), "0") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The tree is killed as a whole. A kernel without this (before 4.19) is not supported.
        write_existing(&dir.join("memory.oom.group"), "1")?;
        Ok(OpenOptions::new().write(true).open(dir.join("cgroup.procs"))?.into())
    }
}

fn write_existing(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_cannot_be_limited_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("bare");
        assert!(Cgroup::create(&dir, 1000).is_err(), "the files of a real group are made by the kernel");
        assert!(!dir.exists());
    }

    #[test]
    fn a_kill_around_the_run_counts_only_for_what_was_killed() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("memory.events");
        fs::write(&file, "oom_kill 3\n").unwrap();
        let memory = Memory { limit: Limit::None, outer: Some(Outer { before: kills_in(&file), file: file.clone() }) };
        assert!(!memory.has_killed(Exit::Signal(9)), "another process's kill");
        fs::write(&file, "oom_kill 4\n").unwrap();
        for (exit, is_memory) in [
            (Exit::Signal(9), true),
            (Exit::Code(137), true),
            (Exit::Signal(15), false),
            (Exit::Code(1), false),
            (Exit::Code(0), false),
        ] {
            assert_eq!(memory.has_killed(exit), is_memory, "{exit:?}");
        }
    }
}
