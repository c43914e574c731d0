//! What can be seen of a run in `runs/`.

use super::handle::Attempt;
use crate::error::Result;
use crate::job::verdict::RunFile;
use crate::run::record::Records;
use crate::run::runfile::{self, Inspection};

/// What was seen of a run.
pub struct Seen {
    pub file: RunFile,
    pub records: Records,
}

/// Looks at the run file of an attempt.
///
/// # Errors
/// The system refuses it.
pub fn observe(attempt: &Attempt<'_>) -> Result<Seen> {
    let (ctx, key) = (attempt.ctx, attempt.key);
    Ok(match runfile::inspect(ctx.place(), key.run)? {
        Inspection::Missing => Seen { file: RunFile::Missing, records: Records::default() },
        Inspection::Unreadable(_) => Seen { file: RunFile::Foreign, records: Records::default() },
        Inspection::Found { header, .. } if header.nonce != key.nonce || header.file_id != ctx.file_id => {
            Seen { file: RunFile::Foreign, records: Records::default() }
        }
        Inspection::Found { records, locked, .. } => {
            Seen { file: RunFile::Own { locked, progress: records.progress() }, records }
        }
    })
}

/// Whether the file of the run's name is its own.
///
/// # Errors
/// As [`look`].
pub fn has_its_file(attempt: &Attempt<'_>) -> Result<bool> {
    Ok(matches!(observe(attempt)?.file, RunFile::Own { .. }))
}
