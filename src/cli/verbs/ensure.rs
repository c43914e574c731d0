//! `tenure workspace ensure`: prepares a workspace in the foreground, with or without a worker, and
//! prints its path.
//!
//! It runs under the lease `workspace/KEY`, so that a worker and any number of these commands
//! prepare it once. After a kill in the middle, the lease stays with the processes of the prepare
//! command, and the directory belongs to no run when they are gone.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::code;
use crate::error::{Error, Result, exit};
use crate::host;
use crate::host::lease::Answer;
use crate::host::lease::Holding;
use crate::host::lease::Wanted;
use crate::host::workspace::Maker;
use crate::job::{Argv, Exit, Workspace};
use crate::place::Place;
use crate::run::foreground::{self, Ended};
use crate::run::machine;
use crate::run::workspace::is_there;
use crate::store::Store;
use crate::store::lease::{Lease, WORKSPACE_PREFIX};
use crate::store::workspace;

/// Practically unlimited: waits for the process that prepares it now.
const WAIT: Duration = Duration::from_secs(31_536_000);

/// Prints the path of a workspace, and prepares it first if needed.
pub fn run(face: &Face, key: &str, prepare: Option<Argv>) -> Result<u8> {
    foreground::stand_apart()?;
    let wanted = Workspace { key: key.to_owned(), prepare };
    let store = face.client()?;
    if let Some(dir) = present(face, &store, &wanted)? {
        return tell(store.place(), &dir);
    }
    let holding = lease(&store, &wanted)?;
    // Another process may have prepared it during the wait.
    if let Some(dir) = present(face, &store, &wanted)? {
        holding.release(&store)?;
        return tell(store.place(), &dir);
    }
    let maker = match Maker::of(store.place(), &wanted, holding.nonce()) {
        Ok(maker) => maker,
        Err(error) => {
            complain(key, &error.to_string());
            holding.release(&store)?;
            return Ok(error.exit_code());
        }
    };
    let place = store.place().clone();
    // The file is not kept open while the prepare command runs.
    drop(store);
    match fill(&place, &wanted, &holding, &maker) {
        Ok(()) => settle(face, holding, &maker),
        Err(Failed::Left) => {
            let _reclaimed_when_they_are_gone = holding.leave();
            Err(Error::Refused(format!(
                "something that the prepare command of workspace {key:?} has started does not end; it is not used"
            )))
        }
        Err(Failed::With(error, code)) => {
            complain(key, &error);
            abandon(&maker);
            holding.release(&face.client()?)?;
            Ok(code)
        }
    }
}

/// Returns the directory of a workspace if it is as requested. A missing one is forgotten.
fn present(face: &Face, store: &Store, wanted: &Workspace) -> Result<Option<String>> {
    let (one, boot_id) = (wanted.clone(), machine::boot_id());
    let Some(dir) = store.read(move |conn| workspace::present(conn, &one, &boot_id))? else { return Ok(None) };
    let (key, now_ms, there) = (wanted.key.clone(), face.now_ms(), is_there(store.place(), &dir)?);
    let name = dir.clone();
    store.write(move |conn| match there {
        true => workspace::touch(conn, &key, now_ms),
        false => workspace::forget(conn, &key, &name, None),
    })?;
    Ok(there.then_some(dir))
}

fn lease(store: &Store, wanted: &Workspace) -> Result<Holding> {
    let command = wanted.prepare_command().unwrap_or_else(|| "[]".into());
    let ask =
        Wanted { name: format!("{WORKSPACE_PREFIX}{}", wanted.key), command, why: Some("workspace ensure".into()), job: None };
    if let Answer::Yours(holding) = host::lease::acquire(store, &ask, None)? {
        return Ok(holding);
    }
    face::say(&format!("workspace {:?} is being prepared by another process; waiting for it", wanted.key));
    match host::lease::acquire(store, &ask, Some(Instant::now() + WAIT))? {
        Answer::Yours(holding) => Ok(holding),
        Answer::Held(held) => Err(late(&held)),
    }
}

fn late(held: &Lease) -> Error {
    Error::Refused(format!("the lease {:?} was not free for a year; tenure lease ls says who has it", held.name))
}

/// Why a directory was not filled.
enum Failed {
    /// A process of the prepare command is still working in it.
    Left,
    With(String, u8),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::With(error.to_string(), error.exit_code())
    }
}

/// Creates the new directory and runs the prepare command in it.
fn fill(place: &Place, wanted: &Workspace, holding: &Holding, maker: &Maker) -> Result<(), Failed> {
    maker.begin()?;
    let Some(prepare_command) = &wanted.prepare else { return Ok(()) };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let env = [holding.mark(), ("TENURE_WORKSPACE".into(), text(&maker.path())), ("TENURE_DB".into(), text(place.db()))];
    match foreground::run_inside(&maker.new_path(), prepare_command, &env, holding.lock())? {
        Ended::NotExecuted(error) => {
            Err(Failed::With(format!("its prepare command could not be executed: {error}"), exit::FAILED))
        }
        Ended::Ended { emptied: false, .. } => Err(Failed::Left),
        Ended::Ended { exit: Exit::Code(0), .. } => Ok(()),
        Ended::Ended { exit: Exit::Code(code), .. } => {
            Err(Failed::With(format!("its prepare command ended with exit status {code}"), exit::FAILED))
        }
        Ended::Ended { exit: ended @ Exit::Signal(signal), .. } => {
            Err(Failed::With(format!("its prepare command was killed by signal {signal}"), code::of_exit(ended)))
        }
    }
}

/// The directory is moved into place, and then recorded: a crash in between leaves one that belongs
/// to no run.
fn settle(face: &Face, holding: Holding, maker: &Maker) -> Result<u8> {
    let store = face.client()?;
    let made = match maker.finish(&|| true) {
        Ok(made) => made,
        Err(error) => {
            abandon(maker);
            holding.release(&store)?;
            return Err(error);
        }
    };
    let (dir, boot_id, now_ms) = (made.dir.clone(), machine::boot_id(), face.now_ms());
    store.write(move |conn| workspace::made(conn, &made, &boot_id, now_ms))?;
    holding.release(&store)?;
    tell(store.place(), &dir)
}

fn complain(key: &str, error: &str) {
    face::complain(&format!("workspace {key:?} could not be prepared: {error}"));
}

fn abandon(maker: &Maker) {
    if let Err(error) = maker.abandon(&|| true) {
        face::say(&format!("{error}; the worker tries again"));
    }
}

fn tell(place: &Place, dir: &str) -> Result<u8> {
    let path = place.work().join(dir);
    face::print(&format!("{}\n", path.display()))?;
    Ok(exit::OK)
}
