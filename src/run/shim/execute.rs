//! Creates the job's process with `clone(CLONE_VM | CLONE_VFORK)` onto a separate stack, as
//! `posix_spawn` does internally: `posix_spawn` itself supports neither a death signal, nor limits,
//! nor another user.
//!
//! The child shares the shim's memory, and the shim is suspended until the child executes the
//! command or ends. So the child makes only system calls and writes to [`Shared`]: no allocation,
//! no lock, no panic, and no libc function that does more than the call.

use std::cell::{Cell, UnsafeCell};
use std::ffi::CString;
use std::io;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr;

use crate::run::wait;

use super::failure::{Failure, Step, describe};
use super::prepare::{Prepared, RESULT_FD, raw};
use super::refusal::Refusal;
use super::stack::Stack;

/// Input of the child, and where it reports why it failed.
struct Shared<'a> {
    prepared: &'a Prepared,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    candidates: Vec<*const c_char>,
    stdin: c_int,
    log: c_int,
    /// -1 if there is none.
    result: c_int,
    shim: c_int,
    failure: UnsafeCell<Failure>,
    /// Whether the mark was set.
    marked: Cell<bool>,
}

/// A job that is executing its command.
pub struct Begun {
    pub pid: i32,
    /// Whether it has the limit that marks its processes.
    pub marked: bool,
}

/// Starts the job; returns once the command is executing.
///
/// # Errors
/// The process is gone; the error says at which step it failed.
pub fn execute(prepared: &Prepared) -> Result<Begun, Refusal> {
    let shared = Shared {
        prepared,
        argv: pointers(&prepared.argv),
        env: pointers(&prepared.env),
        candidates: prepared.candidates.iter().map(|c| c.as_ptr()).collect(),
        stdin: raw(&prepared.stdin),
        log: raw(&prepared.log),
        result: prepared.result.as_ref().map_or(-1, raw),
        shim: rustix::process::getpid().as_raw_nonzero().get(),
        failure: UnsafeCell::new(Failure { step: Step::None, errno: 0, candidate: 0 }),
        marked: Cell::new(false),
    };
    let stack = Stack::new().map_err(|e| Refusal::ours("making a stack", &e))?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = (&raw const shared).cast_mut().cast::<c_void>();
    // SAFETY: the stack is ours until it is dropped below, `shared` lives as long, and CLONE_VFORK
    // suspends us until the child has stopped using both. The child writes only to `failure`,
    // through its cell.
    let pid = unsafe { libc::clone(child, stack.top(), flags, argument) };
    if pid < 0 {
        return Err(Refusal::ours("clone", &io::Error::last_os_error()));
    }
    // SAFETY: the child has executed or ended; volatile because the compiler cannot know that it
    // wrote.
    let failure = unsafe { shared.failure.get().read_volatile() };
    if failure.step == Step::None {
        // The same for this cell.
        // SAFETY: as above.
        let marked = unsafe { shared.marked.as_ptr().read_volatile() };
        return Ok(Begun { pid, marked });
    }
    reap_failed(pid);
    Err(describe(&failure, prepared))
}

