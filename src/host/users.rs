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
    fn a_line_is_a_user_and_a_broken_one_is_none() {
        let text = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann\nbroken\nx:x:many:0::/:/bin/sh\n\n";
        let user =
            |name: &str, uid, home: &str, shell: &str| User { name: name.into(), uid, home: home.into(), shell: shell.into() };
        assert_eq!(of_text(text), [user("root", 0, "/root", "/bin/bash"), user("ann", 1000, "/home/ann", "")]);
    }
}
