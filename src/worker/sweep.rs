//! Files of jobs that have ended: secrets and kept standard inputs.
//!
//! The winner of a settle removes them; what a crash left behind is found here. A file that somebody is only about to name in a
//! new job is locked by them and left alone.

use std::fs::File;
use std::sync::Arc;

use super::shared::Shared;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::read;

/// Removes a secret that no job needs any more.
pub(super) fn remove_secret(place: &Place, token: &str) {
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return;
    }
    match std::fs::remove_file(place.secret_file(token)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => log::warn!("removing a secret: {e} (the reaper tries again)"),
        _ => {}
    }
}

/// Removes the secrets that no live job names.
pub(super) fn secrets(shared: &Arc<Shared>) -> Result<()> {
    let entries = match std::fs::read_dir(shared.place().secrets()) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("reading the directory of secrets", e)),
    };
    let mut unlocked = Vec::new();
    for entry in entries.flatten() {
        let Ok(token) = entry.file_name().into_string() else { continue };
        // Locked before the look at the rows: whoever makes a secret holds it until its job is in the file.
        let free = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            unlocked.push(token);
        }
    }
    if unlocked.is_empty() {
        return Ok(());
    }
    let named = shared.store.read(read::live_secrets)?;
    unlocked.retain(|token| !named.contains(token));
    if unlocked.is_empty() {
        return Ok(());
    }
    // The end that freed them may be committed and not yet on the disk: after a power cut the job would start again without its secret.
    shared.store.flush_now()?;
    unlocked.iter().for_each(|token| remove_secret(shared.place(), token));
    Ok(())
}
