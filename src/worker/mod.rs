//! THE THREADS: claims jobs, runs them, settles them.
//!
//! Its threads are listed in the map of the crate
//! ([processes and threads](crate#processes-and-threads)).
//!
//! The files, from the top down; none uses one above it:
//!
//! | part | what it is |
//! | --- | --- |
//! | `lifecycle` | the start and the end of a worker, in a fixed order |
//! | `loops` | the threads, a file each, with one round each |
//! | `run_job`, `settle`, `claimer` | the life of a job's run, as straight-line code; how it is settled; how the next one is claimed |
//! | `steps` | what happens around a job's own run: workspace, submission to another engine, check, teardown, hook |
//! | `attempt` | one supervised command, from its run file to the end of its tree: a job's own or an auxiliary one, launched or adopted |
//! | `belief`, `means`, `cancels`, `secrets` | what the threads do with the context that they share |
//! | `context` and the rest | leaves: the state that threads share |
//!
//! One worker per file, by a held lock ([`crate::host::lock`]). All state that must survive is in
//! the file and in the run files; the threads share only (`context`) which thread watches which
//! run, and which slots are taken. So a crash of the worker at any instruction loses nothing: the
//! next one starts with a round of recovery, which is the same code as its ticks.
//!
//! The order of a start, and why a crash between any two steps is harmless:
//!
//! 1. `run_files`: the run file is there and locked, before any row names it. Crash: a file without
//!    a row, unlinked later.
//! 2. `claimer`: the row names the run. Crash: the file has no record, so the job goes back to the
//!    queue. (A job with a workspace enters it here, which may have to be prepared first. Crash: it
//!    has not entered, so it has not started.)
//! 3. `attempt`: the lock goes to the spawner with the message. Crash: the lock is held by the
//!    message, so the run is adopted. A job with a single attempt may begin only when its claim is
//!    durable, because otherwise a power cut could let it begin twice. Its shim is created now,
//!    prepares everything, and waits for the message "go" that is sent after the flush. Crash
//!    before that message: the shim sees the end of its socket and exits, and the file has no
//!    record, as in the second step. Crash after it: as without the wait. A power cut before the
//!    flush: there was no process of the job, and the claim may be gone as well. The flush fails:
//!    "go" is never sent, the worker ends, and so does the shim.
//! 4. The shim writes PREPARE, starts the job, writes STARTED, EXITED, DRAINED. Crash: the record
//!    is used.
//! 5. `settle`: the row says how it ended. Crash before: the record is used again. Crash after: the
//!    file is unlinked later.
//! 6. After the flush that covers the settle the run file is put away, to become that of a later
//!    run, or unlinked.
//!
//! Deliberately absent: a heartbeat, a lease with a time to live, a table of pids.

mod attempt;
mod belief;
mod cancels;
mod claimer;
mod clock_steps;
mod context;
mod descriptors;
mod due_queue;
mod engines;
mod high_water;
pub mod job_log;
mod job_run;
mod lifecycle;
mod loop_waker;
mod loops;
mod means;
mod options;
mod pool;
mod reporter;
mod roster;
mod run_files;
mod run_job;
mod run_waker;
mod secrets;
mod settle;
mod shortage;
mod single_flight;
mod slots;
mod steps;
mod stop_flag;

pub use descriptors::{can_run, slots_under};
pub use lifecycle::{Started, Summary, Worker, signals};
pub use options::{Floors, Kind, OnTerm, Options, SlotsFrom, Until};
pub use stop_flag::Ended;
