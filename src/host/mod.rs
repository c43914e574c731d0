//! THE HOST: what any process of tenure may ask of the machine and of the worker, without being the
//! worker.
//!
//! | file | question |
//! | --- | --- |
//! | [`lock`] | which process is the worker of this file; being it |
//! | [`report`], [`condition`] | what the worker says of itself, and what is the matter with it |
//! | [`sight`] | both, with what the kernel says of that process |
//! | [`waker`] | tell the worker that something was written |
//! | [`stop`] | ask the shim of a run to stop it, with or without a worker |
//! | [`gates`] | what the machine has left, and whether that is below a floor |
//! | [`lease`] | hold a named lock with a process tree, and take back those of holders that are gone |
//! | [`surroundings`] | what ends together with this process |
//!
//! The command line asks, and the worker answers or asks likewise. Nothing here starts a thread
//! that outlives its call, and nothing here keeps state in memory: a crash leaves what the kernel
//! frees (locks) or what the next process reads (rows, lock files).

pub mod condition;
pub mod gates;
pub mod lease;
pub mod lock;
mod main_lock;
pub mod report;
pub mod sight;
pub mod stop;
pub mod surroundings;
pub mod waker;
