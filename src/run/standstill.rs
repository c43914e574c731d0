//! Stops every process below this one, and continues them: for a shim whose run is suspended.
//!
//! A process in the run's own cgroup is frozen with it. Every other one gets SIGSTOP, which no
//! process can ignore, until two walks in a row through the whole tree find none that runs and none
//! that is new: one walk may miss a process that is just being reparented. Parents are stopped
//! before their children and continued after them, so that a parent that watches for stopped
//! children (a shell with job control) sees none.
//!
//! | a process of the tree | counts as stopped | continued later |
//! | --- | --- | --- |
//! | all its threads are stopped (`T`) or traced (`t`), or have ended | yes | yes |
//! | it was stopped before, by the job itself or by a person | yes | no |
//! | a thread waits in the kernel (`D`) with SIGSTOP pending | yes, after the time limit: it executes nothing of its own before it stops | yes |
//! | in the frozen cgroup | yes | thawed |
//! | it may not be signalled, or forks faster than it is stopped | no: it is named | yes |
//! | it traces this process: with it, this process would stop | no: it is named | |
//!
//! Deliberately absent: what a suspension means for limits, and when it begins and ends.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::descendants::{Descendant, below, signal};
use super::process::{Stat, thread_states, tracer_of};
use super::signal::{send_child, send_group};

/// How long a tree is stopped before what still runs is named, in milliseconds: at first, and each
/// time that it is looked at again.
const STOPPING_MS: u64 = 1_000;
const STOPPING_AGAIN_MS: u64 = 50;
/// When a tree that has not come to rest gets a signal for the whole group of its job, in
/// milliseconds.
const GROUP_MS: u64 = 50;
/// How long the children of a process that is being stopped are left running, in milliseconds.
const PARENT_MS: u64 = 200;
/// Interval between two walks that find running processes, in milliseconds: first and longest.
const WALK_MS: (u64, u64) = (1, 20);
/// How long a cgroup may take to freeze, in milliseconds.
const FREEZING_MS: u64 = 500;
/// Most processes that are named.
const NAMED_MAX: usize = 4;
/// Said of a tree that does not come to rest.
const FORKS: &str = "processes that are started faster than they are stopped";

/// A process, also after its number was given to another one.
type Identity = (i32, u64);

/// Result of one walk through the tree.
struct Walk {
    /// Processes that did not stand still.
    running: Vec<Stat>,
    /// There are processes that no walk before has seen.
    has_new: bool,
}

/// A tree that stands still.
#[derive(Debug)]
pub struct Standstill {
    me: i32,
    job: i32,
    freezer: Option<Freezer>,
    /// Stopped before, and not continued.
    before: HashSet<Identity>,
    /// Sent SIGSTOP one by one.
    stopped: HashSet<Identity>,
}

impl Standstill {
    /// Stops everything below this process, of which `job` is a child that was not waited for.
    /// Returns the processes that still run, as text.
    pub fn begin(me: i32, job: i32, freezer: Option<Freezer>) -> (Self, String) {
        let all = below(me, &|_| false);
        let before = all.iter().filter_map(|found| Stat::of(found.pid)).filter(|stat| stat.state == 'T');
        let before = before.map(|stat| identity(&stat)).collect();
        let mut still = Self { me, job, freezer, before, stopped: HashSet::new() };
        if let Some(freezer) = &mut still.freezer {
            freezer.freeze();
        }
        let running = still.stop_within(STOPPING_MS);
        (still, running)
    }

    /// Stops what runs again, or has not stopped yet. Returns the processes that still run, as
    /// text.
    pub fn stop_again(&mut self) -> String {
        self.stop_within(STOPPING_AGAIN_MS)
    }

    fn stop_within(&mut self, ms: u64) -> String {
        let begun = Instant::now();
        let passed = |ms: u64| begun.elapsed() >= Duration::from_millis(ms);
        let (mut seen, mut clean, mut wait_ms) = (HashSet::new(), 0, WALK_MS.0);
        loop {
            let is_late = passed(ms);
            let Walk { running, has_new } = self.walk(&mut seen, is_late);
            clean = if running.is_empty() && !has_new { clean + 1 } else { 0 };
            if clean == 2 {
                return String::new();
            }
            if is_late {
                return if running.is_empty() && has_new { FORKS.to_owned() } else { named(&running) };
            }
            // A chain of processes that start one another is caught by a walk that does not wait,
            // or by one signal for all of its group.
            if passed(GROUP_MS.min(ms)) && has_new && !self.is_frozen(self.job) && tracer_of(self.me).is_none() {
                let _ = send_group(self.job, libc::SIGSTOP).or_else(|_| send_child(self.job, libc::SIGSTOP));
            }
            if clean == 0 && !has_new {
                thread::sleep(Duration::from_millis(wait_ms));
                wait_ms = (wait_ms * 2).min(WALK_MS.1);
            }
        }
    }

    /// Signals each process that runs. A dead one that no walk has seen may have left a child that
    /// this one has missed, so it is new as well.
    fn walk(&mut self, seen: &mut HashSet<Identity>, waits_count: bool) -> Walk {
        let tracer = tracer_of(self.me);
        let mut walk = Walk { running: Vec::new(), has_new: false };
        for found in below(self.me, &|_| false) {
            let Some(stat) = Stat::of(found.pid) else { continue };
            let (own, is_traced) = (identity(&stat), stat.state == 't');
            walk.has_new |= seen.insert(own);
            if stat.is_dead() || self.is_frozen(found.pid) {
                continue;
            }
            let is_ours = self.stopped.contains(&own);
            // One that a tracer has stopped would continue as soon as that lets it.
            if stands(found.pid, waits_count && is_ours) && (is_ours || !is_traced) {
                continue;
            }
            if tracer != Some(found.pid) && signal(self.me, found, libc::SIGSTOP).is_ok_and(|was_alive| was_alive) {
                self.before.remove(&own);
                self.stopped.insert(own);
                await_stop(found.pid);
            }
            walk.running.push(stat);
        }
        walk
    }

