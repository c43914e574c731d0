//! LIFECYCLE: from the start of a worker to its end.

mod shutdown;
pub mod signals;
mod start;
mod starting;
mod stop;
mod take_lock;
mod trust;

pub use start::Worker;
pub use starting::Started;
pub use stop::Summary;
