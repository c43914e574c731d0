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
    /// Whose it is: see [`NotExecuted::ours`].
    pub ours: bool,
}

impl Refusal {
    /// `what: words of the errno`.
    pub fn new(what: impl std::fmt::Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        Self { errno, text: format!("{what}: {}", said(error)), ours: false }
    }

    /// It is about a file or a process of ours: whatever the system said, the job has no part in it.
    pub fn ours(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self { ours: true, ..Self::new(what, error) }
    }

    /// It is about something of the job's, and the system lacks what anything needs: processes, memory or descriptors.
    pub fn shared(what: impl std::fmt::Display, error: &io::Error) -> Self {
        let refusal = Self::new(what, error);
        Self { ours: is_want_of_resources(refusal.errno), ..refusal }
    }

    /// The same, with what is known beyond the number.
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
