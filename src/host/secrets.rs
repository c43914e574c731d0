//! Removes files of `secrets/` that no job needs any more.
//!
//! The process that has ended the last job that names a file removes it, after the flush that makes
//! that end durable. The worker's sweep removes what stays after a crash or an error.

use std::path::Path;

use crate::place::Place;

/// Removes the files with these names. A name that tenure cannot have given is left alone: it comes
/// from a row, which any client may have written.
pub fn remove(place: &Place, tokens: &[String]) {
    let is_token = |token: &&String| !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric());
    tokens.iter().filter(is_token).for_each(|token| remove_file(&place.secret_file(token)));
}

/// Removes a file of `secrets/`; the sweep tries again if that fails.
pub fn remove_file(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            log::warn!("a secret stays until the next sweep: {error}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any client may write a policy.
    #[test]
    fn a_name_that_is_no_token_removes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        std::fs::create_dir_all(place.secrets()).unwrap();
        let others = [dir.path().join("mine"), place.dir().join("home"), place.secrets().join("a.new")];
        let token = place.secret_file("a1");
        others.iter().chain([&token]).for_each(|path| std::fs::write(path, "x").unwrap());
        let mine = others[0].to_str().unwrap();
        remove(&place, &["", ".", "..", "../home", "../../mine", mine, "a.new", "a1"].map(str::to_owned));
        assert!(others.iter().all(|path| path.exists()), "{others:?}");
        assert!(!token.exists());
    }
}
