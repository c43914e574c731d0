//! Files in `secrets/`: inputs of jobs outside the file, removed once no job needs them.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use crate::place::Place;
use crate::store::Ticket;

impl Context {
    /// Removes the secrets that a transaction has freed, after the flush that covers it: after a
    /// power cut the job would start again without them.
    pub fn remove_secrets_after_flush(self: &Arc<Self>, ticket: Ticket, freed: Vec<String>) {
        if !freed.is_empty() {
            let then = Arc::clone(self);
            self.store.after_flush(ticket, move || remove(then.place(), &freed));
        }
    }
}

/// Removes secrets that no job needs any more.
pub(super) fn remove(place: &Place, tokens: &[String]) {
    tokens.iter().for_each(|token| remove_one(place, token));
}

fn remove_one(place: &Place, token: &str) {
    if !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        remove_file(&place.secret_file(token));
    }
}

/// Removes a file of `secrets/`; the next round tries again if that fails.
pub(super) fn remove_file(path: &Path) {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => log::warn!("removing a secret: {e} (recovery tries again)"),
        _ => {}
    }
}
