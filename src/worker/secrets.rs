//! When the worker removes files of `secrets/`: after the flush.

use std::sync::Arc;

use super::context::Context;
use crate::host::secrets;
use crate::store::Ticket;

impl Context {
    /// Removes the secrets that a transaction has freed, after the flush that covers it: after a
    /// power cut the job would start again without them.
    pub fn remove_secrets_after_flush(self: &Arc<Self>, ticket: Ticket, freed: Vec<String>) {
        if !freed.is_empty() {
            let then = Arc::clone(self);
            self.store.after_flush(ticket, move || secrets::remove(then.place(), &freed));
        }
    }
}
