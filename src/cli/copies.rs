//! Operations on a whole file under the worker lock: restoring a backup, and declaring a copy.

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

/// Restores a backup, under the worker lock.
///
/// # Errors
/// There is a worker, or the copy cannot be used; nothing is changed then.
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

/// Binds a file that may be a copy to its place, under the worker lock. Returns what was done.
///
/// # Errors
/// There is a worker, the file is bound to this place already, or the original still exists.
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
        // They record runs of the original, which this file must not end.
        runs.iter().try_for_each(|run| runfile::unlink(&place, *run))?;
    }
    lock.release();
    let db = place.db().display();
    let many = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(vec![match restored {
        None => format!("{db} belongs to this place; a worker continues with it"),
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
