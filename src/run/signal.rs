//! Sends signals, and waits for them without a handler. All calls of libc about signals are here.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("tenure runs on 64-bit Linux: the value of a stop signal has 64 bits");

/// What a waiting shim has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The time is up, or the wait was interrupted.
    Nothing,
    Child,
    /// TERM, INT or HUP, from any sender.
    Bare,
    /// The stop signal, with its value.
    Stop(u64),
}

/// The signal that asks a shim to stop; its value names the run and the cause.
pub fn stop_signal() -> i32 {
    libc::SIGRTMIN() + 5
}

/// Whether a signal is ignored, as `nohup` and a shell's `&` arrange it for the programs they
/// start.
pub fn is_ignored(signal: i32) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed; `now` has room for the answer.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) };
    // SAFETY: zeroed at first, and filled by the call.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Returns those of these signals that are not ignored: a parent that ignored one does not intend
/// it to end this process.
pub fn not_ignored(signals: &[i32]) -> Vec<i32> {
    signals.iter().copied().filter(|signal| !is_ignored(*signal)).collect()
}

/// Blocks every signal that can be blocked. From then on they stay pending until the process asks
/// for them.
pub fn block_all() -> io::Result<()> {
    let all = u64::MAX;
    // SAFETY: the kernel reads eight bytes from `all` and writes nothing back.
    check(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, ptr::null_mut::<u64>(), 8) })
}

/// The signals that a thread had blocked.
#[derive(Clone, Copy)]
pub struct Blocked(libc::sigset_t);

impl Blocked {
    /// Restores exactly what was blocked before. Only a system call, so it may be called between
    /// fork and exec.
    pub fn restore(&self) -> io::Result<()> {
        // SAFETY: the set lives until the call returns, and nothing is written back.
        check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) }.into())
    }
}

/// Blocks these signals, and returns what was blocked before. From then on they stay pending until
/// the process asks for them.
pub fn block(signals: &[i32]) -> io::Result<Blocked> {
    let set = set_of(signals);
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets live until the call returns.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr()) }.into())?;
    // SAFETY: zeroed at first, and filled by the call.
    Ok(Blocked(unsafe { before.assume_init() }))
}

extern "C" fn heard(_: libc::c_int) {}

/// Exceeding the file size limit of this process (`ulimit -f`) becomes an error, and does not kill.
/// A handler, unlike an ignored signal, is not inherited through `execve`.
pub fn outlive_file_size_limit() {
    if is_ignored(libc::SIGXFSZ) {
        return;
    }
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid action; the handler does nothing, so it may run at any time.
    unsafe {
        (*action.as_mut_ptr()).sa_sigaction = heard as *const () as libc::sighandler_t;
        (*action.as_mut_ptr()).sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGXFSZ, action.as_ptr(), ptr::null_mut());
    }
}

/// Gives CHLD its default action: while it is ignored, children cannot be waited for.
pub fn hear_of_children() {
    // SAFETY: no handler of ours is replaced; there is none.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// A received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    pub signal: i32,
    /// The kernel sent it, which for these means the terminal: its whole foreground group has
    /// received it.
    pub from_kernel: bool,
}

/// Waits for one of these signals, which must be blocked; `None` when a child changed its state, or
/// the time is up.
pub fn next(signals: &[i32], timeout_ms: Option<u64>) -> Option<Came> {
    let mut set = set_of(signals);
    // SAFETY: a set that was filled above, and the number of a real signal.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    let timeout = timespec(timeout_ms);
    let timeout_ptr = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `set` and `timeout` live until the call returns; `info` has room for the answer.
    let signal = unsafe { libc::sigtimedwait(&raw const set, info.as_mut_ptr(), timeout_ptr) };
    if signal <= 0 || signal == libc::SIGCHLD {
        return None;
    }
    // SAFETY: zeroed at first and filled by the call, which has returned a signal.
    let info = unsafe { info.assume_init() };
    Some(Came { signal, from_kernel: info.si_code == libc::SI_KERNEL })
}

fn timespec(timeout_ms: Option<u64>) -> Option<libc::timespec> {
    timeout_ms.map(|ms| libc::timespec {
        tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1000 * 1_000_000).unwrap_or(0),
    })
}

/// Gives every signal its default action. By the bare system call, as libc hides two signals that
/// an `execve` would pass on.
pub fn reset_dispositions() {
    // The kernel's `struct sigaction`. In every layout all zero is SIG_DFL, no flags, an empty
    // mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads at most 32 bytes from `default`. KILL and STOP are refused,
        // which is right.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), 8) };
    }
}

