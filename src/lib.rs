//! tenure: a crash-proof job queue for one Linux VM. One binary, one SQLite file. It queues commands, runs them as subprocesses, and
//! always knows who owns what.
//!
//! This page is the map. The contract of the file is `schema.sql`; read it first.
//!
//! # A job's life
//!
//! ```text
//! add ──▶ queued ──claim──▶ running ──settle──▶ done
//!            ▲                 │  │
//!            │    again        │  ├────────────▶ failed      (no attempts left, or not to be tried again)
//!            └─────────────────┘  └────────────▶ cancelled
//!       queued ──cancel──▶ cancelled          failed, cancelled ──retry by a person──▶ queued
//! ```
//!
//! `queued` owns nothing. Only a `running` job has a run and a pid. What ended does not change, but by a person's retry.
//!
//! # Rooms
//!
//! | room | what it is | what it never does |
//! | --- | --- | --- |
//! | [`job`] | PURE: what a job is and what may happen to it | SQL, clocks, threads, the operating system |
//! | [`store`] | SQLITE ONLY: the file; one file per verb | processes, decisions about a job |
//! | [`run`] | PROCESSES ONLY: spawner, shim, run file, locks, killing trees, output | SQL, policies |
//! | [`host`] | what any process may ask of the machine and of the worker: worker lock, waker, gates, leases, asking a shim to stop | threads that stay |
//! | [`worker`] | THE THREADS: claims, runs and settles jobs | printing |
//! | [`cli`] | FACE: one file per subcommand | deciding |
//!
//! `main -> cli -> worker -> host -> {store, run} -> job`. [`clock`], [`config`], [`error`], `owner`, [`place`], [`random`] and [`units`] are leaves. `tests/tidy.rs` keeps it so.
//!
//! A job comes from a person or from a schedule: [`job::calendar`] (when is it due) → [`job::schedule`] (what becomes of the slot) → [`store::plan`] (slot and job in one
//! transaction), asked in each round of the claim loop. From there on it is a job like any other.
//!
//! The data goes one way: `cli::add` → [`store::enqueue`] → (wake) → [`worker`] → [`store::claim`] → [`run::spawner`] → shim → monitor → [`job::ending`] →
//! [`store::settle`]; and where a worker died: reaper → [`store::reap`] (which runs) → [`run::runfile`] (is it alive, what is recorded) →
//! [`job::verdict`] (what to do) → [`store::settle`].
//!
//! What belongs to no job's own run (a check, a probe, a teardown) is an errand: a run with a kind, a run file and a shim, begun, watched, gone on with
//! after a crash and closed in one way (`worker::errand`, [`store::errand`]).
//! Work that goes through stages: `cli::pipeline` → [`store::pipeline`]; `cli::task` → [`store::task`]; the transaction that ends a job asks
//! [`job::pipeline`] what follows, and the job of the next stage enters in it (`store::walk`).
//!
//! # Processes and threads
//!
//! ```text
//! tenure work ─────────────── one process, plain threads, holds the worker lock
//!   ├─ writer, flusher, checkpointer    the store's: group what waits, flush once for all, keep the log short
//!   ├─ claims                           free slots -> claims
//!   ├─ stops                            stop requests -> monitors, whatever keeps the claims
//!   ├─ monitor per run                  waits for its shim's word and for wishes to stop; settles
//!   ├─ teardowns, four at most          what ended work has made outside: probe, teardown, probe, until it is gone
//!   ├─ tidy                             workspaces: sweeps, syncs, measures, evicts
//!   ├─ reaper                           at start and at every tick: runs without a monitor, leftovers, impossible rows
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
//! # Crash rules
//!
//! 1. Each change of state is one statement that names the state and the run that it expects. No row changed: another process was first, and nothing follows.
//! 2. Liveness is asked of the kernel: a run lives as long as the lock on its run file is held. A pid is for showing. Time declares nothing dead.
//! 3. The run file is there and locked before its claim, and its claim is committed before a process exists.
//! 4. What a run recorded is used, not repeated. An end that no process saw is `lost`.
//! 5. Whatever would survive a power cut (an answer to a person, the removal of a run file) waits for a flush that began after the commit.
//! 6. No transaction is held while anything outside is waited for.
//! 7. A lease is held as long as anything of its owner's tree lives: the tree has inherited the lock ([`run::lease`]), or the owner is a run ([`store::lease`]).
//! 8. Whatever ends an owner makes what it has left outside `releasing`, in the same transaction; only what is known to be gone is `released`.
//! 9. A directory of a workspace is a cache: it is made aside and renamed when it is whole ([`run::workspace`]), and stays while a run is in it ([`store::workspace`]).
//! 10. A task moves on in the transaction that ends its job, through a gate that names the stage and that very job: a late caller changes nothing.
//!
//! A program that embeds the worker calls [`run::spawner::main_if_spawner`] as the first statement of its `main`; see `examples/embed.rs`.

#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
#[cfg(feature = "cli")]
pub mod config;
pub mod error;
pub mod host;
pub mod job;
mod owner;
pub mod place;
pub mod random;
pub mod run;
pub mod store;
mod sync;
pub mod units;
pub mod worker;
