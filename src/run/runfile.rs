//! The run file: `runs/ID`. A run lives while the lock on it is held.
//!
//! The lock belongs to the open file description that [`RunFile::create`] creates and that is
//! passed to the shim; it is released when the last copy of the descriptor is closed, by any kind
//! of death. Probes are shared and non-blocking, on descriptions of their own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::job::RunId;
use crate::place::Place;

use super::machine;
use super::record::{self, Header, RUN_FILE_BYTES_MAX, Record, Records};

/// Part of the name of an unfinished run file.
const TEMPORARY_MARK: &str = ".tmp-";

/// A run file that this process has created and locked. Dropping it closes this copy of the lock;
/// the file stays.
#[derive(Debug)]
pub struct RunFile {
    run: RunId,
    file: OwnedFd,
}

impl RunFile {
    /// Creates and locks the run file of a new run, and the directories that the run needs.
    ///
    /// After a crash there is either the complete, locked (then: free) file under its name, or a
    /// temporary one that [`sweep_temporaries`] removes.
    ///
    /// # Errors
    /// The system refuses it, or there is a run file with this id: ids are never reused, so that
    /// file belongs to another run.
    pub fn create(place: &Place, header: &Header) -> Result<Self> {
        make_directories(place, header.run)?;
        let temporary = temporary(place, header.run);
        let file = create_private(&temporary).map_err(|e| Error::io(format!("making {}", temporary.display()), e))?;
        Self::finish(place, header, file, &temporary)
    }

    /// Like [`RunFile::create`], from a file that was [`retire`]d: some file systems are slow to
    /// create a file again that was just removed. `None` if a process still holds its lock; it
    /// stays as it is.
    ///
    /// # Errors
    /// The system refuses it; the retired file is gone then.
    pub fn create_from(place: &Place, header: &Header, retired: &Path) -> Result<Option<Self>> {
        let told = |error: io::Error| Error::io(format!("using {} again", retired.display()), error);
        let file = open_to_write(retired).map_err(told)?;
        // Exclusive, on its own description: the previous owner has closed the file.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(told(error.into())),
        }
        make_directories(place, header.run)?;
        Self::finish(place, header, file, retired).map(Some)
    }

    /// Writes the header over the old content, and truncates the rest, before the file gets its
    /// name. In this order, because ext4 flushes a file on close that was truncated to nothing and
    /// rewritten, which a run file does not need.
    fn finish(place: &Place, header: &Header, file: OwnedFd, temporary: &Path) -> Result<Self> {
        let (path, line) = (place.run_file(header.run), header.to_line());
        let finished = write_all(&file, &line)
            .and_then(|()| Ok(rustix::fs::ftruncate(&file, line.len() as u64)?))
            .and_then(|()| Ok(flock(&file, FlockOperation::NonBlockingLockExclusive)?))
            .and_then(|()| rename_to_new(temporary, &path));
        if let Err(error) = finished {
            // What cannot be removed now is removed by the next sweep.
            let _ = fs::remove_file(temporary);
            return Err(Error::io(format!("making {}", path.display()), error));
        }
        Ok(Self { run: header.run, file })
    }

    pub fn run(&self) -> RunId {
        self.run
    }
}

impl AsFd for RunFile {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The state of a run file in `runs/`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "looked at one at a time, never kept in lists")]
pub enum Inspection {
    Missing,
    /// It exists, but is not a run file of this run; the text says why.
    Unreadable(String),
    Found {
        header: Header,
        records: Records,
        /// A process holds the run's lock: its shim is alive, or about to be, or its leftovers have
        /// not been ended yet.
        locked: bool,
    },
}

/// Inspects a run file. Creates nothing and never waits.
///
/// # Errors
/// The system refuses it (no permission, an I/O error).
pub fn inspect(place: &Place, run: RunId) -> Result<Inspection> {
    inspect_with_identity(place, run).map(|(found, _)| found)
}

/// Like [`inspect`], with device and inode of the file.
pub(super) fn inspect_with_identity(place: &Place, run: RunId) -> Result<(Inspection, (u64, u64))> {
    let path = place.run_file(run);
    let told = |error: io::Error| Error::io(format!("reading {}", path.display()), error);
    let file = match open_for_reading(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Inspection::Missing, (0, 0))),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Ok((Inspection::Unreadable("it is a symbolic link".to_owned()), (0, 0)));
        }
        Err(error) => return Err(told(error)),
    };
    let meta = file.metadata().map_err(told)?;
    let identity = (meta.dev(), meta.ino());
    if !meta.is_file() {
        return Ok((Inspection::Unreadable("it is not a regular file".to_owned()), identity));
    }
    // The lock first, the records after: if the lock is free no process can add a record any more,
    // so the records are complete.
    let locked = is_locked(&file).map_err(told)?;
    let mut bytes = Vec::new();
    file.take(RUN_FILE_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(told)?;
    let look = match record::parse(&bytes) {
        Ok((header, records)) if header.run == run => Inspection::Found { header, records, locked },
        Ok((header, _)) => Inspection::Unreadable(format!("it names run {}", header.run)),
        Err(why) => Inspection::Unreadable(why),
    };
    Ok((look, identity))
}

