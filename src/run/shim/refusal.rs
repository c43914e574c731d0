//! Why a job was not executed.

use std::io;

use crate::error::said;
use crate::job::ending::is_want_of_resources;
use crate::run::machine::now_ms;
use crate::run::record::{NotExecuted, Record};

/// Why the job was not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub errno: i32,
    pub text: String,
    /// Who is at fault: see [`NotExecuted::ours`].
    pub ours: bool,
}

impl Refusal {
    /// `what: words of the errno`.
    pub fn new(what: impl std::fmt::Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        Self { errno, text: format!("{what}: {}", said(error)), ours: false }
    }

    /// The error is about a file or a process of tenure: the job is not at fault, for any
    /// errno.
    pub fn ours(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self { ours: true, ..Self::new(what, error) }
    }

    /// The error is about the job, and the system lacks what any process needs: processes, memory
    /// or descriptors.
    pub fn shared(what: impl std::fmt::Display, error: &io::Error) -> Self {
        let refusal = Self::new(what, error);
        Self { ours: is_want_of_resources(refusal.errno), ..refusal }
    }

    /// The same, with an explanation beyond the errno.
    pub fn because(self, why: Option<String>) -> Self {
        match why {
            Some(why) => Self { text: format!("{}; {why}", self.text), ..self },
            None => self,
        }
    }

    pub fn into_record(self) -> Record {
        Record::Failed(NotExecuted { errno: self.errno, ours: self.ours, text: self.text, at_ms: now_ms() })
    }
}
