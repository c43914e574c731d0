//! Leases of foreground commands: the rows in the file, and the lock files that show which owners
//! are alive.
//!
//! ```text
//! lock file, locked ─▶ row ─▶ the command starts, with the lock inherited ─▶ its tree is empty ─▶ row gone ─▶ lock file gone
//! ```
//!
//! Under a crash between any two steps: a lock file without a row is swept; a row whose lock is
//! free and whose mark no process carries is reclaimed, by the next process that wants the lease
//! and by recovery. While any process of the tree is alive, no other owner acquires the lease.
//! The lease of a run that prepares a workspace is written and released by the store, with the row
//! of that run; here it is only waited for.
//!
//! Deliberately absent: a time to live, a heartbeat, any use of a recorded pid.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::job::{JobId, Nonce};
use crate::place::Place;
use crate::run::lease::{self as lockfile, Life, LockFile, Waiter};
use crate::run::machine;
use crate::store::Store;
use crate::store::lease::{self, Lease, Taken};

/// A process that waits for a lock is woken by the kernel; at this interval, in milliseconds, it
/// also checks the row, which an operator or the end of a run may have deleted.
const LOOK_MS: u64 = 500;
/// First interval between two checks of an owner whose lock is free although it is not gone (a run
/// that is just being settled), in milliseconds; it doubles up to the above.
const LOOK_SOON_MS: u64 = 5;

/// A lease to acquire.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    /// JSON array of the command that will hold it.
    pub command: String,
    pub why: Option<String>,
    /// The job that the command is part of, for display.
    pub job: Option<JobId>,
}

/// A held lease, until it is released, or until no process of the tree is alive that inherited it.
#[derive(Debug)]
pub struct Holding {
    name: String,
    lock: LockFile,
}

/// Result of acquiring a lease.
#[derive(Debug)]
pub enum Answer {
    Yours(Holding),
    /// Another owner holds it, and the wait is over.
    Held(Box<Lease>),
}

/// Acquires a lease for a foreground command as soon as it is free, but not after `until` (`None`:
/// does not wait). A dead holder does not count.
///
/// # Errors
/// The file or the lock file cannot be used.
pub fn acquire(store: &Store, wanted: &Wanted, until: Option<Instant>) -> Result<Answer> {
    let mut wait = Wait::default();
    let mut lock = None;
    loop {
        let name = wanted.name.clone();
        let held = store.read(move |conn| lease::named(conn, &name))?;
        let dead = match held {
            Some(held) if is_alive(store.place(), &held)? => {
                if !wait.until_it_may_be_free(store.place(), &held, until)? {
                    lock.inspect(LockFile::remove);
                    return Ok(Answer::Held(Box::new(held)));
                }
                continue;
            }
            dead => dead,
        };
        if let Some(held) = unwritten(store.place(), &wanted.name, lock.as_ref().map(LockFile::nonce))? {
            if !wait.until_it_may_be_free(store.place(), &held, until)? {
                lock.inspect(LockFile::remove);
                return Ok(Answer::Held(Box::new(held)));
            }
            continue;
        }
        let own = match lock.take() {
            Some(own) => own,
            None => LockFile::make(store.place())?,
        };
        match try_acquire(store, wanted, own, dead)? {
            Ok(holding) => return Ok(Answer::Yours(holding)),
            // Another process was first.
            Err(unused) => lock = Some(unused),
        }
    }
}

/// Acquires it now, or returns the lock file if another owner holds the lease.
fn try_acquire(
    store: &Store,
    wanted: &Wanted,
    mut lock: LockFile,
    dead: Option<Lease>,
) -> Result<std::result::Result<Holding, LockFile>> {
    let now_ms = store.clock().now_ms();
    let row = Lease {
        name: wanted.name.clone(),
        nonce: lock.nonce(),
        run: None,
        job: wanted.job,
        pid: i32::try_from(std::process::id()).ok(),
        command: wanted.command.clone(),
        why: wanted.why.clone(),
        boot_id: machine::boot_id(),
        since: now_ms,
    };
    let gone = dead.as_ref().map(|dead| dead.nonce);
    match record(store, &row, dead, &mut lock) {
        Ok(true) => {
            gone.into_iter().for_each(|nonce| lockfile::forget(store.place(), nonce));
            Ok(Ok(Holding { name: wanted.name.clone(), lock }))
        }
        Ok(false) => Ok(Err(lock)),
        Err(error) => {
            lock.remove();
            Err(error)
        }
    }
}

