//! What a worker gives back when nothing happens.

use std::fs;
use std::io::Write;

use crate::support::{Nest, until};

/// More than a worker of an unoptimized program has at rest, in kB.
const OWN_KB_MAX: u64 = 16 << 10;
/// Rows that its caches hold, and the length of each, in bytes.
const ROWS: usize = 500;
const ROW_BYTES: usize = 100_000;

fn own_kb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kb = |line: &str| line.strip_prefix("RssAnon:")?.trim().trim_end_matches(" kB").parse().ok();
    status.lines().find_map(kb).unwrap()
}

#[test]
fn a_worker_at_rest_gives_its_caches_back() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "1"]);
    let word = "x".repeat(ROW_BYTES);
    let mut lines = fs::File::create(nest.file("lines")).unwrap();
    for _ in 0..ROWS {
        writeln!(lines, r#"{{"command": ["true", "{word}"], "cwd": "/"}}"#).unwrap();
    }
    nest.ok(&["add", "--from", nest.file("lines").to_str().unwrap()]);
    let mut most = 0;
    until("the worker to have done all", || {
        most = most.max(own_kb(worker.pid()));
        (nest.status()["counts"]["done"] == ROWS).then_some(())
    });
    assert!(most > 2 * OWN_KB_MAX, "{most} kB: its caches have not grown");
    until("the worker to be small", || (own_kb(worker.pid()) <= OWN_KB_MAX).then_some(()));
    assert_eq!(worker.stop(), 0);
}
