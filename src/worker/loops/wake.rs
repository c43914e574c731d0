//! Hints that the file has changed.
//!
//! Three ways, from the fastest to the most reliable: a datagram from tenure's own commands after
//! their commit; inotify on the write-ahead log, for plain SQL clients; and a slow poll of SQLite's
//! own change counter on the writer's connection, which the worker's own commits do not change. An
//! inotify event may precede the visibility of the commit, so it is followed by polls at increasing
//! intervals. A needless hint costs one poll. The kernel also tells here when the wall clock is
//! set.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use crate::error::{Error, Result};
use crate::host::condition::Condition;
use crate::host::waker::{DATAGRAM_BYTES_MAX, SERVE, Short, YIELD, short};
use crate::job::JobId;
use crate::place::Place;
use crate::worker::context::Context;

/// Interval between two polls of the change counter without hints, in milliseconds: where there is
/// no inotify, and for some polls after an event, as the disk may be slow to make a commit visible;
/// and at rest, so that an idle machine stays asleep.
const POLL_MS: u64 = 1_000;
const POLL_RESTING_MS: u64 = 10_000;
const POLLS_AFTER_EVENT: u32 = 10;
/// Polls after an inotify event: the waits between them, in milliseconds.
const LADDER_MS: [u64; 8] = [0, 1, 2, 4, 8, 16, 32, 64];
/// After a round of inotify events the next one is ignored for this long, in milliseconds, so that
/// a busy worker, which writes the file itself, does not spend its time on hints: with a free slot,
/// and without.
const REST_MS: u64 = 4;
const REST_FULL_MS: u64 = 25;

/// The listening end.
pub struct Listener {
    socket: UnixDatagram,
    /// `None` if the system gives none: then the slow poll finds the writes of plain SQL.
    watch: Option<OwnedFd>,
    /// The log is there, and watched.
    is_watched: bool,
    /// Readable when the wall clock was set. `None` if the system gives none: then the next tick
    /// finds it.
    clock: Option<OwnedFd>,
}

impl Listener {
    /// Created under the worker lock: leftovers of an earlier worker are replaced.
    ///
    /// # Errors
    /// Socket or watch cannot be created.
    pub fn bind(place: &Place) -> Result<Self> {
        let path = place.wake_socket();
        let what = || format!("listening on {}", path.display());
        let _none_left = std::fs::remove_file(&path);
        let short = short(&path).map_err(|e| Error::io(what(), e))?;
        let address = short.as_ref().map_or(path.as_path(), Short::path);
        let socket = UnixDatagram::bind(address).map_err(|e| Error::io(what(), e))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|e| Error::io(what(), e))?;
        socket.set_nonblocking(true).map_err(|e| Error::io(what(), e))?;
        let watch = new_watch();
        let mut listener = Self { socket, watch, is_watched: false, clock: clock_that_tells() };
        listener.watch_wal(place);
        Ok(listener)
    }

    /// The log appears with the first write after a clean close, so this is repeated.
    fn watch_wal(&mut self, place: &Place) {
        let add = |watch| inotify::add_watch(watch, place.wal(), inotify::WatchFlags::MODIFY);
        self.is_watched = self.watch.as_ref().is_some_and(|watch| add(watch).is_ok());
    }

    /// Retries to get what the system refused, and reports that meanwhile.
    fn regain(&mut self, ctx: &Context) {
        if self.watch.is_none() {
            self.watch = new_watch();
            match &self.watch {
                Some(_) => ctx.report.clear("no_inotify"),
                None => ctx.report.set(Condition::notice(
                    "no_inotify",
                    format!("there is no inotify instance left: what plain SQL writes is seen within {POLL_MS} ms"),
                    "end what uses them up, or raise fs.inotify.max_user_instances; it is tried again by itself",
                )),
            }
        }
        self.watch_wal(ctx.place());
    }
}

fn new_watch() -> Option<OwnedFd> {
    inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()
}

/// A timer of the wall clock that never expires, and is cancelled when that clock is set.
fn clock_that_tells() -> Option<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK).ok()?;
    let never = Timespec { tv_sec: i64::from(u32::MAX) * 100, tv_nsec: 0 };
    let once = Itimerspec { it_interval: Timespec::default(), it_value: never };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once).ok()?;
    Some(timer)
}

enum Heard {
    Datagram(Asked),
    File,
    ClockWasSet,
    Nothing,
}

/// The wake thread: turns hints into wake-ups of the loops, until the worker detaches from its
/// runs.
pub fn listen(ctx: &Arc<Context>, listener: &mut Listener) {
    listener.regain(ctx);
    let mut changes = Changed::default();
    changes.look(ctx);
    // The loops may have read before that.
    ctx.file_may_have_changed();
    let mut polls = 0;
    while !ctx.is_detaching() {
        match hear(listener, poll_after_ms(listener.is_watched, polls)) {
            Heard::ClockWasSet => ctx.wake_claims(),
            Heard::Datagram(asked) => {
                obey(ctx, asked);
                // Before the loops read: what is seen here is not reported again.
                changes.look(ctx);
                ctx.file_may_have_changed();
            }
            Heard::File => {
                polls = 0;
                climb(ctx, listener, &mut changes);
                let full = ctx.slots.free() == 0;
                // A pause after an event, not a wait for one: everything that arrives meanwhile is
                // one event.
                std::thread::sleep(Duration::from_millis(if full { REST_FULL_MS } else { REST_MS }));
            }
            Heard::Nothing => {
                polls += u32::from(polls < POLLS_AFTER_EVENT);
                listener.regain(ctx);
                if changes.look(ctx) != Look::Same {
                    ctx.file_may_have_changed();
                }
            }
        }
    }
}