/// Writes the row, then the lock file's own record, then checks the row again: a copy of the file
/// that was restored in between has taken over the leases that lock files recorded, and has lost
/// the others. A row in such a copy does not count if a lock file records an earlier owner. False:
/// another owner holds the lease.
fn record(store: &Store, row: &Lease, dead: Option<Lease>, lock: &mut LockFile) -> Result<bool> {
    let text = serde_json::to_string(row).map_err(|e| Error::Internal(e.to_string()))?;
    if !commit(store, row, dead)? {
        return Ok(false);
    }
    lock.describe(&text)?;
    let name = row.name.clone();
    let is_ours = store.read(move |conn| lease::named(conn, &name))?.is_some_and(|held| held.nonce == row.nonce)
        || commit(store, row, None)?;
    if is_ours && unwritten(store.place(), &row.name, Some(row.nonce))?.is_none() {
        return Ok(true);
    }
    lock.describe("")?;
    if is_ours {
        let (name, nonce) = (row.name.clone(), row.nonce);
        store.commit(move |conn| lease::free(conn, &name, nonce))?;
    }
    Ok(false)
}

/// Returns another owner whose lock is held and whose lock file records this lease. The
/// rows are not read, as they may be those of a copy that was just restored.
fn unwritten(place: &Place, name: &str, own: Option<Nonce>) -> Result<Option<Lease>> {
    Ok(living(place)?.into_iter().find(|held| held.name == name && Some(held.nonce) != own))
}

/// One transaction replaces the dead holder. It is not flushed: no owner survives a power cut.
fn commit(store: &Store, row: &Lease, dead: Option<Lease>) -> Result<bool> {
    let row = row.clone();
    let (taken, _) = store.commit(move |conn| {
        if let Some(dead) = &dead {
            lease::reclaim(conn, dead, row.since)?;
        }
        lease::take(conn, &row)
    })?;
    Ok(taken == Taken::Yours)
}

impl Holding {
    /// Returns the nonce of this holding.
    pub fn nonce(&self) -> Nonce {
        self.lock.nonce()
    }

    /// Returns the descriptor that the command inherits.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Returns the environment variable that the command inherits.
    pub fn mark(&self) -> (String, String) {
        self.lock.mark()
    }

    /// Releases it; every process that inherited it is gone. False: it was released by force
    /// meanwhile.
    ///
    /// # Errors
    /// The file cannot be written: the next process that wants the lease sees that its owner is
    /// gone.
    pub fn release(self, store: &Store) -> Result<bool> {
        let (name, nonce) = (self.name, self.lock.nonce());
        let (freed, _needs_no_flush) = store.commit(move |conn| lease::free(conn, &name, nonce))?;
        self.lock.remove();
        Ok(freed)
    }

    /// Leaves it to the remaining processes of the tree: it is reclaimed when they are gone.
    pub fn leave(self) -> Nonce {
        self.lock.nonce()
    }
}

/// Whether any process of an owner's tree is alive. None survives a reboot.
///
/// # Errors
/// The system refuses the check.
pub fn is_alive(place: &Place, held: &Lease) -> Result<bool> {
    Ok(held.run.is_some() || (of_this_boot(held) && lockfile::life(place, held.nonce)? != Life::Gone))
}

/// Returns `pid name` of the remaining processes of a foreground owner whose own process, the
/// recorded one, has ended.
///
/// # Errors
/// The system refuses the check.
pub fn survivors(place: &Place, held: &Lease) -> Result<Vec<String>> {
    if held.run.is_some() || !of_this_boot(held) {
        return Ok(Vec::new());
    }
    let all = lockfile::owners(place, held.nonce)?;
    let is_own = |one: &String| held.pid.is_some_and(|pid| one.starts_with(&format!("{pid} ")));
    Ok(if all.iter().any(is_own) { Vec::new() } else { all })
}

fn of_this_boot(held: &Lease) -> bool {
    held.boot_id == machine::boot_id()
}

/// Waits for one holder after the other.
#[derive(Default)]
struct Wait {
    on: Option<(Nonce, Waiter)>,
    /// Checks of this holder since its lock was free.
    looks: u32,
}

