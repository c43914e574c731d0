//! Names and numbers that worker, spawner, shim and the commands that look for them agree on.

/// The first argument of a process that is to be the spawner.
pub const SPAWNER_ARGUMENT: &str = "__spawner";

/// How the spawner is called in `ps`.
pub const SPAWNER_NAME: &str = "tenure-spawner";

/// The message of the spawner when it is ready.
pub const READY: &[u8] = concat!("tenure-spawner ", env!("CARGO_PKG_VERSION")).as_bytes();

/// Its beginning in every version.
pub const READY_STEM: &[u8] = b"tenure-spawner ";

/// The message of the spawner, with the reason, if it cannot work.
pub const UNFIT: &[u8] = b"unfit: ";

/// Exit status of a shim that leaves nothing behind.
pub const TREE_IS_EMPTY: i32 = 0;

/// The descriptor of the run file in a shim: `stop` checks it before it signals.
pub const LOCK_FD: i32 = 3;

/// The descriptor of its end of the status pipe.
pub const STATUS_FD: i32 = 4;

/// How a shim is called in `ps`.
pub const SHIM_NAME: &str = "tenure-shim";

/// The message of a shim to its spawner: nothing is left of its run, and it can serve the next one.
pub const READY_AGAIN: &[u8] = b"r";
