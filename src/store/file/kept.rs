//! The file that a restore replaces: it is kept beside the new one, and the jobs that are only in
//! it are counted.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::small_file::sync_directory;
use crate::store::file::backup::Copy;

/// A file that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    /// Jobs that are in it and not in the backup, by state. `None`: it is too damaged to be read.
    pub only_here: Option<Vec<(String, i64)>>,
}

/// Names that are tried for the kept file if several restores happen within a millisecond.
const NAMES_MAX: i64 = 1_000;

impl Kept {
    /// Copies what `present` sees beside the file, and compares it with the backup.
    pub(in crate::store) fn make(present: &Connection, place: &Place, to_come: &Copy, now_ms: i64) -> Result<Self> {
        let copy = Copy::make_as_it_is(present, place.db().parent().unwrap_or(Path::new("/")))?;
        copy.give_to_owner_of(place.db())?;
        let only_here = copy.open().and_then(|kept| only_in(&kept, to_come)).ok();
        let named = |n: i64| {
            let mut name = place.db().as_os_str().to_owned();
            name.push(format!(".replaced-{n}"));
            PathBuf::from(name)
        };
        let path = (now_ms..now_ms.saturating_add(NAMES_MAX)).map(named).find(|path| std::fs::symlink_metadata(path).is_err());
        let path = path.ok_or_else(|| Error::Refused("too many replaced files are kept; remove some".into()))?;
        copy.become_file(&path, false)?;
        Ok(Self { path, only_here })
    }

    /// Nothing was replaced.
    pub(in crate::store) fn discard(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| Error::io(format!("removing {}", self.path.display()), error))?;
        sync_directory(self.path.parent().unwrap_or(Path::new("/")))
    }

    /// Counts the jobs that are in it and not in the backup.
    pub fn jobs(&self) -> i64 {
        self.only_here.iter().flatten().map(|(_, n)| n).sum()
    }
}

fn only_in(kept: &Connection, to_come: &Copy) -> Result<Vec<(String, i64)>> {
    kept.execute("ATTACH ?1 AS to_come", [to_come.path().to_string_lossy()])?;
    let mut only = kept.prepare(sql!("kept.sql", "lost_jobs"))?;
    let rows = only.query_map([], |row| Ok((crate::store::engine::text::text(row, 0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
