//! What a worker costs that has nothing to do.

use std::time::Duration;

use crate::nest::Nest;
use crate::processes::{cpu_ms, family};

/// CPU time of an idle worker and its spawner over a minute.
pub fn idle() {
    const SECONDS: u64 = 60;
    let nest = Nest::new();
    let worker = nest.work(&[]);
    std::thread::sleep(Duration::from_secs(2));
    let pids = family(worker.pid());
    let before: f64 = pids.iter().map(|pid| cpu_ms(*pid)).sum();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let after: f64 = pids.iter().map(|pid| cpu_ms(*pid)).sum();
    println!("idle: {:.0} ms of CPU in {SECONDS} s = {:.3} %", after - before, (after - before) / (SECONDS as f64 * 10.0));
}
