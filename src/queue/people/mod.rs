//! What a user asks of the system worker, and what it answers: the words that both have in common.
//!
//! [`serve`] is the worker's side, [`System`] the client's. Rows travel as JSON, so that the
//! command line shows them as if it had read the file. Worker and client are of one version.

mod ask;
mod serve;
mod words;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::job::{Advice, JobId, NewJob, RunId, State};
use crate::store::USER_VERSION;
use crate::store::job::rows;
use crate::store::receipt::{Answer, Key};
use crate::sync::lock;

pub(crate) use ask::System;
pub(crate) use serve::answer;

/// Least time between two lines of the log about requests that failed.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// Most jobs of one list.
pub(crate) const LISTED_MAX: usize = 500;
/// Most jobs that one request changes.
pub(crate) const CHANGED_MAX: usize = 100;

/// What a user asks for. One that is not here is not served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Ask {
    Add {
        key: Key,
        jobs: Vec<NewJob>,
    },
    Jobs(Which),
    Record {
        id: JobId,
    },
    Why {
        id: JobId,
    },
    /// The log of a run; `None`: the latest of the job.
    Log {
        id: JobId,
        run: Option<RunId>,
    },
    Change {
        verb: Change,
        ids: Vec<JobId>,
        why: Option<String>,
    },
    Remove {
        ids: Vec<JobId>,
    },
    Status,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// First and last of each range.
    pub ids: Vec<(i64, i64)>,
    pub queue: Option<String>,
    pub label: Option<String>,
    pub states: Vec<State>,
    /// Ended ones too.
    pub all: bool,
    /// Only those of the user who asks.
    pub mine: bool,
    pub since_ms: Option<i64>,
    pub limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Cancel,
    Retry,
    Hold,
    Release,
}

/// A job, as far as the user may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Otherwise it has its number, owner, queue, label, state and times, and nothing else.
    pub is_whole: bool,
    pub job: rows::Job,
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Came {
    Cancelled,
    Stopping,
    AlreadyEnded,
    Queued,
    Changed,
    Unchanged,
    Refused(Kind, String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Added(Answer),
    /// The second value: there are more.
    Jobs(Vec<Seen>, bool),
    Record {
        job: Box<rows::Job>,
        runs: Vec<rows::Run>,
        events: Vec<rows::Event>,
        /// How long its suspensions that are over have lasted together.
        suspended_ms: u64,
    },
    Why {
        job: Box<rows::Job>,
        all: Vec<Advice>,
    },
    /// The run whose log comes with it. Without a descriptor there is no log.
    Log {
        run: Option<RunId>,
    },
    Changed(Vec<(JobId, Came)>),
    Removed {
        jobs: usize,
        runs: usize,
        kept: Vec<(JobId, String)>,
    },
    Status(Overview),
    Refused(Kind, String),
}

/// How things are, for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overview {
    pub queued: i64,
    pub running: i64,
    /// The user's own jobs.
    pub yours: Vec<(State, i64)>,
    pub log_bytes: u64,
    pub queued_max: u32,
    pub running_max: u32,
    pub kept_max: u32,
    pub log_bytes_max: u64,
    pub queues: Vec<String>,
}

/// The error that a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Invalid,
    NotFound,
    Refused,
    Unconfirmed,
    Failed,
}

impl Kind {
    pub fn error(self, text: String) -> Error {
        match self {
            Self::Invalid => Error::Invalid(text),
            Self::NotFound => Error::NotFound(text),
            Self::Refused => Error::Refused(text),
            Self::Unconfirmed => Error::Unconfirmed(text),
            Self::Failed => Error::Busy(text),
        }
    }

    /// Returns what a user is told of an error. What is wrong with the file or the machine is told
    /// to root alone.
    fn of(error: Error) -> (Self, String) {
        match error {
            Error::Invalid(text) => (Self::Invalid, text),
            Error::NotFound(text) => (Self::NotFound, text),
            Error::Refused(text) => (Self::Refused, text),
            Error::Unconfirmed(text) => (Self::Unconfirmed, text),
            error => {
                // A user can ask again and again.
                if is_time_to_log() {
                    log::warn!("a request of a user failed: {error}");
                }
                (Self::Failed, "the system worker could not do it now; its log says why to root".to_owned())
            }
        }
    }
}

fn is_time_to_log() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = lock(&LAST);
    let is_time = last.is_none_or(|at| at.elapsed() >= LOG_EVERY);
    if is_time {
        *last = Some(Instant::now());
    }
    is_time
}

/// The first line of a request.
fn first_line() -> String {
    format!("tenure {} {USER_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

impl Ask {
    fn encode(&self) -> Vec<u8> {
        let mut request = first_line().into_bytes();
        request.extend(serde_json::to_vec(self).unwrap_or_default());
        request
    }

    /// Decodes a request; the error is for its user.
    fn decode(request: &[u8]) -> Result<Self, Error> {
        let Some(json) = request.strip_prefix(first_line().as_bytes()) else {
            let ours = env!("CARGO_PKG_VERSION");
            return Err(Error::Refused(format!("the system worker is tenure {ours} and needs a client of the same version")));
        };
        serde_json::from_slice(json).map_err(|_| Error::Invalid("the system worker does not understand the request".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Argv;

    #[test]
    fn a_request_arrives_as_it_was_sent_and_whole() {
        let key = Key { sent_ms: 5, token: [0xfe; 16] };
        let job = NewJob::new(Argv::new(vec![b"x".to_vec(), vec![0xff]]).unwrap());
        let ask = Ask::Add { key, jobs: vec![job] };
        let request = ask.encode();
        assert_eq!(Ask::decode(&request).unwrap(), ask);
        for end in 0..request.len() {
            assert!(Ask::decode(&request[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn no_client_says_whom_a_job_belongs_to() {
        let key = Key { sent_ms: 5, token: [1; 16] };
        let job = NewJob { owner: Some(7), ..NewJob::new(Argv::from_strs(&["true"]).unwrap()) };
        let request = Ask::Add { key, jobs: vec![job] }.encode();
        let text = String::from_utf8(request).unwrap();
        assert!(!text.contains("owner"));
        let with = text.replacen("\"task_hold\":false", "\"task_hold\":false,\"owner\":0", 1);
        assert_ne!(with, text);
        assert!(Ask::decode(with.as_bytes()).is_err(), "an unknown field");
    }

    #[test]
    fn an_error_of_the_file_is_not_told_to_users() {
        let (kind, text) = Kind::of(Error::File("/var/lib/tenure/tenure.db: label of job 7".into()));
        assert!(kind == Kind::Failed && !text.contains("/var") && !text.contains('7'), "{text}");
        assert_eq!(Kind::of(Error::Refused("no".into())), (Kind::Refused, "no".to_owned()));
    }
}
