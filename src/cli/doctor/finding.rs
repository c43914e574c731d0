//! A finding of a check of `doctor`.

use crate::place::Place;

/// A finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub ok: bool,
    pub text: String,
    pub remedy: Option<String>,
    /// While this finding holds, `doctor --fix` is refused, or waits.
    pub keeps_fix: bool,
}

impl Finding {
    pub fn fine(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, ok: true, text: text.into(), remedy: None, keeps_fix: false }
    }

    pub fn wrong(name: &'static str, text: impl Into<String>, remedy: impl Into<Option<&'static str>>) -> Self {
        Self { name, ok: false, text: text.into(), remedy: remedy.into().map(str::to_owned), keeps_fix: false }
    }
}

/// The directory beside the file, for a message.
pub fn shown(place: &Place) -> String {
    place.dir().display().to_string()
}
