//! Opens a file: from a path to a usable store, or a refusal that says what to do.

use crate::store::engine::structure::{Thorough, check_structure, set_wal_mode};
use crate::store::file::identity::random_name;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{CANNOT_BE_OPENED, CANNOT_BE_WRITTEN, Error, Result};
use crate::place::Place;
use crate::store::engine::ballast::Ballast;
use crate::store::engine::connection::{Access, connect};
use crate::store::engine::health::Shared;
use crate::store::engine::options::{Opened, Options, Role};
use crate::store::engine::store::{Engine, Inner, Store};
use crate::store::engine::turnstile::Turnstile;
use crate::store::engine::watch::{FileId, Watch};
use crate::store::engine::writer::Worker;
use crate::store::engine::{flush, locks, path, permission, write};
use crate::store::file::identity::{Identity, identify};
use crate::store::file::{home, standing};
use crate::store::schema;
use crate::store::schema::upgrade;

/// Size up to which a worker checks the whole structure of the file when it starts, in bytes: about
/// a second of work.
const QUICK_CHECK_BYTES_MAX: u64 = 256 << 20;
/// How long a log must be missing while a process has it open, in milliseconds, before it counts as
/// removed.
const LOG_REMOVED_MS: u64 = 1_000;
/// How long root may take to give a log that it has created to the owner of the file, in
/// milliseconds.
const GIVEN_MS: u64 = 2_000;
/// Interval between two attempts to switch a new file to WAL mode, in milliseconds.
const MODE_RETRY_MS: u64 = 10;

impl Store {
    /// Opens the file at `path` in a role; a client or worker creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::File`] with the remedy if the file cannot be used: a reader finds none, or it is
    /// foreign, damaged, newer than this program, not permitted, on a network file system, or has a
    /// second hard link. Two processes may create the same file at once: both get the same one.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        open(path, options)
    }
}

fn open(path: &Path, options: Options) -> Result<Store> {
    let place = match options.role {
        Role::Reader => path::find(path)?,
        Role::Client | Role::Worker => path::find_or_make(path, path::Missing::Begin)?,
    };
    if options.role == Role::Worker && !options.allow_shared {
        permission::check_private(&place)?;
    }
    let opened = match open_at(&place, options.clone()) {
        // It may have been given away by the time of the check, so a second attempt is made in any
        // case.
        Err(Error::File(text)) if is_about_access(&text) && was_of_root(&place) => open_at(&place, options),
        opened => opened,
    };
    opened.map_err(|error| name_the_file(&place, error))
}

/// Whether the error says that the file or its log may not be opened, rather than what is wrong
/// with its content.
fn is_about_access(text: &str) -> bool {
    text.starts_with(CANNOT_BE_OPENED) || text.contains(CANNOT_BE_WRITTEN)
}

/// If root is the first to open the file of another user, SQLite creates the log and its index as
/// root's and gives them to that user a moment later. Until then that user's commands cannot open
/// the file. Waits for that; `false` if it does not happen.
fn was_of_root(place: &Place) -> bool {
    if rustix::process::geteuid().is_root() || !permission::is_writable(place.db()) {
        return false;
    }
    let began = Instant::now();
    let is_closed = || [place.wal(), place.shm()].iter().any(|path| path.exists() && !permission::is_writable(path));
    while is_closed() && began.elapsed() < Duration::from_millis(GIVEN_MS) {
        thread::sleep(Duration::from_millis(MODE_RETRY_MS));
    }
    !is_closed()
}

/// SQLite's own messages do not name the file.
fn name_the_file(place: &Place, error: Error) -> Error {
    let db = place.db().display().to_string();
    match error {
        // SQLite creates the log and its index even to read the file.
        Error::File(text) if text.starts_with(CANNOT_BE_OPENED) => {
            Error::File(permission::read_only(place).unwrap_or_else(|| format!("{db}: {text}")))
        }
        Error::File(text) if !text.contains(&db) => Error::File(format!("{db}: {text}")),
        other => other,
    }
}

fn open_at(place: &Place, options: Options) -> Result<Store> {
    let before = FileId::at(place.db());
    let access = if options.role == Role::Reader { Access::Read } else { Access::Write };
    if access == Access::Write {
        permission::check_writable(place)?;
    }
    if options.role == Role::Worker {
        permission::check_beside(place)?;
    }
    for (path, who) in [(place.wal(), locks::log_was_removed as Removed), (place.shm(), locks::index_was_removed)] {
        if let Some(user) = who_has_what_was_removed(place, who) {
            return Err(Error::File(format!(
                "{} was removed, and {user} still has it open: what is written now would be lost; end that process and try again",
                path.display()
            )));
        }
    }
    let conn = connect(place, access, options.durability)?;
    let opened = make_ready(&conn, place, &options)?;
    let watch = Watch::begin(place);
    if watch.db() != before {
        return Err(Error::File(format!("{} was replaced just now; try again", place.db().display())));
    }
    let ballast = (options.role == Role::Worker).then(|| Ballast::new(place));
    let health = Arc::new(Shared::new(place, &options.clock, watch, ballast));
    let engine = match options.role {
        Role::Reader => Engine::Reader(Mutex::new(conn)),
        Role::Client => {
            Engine::Client(Mutex::new(write::Inline::new(conn, Turnstile::open(place)?, options.durability, health.clone())))
        }
        Role::Worker => {
            // What an earlier worker reported before it was killed.
            let _ = std::fs::remove_file(crate::store::blocked_file(place));
            if !health.ballast.as_ref().is_none_or(Ballast::take_on) {
                health.disk_is_full();
            }
            Engine::Worker(Worker::start(conn, Turnstile::open(place)?, options.durability, health.clone())?)
        }
    };
    Ok(Store(Arc::new(Inner { engine, place: place.clone(), options, opened, health })))
}

