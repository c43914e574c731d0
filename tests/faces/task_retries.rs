//! `task retry`, `wait` and `logs`: an ended task continues where it ended, and what its jobs wrote is found by its number.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tenure::{Error, Queue, TaskState};

use super::tasks::{SHIP, ledger, refused, start, task, with};
use crate::support::{Nest, said, until};

/// Stage b fails until the file `good` exists; it has a teardown, as has a.
const THREE: &str = r#"
[pipeline.p]
start = "a"
max_rounds = 2
[pipeline.p.stage.a]
shell = "echo a >>ledger; echo from a"
on_success = "b"
teardown = "echo gone a >>torn"
[pipeline.p.stage.b]
shell = "echo b >>ledger; echo from b; test -e good || exit 7"
on_success = "c"
teardown = "echo gone b >>torn"
[pipeline.p.stage.c]
shell = "echo c >>ledger; echo $TENURE_PARAM_v"
"#;

fn outcomes(task: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or("under way").to_owned();
    task["steps"].as_array().unwrap().iter().map(|step| (word(&step["stage"]), word(&step["outcome"]))).collect()
}

fn torn(nest: &Nest) -> Vec<String> {
    let text = std::fs::read_to_string(nest.file("torn")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_failed_task_continues_at_the_stage_that_failed() {
    let nest = with(THREE);
    let id = start(&nest, &["p", "--key", "k", "-p", "v=1"]);
    refused(&nest, &["task", "retry", "1"], 6, &["is running, in stage a"]);
    nest.work_until_idle(&[]);
    assert_eq!((task(&nest, id)["state"].as_str(), torn(&nest)), (Some("failed"), vec!["gone a".into(), "gone b".into()]));
    std::fs::write(nest.file("good"), "").unwrap();
    let said = nest.say(&["task", "retry", "last"]);
    assert!(said.code == 0 && said.err.contains("continues at stage b, job 3"), "{said:?}");
    assert!(said.err.contains("not made again: a;"), "of what is torn down and not entered again: {said:?}");
    let shown = task(&nest, id);
    assert_eq!((&shown["state"], &shown["stage"], &shown["error"]), (&json!("running"), &json!("b"), &Value::Null));
    assert_eq!((&shown["key"], &shown["finished_at"], &shown["params"]), (&json!("k"), &Value::Null, &json!({"v": "1"})));
    assert_eq!(start(&nest, &["p", "--key", "k", "-p", "v=1"]), id, "it has its key again");
    nest.work_until_idle(&[]);
    let shown = task(&nest, id);
    assert_eq!(shown["state"], "done");
    assert_eq!(
        outcomes(&shown),
        [("a", "done"), ("b", "failed"), ("b", "done"), ("c", "done")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert_eq!(ledger(&nest), ["a", "b", "b", "c"], "a was not run again");
    assert_eq!(torn(&nest), ["gone a", "gone b", "gone b"], "what the second job of b made is torn down too");
    assert_eq!(nest.status()["tasks"], json!({"running": 0, "done": 1, "failed": 0, "cancelled": 0}));
    assert!(nest.ok(&["history", "3"]).contains("task 1 was retried at stage b"));
    refused(&nest, &["task", "retry", "1"], 6, &["is done", "tenure task start p"]);
    refused(&nest, &["task", "retry", "9"], 3, &["no task 9"]);
}

#[test]
fn a_stopped_task_continues_and_its_stop_is_withdrawn() {
    let nest = with(THREE);
    std::fs::write(nest.file("good"), "").unwrap();
    start(&nest, &["p", "-p", "v=1"]);
    nest.ok(&["task", "stop", "1", "--why", "later"]);
    refused(&nest, &["task", "retry", "1"], 6, &["not torn down yet"]);
    nest.work_until_idle(&[]);
    let again = nest.json(&["task", "retry", "1", "--json"]);
    assert_eq!(again, json!({"schema": 1, "id": 1, "stage": "a", "job": 2, "gone": []}));
    let shown = task(&nest, 1);
    assert_eq!((&shown["stop_at"], &shown["stop_why"], &shown["error"]), (&Value::Null, &Value::Null, &Value::Null));
    nest.work_until_idle(&[]);
    assert_eq!((task(&nest, 1)["state"].as_str(), ledger(&nest).len()), (Some("done"), 3));
    start(&nest, &["p", "-p", "v=1"]);
    nest.ok(&["cancel", "5"]);
    assert_eq!(task(&nest, 2)["state"], "cancelled");
    nest.work_until_idle(&[]);
    nest.ok(&["task", "retry", "2", "--from", "c"]);
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, 2)["state"], "done", "a task whose job a person cancelled continues too, also elsewhere");
    assert_eq!(ledger(&nest), ["a", "b", "c", "c"]);
}

#[test]
fn a_retry_is_refused_where_it_would_be_wrong() {
    let nest = with(THREE);
    start(&nest, &["p", "--key", "k", "-p", "v=1"]);
    nest.ok(&["task", "stop", "1"]);
    start(&nest, &["p", "--key", "k", "-p", "v=1"]);
    refused(&nest, &["task", "retry", "1"], 6, &["task 2 runs and has the key", "tenure task wait 2"]);
    nest.ok(&["task", "stop", "2"]);
    refused(&nest, &["task", "retry", "1", "--from", "d"], 3, &["no stage \"d\"", "a, b, c"]);
    refused(&nest, &["task", "retry", "1", "--from", "\x1b[2J"], 3, &["no stage"]);
    nest.ok(&["resource", "add", "vm", "--teardown", "exit 1", "--task", "1"]);
    refused(&nest, &["task", "retry", "1"], 6, &["not torn down yet", "tenure resource show"]);
    assert_eq!(task(&nest, 1)["state"], "cancelled", "nothing was changed");
}

/// The new job of the stage would make what the old teardown removes.
#[test]
fn a_retry_waits_for_what_the_failed_stage_has_made() {
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let pipeline = format!(
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\nshell = \"{tenure} resource add vm --teardown 'test -e gone' && test -e good\"\n"
    );
    let nest = with(&pipeline);
    start(&nest, &["p"]);
    nest.work_until_idle(&["--tick", "50ms"]);
    assert_eq!(task(&nest, 1)["state"], "failed");
    refused(&nest, &["task", "retry", "1"], 6, &["not torn down yet", "tenure resource show 1"]);
    std::fs::write(nest.file("gone"), "").unwrap();
    std::fs::write(nest.file("good"), "").unwrap();
    nest.ok(&["resource", "release", "1"]);
    nest.work_until_idle(&["--tick", "50ms"]);
    nest.ok(&["task", "retry", "1"]);
    nest.work_until_idle(&["--tick", "50ms"]);
    assert_eq!(task(&nest, 1)["state"], "done");
}

#[test]
fn a_retry_is_not_refused_for_max_rounds() {
    let nest = with(&SHIP.replace("max_rounds = 3", "max_rounds = 1"));
    start(&nest, &["ship", "-p", "version=1", "-p", "tries=2"]);
    nest.work_until_idle(&[]);
    let shown = task(&nest, 1);
    assert!(shown["error"].as_str().unwrap().contains("max_rounds"), "{shown}");
    nest.ok(&["task", "retry", "1"]);
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, 1)["state"], "done");
    assert_eq!(ledger(&nest)[1..], ["test", "test", "publish"]);
}

