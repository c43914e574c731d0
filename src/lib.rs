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
//!     worker.stop() // running jobs continue; drain() waits for them
//! }
//! ```
//!
//! * [`Queue`] is a file: [`add`](Queue::add), [`wait`](Queue::wait), [`watch`](Queue::watch),
//!   [`list`](Queue::list), [`changes`](Queue::changes), [`cancel`](Queue::cancel),
//!   [`retry`](Queue::retry), [`suspend`](Queue::suspend), [`resume`](Queue::resume),
//!   [`why`](Queue::why), [`logs`](Queue::logs), ... It works beside any worker: in this program,
//!   in another one, or `tenure work`.
//! * [`Job`] is a command, a shell line, or with [`Job::call`] a function of this program, in its
//!   own process.
//! * [`Queue::worker`] makes this program the worker of the file. If it is killed, its running jobs
//!   continue, and the next worker adopts them.
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
//! The cargo feature `cli` (default) is the program `tenure`; without it the packages of the
//! command line are not built. The features `web` and `mcp` (default) are `tenure web` and
//! `tenure mcp`, and need `cli`. Other modules are hidden and are not part of the interface.
//!
//! # The map
//!
//! For people who change tenure. The schema of the file is `schema.sql`; read it first.
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
//! A `queued` job owns nothing. Only a `running` job has a run and a pid. An ended job does not
//! change, except by a person's retry.
//!
//! ## Rooms
//!
//! | room | what it is | what it never does |
//! | --- | --- | --- |
//! | `job` | PURE: what a job is and what may happen to it | SQL, clocks, threads, the operating system |
//! | `store` | SQLITE ONLY: the file; one file per verb | processes, decisions about a job |
//! | `run` | PROCESSES ONLY: spawner, shim, run file, locks, killing trees, output | SQL, policies |
//! | `host` | what any process asks of the machine and the worker, and does beside the worker: worker lock, report, waker, handing over jobs, asking as another user, gates, leases, directories of workspaces, files of secrets, users, asking a shim to stop | long-lived threads |
//! | `worker` | THE THREADS: claims, runs and settles jobs | printing |
//! | `queue` | THE FACADE: what this library offers, and what `cli` is built from | SQL, printing |
//! | `document` | DOCUMENTS: what a face shows of a file, as JSON | changing, words for a terminal |
//! | `parse` | PURE: from texts and JSON to jobs, for every face | adding, the file |
//! | `cli` | FACE: one file per subcommand | deciding |
//! | `web` | FACE: the pages, the API, live events and metrics over HTTP | deciding, printing |
//! | `mcp` | FACE: the Model Context Protocol, for coding agents | deciding, printing anything but the protocol |
//!
//! `main -> cli -> {web, mcp} -> {document, parse} -> queue -> worker -> host -> {store, run}
//! -> job`. `clock`, `config`, `error`, `escape`, `hash`, `owner`, `place`, `random`, `shown`,
//! `sync` and `units` are leaves. `tests/tidy` enforces it.
//!
//! A job comes from a person or from a schedule: `job::calendar` (when is it due) → `job::schedule`
//! (what becomes of the occurrence) → `store::schedule::plan` (occurrence and job in one
//! transaction), in each round of the claim loop. From there on it is a job like any other.
//!
//! The data flows one way: `cli::verbs::add` → `queue::submit` → `store::job::enqueue` → (wake) →
//! `worker` → `store::job::claim` → `run::spawner` → shim → monitor → `job::ending` →
//! `store::job::settle`; and after a crash of the worker: recovery → `store::upkeep::open_runs`
//! (which runs) → `run::runfile` (is it alive, what is recorded) → `job::verdict` (what to do) →
//! `store::job::settle`.
//!
//! With a running worker `add` does not open the file: `cli::verbs::add` → `host::handover` →
//! (socket) → `worker::loops::handover` → `store::receipt` → `store::job::enqueue`. If the
//! answer is lost, it continues with `queue::once` → `store::receipt`, which finds the jobs or
//! adds them.
//!
//! Other users than the owner of the file do not open it: `cli::system` → `queue::people` →
//! `host::people` → (socket) → `worker::loops::people` → `queue::people`, which asks `job::people`
//! who may do what. Their jobs run as themselves (`run::shim`).
//!
//! A job of a queue with a launcher runs on another engine: its submission is its run on this
//! machine (`worker::steps::submit`), `worker::loops::engines` asks for it from then on, and
//! `job::launcher` reads the answers, of which one ends it. `store::job::launched` has its name
//! there.
//!
//! A supervised command around a job (a check, a prepare, a probe, a teardown, a hook) is an
//! auxiliary run: a run with a kind, a run file and a shim, which is started, watched, resumed
//! after a crash and closed by the same code for all kinds (`worker::attempt`,
//! `store::job::auxiliary`). Pipelines: `cli::verbs::pipeline` → `store::pipeline`;
//! `cli::verbs::task` → `store::pipeline::task`; the transaction that ends a job asks
//! `job::pipeline` what follows, and adds the job of the next stage
//! (`store::pipeline::advance`).
//!
//! ## Processes and threads
//!
//! ```text
//! tenure work ─────────────── one process, plain threads, holds the worker lock
//!   ├─ tenure-write                     the store's writer: groups the writes that wait into one transaction
//!   ├─ tenure-flush                     the store's flusher: one flush for all commits that wait for it
//!   ├─ tenure-ckpt                      the store's checkpointer: keeps the log short, and gives memory back at rest
//!   ├─ tenure-turn                      waits in line for the write lock, once another process has it
//!   ├─ signals                          turns signals into orders; `starting` heeds them until the worker serves
//!   ├─ claims                           free slots -> claims -> monitors; promotes due jobs; ends what can never start
//!   ├─ stops                            stop requests -> monitors, also while claims are held back; it never writes
//!   ├─ monitor, one per run             launches it, waits for its shim's records and for stop requests, settles it,
//!   │                                   claims the next job for its slot; of the same pool, four at most: teardowns
//!   │                                   (external resources of ended owners: probe, teardown, probe, until gone), and
//!   │                                   four at most: hooks (each runs until it exits with 0)
//!   ├─ workspaces                       at start and at every tick: their directories: sweeps, syncs, measures, evicts
//!   ├─ engines                          asks other engines for the runs that launchers have given to them
//!   ├─ recovery                         at start and at every tick: runs without a monitor, leftovers, impossible rows,
//!   │                                   retention
//!   ├─ handover                         adds the jobs that clients hand over, without waiting for the flush
//!   ├─ people                           answers the requests of other users, if this is the system worker
//!   ├─ wake                             hints that the file has changed: a datagram, inotify, a slow poll
//!   ├─ notify                           reports to the service manager, where there is one
//!   └─ orphans                          reaps processes that are reparented when a spawner dies (`run::orphans`)
//! (With `--web`, three kinds more: `web`, the server; `web-file`, at most four that read and write the file for it; `web-live`.)
//! (`tenure mcp` is a process of its own: `mcp-read` and `mcp-write` for its client, and at most four `mcp-file`.)
//! (In another program, `Queue::worker` has the thread `worker` instead of `signals`, and no `notify` and `orphans`.)
//!        │ socket pair
//! tenure-spawner ──────────── one small single-threaded process, re-executed from the same binary; never touches SQLite
//!        │ fork, no exec
//! tenure-shim ── one per live run ─ setsid, child subreaper, holds the run's lock, starts the job, writes the records, empties the tree;
//!        │                     then it holds nothing, and serves the next run
//!        │
//! job ─────────────────────── own process group; stdout and stderr are the log file itself, not a pipe
//! ```
//!
//! ## Crash rules
//!
//! 1. Each change of state is one statement that names the expected state and run. If it changes no
//!    row, another process was first, and nothing follows.
//! 2. The kernel decides liveness: a run lives while the lock on its run file is held. A pid is for
//!    display only. Time never declares a run dead.
//! 3. A run file exists and is locked before its claim, and the claim is committed before a process
//!    exists.
//! 4. What a run recorded is used, not repeated. An end that no process saw is `lost`.
//! 5. Everything that survives a power cut (an answer to a person, the removal of a run file) waits
//!    for a flush that began after the commit.
//! 6. No transaction stays open while a caller waits for anything outside the file.
//! 7. A lease is held while any process of its owner's tree is alive: the tree has inherited the
//!    lock (`run::lease`), or the owner is a run that prepares a workspace (`store::workspace`).
//! 8. Every end of an owner makes its external resources `releasing`, in the same transaction; only
//!    a resource that is known to be gone becomes `released`.
//! 9. A directory of a workspace is a cache: it is prepared under a temporary name, renamed when it
//!    is complete (`run::workspace`), and kept while a run is in it (`store::workspace`).
//! 10. A task advances in the transaction that ends its job, by a statement that names the expected
//!     stage and job: a late caller changes nothing.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod clock;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod config;
#[cfg(feature = "cli")]
mod document;
#[doc(hidden)]
pub mod error;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // a terminal needs more of it
mod escape;
mod hash;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod job;
#[cfg(feature = "mcp")]
mod mcp;
mod owner;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod parse;
#[doc(hidden)]
pub mod place;
mod queue;
#[doc(hidden)]
pub mod random;
#[doc(hidden)]
pub mod run;
#[cfg(feature = "cli")]
mod shown;
#[doc(hidden)]
pub mod store;
mod sync;
#[doc(hidden)]
pub mod units;
#[cfg(feature = "web")]
mod web;
#[doc(hidden)]
pub mod worker;

pub use error::{Error, Result, SqliteError};
pub use job::Position;
pub use job::hook::{HookEvent, HookOutcome};
pub use job::{Hold, JobId, Outcome, Reason, RunId, RunKind, State, TaskState};
pub use queue::{
    Advice, Call, Cancelled, Ended, Event, Failure, Filter, Handler, HookInfo, Job, JobInfo, Logs, Progress, Queue, RunInfo,
    Status, Summary, Suspension, TaskInfo, TaskStep, Watch, Worker, WorkerBuilder, init, init_with, minutes,
};
pub use queue::{Change, ChangeStream};

/// The programs of the page are compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
struct EmbeddingPage;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
