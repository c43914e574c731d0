//! The client's side: asks the system worker, and asks again where that is safe.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Ask, Change, Reply};
use crate::error::{Error, Result};
use crate::host::people::{self, Trouble};
use crate::job::NewJob;
use crate::run::machine::{boottime_ms, nonce};
use crate::store::receipt::{Answer, Key};

/// How long an answer is waited for, with all repetitions, in milliseconds: a worker is restarted
/// meanwhile.
const ANSWER_MS: u64 = 10_000;
/// Pause before a request is repeated, in milliseconds.
const AGAIN_MS: u64 = 50;

/// The system worker, as another user reaches it.
#[derive(Debug, Clone)]
pub(crate) struct System {
    socket: PathBuf,
}

impl System {
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Adds jobs, all or none, once: also if the answer is lost and the request is repeated.
    ///
    /// # Errors
    /// As [`System::ask`]. [`Error::Unconfirmed`]: the jobs may have been added.
    pub fn add(&self, jobs: Vec<NewJob>) -> Result<Answer> {
        let key = Key { sent_ms: boottime_ms(), token: nonce().0 };
        match self.ask(&Ask::Add { key, jobs })? {
            (Reply::Added(answer), _) => Ok(answer),
            _ => Err(other_answer()),
        }
    }

    /// Asks. A refusal is an error.
    ///
    /// # Errors
    /// [`Error::NoWorker`]; [`Error::Unconfirmed`] if it is not known what became of the request.
    pub fn ask(&self, ask: &Ask) -> Result<(Reply, Option<OwnedFd>)> {
        let request = ask.encode();
        let until = Instant::now() + Duration::from_millis(ANSWER_MS);
        let mut may_be_served = false;
        loop {
            let trouble = match people::ask(&self.socket, &request, until) {
                Ok(told) => {
                    return match serde_json::from_slice(&told.bytes) {
                        Ok(Reply::Refused(kind, text)) => Err(kind.error(text)),
                        Ok(reply) => Ok((reply, told.file)),
                        Err(_) => Err(other_answer()),
                    };
                }
                Err(trouble) => trouble,
            };
            may_be_served |= matches!(trouble, Trouble::Lost);
            let is_repeated = !may_be_served || can_be_repeated(ask);
            match trouble {
                Trouble::TooLong(bytes) => return Err(too_long(bytes)),
                Trouble::NotRoot(uid) => {
                    let path = self.socket.display();
                    return Err(Error::Refused(format!(
                        "{path} is the socket of user {uid}, not of root's worker; nothing was sent"
                    )));
                }
                Trouble::NoWorker(why) if !may_be_served => return Err(self.no_worker(&why)),
                _ if is_repeated && Instant::now() < until => std::thread::sleep(Duration::from_millis(AGAIN_MS)),
                _ if may_be_served && changes(ask) => {
                    let look = "look before you do it again: tenure --system ls -a";
                    return Err(Error::Unconfirmed(format!("the system worker did not answer, and may have done it; {look}")));
                }
                _ => return Err(Error::Busy("the system worker does not answer; try again, or tell root".into())),
            }
        }
    }

    fn no_worker(&self, why: &std::io::Error) -> Error {
        let path = self.socket.display();
        Error::NoWorker(format!("no system worker listens on {path} ({why}); root starts one: tenure work --system"))
    }
}

/// Whether a repetition of a request that may have been served does nothing more.
fn can_be_repeated(ask: &Ask) -> bool {
    match ask {
        Ask::Add { .. } | Ask::Jobs(_) | Ask::Record { .. } | Ask::Why { .. } | Ask::Log { .. } | Ask::Status => true,
        Ask::Change { verb, .. } => *verb != Change::Retry,
        Ask::Remove { .. } => false,
    }
}

fn changes(ask: &Ask) -> bool {
    matches!(ask, Ask::Add { .. } | Ask::Change { .. } | Ask::Remove { .. })
}

fn too_long(bytes: usize) -> Error {
    let most = people::REQUEST_BYTES_MAX;
    Error::Invalid(format!(
        "the request has {bytes} bytes, and the system worker takes {most}; put data into a file, or add fewer jobs at once"
    ))
}

fn other_answer() -> Error {
    Error::Refused("the system worker is of another version of tenure; use the same".into())
}
