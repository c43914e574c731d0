//! Values that must not be in argv, in the file or in a backup: each in a private file until its
//! job ends.
//!
//! A file is written before the job that names it is added, and is locked meanwhile, so that the
//! worker's sweep leaves it alone. It gets its name only after it is locked. If the job is not
//! added, it is removed again; after a crash in between the lock is free and the sweep removes it,
//! under either name.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::job::limits::STDIN_BYTES_MAX;
use crate::place::Place;
use crate::units;

/// Attempts to lock a new file before the sweep takes it for an abandoned one.
const TRIES_MAX: usize = 100;

/// Files in `secrets/` of jobs that are not added yet. Dropping it without [`Kept::keep`] removes
/// them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Held open, and so locked.
    files: Vec<(PathBuf, File)>,
}

impl Kept {
    /// Copies bytes into a private file and returns its name.
    ///
    /// # Errors
    /// They cannot be read, are too many, or the file cannot be written.
    pub fn keep_bytes(&mut self, place: &Place, from: &mut dyn Read) -> Result<String> {
        let (token, path, mut file) = create(place)?;
        let what = || format!("writing {}", path.display());
        let copied = std::io::copy(&mut from.take(STDIN_BYTES_MAX + 1), &mut file);
        let synced = file.sync_all();
        self.files.push((path.clone(), file));
        let bytes = copied.map_err(|e| Error::io(what(), e))?;
        synced.map_err(|e| Error::io(what(), e))?;
        if bytes > STDIN_BYTES_MAX {
            let most = units::size_text(STDIN_BYTES_MAX);
            return Err(Error::Invalid(format!(
                "the standard input is longer than {most}; put it in a file and use --stdin FILE"
            )));
        }
        Ok(token)
    }

    /// Makes their names durable, before the job that names them is.
    ///
    /// # Errors
    /// The directory cannot be synced.
    pub fn sync(&self, place: &Place) -> Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let dir = place.secrets();
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(|e| Error::io(format!("syncing {}", dir.display()), e))
    }

    /// The jobs are added, or may be: the files belong to them now. The sweep removes those that no
    /// job names.
    pub fn keep(mut self) {
        self.files.clear();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (path, _held) in self.files.drain(..) {
            if let Err(error) = std::fs::remove_file(&path) {
                log::warn!("{} stays until the next sweep: {error}", path.display());
            }
        }
    }
}

/// Creates a file and returns its token, its path and the locked file.
///
/// # Errors
/// The system refuses it.
fn create(place: &Place) -> Result<(String, PathBuf, File)> {
    let told = |e| Error::io(format!("making a file in {}", place.secrets().display()), e);
    for _ in 0..TRIES_MAX {
        let token = random_token()?;
        let (temporary, path) = (place.secret_temporary(&token), place.secret_file(&token));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(told)?;
        let named = crate::owner::give_file(&file, place.dir()).and_then(|()| file.lock());
        match named.and_then(|()| std::fs::rename(&temporary, &path)) {
            Ok(()) => return Ok((token, path, file)),
            // The sweep has removed it before it was locked: another one is created.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let _the_sweep_tries_again = std::fs::remove_file(&temporary);
                return Err(told(error));
            }
        }
    }
    Err(Error::Busy(format!("files in {} are removed as fast as they are made", place.secrets().display())))
}

/// 128 random bits, as hexadecimal digits.
fn random_token() -> Result<String> {
    let mut bytes = [0u8; 16];
    crate::random::fill(&mut bytes).map_err(|e| Error::io("drawing a random name", e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        std::fs::create_dir_all(place.secrets()).unwrap();
        (dir, place)
    }

    #[test]
    fn a_secret_stands_in_a_private_file_and_nowhere_else() {
        let (_dir, place) = place();
        let mut kept = Kept::default();
        let token = kept.keep_bytes(&place, &mut &b"s3cret"[..]).unwrap();
        let path = place.secret_file(&token);
        assert!(!token.contains("s3cret"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "s3cret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(File::open(&path).unwrap().try_lock_shared().is_err(), "held while the job is being added");
        kept.keep();
        assert!(path.exists());
        assert!(File::open(&path).unwrap().try_lock_shared().is_ok());
    }

    #[test]
    fn what_no_job_came_to_need_is_removed() {
        let (_dir, place) = place();
        let mut kept = Kept::default();
        kept.keep_bytes(&place, &mut &b"s3cret"[..]).unwrap();
        drop(kept);
        assert_eq!(std::fs::read_dir(place.secrets()).unwrap().count(), 0);
    }
}
