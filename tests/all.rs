//! One binary for all integration tests: one build, one harness, one pool of threads. A folder is a subject, a file is a promise.

mod support;

mod docs;
mod faces;
mod histories;
mod launchers;
mod life;
mod mcp;
mod model;
mod packages;
mod people;
mod resources;
mod run;
mod schema;
mod store;
mod tidy;
mod web;
