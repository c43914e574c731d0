//! Restores a copy: what must be done to it before anything in it may be acted on.
//!
//! A copy does not know what has happened since it was created. Its running rows name runs whose
//! end it does not record, its queued jobs may have been done long ago, and its ids have been used.
//! So nothing in it starts by itself: each live job is held, with an event that says why, runs are
//! closed as lost, schedules continue from now, ids continue above the highest one ever seen, and
//! the file gets a new id.

use crate::store::file::stamp::raise_sequence;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::error::{Error, Result};
use crate::place::Place;
use crate::store::engine::connection::{Access, connect, prepare};
use crate::store::engine::options::Durability;
use crate::store::engine::path::{Missing, find, find_or_make, make_beside};
use crate::store::engine::small_file::sync_directory;
use crate::store::engine::structure::{Thorough, check_structure, set_wal_mode};
use crate::store::engine::turnstile::Turnstile;
use crate::store::engine::watch::FileId;
use crate::store::engine::{flush, locks};
use crate::store::file::backup::{Copy, copy_if};
use crate::store::file::home;
use crate::store::file::identity::random_name;
use crate::store::file::identity::{Identity, identify};
use crate::store::file::kept::Kept;
use crate::store::file::stamp;
use crate::store::file::stamp::Stamp;
use crate::store::lease;
use crate::store::lease::Lease;
use crate::store::schedule;
use crate::store::schema::upgrade;

/// Result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The new id of the file.
    pub file_id: String,
    /// Jobs that are held now, by a person or by the restore.
    pub held: usize,
    /// Runs that were open in the copy and are closed as lost.
    pub lost: usize,
    /// Where a damaged file was moved to, if it had to be.
    pub moved_to: Option<PathBuf>,
    /// The file that was replaced.
    pub kept: Option<Kept>,
}

/// Replaces the file at `store_path` with the copy `source`, through the backup API, in one
/// transaction: other processes that have the file open see either the old content or the new one.
/// The caller holds the worker lock and has no store open on the file.
///
/// Ids continue above `raise_above_run` and `raise_above_job`, above the stamp, and above those of
/// the present file. The leases of the copy are outdated: `living` replaces them, the leases whose
/// lock file is held now.
///
/// # Errors
/// [`Error::File`] if the source is damaged, foreign, empty or newer, or if the file in its place
/// belongs to another program; nothing is changed then.
pub fn restore(
    store_path: &Path,
    source: &Path,
    raise_above_run: i64,
    raise_above_job: i64,
    living: &[Lease],
    now_ms: i64,
) -> Result<Restored> {
    let place = find_or_make(store_path, Missing::Restore)?;
    make_beside(&place)?;
    let source = find(source)?;
    if FileId::at(source.db()) == FileId::at(place.db()) {
        return Err(Error::Invalid(format!("{} is the file itself; name a backup", source.db().display())));
    }
    let present = Present::read(&place)?;
    let floor = floor(&place, &present, raise_above_run, raise_above_job)?;
    let copy = copy_of(&source, &place)?;
    let file_id = random_name()?;
    home::announce(&place, &file_id)?;
    let mut restored = treat_copy(&copy, &place, &floor, &present.given, living, file_id, now_ms)?;
    if present.usable {
        restored.kept = replace(&place, &copy, raise_above_run, raise_above_job, now_ms)?;
    } else {
        restored.moved_to = Some(move_aside(&place, now_ms)?);
        copy.become_file(place.db(), false)?;
    }
    home::settle_in(&place, &restored.file_id).map_err(|error| name_the_kept(restored.kept.as_ref(), error))?;
    Ok(restored)
}

/// Ensures that no id that the present file has ever assigned is assigned again.
fn floor(place: &Place, present: &Present, raise_above_run: i64, raise_above_job: i64) -> Result<Stamp> {
    let stamp = stamp::read(place)?.unwrap_or_default();
    Ok(Stamp {
        generation: stamp.generation.max(present.stamp.generation),
        run_id_limit: stamp.run_id_limit.max(present.stamp.run_id_limit).max(raise_above_run + 1),
        max_job_id: stamp.max_job_id.max(present.stamp.max_job_id).max(raise_above_job),
    })
}

