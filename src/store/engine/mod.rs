//! How the file is opened, written, flushed and kept small. This room knows SQLite and threads, and
//! nothing about jobs.
//!
//! A write passes through `open` → `turnstile` (fair turns between processes) → `write` (the
//! transaction, run again if necessary) → `flush` (one `fdatasync` for all waiting callers). In a
//! worker, `write_queue` and `writer` group the writes of its threads, `readers` serves its reads,
//! and `checkpoint` keeps the log short, if necessary by a `hold_up` of the writers, and has `rest`
//! give memory back when it is quiet. These threads report to `health`. In a client `client_log`
//! keeps the log short.
//!
//! Under a crash: what `write` has acknowledged is durable. A transaction that was only committed
//! can be lost in a power cut, but in no other crash.

pub(in crate::store) mod apart;
pub(in crate::store) mod ballast;
pub(in crate::store) mod changes;
pub(in crate::store) mod checkpoint;
pub(in crate::store) mod client_log;
pub(in crate::store) mod connection;
pub(in crate::store) mod flush;
pub(in crate::store) mod health;
pub(in crate::store) mod hold_up;
pub mod locks;
pub(in crate::store) mod network;
pub(in crate::store) mod open;
pub(in crate::store) mod options;
pub(in crate::store) mod path;
pub(in crate::store) mod permission;
pub(in crate::store) mod readers;
pub(in crate::store) mod rest;
pub(in crate::store) mod schema_watch;
pub(in crate::store) mod seldom;
pub(in crate::store) mod small_file;
pub(in crate::store) mod store;
pub(in crate::store) mod structure;
pub(in crate::store) mod text;
pub(in crate::store) mod turnstile;
pub(in crate::store) mod watch;
pub(in crate::store) mod write;
pub(in crate::store) mod write_queue;
pub(in crate::store) mod writer;
