//! The spawner's own life: receive, fork, reap, sweep.
//!
//! It keeps a copy of each run's lock and status pipe until that run's shim has been reaped and, if
//! the shim died without having emptied its tree, until the leftovers have been ended: every child
//! of the spawner that is not one of its shims. So the end of a status pipe means that the lock is
//! free, and a free lock that nothing is left. A shim that has emptied its tree says so instead of
//! ending, and is given the next run ([`super::shims`]): a fork, the page faults after it and the
//! exit are the largest part of what a short run costs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};
use rustix::process::{getpid, setsid};

use crate::error::said;
use crate::job::Exit;
use crate::run::descendants;
use crate::run::machine::{boottime_ms, now_ms};
use crate::run::marks::marks_a_run;
use crate::run::open_files::raise_for_spawner;
use crate::run::record::{Record, parse_line};
use crate::run::shim;
use crate::run::signal;
use crate::run::wait::{self, Children};

use super::descriptors::{at_fd, close_from, silence_standard_fds};
use super::shims::{Kept, Shims};
use super::title::Title;
use super::wire::{self, Arrived, INLINE_BYTES_MAX, Received, receive};
use crate::run::forked::{Inherited, become_reaper, exit_now, fork};
use crate::run::protocol::{READY, SPAWNER_ARGUMENT, SPAWNER_NAME, TREE_IS_EMPTY, UNFIT};

/// Launches that are accepted before dead shims are looked for again.
const LAUNCHES_PER_ROUND_MAX: usize = 16;
/// First and longest wait between two sweeps of the leftovers of a dead shim, in milliseconds.
const SWEEP_MS_MIN: u64 = 2;
const SWEEP_MS_MAX: u64 = 1_000;

const CONTROL_FD: i32 = 3;
const CHILDREN_FD: i32 = 4;

/// Why the spawner cannot work.
enum Unfit {
    NotStartedByTenure,
    NotAlone,
    /// The system refused this step.
    System(&'static str, io::Error),
}

impl Unfit {
    fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System(step, error)
    }

    /// Tells the worker, and returns the exit status.
    fn tell(&self) -> i32 {
        let (code, text) = match self {
            // The parent does not listen.
            Self::NotStartedByTenure => return 2,
            Self::NotAlone => (3, "it has more than one thread".to_owned()),
            Self::System(step, error) => (4, format!("{step}: {}", said(error))),
        };
        for fd in [CONTROL_FD, 0] {
            // SAFETY: the descriptor is open or not; it is only written to, and this process ends.
            let control = unsafe { BorrowedFd::borrow_raw(fd) };
            if sockopt::socket_type(control).ok() == Some(rustix::net::SocketType::SEQPACKET) {
                let _parent_may_be_gone = send(control, &[UNFIT, text.as_bytes()].concat(), SendFlags::NOSIGNAL);
                break;
            }
        }
        code
    }
}

/// Never returns.
pub fn be_spawner() -> ! {
    let code = match Nursery::set_up() {
        Ok(mut nursery) => {
            while nursery.round() {}
            0
        }
        Err(unfit) => unfit.tell(),
    };
    exit_now(code)
}

struct Nursery {
    me: i32,
    control: Option<OwnedFd>,
    children: OwnedFd,
    inherited: Inherited,
    buffer: Vec<u8>,
    shims: Shims,
    /// Runs whose shim died without having emptied its tree.
    dirty: Vec<Kept>,
    sweep_ms: u64,
    next_sweep_ms: u64,
}

impl Nursery {
    fn set_up() -> Result<Self, Unfit> {
        let control = adopt_control()?;
        match Self::prepare(&control) {
            Ok((children, inherited)) => Ok(Self {
                me: getpid().as_raw_nonzero().get(),
                control: Some(control),
                children,
                inherited,
                buffer: vec![0; INLINE_BYTES_MAX + 1],
                shims: Shims::default(),
                dirty: Vec::new(),
                sweep_ms: SWEEP_MS_MIN,
                next_sweep_ms: 0,
            }),
            Err(unfit) => {
                // The reason is reported there.
                std::mem::forget(control);
                Err(unfit)
            }
        }
    }

