//! What a check of `doctor` has found.

use crate::place::Place;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub ok: bool,
    pub text: String,
    pub remedy: Option<String>,
    /// As long as this is so, `doctor --fix` is refused, or waits.
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
