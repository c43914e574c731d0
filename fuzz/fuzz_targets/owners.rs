//! Bytes are a history of leases, workspaces and schedules, four to a step; see `tests/model/owners.rs`.

#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let steps: Vec<model::owners::Step> = bytes.chunks_exact(4).map(|step| step.try_into().expect("four bytes")).collect();
    model::owners::play(&steps);
});
