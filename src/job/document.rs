//! A job as a document for programs: what `--json` prints, and what a hook reads.
//!
//! The names and types are a contract. Times are RFC 3339 UTC with milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::hold::Hold;
use super::id::{JobId, RunId};
use super::reason::Reason;
use super::state::State;

/// The version of the shape of all documents.
pub const SCHEMA: u32 = 1;

/// A job, without its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobDocument {
    pub schema: u32,
    pub id: JobId,
    pub state: State,
    pub reason: Option<Reason>,
    pub hold: Option<Hold>,
    pub queue: String,
    pub lane: Option<String>,
    pub label: Option<String>,
    pub command: Value,
    pub cwd: String,
    pub priority: i64,
    pub slots: u32,
    pub uses: BTreeMap<String, u32>,
    pub unique: Option<String>,
    pub attempts: u32,
    pub max_attempts: u32,
    pub deferrals: u32,
    pub available_at: String,
    pub created_at: String,
    pub run_id: Option<RunId>,
    pub pid: Option<i32>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub error: Option<String>,
    pub progress: Option<Value>,
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<i64>,
    /// The user that it belongs to, if that does not own the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Of a running job that is suspended, or is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<SuspensionDocument>,
}

/// A suspension of a running job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspensionDocument {
    /// `suspending`, `suspended` or `resuming`.
    pub state: &'static str,
    pub asked_at: String,
    /// Since when its processes are stopped.
    pub since: Option<String>,
}

impl JobDocument {
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("texts and numbers are always JSON")
    }
}

/// Parses JSON of the file; a value of a client that is not JSON is returned as text.
pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
