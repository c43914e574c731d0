//! How many slots a worker can serve with its limit of descriptors.

use crate::error::{Error, Result};
use crate::run::open_files;

/// Descriptors of a worker without runs, with a reserve.
const DESCRIPTORS: u64 = 40;
/// Most descriptors of a run.
const DESCRIPTORS_PER_SLOT: u64 = 4;
/// Descriptors of a `tenure run` that follows its job while it is the worker.
const DESCRIPTORS_TO_FOLLOW: u64 = 8;

/// Returns the most slots that a worker with this limit of open files can serve.
pub fn slots_under(open_files_max: u64) -> u64 {
    open_files_max.saturating_sub(DESCRIPTORS) / DESCRIPTORS_PER_SLOT
}

/// # Errors
/// The slots would need more descriptors than this process may have; names the number that it can
/// serve.
pub fn can_serve(slots: usize, open_files_max: Option<u64>) -> Result<()> {
    let Some(most) = open_files_max else { return Ok(()) };
    let can = slots_under(most);
    if slots as u64 <= can {
        return Ok(());
    }
    let needs = DESCRIPTORS + DESCRIPTORS_PER_SLOT * slots as u64;
    let fewer = if can == 0 { String::new() } else { format!("use at most --slots {can}, or ") };
    Err(Error::Refused(format!(
        "--slots {slots} needs {needs} open files, and the hard limit is {most}; {fewer}raise the limit (ulimit -Hn, LimitNOFILE=)"
    )))
}

/// Checks that a `tenure run` in this process can be the worker of its job. Raises the limit if
/// possible.
///
/// # Errors
/// It may not have enough descriptors.
pub fn can_run() -> Result<()> {
    let needs = DESCRIPTORS + DESCRIPTORS_PER_SLOT + DESCRIPTORS_TO_FOLLOW;
    match open_files::raise() {
        Some(most) if most < needs => Err(Error::Unfit(format!(
            "the limit on open files of this process is {most}, and to run a job here needs {needs}; raise it (ulimit -Hn, LimitNOFILE=)"
        ))),
        _ => Ok(()),
    }
}