    fn prepare(control: &OwnedFd) -> Result<(OwnedFd, Inherited), Unfit> {
        if !is_single_threaded() {
            return Err(Unfit::NotAlone);
        }
        signal::block_all().map_err(Unfit::at("blocking signals (rt_sigprocmask)"))?;
        signal::reset_dispositions();
        let children = signal::child_fd().map_err(Unfit::at("receiving child signals (signalfd)"))?;
        // Shims use the numbers 3 to 5 for their own; descriptors that arrive here must have higher
        // ones.
        if children.as_raw_fd() != CHILDREN_FD {
            return Err(Unfit::at("closing what it has inherited")(io::Error::from_raw_os_error(libc::EBADF)));
        }
        // Refused only to the leader of a group, which then has a session of its own or was started
        // by a test.
        let _ = setsid();
        become_reaper(SPAWNER_NAME).map_err(Unfit::at("becoming the reaper of its tree (prctl)"))?;
        unmark().map_err(Unfit::at("setting a limit (prlimit64)"))?;
        try_fork()?;
        let title = Title::find(&[SPAWNER_NAME, SPAWNER_ARGUMENT]);
        let inherited = Inherited { open_files: raise_for_spawner(), title };
        warm_up();
        send(control, READY, SendFlags::NOSIGNAL).map_err(|error| Unfit::at("saying that it is ready (sendto)")(error.into()))?;
        Ok((children, inherited))
    }

    /// Returns `false` when nothing is left to do.
    fn round(&mut self) -> bool {
        let retires_in_ms = self.shims.retire_idle();
        let ready = self.wait(retires_in_ms);
        if ready.children {
            drain(self.children.as_fd());
        }
        // Even without the signal: a check is cheap, and the signal of a child can be merged with
        // that of another.
        self.reap();
        self.shims.hear_all(&ready.shims);
        self.sweep();
        if ready.control {
            self.take_launches();
        }
        self.control.is_some() || !self.shims.is_empty() || !self.dirty.is_empty()
    }

    fn wait(&self, retires_in_ms: Option<u64>) -> Ready {
        let mut fds = vec![PollFd::new(&self.children, PollFlags::IN)];
        let (pids, sockets): (Vec<i32>, Vec<PollFd<'_>>) = self.shims.sockets().unzip();
        fds.extend(sockets);
        fds.extend(self.control.as_ref().map(|control| PollFd::new(control, PollFlags::IN)));
        let sweeps_in_ms = (!self.dirty.is_empty()).then(|| self.next_sweep_ms.saturating_sub(boottime_ms()).min(SWEEP_MS_MAX));
        let timeout = [sweeps_in_ms, retires_in_ms].into_iter().flatten().min().map(|ms| {
            let ms = ms.cast_signed();
            Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 }
        });
        // An error is a disturbance: the descriptors are ours.
        let _ = poll(&mut fds, timeout.as_ref());
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let of_shims = pids.iter().zip(&fds[1..]).filter(|(_, fd)| is_ready(fd)).map(|(pid, _)| *pid);
        Ready { children: is_ready(&fds[0]), shims: of_shims.collect(), control: fds.get(1 + pids.len()).is_some_and(is_ready) }
    }

    fn take_launches(&mut self) {
        for _ in 0..LAUNCHES_PER_ROUND_MAX {
            let Some(control) = &self.control else { return };
            match receive(control.as_fd(), &mut self.buffer) {
                Ok(Received::Launch(arrived)) => {
                    if let Some(arrived) = self.shims.serve(arrived) {
                        self.fork(arrived);
                    }
                }
                Ok(Received::Broken) => {}
                // Its status pipe is closed by now, or its reader has nothing to read: the message
                // comes beside it.
                Ok(Received::NoMeans(errno)) => wire::complain(control.as_fd(), errno),
                Ok(Received::NothingYet) => return,
                Ok(Received::Ended) | Err(_) => {
                    self.control = None;
                    self.shims.close();
                }
            }
        }
    }

    fn fork(&mut self, arrived: Arrived) {
        let (ours, theirs) = match Shims::socket() {
            Ok(pair) => pair,
            Err(error) => return Kept::of(arrived).fail("socketpair", &error),
        };
        // SAFETY: this process has one thread (asserted at its start), so the child may do
        // everything that the parent may; it starts no thread, and never returns.
        match unsafe { fork() } {
            Ok(0) => shim::be_shim(arrived, theirs, self.inherited),
            Ok(pid) => self.shims.add(pid, arrived, ours),
            Err(error) => Kept::of(arrived).fail("fork", &error),
        }
    }

