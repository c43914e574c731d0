//! Observes the file of a run in `runs/`.

use super::handle::Attempt;
use crate::error::Result;
use crate::job::verdict::RunFile;
use crate::run::record::Records;
use crate::run::runfile::{self, Inspection};

/// The state of a run file.
pub struct Seen {
    pub file: RunFile,
    pub records: Records,
}

/// Reads the run file of an attempt.
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

/// Whether the file of that name belongs to the run.
///
/// # Errors
/// As [`observe`].
pub fn has_its_file(attempt: &Attempt<'_>) -> Result<bool> {
    Ok(matches!(observe(attempt)?.file, RunFile::Own { .. }))
}
