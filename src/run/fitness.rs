//! Checks whether the kernel, its `/proc` and the system call filter let a worker keep its
//! guarantees. Run before a worker starts anything, and by `doctor`.
//!
//! | what may be missing | what happens |
//! | --- | --- |
//! | `/proc`, or it is that of another pid namespace | refused: processes could not be found, or others would be ended |
//! | `pidfd_open`, `pidfd_send_signal` | refused: a number does not prove a process, so nothing could be stopped |
//! | `prctl` | refused: nothing could be made the reaper of a run's tree, or die with its shim |
//! | `fork`, in the spawner | refused there ([`super::spawner`]) |
//! | `close_range` | descriptors are closed one by one, by the list in `/proc/self/fd` |
//! | `getrandom` | `/dev/urandom` is read; without either: refused |
//! | `hidepid` of `/proc`, where we are not root | told: what a run leaves may be hidden from us once all of tenure was killed |

use std::fs;
use std::io;
use std::os::fd::AsFd;

use rustix::process::getpid;

use crate::error::{Error, Result, said};

use super::process::open_pidfd;
use super::signal;
use super::spawner::descriptors::close_range_above;

/// Remedy for a system call that is refused.
const ALLOW: &str = "allow it in the filter of system calls (seccomp): Docker 20.10 or later, libseccomp 2.5 or later, SystemCallFilter= of the unit";

/// Result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    Fine,
    /// It works; the text says how or with what restriction.
    Restricted(String),
    /// No worker can start: what is wrong, and what to do.
    Unfit {
        text: String,
        remedy: &'static str,
    },
}

type Probe = fn() -> Fitness;

/// In order of their dependencies.
const PROBES: &[Probe] =
    &[proc_is_ours, pidfds_open, pidfds_signal, processes_are_controlled, descriptors_close, randomness, hidden_processes];

/// Runs all probes. Returns those that found something.
pub fn check_system() -> Vec<Fitness> {
    PROBES.iter().map(|probe| probe()).filter(|found| *found != Fitness::Fine).collect()
}

/// Refuses to start a worker that could not keep its guarantees; logs restrictions.
///
/// # Errors
/// Names the first thing that is missing, and the remedy.
pub fn check() -> Result<()> {
    for probe in PROBES {
        match probe() {
            Fitness::Fine => {}
            Fitness::Restricted(text) => log::warn!("{text}"),
            Fitness::Unfit { text, remedy } => return Err(Error::Unfit(format!("{text}; {remedy}"))),
        }
    }
    Ok(())
}

fn refused(call: &str, why: &str, error: &io::Error) -> Fitness {
    if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) {
        let text = format!("no file is left to try {call} with, {why}: too many are open");
        return Fitness::Unfit {
            text,
            remedy: "raise the limit of open files of this process (ulimit -n), for instance to 1024",
        };
    }
    Fitness::Unfit { text: format!("the system refuses {call} ({}), {why}", said(error)), remedy: ALLOW }
}

fn proc_is_ours() -> Fitness {
    let me = getpid().as_raw_nonzero().get();
    match fs::read_link("/proc/self") {
        Ok(target) if target.to_str() == Some(&me.to_string()) => Fitness::Fine,
        Ok(target) => Fitness::Unfit {
            text: format!("/proc is that of another pid namespace: this process is {me}, and /proc/self is {}", target.display()),
            remedy: "mount the namespace's own: mount -t proc proc /proc (unshare has --mount-proc)",
        },
        Err(error) => Fitness::Unfit {
            text: format!("/proc cannot be read ({}), and without it no process can be found", said(&error)),
            remedy: "mount it: mount -t proc proc /proc",
        },
    }
}

fn pidfds_open() -> Fitness {
    match open_pidfd(getpid().as_raw_nonzero().get()) {
        Ok(_) => Fitness::Fine,
        Err(error) => refused("pidfd_open", "without which no process can be stopped", &error),
    }
}

fn pidfds_signal() -> Fitness {
    let sent = open_pidfd(getpid().as_raw_nonzero().get()).and_then(|me| signal::send_pidfd(me.as_fd(), 0));
    match sent {
        Ok(()) => Fitness::Fine,
        Err(error) => refused("pidfd_send_signal", "without which no process can be stopped", &error),
    }
}

fn processes_are_controlled() -> Fitness {
    match rustix::process::child_subreaper() {
        Ok(_) => Fitness::Fine,
        Err(error) => refused("prctl", "without which what a run leaves behind would escape", &error.into()),
    }
}

fn descriptors_close() -> Fitness {
    match close_range_above(u32::MAX) {
        Ok(()) => Fitness::Fine,
        Err(error) => match fs::read_dir("/proc/self/fd") {
            Ok(_) => Fitness::Restricted(format!(
                "the system refuses close_range ({}); descriptors are closed one by one",
                said(&error)
            )),
            Err(_) => refused("close_range", "and /proc/self/fd cannot be read", &error),
        },
    }
}

fn randomness() -> Fitness {
    let mut bytes = [0; 16];
    match crate::random::fill(&mut bytes) {
        Ok(crate::random::Source::Kernel) => Fitness::Fine,
        Ok(crate::random::Source::Device) => Fitness::Restricted("the system refuses getrandom; /dev/urandom is read".to_owned()),
        Err(error) => refused("getrandom", "and /dev/urandom cannot be read", &error),
    }
}

fn hidden_processes() -> Fitness {
    if rustix::process::geteuid().is_root() {
        return Fitness::Fine;
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match hidepid_in(&mounts) {
        Some(value) => Fitness::Restricted(format!(
            "/proc is mounted with hidepid={value}: of a run whose worker, spawner and shim were all killed, a process of another user or a non-dumpable one cannot be found"
        )),
        None => Fitness::Fine,
    }
}

/// Returns the mount option of `/proc` if it hides processes.
fn hidepid_in(mounts: &str) -> Option<&str> {
    let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let value = line.split([',', ' ']).find_map(|word| word.strip_prefix("hidepid="))?;
    (value != "0" && value != "off").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_read_from_the_mount_on_proc() {
        let line = |options: &str| {
            format!("22 1 0:21 / /sys rw - sysfs sysfs rw,hidepid=9\n23 1 0:22 / /proc rw,nosuid - proc proc rw{options}\n")
        };
        assert_eq!(hidepid_in(&line(",hidepid=2")), Some("2"));
        assert_eq!(hidepid_in(&line(",hidepid=invisible,gid=4")), Some("invisible"));
        assert_eq!(hidepid_in(&line(",hidepid=0")), None);
        assert_eq!(hidepid_in(&line("")), None);
    }

    #[test]
    fn where_this_test_runs_a_worker_can_start() {
        check().unwrap();
    }
}