/// Waits for one of the shim's signals, which must be blocked. `timeout_ms` of `None` waits without
/// a limit.
pub fn wait(timeout_ms: Option<u64>) -> Heard {
    let set = set_of(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, stop_signal()]);
    let timeout = timespec(timeout_ms);
    let timeout_ptr = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `set` and `timeout` live until the call returns; `info` has room for the answer.
    let signal = unsafe { libc::sigtimedwait(&raw const set, info.as_mut_ptr(), timeout_ptr) };
    match signal {
        libc::SIGCHLD => Heard::Child,
        libc::SIGTERM | libc::SIGINT | libc::SIGHUP => Heard::Bare,
        _ if signal == stop_signal() => {
            // SAFETY: zeroed at first and filled by the call, which has returned a signal.
            let info = unsafe { info.assume_init() };
            if info.si_code != libc::SI_QUEUE {
                return Heard::Nothing;
            }
            // SAFETY: with SI_QUEUE the value is what the sender gave.
            Heard::Stop(unsafe { info.si_value() }.sival_ptr as u64)
        }
        _ => Heard::Nothing,
    }
}

/// Whether TERM, INT or HUP is pending, or arrives within this time. Other signals stay pending for
/// [`wait`].
pub fn bare_within(timeout_ms: u64) -> bool {
    is_taken(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP], timeout_ms)
}

/// Whether a stop signal is pending, whichever run it is for. It is taken.
pub fn stop_is_pending() -> bool {
    is_taken(&[stop_signal()], 0)
}

fn is_taken(signals: &[i32], timeout_ms: u64) -> bool {
    let set = set_of(signals);
    let timeout = timespec(Some(timeout_ms));
    let timeout_ptr = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `set` and `timeout` live until the call returns; nothing is written back.
    unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), timeout_ptr) > 0 }
}

/// Waits until a descriptor can be read, and meanwhile lets TERM, INT and HUP end this process. One
/// that arrives with what can be read may stay pending. `false`: the wait failed.
pub fn readable_or_ended(fd: BorrowedFd<'_>) -> bool {
    let mut blocked = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigfillset fills the set before anything reads it; the numbers are those of real
    // signals.
    let blocked = unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigdelset(blocked.as_mut_ptr(), signal);
        }
        blocked.assume_init()
    };
    let mut wait = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `wait` and `blocked` live until the call returns; it waits without a limit.
    unsafe { libc::ppoll(&raw mut wait, 1, ptr::null(), &raw const blocked) == 1 }
}

/// A descriptor that becomes readable when a child changes its state. CHLD must be blocked.
pub fn child_fd() -> io::Result<OwnedFd> {
    let set = set_of(&[libc::SIGCHLD]);
    // SAFETY: `set` lives until the call returns.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd.into())?;
    // SAFETY: a new descriptor that no other code knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to a process by its pid. Only for own children that have not been waited for: no
/// other pid is proof.
pub fn send_child(pid: i32, signal: i32) -> io::Result<()> {
    debug_assert!(pid > 0);
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }.into())
}

/// Sends a signal to a process group. Only while its leader is a child of this process that has not
/// been waited for.
pub fn send_group(leader: i32, signal: i32) -> io::Result<()> {
    debug_assert!(leader > 1);
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(-leader, signal) }.into())
}

/// Sends a signal to the process that a pidfd refers to.
pub fn send_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved: without siginfo the kernel makes its own.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, ptr::null::<u8>(), 0) })
}

/// The kernel's `siginfo_t` as a sender of a value fills it, on 64-bit Linux.
#[repr(C)]
struct QueuedSignal {
    signo: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    value: u64,
    rest: [u8; 96],
}

/// Sends a signal with a value to the process that a pidfd refers to.
pub fn queue_pidfd(pidfd: BorrowedFd<'_>, signal: i32, value: u64) -> io::Result<()> {
    let info = QueuedSignal {
        signo: signal,
        errno: 0,
        code: libc::SI_QUEUE,
        padding: 0,
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        uid: rustix::process::getuid().as_raw(),
        value,
        rest: [0; 96],
    };
    const { assert!(size_of::<QueuedSignal>() == size_of::<libc::siginfo_t>()) };
    // SAFETY: `info` has the size and layout of the kernel's siginfo and lives until the call
    // returns.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, &raw const info, 0) })
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset fills the set before anything reads it; the numbers are those of real
    // signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
