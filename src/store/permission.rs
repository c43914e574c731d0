//! Whoever may write the file may run commands as the worker's user. So the worker looks first who that is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::place::Place;

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// # Errors
/// [`Error::File`] if the file, what belongs to it, or a directory around it may be written by another user, or belongs to one.
pub(super) fn check_private(place: &Place) -> Result<()> {
    let around = place.db().parent().unwrap_or(Path::new("/"));
    for path in [around, place.dir(), place.db(), &place.wal(), &place.shm(), &place.secrets(), &place.runs()] {
        if let Ok(meta) = fs::metadata(path) {
            check_one(path, meta.mode(), meta.uid())?;
        }
    }
    Ok(())
}

fn check_one(path: &Path, mode: u32, owner: u32) -> Result<()> {
    let path_ = path.display();
    if mode & OTHERS_WRITE != 0 {
        return Err(Error::File(format!(
            "{path_} may be written by other users (mode {:04o}), who could then run commands as you; \
             chmod go-w {path_}, or allow it with --allow-shared",
            mode & 0o7777
        )));
    }
    let me = rustix::process::geteuid().as_raw();
    if owner != me && owner != 0 {
        return Err(Error::File(format!(
            "{path_} belongs to user {owner}, who could then run commands as you (user {me}); \
             run the worker as that user, or allow it with --allow-shared"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_write_or_own_is_refused_with_the_remedy() {
        let me = rustix::process::geteuid().as_raw();
        let path = Path::new("/x");
        check_one(path, 0o100_600, me).unwrap();
        check_one(path, 0o040_755, 0).unwrap();
        for (mode, owner) in [(0o100_620, me), (0o100_602, me), (0o041_777, 0), (0o100_600, me + 1)] {
            let text = check_one(path, mode, owner).unwrap_err().to_string();
            assert!(text.contains("--allow-shared"), "{text}");
        }
    }
}
