//! The users of the machine, as `/etc/passwd` lists them.
//!
//! Those of a directory service are not in that file; who needs them asks the C library, in the
//! process that becomes another user (`run::shim`).

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub home: String,
    pub shell: String,
}

/// Returns all users; none, if the file cannot be read.
pub fn all() -> Vec<User> {
    of_text(&String::from_utf8_lossy(&std::fs::read("/etc/passwd").unwrap_or_default()))
}

/// Returns the effective user of this process.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the number of a group: one in `/etc/group`, or a number.
pub fn group(name: &str) -> Option<u32> {
    let text = String::from_utf8_lossy(&std::fs::read("/etc/group").unwrap_or_default()).into_owned();
    group_in(&text, name).or_else(|| name.parse().ok())
}

fn group_in(text: &str, wanted: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let [name, _, gid, ..] = line.split(':').collect::<Vec<_>>()[..] else { return None };
        (name == wanted).then(|| gid.parse().ok())?
    })
}

/// The users of `/etc/passwd`, read again when that has changed.
#[derive(Debug, Default)]
pub struct Known {
    /// Inode, length and time of the last change of what was read.
    stamp: Option<(u64, u64, i64, i64)>,
    uids: std::collections::BTreeSet<u32>,
}

impl Known {
    /// Whether there is a user with this number. One number stands for all users that this
    /// namespace does not know.
    pub fn has(&mut self, uid: u32) -> bool {
        const OVERFLOW: u32 = 65_534;
        use std::os::unix::fs::MetadataExt;
        let stamp = std::fs::metadata("/etc/passwd").map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec())).ok();
        if stamp.is_none() || stamp != self.stamp {
            (self.stamp, self.uids) = (stamp, all().into_iter().map(|user| user.uid).collect());
        }
        uid != OVERFLOW && self.uids.contains(&uid)
    }
}

fn of_text(text: &str) -> Vec<User> {
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, ref rest @ ..] = fields[..] else { return None };
        let shell = rest.first().copied().unwrap_or_default();
        Some(User { name: name.to_owned(), uid: uid.parse().ok()?, home: home.to_owned(), shell: shell.to_owned() })
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_number_and_root_is_known() {
        let text = "root:x:0:\nops:x:50:ann,bob\nbroken\nx:x:many:\n";
        assert_eq!([group_in(text, "ops"), group_in(text, "x"), group_in(text, "none")], [Some(50), None, None]);
        assert_eq!((group("4711"), group("no such group")), (Some(4711), None));
        let mut known = Known::default();
        assert!(known.has(0) && known.has(0) && !known.has(u32::MAX - 1));
    }

    #[test]
    fn a_line_is_a_user_and_a_broken_one_is_none() {
        let text = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann\nbroken\nx:x:many:0::/:/bin/sh\n\n";
        let user =
            |name: &str, uid, home: &str, shell: &str| User { name: name.into(), uid, home: home.into(), shell: shell.into() };
        assert_eq!(of_text(text), [user("root", 0, "/root", "/bin/bash"), user("ann", 1000, "/home/ann", "")]);
    }
}
