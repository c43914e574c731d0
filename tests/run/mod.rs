//! The promises of the room `run/`, each through the real binary as spawner.

mod harness;

mod again;
mod asking;
mod chaos;
mod crashes;
mod emptied;
mod files;
mod footprint;
mod going;
mod launch;
mod limits;
mod meddling;
mod output;
mod shutdown;
mod starting;
mod suspend;
mod trees;
