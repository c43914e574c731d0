//! A thousand runs that wait at an engine cost one process at a time, and a call for all of them.

use crate::launchers::engine::Engine;
use crate::support::{Nest, children, until};

#[test]
fn a_thousand_runs_that_wait_need_one_call() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "waiting");
    nest.ok(&["queue", "set", "far", "--slots", "1000", "--launcher-option", "interval=2s"]);
    let lines = "{\"command\": [\"x\"], \"queue\": \"far\"}\n".repeat(1_000);
    std::fs::write(nest.file("jobs"), lines).unwrap();
    nest.ok(&["add", "--from", "jobs"]);
    let worker = nest.work(&[]);
    until("the engine to have all", || (engine.accepted().len() == 1_000).then_some(()));
    engine.until_called("status", 2);
    let calls = engine.read("calls");
    let last = calls.lines().rfind(|line| line.starts_with("status")).unwrap();
    assert_eq!(last.split(' ').count(), 1_001, "all in one call");
    // The spawner, and what it has started for that call.
    let spawner = children(worker.pid());
    let shims: usize = spawner.iter().map(|pid| children(*pid).len()).sum();
    assert!(spawner.len() == 1 && shims < 16, "{spawner:?} {shims}");
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).unwrap().count();
    assert!(descriptors < 150, "{descriptors}");
    engine.has_accepted(1_000);
}