/// Writes the copy over the present file, which is kept beside it.
///
/// A client may add a job meanwhile: the file is kept again until nothing was written since, which
/// is checked when no other process can write any more. From the second attempt on, tenure's own
/// clients wait for their turn.
fn replace(place: &Place, copy: &Copy, raise_above_run: i64, raise_above_job: i64, now_ms: i64) -> Result<Option<Kept>> {
    let mut target = connect(place, Access::Write, Durability::Full)?;
    set_wal_mode(&target)?;
    // The connection that copies cannot be queried during the copy.
    let observer = connect(place, Access::Read, Durability::Full)?;
    let mut queue = Turnstile::open(place)?;
    let mut turn = None;
    for _ in 0..KEEP_TRIES_MAX {
        let before = data_version(&observer)?;
        let present = Present::read(place)?;
        let conn = copy.open()?;
        prepare(&conn, Access::Write, Durability::Full)?;
        raise(&conn, &floor(place, &present, raise_above_run, raise_above_job)?)?;
        continue_above(&conn, &present.given)?;
        drop(conn);
        let kept = if present.has_content { Some(Kept::make(&target, place, copy, now_ms)?) } else { None };
        turn = turn.or_else(|| Some(queue.take()));
        match copy_if(&copy.open()?, &mut target, || Ok(data_version(&observer)? == before)) {
            Ok(true) => {}
            Ok(false) => {
                kept.map_or(Ok(()), Kept::discard)?;
                continue;
            }
            // A log whose sync failed may still hold the new content: then only the kept file has
            // the old one.
            Err(error @ Error::Io { .. }) => return Err(name_the_kept(kept.as_ref(), error)),
            Err(error) => {
                kept.map_or(Ok(()), Kept::discard)?;
                return Err(name_the_writer(place, error));
            }
        }
        flush::flush_journal(&target).map_err(|error| name_the_kept(kept.as_ref(), error))?;
        return Ok(kept);
    }
    Err(Error::Busy(format!(
        "other programs keep writing to {}, and a job of theirs might be lost; stop them and try again",
        place.db().display()
    )))
}

