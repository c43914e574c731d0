//! The limit of open files: the worker and the spawner raise theirs to the maximum; a job gets the
//! worker's original limit.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The variable by which the worker passes its original limit to the spawner.
pub(super) const GIVEN: &str = "TENURE_OPEN_FILES";

static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the limit of this process to its maximum, and returns it; `None` means no limit. Once per
/// process.
pub fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    BEFORE.get_or_init(|| now.current);
    // If it is refused, fewer runs fit; each that does not is requeued.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Nofile).current
}

/// Returns the limit of this process; `None` means no limit.
pub fn current() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Returns the original limit of this process, if it was raised.
pub(super) fn given() -> Option<u64> {
    BEFORE.get().copied().flatten()
}

/// In the spawner: raises its limit, and returns the limit of jobs.
pub(super) fn raise_for_spawner() -> Rlimit {
    let now = getrlimit(Resource::Nofile);
    let given = std::env::var(GIVEN).ok().and_then(|text| text.parse().ok());
    let _ = raise();
    Rlimit { current: given.or(now.current), maximum: now.maximum }
}
