//! Conditions of a worker, as it reports them.

use serde::{Deserialize, Serialize};

use crate::job::Advice;

/// Longest text of a condition, in bytes.
const TEXT_BYTES_MAX: usize = 600;

/// A problem of a worker, the file or the machine, as the worker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its code is one of [`CODES`].
    #[serde(flatten)]
    pub advice: Advice,
    /// The worker claims nothing meanwhile.
    pub holds_claims: bool,
    /// Milliseconds UTC.
    pub since_ms: i64,
}

/// The codes of all conditions.
pub const CODES: &[&str] = &[
    "memory_floor",
    "disk_floor",
    "load_floor",
    "disk_full",
    "no_files",
    "disk_error",
    "no_processes",
    "no_descriptors",
    "no_memory",
    "no_inotify",
    "claim_error",
    "recovery_error",
    "schema_changed",
    "file_replaced",
    "spawner_stopped",
    "engine_silent",
    "engine_full",
    "workspace_left",
    "result_left",
];

impl Condition {
    /// Prevents the worker from claiming until it is cleared.
    pub fn holding(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<&'static str>>) -> Self {
        Self { holds_claims: true, ..Self::notice(code, text, remedy) }
    }

    /// Is reported and changes nothing.
    pub fn notice(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<&'static str>>) -> Self {
        debug_assert!(CODES.contains(&code), "{code} is not in the list");
        let advice = Advice::new(code, cut(text.into()), remedy.into().map(str::to_owned));
        Self { advice, holds_claims: false, since_ms: 0 }
    }

    /// Sets the remedy.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.advice.remedy = Some(cut(remedy.into()));
        self
    }
}

pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
        text.truncate(end);
        text += "...";
    }
    text
}
