//! What a person should know, and how it is cleared: the one form in which `why`, `status`,
//! `doctor` and a worker's report say it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A finding for a person, and the command that clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Advice {
    /// A code for scripts.
    pub code: Cow<'static, str>,
    /// Text for people, with numbers.
    pub text: String,
    /// The command that clears it; `None` if only time does.
    pub remedy: Option<String>,
}

impl Advice {
    pub(crate) fn new(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<String>>) -> Self {
        Self { code: code.into(), text: text.into(), remedy: remedy.into() }
    }

    /// Advice with a remedy that is always the same.
    pub(crate) fn with_remedy(code: &'static str, text: impl Into<String>, remedy: &str) -> Self {
        Self::new(code, text, remedy.to_owned())
    }

    /// The text and the remedy, as the text of an error.
    pub(crate) fn sentence(&self) -> String {
        self.remedy.iter().fold(self.text.clone(), |text, remedy| format!("{text}; {remedy}"))
    }
}
