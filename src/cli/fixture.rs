//! Rows for the tests of this room.

pub use crate::document::fixture::*;
