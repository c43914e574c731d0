//! The shim: the process that owns one run's tree. A fork of the spawner that executes nothing, so
//! it is small (about 50 kB of its own).
//!
//! ```text
//! be_shim ─▶ prepare ─▶ (go) ─▶ PREPARE ─▶ execute ─▶ STARTED ─▶ watch ─▶ EXITED ─▶ empty the tree ─▶ DRAINED
//!               │  └───────── FAILED ─────────┘         deadlines, stop requests, suspensions, log limit  │
//!               └────────────────────────────── the next run ◀───────────────────────────────────────────┘
//! ```
//!
//! It serves one run after the other, as a fork, the page faults after it and an exit are most of
//! what a short run costs. Between two runs it holds no lock, no log and no child ([`next`]); after
//! anything unusual it ends, and the next run gets a new one.
//!
//! It holds the run's lock at a fixed descriptor, reaps all processes that the job leaves behind,
//! and has every signal blocked: it asks for them one by one, so there is no handler and nothing to
//! interrupt. Records go into the run file first, then down the pipe. It alone judges why a run
//! ended: the first cause counts, and none that comes after the job's process has ended.
//!
//! Its exit status speaks to the spawner: [`TREE_IS_EMPTY`], or there may be something to sweep.

mod attributes;
mod ending;
mod execute;
mod failure;
mod identity;
mod logfile;
mod memory;
mod next;
mod prepare;
pub(super) mod refusal;
mod stack;
mod stop_signal;
mod suspend;
mod watch;

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit, getpid, setrlimit, setsid};

use crate::run::forked::{Inherited, become_reaper, exit_now};
use crate::run::journal::Journal;
use crate::run::launch::Launch;
use crate::run::machine::{boottime_ms, now_ms};
use crate::run::process::Stat;
use crate::run::protocol::{LOCK_FD, SHIM_NAME, STATUS_FD, TREE_IS_EMPTY};
use crate::run::record::{Record, Started};
use crate::run::spawner::descriptors::{at_fd, close_from};
use crate::run::spawner::title::Title;
use crate::run::spawner::wire::{Arrived, Spec};
use refusal::Refusal;

use attributes::Attributes;
use ending::Left;
use next::{Next, next_run};
use prepare::Prepared;

/// Most runs that one shim serves, one after the other: what a run leaves unknown to this code does
/// not add up without end.
const RUNS_MAX: u32 = 100;
/// Exit status of a shim that could not continue.
const GAVE_UP: i32 = 1;

const CONTROL_FD: i32 = 5;
const SPEC_FD: i32 = 6;

/// Entry point of a process that the spawner has just forked. `control` is its end of the socket
/// by which it is given more runs. Never returns.
pub fn be_shim(arrived: Arrived, control: OwnedFd, inherited: Inherited) -> ! {
    // A panic must not unwind into the spawner's loop, of which this process has a copy.
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(arrived, control, inherited)));
    exit_now(code.unwrap_or(GAVE_UP))
}

fn live(arrived: Arrived, control: OwnedFd, inherited: Inherited) -> i32 {
    let Ok((mut journal, mut spec, control)) = settle_in(arrived, control, inherited.open_files) else {
        return GAVE_UP;
    };
    let me = Myself::look(inherited.title);
    for _ in 1..RUNS_MAX {
        if run(journal, spec, &me) == Left::Doubt || Attributes::now() != me.attributes {
            return TREE_IS_EMPTY;
        }
        me.show(SHIM_NAME);
        match next_run(&control) {
            Next::Launch(next_journal, next_spec) => (journal, spec) = (next_journal, next_spec),
            Next::None => return TREE_IS_EMPTY,
            Next::Broken => return GAVE_UP,
        }
    }
    run(journal, spec, &me);
    TREE_IS_EMPTY
}

/// What does not change from run to run.
struct Myself {
    pid: i32,
    start_ticks: u64,
    title: Option<Title>,
    attributes: Attributes,
}

impl Myself {
    fn look(title: Option<Title>) -> Self {
        let pid = getpid().as_raw_nonzero().get();
        Self { pid, start_ticks: Stat::of(pid).map_or(0, |stat| stat.start_ticks), title, attributes: Attributes::now() }
    }

