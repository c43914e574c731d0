//! A workspace: a directory that can be prepared again at any time. Its path is a cache hint, its
//! prepare command is authoritative.
//!
//! Pure: names only. The key of a workspace never becomes a path: a directory is named after the
//! harmless part of the key, so that a person recognizes it, and after the run that prepared it, so
//! that no two ever share a name.

use serde::{Deserialize, Serialize};

use super::argv::Argv;
use super::id::Nonce;
use super::names;

/// Characters of the key in the name of its directory.
const SLUG_CHARS_MAX: usize = 40;
/// Digits of the preparing run's nonce in the name of a directory.
const MARK_CHARS: usize = 8;
/// Prefix of the name of a directory that is being prepared; the nonce follows.
pub const NEW_PREFIX: &str = ".new-";
/// Prefix of the name of a directory that is being removed; a nonce follows.
pub const TRASH_PREFIX: &str = ".trash-";

/// The workspace that a job requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Jobs with the same key share it.
    pub key: String,
    /// Fills the new, empty directory in which it is started. `None`: it stays empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Argv>,
}

impl Workspace {
    /// Returns the prepare command for the file.
    pub fn prepare_command(&self) -> Option<String> {
        self.prepare.as_ref().map(Argv::to_json)
    }
}

/// Checks a key.
///
/// # Errors
/// The reason, and the remedy.
pub fn check_key(key: &str) -> Result<(), String> {
    match key {
        "" => Err("a workspace has a key; write --workspace KEY".into()),
        key => names::name(key).map_err(|why| format!("the key of this workspace: {why}")),
    }
}

/// Returns the name of the directory that the run (or the command) with this nonce prepares for a
/// key.
pub fn directory_name(key: &str, maker: Nonce) -> String {
    let harmless = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' };
    let slug: String = key.chars().map(harmless).skip_while(|c| *c == '.' || *c == '-').take(SLUG_CHARS_MAX).collect();
    let slug = if slug.is_empty() { "workspace".to_owned() } else { slug };
    format!("{slug}-{}", mark(maker))
}

/// Returns the name of the directory while it is being prepared.
pub fn new_name(maker: Nonce) -> String {
    format!("{NEW_PREFIX}{maker}")
}

/// Whether tenure may have given a directory this name.
pub fn is_ours(name: &str) -> bool {
    let is_mark = |end: &str| end.len() == MARK_CHARS && end.bytes().all(|b| b.is_ascii_hexdigit());
    name.starts_with(NEW_PREFIX) || name.starts_with(TRASH_PREFIX) || name.rsplit_once('-').is_some_and(|(_, end)| is_mark(end))
}

/// Whether a directory of this name is, or has just become, the work of one of these nonces.
pub fn is_made_by(name: &str, makers: &[Nonce]) -> bool {
    makers.iter().any(|maker| match name.strip_prefix(NEW_PREFIX) {
        Some(nonce) => nonce == maker.to_string(),
        None => name.rsplit_once('-').is_some_and(|(_, end)| end == mark(*maker)),
    })
}

fn mark(maker: Nonce) -> String {
    maker.to_string()[..MARK_CHARS].to_owned()
}

/// Like [`inside`], for a directory that a person names: `/` is meant as it is.
///
/// # Errors
/// As [`inside`].
pub fn inside_as_named(cwd: &str) -> Result<&str, String> {
    match cwd {
        "/" => Err("cwd \"/\" is absolute, and the job has a workspace; omit it".into()),
        other => inside(other),
    }
}

/// Returns the directory of a job inside its workspace: '' is the workspace itself. A row by plain
/// SQL has `/` by default, which means the same.
///
/// # Errors
/// It would lead out of the workspace.
pub fn inside(cwd: &str) -> Result<&str, String> {
    if cwd == "/" || cwd.is_empty() {
        return Ok("");
    }
    if cwd.starts_with('/') {
        return Err(format!("cwd {cwd:?} is absolute, and the job has a workspace; name a directory inside it, or omit it"));
    }
    if cwd.split('/').any(|part| part == "..") {
        return Err(format!("cwd {cwd:?} leads out of the workspace; name a directory inside it, or omit it"));
    }
    Ok(cwd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKER: Nonce = Nonce([0xab; 16]);

    #[test]
    fn a_workspace_of_any_name_has_a_harmless_directory() {
        let long = "x".repeat(200);
        for (key, slug) in [
            ("repo", "repo"),
            ("repo/main", "repo-main"),
            ("../../etc/passwd", "etc-passwd"),
            ("..", "workspace"),
            (".", "workspace"),
            ("/", "workspace"),
            (".new-1", "new-1"),
            ("a\u{1b}[2J\nb", "a--2J-b"),
            ("žluťoučký", "lu-ou-k-"),
            ("日本", "workspace"),
            ("v1.2_x", "v1.2_x"),
            (&long, &"x".repeat(40)),
        ] {
            let name = directory_name(key, MAKER);
            assert_eq!(name, format!("{slug}-abababab"), "{key:?}");
            assert!(is_ours(&name) && !name.starts_with('.') && !name.contains('/') && name.is_ascii());
            assert!(is_made_by(&name, &[Nonce([1; 16]), MAKER]));
            assert!(!is_made_by(&name, &[Nonce([1; 16])]));
        }
        assert!(
            is_ours(".new-1") && is_ours(".trash-1") && !is_ours("lost+found") && !is_ours("my-dir") && !is_ours(".snapshot")
        );
        assert!(is_made_by(&new_name(MAKER), &[MAKER]) && !is_made_by(&new_name(MAKER), &[Nonce([1; 16])]));
    }

    #[test]
    fn a_key_has_1_to_200_characters() {
        for key in ["", "a\0b", &"ü".repeat(201)] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        for key in ["..", "/", "a\nb", &"ü".repeat(200)] {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
    }

    #[test]
    fn a_job_stands_inside_its_workspace() {
        for (cwd, stands) in [("", ""), ("/", ""), ("sub", "sub"), ("a/b", "a/b"), ("..x", "..x")] {
            assert_eq!(inside(cwd), Ok(stands));
        }
        for cwd in ["/etc", "..", "a/../..", "../x", "a/.."] {
            assert!(inside(cwd).is_err(), "{cwd}");
        }
    }
}
