//! Reads the log of a run, while it grows and while its middle is being dropped, with constant
//! memory.
//!
//! A dropped part is a hole in the file. It is reported as such: a plain reader would see a million
//! zero bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Bytes(&'a [u8]),
    /// So many bytes were dropped here.
    Dropped(u64),
}

/// Opens a log for reading; `None` if it does not exist yet.
pub fn open_log(path: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the present content of a log: all of it, or its last lines. Returns where it ended, for
/// [`Follow::from`]. A log that does not exist is empty.
///
/// # Errors
/// The log cannot be read, or `sink` failed.
pub fn tail(path: &Path, lines: Option<usize>, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<u64> {
    open_log(path)?.map_or(Ok(0), |file| tail_of(&file, lines, sink))
}

/// The same of a log that is open.
///
/// # Errors
/// As [`tail`].
pub fn tail_of(file: &File, lines: Option<usize>, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let start = match lines {
        Some(count) => last_lines(file, 0, end, count)?,
        None => 0,
    };
    read_range(file, start, end, sink)
}

/// Reads what an open log has after an offset; returns where that ended.
///
/// # Errors
/// As [`tail`].
pub fn more_of(file: &File, offset: u64, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<u64> {
    let end = file.metadata()?.len();
    read_range(file, offset.min(end), end, sink)
}

/// Reads the end of a log, at most so many bytes, and whether that is not all of it. A log that
/// does not exist is empty.
///
/// # Errors
/// The log cannot be read.
pub fn end(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, bool)> {
    let Some(file) = open_log(path)? else { return Ok((Vec::new(), false)) };
    let end = file.metadata()?.len();
    let start = end.saturating_sub(bytes_max);
    let mut bytes = Vec::new();
    read_range(&file, start, end, &mut |piece| {
        if let Piece::Bytes(piece) = piece {
            bytes.extend_from_slice(piece);
        }
        Ok(())
    })?;
    Ok((bytes, start > 0))
}

/// A position in a log from which to continue.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    offset: u64,
    file: Option<File>,
}

impl Follow {
    /// Continues from an offset. The log need not exist yet.
    pub fn from(path: &Path, offset: u64) -> Self {
        Self { path: path.to_owned(), offset, file: None }
    }

    /// Reads new output; returns the new position. Does not wait.
    ///
    /// # Errors
    /// The log cannot be read, or `sink` failed.
    pub fn read(&mut self, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = open_log(&self.path)?;
        }
        let Some(file) = &self.file else { return Ok(0) };
        let end = file.metadata()?.len();
        // A job may truncate its own log; later output is read from the new end on.
        let from = self.offset.min(end);
        self.offset = read_range(file, from, end, sink)?;
        Ok(self.offset - from)
    }

    /// How far the log has been read, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// Reads a part of an open log; returns where that ended.
///
/// # Errors
/// As [`tail`].
pub fn read_range(file: &File, start: u64, end: u64, sink: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = start;
    while at < end {
        let data = next_data(file, at)?.unwrap_or(end).min(end);
        if data > at {
            sink(Piece::Dropped(data - at))?;
            at = data;
            continue;
        }
        let room = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let n = file.read_at(&mut chunk[..room], at)?;
        // Queried after the read: a part that was dropped meanwhile was read as zeros.
        let whole = usize::try_from(next_hole(file, at)?.saturating_sub(at)).unwrap_or(n).min(n);
        if n == 0 {
            break;
        }
        if whole > 0 {
            sink(Piece::Bytes(&chunk[..whole]))?;
            at += whole as u64;
        }
    }
    Ok(at)
}

/// Counts the bytes that were dropped from a part of an open log.
///
/// # Errors
/// The log cannot be read.
pub fn dropped(file: &File, start: u64, end: u64) -> io::Result<u64> {
    let (mut at, mut dropped) = (start, 0);
    while at < end {
        let data = next_data(file, at)?.unwrap_or(end).min(end);
        dropped += data - at;
        at = next_hole(file, data)?.clamp(data, end).max(data + 1);
    }
    Ok(dropped)
}

/// Returns where data begins at or after an offset; `None`: nowhere. A file system without holes
/// has none.
///
/// # Errors
/// The log cannot be read.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}

/// Where a hole begins at or after an offset; the end of the file counts as one.
fn next_hole(file: &File, at: u64) -> io::Result<u64> {
    match seek(file, SeekFrom::Hole(at)) {
        Ok(hole) => Ok(hole),
        Err(Errno::NXIO) => Ok(at),
        Err(Errno::INVAL) => Ok(u64::MAX),
        Err(error) => Err(error.into()),
    }
}

/// Returns where the last `count` lines of an open log begin, no earlier than `floor`: a log may
/// have no end of a line for gigabytes. Reads backwards; a hole ends the search, as it belongs to
/// the lines before it, and the lines are shown with it, even where it begins before `floor`.
///
/// # Errors
/// The log cannot be read.
pub fn last_lines(file: &File, floor: u64, end: u64, count: usize) -> io::Result<u64> {
    if count == 0 {
        return Ok(end);
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut newlines = 0;
    let mut upper = end;
    while upper > floor {
        let lower = upper.saturating_sub(CHUNK_BYTES as u64).max(floor);
        let length = usize::try_from(upper - lower).unwrap_or(CHUNK_BYTES);
        let n = file.read_at(&mut chunk[..length], lower)?;
        let hole_end = end_of_last_hole(file, lower, upper)?;
        for index in (0..n).rev() {
            let offset = lower + index as u64;
            if offset < hole_end {
                return lower_edge_of_hole(file, hole_end);
            }
            // The newline that ends the last line opens no other.
            if chunk[index] == b'\n' && offset + 1 != end {
                newlines += 1;
                if newlines == count {
                    return Ok(offset + 1);
                }
            }
        }
        upper = lower;
    }
    Ok(floor)
}

/// The end of the last hole between two offsets; `lower` if there is none.
fn end_of_last_hole(file: &File, lower: u64, upper: u64) -> io::Result<u64> {
    let mut end = lower;
    let mut at = lower;
    while at < upper {
        let hole = next_hole(file, at)?;
        if hole >= upper {
            break;
        }
        at = next_data(file, hole)?.unwrap_or(upper).min(upper);
        end = at;
    }
    Ok(end)
}

/// Returns where the hole begins that ends here; here, if there is none: the last lines are shown
/// with the hole before them.
///
/// # Errors
/// The log cannot be read.
pub fn lower_edge_of_hole(file: &File, hole_end: u64) -> io::Result<u64> {
    let mut at = 0;
    loop {
        let hole = next_hole(file, at)?;
        if hole >= hole_end {
            return Ok(hole_end);
        }
        match next_data(file, hole)? {
            Some(data) if data < hole_end => at = data,
            _ => return Ok(hole),
        }
    }
}
