//! The first statement of an embedding program's `main`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::handler::{self, Handler};
use crate::run::spawner;

/// This process has called [`init`]; a worker may start this program again.
static IS_INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Must be the first statement of the `main` of a program that starts a worker; no thread may have
/// been started before it.
///
/// A worker starts this program again, from `/proc/self/exe`, as the small process that starts
/// jobs. In such a process this function never returns. In all others it returns immediately and
/// does nothing.
pub fn init() {
    init_with(&[]);
}

/// Like [`init`], and registers the functions of this program that can run as jobs:
/// [`Job::call`](crate::Job::call).
///
/// In a process that was started to run one of them, it runs that function and never returns.
///
/// ```no_run
/// fn thumbnail(call: &tenure::Call) -> Result<(), tenure::Failure> {
///     let input = call.argument(0)?;
///     call.set_result(&format!("{} bytes", std::fs::read(input)?.len()))?;
///     Ok(())
/// }
///
/// fn main() {
///     tenure::init_with(&[("thumbnail", thumbnail)]);
/// }
/// ```
pub fn init_with(handlers: &[(&str, Handler)]) {
    spawner::main_if_spawner();
    handler::main_if_handler(handlers);
    IS_INITIALIZED.store(true, Ordering::Relaxed);
}

/// Whether this program may be started again as a spawner.
pub(super) fn is_initialized() -> bool {
    IS_INITIALIZED.load(Ordering::Relaxed)
}
