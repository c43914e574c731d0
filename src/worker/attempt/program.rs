//! The executables of a launcher: those of a directory, or scripts that tenure has.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The names of a launcher's executables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Submit,
    Status,
    Cancel,
    Logs,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
            Self::Cancel => "cancel",
            Self::Logs => "logs",
        }
    }
}

/// Returns the first arguments of a call. `None`: the launcher does not have that verb.
pub fn program(launcher: &str, verb: Verb) -> Option<Vec<Vec<u8>>> {
    let script = match (launcher, verb) {
        ("slurm", Verb::Submit) => include_str!("launchers/slurm/submit.sh"),
        ("slurm", Verb::Status) => include_str!("launchers/slurm/status.sh"),
        ("slurm", Verb::Cancel) => include_str!("launchers/slurm/cancel.sh"),
        ("slurm", Verb::Logs) => return None,
        ("ssh", Verb::Submit) => include_str!("launchers/ssh/submit.sh"),
        ("ssh", Verb::Status) => include_str!("launchers/ssh/status.sh"),
        ("ssh", Verb::Cancel) => include_str!("launchers/ssh/cancel.sh"),
        ("ssh", Verb::Logs) => include_str!("launchers/ssh/logs.sh"),
        // Any client may have written it. A path would be relative to the directory of each job.
        (name, _) if !name.starts_with('/') => return None,
        (dir, verb) => {
            let path = Path::new(dir).join(verb.as_str());
            // It is optional: an engine that shares the file system writes the log itself.
            let has_it = verb != Verb::Logs || path.exists();
            return has_it.then(|| vec![path.as_os_str().as_bytes().to_vec()]);
        }
    };
    Some(["/bin/sh", "-c", script, verb.as_str()].iter().map(|part| part.as_bytes().to_vec()).collect())
}
