//! A worker that a signal has stopped between two writes: inside one it would hold up every client that writes.

use std::time::Duration;

use super::{Nest, Signal, kill, until};

/// Holds a worker stopped, and continues it when dropped.
pub struct Stopped(i32);

impl Stopped {
    /// Stops the worker again and again until it stands still without the write lock.
    pub fn between_writes(nest: &Nest, worker: i32) -> Self {
        until("an instant without a write", || {
            let stopped = Self(worker);
            kill(worker, Signal::STOP);
            until("each thread to stand still", || all_stand_still(worker).then_some(()));
            let conn = nest.sql();
            conn.busy_timeout(Duration::ZERO).unwrap();
            conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok().then_some(stopped)
        })
    }
}

/// Whether the kernel says of each thread that it is stopped.
fn all_stand_still(pid: i32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::CONT);
    }
}
