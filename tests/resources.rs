//! Something outside that a job has made is torn down when its owner has ended, in whatever way it ended. A file is a promise.

mod support;

#[path = "resources/death.rs"]
mod death;
#[path = "resources/ends.rs"]
mod ends;
#[path = "resources/hand.rs"]
mod hand;
#[path = "resources/many.rs"]
mod many;
#[path = "resources/page.rs"]
mod page;
#[path = "resources/steps.rs"]
mod steps;
#[path = "resources/thing.rs"]
mod thing;
