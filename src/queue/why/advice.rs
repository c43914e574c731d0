//! One finding: a code for scripts, a text with numbers for people, and the command that clears it.

/// A finding for a person, and the command that clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// A code for scripts.
    pub code: &'static str,
    /// Text for people, with numbers.
    pub text: String,
    /// The command that clears it; `None` if only time does.
    pub remedy: Option<String>,
}

impl Advice {
    pub(crate) fn new(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<String>>) -> Self {
        Self { code, text: text.into(), remedy: remedy.into() }
    }
}