    fn reap(&mut self) {
        while let Some(pid) = wait::stopped() {
            self.shims.end_if_idle(pid);
        }
        while let Children::Ended(ended) = wait::peek() {
            if wait::reap(ended.pid).is_err() {
                return;
            }
            let Some(kept) = self.shims.remove(ended.pid) else { continue };
            if ended.exit == Exit::Code(TREE_IS_EMPTY) {
                kept.release();
            } else {
                self.dirty.push(kept);
                (self.sweep_ms, self.next_sweep_ms) = (SWEEP_MS_MIN, 0);
            }
        }
    }

    /// Ends the leftovers of dead shims. A process that may not be signalled keeps the lock held,
    /// and is retried.
    fn sweep(&mut self) {
        if self.dirty.is_empty() {
            return;
        }
        let is_shim = |pid: i32| self.shims.contains(pid);
        if descendants::children(self.me).is_some_and(|children| children.into_iter().all(is_shim)) {
            self.dirty.drain(..).for_each(Kept::release);
            return;
        }
        if boottime_ms() < self.next_sweep_ms {
            return;
        }
        descendants::kill_round(self.me, &is_shim);
        self.next_sweep_ms = boottime_ms() + self.sweep_ms;
        self.sweep_ms = (self.sweep_ms * 2).min(SWEEP_MS_MAX);
    }
}

struct Ready {
    children: bool,
    /// The shims that have sent something, or are ending.
    shims: Vec<i32>,
    control: bool,
}

/// Closes every foreign descriptor, and moves the control socket from where it was handed over,
/// stdin.
fn adopt_control() -> Result<OwnedFd, Unfit> {
    // SAFETY: descriptor 0 is open or not; no other code in this process owns it.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    if sockopt::socket_type(stdin).ok() != Some(rustix::net::SocketType::SEQPACKET) {
        return Err(Unfit::NotStartedByTenure);
    }
    close_from(3).map_err(Unfit::at("closing what it has inherited (close_range, and /proc/self/fd)"))?;
    let control = at_fd(&stdin, CONTROL_FD).map_err(Unfit::at("moving its socket (dup3)"))?;
    silence_standard_fds().map_err(Unfit::at("opening /dev/null"))?;
    Ok(control)
}

/// If the worker itself belongs to a run of another file, its shims and their jobs do not.
fn unmark() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure, which lives until the call returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_RTTIME, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if !marks_a_run(limit.rlim_cur) {
        return Ok(());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads the structure, which lives until the call returns.
    if unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A filter of system calls may refuse what every launch needs; better known now than by each job.
/// Too many processes are a temporary shortage.
fn try_fork() -> Result<(), Unfit> {
    // SAFETY: this process has one thread; the child only ends.
    match unsafe { fork() } {
        Ok(0) => exit_now(0),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM)) => Ok(()),
        Err(error) => Err(Unfit::System("starting a process (clone)", error)),
        Ok(pid) => wait::reap_when_ended(pid).map_err(Unfit::at("waiting for a process (wait4)")),
    }
}

/// Does once what each shim would repeat: the checksum queries the processor's features, which
/// costs a tenth of a millisecond on a virtual machine and is inherited by the forks. So is the
/// offset of the time namespace.
fn warm_up() {
    std::hint::black_box(boottime_ms());
    let line = Record::Prepare { at_ms: now_ms() }.to_line();
    std::hint::black_box(parse_line(&line));
}

fn is_single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Empties the descriptor of child signals.
fn drain(fd: BorrowedFd<'_>) {
    let mut buffer = [0; 1024];
    while !matches!(rustix::io::read(fd, &mut buffer), Ok(0) | Err(Errno::AGAIN) | Err(Errno::BADF)) {}
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;
    use crate::run::record::Parsed;
    use crate::run::spawner::wire::Spec;

    #[test]
    fn a_fork_that_fails_is_recorded_and_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (read, status) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let lock = file.as_file().try_clone().unwrap().into();
        let arrived = Arrived { spec: Spec::Inline(Vec::new()), lock, status };
        Kept::of(arrived).fail("fork", &io::Error::from_raw_os_error(libc::EAGAIN));
        let kept = fs::read(file.path()).unwrap();
        let mut told = Vec::new();
        fs::File::from(read).read_to_end(&mut told).unwrap();
        assert_eq!(kept, told);
        match parse_line(kept.strip_suffix(b"\n").unwrap()) {
            Parsed::Record(Record::Failed(failed)) => {
                assert_eq!(failed.errno, libc::EAGAIN);
                assert_eq!(failed.text, "fork: Resource temporarily unavailable");
            }
            other => panic!("{other:?}"),
        }
    }
}