    fn is_frozen(&self, pid: i32) -> bool {
        self.freezer.as_ref().is_some_and(|freezer| freezer.holds(pid))
    }

    /// Continues what was stopped here, children before their parents.
    pub fn end(self) {
        if let Some(freezer) = &self.freezer {
            freezer.thaw();
        }
        let mut done = HashSet::new();
        // The second walk is for those that the first one has missed.
        for _ in 0..2 {
            let mut all: Vec<Descendant> = below(self.me, &|_| false);
            all.retain(|found| done.insert(found.pid));
            for found in all.into_iter().rev() {
                let was_stopped_before = Stat::of(found.pid).is_some_and(|stat| self.before.contains(&identity(&stat)));
                if !was_stopped_before {
                    let _it_has_ended = signal(self.me, found, libc::SIGCONT);
                }
            }
        }
    }
}

fn identity(stat: &Stat) -> Identity {
    (stat.pid, stat.start_ticks)
}

/// Waits until a process has stopped, so that it does not see its children stop: a wait for a child
/// reports that before it notices a signal.
fn await_stop(pid: i32) {
    let until = Instant::now() + Duration::from_millis(PARENT_MS);
    while !stands(pid, false) && Instant::now() < until {
        thread::yield_now();
    }
}

/// Whether no thread of a process executes anything. `waits_count`: nor one that waits in the
/// kernel.
fn stands(pid: i32, waits_count: bool) -> bool {
    thread_states(pid).into_iter().all(|state| matches!(state, 'T' | 't' | 'Z' | 'X' | 'x') || (waits_count && state == 'D'))
}

fn named(running: &[Stat]) -> String {
    let named: Vec<String> = running.iter().take(NAMED_MAX).map(|stat| format!("{} {}", stat.pid, stat.comm)).collect();
    match running.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The freezer of a run's own cgroup (version 2).
#[derive(Debug)]
pub struct Freezer {
    dir: PathBuf,
    is_frozen: bool,
}

impl Freezer {
    /// `None`: this kernel has none.
    pub fn of(dir: &Path) -> Option<Self> {
        dir.join("cgroup.freeze").exists().then(|| Self { dir: dir.to_owned(), is_frozen: false })
    }

    /// Freezes the group. If the kernel does not say in time that it is frozen, its processes are
    /// stopped one by one.
    fn freeze(&mut self) {
        if fs::write(self.dir.join("cgroup.freeze"), "1").is_err() {
            return;
        }
        let until = Instant::now() + Duration::from_millis(FREEZING_MS);
        while !self.says_frozen() {
            if Instant::now() >= until {
                return self.thaw();
            }
            thread::sleep(Duration::from_millis(WALK_MS.0));
        }
        self.is_frozen = true;
    }

    fn says_frozen(&self) -> bool {
        fs::read_to_string(self.dir.join("cgroup.events")).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    }

    fn thaw(&self) {
        let _the_group_is_gone = fs::write(self.dir.join("cgroup.freeze"), "0");
    }

    /// Whether a process is frozen: it is in the group or in one below. The name of the group has
    /// the nonce of the run.
    fn holds(&self, pid: i32) -> bool {
        let Some(name) = self.dir.file_name().and_then(|name| name.to_str()).filter(|_| self.is_frozen) else { return false };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let of_version_two = groups.lines().find_map(|line| line.strip_prefix("0::"));
        of_version_two.is_some_and(|path| path.split('/').any(|part| part == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unified hierarchy, if a group can be made there.
    fn group(name: &str) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let dir = Path::new(line.split(' ').nth(4)?).join(name);
        fs::create_dir(&dir).ok()?;
        Some(dir)
    }

    #[test]
    fn a_frozen_group_stands_still_and_continues() {
        let Some(dir) = group(&format!("tenure-test-{}", std::process::id())) else {
            println!("NOT TESTED: the freezer of a cgroup (version 2, and permission to make a group)");
            return;
        };
        let counts = tempfile::NamedTempFile::new().unwrap();
        let line = format!("echo $$ >{}/cgroup.procs; while :; do echo x; done >{}", dir.display(), counts.path().display());
        let mut child = std::process::Command::new("setsid").args(["sh", "-c", &line]).spawn().unwrap();
        let pid = child.id().cast_signed();
        let size = || fs::metadata(counts.path()).unwrap().len();
        let grows = |from: u64| {
            while size() <= from {
                thread::yield_now();
            }
        };
        grows(0);
        let mut freezer = Freezer::of(&dir).unwrap();
        freezer.freeze();
        assert!(freezer.holds(pid) && !freezer.holds(std::process::id().cast_signed()));
        let stood = size();
        for _ in 0..200 {
            thread::sleep(Duration::from_millis(1));
            assert_eq!(size(), stood, "it executes nothing");
        }
        freezer.thaw();
        grows(stood);
        freezer.freeze();
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir(&dir).unwrap();
    }
}
