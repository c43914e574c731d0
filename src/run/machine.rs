//! What identifies this boot of the machine, this pid namespace, and a new run.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};

use crate::job::Nonce;

/// The kernel's name of this boot; empty where `/proc` does not tell it. The same in each container of a machine, so it is
/// compared together with [`pid_namespace`].
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The inode of our pid namespace: a pid means something only inside it. 0 where `/proc` does not tell it.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map(|meta| meta.ino()).unwrap_or(0)
}

/// The inode of our time namespace: the clocks since the boot are the same only inside it. 0 where `/proc` does not tell it.
pub fn time_namespace() -> u64 {
    fs::metadata("/proc/self/ns/time").map(|meta| meta.ino()).unwrap_or(0)
}

/// What the machine or the container is called.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The state of a process as `/proc` tells it, such as `T` for a stopped one; `None` where it does not.
pub fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Milliseconds of the monotonic clock, which stands still while the machine sleeps.
pub fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// A new random name for a run.
pub fn nonce() -> Nonce {
    Nonce(random())
}

/// Random bytes of the kernel.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Without flags this call fails only by a signal (try again) or on a kernel from before 2014.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// Milliseconds since the boot, sleep of the machine included. Deadlines count on this clock: it never jumps.
pub(super) fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Milliseconds since 1970-01-01 UTC.
pub(super) fn now_ms() -> i64 {
    crate::clock::Clock::System.now_ms()
}