#[test]
fn a_task_that_was_stopped_in_its_last_stage_has_nothing_left() {
    let nest = with(
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncritical = true\n\
         shell = \"echo begun; while ! test -e go; do sleep 0.02; done; echo a >>ledger\"\n",
    );
    let worker = nest.work(&["--tick", "50ms"]);
    start(&nest, &["p"]);
    nest.until_log(1, "begun");
    nest.ok(&["task", "stop", "1"]);
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.say(&["task", "wait", "1"]).code, 1, "its job is done, and the task is not");
    assert_eq!((task(&nest, 1)["state"].as_str(), nest.state(1).as_str()), (Some("cancelled"), "done"));
    refused(&nest, &["task", "retry", "1"], 6, &["nothing of it is left", "tenure task retry 1 --from a"]);
    nest.ok(&["task", "retry", "1", "--from", "a"]);
    assert_eq!(nest.say(&["task", "wait", "1"]).code, 0);
    assert_eq!(ledger(&nest), ["a", "a"]);
    assert_eq!(worker.stop(), 0);
}

#[test]
fn wait_ends_with_the_code_of_the_last_job() {
    let nest = with(THREE);
    start(&nest, &["p", "-p", "v=1"]);
    let said = nest.say(&["task", "wait", "1", "--timeout", "10ms"]);
    assert!(said.code == 124 && said.err.contains("task 1"), "{said:?}");
    nest.work_until_idle(&[]);
    let said = nest.say(&["task", "wait", "1"]);
    assert!(said.code == 7 && said.err.contains("task 1 failed: stage b failed"), "{said:?}");
    std::fs::write(nest.file("good"), "").unwrap();
    start(&nest, &["p", "-p", "v=1"]);
    nest.work_until_idle(&[]);
    assert_eq!((nest.say(&["task", "wait", "2"]).code, nest.say(&["task", "wait", "1", "2"]).code), (0, 1));
    assert_eq!(nest.json(&["task", "wait", "2", "--json"])["state"], "done");
    start(&nest, &["p", "-p", "v=1"]);
    nest.ok(&["task", "stop", "3"]);
    assert_eq!(nest.say(&["task", "wait", "3"]).code, 1, "never 0 for a task that is not done");
    refused(&nest, &["task", "wait", "1", "9"], 3, &["no task 9"]);
}

