//! Noting, in the directory beside the file, how far the file has been (`store::stamp`).

use crate::error::Result;
use crate::store::{Store, stamp};

/// Notes how far the file has been; what it says is on the disk.
pub(super) fn note(store: &Store) -> Result<()> {
    let now = store.read(stamp::current)?;
    stamp::write(store.place(), &now)
}
