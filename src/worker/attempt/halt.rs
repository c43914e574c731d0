//! Why a thread stops working on a run.

use crate::error::Error;
use crate::job::RunEnd;
use crate::worker::shortage;

/// Why a thread stops working on a run.
#[derive(Debug)]
pub enum Halt {
    /// The worker detaches from its runs: the shim continues, and the next worker adopts the run.
    Detached,
    /// Another engine has the run, and no thread waits for it.
    Launched,
    /// The run has ended like this without a process of its job.
    Ended(RunEnd),
    /// The file or the system refused something: the run stays open, and recovery checks it at the
    /// next tick.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<RunEnd> for Halt {
    fn from(end: RunEnd) -> Self {
        Self::Ended(end)
    }
}

impl Halt {
    /// Its row cannot be run, for this reason.
    pub fn unrunnable(error: String) -> Self {
        Self::Ended(RunEnd::Unrunnable { error })
    }

    /// There was a shortage before the run could be handed to the spawner.
    pub fn no_means(error: &Error) -> Self {
        let errno = shortage::want_of(error).unwrap_or_else(|| rustix::io::Errno::AGAIN.raw_os_error());
        Self::Ended(RunEnd::NoMeans { errno, error: error.to_string() })
    }
}
