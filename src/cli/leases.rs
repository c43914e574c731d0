//! Leases, with the state of their holders according to the kernel.

use crate::cli::view::lease::Seen;
use crate::error::Result;
use crate::host::lease as leases;
use crate::store::Store;
use crate::store::lease::{self, Lease};

/// Returns every lease, and whether its owner is alive.
///
/// # Errors
/// The file cannot be read.
pub fn all(store: &Store) -> Result<Vec<Seen>> {
    Ok(store.read(lease::list)?.into_iter().map(|held| inspect(store, held)).collect())
}

/// Returns whether the owner of a lease is alive. One that cannot be checked counts as alive.
pub fn inspect(store: &Store, lease: Lease) -> Seen {
    let is_alive = leases::is_alive(store.place(), &lease).unwrap_or_else(|error| {
        log::warn!("the lease {:?}: {error}", lease.name);
        true
    });
    let survivors = if is_alive { leases::survivors(store.place(), &lease).unwrap_or_default() } else { Vec::new() };
    Seen { lease, is_alive, survivors }
}

/// Releases a lease: by force if its owner lives, otherwise by reclaiming it. `None`: another
/// process was first.
///
/// # Errors
/// The file cannot be written.
pub fn force(store: &Store, seen: &Seen, by: &str) -> Result<Option<Vec<String>>> {
    if seen.is_alive {
        return leases::force_release(store, &seen.lease, by);
    }
    leases::reclaim(store)?;
    Ok(Some(Vec::new()))
}
