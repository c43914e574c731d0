//! Copies the file while it is in use, through SQLite's backup API: the file is never read
//! directly.
//!
//! The copy is one plain file (without a log), checked, with mode 0600, and gets its name only when
//! it is complete and durable. Logs, run files and secrets are not part of it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, renameat_with};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection::{Access, BUSY_TIMEOUT_MS, connect, flags};
use crate::store::engine::locks;
use crate::store::engine::options::Durability;
use crate::store::engine::small_file::sync_directory;
use crate::store::engine::store::Store;
use crate::store::engine::structure::{Thorough, check_structure};
use crate::store::engine::watch::FileId;
use crate::store::file::identity::random_name;

/// Start of the name of a temporary directory for a copy, around a random number.
const TEMPORARY_BEFORE: &str = ".tenure-";
const TEMPORARY_AFTER: &str = ".tmp";
/// How often a temporary directory is created again because another process swept it before it was
/// locked.
const TRIES_MAX: u32 = 100;
/// Interval between two attempts to read a file that is being written, in milliseconds.
const RETRY_MS: u64 = 10;
/// How SQLite is asked to copy the whole file in one step.
const ALL_PAGES: i32 = -1;

pub(in crate::store) fn backup(place: &Place, to: &Path, overwrite: bool) -> Result<()> {
    let to = target(place, to, overwrite)?;
    let source = connect(place, Access::Read, Durability::Full)?;
    let copy = Copy::make(&source, to.parent().unwrap_or(Path::new("/")))?;
    copy.become_file(&to, overwrite)
}

/// Returns the real path of the copy, if it may be written.
fn target(place: &Place, to: &Path, overwrite: bool) -> Result<PathBuf> {
    let shown = to.display();
    let (Some(name), Ok(to)) = (to.file_name(), std::path::absolute(to)) else {
        return Err(Error::Invalid(format!("{shown} is not the name of a file")));
    };
    let parent = to.parent().unwrap_or(Path::new("/"));
    let parent = parent.canonicalize().map_err(|error| Error::io(format!("resolving {}", parent.display()), error))?;
    let to = parent.join(name);
    let Ok(meta) = std::fs::symlink_metadata(&to) else { return Ok(to) };
    let ours = [place.db().to_owned(), place.wal(), place.shm()];
    if ours.iter().any(|path| FileId::at(path) == Some(FileId::of(&meta))) {
        return Err(Error::Invalid(format!("{shown} is the file itself; name another")));
    }
    if !meta.is_file() {
        return Err(Error::Invalid(format!("{shown} is there and is not a regular file; name another")));
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

/// A finished copy in a temporary directory, which is locked while this process lives and removed
/// at the end.
pub(in crate::store) struct Copy {
    place: Place,
    directory: PathBuf,
    _locked: File,
}

impl Copy {
    /// Copies what `source` sees now into a new file in `dir`, and checks the copy.
    pub(in crate::store) fn make(source: &Connection, dir: &Path) -> Result<Self> {
        let copy = Self::make_as_it_is(source, dir)?;
        check_structure(&copy.open()?, Thorough::No)?;
        Ok(copy)
    }

    /// The same for a file that may be damaged.
    pub(in crate::store) fn make_as_it_is(source: &Connection, dir: &Path) -> Result<Self> {
        // A leftover of a backup that was killed.
        sweep(dir);
        let (directory, locked) = temporary(dir)?;
        let path = directory.join("copy");
        rustix::fs::mknodat(CWD, &path, FileType::RegularFile, Mode::from_raw_mode(0o600), 0)
            .map_err(|error| Error::io(format!("making a file in {}", dir.display()), error))?;
        let copy = Self { place: Place::new(path), directory, _locked: locked };
        let mut conn = copy.open()?;
        // No other process knows this file, and it is synced as a whole before it gets its name.
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")?;
        copy_into(source, &mut conn)?;
        conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        conn.close().map_err(|(_, error)| error)?;
        copy.sync()?;
        Ok(copy)
    }

    pub(in crate::store) fn path(&self) -> &Path {
        self.place.db()
    }

    /// Gives the copy to the owner of the original, if root creates it.
    pub(in crate::store) fn give_to_owner_of(&self, like: &Path) -> Result<()> {
        // No process has the copy open at this point.
        let path = self.path();
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(no_link).open(path);
        let given = opened.and_then(|file| crate::owner::give_file(&file, like));
        given.map_err(|error| Error::io(format!("giving {} to its owner", path.display()), error))
    }

    pub(in crate::store) fn open(&self) -> Result<Connection> {
        Ok(Connection::open_with_flags(self.place.db(), flags(Access::Write))?)
    }

    /// No process has it open at this point, so it may be opened here.
    fn sync(&self) -> Result<()> {
        let path = self.place.db();
        File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io(format!("syncing {}", path.display()), error))
    }

    pub(in crate::store) fn become_file(self, to: &Path, overwrite: bool) -> Result<()> {
        self.sync()?;
        let from = self.place.db();
        let renamed = if overwrite { rustix::fs::rename(from, to) } else { rename_to_new(from, to) };
        match renamed {
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
        // What cannot be removed now is removed by the next sweep.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Gives a file its name, and fails if the name is taken.
fn rename_to_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems (ZFS before 2.2, eCryptfs) do not know this flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::link(from, to)?;
            rustix::fs::unlink(from)
        }
        renamed => renamed,
    }
}

/// Creates a locked directory in `dir`.
fn temporary(dir: &Path) -> Result<(PathBuf, File)> {
    let told = |error: std::io::Error| Error::io(format!("making a file in {}", dir.display()), error);
    for _ in 0..TRIES_MAX {
        let path = dir.join(format!("{TEMPORARY_BEFORE}{}{TEMPORARY_AFTER}", random_name()?));
        DirBuilder::new().mode(0o700).create(&path).map_err(told)?;
        // A concurrent sweep takes it for a leftover and removes it: then another one is created.
        if let Some(locked) = lock_directory(&path)
            && FileId::at(&path) == locked.metadata().ok().as_ref().map(FileId::of)
        {
            return Ok((path, locked));
        }
    }
    Err(Error::Busy(format!("temporary directories in {} are removed as fast as they are made", dir.display())))
}

fn lock_directory(path: &Path) -> Option<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    directory.try_lock().is_ok().then_some(directory)
}

