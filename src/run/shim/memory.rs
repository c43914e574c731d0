//! The limit of memory: a cgroup of the run's own where the kernel lets us make one, else `RLIMIT_DATA`.
//!
//! A cgroup counts the whole tree and says afterwards whether the kernel killed for want of memory; `RLIMIT_DATA` counts each
//! process by itself and makes its allocations fail. Which one it was stands in DRAINED.
//!
//! Each run has a fresh cgroup, which the child joins by writing to `cgroup.procs`: to be cloned into one that was ever killed
//! means to be killed at birth.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::run::launch::Launch;
use crate::run::record::MemoryBy;

/// How the limit of a run is kept.
#[derive(Debug)]
pub enum Memory {
    Unlimited,
    Cgroup(Cgroup),
    Rlimit { bytes: u64 },
}

#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
    procs: OwnedFd,
}

/// Prepares the limit that a launch asks for.
pub fn limit(launch: &Launch) -> Memory {
    let Some(bytes) = launch.memory_bytes else { return Memory::Unlimited };
    let name = format!("tenure-run-{}-{}", launch.run, &launch.nonce.to_string()[..8]);
    let cgroup = own_cgroup().and_then(|own| parent_of_runs(&own)).and_then(|parent| Cgroup::create(&parent, &name, bytes).ok());
    cgroup.map_or(Memory::Rlimit { bytes }, Memory::Cgroup)
}

impl Memory {
    /// Where the child writes to be counted.
    pub fn join_fd(&self) -> Option<i32> {
        match self {
            Self::Cgroup(cgroup) => Some(cgroup.procs.as_raw_fd()),
            Self::Unlimited | Self::Rlimit { .. } => None,
        }
    }

    pub fn data_limit_bytes(&self) -> Option<u64> {
        match self {
            Self::Rlimit { bytes } => Some(*bytes),
            Self::Unlimited | Self::Cgroup(_) => None,
        }
    }

    pub fn kept_by(&self) -> Option<MemoryBy> {
        match self {
            Self::Unlimited => None,
            Self::Cgroup(_) => Some(MemoryBy::Cgroup),
            Self::Rlimit { .. } => Some(MemoryBy::Rlimit),
        }
    }

    /// Whether the kernel has killed something of this run for want of memory, by its own count.
    pub fn has_killed(&self) -> bool {
        match self {
            Self::Cgroup(cgroup) => kills_in(&fs::read_to_string(cgroup.dir.join("memory.events")).unwrap_or_default()) > 0,
            Self::Unlimited | Self::Rlimit { .. } => false,
        }
    }

    /// Takes the cgroup away. One that is not empty stays, and is no harm.
    pub fn remove(&self) {
        if let Self::Cgroup(cgroup) = self {
            let _ = fs::remove_dir(&cgroup.dir);
        }
    }
}

impl Cgroup {
    fn create(parent: &Path, name: &str, bytes: u64) -> io::Result<Self> {
        let dir = parent.join(name);
        fs::create_dir(&dir)?;
        let made = Self::fill(&dir, bytes);
        if made.is_err() {
            // Empty, as nothing has joined it.
            let _ = fs::remove_dir(&dir);
        }
        made.map(|procs| Self { dir, procs })
    }

    fn fill(dir: &Path, bytes: u64) -> io::Result<OwnedFd> {
        write_existing(&dir.join("memory.max"), &bytes.to_string())?;
        // The tree lives or dies as one. A kernel without it (before 4.19) is not supported.
        write_existing(&dir.join("memory.oom.group"), "1")?;
        Ok(OpenOptions::new().write(true).open(dir.join("cgroup.procs"))?.into())
    }
}

/// The number of kills in a `memory.events`.
fn kills_in(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Our own cgroup v2 directory.
fn own_cgroup() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    own_cgroup_of(&mounts, &groups)
}

fn own_cgroup_of(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4))?
    })?;
    Some(Path::new(mount).join(path))
}

/// Where cgroups for runs may be made: in our own, or beside it where the parent was delegated to us (systemd's `DelegateSubgroup=`).
/// Never in a place that somebody else manages.
fn parent_of_runs(own: &Path) -> Option<PathBuf> {
    if !lists_memory(&own.join("cgroup.controllers")) {
        return None;
    }
    let beside = own.parent().filter(|parent| is_delegated(parent));
    [Some(own), beside].into_iter().flatten().find(|dir| hands_memory_on(dir)).map(Path::to_owned)
}

/// Whether the groups below have a memory controller, or can be given one. The kernel refuses it to a group that has processes of its own.
fn hands_memory_on(dir: &Path) -> bool {
    let control = dir.join("cgroup.subtree_control");
    lists_memory(&control) || (write_existing(&control, "+memory").is_ok() && lists_memory(&control))
}

fn lists_memory(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_ascii_whitespace().any(|word| word.trim_start_matches('+') == "memory"))
}

/// systemd marks what it hands over.
fn is_delegated(dir: &Path) -> bool {
    let mut value = [0; 8];
    ["user.delegate", "trusted.delegate"]
        .iter()
        .any(|name| rustix::fs::getxattr(dir, *name, &mut value).is_ok_and(|n| value.get(..n) == Some(b"1")))
}

fn write_existing(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 20 0:26 / /sys/fs/cgroup ro,nosuid shared:5 - tmpfs tmpfs ro\n\
                          31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:6 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn our_own_group_is_found_also_beside_version_one() {
        let groups = "4:memory:/x\n0::/system.slice/tenure.service\n";
        let own = own_cgroup_of(MOUNTS, groups).unwrap();
        assert_eq!(own, Path::new("/sys/fs/cgroup/unified/system.slice/tenure.service"));
        assert_eq!(own_cgroup_of("", groups), None);
        assert_eq!(own_cgroup_of(MOUNTS, "4:memory:/x\n"), None);
    }

    fn group(dir: &Path, controllers: &str, handed_on: &str) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("cgroup.controllers"), controllers).unwrap();
        fs::write(dir.join("cgroup.subtree_control"), handed_on).unwrap();
    }

    #[test]
    fn groups_are_made_only_where_memory_is_handed_on() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("unit");
        assert_eq!(parent_of_runs(&own), None, "no such group");
        group(&own, "cpu pids\n", "cpu\n");
        assert_eq!(parent_of_runs(&own), None, "no memory controller");
        group(&own, "cpu memory\n", "cpu memory\n");
        assert_eq!(parent_of_runs(&own), Some(own.clone()));
        group(&own, "cpu memory\n", "");
        assert_eq!(parent_of_runs(&own), Some(own.clone()), "can be given");
    }

    #[test]
    fn a_limit_is_written_and_kills_are_counted() {
        let root = tempfile::tempdir().unwrap();
        assert!(Cgroup::create(root.path(), "bare", 1000).is_err(), "the files of a real group are made by the kernel");
        assert!(!root.path().join("bare").exists());
        assert_eq!(kills_in("low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n"), 1);
        assert_eq!(kills_in(""), 0);
    }
}
