//! Makes the directory of a workspace, for a job (`worker::steps::prepare`) and for
//! `tenure workspace ensure`.
//!
//! ```text
//! begin ─▶ .new-NONCE ─▶ the caller runs the prepare command in it ─▶ finish: renamed, measured ─▶ the caller records it
//!                                                                 └▶ abandon: removed
//! ```
//!
//! The nonce is that of the run or the lease that owns the preparation, so the directory is known
//! to belong to it before it exists. A crash leaves a directory without a row, which is swept when
//! its owner is gone. Every step may be repeated.
//!
//! Deliberately absent: who may prepare it, and rows.

use std::path::PathBuf;

use crate::error::Result;
use crate::job::workspace::{directory_name, new_name};
use crate::job::{Nonce, Workspace};
use crate::place::Place;
use crate::run::removal::GoesOn;
use crate::run::workspace::{Work, is_there};
use crate::store::workspace::Made;

/// The directory of one preparation.
pub struct Maker {
    place: Place,
    wanted: Workspace,
    work: Work,
    /// The new directory.
    new: String,
    /// The final directory.
    dir: String,
}

impl Maker {
    /// Returns the maker whose directory has the nonce of the owner of the preparation.
    ///
    /// # Errors
    /// The directory of all workspaces cannot be used.
    pub fn of(place: &Place, wanted: &Workspace, nonce: Nonce) -> Result<Self> {
        let (new, dir) = (new_name(nonce), directory_name(&wanted.key, nonce));
        Ok(Self { place: place.clone(), wanted: wanted.clone(), work: Work::open(place)?, new, dir })
    }

    /// Creates the new and empty directory.
    ///
    /// # Errors
    /// There is no room, or something of that name exists.
    pub fn begin(&self) -> Result<()> {
        self.work.make(&self.new)
    }

    /// Returns the path of the directory while it is being filled.
    pub fn new_path(&self) -> PathBuf {
        self.work.path_of(&self.new)
    }

    /// Returns the path of the complete directory.
    pub fn path(&self) -> PathBuf {
        self.work.path_of(&self.dir)
    }

    /// Moves the complete directory into place, and measures it. After a crash it may be there
    /// already.
    ///
    /// # Errors
    /// It is not a directory any more; the system cannot be queried.
    pub fn finish(&self, goes_on: GoesOn<'_>) -> Result<Made> {
        if !is_there(&self.place, &self.dir)? || is_there(&self.place, &self.new)? {
            self.work.settle(&self.new, &self.dir)?;
        }
        let bytes = self.work.size(&self.dir, goes_on)?;
        Ok(Made { workspace: self.wanted.clone(), dir: self.dir.clone(), bytes })
    }

    /// Removes the complete directory: it may not be recorded.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn withdraw(&self, goes_on: GoesOn<'_>) -> Result<()> {
        self.work.remove(&self.dir, goes_on).map(drop)
    }

    /// Removes the new directory, also that of an earlier attempt.
    ///
    /// # Errors
    /// It cannot be removed; the worker retries it.
    pub fn abandon(&self, goes_on: GoesOn<'_>) -> Result<()> {
        self.work.remove(&self.new, goes_on).map(drop)
    }
}