/// Whether another process holds a lock on this file. Queries with a shared lock of its own, which
/// is gone when `file` is closed.
pub(super) fn is_locked(file: impl AsFd) -> io::Result<bool> {
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            flock(&file, FlockOperation::Unlock)?;
            Ok(false)
        }
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The runs that have a run file, in order.
///
/// # Errors
/// The directory cannot be read. A missing one has no runs.
pub fn list(place: &Place) -> Result<Vec<RunId>> {
    let mut runs: Vec<_> = names(&place.runs())?.iter().filter_map(|name| id_of(name)).collect();
    runs.sort_unstable();
    Ok(runs)
}

/// Removes a run file. One that is not there is removed already.
///
/// # Errors
/// The system refuses it.
pub fn unlink(place: &Place, run: RunId) -> Result<()> {
    remove(&place.run_file(run))
}

/// What is not there is removed already.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(format!("removing {}", path.display()), error)),
        _ => Ok(()),
    }
}

/// Moves a run file aside that is not needed any more, to be reused by [`RunFile::create_from`].
/// After a crash it is a temporary file that [`sweep_temporaries`] removes.
///
/// # Errors
/// The system refuses it, or it does not exist.
pub fn retire(place: &Place, run: RunId) -> Result<PathBuf> {
    let (path, retired) = (place.run_file(run), temporary(place, run));
    fs::rename(&path, &retired).map_err(|e| Error::io(format!("putting {} away", path.display()), e))?;
    Ok(retired)
}

/// Records a person's declaration that nothing of a run is left, where that cannot be known
/// ([`super::tree`]).
///
/// # Errors
/// There is no such run file, a process holds its lock, or the system refuses it.
pub fn declare_over(place: &Place, run: RunId) -> Result<()> {
    let path = place.run_file(run);
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound(format!("run {run} has ended, or there is no such run")),
        _ => Error::io(format!("writing {}", path.display()), error),
    };
    let file = File::from(open_to_write(&path).map_err(told)?);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(Error::Held(format!("run {run} is alive: its lock is held; tenure cancel ends its job")));
        }
        Err(error) => return Err(told(error.into())),
    }
    let mut bytes = Vec::new();
    (&file).take(RUN_FILE_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(told)?;
    // A line that was torn by a full disk would spoil the next one.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = Record::Over { at_ms: machine::now_ms() }.to_line();
    file.write_all_at(&line, whole as u64).and_then(|()| file.set_len((whole + line.len()) as u64)).map_err(told)?;
    match inspect(place, run)? {
        Inspection::Found { records: Records { over: true, .. }, .. } => Ok(()),
        _ => Err(Error::File(format!("{} is damaged and cannot be added to", path.display()))),
    }
}

/// Removes unfinished run files after a crash; returns their number. For the holder of the worker
/// lock, at its start: it would remove the file of a concurrent [`RunFile::create`]. A thread of a
/// worker that is just ending may still be in one: a file that has its name meanwhile is left
/// alone.
///
/// # Errors
/// The system refuses it.
pub fn sweep_temporaries(place: &Place) -> Result<usize> {
    let left: Vec<_> = names(&place.runs())?.into_iter().filter(|name| is_temporary(name)).collect();
    left.iter().try_for_each(|name| remove(&place.runs().join(name)))?;
    Ok(left.len())
}

/// The highest run that has a log.
///
/// # Errors
/// A directory cannot be read. A missing one has no logs.
pub fn highest_log(place: &Place) -> Result<Option<RunId>> {
    let mut directories: Vec<_> = names(&place.logs())?.iter().filter_map(|name| id_of(name)).collect();
    directories.sort_unstable();
    for directory in directories.iter().rev() {
        let logs = names(&place.logs().join(format!("{:03}", directory.0)))?;
        if let Some(highest) = logs.iter().filter_map(|name| id_of(name.strip_suffix(".log")?)).max() {
            return Ok(Some(highest));
        }
    }
    Ok(None)
}

fn temporary(place: &Place, run: RunId) -> PathBuf {
    let suffix = u64::from_le_bytes(machine::random());
    place.runs().join(format!(".{run}{TEMPORARY_MARK}{suffix:016x}"))
}

fn make_directories(place: &Place, run: RunId) -> Result<()> {
    [place.runs(), place.log_dir(run), place.results()].iter().try_for_each(|dir| make_private_dir(dir))
}

fn open_to_write(path: &Path) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags(OFlags::NOFOLLOW));
    options.open(path).map(OwnedFd::from)
}

fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.contains(TEMPORARY_MARK)
}

fn id_of(name: &str) -> Option<RunId> {
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok().map(RunId)).flatten()
}

/// Returns the UTF-8 names in a directory; all of tenure's are.
fn names(dir: &Path) -> Result<Vec<String>> {
    let told = |error| Error::io(format!("reading {}", dir.display()), error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(told)?.file_name().into_string());
    }
    Ok(names)
}

fn make_private_dir(dir: &Path) -> Result<()> {
    let told = |error| Error::io(format!("making {}", dir.display()), error);
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(told)
}

fn create_private(path: &Path) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(flags(OFlags::NOFOLLOW));
    options.open(path).map(OwnedFd::from)
}

/// Does not follow a link, and does not wait for a pipe.
fn open_for_reading(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn write_all(file: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    match rustix::io::write(file, bytes)? {
        n if n == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Gives a file its name, and fails if the name is taken.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems do not know this flag.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => Ok(result?),
    }
}
