//! What another process of the same user can change of this one, and what its children inherit:
//! limits, scheduling, and what the kernel is told of its memory. A job that changes its parent
//! must not change the next job.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit};

const LIMITS: [Resource; 16] = [
    Resource::As,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Rss,
    Resource::Rtprio,
    Resource::Rttime,
    Resource::Sigpending,
    Resource::Stack,
];

/// Files of `/proc/self` with one value each, which others may write.
const FILES: [&str; 4] = ["oom_score_adj", "coredump_filter", "autogroup", "cgroup"];

/// `IOPRIO_WHO_PROCESS`.
const IO_PRIORITY_OF_A_PROCESS: i32 = 1;

/// The attributes of this process at an instant.
#[derive(PartialEq, Eq)]
pub struct Attributes {
    limits: [Rlimit; LIMITS.len()],
    /// The kernel's `struct sched_attr`: policy, niceness, priority.
    scheduling: [u8; 64],
    /// The CPUs that it may use.
    affinity: [u8; 128],
    io_priority: i64,
    timer_slack: i32,
    /// `None`: it cannot be read, or this kernel has none.
    files: [Option<Vec<u8>>; FILES.len()],
}

impl Attributes {
    /// Returns those of this process, which has one thread.
    pub fn now() -> Self {
        let (mut scheduling, mut affinity) = ([0; 64], [0; 128]);
        // SAFETY: the kernel writes at most the size that is given with each buffer. What is
        // refused (by a filter of system calls) leaves zeros, each time.
        let (io_priority, timer_slack) = unsafe {
            libc::syscall(libc::SYS_sched_getattr, 0, scheduling.as_mut_ptr(), scheduling.len(), 0);
            libc::syscall(libc::SYS_sched_getaffinity, 0, affinity.len(), affinity.as_mut_ptr());
            (libc::syscall(libc::SYS_ioprio_get, IO_PRIORITY_OF_A_PROCESS, 0), libc::prctl(libc::PR_GET_TIMERSLACK))
        };
        let files = FILES.map(|name| fs::read(format!("/proc/self/{name}")).ok());
        Self { limits: LIMITS.map(getrlimit), scheduling, affinity, io_priority, timer_slack, files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_of_a_process_stay_what_they_are() {
        let now = Attributes::now();
        assert!(now == Attributes::now());
        assert!(now.scheduling != [0; 64] && now.affinity != [0; 128] && now.files[0].is_some());
    }
}
