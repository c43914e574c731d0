//! Bytes are chance for tasks that walk through a pipeline; see `tests/model/walks/mod.rs`.

#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| model::walks::play_bytes(bytes));
