//! One thing to tell: a word for scripts, a text with numbers for people, and the command that clears it.

use serde_json::{Value, json};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// A word for scripts.
    pub code: &'static str,
    /// For people, with numbers.
    pub text: String,
    /// The command that clears it; `None` where only time does.
    pub remedy: Option<String>,
}

impl Obstacle {
    pub fn new(code: &'static str, text: impl Into<String>, remedy: impl Into<Option<String>>) -> Self {
        Self { code, text: text.into(), remedy: remedy.into() }
    }

    pub fn to_json(&self) -> Value {
        json!({"code": self.code, "text": self.text, "remedy": self.remedy})
    }
}
