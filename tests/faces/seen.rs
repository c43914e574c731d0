//! Failures and hooks that fail are shown until a person has looked at them, and a monitoring system is told by an exit code.

use crate::support::{Nest, until};

fn check(nest: &Nest) -> i32 {
    nest.say(&["status", "--check"]).code
}

fn problems(nest: &Nest) -> Vec<String> {
    let all = nest.status()["problems"].as_array().unwrap().clone();
    all.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_failure_is_a_problem_until_it_was_seen() {
    let nest = Nest::new();
    assert_eq!(check(&nest), 4, "without a file");
    nest.add(&["--", "true"]);
    assert_eq!(check(&nest), 2, "there is no worker");
    let worker = nest.work(&[]);
    nest.until_ended(1);
    assert_eq!((check(&nest), problems(&nest)), (0, vec![]));
    let failed: Vec<i64> = (0..7).map(|_| nest.add(&["--", "false"])).collect();
    failed.iter().for_each(|id| _ = nest.until_ended(*id));
    let status = nest.status();
    assert_eq!((check(&nest), status["failures"]["jobs"].as_i64()), (1, Some(7)));
    assert_eq!(status["failures"]["latest"], serde_json::json!([8, 7, 6, 5, 4]), "the latest of them are named");
    let text = nest.ok(&["status"]);
    assert!(text.contains("7 failed jobs are not marked as seen, the latest: 8, 7"), "{text}");
    assert!(nest.say(&["seen"]).err.contains("7 failed jobs"), "it says how many");
    assert_eq!((check(&nest), problems(&nest)), (0, vec![]));
    assert_eq!(nest.json(&["seen", "--json"])["jobs"], 0);
    // A job that waits again is not failed, and one that fails again is new.
    let again = nest.add(&["--", "false"]);
    nest.until_ended(again);
    assert_eq!(check(&nest), 1);
    nest.ok(&["seen"]);
    nest.ok(&["retry", &again.to_string()]);
    nest.until_ended(again);
    assert_eq!((check(&nest), nest.status()["failures"]["latest"].clone()), (1, serde_json::json!([again])));
    worker.stop();
}

#[test]
fn hooks_that_fail_or_wait_are_problems() {
    let nest = Nest::new();
    let id = nest.sh(&["--on-end", "exit 7"], "true");
    // The first attempt fails; the next one is due a second later.
    nest.work_until_idle(&[]);
    assert_eq!(problems(&nest), ["hooks_wait"]);
    // As many failures as are told, and then one that is the last.
    let conn = nest.owner();
    conn.execute("UPDATE hook SET attempts = 3, next_at = 0", []).unwrap();
    assert_eq!(problems(&nest), ["hooks_fail", "hooks_wait"]);
    conn.execute("UPDATE hook SET attempts = 19", []).unwrap();
    nest.work_until_idle(&[]);
    until("the hook to be given up", || (nest.show(id)["hooks"][0]["state"] == "given_up").then_some(()));
    assert_eq!(problems(&nest), ["hooks_given_up"]);
    let why = nest.ok(&["why", &id.to_string()]);
    assert!(why.contains("was given up; it has failed 20 times: exit status 7"), "{why}");
    let seen = nest.say(&["seen"]);
    assert!(seen.err.contains("1 hook that was given up"), "{seen:?}");
    assert_eq!(problems(&nest), [""; 0]);
}
