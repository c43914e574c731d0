//! The connections that a worker reads with: a few, opened when they are needed. No thread belongs to them, so that nothing of it fails where the
//! system gives no more threads.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::{self, Access};
use super::{Durability, lock};
use crate::error::{Error, Result};
use crate::place::Place;

/// Connections that read at the same time.
const READERS_MAX: usize = 4;
/// How long a caller waits for one of them, in milliseconds.
const READER_WAIT_MS: u64 = 5_000;

pub(super) struct Readers {
    place: Place,
    durability: Durability,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    in_use: usize,
}

impl Readers {
    pub(super) fn new(place: &Place, durability: Durability) -> Self {
        Self { place: place.clone(), durability, state: Arc::default() }
    }

    /// One that nobody else uses meanwhile.
    ///
    /// # Errors
    /// None was free in time, or a new one could not be opened.
    pub(super) fn get(&self) -> Result<Reader> {
        let (state, freed) = &*self.state;
        let until = Instant::now() + Duration::from_millis(READER_WAIT_MS);
        let mut free = lock(state);
        while free.idle.is_empty() && free.in_use >= READERS_MAX {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy(format!("no connection was free to read with for {READER_WAIT_MS} ms; try again")));
            }
            free = freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        free.in_use += 1;
        let idle = free.idle.pop();
        drop(free);
        let mut reader = Reader { conn: idle, state: self.state.clone() };
        if reader.conn.is_none() {
            reader.conn = Some(connection::connect(&self.place, Access::Read, self.durability)?);
        }
        Ok(reader)
    }
}

/// A connection that goes back when it is dropped.
pub(super) struct Reader {
    conn: Option<Connection>,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (state, freed) = &*self.state;
        let mut free = lock(state);
        free.in_use -= 1;
        // One that a panic has left inside a transaction is closed.
        free.idle.extend(self.conn.take().filter(Connection::is_autocommit));
        freed.notify_one();
    }
}
