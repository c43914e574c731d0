//! tenure: a crash-proof job queue for one Linux VM. One binary, one SQLite file. It queues
//! commands, runs them as subprocesses, and always knows who owns what.
//!
//! This page begins with the library. The [map](#the-map) of the code comes after it.
//!
//! # A queue inside a program
//!
//! ```no_run
//! use tenure::{Job, Queue, minutes};
//!
//! fn main() -> tenure::Result<()> {
//!     tenure::init(); // the first statement: this program is started again, to start jobs
//!     let queue = Queue::open("jobs.db")?;
//!     let id = queue.add(Job::command(["make", "test"]).retries(3).timeout(minutes(10)).lane("ci"))?;
//!     let worker = queue.worker().slots(4).start()?;
//!     let job = queue.wait(id)?;
//!     println!("{} {:?}", job.state, job.exit_code);
//!     worker.stop() // running jobs go on; drain() waits for them
//! }
//! ```
//!
//! * [`Queue`] is a file: [`add`](Queue::add), [`wait`](Queue::wait), [`watch`](Queue::watch),
//!   [`list`](Queue::list), [`cancel`](Queue::cancel), [`retry`](Queue::retry),
//!   [`why`](Queue::why), [`logs`](Queue::logs), ... It works beside any worker, this program's,
//!   another one's or `tenure work`.
//! * [`Job`] says what is to be done: a command, a line for a shell, or with [`Job::call`] a
//!   function of this program, in a process of its own.
//! * [`Queue::worker`] makes this program the worker of the file. If it is killed, its running jobs
//!   go on, and the next worker takes them over.
//! * [`Error`] can be matched on.
//!
//! A program whose `main` is not its own, such as a test, names a helper instead of calling
//! [`init`]:
//!
//! ```
//! # let helper = std::env::current_exe().unwrap().with_file_name("no-such-helper");
//! # let dir = std::env::temp_dir().join(format!("tenure-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! # let path = dir.join("jobs.db");
//! let queue = tenure::Queue::open(&path)?;
//! let id = queue.add(tenure::Job::shell("echo hello").label("greeting"))?;
//! assert_eq!(queue.job(id)?.state, tenure::State::Queued);
//! // A helper is `tenure`, or any program that begins with `tenure::init()`.
//! assert!(queue.worker().helper(helper).start().is_err(), "there is no such program");
//! queue.cancel(id)?;
//! assert_eq!(queue.wait(id)?.state, tenure::State::Cancelled);
//! # std::fs::remove_dir_all(&dir).unwrap();
//! # Ok::<(), tenure::Error>(())
//! ```
//!
//! The cargo feature `cli` (default) is the program `tenure`; without it none of the packages of
//! its command line is built. Everything below the items of this page is not part of the interface,
//! and not listed.
//!
//! # The map
//!
//! For those who change tenure. The contract of the file is `schema.sql`; read it first.
//!
//! ## A job's life
//!
//! ```text
//! add ──▶ queued ──claim──▶ running ──settle──▶ done
//!            ▲                 │  │
//!            │    again        │  ├────────────▶ failed      (no attempts left, or not to be tried again)
//!            └─────────────────┘  └────────────▶ cancelled
//!       queued ──cancel──▶ cancelled          failed, cancelled ──retry by a person──▶ queued
//! ```
//!
//! `queued` owns nothing. Only a `running` job has a run and a pid. What ended does not change, but
//! by a person's retry.
//!
//! ## Rooms
//!
//! | room | what it is | what it never does |
//! | --- | --- | --- |
//! | `job` | PURE: what a job is and what may happen to it | SQL, clocks, threads, the operating system |
//! | `store` | SQLITE ONLY: the file; one file per verb | processes, decisions about a job |
//! | `run` | PROCESSES ONLY: spawner, shim, run file, locks, killing trees, output | SQL, policies |
//! | `host` | what any process may ask of the machine and of the worker: worker lock, waker, gates, leases, asking a shim to stop | threads that stay |
//! | `worker` | THE THREADS: claims, runs and settles jobs | printing |
//! | `queue` | THE FACADE: what this library offers, and what `cli` is built from | SQL, printing |
//! | `cli` | FACE: one file per subcommand | deciding |
//!
//! `main -> cli -> queue -> worker -> host -> {store, run} -> job`. `clock`, `config`, `error`,
//! `escape`, `owner`, `place`, `random`, `sync` and `units` are leaves. `tests/tidy` keeps it
//! so.
//!
//! A job comes from a person or from a schedule: `job::calendar` (when is it due) → `job::schedule`
//! (what becomes of the slot) → `store::plan` (slot and job in one transaction), asked in each
//! round of the claim loop. From there on it is a job like any other.
//!
//! The data goes one way: `cli::add` → `queue::submit` → `store::enqueue` → (wake) → `worker` →
//! `store::claim` → `run::spawner` → shim → monitor → `job::ending` → `store::settle`; and where a
//! worker died: recovery → `store::open_runs` (which runs) → `run::runfile` (is it alive, what is
//! recorded) → `job::verdict` (what to do) → `store::settle`.
//!
//! A supervised command around a job (a check, a prepare, a probe, a teardown) is an auxiliary run:
//! a run with a kind, a run file and a shim, begun, watched, resumed after a crash and closed in
//! one way (`worker::attempt`, `store::auxiliary`). Work that goes through stages: `cli::pipeline`
//! → `store::pipeline`; `cli::task` → `store::task`; the transaction that ends a job asks
//! `job::pipeline` what follows, and the job of the next stage enters in it (`store::advance`).
//!
//! ## Processes and threads
//!
//! ```text
//! tenure work ─────────────── one process, plain threads, holds the worker lock
//!   ├─ writer, flusher, checkpointer    the store's: group what waits, flush once for all, keep the log short
//!   ├─ claims                           free slots -> claims
//!   ├─ stops                            stop requests -> monitors, whatever keeps the claims
//!   ├─ monitor per run                  waits for its shim's records and for stop requests; settles
//!   ├─ teardowns, four at most          what ended work has made outside: probe, teardown, probe, until it is gone
//!   ├─ workspaces                       their directories: sweeps, syncs, measures, evicts
//!   ├─ recovery                         at start and at every tick: runs without a monitor, leftovers, impossible rows
//!   ├─ wake                             datagram, inotify, slow poll
//!   ├─ notify                           tells the service manager, where there is one
//!   └─ orphans                          reaps what falls to the worker when a spawner dies
//!        │ socket pair
//! tenure-spawner ──────────── one small single-threaded process, re-executed from the same binary; never touches SQLite
//!        │ fork, no exec
//! tenure-shim ── one per run ─ setsid, child subreaper, holds the run's lock, starts the job, writes the records, empties the tree
//!        │
//! job ─────────────────────── own process group; stdout and stderr are the log file itself, not a pipe
//! ```
//!
//! ## Crash rules
//!
//! 1. Each change of state is one statement that names the state and the run that it expects. No
//!    row changed: another process was first, and nothing follows.
//! 2. Liveness is asked of the kernel: a run lives as long as the lock on its run file is held. A
//!    pid is for showing. Time declares nothing dead.
//! 3. The run file is there and locked before its claim, and its claim is committed before a
//!    process exists.
//! 4. What a run recorded is used, not repeated. An end that no process saw is `lost`.
//! 5. Whatever would survive a power cut (an answer to a person, the removal of a run file) waits
//!    for a flush that began after the commit.
//! 6. No transaction is held while anything outside is waited for.
//! 7. A lease is held as long as anything of its owner's tree lives: the tree has inherited the
//!    lock (`run::lease`), or the owner is a run (`store::lease`).
//! 8. Whatever ends an owner makes what it has left outside `releasing`, in the same transaction;
//!    only what is known to be gone is `released`.
//! 9. A directory of a workspace is a cache: it is made aside and renamed when it is whole
//!    (`run::workspace`), and stays while a run is in it (`store::workspace`).
//! 10. A task moves on in the transaction that ends its job, through a gate that names the stage
//!     and that very job: a late caller changes nothing.
//!

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod clock;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod error;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // a terminal needs more of it
mod escape;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod job;
mod owner;
#[doc(hidden)]
pub mod place;
mod queue;
#[doc(hidden)]
pub mod random;
#[doc(hidden)]
pub mod run;
#[doc(hidden)]
pub mod store;
mod sync;
#[doc(hidden)]
pub mod units;
#[doc(hidden)]
pub mod worker;

pub use error::{Error, Result, SqliteError};
pub use job::{Hold, JobId, Reason, RunId, State};
pub use queue::{
    Advice, Call, Cancelled, Ended, Event, Failure, Filter, Handler, Job, JobInfo, Logs, Progress, Queue, Summary, Watch, Worker,
    WorkerBuilder, init, init_with, minutes,
};

/// The programs of the page are compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingPage;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
