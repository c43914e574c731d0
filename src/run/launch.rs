//! A launch: everything that a shim needs to know, so that it depends on no other process while the
//! job is running.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::job::limits::GRACE_MS_DEFAULT;
use crate::job::{Nonce, RunId, RunKey};

/// One run, complete. Durations are milliseconds and count from the start of the job's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub run: RunId,
    #[serde(with = "nonce_bytes")]
    pub nonce: Nonce,
    /// At least one argument. A name without a slash is searched in the `PATH` of `env`.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment; the shim sets `TENURE_COOKIE` to the nonce.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    pub cwd: Vec<u8>,
    /// Must not exist yet.
    #[serde(with = "path_bytes")]
    pub log: PathBuf,
    /// Where the job may write its result. Created by the shim only for another `user`, who must be
    /// able to reach it.
    #[serde(with = "optional_path_bytes")]
    pub result: Option<PathBuf>,
    /// `/dev/null` if `None`.
    #[serde(with = "optional_path_bytes")]
    pub stdin: Option<PathBuf>,
    pub timeout_ms: Option<u64>,
    /// The operator's backstop; its cause distinguishes it from the timeout.
    pub max_runtime_ms: Option<u64>,
    /// Between TERM and KILL.
    pub grace_ms: u64,
    /// A signal, and how long before the earliest deadline it is sent.
    pub warn: Option<(i32, u64)>,
    /// Longest time without output.
    pub idle_timeout_ms: Option<u64>,
    /// Above this the middle of the log is dropped; 0 means no limit.
    pub log_limit_bytes: u64,
    pub memory_bytes: Option<u64>,
    /// The cgroup that is created for the limit; `None`: `RLIMIT_DATA` enforces it.
    #[serde(with = "optional_path_bytes")]
    pub memory_group: Option<PathBuf>,
    /// A kernel file that counts memory kills around the run, see [`super::groups`].
    #[serde(with = "optional_path_bytes")]
    pub memory_kills: Option<PathBuf>,
    pub nice: Option<i32>,
    /// Name of the user to run as; for root only.
    pub user: Option<String>,
    /// The user that the job belongs to, and runs as instead: one who may be hostile. Nothing that
    /// the launch names is opened before the process has become that user.
    pub owner: Option<u32>,
    /// Everything is prepared, and then the shim waits for [`super::Go`] before it records PREPARE
    /// and creates the job's process. If the worker is gone before it said so, the run never
    /// started.
    pub waits_for_go: bool,
}

/// The variable by which all processes of a run can be found.
pub const COOKIE: &str = "TENURE_COOKIE";

impl Launch {
    /// Returns the launch of a command without limits, without input, and as the worker's user.
    pub fn plain(key: RunKey, argv: Vec<Vec<u8>>, env: Vec<(Vec<u8>, Vec<u8>)>, cwd: Vec<u8>, log: PathBuf) -> Self {
        Self {
            run: key.run,
            nonce: key.nonce,
            argv,
            env,
            cwd,
            log,
            result: None,
            stdin: None,
            timeout_ms: None,
            max_runtime_ms: None,
            grace_ms: GRACE_MS_DEFAULT,
            warn: None,
            idle_timeout_ms: None,
            log_limit_bytes: 0,
            memory_bytes: None,
            memory_group: None,
            memory_kills: None,
            nice: None,
            user: None,
            owner: None,
            waits_for_go: false,
        }
    }

    pub fn key(&self) -> RunKey {
        RunKey { run: self.run, nonce: self.nonce }
    }

    /// Returns the value of a variable of the job's environment; the last one counts, as for most
    /// programs.
    pub(super) fn variable(&self, name: &str) -> Option<&[u8]> {
        self.env.iter().rev().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
    }
}

/// Paths as bytes: a path need not be UTF-8.
mod path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(OsString::from_vec(Vec::deserialize(deserializer)?).into())
    }
}

mod optional_path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| path.as_os_str().as_bytes()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Vec<u8>>::deserialize(deserializer)?.map(|bytes| OsString::from_vec(bytes).into()))
    }
}

mod nonce_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::job::Nonce;

    pub fn serialize<S: Serializer>(nonce: &Nonce, serializer: S) -> Result<S::Ok, S::Error> {
        nonce.0.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nonce, D::Error> {
        <[u8; 16]>::deserialize(deserializer).map(Nonce)
    }
}
