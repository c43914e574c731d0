//! What ends because of another job ends whole, also without a worker and where it is many.

use crate::support::Nest;

#[test]
fn a_cancel_without_a_worker_ends_thousands_that_waited() {
    let nest = Nest::new();
    let parent = nest.sh(&[], "true");
    let line = format!("{{\"command\": [\"true\"], \"after\": [{parent}]}}\n");
    std::fs::write(nest.file("many"), line.repeat(2_500)).unwrap();
    nest.ok(&["add", "--from", "many"]);
    nest.ok(&["cancel", &parent.to_string()]);
    let counts = nest.status()["counts"].clone();
    assert_eq!((counts["cancelled"].as_i64(), counts["failed"].as_i64()), (Some(1), Some(2_500)), "{counts}");
    let said = nest.say(&["retry", &parent.to_string(), "--with-dependants"]);
    assert!(said.code == 0 && said.err.contains("and with it 2500 jobs"), "{said:?}");
    assert_eq!(nest.status()["counts"]["queued"], 2_501);
}
