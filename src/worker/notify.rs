//! What the service manager is told.

use sd_notify::NotifyState;

/// How much more time is asked for while the worker waits, in microseconds.
const EXTEND_USEC: u32 = 10_000_000;

/// The worker serves.
pub(super) fn ready() {
    send(&[NotifyState::Ready]);
}

/// The worker ends, and waits for this.
pub(super) fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status), NotifyState::ExtendTimeoutUsec(EXTEND_USEC)]);
}

fn send(states: &[NotifyState<'_>]) {
    let _not_under_a_service_manager = sd_notify::notify(states);
}
