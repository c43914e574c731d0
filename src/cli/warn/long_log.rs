//! Warns once about a log that grows while many jobs are added, because a program keeps an old
//! snapshot of the file open.

use crate::cli::face;
use crate::store::Store;
use crate::units::size_text;

/// Size of the log above which a program that reads is named, in bytes.
const LOG_TOLD_BYTES: u64 = 64 << 20;

/// Whether the warning was given.
#[derive(Default)]
pub struct LongLog(bool);

impl LongLog {
    /// Checks the log between two transactions.
    pub fn check(&mut self, store: &Store) {
        let is_long = || std::fs::metadata(store.place().wal()).is_ok_and(|meta| meta.len() > LOG_TOLD_BYTES);
        if self.0 || !is_long() {
            return;
        }
        let health = store.health();
        let Some(reader) = health.readers.first() else { return };
        face::say(&format!(
            "warning: the write-ahead log has grown to {}; {reader} keeps an old snapshot open; end that program",
            size_text(health.wal_bytes)
        ));
        self.0 = true;
    }
}
