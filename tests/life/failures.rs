//! What a failure does to jobs that wait: its queue is paused, and the rest of its array is cancelled.

use serde_json::{Value, json};
use tenure::Reason;

use crate::life::left::{claimed_in, failed, prepare, started, whole};
use crate::support::{Dice, Nest, seed, until};

const EARLIER_BOOT: &str = "00000000-1111-2222-3333-444444444444";

fn queue(nest: &Nest, name: &str) -> Value {
    let all = nest.json(&["queue", "ls", "--json"]);
    all["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).cloned().expect("the queue")
}

/// A queue that a failure pauses, with a job that is to fail and one that waits behind it.
fn pair(nest: &Nest, name: &str, options: &[&str], command: &[&str]) -> (i64, i64) {
    nest.ok(&["queue", "set", name, "--on-failure", "pause", "--slots", "1"]);
    let fails = nest.add(&[&["-q", name], options, &["--"], command].concat());
    (fails, nest.add(&["-q", name, "--", "true"]))
}

#[test]
fn each_way_to_fail_pauses_the_queue() {
    let nest = Nest::new();
    let sh = |line: &'static str| ["sh", "-c", line];
    let ways: &[(&str, &[&str], [&str; 3])] = &[
        ("exit", &[], sh("exit 3")),
        ("signal", &[], sh("kill -9 $$")),
        ("timeout", &["--timeout", "100ms", "--grace", "0s"], sh("exec sleep 600")),
        ("output", &["--idle-timeout", "100ms", "--grace", "0s"], sh("exec sleep 600")),
        ("check", &["--check", "false"], sh("true")),
        ("workspace", &["--workspace", "k", "--prepare", "exit 1", "--max-deferrals", "0"], sh("true")),
        ("spawn", &[], ["/nope/program", "", ""]),
        ("expired", &["--expires", "1ms"], sh("true")),
    ];
    let jobs: Vec<_> = ways.iter().map(|(name, options, command)| pair(&nest, name, options, command)).collect();
    // What recovery finds: a run whose end no process saw, one that was never executed, and a recorded end.
    let recovered: Vec<_> = ["lost", "unexecuted", "recorded"].map(|name| pair(&nest, name, &[], &sh("exit 1"))).into();
    for ((job, _), records) in recovered.iter().zip([vec![prepare(), started()], vec![failed(2)], whole(4)]) {
        let left = claimed_in(&nest, *job, EARLIER_BOOT);
        left.release();
        left.append(&nest, &records);
    }
    nest.work_until_idle(&["--tick", "20ms"]);
    let all = jobs.iter().zip(ways.iter().map(|way| way.0)).chain(recovered.iter().zip(["lost", "unexecuted", "recorded"]));
    for ((fails, waits), name) in all {
        let (job, queue) = (nest.show(*fails), queue(&nest, name));
        assert_eq!(job["state"], "failed", "{name}: {job}");
        if ways.iter().any(|way| way.0 == name) {
            assert_eq!(job["reason"], name);
        }
        assert_eq!((&queue["paused"], &queue["paused_by"]), (&json!(true), &json!(fails)), "{name}: {queue}");
        assert!(queue["paused_at"].is_string(), "{queue}");
        assert_eq!(nest.state(*waits), "queued", "{name}");
        let why = nest.json(&["why", &waits.to_string(), "--json"])["obstacles"][0].clone();
        assert_eq!((&why["code"], &why["remedy"]), (&json!("queue_paused"), &json!(format!("tenure queue resume {name}"))));
        assert!(why["text"].as_str().unwrap().contains(&format!("because job {fails} failed at ")), "{why}");
        assert!(nest.ok(&["history", &fails.to_string()]).contains(&format!("queue {name} was paused, because this job failed")));
        let problems = nest.status()["problems"].to_string();
        assert!(problems.contains(&format!("queue \\\"{name}\\\" is paused because job {fails} failed")), "{problems}");
        nest.ok(&["queue", "resume", name]);
        assert!(nest.ok(&["history", &fails.to_string()]).contains(&format!("queue {name} was resumed")));
    }
    nest.work_until_idle(&[]);
    assert!(jobs.iter().chain(&recovered).all(|(_, waits)| nest.state(*waits) == "done"), "each queue continues");
    assert_eq!(queue(&nest, "exit")["paused_by"], Value::Null);
}

#[test]
fn what_is_not_a_failure_pauses_nothing() {
    let nest = Nest::new();
    let (cancelled, _) = pair(&nest, "cancelled", &[], &["true"]);
    nest.ok(&["cancel", &cancelled.to_string()]);
    let (again, _) = pair(&nest, "again", &["--retries", "1", "--backoff", "0s..0s"], &["sh", "-c", "test $TENURE_ATTEMPT = 2"]);
    let (later, _) = pair(&nest, "later", &["--backoff", "1h..1h"], &["sh", "-c", "exit 75"]);
    let parent = nest.sh(&[], "exit 1");
    let (lacks, _) = pair(&nest, "lacks", &["--after", &parent.to_string()], &["true"]);
    nest.work_until_idle(&[]);
    let states = [cancelled, again, later, lacks].map(|id| nest.state(id));
    assert_eq!(states, ["cancelled", "done", "queued", "failed"]);
    for name in ["cancelled", "again", "later", "lacks"] {
        assert_eq!(queue(&nest, name)["paused"], false, "{name}");
    }
    // A queue that a person has paused is not paused by a failure, and the setting can be taken back.
    let running = pair(&nest, "both", &[], &["sh", "-c", "while ! test -e go; do sleep 0.02; done; exit 1"]).0;
    let worker = nest.work(&[]);
    nest.until_pid(running);
    nest.ok(&["queue", "pause", "both"]);
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(running);
    assert_eq!(queue(&nest, "both")["paused_by"], Value::Null);
    nest.ok(&["queue", "set", "both", "--on-failure", "none"]);
    nest.ok(&["queue", "resume", "both"]);
    let fails = nest.sh(&["-q", "both"], "exit 1");
    nest.until_ended(fails);
    assert_eq!((&queue(&nest, "both")["paused"], &queue(&nest, "both")["on_failure"]), (&json!(false), &json!("none")));
    assert_eq!(worker.stop(), 0);
}

#[test]
fn every_reason_but_dependency_pauses_from_either_state() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let owner = nest.owner();
    for reason in Reason::ALL {
        for state in ["queued", "running"] {
            owner.execute_batch("DELETE FROM queue; INSERT INTO queue (name, on_failure) VALUES ('q', 'pause')").unwrap();
            let id = nest.add(&["-q", "q", "--", "true"]);
            if state == "running" {
                owner.execute("UPDATE job SET state = 'running', run_id = id, started_at = 1 WHERE id = ?1", [id]).unwrap();
            }
            let end = "UPDATE job SET state = 'failed', reason = ?2, finished_at = 2 WHERE id = ?1";
            owner.execute(end, (id, reason.as_str())).unwrap();
            let paused = "SELECT paused, paused_by IS ?1 FROM queue WHERE name = 'q'";
            let (paused, by): (bool, bool) = owner.query_row(paused, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let counts = *reason != Reason::Dependency;
            assert_eq!((paused, by), (counts, counts), "{reason} from {state}");
        }
    }
}

#[test]
fn a_failed_element_cancels_the_queued_rest() {
    let nest = Nest::new();
    let line = "test $TENURE_ARRAY_INDEX != 2 || { until test -e go; do sleep 0.02; done; test -e good || exit 1; }; \
                test $TENURE_ARRAY_INDEX != 3 || until test -e on; do sleep 0.02; done";
    nest.ok(&["add", "--array", "0-9", "--stop-on-failure", "--", "sh", "-c", line]);
    nest.ok(&["add", "--array", "0-1", "--stop-on-failure", "--hold", "--", "true"]);
    nest.ok(&["hold", "10"]);
    let dependant = nest.add(&["--after-any", "10", "--", "true"]);
    let worker = nest.work(&["--slots", "2"]);
    let _both_run = [3, 4].map(|id| nest.until_pid(id));
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(10);
    assert_eq!((nest.state(3).as_str(), nest.state(4).as_str()), ("failed", "running"), "what runs continues");
    for id in 5..=10 {
        let job = nest.show(id);
        assert_eq!((&job["state"], &job["attempts"]), (&json!("cancelled"), &json!(0)), "{job}");
        let why = nest.ok(&["why", &id.to_string()]);
        assert!(why.contains("job 3 (index 2) of the same array failed"), "{why}");
    }
    assert_eq!([11, 12].map(|id| nest.state(id)), ["queued", "queued"], "another array is another one");
    nest.until_state(dependant, "done");
    std::fs::write(nest.file("on"), "").unwrap();
    nest.until_state(4, "done");
    std::fs::write(nest.file("good"), "").unwrap();
    nest.ok(&["retry", "--failed"]);
    nest.ok(&["retry", "5-10"]);
    nest.ok(&["release", "10"]);
    nest.until_state(10, "done");
    (3..=10).for_each(|id| drop(nest.until_state(id, "done")));
    assert_eq!(worker.stop(), 0);
}

#[test]
fn an_expired_element_stops_its_array_and_a_broken_one_does_not() {
    let nest = Nest::new();
    nest.ok(&["add", "--array", "0-3", "--stop-on-failure", "--expires", "1ms", "--", "true"]);
    let parent = nest.sh(&[], "exit 1");
    nest.ok(&["add", "--array", "0-3", "--stop-on-failure", "--after", &parent.to_string(), "--", "true"]);
    nest.work_until_idle(&["--slots", "1"]);
    let states = |ids: std::ops::RangeInclusive<i64>| ids.map(|id| nest.state(id)).collect::<Vec<_>>();
    assert_eq!(states(1..=4).iter().filter(|state| *state == "failed").count(), 1, "{:?}", states(1..=4));
    assert_eq!(states(6..=9), ["failed"; 4], "each lacks the same job: retry --with-dependants returns all");
    let none: i64 = nest.sql().query_row("SELECT count(*) FROM unresolved", [], |row| row.get(0)).unwrap();
    assert_eq!(none, 0);
}

#[test]
fn none_of_a_large_array_starts_after_the_failure() {
    let nest = Nest::new();
    let line = "test $TENURE_ARRAY_INDEX != 0 || exit 1; until test -e go; do sleep 0.05; done";
    nest.ok(&["add", "--array", "0-4999", "--stop-on-failure", "--", "sh", "-c", line]);
    let mut dice = Dice::new(seed());
    // The worker dies again and again while it cancels the rest.
    let left =
        || -> i64 { nest.sql().query_row("SELECT count(*) FROM job WHERE state = 'queued'", [], |row| row.get(0)).unwrap() };
    let (mut kills, mut steps) = (0, std::collections::BTreeSet::new());
    while left() > 0 {
        let before = left();
        let worker = nest.work(&["--slots", "4", "--tick", "20ms"]);
        until("the rest to become less", || (left() < before).then_some(()));
        steps.insert(before);
        std::thread::sleep(std::time::Duration::from_millis(dice.below(40))); // where in the work it dies is by chance
        worker.kill();
        kills += 1;
        assert!(kills < 200, "it never ends: {steps:?}");
    }
    std::fs::write(nest.file("go"), "").unwrap();
    nest.work_until_idle(&["--tick", "20ms"]);
    let count =
        |sql: &str| -> i64 { nest.sql().query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get(0)).unwrap() };
    assert_eq!(count("run"), 4, "what had a slot then, and no other: {steps:?}");
    assert_eq!([count("job WHERE state = 'cancelled'"), count("job WHERE state = 'failed'"), count("unresolved")], [4996, 1, 0]);
    assert_eq!(count("job WHERE state = 'cancelled' AND error NOT LIKE 'job 1 (index 0) of the same array failed%'"), 0);
}

#[test]
fn an_element_is_not_retried_while_its_array_is_stopped() {
    let nest = Nest::new();
    nest.ok(&["add", "--array", "0-2", "--stop-on-failure", "--", "true"]);
    let owner = nest.owner();
    let failed = "UPDATE job SET state = 'failed', reason = 'expired', finished_at = 1 WHERE id = 1";
    owner.execute_batch(failed).unwrap();
    let said = nest.say(&["retry", "1"]);
    assert!(said.code == 6 && said.err.contains("is being stopped, because job 1 failed"), "{said:?}");
    nest.work_until_idle(&[]);
    assert_eq!([1, 2, 3].map(|id| nest.state(id)), ["failed", "cancelled", "cancelled"], "the next worker does the rest");
    assert_eq!(owner.query_row("SELECT count(*) FROM run", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    nest.ok(&["retry", "1-3"]);
    nest.work_until_idle(&[]);
    until("all to be done", || (1..=3).all(|id| nest.state(id) == "done").then_some(()));
}
