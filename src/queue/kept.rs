//! A file that a process keeps open for a long time, and opens again when another one has taken its
//! place: the old one would answer forever.

use std::path::PathBuf;
use std::sync::Mutex;

use super::Queue;
use crate::error::Result;
use crate::store::{Options, Store};
use crate::sync::lock;

/// A file that is opened when it is asked for.
pub(crate) struct Kept {
    options: Options,
    open: Mutex<Open>,
}

struct Open {
    /// Without links, once it was opened.
    db: PathBuf,
    store: Option<Store>,
}

impl Kept {
    pub fn new(db: PathBuf, options: Options) -> Self {
        Self { options, open: Mutex::new(Open { db, store: None }) }
    }

    /// Returns the file. `anew` is called when it is opened again: another one has taken its place,
    /// or a flush has failed.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(&self, anew: impl FnOnce()) -> Result<Queue> {
        let mut open = lock(&self.open);
        if let Some(store) = &open.store {
            let health = store.health();
            if health.replaced.is_none() && health.fatal.is_none() {
                return Ok(Queue::of(store));
            }
            open.store = None;
            anew();
        }
        let store = Store::open(&open.db, self.options.clone())?;
        open.db = store.place().db().to_owned();
        Ok(Queue::of(open.store.insert(store)))
    }
}
