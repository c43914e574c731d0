//! Identifies this boot of the machine, this pid namespace, and a new run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::job::Nonce;

/// The pid namespace that the machine was started with, in which every process can be seen. A
/// number of the kernel's interface.
pub const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// Init programs of container runtimes (`--init`): each starts one child and ends with it.
const INITS_OF_ONE_CHILD: [&str; 5] = ["tini", "docker-init", "catatonit", "dumb-init", "podman-init"];

/// Returns the kernel's id of this boot; empty if `/proc` does not show it. All containers of a
/// machine share it, so it is compared together with [`pid_namespace`].
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Returns the inode of this pid namespace: a pid is valid only inside it. 0 if `/proc` does not
/// show it.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map(|meta| meta.ino()).unwrap_or(0)
}

/// Returns the inode of this time namespace: clocks since the boot are comparable only inside it. 0
/// if `/proc` does not show it.
pub fn time_namespace() -> u64 {
    fs::metadata("/proc/self/ns/time").map(|meta| meta.ino()).unwrap_or(0)
}

/// Returns the name of the machine or the container.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the state of a process, such as `T` for a stopped one; `None` if `/proc` does not show
/// it.
pub fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Returns milliseconds of the monotonic clock, which does not advance while the machine is
/// suspended.
pub fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// How this process is related to the end of its pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceEnd {
    /// This is its first process: the namespace ends with it.
    First,
    /// This is the only child of an init that ends with its child: the namespace ends with it.
    WithInit,
    /// This is the only child of another first process, such as a shell, which usually ends without
    /// it.
    Presumed,
    /// The namespace continues without this process, or nothing is known.
    Open,
}

impl NamespaceEnd {
    /// Determined once: a process that is reparented to process 1 later is not a child that it
    /// waits for.
    pub fn of_ours() -> Self {
        static END: OnceLock<NamespaceEnd> = OnceLock::new();
        *END.get_or_init(|| {
            let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
            let (pid, parent) = (std::process::id(), std::os::unix::process::parent_id());
            Self::by(pid, parent, &read("/proc/1/task/1/children"), &read("/proc/1/comm"))
        })
    }

    /// `children` and `name`: of process 1. A command that was started in a container later
    /// (`docker exec`) and orphaned is a child of process 1 as well, but never its only one.
    fn by(pid: u32, parent: u32, children: &str, name: &str) -> Self {
        let is_only_child = || parent == 1 && children.split_ascii_whitespace().eq([pid.to_string().as_str()]);
        match () {
            () if pid == 1 => Self::First,
            () if !is_only_child() => Self::Open,
            () if INITS_OF_ONE_CHILD.contains(&name.trim_end()) => Self::WithInit,
            () if name.trim_end() == "systemd" => Self::Open,
            () => Self::Presumed,
        }
    }

    /// Whether no process of the namespace can outlive this one.
    pub fn is_proven(self) -> bool {
        matches!(self, Self::First | Self::WithInit)
    }
}

/// Whether no process of a pid namespace is alive, as far as that can be proven from here: every
/// process of the machine is visible, and each is in this namespace or shows its own.
pub(super) fn pid_namespace_is_gone(namespace: u64) -> bool {
    let is_elsewhere = |pid: i32| match fs::metadata(format!("/proc/{pid}/ns/pid")) {
        Ok(meta) => meta.ino() != namespace,
        // If that may not be read, the number of pids of a process is still visible: one in each
        // namespace from this one down to its own.
        Err(_) => match fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => numbers_in(&status) == Some(1),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        },
    };
    pid_namespace() == FIRST_PID_NAMESPACE && super::process::all_pids().is_ok_and(|pids| pids.into_iter().all(is_elsewhere))
}

fn numbers_in(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:")).map(|numbers| numbers.split_whitespace().count())
}

/// Returns a new nonce for a run.
pub fn nonce() -> Nonce {
    Nonce(random())
}

/// A number in 0..1, for the jitter of a wait.
pub fn chance() -> f64 {
    f64::from(u32::from_le_bytes(random())) / f64::from(u32::MAX)
}

/// Returns random bytes from the kernel.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match crate::random::fill(&mut bytes) {
        Ok(_) => bytes,
        // A worker does not start without it ([`super::fitness`]). A name that is not random would
        // be worse than a crash.
        Err(error) => panic!("no random bytes: {error}"),
    }
}

/// Returns milliseconds since the boot, including suspension. Deadlines use this clock: it never
/// jumps. It is adjusted to be the same in each time namespace of a machine, so that a shim in one
/// container and a worker in another mean the same instant.
pub fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let ms = u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
    ms.saturating_add_signed(-namespace_offset_ms())
}

/// Returns the offset of the boot clock in this time namespace, in milliseconds; 0 if there is
/// none.
fn namespace_offset_ms() -> i64 {
    static OFFSET_MS: OnceLock<i64> = OnceLock::new();
    *OFFSET_MS.get_or_init(|| {
        let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        offset_ms(&text).unwrap_or(0)
    })
}

/// The line `boottime SECONDS NANOSECONDS`.
fn offset_ms(text: &str) -> Option<i64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("boottime"))?.split_ascii_whitespace();
    let (seconds, nanoseconds): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    seconds.checked_mul(1000)?.checked_add(nanoseconds / 1_000_000)
}

/// Milliseconds since 1970-01-01 UTC.
pub(super) fn now_ms() -> i64 {
    crate::clock::Clock::System.now_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_ends_with_its_first_process_or_an_only_child() {
        use NamespaceEnd::{First, Open, Presumed, WithInit};
        let mut cases = vec![
            // pid, parent, children of process 1, its name
            (1, 0, "", "tenure", First),
            (1, 0, "7 8 ", "tenure", First),
            (7, 1, "7 ", "sh", Presumed),
            (7, 1, "7 9 ", "sh", Open),
            (7, 1, "7 ", "systemd", Open),
            (7, 5, "5 ", "tini", Open),
            (7, 0, "5 ", "tini", Open),
        ];
        for init in INITS_OF_ONE_CHILD {
            // Alone; reparented beside its child, before and behind; a kernel that does not show
            // it.
            cases.extend([(7, 1, "7 ", init, WithInit), (7, 1, "5 7 ", init, Open), (7, 1, "7 77 ", init, Open)]);
            cases.extend([(7, 1, "77 ", init, Open), (7, 1, "", init, Open)]);
        }
        for (pid, parent, children, name, end) in cases {
            assert_eq!(NamespaceEnd::by(pid, parent, children, &format!("{name}\n")), end, "{pid} {parent} {children:?} {name}");
        }
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        assert_eq!(offset_ms("monotonic           0         0\nboottime     864000 500000000\n"), Some(864_000_500));
        assert_eq!(offset_ms("monotonic 5 0\nboottime -7 0\n"), Some(-7_000));
        assert_eq!(offset_ms(""), None);
    }
}
