//! What the store promises about the file.

mod copies;
mod crowd;
mod engine;
mod harness;
mod helper;
mod hostile;
mod log;
mod power;
mod recording;
mod refusal;
mod restores;
mod trouble;
mod upgrade;
mod walks;
