//! Small files in the directory beside the database, and the names in it: replaced atomically, and
//! made durable.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::owner;

/// Replaces a small file atomically: its name refers to the old bytes or to all the new ones at any
/// time. A write that must survive a power cut is followed by [`sync_directory`].
pub(in crate::store) fn replace_file(path: &Path, dir: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let put = || {
        let _of_one_that_was_killed = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        owner::give_file(&file, dir)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    put().map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

/// Makes the names in a directory durable.
pub(in crate::store) fn sync_directory(dir: &Path) -> Result<()> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::io(format!("syncing {}", dir.display()), error))
}