/// Returns a number that changes when another connection has committed.
fn data_version(conn: &Connection) -> Result<i64> {
    Ok(conn.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}

/// Finds the place of a file that a backup will replace; missing parts are created, empty. The file
/// itself may be damaged, and is not opened.
///
/// # Errors
/// As for every file that is opened for writing.
pub fn place_to_restore(path: &Path) -> Result<Place> {
    let place = find_or_make(path, Missing::Restore)?;
    make_beside(&place)?;
    Ok(place)
}

/// The file may have the new content, or have it after a power cut: the error says where the old
/// one is.
fn name_the_kept(kept: Option<&Kept>, error: Error) -> Error {
    let Some(kept) = kept else { return error };
    let path = kept.path.display();
    let way_on = format!(
        "the content from before the restore is kept as {path}; restore the backup again, or go back: tenure restore {path}"
    );
    match error {
        Error::Io { what, remedy, source } => Error::Io {
            what,
            remedy,
            source: std::io::Error::new(source.kind(), format!("{}; {way_on}", crate::error::said(&source))),
        },
        error => Error::File(format!("{error}; {way_on}")),
    }
}

fn name_the_writer(place: &Place, error: Error) -> Error {
    match (error, locks::writer(place)) {
        (Error::Busy(_), Some(writer)) => Error::Busy(format!("{writer} is inside a transaction; end it and try again")),
        (error, _) => error,
    }
}

/// The same for a copy that was put in place by hand, found by [`stamp::older_copy_was_restored`]
/// or [`crate::store::file::standing::assess`]. Runs in a transaction of the caller, who has
/// announced the new id of the file before ([`home::announce`]).
pub fn adopt_older_copy(
    conn: &Connection,
    file_id: &str,
    stamp: Option<&Stamp>,
    raise_above_run: i64,
    raise_above_job: i64,
    living: &[Lease],
    now_ms: i64,
) -> Result<Restored> {
    let stamp = stamp.copied().unwrap_or_default();
    let floor = Stamp {
        generation: stamp.generation,
        run_id_limit: stamp.run_id_limit.max(raise_above_run + 1),
        max_job_id: stamp.max_job_id.max(raise_above_job),
    };
    treat(conn, &floor, living, file_id, "an older copy of the file was put in its place", now_ms)
}

/// The file to be replaced.
struct Present {
    /// False if it is so damaged that SQLite cannot write into it.
    usable: bool,
    /// It has content to be kept.
    has_content: bool,
    stamp: Stamp,
    /// The highest ids that these tables have assigned.
    given: Vec<(&'static str, i64)>,
}

/// How often the present file is kept again because a client has written to it meanwhile.
const KEEP_TRIES_MAX: u32 = 5;
/// Tables whose ids people and programs use, besides jobs and tasks.
const NUMBERED: [&str; 4] = ["resource", "schedule", "pipeline", "event"];
/// Ids that tenure assigns are below this; a sequence beyond it was set by a client.
const GIVEN_MAX: i64 = 1 << 52;

impl Present {
    fn read(place: &Place) -> Result<Self> {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        if length(place.db()) == 0 && length(&place.wal()) > 0 {
            // The log of a file that is gone: SQLite would take it for that of the new one.
            return Ok(Self { usable: false, has_content: false, stamp: Stamp::default(), given: Vec::new() });
        }
        let looked = connect(place, Access::Write, Durability::Full)
            .and_then(|conn| conn.query_row("PRAGMA schema_version", [], |_| Ok(())).map(|()| conn));
        let conn = match looked {
            Ok(conn) => conn,
            Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)) => {
                return Ok(Self { usable: false, has_content: false, stamp: Stamp::default(), given: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        // If only the tables are damaged, the header suffices to write into the file, and nothing
        // else can be learned from it.
        let identity = identify(&conn)?;
        let has_content = identity != Identity::New;
        let (stamp, given) = match identity {
            Identity::New => (Stamp::default(), Vec::new()),
            Identity::Ours | Identity::Older { .. } => {
                (stamp::current(&conn).unwrap_or_default(), given(&conn).unwrap_or_default())
            }
        };
        Ok(Self { usable: true, has_content, stamp, given })
    }
}

/// Creates a checked copy of the source beside the file: on the same file system, so that it can be
/// renamed.
fn copy_of(source: &Place, place: &Place) -> Result<Copy> {
    let make = || {
        let conn = connect(source, Access::Read, Durability::Full)?;
        if identify(&conn)? == Identity::New {
            return Err(Error::File("it is empty; name a backup".into()));
        }
        check_structure(&conn, Thorough::Yes)?;
        Copy::make(&conn, place.db().parent().unwrap_or(Path::new("/")))
    };
    make().map_err(|error| match error {
        Error::File(text) => Error::File(format!("{}: {text}", source.db().display())),
        other => other,
    })
}

/// Everything is done to the copy before it is in place, so that a crash leaves no untreated copy
/// there.
fn treat_copy(
    copy: &Copy,
    place: &Place,
    floor: &Stamp,
    given: &[(&str, i64)],
    living: &[Lease],
    file_id: String,
    now_ms: i64,
) -> Result<Restored> {
    let conn = copy.open()?;
    prepare(&conn, Access::Write, Durability::Full)?;
    if let Identity::Older { version } = identify(&conn)? {
        upgrade::upgrade_copy(&conn, version)?;
    }
    let transaction = rusqlite::Transaction::new_unchecked(&conn, TransactionBehavior::Immediate)?;
    crate::store::repair_schema(&transaction)?;
    // The treatment makes events, which a reader of the changes has not seen.
    continue_above(&transaction, given)?;
    let restored = treat(&transaction, floor, living, &file_id, "the file was restored from a copy", now_ms)?;
    home::note(&transaction, &home::noted(place)?)?;
    transaction.commit()?;
    Ok(restored)
}

pub(in crate::store) fn treat(
    conn: &Connection,
    floor: &Stamp,
    living: &[Lease],
    file_id: &str,
    why: &str,
    now_ms: i64,
) -> Result<Restored> {
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ('file_id', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
        [file_id],
    )?;
    raise(conn, floor)?;
    stamp::forgive_below(conn, floor.run_id_limit)?;
    // Before the states change, while the running ones can still be told from the queued ones.
    conn.execute(sql!("restore.sql", "note_restored"), (now_ms, why))?;
    let lost = close_runs(conn, why, now_ms)?;
    lease::keep_living(conn, living)?;
    // A task whose job has just ended advances; the job of its next stage is held like the others.
    crate::store::pipeline::advance::resume(
        conn,
        &crate::store::upkeep::inspect::stuck_tasks(conn)?,
        now_ms,
        &mut crate::store::pipeline::advance::aftermath(),
    )?;
    conn.execute("UPDATE job SET user_hold = 1 WHERE state = 'queued' AND user_hold = 0", [])?;
    conn.execute(sql!("restore.sql", "tell_truth"), [])?;
    schedule::start_from_now(conn, now_ms)?;
    let held = count_held(conn)?;
    Ok(Restored { file_id: file_id.to_owned(), held, lost, moved_to: None, kept: None })
}

/// Counts the jobs that wait for a release: those that were running or queued, and those that a
/// person had held. A job with an open cancel ends by it.
fn count_held(conn: &Connection) -> Result<usize> {
    let held = sql!("restore.sql", "count_held");
    let held: i64 = conn.query_row(held, [], |row| row.get(0))?;
    Ok(usize::try_from(held).unwrap_or(usize::MAX))
}

/// Ends the running jobs of the copy: as lost, requeued, or as cancelled if that was requested.
/// Returns the number of jobs.
fn close_runs(conn: &Connection, why: &str, now_ms: i64) -> Result<usize> {
    conn.execute(
        "UPDATE run SET finished_at = ?1, outcome = 'lost', reason = 'lost', error = ?2 WHERE finished_at IS NULL",
        (now_ms, why),
    )?;
    let cancelled = conn.execute(sql!("restore.sql", "cancel"), [now_ms])?;
    conn.execute(sql!("restore.sql", "close_cancels"), [now_ms])?;
    let queued = conn.execute(sql!("restore.sql", "requeue"), [])?;
    Ok(cancelled + queued)
}

fn given(conn: &Connection) -> Result<Vec<(&'static str, i64)>> {
    let mut seq = conn.prepare("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1 AND seq < ?2")?;
    NUMBERED.into_iter().map(|table| Ok((table, seq.query_row((table, GIVEN_MAX), |row| row.get(0))?))).collect()
}

/// Ids that the present file has assigned are not assigned again.
fn continue_above(copy: &Connection, given: &[(&str, i64)]) -> Result<()> {
    given.iter().try_for_each(|(table, seq)| raise_sequence(copy, table, *seq))
}

/// No id is given twice.
fn raise(conn: &Connection, floor: &Stamp) -> Result<()> {
    for (key, at_least) in [("generation", floor.generation), ("run_id_limit", floor.run_id_limit)] {
        conn.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), ?2)",
            (key, at_least),
        )?;
    }
    // Each task has added a job of its own, so no task ever had a higher id than the highest job.
    ["job", "task"].into_iter().try_for_each(|table| raise_sequence(conn, table, floor.max_job_id))
}

/// Moves a damaged file and its log aside. A person may be able to repair it, so it is not removed.
fn move_aside(place: &Place, now_ms: i64) -> Result<PathBuf> {
    let users = locks::openers(place);
    if let Some(user) = users.first() {
        return Err(Error::Busy(format!("{user} has the damaged file {} open; end it and try again", place.db().display())));
    }
    let mut aside = place.db().as_os_str().to_owned();
    aside.push(format!(".damaged-{now_ms}"));
    let aside = Place::new(aside.into());
    for (from, to) in [(place.db().to_owned(), aside.db().to_owned()), (place.wal(), aside.wal())] {
        if from.exists() {
            std::fs::rename(&from, &to).map_err(|error| Error::io(format!("moving {} aside", from.display()), error))?;
        }
    }
    let _ = std::fs::remove_file(place.shm());
    sync_directory(place.db().parent().unwrap_or(Path::new("/")))?;
    Ok(aside.db().to_owned())
}
