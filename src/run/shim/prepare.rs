//! Everything that is prepared before the job's process exists, so that the child makes only system
//! calls.

use std::ffi::{CString, OsStr};
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, fchown, fcntl_setfl, flock};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::run::launch::{COOKIE, Launch};
use crate::run::marks::limit_of;
use crate::run::unexecutable::{self, PATH_DEFAULT};

use super::identity::Identity;
use super::memory::Memory;
use super::refusal::Refusal;

/// Where the job of another user has its result, if it cannot reach the file by path: a descriptor,
/// and the variable that names it.
pub const RESULT_FD: i32 = 3;
const RESULT: &str = "TENURE_RESULT";
/// The mask of new files of a user's job, as a login has it.
const OWNERS_UMASK: u32 = 0o022;
/// A prober may hold the log's lock for an instant; the number of attempts, one millisecond apart.
const LOG_LOCK_TRIES_MAX: u32 = 200;

/// A job that is ready to be executed.
pub struct Prepared {
    pub argv: Vec<CString>,
    pub env: Vec<CString>,
    /// Paths to try, in order.
    pub candidates: Vec<CString>,
    /// The `PATH` in which the command was searched.
    pub path: Vec<u8>,
    pub cwd: CString,
    pub stdin: OwnedFd,
    /// Locked; its copies are the job's stdout and stderr.
    pub log: OwnedFd,
    pub identity: Option<Identity>,
    pub nice: Option<i32>,
    /// The mask of new files, if it is not that of the worker.
    pub umask: Option<u32>,
    pub memory: Memory,
    /// Where the job of another user writes its result, if it cannot reach the file by path.
    pub result: Option<OwnedFd>,
    /// The limit that marks the job's processes.
    pub mark: u64,
}

impl Prepared {
    /// Opens and looks up what the job needs.
    ///
    /// # Errors
    /// Says what is missing; nothing was started.
    pub fn of(launch: &Launch) -> Result<Self, Refusal> {
        let argv = launch.argv.iter().map(|argument| c_string(argument, "an argument")).collect::<Result<Vec<_>, _>>()?;
        let Some(name) = launch.argv.first().filter(|name| !name.is_empty()) else {
            return Err(Refusal { errno: libc::EINVAL, text: "the command is empty".to_owned(), ours: false });
        };
        let identity = Identity::of(launch)?;
        if identity.as_ref().is_some_and(|identity| identity.is_owner) && launch.stdin.is_some() {
            let text = "a job of a user has no stdin that root opens; let the command read the file".to_owned();
            return Err(Refusal { errno: libc::EPERM, text, ours: false });
        }
        let path = launch.variable("PATH").unwrap_or(PATH_DEFAULT.as_bytes()).to_vec();
        let log = open_log(&launch.log, identity.as_ref())?;
        let result = result_for(launch, identity.as_ref())?;
        Ok(Self {
            argv,
            env: environment(launch, identity.as_ref(), result.is_some())?,
            candidates: candidates(name, &path)?,
            path,
            cwd: c_string(&launch.cwd, "the directory")?,
            stdin: open_stdin(launch.stdin.as_deref())?,
            log,
            identity,
            nice: nice_of(launch),
            umask: launch.owner.map(|_| OWNERS_UMASK),
            memory: Memory::of(launch),
            result,
            mark: limit_of(launch.nonce),
        })
    }

    /// Releases everything that is not needed once the command is executing.
    pub fn into_what_is_still_needed(self) -> (OwnedFd, Option<OwnedFd>, Memory) {
        (self.log, self.result, self.memory)
    }
}

/// A user's job is not scheduled before the worker, also if that was started with `nice`: root
/// sets the value.
fn nice_of(launch: &Launch) -> Option<i32> {
    let ours = || rustix::process::getpriority_process(None).unwrap_or(0);
    launch.nice.map(|nice| if launch.owner.is_some() { nice.max(ours()) } else { nice })
}

fn c_string(bytes: &[u8], what: &str) -> Result<CString, Refusal> {
    CString::new(bytes).map_err(|_| Refusal { errno: libc::EINVAL, text: format!("{what} contains a NUL byte"), ours: false })
}

/// The requested variables, the name and home of the user, and always the run's cookie, by which
/// its tree is found.
fn environment(launch: &Launch, identity: Option<&Identity>, result_by_fd: bool) -> Result<Vec<CString>, Refusal> {
    let cookie = launch.nonce.to_string();
    let own = identity.map_or(&[][..], |identity| &identity.env).iter();
    let own = own.filter(|(name, _)| launch.variable(name).is_none()).map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let by_fd = format!("/proc/self/fd/{RESULT_FD}");
    let asked = launch.env.iter().filter(|(key, _)| key != COOKIE.as_bytes() && !(result_by_fd && key == RESULT.as_bytes()));
    asked
        .map(|(key, value)| (key.as_slice(), value.as_slice()))
        .chain(own)
        .chain(result_by_fd.then_some((RESULT.as_bytes(), by_fd.as_bytes())))
        .chain([(COOKIE.as_bytes(), cookie.as_bytes())])
        .map(|(key, value)| c_string(&[key, b"=", value].concat(), "the environment"))
        .collect()
}