/// Finds the process that has a removed file open.
type Removed = fn(&Place) -> Option<locks::Holder>;

/// The last process to close the file removes log and index just before it releases them, and the
/// first one creates the log before the index. A process that is still found after that has lost
/// its log.
fn who_has_what_was_removed(place: &Place, ask: Removed) -> Option<locks::Holder> {
    let began = Instant::now();
    loop {
        let user = ask(place)?;
        if began.elapsed() > Duration::from_millis(LOG_REMOVED_MS) {
            return Some(user);
        }
        thread::sleep(Duration::from_millis(MODE_RETRY_MS));
    }
}

/// Prepares the file for this role: filled, in WAL mode, of this version, with its guards.
fn make_ready(conn: &Connection, place: &Place, options: &Options) -> Result<Opened> {
    let mut opened = Opened::default();
    if options.role == Role::Reader {
        return match identify(conn)? {
            Identity::Ours => Ok(opened),
            Identity::New if placed(conn, place)? == Identity::Ours => Ok(opened),
            Identity::New => Err(Error::File("the file is empty; `tenure add` fills it".into())),
            Identity::Older { version } => Err(upgrade::needed(version)),
        };
    }
    if conn.is_readonly("main")? {
        let closed = || format!("the file {CANNOT_BE_WRITTEN}; check the permissions of the file and of its directory");
        return Err(Error::File(permission::read_only(place).unwrap_or_else(closed)));
    }
    let identity = placed(conn, place)?;
    path::make_beside(place)?;
    set_wal_mode(conn)?;
    match identity {
        Identity::New => {
            opened.created = create(conn, place, options)?;
            flush::flush_journal(conn)?;
        }
        Identity::Ours => {}
        Identity::Older { version } if options.role == Role::Worker => {
            upgrade::upgrade(conn, place, version, Some(&home::noted(place)?))?;
            opened.upgraded_from = Some(version);
        }
        Identity::Older { .. } if options.allow_older => return Ok(opened),
        Identity::Older { version } => return Err(upgrade::needed(version)),
    }
    // The first read opens the log, which the flusher needs, and takes the lock that prevents
    // others from deleting it.
    conn.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    if options.role == Role::Worker {
        check_content(conn, place, &mut opened.problems)?;
    }
    Ok(opened)
}

/// Returns what the file is, if it may be used where it is. While its directory is looked at,
/// another process may fill an empty file, and a worker may begin there.
fn placed(conn: &Connection, place: &Place) -> Result<Identity> {
    if identify(conn)? == Identity::New {
        let found = standing::assess_empty(place)?;
        if identify(conn)? == Identity::New {
            return found.check(place).map(|()| Identity::New);
        }
    }
    standing::assess(place, conn)?.check(place)?;
    identify(conn)
}

/// Another process may fill the file at the same time; the first to get the write lock does. False
/// if another process did.
fn create(conn: &Connection, place: &Place, options: &Options) -> Result<bool> {
    let transaction = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let new = identify(&transaction)? == Identity::New;
    if new {
        let file_id = random_name()?;
        schema::create_schema(&transaction, options.clock.now_ms(), &file_id)?;
        home::note(&transaction, &home::noted(place)?)?;
        // Before the commit: a directory that names a file which was never filled is harmless, but
        // a file that its directory does not name would be taken for a copy.
        home::settle_in(place, &file_id)?;
    }
    transaction.commit()?;
    Ok(new)
}

/// Checks the whole file for a worker, before it acts on its content.
fn check_content(conn: &Connection, place: &Place, problems: &mut Vec<String>) -> Result<()> {
    if std::fs::metadata(place.db()).is_ok_and(|meta| meta.len() <= QUICK_CHECK_BYTES_MAX) {
        problems.extend(check_structure(conn, Thorough::No)?);
    }
    if !schema::schema_differences(conn)?.is_empty() {
        let transaction = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let repaired = schema::repair_schema(&transaction)?;
        transaction.commit()?;
        for what in repaired {
            log::warn!("repaired: {what}");
            problems.push(format!("{what} (repaired)"));
        }
    }
    Ok(())
}
