//! The Model Context Protocol: what its tools do, what the operator allows, and that no client can break it. A file is a promise.

mod crashes;
mod hostile;
mod inspector;
mod limits;
mod requests;
mod tools;
