//! Leases of commands in the foreground: the rows in the file, and the lock files that say who
//! lives.
//!
//! ```text
//! lock file, locked ─▶ row ─▶ the command starts, with the lock inherited ─▶ its tree is empty ─▶ row gone ─▶ lock file gone
//! ```
//!
//! A crash between any two steps: a lock file without a row is swept; a row whose lock is free and
//! whose mark no process carries is reclaimed, by the next process that wants the lease and by
//! recovery; as long as anything of the tree lives, no other gets in. An owner that is a run is not
//! asked for here: its leases go with its row.
//!
//! Deliberately absent: a time to live, a heartbeat, any use of a recorded pid.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::job::{JobId, Nonce, RunId};
use crate::place::Place;
use crate::run::lease::{self as lockfile, Life, LockFile, Waiter};
use crate::run::machine;
use crate::store::Store;
use crate::store::lease::{self, Lease, Taken};

/// A process that waits for a lock is woken by the kernel; so often, in milliseconds, it looks at
/// the row as well, which an operator or the end of a run may have taken away.
const LOOK_MS: u64 = 500;
/// Between two looks at an owner whose lock is free although it is not gone (a run that is just
/// being settled), in milliseconds, at first; then twice as long each time, up to the above.
const LOOK_SOON_MS: u64 = 5;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    /// JSON array of the command that will have it.
    pub command: String,
    pub why: Option<String>,
    /// The job that it is part of, for showing.
    pub job: Option<JobId>,
}

/// A lease that is ours until it is freed, or until nothing of the tree lives that inherited it.
#[derive(Debug)]
pub struct Holding {
    name: String,
    lock: LockFile,
}

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    Yours(Holding),
    /// Another owner has it, and it was not waited for any longer.
    Held(Box<Lease>),
}

/// Acquires a lease for a command in the foreground, as soon as it is free, and no later than
/// `until` (`None`: it is not waited for). A holder that is dead does not count.
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
            // Another process was quicker.
            Err(unused) => lock = Some(unused),
        }
    }
}

/// Acquires it now, or returns the lock file where another owner has the lease.
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

/// The row, then the lock file's own word for it, then the row once more: a copy of the file that
/// came back in between has taken the leases over from the lock files that said something, and has
/// lost the others. And a row that was written into such a copy is worth nothing where a lock file
/// speaks for another, who was in before. False: another owner has the lease.
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

/// Another owner whose lock is held and whose lock file says that it has this lease, whatever the
/// rows say: they may be those of a copy that came back a moment ago.
fn unwritten(place: &Place, name: &str, own: Option<Nonce>) -> Result<Option<Lease>> {
    Ok(living(place)?.into_iter().find(|held| held.name == name && Some(held.nonce) != own))
}

/// One transaction: the dead holder out, we in. It is not flushed: after a power cut no owner
/// lives.
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

/// Acquires a lease for a run that has not ended, also from an owner in the foreground that is
/// gone. It is not waited for: `Some` says who has it.
///
/// # Errors
/// The run has ended, or the file cannot be used.
pub fn acquire_for_run(store: &Store, name: &str, run: RunId, why: Option<&str>) -> Result<Option<Box<Lease>>> {
    let mut dead: Option<Lease> = None;
    if let Some(held) = unwritten(store.place(), name, None)? {
        return Ok(Some(Box::new(held)));
    }
    loop {
        let (name, why, now_ms) = (name.to_owned(), why.map(str::to_owned), store.clock().now_ms());
        let (taken, _its_claim_is_not_flushed_either) = store.commit(move |conn| {
            if let Some(dead) = &dead {
                lease::reclaim(conn, dead, now_ms)?;
            }
            lease::take_for_run(conn, &name, run, why.as_deref(), now_ms)
        })?;
        match taken {
            Taken::Yours => return Ok(None),
            Taken::Held(held) if is_alive(store.place(), &held)? => return Ok(Some(held)),
            Taken::Held(held) => dead = Some(*held),
        }
    }
}

impl Holding {
    /// The random name of this holding.
    pub fn nonce(&self) -> Nonce {
        self.lock.nonce()
    }

    /// The descriptor that the command inherits.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The entry of the environment that the command inherits.
    pub fn mark(&self) -> (String, String) {
        self.lock.mark()
    }

    /// Releases it; everything that inherited it is gone. False: it was released by force
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

    /// Leaves it to what lives of the tree: reclaimed when that is gone.
    pub fn leave(self) -> Nonce {
        self.lock.nonce()
    }
}

/// Whether anything of an owner's tree lives. Of another boot of the machine nothing does.
///
/// # Errors
/// The system refuses to let us look.
pub fn is_alive(place: &Place, held: &Lease) -> Result<bool> {
    Ok(held.run.is_some() || (of_this_boot(held) && lockfile::life(place, held.nonce)? != Life::Gone))
}

/// `pid name` of what lives of an owner in the foreground whose own process, which is the recorded
/// one, has ended.
///
/// # Errors
/// The system refuses to let us look.
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

/// Waiting for one holder after the other.
#[derive(Default)]
struct Wait {
    on: Option<(Nonce, Waiter)>,
    /// Looks at this holder since its lock was free.
    looks: u32,
}

impl Wait {
    /// False when the time is up.
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
                // Its row goes in a moment; no event tells.
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
/// Returns what was reclaimed.
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

/// What cannot be looked at is not taken away.
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
/// what of its owner still lives.
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

/// Once a copy of the file has come back: records what was acquired meanwhile.
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

/// The leases whose lock file is held now, from what the lock files say: for a copy of the file
/// that comes back.
///
/// # Errors
/// The directory cannot be read.
pub fn living(place: &Place) -> Result<Vec<Lease>> {
    let read = |text: String| match serde_json::from_str::<Lease>(&text) {
        Ok(lease) => Some(lease),
        // One that waits, or that has it and has not said so yet: it looks at its row when it has.
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
