//! LIFECYCLE: from the start of a worker to its end.

mod descriptors;
mod shutdown;
pub mod signals;
mod start;
mod starting;
mod stop;
mod take_lock;
mod trust;

pub use descriptors::can_run;
pub use start::Worker;
pub use starting::Started;
pub use stop::Summary;
