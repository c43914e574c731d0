//! The harness: a nest of its own for each test, real workers, real kills, and no process or file left behind.
//!
//! * `nest`: a directory with a file in it, and the program on that file,
//! * `waits`, `worker`, `traces`: more of a nest: waits for a job, its worker, what its runs leave in files and processes,
//! * `until`: the one way to wait for an event, and the one patience,
//! * `process`: signals, kills and looks at processes,
//! * `random`: chance that can be played again,
//! * `cells`: matrices that mostly wait, some cells at a time,
//! * `guards`: a file whose guards are dropped,
//! * `mcp`: a server of the Model Context Protocol of a nest, and a client of it,
//! * `web`: a web server of a nest, and a client of it,
//! * `browser`: a browser that a test drives,
//! * `frozen`, `stopped`, `strace`, `untested`, `zoo`: tools of a few tests.

pub mod browser;
mod cells;
pub mod frozen;
mod guards;
pub mod mcp;
mod nest;
pub mod process;
mod random;
pub mod stopped;
pub mod strace;
mod traces;
pub mod untested;
mod until;
mod waits;
pub mod web;
mod worker;
pub mod zoo;

pub use cells::each;
pub use guards::without_guards;
pub use mcp::Mcp;
pub use nest::{Nest, Said, said};
pub use process::{Signal, Started, children, copy_program, kill, kill_child, lives, niceness, pid_in, write_program};
pub use random::{Dice, seed, seed_or};
pub use until::{PATIENCE, until, within};
pub use web::{At, Got, Web};
pub use worker::Worker;
