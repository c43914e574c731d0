//! The paths of tenure: the file, and the directory beside it.
//!
//! ```text
//! tenure.db            the file (and SQLite's tenure.db-wal, tenure.db-shm)
//! tenure.db.d/         0700
//!   worker.lock        held by the worker as long as it lives
//!   gate, turn         the queue of processes for the write lock
//!   wake.sock          a datagram here says "look"
//!   add.sock           clients hand their jobs to the worker
//!   stamp              the highest generation and run id that this directory has seen
//!   home               which file this directory belongs to, see `store::file::home`
//!   ballast            space that is released when the disk is full
//!   web.token          what a client of the web must know
//!   runs/ID            a run file for each run that is not settled
//!   logs/NNN/ID.log    output of the runs, 10,000 to a directory
//!   results/ID         what a run writes to TENURE_RESULT, until it is settled
//!   results/ID.hook    what a run of a hook reads of the job, until it has ended
//!   followed/ID        a client follows the output of a run that another engine has
//!   secrets/TOKEN      values of --secret and copies of --stdin, until no live job needs them
//!   secrets/TOKEN.new  one that is not locked yet by the process that creates it
//!   leases/NONCE       locked while any process of the tree that holds a lease is alive
//!   work/              workspaces
//! ```
//!
//! No path is built from a name that a user chose: only from ids and random tokens.

use std::path::{Path, PathBuf};

use crate::job::{Nonce, RunId};

/// Runs whose logs share a directory, so that no directory grows without limit.
pub const LOGS_PER_DIRECTORY: i64 = 10_000;
/// End of the name of a file in `secrets/` that is not locked yet.
const SECRET_TEMPORARY: &str = ".new";

/// The paths that belong to one file. Made from a path whose links are resolved, see `store::open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    db: PathBuf,
    dir: PathBuf,
}

impl Place {
    /// The paths for a database file; `db` must be absolute and free of links.
    pub fn new(db: PathBuf) -> Self {
        let mut dir = db.clone().into_os_string();
        dir.push(".d");
        Self { db, dir: dir.into() }
    }

    pub fn db(&self) -> &Path {
        &self.db
    }

    /// The file's write-ahead log.
    pub fn wal(&self) -> PathBuf {
        self.beside("-wal")
    }

    /// Returns the file's shared index of the write-ahead log. Never open it: closing it would
    /// release SQLite's locks.
    pub fn shm(&self) -> PathBuf {
        self.beside("-shm")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.db.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// The directory beside the file.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn worker_lock(&self) -> PathBuf {
        self.dir.join("worker.lock")
    }

    /// Returns the worker's report.
    pub fn worker_report(&self) -> PathBuf {
        self.dir.join("worker.json")
    }

    pub fn gate(&self) -> PathBuf {
        self.dir.join("gate")
    }

    pub fn turn(&self) -> PathBuf {
        self.dir.join("turn")
    }

    pub fn wake_socket(&self) -> PathBuf {
        self.dir.join("wake.sock")
    }

    pub fn handover_socket(&self) -> PathBuf {
        self.dir.join("add.sock")
    }

    pub fn stamp(&self) -> PathBuf {
        self.dir.join("stamp")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Returns the file with the token of the web.
    pub fn web_token(&self) -> PathBuf {
        self.dir.join("web.token")
    }

    pub fn runs(&self) -> PathBuf {
        self.dir.join("runs")
    }

    pub fn run_file(&self, run: RunId) -> PathBuf {
        self.runs().join(run.to_string())
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    pub fn log_dir(&self, run: RunId) -> PathBuf {
        self.logs().join(format!("{:03}", run.0 / LOGS_PER_DIRECTORY))
    }

    pub fn log_file(&self, run: RunId) -> PathBuf {
        self.log_dir(run).join(format!("{run}.log"))
    }

    pub fn followed(&self) -> PathBuf {
        self.dir.join("followed")
    }

    pub fn results(&self) -> PathBuf {
        self.dir.join("results")
    }

    pub fn result_file(&self, run: RunId) -> PathBuf {
        self.results().join(run.to_string())
    }

    /// Returns the standard input of a run of a hook.
    pub fn hook_input(&self, run: RunId) -> PathBuf {
        self.results().join(format!("{run}.hook"))
    }

    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    /// Returns a file in `secrets/`; `token` is random.
    pub fn secret_file(&self, token: &str) -> PathBuf {
        self.secrets().join(token)
    }

    /// Returns the name of such a file until it is locked.
    pub fn secret_temporary(&self, token: &str) -> PathBuf {
        self.secrets().join(format!("{token}{SECRET_TEMPORARY}"))
    }

    /// Whether an entry of `secrets/` has such a name.
    pub fn is_secret_temporary(name: &str) -> bool {
        name.ends_with(SECRET_TEMPORARY)
    }

    pub fn leases(&self) -> PathBuf {
        self.dir.join("leases")
    }

    pub fn lease_file(&self, nonce: Nonce) -> PathBuf {
        self.leases().join(nonce.to_string())
    }

    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }
}

/// Returns a path for a command that a person types.
pub fn typed(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./=:,@%+".contains(&b);
    if text.bytes().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
