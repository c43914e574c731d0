//! Wakes one loop of the worker before its wait is over.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Wakes a loop; any number of calls before its next round cause one round.
pub(super) struct LoopWaker {
    tx: Sender<()>,
    rx: Receiver<()>,
}

impl LoopWaker {
    pub fn new() -> Self {
        let (tx, rx) = bounded(1);
        Self { tx, rx }
    }

    pub fn wake(&self) {
        let _one_is_waiting_already = self.tx.try_send(());
    }

    /// Waits until it is woken, or for this long.
    pub fn wait(&self, at_most: Duration) {
        let _a_timeout_is_a_round_too = self.rx.recv_timeout(at_most);
    }
}
