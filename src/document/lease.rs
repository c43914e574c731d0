//! Leases, with the state of their holders according to the kernel.

use serde_json::{Value, json};

use crate::clock::rfc3339 as utc;
use crate::error::Result;
use crate::host::lease as leases;
use crate::store::Store;
use crate::store::lease::{self, Lease};

/// A lease with the state of its owner according to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub lease: Lease,
    pub is_alive: bool,
    /// The live processes of a command whose `tenure lease run` has ended: `pid name` of each.
    pub survivors: Vec<String>,
}

impl Seen {
    pub fn state(&self) -> &'static str {
        if self.is_alive { "held" } else { "dead" }
    }
}

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

/// A lease as a script reads it.
pub fn document(seen: &Seen) -> Value {
    let held = &seen.lease;
    json!({
        "name": held.name,
        "state": seen.state(),
        "job": held.job,
        "run": held.run,
        "pid": held.pid,
        "command": serde_json::from_str::<Value>(&held.command).unwrap_or_else(|_| held.command.clone().into()),
        "why": held.why,
        "since": utc(held.since),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture;

    #[test]
    fn the_document_has_the_keys_of_the_contract() {
        let expected = json!({"name": "gpu", "state": "held", "job": 7, "run": null, "pid": 4711, "command": ["make", "-j8"],
                              "why": "the nightly build", "since": "1970-01-01T00:00:01.000Z"});
        assert_eq!(document(&fixture::lease()), expected);
    }
}
