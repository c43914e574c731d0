//! The whole program, from outside: real workers, real jobs, real kills. A file is a promise.

mod support;

#[path = "life/adoption.rs"]
mod adoption;
