//! A lease as seen from outside.

use crate::store::lease::Lease;

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
