//! Releases a lease whose owner does not.

use crate::document::lease::Seen;
use crate::error::Result;
use crate::host::lease as leases;
use crate::store::Store;

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
