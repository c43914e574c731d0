//! The web: what it answers, whom it turns away, and that no client can hold it up. A file is a promise.

mod beside;
mod browser;
mod crowds;
mod events;
mod forms;
mod guarded;
mod hostile;
mod metrics;
mod openapi;
mod pages;
mod reads;
mod writes;
