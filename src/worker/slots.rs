//! How many slots a worker can serve with the descriptors that it may have.

use crate::error::{Error, Result};

/// Descriptors that a worker has open without any run, and what a moment needs.
const DESCRIPTORS: u64 = 32;
/// Descriptors that each run needs at the most.
const DESCRIPTORS_PER_SLOT: u64 = 4;

/// # Errors
/// So many slots would need more descriptors than this process may have: the number that it can serve.
pub(super) fn can_serve(slots: usize, open_files_max: Option<u64>) -> Result<()> {
    let Some(most) = open_files_max else { return Ok(()) };
    let can = most.saturating_sub(DESCRIPTORS) / DESCRIPTORS_PER_SLOT;
    if slots as u64 <= can {
        return Ok(());
    }
    let needs = DESCRIPTORS + DESCRIPTORS_PER_SLOT * slots as u64;
    let can = if can == 0 { "not even one slot can be served".to_owned() } else { format!("use at most --slots {can}") };
    Err(Error::Refused(format!(
        "--slots {slots} needs {needs} open files, and the hard limit is {most}; {can}, or raise the limit (ulimit -Hn, LimitNOFILE=)"
    )))
}
