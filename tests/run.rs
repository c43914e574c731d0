//! The promises of the room `run/`, each through the real binary as spawner.

#[path = "run/harness.rs"]
mod harness;

#[path = "run/asking.rs"]
mod asking;
#[path = "run/chaos.rs"]
mod chaos;
#[path = "run/crashes.rs"]
mod crashes;
#[path = "run/emptied.rs"]
mod emptied;
#[path = "run/files.rs"]
mod files;
#[path = "run/going.rs"]
mod going;
#[path = "run/limits.rs"]
mod limits;
#[path = "run/measured.rs"]
mod measured;
#[path = "run/output.rs"]
mod output;
#[path = "run/shutdown.rs"]
mod shutdown;
#[path = "run/starting.rs"]
mod starting;
#[path = "run/trees.rs"]
mod trees;
#[path = "support/untested.rs"]
mod untested;
