//! The size of the log while everything is used at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tenure::store::{Role, Store};

use crate::nest::Nest;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit};

/// Jobs of one `add --from`.
const BATCH: usize = 1_000;
/// The adder waits while more are queued.
const QUEUED_MAX: u64 = 5_000;

/// Between two reads, in milliseconds.
const PAUSE_MS: u64 = 10;

/// A worker with 2 slots, a client that keeps its queue full, and a reader that reads the whole
/// file again and again, with a pause and without any: the longest that the log becomes.
pub fn log(plan: &Plan) -> Found {
    let seconds = plan.of(3, 60, 300);
    let paused = full_load(&format!("longest log, {seconds} s full load"), seconds, PAUSE_MS);
    let unpaused = full_load("the same, a reader unpaused", seconds, 0);
    Found::rows(vec![paused.bar(Bar::AtMost(64.0)).headline(), unpaused.bar(Bar::AtMost(64.0))])
}

fn full_load(what: &str, seconds: u64, pause_ms: u64) -> Row {
    let nest = Nest::new();
    nest.add_no_ops(BATCH);
    let _working = nest.work(&["--slots", "2"]);
    let store = nest.store(Role::Reader);
    let from = nest.0.path().join("jobs");
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let (longest, reads) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                match nest.count(&store, "queued") < QUEUED_MAX {
                    true => drop(nest.ok(&["add", "--from", from.to_str().expect("utf-8")])),
                    false => std::thread::sleep(Duration::from_millis(50)),
                }
            }
        });
        let reader = scope.spawn(|| read_all(&nest.store(Role::Reader), pause_ms, &over));
        let mut longest = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            longest = longest.max(nest.log_bytes());
            std::thread::sleep(Duration::from_millis(10));
        }
        over.store(true, Ordering::Relaxed);
        (longest, reader.join().expect("it reads"))
    });
    let done = nest.count(&store, "done") as f64 / begun.elapsed().as_secs_f64();
    let how = format!(
        "the longest of the log (`FILE-wal`) in {seconds} s, while a worker with 2 slots ran {done:.0} no-op jobs a \
         second, a client kept its queue between 1 and {} jobs, and a reader read all jobs and all runs {reads} \
         times, with {pause_ms} ms between two of its snapshots",
        QUEUED_MAX + BATCH as u64
    );
    Row::alone(what, longest as f64 / f64::from(1 << 20), Unit::Mebibytes).how(how)
}

/// How often all rows were read.
fn read_all(store: &Store, pause_ms: u64, over: &AtomicBool) -> u64 {
    let mut reads = 0;
    while !over.load(Ordering::Relaxed) {
        let sql = "SELECT (SELECT sum(length(command) + length(policy)) FROM job) + (SELECT sum(length(nonce)) FROM run)";
        let _bytes: Option<i64> = store.read(|conn| Ok(conn.query_row(sql, [], |row| row.get(0))?)).expect("it can be read");
        reads += 1;
        std::thread::sleep(Duration::from_millis(pause_ms));
    }
    reads
}
