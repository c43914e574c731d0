//! The user a job runs as, if one was requested. Looked up in the shim, so that a slow directory
//! server delays only this run.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;

use super::refusal::Refusal;
use crate::run::launch::Launch;

/// Room for one entry of the user database, in bytes.
const ENTRY_BYTES_MAX: usize = 64 << 10;
/// Whether a process that has changed its user may be traced by that user: 0 no, 1 yes, 2 no.
const SUID_DUMPABLE: &str = "/proc/sys/fs/suid_dumpable";
/// Maximum number of groups of a user; the kernel's own limit.
const GROUPS_MAX: usize = 65_536;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub user: u32,
    pub group: u32,
    pub groups: Vec<u32>,
    /// `HOME`, `USER` and `SHELL` from the user database; of an owner also `LOGNAME`.
    pub env: Vec<(&'static str, Vec<u8>)>,
    /// The user was not chosen by root: see [`crate::run::Launch::owner`].
    pub is_owner: bool,
}

impl Identity {
    /// Returns the user of a launch, if it is not that of the worker.
    ///
    /// # Errors
    /// As [`Identity::named`]; or this process may not become that user.
    pub fn of(launch: &Launch) -> Result<Option<Self>, Refusal> {
        let identity = match (launch.owner, launch.user.as_deref()) {
            (None, None) => return Ok(None),
            (None, Some(name)) => Self::named(name)?,
            (Some(uid), None) => Self::numbered(uid)?,
            (Some(_), Some(_)) => return Err(refusal("a job of a user runs as that user; omit --user".to_owned())),
        };
        identity.may_be_taken()?;
        if identity.is_owner {
            is_memory_closed(&fs::read_to_string(SUID_DUMPABLE).unwrap_or_default())?;
        }
        Ok(Some(identity))
    }

    /// Looks the owner of a job up.
    fn numbered(uid: u32) -> Result<Self, Refusal> {
        let find = |entry, buffer: &mut [u8], found| {
            // SAFETY: all pointers live until the call returns, and the length is that of the
            // buffer.
            unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr().cast(), buffer.len(), found) }
        };
        let unknown = || refusal(format!("user {uid}: there is no such user any more; getent passwd {uid} looks it up"));
        let identity = Self::looked_up(&format!("user {uid}"), find, unknown)?;
        // Not by an entry with a wrong number, and never root.
        if identity.user != uid || uid == 0 { Err(unknown()) } else { Ok(Self { is_owner: true, ..identity }) }
    }

    /// Looks a user up by name.
    ///
    /// # Errors
    /// The user does not exist, or the database cannot be read.
    pub fn named(name: &str) -> Result<Self, Refusal> {
        let what = format!("user {name}");
        let c_name =
            CString::new(name).map_err(|_| Refusal::shared(what.clone(), &io::Error::from_raw_os_error(libc::EINVAL)))?;
        let find = |entry, buffer: &mut [u8], found| {
            // SAFETY: all pointers live until the call returns, and the length is that of the
            // buffer.
            unsafe { libc::getpwnam_r(c_name.as_ptr(), entry, buffer.as_mut_ptr().cast(), buffer.len(), found) }
        };
        let unknown = || {
            refusal(format!(
                "user {name}: there is no such user; getent passwd lists the users, add the job again with one of them"
            ))
        };
        let mut identity = Self::looked_up(&what, find, unknown)?;
        identity.env.retain(|(name, _)| *name != "LOGNAME");
        Ok(identity)
    }

    fn looked_up(
        what: &str,
        find: impl FnOnce(*mut libc::passwd, &mut [u8], *mut *mut libc::passwd) -> i32,
        unknown: impl FnOnce() -> Refusal,
    ) -> Result<Self, Refusal> {
        let refused = |errno| Refusal::shared(what.to_owned(), &io::Error::from_raw_os_error(errno));
        let mut buffer = vec![0_u8; ENTRY_BYTES_MAX];
        let mut entry = MaybeUninit::<libc::passwd>::zeroed();
        let mut found = ptr::null_mut();
        let errno = find(entry.as_mut_ptr(), &mut buffer, &raw mut found);
        if errno != 0 {
            return Err(refused(errno));
        }
        if found.is_null() {
            return Err(unknown());
        }
        // SAFETY: zeroed at first, and filled by the call, which has found the user.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: texts that end with NUL, or null, in `buffer`, which lives.
        let text = |at: *const libc::c_char| (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) }.to_owned());
        let name = text(entry.pw_name).ok_or_else(|| refused(libc::EINVAL))?;
        let groups = groups_of(&name, entry.pw_gid).ok_or_else(|| refused(libc::EINVAL))?;
        let shown = name.to_string_lossy().into_owned();
        let env = [
            ("HOME", text(entry.pw_dir)),
            ("USER", Some(name.clone())),
            ("LOGNAME", Some(name)),
            ("SHELL", text(entry.pw_shell)),
        ];
        let env =
            env.into_iter().filter_map(|(name, value)| Some((name, value?.into_bytes()))).filter(|(_, value)| !value.is_empty());
        Ok(Self { name: shown, user: entry.pw_uid, group: entry.pw_gid, groups, env: env.collect(), is_owner: false })
    }

    /// Whether that user may traverse a directory, by its mode.
    pub fn may_pass(&self, dir: &Path) -> bool {
        fs::metadata(dir).is_ok_and(|meta| {
            let bit = match () {
                () if self.user == 0 => return true,
                () if meta.uid() == self.user => 0o100,
                () if meta.gid() == self.group || self.groups.contains(&meta.gid()) => 0o010,
                () => 0o001,
            };
            meta.mode() & bit != 0
        })
    }

    /// Whether this process may become that user: only root may.
    ///
    /// # Errors
    /// It may not.
    pub fn may_be_taken(&self) -> Result<(), Refusal> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let text = format!("user {}: only a worker of root runs jobs as other users; leave --user out", self.name);
        Err(Refusal { errno: libc::EPERM, text, ours: false })
    }
}

