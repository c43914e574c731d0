//! One thing to tell: a word for scripts, a text with numbers for people, and the command that
//! clears it.

/// One thing that a person is told: what is the matter, and the command that clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// A word for scripts.
    pub code: &'static str,
    /// For people, with numbers.
    pub text: String,
    /// The command that clears it; `None` where only time does.
    pub remedy: Option<String>,
}

impl Advice {
    pub(crate) fn new(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<String>>) -> Self {
        Self { code, text: text.into(), remedy: remedy.into() }
    }
}
