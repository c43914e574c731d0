//! What a client is told when a request fails: an HTTP status, and the error as JSON.

use serde_json::Value;

use crate::document::failure;
use crate::error::Error;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// A word for programs.
    pub code: &'static str,
    pub text: String,
    pub remedy: Option<String>,
    /// The server itself could not answer, and not the file.
    pub is_of_server: bool,
}

impl Problem {
    pub fn new(status: u16, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into(), remedy: None, is_of_server: false }
    }

    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A request that cannot be meant.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(400, "usage", text)
    }

    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(404, "not_found", text)
    }

    /// The server itself cannot answer now.
    pub fn busy(text: impl Into<String>) -> Self {
        Self { is_of_server: true, ..Self::new(503, "busy", text).with_remedy("try again later") }
    }

    pub fn to_json(&self) -> Value {
        failure::document(self.code, &self.text, self.remedy.as_deref())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Invalid(_) => 400,
            Error::NotFound(_) => 404,
            Error::Refused(_) | Error::KeyUsed | Error::Held(_) => 409,
            Error::NoWorker(_) | Error::File(_) | Error::Replaced { .. } | Error::Busy(_) => 503,
            Error::DiskFull(_) => 507,
            Error::Unconfirmed(_)
            | Error::Stuck(_)
            | Error::Unfit(_)
            | Error::Sqlite(_)
            | Error::Io { .. }
            | Error::Internal(_) => 500,
        };
        Self::new(status, failure::code(&error), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::failure::KEY_USED;

    #[test]
    fn each_error_has_a_status_and_a_code() {
        let cases = [
            (Error::Invalid("x".into()), 400, "usage"),
            (Error::NotFound("x".into()), 404, "not_found"),
            (Error::Refused("x".into()), 409, "refused"),
            (Error::KeyUsed, 409, KEY_USED),
            (Error::File("x".into()), 503, "file"),
            (Error::Busy("x".into()), 503, "busy"),
            (Error::DiskFull("x".into()), 507, "disk_full"),
            (Error::Unconfirmed("x".into()), 500, "unconfirmed"),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(error);
            assert_eq!((problem.status, problem.code), (status, code));
            assert_eq!(problem.to_json()["schema"], 1);
        }
    }
}
