//! No-op jobs from a queue that is long, and from one that is short.

use std::time::{Duration, Instant};

use tenure::store::{Role, Store};

use crate::fill::Fill;
use crate::nest::Nest;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Jobs before those that are timed.
const WARM: u64 = 300;

/// Jobs a second with 1,000,000 queued, against 10,000.
pub fn depth(plan: &Plan) -> Found {
    let queued = plan.of(10_000, 1_000_000, 1_000_000);
    let timed = plan.of(200, 3_000, 5_000);
    let short = plan.of(2_000, 10_000, 10_000);
    let long = Fill { ready: queued, ..Fill::default() }.make();
    let (mut pairs, mut nests) = (vec![], vec![]);
    for _ in 0..plan.rounds() {
        let nest = Fill { ready: short, ..Fill::default() }.make();
        pairs.push((per_second(&long, timed), per_second(&nest, timed)));
        nests.push(nest);
    }
    let [of_long, of_short] = [queued, short].map(|n| thousands(n as i64));
    Found::rows(vec![
        Row::against(&format!("no-op jobs, {of_long} queued"), Unit::PerSecond, &format!("{of_short} queued"), &pairs)
            .bar(Bar::AtLeast(0.9))
            .headline()
            .how(format!("a worker with 2 slots, from its {WARM}th job on for {timed} jobs; mixed priorities")),
    ])
}

fn per_second(nest: &Nest, jobs: u64) -> f64 {
    let store = nest.store(Role::Reader);
    let before = nest.count(&store, "done");
    let _working = nest.work(&["--slots", "2"]);
    let (first, begun) = reached(nest, &store, before + WARM);
    let (last, ended) = reached(nest, &store, first + jobs);
    (last - first) as f64 / (ended - begun).as_secs_f64()
}

/// Waits for so many ended jobs; how many there are then, and when.
fn reached(nest: &Nest, store: &Store, done: u64) -> (u64, Instant) {
    loop {
        let count = nest.count(store, "done");
        if count >= done {
            return (count, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
