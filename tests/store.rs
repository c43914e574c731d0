//! What the store promises about the file.

#[path = "store/copies.rs"]
mod copies;
#[path = "store/crowd.rs"]
mod crowd;
#[path = "store/engine.rs"]
mod engine;
#[path = "store/harness.rs"]
mod harness;
#[path = "store/helper.rs"]
mod helper;
#[path = "store/hostile.rs"]
mod hostile;
#[path = "store/log.rs"]
mod log;
#[path = "store/power.rs"]
mod power;
#[path = "store/recording.rs"]
mod recording;
#[path = "store/refusal.rs"]
mod refusal;
#[path = "support/strace.rs"]
mod strace;
#[path = "store/trouble.rs"]
mod trouble;
#[path = "support/untested.rs"]
mod untested;
#[path = "store/upgrade.rs"]
mod upgrade;
#[path = "store/walks.rs"]
mod walks;
