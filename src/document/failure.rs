//! A request that failed.
//!
//! ```text
//! {"schema": 1, "error": {"code": "not_found", "text": "there is no job 7", "remedy": null}}
//! ```

use serde_json::{Value, json};

use crate::document::shapes::versioned;
use crate::error::Error;

/// The word for a name of a request that belongs to another one.
pub const KEY_USED: &str = "key_used";

/// Returns the word for programs.
pub fn code(error: &Error) -> &'static str {
    match error {
        Error::Invalid(_) => "usage",
        Error::NotFound(_) => "not_found",
        Error::Refused(_) => "refused",
        Error::KeyUsed => KEY_USED,
        Error::Held(_) => "held",
        Error::NoWorker(_) => "no_worker",
        Error::File(_) | Error::Replaced { .. } => "file",
        Error::Busy(_) => "busy",
        Error::DiskFull(_) => "disk_full",
        Error::Unconfirmed(_) => "unconfirmed",
        Error::Stuck(_) | Error::Unfit(_) | Error::Sqlite(_) | Error::Io { .. } | Error::Internal(_) => "failed",
    }
}

/// Returns the document.
pub fn document(code: &str, text: &str, remedy: Option<&str>) -> Value {
    versioned(json!({"error": {"code": code, "text": text, "remedy": remedy}}))
}
