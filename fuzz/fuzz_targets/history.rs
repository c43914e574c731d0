//! Bytes are a history of verbs, six to a step; see `tests/model/mod.rs`.

#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let steps: Vec<model::play::Step> = bytes.chunks_exact(6).map(|step| step.try_into().expect("six bytes")).collect();
    model::play::tell();
    model::play::play(&steps);
});
