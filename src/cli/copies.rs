//! What is done to a whole file, under the worker lock: a backup comes back, a copy becomes a file
//! of its own.

use std::path::Path;

use crate::cli::face::Face;
use crate::cli::view::table::count;
use crate::error::{Error, Result};
use crate::host::lease as leases;
use crate::host::lock::{Kind, WorkerLock};
use crate::job::RunId;
use crate::place::Place;
use crate::run::runfile;
use crate::store::Restored;

/// Brings a backup back, under the worker lock.
///
/// # Errors
/// When there is a worker, or the copy cannot be used; nothing is changed then.
pub fn restore(face: &Face, source: &Path) -> Result<Restored> {
    let place = crate::store::place_to_restore(&face.settings.db.value)?;
    let instance = format!("restore by pid {}", std::process::id());
    let lock = match WorkerLock::take(&place, Kind::Work, 0, &instance, face.now_ms())? {
        Ok(lock) => lock,
        Err(holder) => {
            return Err(Error::Refused(format!("a worker (pid {}) has the file; stop it first", holder.pid)));
        }
    };
    let above_run = highest_run(&place)?.map_or(0, |run| run.0);
    let living = leases::living(&place)?;
    let restored = crate::store::restore(place.db(), source, above_run, 0, &living, face.now_ms());
    if restored.is_ok() {
        leases::add_living(&face.client()?)?;
    }
    lock.release();
    restored
}

/// Makes a file that passes for a copy at home where it is, under the worker lock. Says what was
/// done.
///
/// # Errors
/// When there is a worker, when the file is at home already, or when the one that it was is still
/// there.
pub fn declare(face: &Face, is_copy: bool) -> Result<Vec<String>> {
    let place = face.reader()?.place().clone();
    crate::store::make_beside(&place)?;
    let instance = format!("doctor by pid {}", std::process::id());
    let Ok(lock) = WorkerLock::take(&place, Kind::Work, 0, &instance, face.now_ms())? else {
        return Err(Error::Refused("a worker has the file; stop it first".into()));
    };
    let runs = runfile::list(&place)?;
    let above_run = highest_run(&place)?.map_or(0, |run| run.0);
    if is_copy {
        for run in &runs {
            if let runfile::Inspection::Found { locked: true, .. } = runfile::inspect(&place, *run)? {
                let dir = place.dir().display();
                return Err(Error::Refused(format!(
                    "run {run} lives in {dir}, so this is not a copy; if it was moved: tenure doctor --is moved"
                )));
            }
        }
    }
    let is = if is_copy { crate::store::Is::Copy } else { crate::store::Is::Moved };
    let living = leases::living(&place)?;
    let restored = crate::store::declare(&place, is, above_run, &living, face.now_ms())?;
    if restored.is_some() {
        // They speak of the original's runs, which are not this file's to end.
        runs.iter().try_for_each(|run| runfile::unlink(&place, *run))?;
    }
    lock.release();
    let db = place.db().display();
    let many = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(vec![match restored {
        None => format!("{db} is at home here; a worker goes on with it"),
        Some(restored) => {
            let held = count(many(restored.held), "job", "is held", "are held");
            let lost = count(many(restored.lost), "run of the original", "is closed as lost here", "are closed as lost here");
            format!("{db} is a file of its own; {held}, {lost}")
        }
    }])
}

fn highest_run(place: &Place) -> Result<Option<RunId>> {
    Ok(runfile::list(place)?.into_iter().max().max(runfile::highest_log(place)?))
}
