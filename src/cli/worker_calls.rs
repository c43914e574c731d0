//! Everything that the faces need of the worker's room, in one place.

use std::path::Path;

use super::face::Face;
use super::output::Output;
use super::{follow::Follower, work};
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::place::Place;
use crate::store::rows::Job;
use crate::store::{Restored, Store};

/// The process that holds the worker lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// The random name of this start.
    pub instance: String,
    /// When it took the lock, in milliseconds UTC.
    pub since_ms: i64,
    /// `work` or `run`.
    pub kind: String,
    pub slots: usize,
}

/// What the machine has left.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    pub memory_total_bytes: u64,
    pub memory_available_bytes: u64,
    /// Load average of one minute.
    pub load: f64,
    pub disk_free_bytes: Option<u64>,
    pub disk_total_bytes: Option<u64>,
}

/// The worker of this file, or `None`. Asks the kernel; makes nothing.
///
/// # Errors
/// When the lock file can not be looked at.
pub fn look(_place: &Place) -> Result<Option<Holder>> {
    Ok(None)
}

/// # Errors
/// When there is no worker.
pub fn need(place: &Place) -> Result<()> {
    match look(place)? {
        Some(_) => Ok(()),
        None => Err(Error::NoWorker("there is no worker, and --need-worker asks for one; start it: tenure work".into())),
    }
}

/// What the machine has left, and the disk that holds the file.
pub fn machine(_place: &Place) -> Machine {
    Machine::default()
}

/// Tells the worker, if there is one, that something was written.
pub fn wake(_place: &Place) {}

/// With no worker: asks the shim of a running job to stop it. True when one was asked.
///
/// # Errors
/// When the file can not be read, or a shim that is there may not be signalled.
pub fn ask_directly(_store: &Store, _job: JobId) -> Result<bool> {
    Ok(false)
}

/// Brings a backup back, under the worker lock.
///
/// # Errors
/// When there is a worker, or the copy can not be used; nothing is changed then.
pub fn restore(_face: &Face, _source: &Path) -> Result<Restored> {
    Err(Error::Internal("not wired yet".into()))
}

/// Is the worker until it ends.
///
/// # Errors
/// When there is one already, or the file can not be used.
pub fn work(_face: &Face, _args: &work::Args) -> Result<u8> {
    Err(Error::Internal("not wired yet".into()))
}

/// Follows a job to its end; with no worker, is one for that job alone.
///
/// # Errors
/// When the file can not be used, or nobody reads the output.
pub fn run_and_follow(_face: &Face, store: &Store, id: JobId, output: Output) -> Result<Job> {
    Follower::new(store, id, output).until_ended()
}
