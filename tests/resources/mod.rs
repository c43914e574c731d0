//! Something outside that a job has made is torn down when its owner has ended, in whatever way it ended. A file is a promise.

mod death;
mod ends;
mod hand;
mod many;
mod page;
mod steps;
mod thing;
