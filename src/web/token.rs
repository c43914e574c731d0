//! The token of a file: what a client of the web must know, kept where only the owner of the file
//! can read it; and the sessions of browsers that have logged in with it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::random;
use crate::sync::lock;
use crate::web::guard::Token;
use crate::web::limits::{SESSION, SESSIONS_MAX};

/// The cookie of a session.
pub const COOKIE: &str = "tenure_session";
/// Random bytes of a token, and of the name of a session.
const RANDOM_BYTES: usize = 24;
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256;
/// Shortest token that is accepted, in bytes.
const TOKEN_BYTES_MIN: usize = 16;

/// Returns the token of a file; creates it on first use.
///
/// # Errors
/// It cannot be read or written, other users can read it, or it is too short to be one.
pub fn of_file(place: &Place) -> Result<Token> {
    let path = place.web_token();
    match read(&path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    create(&path)?;
    read(&path)
}

fn read(path: &Path) -> Result<Token> {
    let doing = || format!("reading the token {}", path.display());
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let refused =
        |why: &str| Err(Error::File(format!("the token {} {why}; remove it, and the next start makes another", path.display())));
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return refused("is a link"),
        other => other.map_err(|e| Error::io(doing(), e))?,
    };
    let meta = file.metadata().map_err(|e| Error::io(doing(), e))?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 {
        return refused("is not a file that only its owner can read");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() && meta.uid() != 0 {
        return refused("belongs to another user, who knows it");
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| Error::io(doing(), e))?;
    let token = text.trim();
    let is_plain = token.bytes().all(|b| b.is_ascii_graphic()) && text.len() as u64 <= FILE_BYTES_MAX;
    if token.len() < TOKEN_BYTES_MIN || !is_plain {
        return refused("is not one line of 16 to 250 letters and digits");
    }
    Ok(Token::new(token.to_owned()))
}

/// Writes a new token: whole under another name, then linked, so that two that start at once have
/// the same one.
fn create(path: &Path) -> Result<()> {
    let doing = |e| Error::io(format!("writing the token {}", path.display()), e);
    let token = draw()?;
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let _left_by_a_crash = fs::remove_file(&temporary);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(format!("{token}\n").as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let written = write();
    let _gone = fs::remove_file(&temporary);
    written.map_err(doing)
}

/// Returns a random text.
///
/// # Errors
/// The kernel has no random bytes for this process.
fn draw() -> Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    random::fill(&mut bytes).map_err(|e| Error::io("drawing a token", e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The sessions of browsers that have logged in. They end with this process.
#[derive(Default)]
pub struct Sessions(Mutex<Vec<(Token, Instant)>>);

impl Sessions {
    /// Begins a session and returns its name.
    ///
    /// # Errors
    /// No name can be drawn.
    pub fn begin(&self) -> Result<String> {
        let name = draw()?;
        let mut all = lock(&self.0);
        all.retain(|(_, since)| since.elapsed() < SESSION);
        if all.len() >= SESSIONS_MAX {
            all.remove(0);
        }
        all.push((Token::new(name.clone()), Instant::now()));
        Ok(name)
    }

    /// Whether a session of this name is valid.
    pub fn has(&self, name: &str) -> bool {
        lock(&self.0).iter().filter(|(one, since)| one.is(name) && since.elapsed() < SESSION).count() > 0
    }

    /// Ends a session.
    pub fn end(&self, name: &str) {
        lock(&self.0).retain(|(one, _)| !one.is(name));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        fs::create_dir(place.dir()).unwrap();
        let token = of_file(&place).unwrap();
        assert_eq!(token.reveal().len(), 2 * RANDOM_BYTES);
        assert!(of_file(&place).unwrap() == token);
        assert_eq!(fs::metadata(place.web_token()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(place.dir()).unwrap().count(), 1, "nothing else is left");
        fs::set_permissions(place.web_token(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(of_file(&place).is_err_and(|error| error.to_string().contains("only its owner")));
        fs::remove_file(place.web_token()).unwrap();
        fs::write(place.web_token(), "short").unwrap();
        fs::set_permissions(place.web_token(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(of_file(&place).is_err());
        fs::write(place.web_token(), "x".repeat(300)).unwrap();
        assert!(of_file(&place).is_err(), "it would be cut");
        fs::write(place.web_token(), "x".repeat(250)).unwrap();
        assert!(of_file(&place).is_ok());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(place.web_token(), Some(65534), None).unwrap();
            assert!(of_file(&place).is_err_and(|error| error.to_string().contains("another user")));
        }
        fs::remove_file(place.web_token()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.web_token()).unwrap();
        assert!(of_file(&place).is_err_and(|error| error.to_string().contains("is a link; remove it")));
    }

    #[test]
    fn sessions_are_few_and_end() {
        let sessions = Sessions::default();
        let first = sessions.begin().unwrap();
        assert!(sessions.has(&first) && !sessions.has("") && !sessions.has(&first[1..]));
        let names: Vec<String> = (0..SESSIONS_MAX).map(|_| sessions.begin().unwrap()).collect();
        assert!(!sessions.has(&first) && sessions.has(&names[0]));
        sessions.end(&names[0]);
        assert!(!sessions.has(&names[0]));
    }
}
