//! THE HOST: what any process of tenure asks of the machine and the worker, and does beside the
//! worker.
//!
//! | file | question |
//! | --- | --- |
//! | [`lock`] | which process is the worker of this file; being it |
//! | [`report`], [`condition`] | the worker's report, and its conditions |
//! | [`sight`] | both, with what the kernel says of that process |
//! | [`waker`] | notify the worker of a write |
//! | [`handover`] | hand jobs to the worker, which adds them |
//! | [`stop`] | ask the shim of a run to stop it, with or without a worker |
//! | [`followed`] | whose output clients follow |
//! | [`gates`] | free memory, disk and load, and whether a floor is reached |
//! | [`lease`] | hold a named lock with a process tree; reclaim locks of dead holders |
//! | [`secrets`] | remove the files of `secrets/` that no job needs any more |
//! | [`workspace`] | make the directory of a workspace, for a job or a command |
//! | [`users`] | who `/etc/passwd` knows |
//! | [`people`] | reach the system worker as another user |
//! | [`log_space`] | how much space the logs of a user take |
//! | [`surroundings`] | whether other processes end together with this one |
//!
//! The command line asks, and the worker answers or asks likewise. Nothing here starts a thread
//! that outlives its call, and nothing that counts is in memory only: a crash leaves what the
//! kernel frees (locks) or what the next process reads (rows, lock files).

pub mod condition;
pub mod followed;
pub mod gates;
pub mod handover;
pub mod lease;
pub mod lock;
pub mod log_space;
mod main_lock;
pub mod people;
pub mod report;
pub mod secrets;
pub mod sight;
pub mod stop;
pub mod surroundings;
pub mod users;
pub mod waker;
pub mod workspace;
