//! PROCESSES ONLY. Spawner, shim, run file, locks, killing trees, output.
//!
//! ```text
//! worker ── Spawner::launch ──▶ spawner ── fork ──▶ shim ── clone, execve ──▶ job
//!    ▲       (socket, fds)      (1 thread)            │ holds the run's lock (fd 3), writes the records
//!    └──────── StatusPipe ◀──────────────────────────┘ into runs/ID first, then here
//! ```
//!
//! * [`launch`]: a complete description of a run: nothing is looked up later.
//! * [`record`], [`runfile`]: the run file. A run lives while the lock on it is held; its records
//!   say what became of it, and an operator can read them with `cat`.
//! * [`spawner`]: the small process that forks shims, and the worker's end of it.
//! * `shim`: the process that owns one run's tree: starts the job, enforces its deadlines, records
//!   its end, empties the tree.
//! * [`stop`]: asks a shim to stop, to suspend its run or to continue it. [`shutdown`]: ends every
//!   run of a place cleanly.
//! * `standstill`: stops every process below a shim, and continues them.
//! * [`tree`]: finds and ends what has escaped from a shim that was killed; `marks`: how it is
//!   recognized; `chase`: processes that fork faster than they are found.
//! * [`orphans`]: the worker as the last reaper of its tree.
//! * [`fitness`]: whether the system lets a worker keep its promises.
//! * [`lease`]: the lock file of a lease, and whether anything of its owner's tree lives.
//! * [`foreground`]: a command with the caller's terminal.
//! * [`signal`]: the signals of tenure's own processes.
//! * [`open_files`]: how many descriptors there may be. [`limits`]: the other limits of a process.
//! * [`trouble`]: why a run does not end, as text.
//! * [`unexecutable`]: why a command cannot be executed, as text.
//! * [`fence`]: keeps the log of a run open for a command, so that it belongs to the run even if it
//!   redirects its output.
//! * [`record_lock`]: locks that can be queried without being taken.
//! * [`workspace`]: the directories of `work/`. [`removal`]: removes a tree, and nothing that is
//!   mounted in it.
//! * [`output`]: reads logs.
//! * [`groups`]: where the cgroups of runs are made.
//! * [`peer`]: who is at the other end of a socket.
//! * [`machine`]: what identifies this boot, this pid namespace, a new run.
//!
//! The order of a start makes it crash-safe: the run file exists and is locked before there is a
//! process, each copy of the lock's descriptor is accounted for, and PREPARE is written before the
//! job's process can exist. So a free lock means that there is no shim, and a file without a record
//! means that the job never started. A shim that must wait for "go" prepares everything and stops
//! before PREPARE: its worker sends "go" when the claim is durable. If the worker dies before, the
//! shim sees the end of the socket and exits, and the file has no record.
//!
//! A shim serves one run after the other. Between two it holds no lock, no descriptor of a run and
//! no child, so that each rule above holds for each of its runs as if it were the only one.
//!
//! Deliberately absent: SQLite, retries, policies, threads (the worker's end may be called from
//! many), fsync (a kill does not lose the page cache; after a power cut nothing is alive), and
//! every decision about an end.

pub mod fence;
pub mod fitness;
pub mod footprint;
pub mod foreground;
pub mod groups;
pub mod launch;
pub mod lease;
pub mod limits;
pub mod machine;
pub mod open_files;
pub mod orphans;
pub mod output;
pub mod peer;
pub mod record;
pub mod record_lock;
pub mod removal;
pub mod runfile;
pub mod shutdown;
pub mod spawner;
pub mod stop;
pub mod tree;
pub mod trouble;
pub mod unexecutable;
pub mod workspace;

mod chase;
mod descendants;
mod elf;
mod forked;
mod header;
mod holders;
mod journal;
mod line;
mod marks;
mod process;
mod protocol;
mod shim;
pub mod signal;
mod standstill;
mod suspension;
mod wait;

pub use launch::Launch;
pub use record::{Drained, Exited, Header, Kept, MemoryBy, NotExecuted, Record, Records, Stand, Started, Suspension, Usage};
pub use runfile::{Inspection, RunFile};
pub use spawner::{Go, Spawner, Status, StatusPipe};
