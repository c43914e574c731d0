//! The shim: the process that owns one run's tree. A fork of the spawner that executes nothing, so
//! it is small (about 50 kB of its own).
//!
//! ```text
//! be_shim ─▶ prepare ─▶ (go) ─▶ PREPARE ─▶ execute ─▶ STARTED ─▶ watch ─▶ EXITED ─▶ empty the tree ─▶ DRAINED
//!               └──────────── FAILED ─────────┘                     deadlines, stop requests, log limit
//! ```
//!
//! It holds the run's lock at a fixed descriptor, reaps all processes that the job leaves behind,
//! and has every signal blocked: it asks for them one by one, so there is no handler and nothing to
//! interrupt. Records go into the run file first, then down the pipe. It alone judges why a run
//! ended: the first cause counts, and none that comes after the job's process has ended.
//!
//! Its exit status speaks to the spawner: [`TREE_IS_EMPTY`], or there may be something to sweep.

mod ending;
mod execute;
mod identity;
mod logfile;
mod memory;
mod prepare;
pub(super) mod refusal;
mod stop_signal;
mod watch;

use std::io;

use rustix::process::{Resource, Rlimit, getpid, setrlimit, setsid};

use crate::run::forked::{Inherited, become_reaper, exit_now};
use crate::run::journal::Journal;
use crate::run::launch::Launch;
use crate::run::machine::{boottime_ms, now_ms};
use crate::run::process::Stat;
use crate::run::protocol::{LOCK_FD, SHIM_NAME, TREE_IS_EMPTY};
use crate::run::record::{Record, Started};
use crate::run::spawner::descriptors::{at_fd, close_from};
use crate::run::spawner::title::Title;
use crate::run::spawner::wire::{Arrived, Spec};
use refusal::Refusal;

use prepare::Prepared;

/// Exit status of a shim that could not continue.
const GAVE_UP: i32 = 1;

const STATUS_FD: i32 = 4;
const SPEC_FD: i32 = 5;

/// Entry point of a process that the spawner has just forked. Never returns.
pub fn be_shim(arrived: Arrived, inherited: Inherited) -> ! {
    // A panic must not unwind into the spawner's loop, of which this process has a copy.
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(arrived, inherited)));
    exit_now(code.unwrap_or(GAVE_UP))
}

fn live(arrived: Arrived, inherited: Inherited) -> i32 {
    let Ok((journal, spec)) = settle_in(arrived, inherited.open_files) else {
        return GAVE_UP;
    };
    run(journal, spec, inherited.title)
}

/// Keeps its own descriptors and closes all others, first the control socket and the locks of the
/// other runs.
fn settle_in(arrived: Arrived, open_files: Rlimit) -> io::Result<(Journal, Spec)> {
    let Arrived { spec, lock: lock_copy, status: status_copy } = arrived;
    let lock = at_fd(&lock_copy, LOCK_FD)?;
    let status = at_fd(&status_copy, STATUS_FD)?;
    let (spec, first_foreign) = match spec {
        Spec::Inline(bytes) => (Spec::Inline(bytes), SPEC_FD),
        Spec::Memfd(memfd) => (Spec::Memfd(at_fd(&memfd, SPEC_FD).inspect(|_| std::mem::forget(memfd))?), SPEC_FD + 1),
    };
    // The copies are closed by the next line; nothing may close those numbers again.
    std::mem::forget((lock_copy, status_copy));
    close_from(first_foreign.cast_unsigned())?;
    become_reaper(SHIM_NAME)?;
    setsid()?;
    // The shim needs five descriptors; the job gets the worker's limit.
    let _ = setrlimit(Resource::Nofile, open_files);
    Ok((Journal::new(lock, status)?, spec))
}

fn run(mut journal: Journal, spec: Spec, title: Option<Title>) -> i32 {
    let decoded = spec.into_bytes().and_then(|bytes| postcard::from_bytes::<Launch>(&bytes).map_err(io::Error::other));
    let launch = match decoded {
        Ok(launch) => launch,
        Err(error) => return refuse(&mut journal, Refusal::shared("reading what is to be run", &error)),
    };
    if let Some(title) = title {
        title.set(&format!("{SHIM_NAME} {}", launch.run));
    }
    let prepared = match Prepared::of(&launch) {
        Ok(prepared) => prepared,
        Err(refusal) => return refuse(&mut journal, refusal),
    };
    let me = getpid().as_raw_nonzero().get();
    let shim_start_ticks = Stat::of(me).map_or(0, |stat| stat.start_ticks);
    // The log exists and is empty; the process that deletes the run removes it.
    if launch.waits_for_go && !journal.hears_go() || journal.is_withdrawn() {
        prepared.memory.remove();
        return TREE_IS_EMPTY;
    }
    if let Err(error) = journal.write(&Record::Prepare { at_ms: now_ms() }) {
        // No process may exist that the file does not record.
        journal.only_tell(&Refusal::ours("writing the run file", &error).into_record());
        prepared.memory.remove();
        return TREE_IS_EMPTY;
    }
    let execute::Begun { pid, marked } = match execute::execute(&prepared) {
        Ok(begun) => begun,
        Err(refusal) => {
            prepared.memory.remove();
            return refuse(&mut journal, refusal);
        }
    };
    // If the record cannot be written, the run continues; it cannot be asked to stop, but its
    // deadlines hold.
    let limits = watch::Limits::of(&launch);
    let (at_ms, kept) = (now_ms(), Some(limits.kept_from(boottime_ms())));
    let started = Record::Started(Started { pid, shim_pid: me, shim_start_ticks, at_ms, kept });
    let records = if marked { vec![started, Record::Marked] } else { vec![started] };
    let _ = journal.write_all(&records);
    let (log, memory) = prepared.into_what_is_still_needed();
    let nonce_bits = launch.nonce.signal_bits();
    drop(launch);
    ending::see_to_the_end(journal, pid, &limits, nonce_bits, logfile::LogFile::new(log, limits.log_limit_bytes), memory)
}

fn refuse(journal: &mut Journal, refusal: Refusal) -> i32 {
    // The pipe carried the record in any case; without it in the file, the run counts as never
    // started or as lost, never as successful.
    let record = refusal.into_record();
    let _ = match &record {
        // Equivalent to never started; the disk may be what is short.
        Record::Failed(failed) if failed.ours => journal.write(&record),
        _ => journal.insist(&record),
    };
    journal.tell();
    TREE_IS_EMPTY
}
