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

/// Room for one entry of the user database, in bytes.
const ENTRY_BYTES_MAX: usize = 64 << 10;
/// Maximum number of groups of a user; the kernel's own limit.
const GROUPS_MAX: usize = 65_536;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub user: u32,
    pub group: u32,
    pub groups: Vec<u32>,
    /// `HOME`, `USER` and `SHELL` from the user database.
    pub env: Vec<(&'static str, Vec<u8>)>,
}

impl Identity {
    /// Looks a user up by name.
    ///
    /// # Errors
    /// The user does not exist, or the database cannot be read.
    pub fn of(name: &str) -> Result<Self, Refusal> {
        let refused = |errno| Refusal::shared(format!("user {name}"), &io::Error::from_raw_os_error(errno));
        let c_name = CString::new(name).map_err(|_| refused(libc::EINVAL))?;
        let mut buffer = vec![0_u8; ENTRY_BYTES_MAX];
        let mut entry = MaybeUninit::<libc::passwd>::zeroed();
        let mut found = ptr::null_mut();
        // SAFETY: all pointers live until the call returns, and the length is that of the buffer.
        let errno = unsafe {
            libc::getpwnam_r(c_name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found)
        };
        if errno != 0 {
            return Err(refused(errno));
        }
        if found.is_null() {
            return Err(Refusal {
                errno: libc::EINVAL,
                text: format!(
                    "user {name}: there is no such user; getent passwd lists the users, add the job again with one of them"
                ),
                ours: false,
            });
        }
        // SAFETY: zeroed at first, and filled by the call, which has found the user.
        let entry = unsafe { entry.assume_init() };
        let groups = groups_of(&c_name, entry.pw_gid).ok_or_else(|| refused(libc::EINVAL))?;
        // SAFETY: texts that end with NUL, or null, in `buffer`, which lives.
        let text = |at: *const libc::c_char| (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) }.to_bytes().to_vec());
        let env = [("HOME", text(entry.pw_dir)), ("USER", text(entry.pw_name)), ("SHELL", text(entry.pw_shell))];
        let env = env.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect();
        Ok(Self { name: name.to_owned(), user: entry.pw_uid, group: entry.pw_gid, groups, env })
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
    fn root_is_found_and_an_unknown_user_is_not() {
        let root = Identity::of("root").unwrap();
        assert_eq!((root.user, root.group), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(Identity::of("no such user, ever").unwrap_err().text.contains("no such user"));
        assert_eq!(Identity::of("a\0b").unwrap_err().errno, libc::EINVAL);
    }
}