/// Returns when to poll next, after so many polls since the last event.
fn poll_after_ms(is_watched: bool, polls: u32) -> u64 {
    if is_watched && polls >= POLLS_AFTER_EVENT { POLL_RESTING_MS } else { POLL_MS }
}

/// Polls repeatedly, each time after a longer wait, to the end: a change that is seen meanwhile may
/// be another one, and the announced one causes no further event when it becomes visible. If the
/// worker was writing at the last poll, there may have been one.
fn climb(ctx: &Context, listener: &Listener, changes: &mut Changed) {
    let mut unseen = false;
    for wait_ms in LADDER_MS {
        if let Some(asked) = hear_datagram(listener, wait_ms) {
            obey(ctx, asked);
            ctx.file_may_have_changed();
        }
        let look = changes.look(ctx);
        unseen = look == Look::Unseen;
        if look == Look::Changed {
            ctx.file_may_have_changed();
        }
        if ctx.is_detaching() {
            return;
        }
    }
    if unseen {
        ctx.file_may_have_changed();
    }
}

/// What is known of the changes by others. The worker's own commits are not among them: the thread
/// that makes one wakes the loops that it concerns.
#[derive(Default)]
struct Changed {
    last: Option<i64>,
}

/// Whether others have changed the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Same,
    /// Also if it cannot be read.
    Changed,
    /// The worker is writing, so it could not be seen.
    Unseen,
}

impl Changed {
    fn look(&mut self, ctx: &Context) -> Look {
        match ctx.store.changes_by_others() {
            Ok(Some(now)) if self.last == Some(now) => Look::Same,
            Ok(Some(now)) => {
                self.last = Some(now);
                Look::Changed
            }
            Ok(None) => Look::Unseen,
            Err(_) => Look::Changed,
        }
    }
}

fn wait(fds: &mut [PollFd<'_>], at_most_ms: u64) -> bool {
    let timeout = Timespec { tv_sec: (at_most_ms / 1000) as i64, tv_nsec: (at_most_ms % 1000 * 1_000_000) as i64 };
    matches!(poll(fds, Some(&timeout)), Ok(n) if n > 0)
}

fn hear(listener: &Listener, at_most_ms: u64) -> Heard {
    let mut fds = vec![PollFd::new(&listener.socket, PollFlags::IN)];
    fds.extend(listener.watch.iter().chain(&listener.clock).map(|fd| PollFd::new(fd, PollFlags::IN)));
    if !wait(&mut fds, at_most_ms) {
        return Heard::Nothing;
    }
    if listener.clock.as_ref().is_some_and(was_cancelled) {
        return Heard::ClockWasSet;
    }
    if let Some(asked) = drain_socket(&listener.socket) {
        return Heard::Datagram(asked);
    }
    listener.watch.iter().for_each(drain_watch);
    Heard::File
}

fn hear_datagram(listener: &Listener, at_most_ms: u64) -> Option<Asked> {
    let mut fds = [PollFd::new(&listener.socket, PollFlags::IN)];
    if wait(&mut fds, at_most_ms) { drain_socket(&listener.socket) } else { None }
}

/// What the pending datagrams request, besides a poll.
#[derive(Default)]
struct Asked {
    yields: bool,
    serve: Vec<JobId>,
}

fn obey(ctx: &Context, asked: Asked) {
    asked.serve.into_iter().for_each(|job| ctx.asked_to_serve(job));
    if asked.yields {
        ctx.asked_to_yield();
    }
}

/// Reads all pending datagrams; `None`: there was none.
fn drain_socket(socket: &UnixDatagram) -> Option<Asked> {
    let mut heard = None;
    let mut datagram = [0u8; DATAGRAM_BYTES_MAX];
    while let Ok(n) = socket.recv(&mut datagram) {
        let asked = heard.get_or_insert_with(Asked::default);
        match (n, datagram) {
            (1.., [YIELD, ..]) => asked.yields = true,
            (DATAGRAM_BYTES_MAX, [SERVE, job @ ..]) => asked.serve.push(JobId(i64::from_le_bytes(job))),
            _ => {}
        }
    }
    heard
}

fn was_cancelled(clock: &OwnedFd) -> bool {
    rustix::io::read(clock, &mut [0; 8]) == Err(rustix::io::Errno::CANCELED)
}

fn drain_watch(watch: &OwnedFd) {
    let mut buffer = [0u8; 4096];
    while rustix::io::read(watch, &mut buffer).is_ok_and(|n| n > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_that_is_told_of_writes_rests() {
        assert_eq!(poll_after_ms(true, POLLS_AFTER_EVENT), POLL_RESTING_MS);
        for (is_watched, polls) in [(false, 0), (false, POLLS_AFTER_EVENT), (true, 0), (true, POLLS_AFTER_EVENT - 1)] {
            assert_eq!(poll_after_ms(is_watched, polls), POLL_MS, "{is_watched} {polls}");
        }
    }

    #[test]
    fn a_log_is_watched_once_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        std::fs::create_dir(place.dir()).unwrap();
        let mut listener = Listener::bind(&place).unwrap();
        assert!(!listener.is_watched);
        std::fs::write(place.wal(), "").unwrap();
        listener.watch_wal(&place);
        assert!(listener.is_watched);
        assert!(matches!(hear(&listener, 0), Heard::Nothing));
        std::fs::write(place.wal(), "x").unwrap();
        assert!(matches!(hear(&listener, 0), Heard::File));
    }

    #[test]
    fn a_clock_that_was_not_set_is_silent() {
        let clock = clock_that_tells().expect("a timer");
        assert!(!wait(&mut [PollFd::new(&clock, PollFlags::IN)], 0) && !was_cancelled(&clock));
    }
}
