//! Checks that this is the file that the directory knows, and that its sequences are above
//! everything on the disk. Called under the worker lock, before any run file is created.

use crate::error::{Error, Result};
use crate::host::lease;
use crate::job::RunId;
use crate::job::verdict::Progress;
use crate::place::Place;
use crate::run::machine;
use crate::run::runfile::{self, Inspection};
use crate::store::file::belief::{self, Belief};
use crate::store::file::standing::{self, Standing};
use crate::store::{self, Store, file::home, file::stamp, job::ids};
use crate::worker::high_water;

/// Checks that this is the file that the directory knows, and that its sequences are above
/// everything on the disk.
pub fn make_trustworthy(store: &Store) -> Result<Belief> {
    let place = store.place();
    // Under the worker lock and before any run file is created: a temporary name belongs to no
    // process now.
    runfile::sweep_temporaries(place)?;
    for name in ["home.new", "stamp.new"] {
        let _most_are_not_killed_over_it = std::fs::remove_file(place.dir().join(name));
    }
    let highest_log = runfile::highest_log(place)?.map_or(0, |run| run.0);
    let highest_run = runfile::list(place)?.into_iter().max().max(runfile::highest_log(place)?);
    let known = stamp::read(place)?;
    let now_ms = store.clock().now_ms();
    let above_run = highest_run.map_or(0, |run| run.0);
    let claimed = claimed_in_this_boot(place)?;
    let (found, is_older) = store.read(|conn| {
        let is_older =
            stamp::older_copy_was_restored(conn, known.as_ref(), highest_run)? || stamp::has_forgotten(conn, &claimed)?;
        Ok((standing::assess(place, conn)?, is_older))
    })?;
    found.check(place)?;
    let why = match found {
        Standing::OlderCopy(why) => Some(why),
        _ => is_older.then(|| "its numbers are behind those of its directory".to_owned()),
    };
    if let Some(why) = why {
        log::warn!(
            "an older copy of the file was put in place ({why}); every job that had not ended is held, as after tenure restore"
        );
        let known = known.unwrap_or_default();
        let living = lease::living(place)?;
        let file_id = store::random_name()?;
        home::announce(place, &file_id)?;
        store.write(move |conn| {
            store::file::restore::adopt_older_copy(conn, &file_id, Some(&known), above_run, 0, &living, now_ms)
        })?;
        lease::add_living(store)?;
    }
    // The first act is a flush: what recovery finds in the file is durable before it acts on it.
    let noted = home::noted(place)?;
    let belief = store.write(move |conn| {
        ids::raise_sequences(conn, above_run, 0)?;
        ids::start_generation(conn)?;
        home::note(conn, &noted)?;
        belief::read(conn)
    })?;
    if belief.file_id.is_empty() {
        return Err(Error::File("the file has no id; tenure doctor --fix".into()));
    }
    home::settle_in(place, &belief.file_id)?;
    home::begin_boot(place, &machine::boot_id(), highest_log)?;
    high_water::note(store)?;
    Ok(belief)
}

/// Returns the runs that have begun since the machine was started: no power cut can have removed
/// their claims from the file.
fn claimed_in_this_boot(place: &Place) -> Result<Vec<RunId>> {
    let boot_id = machine::boot_id();
    let boot = home::load(place)?.and_then(|home| home.boot).filter(|boot| boot.id == boot_id);
    let mut claimed: Vec<RunId> = runfile::highest_log(place)?.into_iter().collect();
    claimed.retain(|run| boot.as_ref().is_some_and(|boot| run.0 > boot.logged));
    for run in runfile::list(place)? {
        if let Inspection::Found { header, records, .. } = runfile::inspect(place, run)?
            && header.boot_id == boot_id
            && !header.asks
            && records.progress() != Progress::Nothing
        {
            claimed.push(run);
        }
    }
    Ok(claimed)
}
