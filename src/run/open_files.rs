//! The limit of open files: the worker and the spawner raise theirs to what they may have; a job
//! gets what the worker was given.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The variable by which the worker tells the spawner what it was given.
pub(super) const GIVEN: &str = "TENURE_OPEN_FILES";

static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this process's limit to the highest that it may have, and says what that is; `None` means
/// no limit. Once in a process.
pub fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    BEFORE.get_or_init(|| now.current);
    // Where it is refused, fewer runs fit; each that does not is put back.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Nofile).current
}

/// What this process was given, where it has raised it.
pub(super) fn given() -> Option<u64> {
    BEFORE.get().copied().flatten()
}

/// In the spawner: raises its limit, and says what jobs get.
pub(super) fn raise_for_spawner() -> Rlimit {
    let now = getrlimit(Resource::Nofile);
    let given = std::env::var(GIVEN).ok().and_then(|text| text.parse().ok());
    let _ = raise();
    Rlimit { current: given.or(now.current), maximum: now.maximum }
}
