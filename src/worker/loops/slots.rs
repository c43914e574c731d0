//! The number of slots that a person sets while the worker runs (`tenure slots`). Part of the start
//! and of each round of the claim loop.
//!
//! The number is in the file, so a worker that was killed does not lose it. A worker that is given
//! a number when it starts deletes it: the later word counts.

use crate::error::Result;
use crate::run::open_files;
use crate::store::{Store, job::slots};
use crate::worker::context::Context;
use crate::worker::descriptors::slots_under;
use crate::worker::options::{Kind, Options, SlotsFrom};

/// The source of a number that a person has set.
const BY_A_PERSON: &str = "tenure slots";
/// The same, if the worker may not open as many files as that number needs.
const CUT: &str = "tenure slots, and the limit of open files";

/// A worker for one job alone has the slots that it needs.
fn follows(options: &Options) -> bool {
    options.kind == Kind::Work && options.scope.only.is_none()
}

/// Deletes the number that was set before this worker was started with another one.
///
/// # Errors
/// The file refuses it.
pub fn begin(store: &Store, options: &Options) -> Result<()> {
    let is_named = matches!(options.slots_from, SlotsFrom::Named(_)) && follows(options);
    if is_named && store.read(slots::wanted)?.is_some() {
        store.write(|conn| slots::set(conn, None))?;
    }
    Ok(())
}

/// Adopts the number that is set now, and notes it in the file: a job that takes more slots is not
/// ready, and so blocks no other.
///
/// # Errors
/// The file refuses it.
pub fn follow(ctx: &Context) -> Result<()> {
    if ctx.options.kind == Kind::Run {
        // It has the slots that its jobs take.
        return note(ctx, None);
    }
    if !follows(&ctx.options) {
        return Ok(());
    }
    let (now, from) = match ctx.store.read(slots::wanted)? {
        None => (ctx.options.slots, ctx.options.slots_from.text()),
        Some(wanted) => match most() {
            most if wanted > most => (most, CUT),
            _ => (wanted, BY_A_PERSON),
        },
    };
    let before = ctx.slots.set_limit(now);
    if before != now {
        log::info!("{now} slots from now on, {before} before ({from})");
    }
    ctx.report.slots(now, from);
    note(ctx, Some(now))
}

fn note(ctx: &Context, now: Option<usize>) -> Result<()> {
    if !ctx.store.read(|conn| slots::is_noted(conn, now))? {
        ctx.store.commit(move |conn| slots::note(conn, now))?;
    }
    Ok(())
}

fn most() -> usize {
    open_files::current().map_or(usize::MAX, |files| usize::try_from(slots_under(files)).unwrap_or(usize::MAX)).max(1)
}
