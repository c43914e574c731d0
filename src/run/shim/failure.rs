//! Why the child did not become the job, in words, and who is at fault.

use std::io;
use std::os::raw::c_int;
use std::path::Path;

use crate::run::unexecutable::{self, Refused};

use super::identity::Identity;
use super::prepare::{Prepared, path_of, shown};
use super::refusal::Refusal;

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    None,
    Group,
    Fds,
    Cgroup,
    Limit,
    Nice,
    Keyring,
    Groups,
    Gid,
    Uid,
    Privileges,
    Umask,
    Chdir,
    ParentDeath,
    Mask,
    Execve,
}

#[derive(Clone, Copy)]
pub struct Failure {
    pub step: Step,
    pub errno: c_int,
    /// Which candidate was refused.
    pub candidate: usize,
}

/// Says why the child did not execute the command, and whether that is a shortage of the machine.
pub fn describe(failure: &Failure, prepared: &Prepared) -> Refusal {
    let what = match failure.step {
        Step::None => "nothing".to_owned(),
        Step::Group => "setpgid".to_owned(),
        Step::Fds => "dup2".to_owned(),
        Step::Cgroup => "joining the cgroup".to_owned(),
        Step::Limit => "setrlimit".to_owned(),
        Step::Nice => format!("nice {} (only root may go below 0)", prepared.nice.unwrap_or_default()),
        Step::Keyring => "a session keyring of its own".to_owned(),
        Step::Groups => "setgroups (only root may use another user)".to_owned(),
        Step::Gid => "setgid".to_owned(),
        Step::Uid => "setuid".to_owned(),
        Step::Privileges => "no_new_privs".to_owned(),
        Step::Umask => "umask".to_owned(),
        Step::Chdir => format!("chdir {}", shown(&prepared.cwd)),
        Step::ParentDeath => "the shim died".to_owned(),
        Step::Mask => "sigprocmask".to_owned(),
        Step::Execve => match prepared.candidates.as_slice() {
            [only] => format!("execve {}", shown(only)),
            // Not found anywhere: naming the command says more than the last directory that was
            // searched.
            _ if failure.errno == libc::ENOENT => format!("execve {} (looked for in PATH)", shown(&prepared.argv[0])),
            many => format!("execve {}", shown(&many[failure.candidate.min(many.len() - 1)])),
        },
    };
    let error = io::Error::from_raw_os_error(failure.errno);
    let why = why(failure, prepared);
    let has_memory_limit = prepared.memory.data_limit_bytes().is_some();
    let refusal = if is_its_own(failure, prepared.identity.as_ref(), has_memory_limit) {
        Refusal::new(what, &error)
    } else {
        Refusal::shared(what, &error)
    };
    refusal.because(why)
}

/// Whether an errno is the job's own, also if it is one of those by which the machine says that it
/// lacks something. A job that is stopped by its own memory limit or its user's process limit is
/// not a shortage of the worker. What a path of a user's job answers is said by that user, who may
/// have mounted a file system of their own there: it must not keep the jobs of others from
/// starting.
fn is_its_own(failure: &Failure, identity: Option<&Identity>, has_memory_limit: bool) -> bool {
    match failure.step {
        Step::Chdir | Step::Execve if identity.is_some_and(|user| user.is_owner) => true,
        _ => (failure.errno == libc::ENOMEM && has_memory_limit) || (failure.errno == libc::EAGAIN && identity.is_some()),
    }
}

/// Explains an errno by inspecting the files: which interpreter is missing, what is not executable,
/// which line was meant for a shell.
fn why(failure: &Failure, prepared: &Prepared) -> Option<String> {
    let may = |path: &Path| prepared.identity.as_ref().map_or_else(|| unexecutable::we_may(path), |user| user.may_pass(path));
    // The files were named by a user; root looks at none of them.
    if prepared.identity.as_ref().is_some_and(|user| user.is_owner) {
        return None;
    }
    let cwd = path_of(&prepared.cwd);
    match failure.step {
        Step::Chdir => unexecutable::explain_directory(cwd, &may),
        Step::Execve => unexecutable::explain(&Refused {
            errno: failure.errno,
            argv: &prepared.argv.iter().map(|argument| argument.as_bytes().to_vec()).collect::<Vec<_>>(),
            candidates: &prepared.candidates.iter().map(path_of).collect::<Vec<_>>(),
            cwd,
            path: &prepared.path,
            may: &may,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user can mount a file system of their own below a directory or a command that they name.
    #[test]
    fn no_errno_of_a_path_of_a_user_is_a_shortage() {
        let identity = |is_owner| Identity { name: "u".into(), user: 7, group: 7, groups: vec![], env: vec![], is_owner };
        let (owner, chosen) = (identity(true), identity(false));
        for errno in [libc::EAGAIN, libc::ENOMEM, libc::ENFILE, libc::EMFILE, libc::ENOENT] {
            for step in [Step::Chdir, Step::Execve] {
                let failure = Failure { step, errno, candidate: 0 };
                assert!(is_its_own(&failure, Some(&owner), false), "{step:?} {errno}");
                assert_eq!(is_its_own(&failure, Some(&chosen), false), errno == libc::EAGAIN, "{step:?} {errno}");
                assert_eq!(is_its_own(&failure, None, true), errno == libc::ENOMEM, "{step:?} {errno}");
            }
            let failure = Failure { step: Step::Fds, errno, candidate: 0 };
            assert_eq!(is_its_own(&failure, Some(&owner), false), errno == libc::EAGAIN, "{errno}");
        }
    }
}
