//! Records the highest ids of the file in the directory beside it (`store::file::stamp`).

use crate::error::Result;
use crate::store::{Store, file::stamp};

/// Records them; the values are durable in the file.
pub(super) fn note(store: &Store) -> Result<()> {
    let now = store.read(stamp::current)?;
    stamp::write(store.place(), &now)
}
