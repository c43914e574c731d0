//! Many at once: one that never succeeds stops no other, and so many a round and no more.

use crate::resources::thing::{TICK, ended_job, lines, listed, nothing_is_left, of_job, resource};
use crate::support::{Nest, until};

#[test]
fn failing_and_hanging_teardowns_do_not_stop_others() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let failing = of_job(&nest, job, "failing", "exit 1", &[]);
    let hanging: Vec<i64> =
        (0..3).map(|n| of_job(&nest, job, &format!("hanging{n}"), "exec sleep 600", &["-t", "10m"])).collect();
    let conn = nest.sql();
    conn.execute_batch("BEGIN").unwrap();
    for n in 0..250 {
        conn.execute(
            "INSERT INTO resource (name, job_id, teardown, cwd) VALUES (?1, ?2, json_array('/bin/sh', '-c', 'echo ' || ?1 || ' >>ledger'), ?3)",
            (format!("x{n}"), job, nest.path().to_str().unwrap()),
        )
        .unwrap();
    }
    conn.execute_batch("COMMIT").unwrap();
    let worker = nest.work(&TICK);
    until("all the others to be gone", || (listed(&nest, false).len() == 4).then_some(()));
    let ledger = lines(&nest, "ledger");
    assert_eq!((ledger.len(), ledger.iter().collect::<std::collections::BTreeSet<_>>().len()), (250, 250), "each once");
    assert!(resource(&nest, failing)["attempts"].as_i64() > Some(0));
    for id in &hanging {
        assert!(resource(&nest, *id)["auxiliary_run_id"].is_i64(), "it hangs still");
        nest.ok(&["resource", "release", &id.to_string(), "--force"]);
    }
    let status = nest.status();
    assert_eq!(status["counts"]["resources"]["releasing"], 1);
    assert_eq!(status["resources"][0]["name"], "failing");
    assert!(nest.counter("torn_down_total") >= 250);
    worker.stop();
    // What hangs is not watched any more, and ends with its shim; a person who forced it may end it.
    for pid in nest.of_runs() {
        crate::support::kill(pid, crate::support::Signal::KILL);
    }
    nest.work_until_idle(&[]);
    nothing_is_left(&nest);
}
