//! The entry of the worker's own user in `/etc/passwd`, for jobs of a worker that was started
//! without those variables.

use std::sync::OnceLock;

/// Returns `HOME`, `USER` or `SHELL`; `None` for any other name, and for a user who is not in the
/// file.
pub fn variable(name: &str) -> Option<Vec<u8>> {
    static LINE: OnceLock<Option<String>> = OnceLock::new();
    let at = match name {
        "USER" => 0,
        "HOME" => 5,
        "SHELL" => 6,
        _ => return None,
    };
    let line = LINE.get_or_init(|| {
        let uid = rustix::process::geteuid().as_raw();
        std::fs::read_to_string("/etc/passwd").ok().and_then(|text| line_of(&text, uid))
    });
    let field = line.as_ref()?.split(':').nth(at)?;
    (!field.is_empty()).then(|| field.as_bytes().to_vec())
}

fn line_of(text: &str, uid: u32) -> Option<String> {
    let of_user = |line: &&str| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(uid);
    text.lines().find(of_user).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_line_is_found_by_its_number() {
        let text = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(line_of(text, 1000).as_deref(), Some("ann:x:1000:1000::/home/ann:/bin/sh"));
        assert_eq!(line_of(text, 4711), None);
    }
}
