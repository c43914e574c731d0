//! Acquires the worker lock of a file.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::host::lock::{Holder, Kind, WorkerLock};
use crate::host::waker;
use crate::store::Store;
use crate::worker::options::Options;

/// How long a `work` waits for a `run` to release the lock, in milliseconds.
const YIELD_MS: u64 = 10_000;

/// Acquires the worker lock; a `tenure run` is asked to release it.
pub fn take_lock(client: &Store, options: &Options, instance: &str, now_ms: i64) -> Result<WorkerLock> {
    let place = client.place();
    let until = Instant::now() + Duration::from_millis(YIELD_MS);
    loop {
        let holder = match WorkerLock::take(place, options.kind, options.slots, instance, now_ms)? {
            Ok(lock) => return Ok(lock),
            Err(holder) => holder,
        };
        // The lock of a worker that was killed while it started a process is held by that process
        // for an instant.
        let is_dying = holder.is_here() && !Path::new(&format!("/proc/{}", holder.pid)).exists();
        let yields = options.kind == Kind::Work && holder.kind == Kind::Run.as_str();
        if !(is_dying || yields) || Instant::now() > until {
            return Err(refused(&holder));
        }
        if yields {
            waker::ask_to_yield(place);
        }
        // The other process releases it within milliseconds; there is no event for that.
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn refused(holder: &Holder) -> Error {
    Error::Held(format!(
        "this file has a worker already ({}, tenure {}); stop it first, or name another file with --db",
        holder.named(),
        holder.kind
    ))
}