    /// Changes what `ps` shows.
    fn show(&self, text: &str) {
        if let Some(title) = self.title {
            title.set(text);
        }
    }
}

/// Keeps its own descriptors and closes all others, first the spawner's socket and the locks of the
/// other runs.
fn settle_in(arrived: Arrived, control_copy: OwnedFd, open_files: Rlimit) -> io::Result<(Journal, Spec, OwnedFd)> {
    let Arrived { spec, lock: lock_copy, status: status_copy } = arrived;
    // Each has a higher number than the one that it gets, so none is overwritten before its turn.
    let lock = at_fd(&lock_copy, LOCK_FD)?;
    let status = at_fd(&status_copy, STATUS_FD)?;
    let control = at_fd(&control_copy, CONTROL_FD)?;
    let (spec, first_foreign) = match spec {
        Spec::Inline(bytes) => (Spec::Inline(bytes), SPEC_FD),
        Spec::Memfd(memfd) => (Spec::Memfd(at_fd(&memfd, SPEC_FD).inspect(|_| std::mem::forget(memfd))?), SPEC_FD + 1),
    };
    // The copies are closed by the next line; nothing may close those numbers again.
    std::mem::forget((lock_copy, status_copy, control_copy));
    close_from(first_foreign.cast_unsigned())?;
    become_reaper(SHIM_NAME)?;
    setsid()?;
    // The shim needs few descriptors; the job gets the worker's limit.
    let _ = setrlimit(Resource::Nofile, open_files);
    Ok((Journal::new(lock, status)?, spec, control))
}

fn run(mut journal: Journal, spec: Spec, me: &Myself) -> Left {
    // A long one has made this process large.
    let is_short = matches!(spec, Spec::Inline(_));
    let decoded = spec.into_bytes().and_then(|bytes| postcard::from_bytes::<Launch>(&bytes).map_err(io::Error::other));
    let launch = match decoded {
        Ok(launch) => launch,
        Err(error) => return refuse(&mut journal, Refusal::shared("reading what is to be run", &error)),
    };
    me.show(&format!("{SHIM_NAME} {}", launch.run));
    let prepared = match Prepared::of(&launch) {
        Ok(prepared) => prepared,
        Err(refusal) => return refuse(&mut journal, refusal),
    };
    // The log exists and is empty; the process that deletes the run removes it.
    if launch.waits_for_go && !journal.hears_go() || journal.is_withdrawn() {
        prepared.memory.remove();
        return Left::Doubt;
    }
    if let Err(error) = journal.write(&Record::Prepare { at_ms: now_ms() }) {
        // No process may exist that the file does not record.
        journal.only_tell(&Refusal::ours("writing the run file", &error).into_record());
        prepared.memory.remove();
        return Left::Doubt;
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
    let started = Record::Started(Started { pid, shim_pid: me.pid, shim_start_ticks: me.start_ticks, at_ms, kept });
    let records = if marked { vec![started, Record::Marked] } else { vec![started] };
    let _ = journal.write_all(&records);
    let (log, result, memory) = prepared.into_what_is_still_needed();
    let nonce_bits = launch.nonce.signal_bits();
    // To look a user up may have loaded modules and opened files.
    let is_own_user = launch.user.is_none() && launch.owner.is_none();
    let is_of_user = launch.owner.is_some();
    drop(launch);
    let log = logfile::LogFile::new(log, result, is_of_user, limits.log_limit_bytes);
    let left = ending::see_to_the_end(journal, pid, &limits, nonce_bits, log, memory);
    if is_short && is_own_user { left } else { Left::Doubt }
}

fn refuse(journal: &mut Journal, refusal: Refusal) -> Left {
    // The pipe carried the record in any case; without it in the file, the run counts as never
    // started or as lost, never as successful.
    let record = refusal.into_record();
    let _ = match &record {
        // Equivalent to never started; the disk may be what is short.
        Record::Failed(failed) if failed.ours => journal.write(&record),
        _ => journal.insist(&record),
    };
    journal.tell();
    Left::Doubt
}
