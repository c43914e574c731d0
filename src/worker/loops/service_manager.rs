//! Reports to the service manager, if there is one (`NOTIFY_SOCKET`): that the worker serves, its
//! state, that it needs more time, and, for `WatchdogSec=`, that its loops run.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;

use crate::place::Place;
use crate::store::{engine::locks, job::read};
use crate::worker::context::Context;

/// How much more time is requested while the worker waits, in microseconds.
const EXTEND_USEC: u32 = 15_000_000;
/// Interval between two checks while the worker starts, in milliseconds.
const START_LOOK_MS: u64 = 1_000;
/// How long a start may take that waits for no other program, in milliseconds, in addition to the
/// service manager's limit.
const START_MOST_MS: u64 = 300_000;
/// Interval between two checks of the worker's state, in milliseconds.
const LOOK_MS: u64 = 2_000;

/// Reports that the worker serves. The one message that must arrive, so this waits for a busy
/// manager.
pub fn ready() {
    let _not_under_a_service_manager = sd_notify::notify(&[NotifyState::Ready]);
}

/// Reports that the worker ends, and what it waits for.
pub fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status), NotifyState::ExtendTimeoutUsec(EXTEND_USEC)]);
}

/// Never waits: a manager that does not read must not stop the worker, and the next message repeats
/// the state.
fn send(states: &[NotifyState<'_>]) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    let name = name.as_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(OsStr::from_bytes(name)),
    };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &address?)
    });
    let _said_again_soon = sent.inspect_err(|error| log::debug!("telling the service manager: {error}"));
}

fn is_asked_for() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Returns the longest interval between two signs of life, in milliseconds; `None` without a
/// watchdog.
pub fn watchdog_ms() -> Option<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours && is_asked_for()).map(|usec| (usec / 1000).max(4))
}

/// Requests more time while the worker starts. Dropping it ends that.
pub struct Starting {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Starting {
    pub fn begin(place: &Place) -> Self {
        let (done, is_done) = bounded(1);
        let place = place.clone();
        let body = move || {
            let began = Instant::now();
            while is_done.recv_timeout(Duration::from_millis(START_LOOK_MS)) == Err(RecvTimeoutError::Timeout) {
                let foreign = foreign_writer(&place);
                if foreign.is_none() && began.elapsed() > Duration::from_millis(START_MOST_MS) {
                    continue;
                }
                let status = foreign.map_or_else(|| "starting".to_owned(), |holder| format!("starting: {holder}"));
                send(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(EXTEND_USEC)]);
            }
        };
        // Without a thread the worker starts as well.
        let thread = is_asked_for().then(|| std::thread::Builder::new().name("notify".into()).spawn(body).ok()).flatten();
        Self { done: Some(done), thread }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        drop(self.done.take());
        let _it_panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// Describes the other program that is in a write transaction now.
fn foreign_writer(place: &Place) -> Option<String> {
    let holder = locks::writer(place).filter(|holder| holder.pid.cast_unsigned() != std::process::id())?;
    Some(format!("waits for the write lock held by {holder}"))
}

/// The thread: reports changes, and gives signs of life while the loops run.
pub fn run(ctx: &Arc<Context>) {
    if !ctx.options.owns_process || !is_asked_for() {
        return;
    }
    let watchdog_ms = watchdog_ms();
    let wait_ms = watchdog_ms.map_or(LOOK_MS, |ms| (ms / 4).min(LOOK_MS));
    let (mut told, mut blocked) = (String::new(), None);
    while !ctx.is_detaching() {
        let before = blocked;
        blocked = foreign_writer(ctx.place());
        // Programs write now and then: only one that still writes at the next check counts.
        let blocked_by = blocked.as_ref().filter(|_| before == blocked);
        if let Some(ms) = watchdog_ms {
            // An idle claim loop makes its round when asked; the tick of recovery is short enough.
            ctx.wake_claims();
            if goes_round(ctx.report.rounds(), ms, ctx.is_stopping(), blocked_by.is_some()) {
                send(&[NotifyState::Watchdog]);
            }
        }
        let status = status(ctx, blocked_by);
        if ctx.is_stopping() {
            // Draining takes as long as the jobs do.
            send(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(EXTEND_USEC)]);
        } else if status != told {
            send(&[NotifyState::Status(&status)]);
            told = status;
        }
        ctx.pause(wait_ms);
    }
}

/// Whether the loops have completed a round recently. A worker that stops has no loops; one that
/// another program keeps from writing waits, and a restart would not help.
fn goes_round((claims, reaper): (Duration, Duration), watchdog_ms: u64, is_stopping: bool, is_blocked: bool) -> bool {
    let half = Duration::from_millis(watchdog_ms / 2);
    is_stopping || is_blocked || (claims <= half && reaper <= half)
}

fn status(ctx: &Context, blocked_by: Option<&String>) -> String {
    let busy = ctx.slots.busy();
    if ctx.is_stopping() {
        return format!("draining: {busy} of {} slots busy", ctx.slots.limit());
    }
    if let Some(blocked_by) = blocked_by {
        return format!("{busy} of {} slots busy; {blocked_by}", ctx.slots.limit());
    }
    let ready = ctx.store.read(read::counts).map(|counts| counts.queued - counts.held.iter().map(|(_, n)| n).sum::<i64>());
    let ready = ready.map_or_else(|error| format!("; {error}"), |ready| format!(", {ready} ready"));
    let held = ctx.report.now().held_back().next().map(|one| format!("; nothing is claimed: {}", one.advice.text));
    format!("{busy} of {} slots busy{ready}{}", ctx.slots.limit(), held.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_needs_a_round_of_both_loops() {
        let ms = Duration::from_millis;
        for (claims, reaper, is_stopping, is_blocked, is_alive) in [
            (0, 0, false, false, true),
            (500, 500, false, false, true),
            (501, 0, false, false, false),
            (0, 501, false, false, false),
            (9_000, 9_000, false, false, false),
            (9_000, 9_000, true, false, true),
            (9_000, 9_000, false, true, true),
        ] {
            assert_eq!(goes_round((ms(claims), ms(reaper)), 1_000, is_stopping, is_blocked), is_alive, "{claims} {reaper}");
        }
    }
}
