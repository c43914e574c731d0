//! Ends the remaining processes of a run's tree.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::job::{RunId, RunKey};
use crate::run::runfile::{self, Inspection};
use crate::run::stop;
use crate::run::tree::{self, Emptied};
use crate::worker::context::Context;

/// How often the lock of an ended run is checked before that is left to the next tick, and the
/// interval in milliseconds. It is also the first pause between two rounds in which a tree is
/// emptied.
const ROUNDS_MAX: usize = 200;
const ROUND_MS: u64 = 10;
/// How long a tree is emptied before it is reported as a problem, and the longest interval between
/// two rounds, in milliseconds.
const EMPTYING_MS: u64 = 3_000;
const ROUND_MS_MOST: u64 = 200;

/// Ends a run that is not needed: first its shim, so that no process of its tree is started any
/// more, then the remaining processes.
///
/// # Errors
/// As [`empty`]; or its lock is still held, by a shim that is about to start or a spawner that
/// sweeps: to be retried.
pub fn end_tree(ctx: &Context, key: RunKey) -> Result<()> {
    stop::hasten(ctx.place(), key)?;
    stop::kill_shim(ctx.place(), key)?;
    empty(ctx, key)?;
    let run = key.run;
    for _ in 0..ROUNDS_MAX {
        match runfile::inspect(ctx.place(), run)? {
            Inspection::Found { locked: true, .. } if !ctx.is_detaching() => ctx.pause(ROUND_MS),
            Inspection::Found { locked: true, .. } => break,
            _ => return Ok(()),
        }
    }
    Err(Error::Held(format!("run {run}: its lock is still held; trying again at the next tick")))
}

fn what_is_there(emptied: &Emptied, fallen: &[String]) -> String {
    let of_the_run = [&emptied.left[..], &emptied.killed, fallen].concat();
    match () {
        () if !of_the_run.is_empty() => of_the_run.join(", "),
        () if emptied.log_locked => {
            "in another pid namespace, of another user, or started faster than they are found; with its log open".to_owned()
        }
        () if emptied.shim_is_dying => "its shim, which is being killed".to_owned(),
        () => format!("perhaps, as nothing that may be read of them says so or otherwise: {}", emptied.not_known.join(", ")),
    }
}

fn out_of_sight(run: RunId) -> String {
    format!(
        "processes of run {run} may live in another pid namespace (a container), where they cannot be seen from here; \
         it stays running until that is gone, or until a person says so (tenure doctor --gone {run})"
    )
}

/// Ends every process that carries a mark of the run or may write its log, until two rounds in a
/// row find none.
///
/// # Errors
/// A process may not be signalled or does not end: the run stays as it is, and is reported as a
/// problem.
pub fn empty(ctx: &Context, key: RunKey) -> Result<()> {
    let run = key.run;
    let (mut clean, mut pause_ms) = (0, ROUND_MS);
    let mut last = String::new();
    let until = Instant::now() + Duration::from_millis(EMPTYING_MS);
    while clean > 0 || Instant::now() < until {
        let emptied = tree::empty(ctx.place(), key)?;
        // Orphans of this run are reparented to the worker: first the shim is dead, then they are
        // reparented, then they are searched.
        let fallen =
            ctx.orphans.as_ref().filter(|_| !emptied.shim_is_dying).map(|ours| ours.sweep(key.nonce)).unwrap_or_default();
        if emptied.out_of_sight && emptied.killed.is_empty() && !emptied.log_locked {
            return Err(Error::Stuck(out_of_sight(run)));
        }
        if emptied.is_empty() && fallen.is_empty() {
            clean += 1;
            if clean == 2 {
                return Ok(());
            }
            continue;
        }
        clean = 0;
        last = what_is_there(&emptied, &fallen);
        if ctx.is_detaching() {
            break;
        }
        ctx.pause(pause_ms);
        pause_ms = (pause_ms * 2).min(ROUND_MS_MOST);
    }
    Err(Error::Stuck(format!("processes of run {run} are still there ({last}); it stays running until they are gone")))
}
