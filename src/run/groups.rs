//! Where the cgroups of runs can be created, and which kernel counter shows kills caused by a
//! memory limit around the worker.
//!
//! A worker determines this once, at its start. The kernel refuses a controller below a group that
//! has processes, so the groups of runs are created beside the worker's own group, in a parent that
//! was delegated: by systemd, which marks it (`user.delegate`; a user manager does not), or as the
//! root of a container's cgroup namespace. Only the worker enables the memory controller there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::said;
use crate::job::{RunId, RunKey};

/// Inode of the first cgroup namespace of a machine (`PROC_CGROUP_INIT_INO`).
const FIRST_CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;
/// Prefix of the names of the groups of runs.
const PREFIX: &str = "tenure-run-";
/// Characters of a file's id, and of a run's nonce, in the name of a group.
const SHORT_CHARACTERS: usize = 8;

/// How this worker enforces `--memory`, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiter {
    /// The groups of runs are created here; `None`: `RLIMIT_DATA` applies to each process
    /// separately.
    pub parent: Option<PathBuf>,
    /// For people.
    pub why: String,
    /// A kernel file whose `oom_kill` counts the kills in the worker's group, by any limit.
    pub kills: Option<PathBuf>,
    /// The first characters of the file's id: other workers may use the same parent.
    file: String,
}

impl Limiter {
    /// Determines the worker's group, and enables the memory controller for the groups of runs.
    pub fn prepare(file_id: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let is_in_namespace = fs::metadata("/proc/self/ns/cgroup").is_ok_and(|meta| meta.ino() != FIRST_CGROUP_NAMESPACE);
        let own = own_group(&mounts, &groups);
        let found = match &own {
            Some(own) => parent_of_runs(own, is_in_namespace),
            None => Err("there is no cgroup v2 hierarchy here".to_owned()),
        };
        let kills = own.as_ref().and_then(Own::kills).or_else(|| kills_of_version_one(&mounts, &groups));
        let file = file_id.chars().filter(char::is_ascii_alphanumeric).take(SHORT_CHARACTERS).collect();
        match found {
            Ok(parent) => {
                Self { why: format!("each run has a group below {}", parent.display()), parent: Some(parent), kills, file }
            }
            Err(why) => Self { parent: None, why, kills, file },
        }
    }

    /// `cgroup` or `rlimit`.
    pub fn by(&self) -> &'static str {
        if self.parent.is_some() { "cgroup" } else { "rlimit" }
    }

    /// The group of a run with a limit.
    pub fn group(&self, RunKey { run, nonce }: RunKey) -> Option<PathBuf> {
        let nonce = nonce.to_string();
        let name = format!("{PREFIX}{}-{run}-{}", self.file, &nonce[..SHORT_CHARACTERS.min(nonce.len())]);
        self.parent.as_ref().map(|parent| parent.join(name))
    }

    /// Removes the groups that killed shims have left. The kernel refuses to remove one that is not
    /// empty.
    pub fn sweep(&self, mut lives: impl FnMut(RunId) -> bool) {
        let Some(entries) = self.parent.as_ref().and_then(|parent| fs::read_dir(parent).ok()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let run = name.to_str().and_then(|name| run_of(name, &self.file));
            if run.is_some_and(|run| !lives(run)) && fs::remove_dir(entry.path()).is_ok() {
                log::info!("removed the cgroup {}, which a killed shim has left", entry.path().display());
            }
        }
    }
}

/// Returns the run of a group's name, if it belongs to this file.
fn run_of(name: &str, file: &str) -> Option<RunId> {
    let (run, _) = name.strip_prefix(PREFIX)?.strip_prefix(file)?.strip_prefix('-')?.split_once('-')?;
    run.parse().ok().map(RunId)
}

/// The cgroup of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    /// Where the hierarchy is mounted.
    root: PathBuf,
    /// Our group below it; empty: the root itself.
    path: PathBuf,
}

impl Own {
    fn dir(&self) -> PathBuf {
        self.root.join(&self.path)
    }

    /// Returns the nearest group with a counter; a group without the memory controller has none.
    fn kills(&self) -> Option<PathBuf> {
        let dir = self.dir();
        let nearest = dir.ancestors().take_while(|dir| dir.starts_with(&self.root));
        nearest.map(|dir| dir.join("memory.events")).find(|file| file.exists())
    }
}

/// Returns the mount of a hierarchy and the part of it that is mounted there.
fn mount(mounts: &str, is_meant: impl Fn(&str, &str) -> bool) -> Option<(&str, &str)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let (kind, options) = (kind.split(' ').next()?, kind.split(' ').next_back()?);
        let mut words = place.split(' ').skip(3);
        let (root, point) = (words.next()?, words.next()?);
        is_meant(kind, options).then_some((root, point))
    })
}

