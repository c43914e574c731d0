//! A suspension of a running job, as its row has it.

use serde::{Deserialize, Serialize};

use crate::job::JobId;

/// A running job that has what another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub job: JobId,
    /// It is suspended, so it will not give it back by itself.
    pub is_suspended: bool,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The row; 0: there is none.
    pub id: i64,
    pub is_suspended: bool,
}

/// An open suspension, as its row has it. Times are milliseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    pub id: i64,
    pub asked_at: i64,
    /// `None`: its processes are being stopped.
    pub suspended_at: Option<i64>,
    /// A client has asked that it continues.
    pub is_resuming: bool,
}

impl Suspension {
    pub fn wanted(self) -> Wanted {
        Wanted { id: self.id, is_suspended: !self.is_resuming }
    }
}

/// Reads the last column of `job_columns!()`.
pub(in crate::store) fn suspension(json: &str) -> Option<Suspension> {
    let (id, asked_at, suspended_at, resuming): (i64, i64, Option<i64>, i64) = serde_json::from_str(json).ok()?;
    Some(Suspension { id, asked_at, suspended_at, is_resuming: resuming != 0 })
}