/// The child has reported its failure and is about to end, if it has not already.
fn reap_failed(pid: i32) {
    // An error would be ECHILD; no signal can disturb us, as all are blocked.
    let _ = wait::reap_when_ended(pid);
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The child. Returns only if it failed; what it returns is its exit status, which is not read.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `execute` gives a pointer to a `Shared` that outlives us.
    let shared = unsafe { &*argument.cast::<Shared<'_>>() };
    let (step, errno, candidate) = become_job(shared);
    // SAFETY: the parent is suspended, so no other thread accesses the cell.
    unsafe { shared.failure.get().write_volatile(Failure { step, errno, candidate }) };
    127
}

/// Makes this process what the job must be, and executes the command. Returns only the step that
/// failed.
fn become_job(shared: &Shared<'_>) -> (Step, c_int, usize) {
    for (step, prepare) in STEPS {
        if let Err(errno) = prepare(shared) {
            return (*step, errno, 0);
        }
    }
    let (errno, candidate) = execute_first(shared);
    (Step::Execve, errno, candidate)
}

type Prepare = fn(&Shared<'_>) -> Result<(), c_int>;

/// The order matters: first what needs root before the user changes; the directory as that user
/// sees it; then the death signal, as a change of user clears it; the mask last, so that no signal
/// is delivered before everything is in place. The spawner has already reset the dispositions.
const STEPS: &[(Step, Prepare)] = &[
    (Step::Group, own_group),
    (Step::Fds, standard_fds),
    (Step::Cgroup, join_cgroup),
    (Step::Limit, limit_memory),
    (Step::None, mark_by_limit),
    (Step::Nice, set_nice),
    (Step::Keyring, leave_the_keyring_of_the_worker),
    (Step::Groups, set_groups),
    (Step::Gid, set_gid),
    (Step::Uid, set_uid),
    (Step::Privileges, no_new_privileges),
    (Step::None, own_keyring),
    (Step::Umask, set_umask),
    (Step::Chdir, change_directory),
    (Step::ParentDeath, die_with_the_shim),
    (Step::Mask, empty_mask),
];

fn own_group(_: &Shared<'_>) -> Result<(), c_int> {
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_setpgid, 0, 0) })
}

fn standard_fds(shared: &Shared<'_>) -> Result<(), c_int> {
    for (from, to) in [(shared.stdin, 0), (shared.log, 1), (shared.log, 2)] {
        // SAFETY: a system call without memory; the table of descriptors is the child's own. What
        // is copied has a number above 2.
        check(unsafe { libc::syscall(libc::SYS_dup3, from, to, 0) })?;
    }
    // The cgroup's descriptor is still needed; execve closes it and everything else. The lock is
    // closed now, so that only the shim holds it even if the next steps take long. SAFETY: a system
    // call without memory; the table of descriptors is the child's own.
    check(unsafe { libc::syscall(libc::SYS_close, super::LOCK_FD) })?;
    if shared.result < 0 {
        return Ok(());
    }
    // SAFETY: a system call without memory; the table of descriptors is the child's own.
    check(unsafe { libc::syscall(libc::SYS_dup3, shared.result, RESULT_FD, 0) })
}

fn join_cgroup(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(procs) = shared.prepared.memory.join_fd() else { return Ok(()) };
    // SAFETY: the byte is static. "0" means the process that writes.
    check(unsafe { libc::syscall(libc::SYS_write, procs, b"0".as_ptr(), 1) })
}

fn limit_memory(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(bytes) = shared.prepared.memory.data_limit_bytes() else { return Ok(()) };
    let limit = [bytes, bytes];
    // SAFETY: the kernel reads two 64-bit numbers and writes nothing back.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_DATA, limit.as_ptr(), ptr::null_mut::<u64>()) })
}

/// Only if there was no limit: a limit that is set was set on purpose. The job runs without the
/// mark as well.
fn mark_by_limit(shared: &Shared<'_>) -> Result<(), c_int> {
    const UNLIMITED: u64 = u64::MAX;
    let mut limit = [0_u64; 2];
    // SAFETY: the kernel writes two 64-bit numbers.
    let known = unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_RTTIME, ptr::null::<u64>(), limit.as_mut_ptr()) };
    if known == 0 && limit == [UNLIMITED, UNLIMITED] {
        let marked = [shared.prepared.mark, UNLIMITED];
        // SAFETY: the kernel reads two 64-bit numbers and writes nothing back.
        let set = unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_RTTIME, marked.as_ptr(), ptr::null_mut::<u64>()) };
        shared.marked.set(set == 0);
    }
    Ok(())
}

fn set_nice(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(nice) = shared.prepared.nice else { return Ok(()) };
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, nice) })
}

