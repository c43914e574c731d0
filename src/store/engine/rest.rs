//! What a worker's store gives back when nothing was written for some seconds: the pages in the
//! caches of its connections, all readers but one, and what the allocator keeps free.

use crate::error::Result;
use crate::store::engine::readers::Readers;

/// Gives back, after `writer` has emptied the cache of the connection that writes.
pub(in crate::store) fn give_back(writer: impl FnOnce() -> rusqlite::Result<()>, readers: &Readers) -> Result<()> {
    let of_writer = writer();
    let of_readers = readers.rest();
    give_back_heap();
    of_writer?;
    of_readers
}

/// The allocator keeps what SQLite has freed for its next use.
fn give_back_heap() {
    // SAFETY: it touches only what is free, under the locks of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