/// Checks that a process that has changed its user can be traced by root alone: the one that
/// becomes the job has the memory of the shim until it executes the command.
fn is_memory_closed(suid_dumpable: &str) -> Result<(), Refusal> {
    if ["0", "2"].contains(&suid_dumpable.trim()) {
        return Ok(());
    }
    let text =
        "fs.suid_dumpable is not 0 or 2, so that a user could write into the memory of root's shim; sysctl fs.suid_dumpable=2";
    Err(Refusal { errno: libc::EPERM, text: text.to_owned(), ours: false })
}

fn refusal(text: String) -> Refusal {
    Refusal { errno: libc::EINVAL, text, ours: false }
}

fn groups_of(name: &CString, group: u32) -> Option<Vec<u32>> {
    let mut room = 64;
    while room <= GROUPS_MAX {
        let mut groups = vec![0; room];
        let mut count = i32::try_from(room).ok()?;
        // SAFETY: `groups` has room for `count` entries; the call writes no more than that.
        if unsafe { libc::getgrouplist(name.as_ptr(), group, groups.as_mut_ptr(), &raw mut count) } >= 0 {
            groups.truncate(usize::try_from(count).ok()?);
            return Some(groups);
        }
        room *= 4;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_job_of_a_user_starts_where_that_user_could_trace_its_shim() {
        for (value, is_closed) in [("0\n", true), ("2\n", true), ("1\n", false), ("", false)] {
            assert_eq!(is_memory_closed(value).is_ok(), is_closed, "{value:?}");
        }
    }

    #[test]
    fn root_is_found_and_an_unknown_user_is_not() {
        let root = Identity::named("root").unwrap();
        assert_eq!((root.user, root.group), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(Identity::named("no such user, ever").unwrap_err().text.contains("no such user"));
        assert_eq!(Identity::named("a\0b").unwrap_err().errno, libc::EINVAL);
        assert!(Identity::numbered(0).unwrap_err().text.contains("no such user"), "a job never belongs to root");
        assert!(Identity::numbered(u32::MAX - 7).unwrap_err().text.contains("no such user"));
    }
}