fn set_groups(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(identity) = &shared.prepared.identity else { return Ok(()) };
    // SAFETY: the kernel reads as many numbers as the list has.
    check(unsafe { libc::syscall(libc::SYS_setgroups, identity.groups.len(), identity.groups.as_ptr()) })
}

fn set_gid(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(identity) = &shared.prepared.identity else { return Ok(()) };
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_setresgid, identity.group, identity.group, identity.group) })
}

fn set_uid(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(identity) = &shared.prepared.identity else { return Ok(()) };
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_setresuid, identity.user, identity.user, identity.user) })
}

fn no_new_privileges(shared: &Shared<'_>) -> Result<(), c_int> {
    if shared.prepared.identity.is_none() {
        return Ok(());
    }
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// The session keyring of the worker may hold keys of root, and a process may use the keys of its
/// session. It is left as root, whose quota of keys no user can fill. Where there are no keyrings,
/// or a sandbox refuses the call to the job as well, there is nothing to use.
fn leave_the_keyring_of_the_worker(shared: &Shared<'_>) -> Result<(), c_int> {
    if shared.prepared.identity.is_none() {
        return Ok(());
    }
    match join_new_keyring() {
        Err(libc::ENOSYS | libc::EPERM) => Ok(()),
        joined => joined,
    }
}

/// The keyring then belongs to the user, and so do its keys. A user whose quota is full stays in
/// the empty one.
fn own_keyring(shared: &Shared<'_>) -> Result<(), c_int> {
    let _the_other_one_is_empty = shared.prepared.identity.as_ref().map(|_| join_new_keyring());
    Ok(())
}

fn join_new_keyring() -> Result<(), c_int> {
    const JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: a system call without memory: no name is given.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<c_char>()) })
}

fn set_umask(shared: &Shared<'_>) -> Result<(), c_int> {
    let Some(mask) = shared.prepared.umask else { return Ok(()) };
    // SAFETY: a system call without memory, which never fails; the mask is the child's own.
    check(unsafe { libc::syscall(libc::SYS_umask, mask) })
}

fn change_directory(shared: &Shared<'_>) -> Result<(), c_int> {
    // SAFETY: a string that ends with NUL and outlives us.
    check(unsafe { libc::syscall(libc::SYS_chdir, shared.prepared.cwd.as_ptr()) })
}

fn die_with_the_shim(shared: &Shared<'_>) -> Result<(), c_int> {
    // SAFETY: a system call without memory.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    // SAFETY: a system call without memory.
    let parent = unsafe { libc::syscall(libc::SYS_getppid) };
    // The shim may have died before the death signal was set.
    if parent == i64::from(shared.shim) { Ok(()) } else { Err(libc::ESRCH) }
}

fn empty_mask(_: &Shared<'_>) -> Result<(), c_int> {
    let none = 0_u64;
    // SAFETY: the kernel reads eight bytes and writes nothing back.
    check(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null_mut::<u64>(), 8) })
}

/// Like `execvp`, but a file of unknown format is not passed to a shell: the job did not ask for
/// one. Returns the last error, or that a file was found but may not be executed.
fn execute_first(shared: &Shared<'_>) -> (c_int, usize) {
    let mut refused = (libc::ENOENT, 0);
    for (index, candidate) in shared.candidates.iter().enumerate() {
        // SAFETY: strings that end with NUL, in lists that end with a null pointer; all outlive us.
        unsafe { libc::syscall(libc::SYS_execve, *candidate, shared.argv.as_ptr(), shared.env.as_ptr()) };
        match errno() {
            libc::EACCES => refused = (libc::EACCES, index),
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {
                if shared.candidates.len() == 1 {
                    refused = (errno(), index);
                }
            }
            errno => return (errno, index),
        }
    }
    refused
}

fn check(result: i64) -> Result<(), c_int> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn errno() -> c_int {
    // SAFETY: the address of this thread's errno; the child shares it with its parent, which is
    // suspended.
    unsafe { *libc::__errno_location() }
}