/// A name with a slash is a path; any other is searched in each directory of `PATH`.
fn candidates(name: &[u8], path: &[u8]) -> Result<Vec<CString>, Refusal> {
    let what = if name.contains(&b'/') { "the command" } else { "PATH" };
    unexecutable::candidates(name, path).iter().map(|path| c_string(path.as_os_str().as_bytes(), what)).collect()
}

/// Opens without waiting, and without acquiring a controlling terminal: only the job may wait,
/// since only the job has deadlines.
fn open_stdin(path: Option<&Path>) -> Result<OwnedFd, Refusal> {
    let path = path.unwrap_or(Path::new("/dev/null"));
    let refused = |error: io::Error| {
        Refusal::shared(format!("opening stdin {}", path.display()), &error).because(unexecutable::explain_input(path))
    };
    // Opening a pipe would wait for a writer, with every signal blocked.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(refused)?;
    let kind = file.metadata().map_err(refused)?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        let remedy = "name a file, or give a copy with --stdin -";
        let text = format!("opening stdin {}: it is neither a file nor a device; {remedy}", path.display());
        return Err(Refusal { errno: libc::EINVAL, text, ours: false });
    }
    fcntl_setfl(&file, OFlags::empty()).map_err(|e| refused(e.into()))?;
    Ok(file.into())
}

/// The log is the job's stdout and stderr. Its lock is shared by every copy of the descriptor, so
/// it is held as long as any process of the tree may write there.
fn open_log(path: &Path, identity: Option<&Identity>) -> Result<OwnedFd, Refusal> {
    let log = create_for(path, identity, "opening the log", OFlags::APPEND)?;
    for _ in 1..LOG_LOCK_TRIES_MAX {
        match flock(&log, FlockOperation::NonBlockingLockExclusive) {
            // A blocking request for the lock has no deadline.
            Err(Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(on_its_file(path, identity, "locking the log", &error.into())),
            Ok(()) => return Ok(log),
        }
    }
    Err(on_its_file(path, identity, "locking the log", &io::Error::from(Errno::WOULDBLOCK)))
}

/// An error about a file that belongs to the job's user already. It may come of that user, such as
/// by a quota, and then says nothing about the machine.
fn on_its_file(path: &Path, identity: Option<&Identity>, what: &str, error: &io::Error) -> Refusal {
    if identity.is_some_and(|user| user.is_owner) {
        return Refusal::new("giving the user a log and a result", error);
    }
    Refusal::ours(format!("{what} {}", path.display()), error)
}

/// A job of the worker's own user creates the file itself if it needs one. For another user it is
/// created here, and tenure's two directories get search permission only: they cannot be listed,
/// and nothing but this file can be read. If a directory above them is closed to that user, or the
/// user is not chosen by root, the job gets the open file instead.
fn result_for(launch: &Launch, identity: Option<&Identity>) -> Result<Option<OwnedFd>, Refusal> {
    let (Some(path), Some(identity)) = (&launch.result, identity) else { return Ok(None) };
    let file = create_for(path, Some(identity), "making", OFlags::empty())?;
    if identity.is_owner {
        return Ok(Some(file));
    }
    for dir in path.ancestors().skip(1).take(2).filter(|dir| !identity.may_pass(dir)) {
        let opened = fs::metadata(dir).and_then(|meta| {
            let mode = meta.permissions().mode() | 0o001;
            fs::set_permissions(dir, Permissions::from_mode(mode))
        });
        opened.map_err(|error| Refusal::new(format!("letting the job pass through {}", dir.display()), &error))?;
    }
    let is_reachable = path.ancestors().skip(1).all(|dir| identity.may_pass(dir));
    Ok((!is_reachable).then_some(file))
}

/// A new file that is owned by the job's user.
fn create_for(path: &Path, identity: Option<&Identity>, what: &str, extra: OFlags) -> Result<OwnedFd, Refusal> {
    let refused = |error: io::Error| Refusal::ours(format!("{what} {}", path.display()), &error);
    let flags = (OFlags::NOFOLLOW | extra).bits().cast_signed();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path).map_err(refused)?;
    if let Some(identity) = identity {
        let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
        fchown(&file, Some(user), Some(group)).map_err(|e| on_its_file(path, Some(identity), what, &e.into()))?;
    }
    Ok(file.into())
}

/// The path in a printable form, for an error.
pub fn shown(path: &CString) -> String {
    unexecutable::shown(path_of(path))
}

pub fn path_of(path: &CString) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

/// Raw numbers for the child.
pub fn raw(fd: &OwnedFd) -> i32 {
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_as_execvp_does() {
        let texts = |name: &str, path: &str| -> Vec<String> {
            let found = candidates(name.as_bytes(), path.as_bytes()).unwrap();
            found.into_iter().map(|c| c.into_string().unwrap()).collect()
        };
        assert_eq!(texts("true", "/bin::/usr/bin"), ["/bin/true", "./true", "/usr/bin/true"]);
        assert_eq!(texts("./true", "/bin"), ["./true"]);
        assert_eq!(texts("true", ""), ["./true"]);
    }
}
