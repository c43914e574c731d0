//! PROCESSES ONLY. Spawner, shim, run file, locks, killing trees, output.
//!
//! ```text
//! worker ── Spawner::launch ──▶ spawner ── fork ──▶ shim ── clone, execve ──▶ job
//!    ▲       (socket, fds)      (1 thread)            │ holds the run's lock (fd 3), writes the records
//!    └──────── StatusPipe ◀──────────────────────────┘ into runs/ID first, then here
//! ```
//!
//! * [`launch`]: what is to be run. Complete: nothing is looked up later.
//! * [`record`], [`runfile`]: the run file. A run lives as long as the lock on it is held; what
//!   became of it stands in its records, which an operator can read with `cat`.
//! * [`spawner`]: the small process that forks shims, and the worker's end of it.
//! * `shim`: the process that owns one run's tree: starts the job, enforces its deadlines, records
//!   its end, empties the tree.
//! * [`stop`]: asks a shim to stop. [`shutdown`]: ends every run of a place in order. [`tree`]:
//!   finds and ends what has escaped from a shim that was killed; `marks`: how it is known;
//!   `chase`: what forks faster than it is found.
//! * [`orphans`]: the worker as the last reaper of its tree. [`fitness`]: whether the system lets a
//!   worker keep its promises.
//! * [`lease`]: the lock file of a lease, and whether anything of its owner's tree lives.
//!   [`foreground`]: a command that has our terminal.
//! * [`signal`]: the signals of our own processes. [`open_files`]: how many descriptors there may
//!   be. [`limits`]: the other limits of a process.
//! * [`trouble`]: what keeps a run from ending, in words for people.
//! * [`unexecutable`]: why a command cannot be executed, in words for people.
//! * [`fence`]: keeps the log of a run open for a command, so that it belongs to the run whatever
//!   it does to its output.
//! * [`record_lock`]: locks that can be asked for without being taken.
//! * [`workspace`]: the directories of `work/`. [`removal`]: removes a tree, and nothing that is
//!   mounted in it. [`output`]: reads logs. [`groups`]: where the cgroups of runs are made.
//!   [`machine`]: what identifies this boot, this pid namespace, a new run.
//!
//! The order in which things happen at a start is what makes it safe: the run file exists and is
//! locked before a process does, each copy of the lock's descriptor is accounted for, and PREPARE
//! is written before the job's process can exist. So a free lock says that no shim is left, and a
//! file without a record that there never was a job. A shim that was told to wait for "go" makes
//! everything ready and stops before PREPARE: its worker lets it go on when the claim is on the
//! disk. If the worker dies before, the shim sees the end of the socket and leaves, and the file
//! has no record.
//!
//! Deliberately absent: SQLite, retries, policies, threads (the worker's end may be called from
//! many), fsync (a kill does not lose the page cache; after a power cut nothing is alive), and
//! every decision about what an end means.

pub mod fence;
pub mod fitness;
pub mod foreground;
pub mod groups;
pub mod launch;
pub mod lease;
pub mod limits;
pub mod machine;
pub mod open_files;
pub mod orphans;
pub mod output;
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
mod holders;
mod journal;
mod line;
mod marks;
mod process;
mod protocol;
mod shim;
pub mod signal;
mod wait;

pub use launch::Launch;
pub use record::{Drained, Exited, Header, Kept, MemoryBy, NotExecuted, Record, Records, Started, Usage};
pub use runfile::{Inspection, RunFile};
pub use spawner::{Go, Spawner, Status, StatusPipe};
