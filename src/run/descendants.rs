//! Finds and ends the descendants of this process.
//!
//! Used by processes that are subreapers (shim, spawner): every process that a child leaves behind
//! becomes a child. A direct child can be signalled by its pid, as no other process can wait for
//! it; a deeper one is signalled through a pidfd that was opened first and checked after.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;

use super::process::{Stat, all_pids, open_pidfd, tracer_of};
use super::signal::{send_child, send_pidfd};
use super::wait::{self, Children};

/// How often one round searches again for processes that were forked while it stopped the others.
const FREEZE_PASSES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descendant {
    pub pid: i32,
    pub parent: i32,
}

/// Result of one round of killing.
#[derive(Debug, Default)]
pub struct Round {
    /// Sent KILL.
    pub killed: Vec<i32>,
    /// Could not be signalled.
    pub refused: Vec<i32>,
}

/// Returns the direct children, including dead ones that were not reaped. `me` has one thread.
/// `None` if they cannot be read, for example for lack of a descriptor: that is not the same as
/// having none.
pub fn children(me: i32) -> Option<Vec<i32>> {
    let path = format!("/proc/{me}/task/{me}/children");
    match fs::read_to_string(&path) {
        Ok(text) => Some(numbers(&text)),
        // A kernel that was built without this file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pids = all_pids().ok()?;
            Some(pids.into_iter().filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == me)).collect())
        }
        // The kernel knows whether there is any.
        Err(_) => (wait::peek() == Children::None).then(Vec::new),
    }
}

/// Returns all descendants, parents before their children, except the children in `spare` and their
/// descendants.
pub fn below(me: i32, spare: &dyn Fn(i32) -> bool) -> Vec<Descendant> {
    let mut found: Vec<Descendant> = Vec::new();
    let mut seen = HashSet::from([me]);
    let mut next = 0;
    let mut parent = me;
    loop {
        for pid in children_of(parent) {
            if !(parent == me && spare(pid)) && seen.insert(pid) {
                found.push(Descendant { pid, parent });
            }
        }
        match found.get(next) {
            Some(descendant) => parent = descendant.pid,
            None => return found,
        }
        next += 1;
    }
}

/// Sends KILL to all descendants except `spare`. First all are stopped, so that a tree that forks
/// as fast as it is killed comes to rest; then they are killed, the deepest first, so that no
/// process is woken by the death of its parent.
pub fn kill_round(me: i32, spare: &dyn Fn(i32) -> bool) -> Round {
    let tracer = kill_tracer(me);
    let mut frozen: Vec<Descendant> = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..FREEZE_PASSES_MAX {
        let new: Vec<_> = below(me, spare).into_iter().filter(|found| seen.insert(found.pid)).collect();
        if new.is_empty() {
            break;
        }
        for found in &new {
            // The kill shows whether it could be stopped.
            let _ = signal(me, *found, libc::SIGSTOP);
        }
        frozen.extend(new);
    }
    let mut round = Round { killed: tracer.into_iter().collect(), refused: Vec::new() };
    for found in frozen.into_iter().rev() {
        match signal(me, found, libc::SIGKILL) {
            Ok(true) => round.killed.push(found.pid),
            Ok(false) => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(_) => round.refused.push(found.pid),
        }
    }
    round
}

/// Kills the process that traces this one, if it is a descendant: to stop it with the others would
/// stop this process as well, at its next system call. Returns its pid.
pub fn kill_tracer(me: i32) -> Option<i32> {
    let tracer = tracer_of(me)?;
    let found = below(me, &|_| false).into_iter().find(|found| found.pid == tracer)?;
    signal(me, found, libc::SIGKILL).is_ok_and(|was_alive| was_alive).then_some(tracer)
}

/// Signals a descendant; `false` if it is dead already or not a descendant any more. Its state does
/// not matter: a signal does no harm to a dead process, and a zombie may have other live threads.
pub(super) fn signal(me: i32, found: Descendant, signal: i32) -> io::Result<bool> {
    if found.parent == me {
        let alive = Stat::of(found.pid).is_some_and(|stat| !stat.is_dead());
        return send_child(found.pid, signal).map(|()| alive);
    }
    let pidfd = open_pidfd(found.pid)?;
    // If the pid was reused meanwhile, the pidfd refers to the dead process, and the signal has no
    // effect.
    match Stat::of(found.pid) {
        Some(stat) if stat.parent == found.parent || stat.parent == me => {
            let alive = !stat.is_dead();
            send_pidfd(pidfd.as_fd(), signal).map(|()| alive)
        }
        _ => Ok(false),
    }
}

/// The children of all threads of this process.
pub fn all_children(me: i32) -> Vec<i32> {
    children_of(me)
}

/// The children of all threads of a process.
fn children_of(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for task in tasks.filter_map(Result::ok) {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => children.extend(numbers(&text)),
            // A thread that has just ended, or a kernel that was built without this file.
            Err(_) if task.path().exists() => return children_by_scan(pid),
            Err(_) => {}
        }
    }
    children
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn children_by_scan(parent: i32) -> Vec<i32> {
    let pids = all_pids().unwrap_or_default();
    pids.into_iter().filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == parent)).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_to_find_children_agree() {
        let me = i32::try_from(std::process::id()).unwrap();
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60 & read x"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while children_of(pid).is_empty() {
            std::thread::yield_now();
        }
        assert!(children_of(me).contains(&pid) && children_by_scan(me).contains(&pid));
        let grandchildren = children_of(pid);
        assert_eq!(children_by_scan(pid), grandchildren);
        let found = below(me, &|_| false);
        assert!(found.contains(&Descendant { pid: grandchildren[0], parent: pid }));
        assert!(!below(me, &|spared| spared == pid).iter().any(|d| d.pid == pid || d.parent == pid));
        send_pidfd(open_pidfd(grandchildren[0]).unwrap().as_fd(), libc::SIGKILL).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