#[test]
fn logs_of_a_task_are_those_of_its_stages_in_order() {
    let nest = with(THREE);
    start(&nest, &["p", "-p", "v=1"]);
    assert!(nest.say(&["task", "logs", "1"]).err.contains("job 1 has not run yet"));
    nest.work_until_idle(&[]);
    assert_eq!(nest.say(&["task", "logs", "1"]).out, "1| from a\n2| from b\n");
    std::fs::write(nest.file("good"), "").unwrap();
    nest.ok(&["task", "retry", "1"]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.ok(&["task", "logs", "1"]), "1| from a\n2| from b\n3| from b\n4| 1");
    assert_eq!(nest.ok(&["task", "logs", "last", "--stage", "b", "-n", "1"]), "2| from b\n3| from b");
    assert_eq!(nest.ok(&["task", "logs", "1", "-f"]), "1| from a\n2| from b\n3| from b\n4| 1", "of an ended task");
    refused(&nest, &["task", "logs", "1", "--stage", "x"], 3, &["no stage \"x\"", "a, b, c"]);
    start(&nest, &["p", "-p", "v=1"]);
    let said = nest.say(&["task", "logs", "2", "--stage", "c"]);
    assert!(said.code == 0 && said.out.is_empty() && said.err.contains("has not entered stage c yet"), "{said:?}");
}

#[test]
fn a_followed_task_is_followed_into_stages_to_come() {
    let nest = with(THREE);
    std::fs::write(nest.file("good"), "").unwrap();
    start(&nest, &["p", "-p", "v=1"]);
    let all = nest.tenure(&["task", "logs", "-f", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits = nest.tenure(&["task", "wait", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    nest.work_until_idle(&[]);
    assert_eq!(said(all.wait_with_output().unwrap()).out, "1| from a\n2| from b\n3| 1\n");
    assert_eq!(said(waits.wait_with_output().unwrap()).code, 0);
}

#[test]
fn a_program_waits_for_a_task_and_retries_it() {
    let nest = with(THREE);
    start(&nest, &["p", "-p", "v=1"]);
    let queue = Queue::open(nest.db()).unwrap();
    assert_eq!(queue.wait_task_timeout(1, Duration::from_millis(10)).unwrap(), None);
    assert!(matches!(queue.retry_task(1), Err(Error::Refused(_))));
    assert!(matches!(queue.task(9), Err(Error::NotFound(_))));
    nest.work_until_idle(&[]);
    let failed = queue.wait_task(1).unwrap();
    assert_eq!((failed.state, failed.stage.as_str(), failed.steps.len()), (TaskState::Failed, "b", 2), "{failed:?}");
    assert_eq!(queue.logs(failed.steps[1].job).read().unwrap(), b"from b\n");
    std::fs::write(nest.file("good"), "").unwrap();
    let job = until("its teardowns to end", || queue.retry_task(1).ok());
    assert_eq!(queue.task(1).unwrap().steps[2].job, job);
    nest.work_until_idle(&[]);
    assert_eq!(queue.wait_task(1).unwrap().state, TaskState::Done);
}