/// Below the mount point, where only a part of the hierarchy is mounted.
fn below<'a>(path: &'a str, mounted: &str) -> Option<&'a Path> {
    let path = if mounted == "/" { Path::new(path) } else { Path::new(path).strip_prefix(mounted).ok()? };
    Some(path.strip_prefix("/").unwrap_or(path))
}

fn own_group(mounts: &str, groups: &str) -> Option<Own> {
    let (mounted, point) = mount(mounts, |kind, _| kind == "cgroup2")?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Own { root: point.into(), path: below(path, mounted)?.to_owned() })
}

/// For version one of the memory controller: its counter is in another file, under the same name.
fn kills_of_version_one(mounts: &str, groups: &str) -> Option<PathBuf> {
    let has_memory = |list: &str| list.split(',').any(|word| word == "memory");
    let (mounted, point) = mount(mounts, |kind, options| kind == "cgroup" && has_memory(options))?;
    let path = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        has_memory(controllers).then_some(path)
    })?;
    Some(Path::new(point).join(below(path, mounted)?).join("memory.oom_control")).filter(|file| file.exists())
}

/// Determines where groups of runs can be created, or why not. Never in a place that another
/// program manages.
fn parent_of_runs(own: &Own, is_in_namespace: bool) -> Result<PathBuf, String> {
    let dir = own.dir();
    // Only a group without processes can enable controllers for its children, except for the root
    // of a machine without a manager.
    if hands_memory_on(&dir) || (lists_memory(&dir.join("cgroup.controllers")) && hand_memory_on(&dir).is_ok()) {
        return Ok(dir);
    }
    if own.path.as_os_str().is_empty() {
        return Err("the worker is in the root of its cgroup hierarchy; start it in a group below that, so that runs can have \
                    groups beside it"
            .to_owned());
    }
    let parent = dir.parent().ok_or("the worker's cgroup has no parent")?;
    let shown = parent.display();
    if !is_delegated(parent) && !is_root_of_namespace(own, is_in_namespace) && !is_unit_with_subgroup(&dir, parent) {
        return Err(format!(
            "the cgroup {shown} is not delegated to the worker (in a unit: Delegate=yes and DelegateSubgroup=worker, systemd 254 or later)"
        ));
    }
    if hands_memory_on(parent) {
        return may_write(parent).map(|()| parent.to_owned());
    }
    if !lists_memory(&parent.join("cgroup.controllers")) {
        return Err(format!("the cgroup {shown} has no memory controller"));
    }
    match hand_memory_on(parent) {
        Ok(()) => may_write(parent).map(|()| parent.to_owned()),
        Err(error) => Err(format!("the memory controller cannot be enabled below the cgroup {shown}: {}", said(&error))),
    }
}

fn may_write(dir: &Path) -> Result<(), String> {
    access(dir, Access::WRITE_OK)
        .map_err(|error| format!("the cgroup {} cannot be written: {}", dir.display(), said(&error.into())))
}

/// Whether the groups below have the memory controller.
fn hands_memory_on(dir: &Path) -> bool {
    lists_memory(&dir.join("cgroup.subtree_control"))
}

/// The kernel refuses it for a group that has processes of its own.
fn hand_memory_on(dir: &Path) -> io::Result<()> {
    let file = dir.join("cgroup.subtree_control");
    OpenOptions::new().write(true).open(&file)?.write_all(b"+memory")?;
    if lists_memory(&file) { Ok(()) } else { Err(io::Error::other("it has no effect")) }
}

fn lists_memory(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_ascii_whitespace().any(|word| word.trim_start_matches('+') == "memory"))
}

/// systemd marks delegated groups.
fn is_delegated(dir: &Path) -> bool {
    let mut value = [0; 8];
    ["user.delegate", "trusted.delegate"]
        .iter()
        .any(|name| rustix::fs::getxattr(dir, *name, &mut value).is_ok_and(|n| value.get(..n) == Some(b"1")))
}

/// In a container, where all processes belong to it.
fn is_root_of_namespace(own: &Own, is_in_namespace: bool) -> bool {
    is_in_namespace && own.path.components().count() == 1
}

/// Only `DelegateSubgroup=` puts the processes of a unit into a group below that of the unit. A
/// manager of a user sets no mark.
fn is_unit_with_subgroup(own: &Path, parent: &Path) -> bool {
    let is_unit = |dir: &Path| dir.extension().is_some_and(|kind| kind == "service" || kind == "scope");
    let is_slice = own.extension().is_some_and(|kind| kind == "slice");
    let has_no_processes = fs::read_to_string(parent.join("cgroup.procs")).is_ok_and(|text| text.trim().is_empty());
    is_unit(parent) && !is_unit(own) && !is_slice && has_no_processes
}

/// Reads the number of kills in a `memory.events`, or in the `memory.oom_control` of version one.
pub(super) fn kills_in(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
