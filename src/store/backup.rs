//! A copy of the file while it is in use, through SQLite's backup API: never by reading the file ourselves.
//!
//! The copy is one plain file (no log beside it), checked, 0600, and stands under its name only when it is complete and on the disk.
//! Logs, run files and secrets are not in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, renameat_with};

use super::connection::{Access, BUSY_TIMEOUT_MS, connect, flags};
use super::open::{Thorough, check_structure, random_name};
use super::path::sync_directory;
use super::watch::FileId;
use super::{Durability, locks};
use crate::error::{Error, Result};
use crate::place::Place;

/// Time between two tries to get at a file that is being written, in milliseconds.
const RETRY_MS: u64 = 10;

pub(super) fn backup(place: &Place, to: &Path, overwrite: bool) -> Result<()> {
    let to = target(place, to, overwrite)?;
    let source = connect(place, Access::Read, Durability::Full)?;
    let copy = Copy::make(&source, to.parent().unwrap_or(Path::new("/")))?;
    copy.become_file(&to, overwrite)
}

/// The real path of the copy, if it may be written.
fn target(place: &Place, to: &Path, overwrite: bool) -> Result<PathBuf> {
    let shown = to.display();
    let (Some(name), Ok(to)) = (to.file_name(), std::path::absolute(to)) else {
        return Err(Error::Usage(format!("{shown} is not the name of a file")));
    };
    let parent = to.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().map_err(|error| Error::io(format!("looking for {}", parent.display()), error))?;
    let to = parent.join(name);
    let Ok(meta) = std::fs::symlink_metadata(&to) else { return Ok(to) };
    let ours = [place.db().to_owned(), place.wal(), place.shm()];
    if ours.iter().any(|path| FileId::at(path) == Some(FileId::of(&meta))) {
        return Err(Error::Usage(format!("{shown} is the file itself; name another")));
    }
    if !meta.is_file() {
        return Err(Error::Usage(format!("{shown} is there and is not a regular file; name another")));
    }
    if !overwrite {
        return Err(Error::Refused(format!("{shown} is there already; name another file, or overwrite it with --overwrite")));
    }
    let there = Place::new(to);
    if there.wal().exists() || !locks::openers(&there).is_empty() {
        return Err(Error::Refused(format!("{shown} is in use by SQLite, or has a log beside it; name another file")));
    }
    Ok(there.db().to_owned())
}

/// A finished copy under a temporary name, which is removed unless it becomes a file of its own.
pub(super) struct Copy {
    place: Place,
}

impl Copy {
    /// Copies what `source` sees now into a new file in `dir`, and checks the copy.
    pub(super) fn make(source: &Connection, dir: &Path) -> Result<Self> {
        let path = dir.join(format!(".tenure-{}.tmp", random_name()?));
        rustix::fs::mknodat(CWD, &path, FileType::RegularFile, Mode::from_raw_mode(0o600), 0)
            .map_err(|error| Error::io(format!("making a file in {}", dir.display()), error))?;
        let copy = Self { place: Place::new(path) };
        let mut conn = copy.open()?;
        // Nobody else knows this file, and it is synced whole before it gets its name.
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")?;
        copy_into(source, &mut conn)?;
        conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        check_structure(&conn, Thorough::No)?;
        conn.close().map_err(|(_, error)| error)?;
        copy.sync()?;
        Ok(copy)
    }

    pub(super) fn open(&self) -> Result<Connection> {
        Ok(Connection::open_with_flags(self.place.db(), flags(Access::Write))?)
    }

    /// Nobody has it open now, so that it may be opened for this.
    fn sync(&self) -> Result<()> {
        let path = self.place.db();
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io(format!("syncing {}", path.display()), error))
    }

    pub(super) fn become_file(self, to: &Path, overwrite: bool) -> Result<()> {
        self.sync()?;
        let how = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, self.place.db(), CWD, to, how) {
            Ok(()) => sync_directory(to.parent().unwrap_or(Path::new("/"))),
            Err(rustix::io::Errno::EXIST) => Err(Error::Refused(format!(
                "{} is there already; name another file, or overwrite it with --overwrite",
                to.display()
            ))),
            Err(error) => Err(Error::io(format!("renaming the copy to {}", to.display()), error)),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let mut journal = self.place.db().as_os_str().to_owned();
        journal.push("-journal");
        for path in [self.place.db().to_owned(), self.place.wal(), self.place.shm(), journal.into()] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Copies all pages in one step, which is one snapshot of the source and one transaction of the target.
pub(super) fn copy_into(source: &Connection, target: &mut Connection) -> Result<()> {
    let began = Instant::now();
    let backup = Backup::new(source, target)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ if began.elapsed() < Duration::from_millis(BUSY_TIMEOUT_MS) => thread::sleep(Duration::from_millis(RETRY_MS)),
            _ => return Err(Error::Busy("another program keeps the file locked; end its transaction and try again".into())),
        }
    }
}