/// Removes the copies in a directory whose processes were killed: no process has them locked. Files
/// of other users stay.
pub fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let me = rustix::process::geteuid().as_raw();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_temporary(path)) {
        let is_ours = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir() && meta.uid() == me);
        if is_ours && let Some(_locked) = lock_directory(&path) {
            log::info!("removing {}, which a backup or restore that was killed has left", path.display());
            let _tried_again_at_the_next_sweep = std::fs::remove_dir_all(&path);
        }
    }
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix(TEMPORARY_BEFORE)
        .and_then(|rest| rest.strip_suffix(TEMPORARY_AFTER))
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Copies all pages in one step, which is one snapshot of the source and one transaction of the
/// target.
pub(in crate::store) fn copy_into(source: &Connection, target: &mut Connection) -> Result<()> {
    step(&Backup::new(source, target)?, ALL_PAGES)
}

/// The same, if `may` returns true once no other process can write to the target. Returns whether
/// it was copied. The source is not empty.
pub(in crate::store) fn copy_if(
    source: &Connection,
    target: &mut Connection,
    may: impl FnOnce() -> Result<bool>,
) -> Result<bool> {
    let backup = Backup::new(source, target)?;
    // A step takes the write lock of the target first, and this step does nothing more.
    step(&backup, 0)?;
    if !may()? {
        return Ok(false);
    }
    step(&backup, ALL_PAGES)?;
    Ok(true)
}

fn step(backup: &Backup<'_, '_>, pages: i32) -> Result<()> {
    let began = Instant::now();
    loop {
        match backup.step(pages)? {
            StepResult::Done | StepResult::More => return Ok(()),
            // SQLite does not signal when a lock is released.
            _ if began.elapsed() < Duration::from_millis(BUSY_TIMEOUT_MS) => thread::sleep(Duration::from_millis(RETRY_MS)),
            _ => return Err(Error::Busy("another program keeps the file locked; end its transaction and try again".into())),
        }
    }
}

impl Store {
    /// Copies the file, as it is now, into a single plain file. Jobs continue meanwhile.
    ///
    /// # Errors
    /// `to` exists and `overwrite` is not set. After a crash there is either no file of that name,
    /// or a complete one.
    pub fn backup(&self, to: &Path, overwrite: bool) -> Result<()> {
        backup(&self.0.place, to, overwrite)
    }
}
