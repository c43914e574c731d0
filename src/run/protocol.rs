//! Names and numbers that worker, spawner, shim and the commands that look for them agree on.

/// The first argument of a process that is to be the spawner.
pub const SPAWNER_ARGUMENT: &str = "__spawner";

/// How the spawner is called in `ps`.
pub const SPAWNER_NAME: &str = "tenure-spawner";

/// What the spawner says when it is ready.
pub const READY: &[u8] = concat!("tenure-spawner ", env!("CARGO_PKG_VERSION")).as_bytes();

/// How it begins in every version.
pub const READY_STEM: &[u8] = b"tenure-spawner ";

/// What the spawner says before it ends, with the reason, where it cannot be one.
pub const UNFIT: &[u8] = b"unfit: ";

/// Exit status of a shim that leaves nothing behind.
pub const TREE_IS_EMPTY: i32 = 0;

/// Where a shim has the run file: this is what `stop` looks at before it signals.
pub const LOCK_FD: i32 = 3;

/// How a shim is called in `ps`.
pub const SHIM_NAME: &str = "tenure-shim";