impl Wait {
    /// Returns false when the time is up.
    fn until_it_may_be_free(&mut self, place: &Place, held: &Lease, until: Option<Instant>) -> Result<bool> {
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(false);
        }
        let at_most = left.min(Duration::from_millis(LOOK_MS));
        let waiter = match self.on.take() {
            Some((nonce, waiter)) if nonce == held.nonce => waiter,
            _ => {
                self.looks = 0;
                Waiter::on(lock_of(place, held))?
            }
        };
        let (_, waiter) = self.on.insert((held.nonce, waiter));
        if !waiter.wait(at_most) {
            return Ok(true);
        }
        match lockfile::life(place, held.nonce)? {
            Life::Marked(pids) if held.run.is_none() => lockfile::wait_for_an_end(&pids, at_most),
            _ => {
                let soon = Duration::from_millis(LOOK_SOON_MS.saturating_mul(1 << self.looks.min(16)));
                self.looks += 1;
                // Its row will be deleted in a moment; there is no event for that.
                thread::sleep(at_most.min(soon));
            }
        }
        Ok(true)
    }
}

fn lock_of(place: &Place, held: &Lease) -> PathBuf {
    match held.run {
        Some(run) => place.run_file(run),
        None => place.lease_file(held.nonce),
    }
}

/// Reclaims the leases of holders that are gone, and removes lock files that are not needed.
/// Returns the reclaimed leases.
///
/// # Errors
/// The file or the directory cannot be used.
pub fn reclaim(store: &Store) -> Result<Vec<Lease>> {
    let now_ms = store.clock().now_ms();
    let all = store.read(lease::list)?;
    let of_runs = all.iter().any(|held| held.run.is_some());
    let dead: Vec<Lease> = all.into_iter().filter(|held| !counts_as_alive(store.place(), held)).collect();
    let reclaimed = if of_runs || !dead.is_empty() { reclaim_all(store, dead, now_ms)? } else { Vec::new() };
    lockfile::sweep(store.place(), || Ok(store.read(lease::list)?.into_iter().map(|held| held.nonce).collect()))?;
    Ok(reclaimed)
}

/// A holder that cannot be checked counts as alive.
fn counts_as_alive(place: &Place, held: &Lease) -> bool {
    is_alive(place, held).unwrap_or_else(|error| {
        log::warn!("the lease {:?}: {error}", held.name);
        true
    })
}

fn reclaim_all(store: &Store, dead: Vec<Lease>, now_ms: i64) -> Result<Vec<Lease>> {
    let (reclaimed, ticket) = store.commit(move |conn| {
        lease::reclaim_of_ended_runs(conn, now_ms)?;
        let mut reclaimed = Vec::new();
        for one in &dead {
            if lease::reclaim(conn, one, now_ms)? {
                reclaimed.push(one.clone());
            }
        }
        Ok(reclaimed)
    })?;
    if !reclaimed.is_empty() {
        store.flushed(ticket)?;
    }
    Ok(reclaimed)
}

/// Releases a lease by force; its holder continues. `None`: that holding is over already. Otherwise
/// returns the live processes of the holder.
///
/// # Errors
/// The file cannot be written.
pub fn force_release(store: &Store, held: &Lease, by: &str) -> Result<Option<Vec<String>>> {
    let (place, nonce) = (store.place(), held.nonce);
    let living = if held.run.is_none() && of_this_boot(held) { lockfile::owners(place, nonce)? } else { Vec::new() };
    let (held, by, now_ms) = (held.clone(), by.to_owned(), store.clock().now_ms());
    if !store.write(move |conn| lease::force(conn, &held, &by, now_ms))? {
        return Ok(None);
    }
    lockfile::forget(place, nonce);
    Ok(Some(living))
}

/// After a copy of the file was restored: records the leases that were acquired meanwhile.
///
/// # Errors
/// The directory or the file cannot be used.
pub fn add_living(store: &Store) -> Result<()> {
    let living = living(store.place())?;
    if !living.is_empty() {
        store.commit(move |conn| lease::add_living(conn, &living))?;
    }
    Ok(())
}

/// Returns the leases whose lock file is held now, as the lock files record them: for a copy of the
/// file that is restored.
///
/// # Errors
/// The directory cannot be read.
pub fn living(place: &Place) -> Result<Vec<Lease>> {
    let read = |text: String| match serde_json::from_str::<Lease>(&text) {
        Ok(lease) => Some(lease),
        // Its process waits, or holds it and has not recorded that yet: it checks its row then.
        Err(_) if text.is_empty() => None,
        Err(error) => {
            log::warn!("a lock file in {} is held and does not say by whom: {error}", place.leases().display());
            None
        }
    };
    Ok(lockfile::held(place)?.into_iter().filter_map(read).filter(of_this_boot).collect())
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
