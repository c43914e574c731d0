//! Many rows by one command.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use crate::nest::Nest;
use crate::numbers::median;

/// Rows whose rate is the reference.
const FIRST: usize = 50_000;
/// Rows in all, unless `bulk=N` says otherwise: the bar is for 1,000,000.
const ROWS: usize = 200_000;
/// Rows of one transaction: the most that there may be.
const CHUNK: &str = "10000";
const ROUNDS: usize = 3;

/// Returns the line of a number.
type Line = fn(usize) -> String;

/// Labelled rows with priorities by `add --from --chunk`, without a worker, against their own first 50,000.
pub fn bulk() {
    let rows = std::env::args().find_map(|arg| arg.strip_prefix("bulk=")?.parse().ok()).unwrap_or(ROWS).max(2 * FIRST);
    let kinds: [(&str, Line); 2] = [
        ("1,000 labels, 100 priorities", |i| line(&format!("label-{}", i % 1000), scattered(i) % 100)),
        ("as many labels and priorities as rows", |i| line(&format!("{:08x}", scattered(i)), scattered(i + 1) % 1_000_000)),
    ];
    for (what, line) in kinds {
        let (mut ratios, mut firsts, mut wholes, mut longest) = (vec![], vec![], vec![], 0);
        for _ in 0..ROUNDS {
            let nest = Nest::new();
            let from = nest.lines("jobs", rows, line);
            let (first, whole) = add(&nest, &[from.to_str().expect("utf-8")], rows, &mut longest);
            ratios.push(whole / first);
            firsts.push(first);
            wholes.push(whole);
        }
        println!(
            "bulk: {rows} rows, {what}: {:.0}/s, the first {FIRST}: {:.0}/s; ratio {:.2}; longest log {:.1} MB",
            median(wholes),
            median(firsts),
            median(ratios),
            longest as f64 / 1e6
        );
    }
}

fn line(label: &str, priority: u32) -> String {
    format!(r#"{{"command": ["/bin/true"], "cwd": "/", "label": "{label}", "priority": {priority}}}"#)
}

/// A number that looks random, and is the same in each round.
fn scattered(i: usize) -> u32 {
    let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

/// Adds the rows of a file; returns the rows a second of the first ones, and of all.
fn add(nest: &Nest, from: &[&str], rows: usize, longest: &mut u64) -> (f64, f64) {
    let begun = Instant::now();
    let args = [&["add", "--chunk", CHUNK, "--from"], from].concat();
    let mut child = nest.tenure(&args).stdout(Stdio::piped()).spawn().expect("the program runs");
    let ids = BufReader::new(child.stdout.take().expect("piped")).lines();
    let log = nest.db().with_extension("db-wal");
    let (mut first, mut read) = (0.0, 0);
    for _ in ids.map_while(Result::ok) {
        read += 1;
        if read == FIRST {
            first = begun.elapsed().as_secs_f64();
        }
        if read % 1_000 == 0 {
            *longest = (*longest).max(std::fs::metadata(&log).map_or(0, |meta| meta.len()));
        }
    }
    assert!(child.wait().expect("it ends").success() && read == rows, "{read} rows were added");
    (FIRST as f64 / first, rows as f64 / begun.elapsed().as_secs_f64())
}
