//! The exit code of `run`, and of `wait` for one job.
//!
//! Never 0 for a job that is not done.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::cli::face;
use crate::cli::parse::values;
use crate::cli::view::escape;
use crate::error::{exit, said};
use crate::job::{Argv, Exit, Reason, State};
use crate::queue::JobInfo;
use crate::run::unexecutable::{self, PATH_DEFAULT, Refused};

/// Returns the exit code of a command that represents this job.
pub fn of_job(job: &JobInfo) -> u8 {
    match (job.state, job.stored.reason) {
        (State::Done, _) => exit::OK,
        (_, Some(Reason::Timeout)) => exit::TIMEOUT,
        (_, Some(Reason::Spawn)) => of_spawn(job.error.as_deref().unwrap_or("")),
        _ => of_end(job.exit_code, job.signal),
    }
}

/// Returns the exit code of a command that ran one in the foreground.
pub fn of_exit(ended: Exit) -> u8 {
    match ended {
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(exit::FAILED),
        Exit::Signal(signal) => of_end(None, Some(signal)),
    }
}

/// Reports that a command could not be executed, and returns the code for that, as a shell does.
pub fn complain_of(argv: &Argv, error: &std::io::Error) -> u8 {
    let text = said(error);
    let why = why_here(argv, error).map(|why| format!("; {why}")).unwrap_or_default();
    face::complain(&format!("{}: {text}{why}", values::shorten(&escape::quote(argv))));
    if error.kind() == std::io::ErrorKind::NotFound { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE }
}

/// Explains more than the errno about a command that was to be executed here.
fn why_here(argv: &Argv, error: &std::io::Error) -> Option<String> {
    let path = std::env::var_os("PATH").map_or_else(|| PATH_DEFAULT.as_bytes().to_vec(), OsStringExt::into_vec);
    let candidates = unexecutable::candidates(&argv.arguments()[0], &path);
    unexecutable::explain(&Refused {
        errno: error.raw_os_error()?,
        argv: argv.arguments(),
        candidates: &candidates.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
        cwd: &std::env::current_dir().ok()?,
        path: &path,
        may: &unexecutable::we_may,
    })
}

fn of_end(code: Option<i32>, signal: Option<i32>) -> u8 {
    match (code, signal) {
        (_, Some(signal)) => exit::SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or(0)),
        // Its command ended with 0 and yet it is not done: its check failed, or it was cancelled.
        (Some(0) | None, None) => exit::FAILED,
        (Some(code), None) => u8::try_from(code & 0xff).unwrap_or(exit::FAILED),
    }
}

/// As a shell does: 127 if the program was not found, 126 for everything else. A missing directory,
/// input or secret is not a missing program.
fn of_spawn(error: &str) -> u8 {
    let not_found = error.starts_with("execve ") && error.contains("No such file or directory");
    if not_found { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture::job;

    #[test]
    fn a_job_ends_a_command_as_it_ended_itself() {
        type Case = (State, Reason, Option<i32>, Option<i32>, &'static str, u8);
        let cases: &[Case] = &[
            (State::Done, Reason::Exit, Some(0), None, "", 0),
            (State::Failed, Reason::Exit, Some(3), None, "", 3),
            (State::Failed, Reason::Exit, Some(75), None, "", 75),
            (State::Failed, Reason::Signal, None, Some(9), "", 137),
            (State::Failed, Reason::Memory, None, Some(9), "", 137),
            (State::Failed, Reason::Timeout, None, Some(15), "", 124),
            (State::Failed, Reason::Timeout, Some(0), None, "", 124),
            (State::Failed, Reason::Check, Some(0), None, "", 1),
            (State::Failed, Reason::Lost, None, None, "", 1),
            (State::Failed, Reason::Dependency, None, None, "", 1),
            (State::Failed, Reason::Expired, None, None, "", 1),
            (State::Cancelled, Reason::Cancelled, None, None, "", 1),
            (State::Cancelled, Reason::Cancelled, None, Some(15), "", 143),
            (State::Cancelled, Reason::Cancelled, Some(0), None, "", 1),
            (State::Failed, Reason::Spawn, None, None, "execve /nope: No such file or directory", 127),
            (State::Failed, Reason::Spawn, None, None, "execve /etc/passwd: Permission denied", 126),
            (State::Failed, Reason::Spawn, None, None, "chdir /nope: No such file or directory", 126),
            (State::Failed, Reason::Spawn, None, None, "opening stdin /nope: No such file or directory", 126),
        ];
        for (state, reason, exit_code, signal, error, expected) in cases {
            let mut job = job(7, *state);
            (job.reason, job.exit_code, job.signal, job.error) = (Some(*reason), *exit_code, *signal, Some((*error).to_owned()));
            assert_eq!(of_job(&JobInfo::of(job)), *expected, "{reason} {exit_code:?} {signal:?} {error}");
        }
    }
}
