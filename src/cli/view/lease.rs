//! A lease as it is seen from outside.

use crate::store::lease::Lease;

/// A lease with what the kernel says of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub lease: Lease,
    pub is_alive: bool,
    /// What lives of a command whose `tenure lease run` has ended: `pid name` of each.
    pub survivors: Vec<String>,
}

impl Seen {
    pub fn state(&self) -> &'static str {
        if self.is_alive { "held" } else { "dead" }
    }
}
