//! The file, as far as this server may see it.

use std::path::PathBuf;

use crate::clock;
use crate::error::{Error, Result};
use crate::host::gates::Floors;
use crate::job::JobId;
use crate::mcp::allowed::Allowed;
use crate::mcp::answer::Failure;
use crate::queue::kept::Kept;
use crate::queue::{JobInfo, Queue};
use crate::store::{Options, Role};

/// How the server is started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub db: PathBuf,
    /// How the file is opened. The role is chosen by each request.
    pub options: Options,
    /// The floors of the configuration, which count if no worker reports its own.
    pub floors: Floors,
    pub allowed: Allowed,
}

/// The file.
pub struct File {
    pub setup: Setup,
    reader: Kept,
    client: Kept,
}

impl File {
    /// Opens the file. A server that may add jobs creates it on first use.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn new(setup: Setup) -> Result<Self> {
        let kept = |role| Kept::new(setup.db.clone(), Options { role, ..setup.options.clone() });
        let (reader, client) = (kept(Role::Reader), kept(Role::Client));
        if setup.allowed.changes().is_ok() {
            client.open(|| ())?;
        }
        reader.open(|| ())?;
        Ok(Self { reader, client, setup })
    }

    /// Returns the file for reading.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn reader(&self) -> Result<Queue> {
        self.reader.open(|| log::info!("the file was replaced; it is opened again"))
    }

    /// Returns the file for writing. It must exist.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn client(&self) -> Result<Queue> {
        self.reader()?;
        self.client.open(|| ())
    }

    /// Returns a job that this server shows.
    ///
    /// # Errors
    /// There is none with this number.
    pub fn job(&self, queue: &Queue, id: JobId) -> Result<JobInfo, Failure> {
        let found = queue.find(id)?.filter(|job| self.setup.allowed.shows(&job.queue));
        found.ok_or_else(|| not_found(&self.setup.allowed, id).into())
    }

    /// The present instant in the local time zone.
    pub fn now(&self) -> jiff::Zoned {
        clock::here(self.setup.options.clock.now_ms())
    }
}

/// A job of another queue is not told from one that does not exist.
pub fn not_found(allowed: &Allowed, id: JobId) -> Error {
    let within = allowed.queue().map(|queue| format!(" in the queue {queue:?}")).unwrap_or_default();
    Error::NotFound(format!("there is no job {id}{within}"))
}
