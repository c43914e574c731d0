//! Bytes are chance for tasks that walk through a pipeline; see `tests/model/walks.rs`.

#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;
#[path = "../../tests/model/walks.rs"]
mod walks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| walks::play_bytes(bytes));
