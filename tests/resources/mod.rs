//! An external resource of a job is torn down when its owner has ended, in any way. A file is a promise.

mod death;
mod ends;
mod hand;
mod many;
mod page;
mod steps;
mod thing;
