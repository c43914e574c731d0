//! What the file and its directory record about each other, by which
//! [`crate::store::file::standing`] decides whether they belong together.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::small_file::{replace_file, sync_directory};

/// Earlier ids of the file that a directory remembers: one for each restore.
const IDS_MAX: usize = 100;
/// Largest record, in bytes.
const HOME_BYTES_MAX: u64 = 1 << 16;
/// What the directory records about its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The last one is the current id; a restore writes its new id here in advance.
    pub file_ids: Vec<String>,
    /// The path of the file.
    pub path: String,
    /// Inode of the file.
    pub file: u64,
    /// Inode of the directory.
    pub directory: u64,
    /// A worker has seen that the content of the file was replaced, and stopped: since when, in
    /// milliseconds UTC, and what it saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// The boot of the machine, when a worker first started in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
}

/// What existed when a worker first started in this boot. No clock is used: one without a battery
/// may be behind after a power cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    pub id: String,
    /// The highest run with a log.
    pub logged: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub since_ms: i64,
    pub why: String,
}

/// What the file records about its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    pub path: String,
    pub file: u64,
}

/// Reads the record in the directory of a place; `None` if it is missing or cannot be parsed.
///
/// # Errors
/// It exists and cannot be read.
pub fn load(place: &Place) -> Result<Option<Home>> {
    let path = place.home();
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let read = || {
        let mut text = Vec::new();
        OpenOptions::new().read(true).custom_flags(flags).open(&path)?.take(HOME_BYTES_MAX).read_to_end(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    match read() {
        Ok(text) => Ok(serde_json::from_slice(&text)
            .inspect_err(|error| log::warn!("{} cannot be understood and is ignored: {error}", path.display()))
            .ok()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io(format!("reading {}", path.display()), error)),
    }
}

/// Records in the directory that this file belongs to it; earlier ids are kept.
///
/// # Errors
/// It cannot be written.
pub fn settle_in(place: &Place, file_id: &str) -> Result<()> {
    let known = load(place)?;
    let (mut file_ids, boot) = known.clone().map_or_else(Default::default, |home| (home.file_ids, home.boot));
    file_ids.retain(|id| id != file_id);
    file_ids.push(file_id.to_owned());
    let surplus = file_ids.len().saturating_sub(IDS_MAX);
    file_ids.drain(..surplus);
    let inode =
        |path: &Path| fs::metadata(path).map(|meta| meta.ino()).map_err(|e| Error::io(format!("checking {}", path.display()), e));
    let home = Home {
        file_ids,
        path: lossy(place.db()),
        file: inode(place.db())?,
        directory: inode(place.dir())?,
        replaced: None,
        boot,
    };
    if known.as_ref() == Some(&home) {
        return Ok(());
    }
    write(place, &home)
}

/// Records in the directory that its file is about to get another id. The rest stays as it is until
/// [`settle_in`], so that both ids are known after a crash in between.
///
/// # Errors
/// It cannot be written.
pub fn announce(place: &Place, file_id: &str) -> Result<()> {
    match load(place)? {
        None => settle_in(place, file_id),
        Some(mut home) => {
            home.file_ids.push(file_id.to_owned());
            write(place, &home)
        }
    }
}

/// Records which logs are from an earlier boot, at the first start of a worker in this one.
///
/// # Errors
/// It cannot be written.
pub fn begin_boot(place: &Place, id: &str, logged: i64) -> Result<()> {
    match load(place)? {
        Some(home) if home.boot.as_ref().is_none_or(|boot| boot.id != id) => {
            write(place, &Home { boot: Some(Boot { id: id.to_owned(), logged }), ..home })
        }
        _ => Ok(()),
    }
}

/// Records that the content of the file was replaced, for the next worker and for people. The first
/// reason stays.
///
/// # Errors
/// It cannot be written, or there is no record.
pub fn note_replaced(place: &Place, since_ms: i64, why: &str) -> Result<()> {
    match load(place)? {
        Some(home) if home.replaced.is_none() => {
            write(place, &Home { replaced: Some(Replaced { since_ms, why: why.to_owned() }), ..home })
        }
        _ => Ok(()),
    }
}

/// Returns what the file should record about this place.
pub fn noted(place: &Place) -> Result<String> {
    let file = fs::metadata(place.db()).map_err(|e| Error::io(format!("checking {}", place.db().display()), e))?.ino();
    serde_json::to_string(&Noted { path: lossy(place.db()), file }).map_err(|error| Error::Internal(error.to_string()))
}

/// Records in the file where it is.
pub fn note(conn: &Connection, noted: &str) -> Result<()> {
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ('home', ?1) ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        [noted],
    )?;
    Ok(())
}

fn write(place: &Place, home: &Home) -> Result<()> {
    let text = serde_json::to_vec(home).map_err(|error| Error::Internal(error.to_string()))?;
    replace_file(&place.home(), place.dir(), &text)?;
    sync_directory(place.dir())
}

/// Finds what shows, at a path without a file, that a file existed there: its log or its directory.
pub(in crate::store) fn left_behind(place: &Place) -> Option<PathBuf> {
    let has_log = fs::metadata(place.wal()).is_ok_and(|meta| meta.len() > 0);
    let has_home = place.home().exists() || place.stamp().exists();
    match (has_log, has_home) {
        (true, _) => Some(place.wal()),
        (false, true) => Some(place.dir().to_owned()),
        (false, false) => None,
    }
}

pub(in crate::store) fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
