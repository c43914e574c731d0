//! The memory of many jobs.

use std::time::{Duration, Instant};

use crate::nest::Nest;
use crate::processes::{comm, family, pss_kb};

/// 300 sleeping jobs: memory of worker, spawner and shims together, and the time to start and to cancel them all.
pub fn memory() {
    const JOBS: usize = 300;
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "300"]);
    let from = nest.lines("jobs", JOBS, |_| r#"{"command": ["/bin/sleep", "600"], "cwd": "/"}"#.into());
    let begun = Instant::now();
    nest.ok(&["add", "--from", from.to_str().expect("utf-8")]);
    wait_for_counts(&nest, "running", JOBS as u64);
    let started = begun.elapsed();
    let all = family(worker.pid());
    let ours: Vec<u32> = all.into_iter().filter(|pid| comm(*pid).starts_with("tenure")).collect();
    let pss: u64 = ours.iter().filter_map(|pid| pss_kb(*pid)).sum();
    let begun = Instant::now();
    nest.ok(&["cancel", "--state", "running"]);
    wait_for_counts(&nest, "cancelled", JOBS as u64);
    println!(
        "memory: {JOBS} sleeping jobs: {} tenure processes, {:.1} MB PSS together; all started in {:.1} s, all cancelled in {:.1} s",
        ours.len(),
        pss as f64 / 1000.0,
        started.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
}

fn wait_for_counts(nest: &Nest, state: &str, n: u64) {
    loop {
        let status: serde_json::Value = serde_json::from_str(&nest.ok(&["status", "--json"])).expect("JSON");
        if status["counts"][state].as_u64() == Some(n) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
