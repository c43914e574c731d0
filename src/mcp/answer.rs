//! What a tool answers: a document for programs, and a short text for a model. Also when it fails,
//! so that a model can read why.

use serde_json::Value;

use crate::document::failure;
use crate::error::Error;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub document: Value,
    pub text: String,
}

/// A call that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// A word for programs.
    code: &'static str,
    text: String,
}

pub type Answered = Result<Answer, Failure>;

impl Failure {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// A call that cannot be meant.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new("usage", text)
    }

    /// What the operator does not allow.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::new("refused", text)
    }

    pub fn answer(&self) -> Answer {
        Answer { document: failure::document(self.code, &self.text, None), text: format!("{}: {}", self.code, self.text) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(failure::code(&error), error.to_string())
    }
}
