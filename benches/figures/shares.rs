//! Where the CPU of a no-op job goes.

use std::collections::BTreeMap;

use crate::nest::Nest;
use crate::plan::Plan;
use crate::processes::{children, cpu_with_children_ms, threads_cpu_ms};
use crate::row::Found;

/// CPU time of a drain by thread of the worker, of the spawner, and of the shims with their jobs.
pub fn shares(plan: &Plan) -> Found {
    let jobs = plan.of(300, 3_000, 5_000);
    let nest = Nest::new();
    nest.ok(&["queue", "pause", "default"]);
    nest.add_no_ops(jobs);
    let working = nest.work(&["--slots", "2"]);
    let before = by_thread_ms(working.pid());
    nest.ok(&["queue", "resume", "default"]);
    nest.wait_for("done", jobs as u64);
    let mut spent: Vec<(String, f64)> = by_thread_ms(working.pid())
        .into_iter()
        .map(|(name, ms)| (before.get(&name).map_or(ms, |before| ms - before) * 1_000.0 / jobs as f64, name))
        .map(|(us, name)| (name, us))
        .collect();
    drop(working);
    spent.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = spent.iter().map(|(_, us)| us).sum();
    let (large, small): (Vec<_>, Vec<_>) = spent.into_iter().partition(|(_, us)| *us >= all / 100.0);
    let rest: f64 = small.iter().map(|(_, us)| us).sum();
    let shares = large.iter().map(|(name, us)| (name.as_str(), *us)).chain([("all others", rest)]);
    let shares: Vec<String> = shares.map(|(name, us)| format!("{name} {us:.0} µs ({:.0} %)", us * 100.0 / all)).collect();
    Found::note(format!("the CPU of a no-op job at 2 slots, {all:.0} µs, by thread: {}", shares.join(", ")))
}

/// The threads of the same name are one.
fn by_thread_ms(worker: u32) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for (name, ms) in threads_cpu_ms(worker) {
        *all.entry(name).or_default() += ms;
    }
    for spawner in children(worker) {
        let own: f64 = threads_cpu_ms(spawner).iter().map(|(_, ms)| ms).sum();
        let shims: f64 = children(spawner).into_iter().map(cpu_with_children_ms).sum();
        *all.entry("spawner".into()).or_default() += own;
        // In whole ticks of the clock, and so not exact to the last digit.
        *all.entry("shims with their jobs".into()).or_default() += shims + (cpu_with_children_ms(spawner) - own).max(0.0);
    }
    all
}
