//! Tasks with real processes: what a stop ends and what it waits for, and walks on which the worker is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dice, Nest, Signal, kill, lives, seed, until};

fn with(pipelines: &str) -> Nest {
    let nest = Nest::new();
    std::fs::write(nest.file("p.toml"), pipelines).unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest
}

fn start(nest: &Nest, args: &[&str]) -> i64 {
    nest.ok(&[&["task", "start"], args].concat()).parse().expect("the id alone")
}

fn task(nest: &Nest, id: i64) -> Value {
    nest.json(&["task", "show", &id.to_string(), "--json"])
}

fn until_task(nest: &Nest, id: i64, state: &str) -> Value {
    until(&format!("task {id} to be {state}"), || Some(task(nest, id)).filter(|task| task["state"] == state))
}

fn until_file(nest: &Nest, name: &str) -> String {
    until(name, || std::fs::read_to_string(nest.file(name)).ok().filter(|text| text.ends_with('\n')))
}

/// A stage that says that it has begun, waits for the file `go`, and says that it has ended. A signal is recorded.
const WAITS: &str =
    "trap 'echo signal >>signals' TERM INT HUP; echo begun >begun; while ! test -e go; do sleep 0.02; done; echo ended >ended";

fn publish(options: &str) -> String {
    format!(
        "[pipeline.p]\nstart = \"publish\"\n[pipeline.p.stage.publish]\nshell = {}\non_success = \"after\"\n{options}\n\
         [pipeline.p.stage.after]\nshell = \"echo after >after\"\n",
        json!(WAITS)
    )
}

#[test]
fn a_stop_during_a_critical_stage_waits_for_its_honest_end() {
    let nest = with(&publish("critical = true\nretries = 3\ncheck = \"test -e checked\""));
    let _worker = nest.work(&["--tick", "50ms"]);
    let id = start(&nest, &["p", "--key", "k"]);
    until_file(&nest, "begun");
    let said = nest.say(&["task", "stop", "1", "--why", "enough"]);
    assert!(said.code == 0 && said.err.contains("critical stage publish"), "{said:?}");
    assert_eq!(nest.json(&["task", "stop", "1", "--json"])["stopped"], "waits", "to ask again changes nothing");
    let advance = nest.say(&["task", "advance", "1", "--expect", "publish", "--to", "after"]);
    assert_eq!(advance.code, 6, "{advance:?}");
    assert_eq!((&task(&nest, id)["state"], &task(&nest, id)["stop_why"]), (&json!("running"), &json!("enough")));
    assert_eq!(nest.show(1)["state"], "running");
    std::fs::write(nest.file("checked"), "").unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    let ended = until_task(&nest, id, "cancelled");
    assert!(ended["error"].as_str().unwrap().contains("stopped: enough"), "{ended}");
    assert_eq!(std::fs::read_to_string(nest.file("ended")).unwrap(), "ended\n");
    assert!(!nest.file("signals").exists(), "no signal was sent");
    assert!(!nest.file("after").exists() && ended["jobs"] == json!([1]), "and nothing follows");
    let job = nest.show(1);
    assert_eq!((&job["state"], job["runs"].as_array().unwrap().len()), (&json!("done"), 2), "its own end, and its check: {job}");
    // The next task does not end before it is stopped.
    std::fs::remove_file(nest.file("go")).unwrap();
    assert_eq!(start(&nest, &["p", "--key", "k"]), 2, "its key is free");
    let mut stop = nest.tenure(&["task", "stop", "2", "--wait"]).spawn().unwrap();
    until("the stop to be written", || (!task(&nest, 2)["stop_at"].is_null()).then_some(()));
    std::fs::write(nest.file("go"), "").unwrap();
    assert!(stop.wait().unwrap().success());
}

#[test]
fn a_failed_critical_stage_with_a_waiting_stop_is_not_retried() {
    let nest = with(&publish("critical = true\nretries = 3\nbackoff = \"0s..0s\"").replace("echo ended >ended", "exit 3"));
    let _worker = nest.work(&["--tick", "50ms"]);
    let id = start(&nest, &["p"]);
    until_file(&nest, "begun");
    nest.ok(&["task", "stop", "1"]);
    std::fs::write(nest.file("go"), "").unwrap();
    until_task(&nest, id, "cancelled");
    let job = nest.show(1);
    assert_eq!(
        (&job["attempts"], &job["exit_code"], &job["runs"][0]["outcome"]),
        (&json!(1), &json!(3), &json!("failed")),
        "{job}"
    );
    assert!(job["error"].as_str().unwrap().contains("exit status 3"), "{job}");
}

#[test]
fn a_critical_stage_with_a_waiting_stop_outlives_the_worker() {
    let nest = with(&publish("critical = true"));
    let worker = nest.work(&[]);
    let id = start(&nest, &["p"]);
    until_file(&nest, "begun");
    worker.kill();
    nest.ok(&["task", "stop", "1"]);
    let worker = nest.work(&["--tick", "50ms"]);
    assert_eq!(nest.show(1)["state"], "running");
    std::fs::write(nest.file("go"), "").unwrap();
    until_task(&nest, id, "cancelled");
    assert_eq!(nest.state(1), "done");
    assert!(nest.file("ended").exists() && !nest.file("signals").exists());
    worker.stop();
}

#[test]
fn a_stop_ends_the_whole_tree_of_a_stage_that_is_not_critical() {
    let nest = with(
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\nshell = \"setsid sleep 600 & echo $! >escaped; echo $$ >own; wait\"\n\
         on_success = \"b\"\non_failure = \"b\"\ngrace = \"100ms\"\nretries = 5\n[pipeline.p.stage.b]\nshell = \"echo b >b\"\n",
    );
    let _worker = nest.work(&["--tick", "50ms"]);
    let id = start(&nest, &["p"]);
    let pids: Vec<i32> = ["escaped", "own"].map(|name| until_file(&nest, name).trim().parse().unwrap()).into();
    nest.ok(&["task", "stop", "1", "--wait"]);
    assert_eq!(task(&nest, id)["state"], "cancelled");
    assert!(pids.iter().all(|pid| !lives(*pid)), "{pids:?}");
    assert!(nest.of_runs().is_empty() && !nest.file("b").exists());
    assert_eq!((nest.state(1).as_str(), &task(&nest, id)["jobs"]), ("cancelled", &json!([1])));
}

#[test]
fn an_advanced_task_starts_its_stage_after_the_last_tree() {
    let nest = with(
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\n\
         shell = \"trap 'sleep 0.3; echo gone >>order; exit 0' TERM; echo $$ >own; while :; do sleep 0.02; done\"\non_success = \"c\"\n\
         [pipeline.p.stage.b]\nshell = \"echo b >>order\"\n[pipeline.p.stage.c]\nshell = \"echo c >>order\"\non_success = \"b\"\n",
    );
    let _worker = nest.work(&["--tick", "50ms"]);
    let id = start(&nest, &["p"]);
    until_file(&nest, "own");
    let said = nest.say(&["task", "advance", "1", "--expect", "a", "--to", "b"]);
    assert!(said.code == 0 && said.err.contains("job 1 is being stopped first"), "{said:?}");
    let ended = until_task(&nest, id, "done");
    assert_eq!(std::fs::read_to_string(nest.file("order")).unwrap(), "gone\nb\n", "and a second ending moves nothing");
    assert_eq!(ended["steps"][0]["outcome"], "advanced");
}

/// Each stage notes that it has begun and that it has ended.
fn five_stages() -> String {
    let mut text = "[pipeline.walk]\nstart = \"s1\"\n".to_owned();
    for n in 1..=5 {
        let next = if n < 5 { format!("on_success = \"s{}\"\n", n + 1) } else { String::new() };
        let line =
            "echo $TENURE_TASK $TENURE_STAGE >>begun; sleep 0.0$((TENURE_JOB % 5)); echo $TENURE_TASK $TENURE_STAGE >>ended";
        text += &format!("[pipeline.walk.stage.s{n}]\nshell = {}\n{next}", json!(line));
    }
    text
}

/// Walks with kills of the worker at random instants. A killed worker leaves its runs to their shims, so no stage is done twice.
fn walks(tasks: i64, kills: u64) {
    let nest = with(&five_stages());
    let mut dice = Dice::new(seed());
    for _ in 0..tasks {
        start(&nest, &["walk"]);
    }
    for _ in 0..kills {
        let worker = nest.work(&["--slots", "6", "--tick", "50ms"]);
        std::thread::sleep(Duration::from_millis(20 + dice.below(300))); // the moment is what is random here
        worker.kill();
    }
    let worker = nest.work(&["--slots", "6", "--tick", "50ms"]);
    let mut left = i64::MAX;
    // Each step is progress, however many there are.
    let counts = loop {
        let counts = until("tasks to move on", || {
            let counts = nest.status()["tasks"].clone();
            let now = counts["running"].as_i64().expect("a number");
            (now < left).then_some(counts)
        });
        left = counts["running"].as_i64().expect("a number");
        if left == 0 {
            break counts;
        }
    };
    worker.stop();
    assert_eq!(counts["done"], tasks, "{counts}");
    for name in ["begun", "ended"] {
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::fs::read_to_string(nest.file(name)).unwrap().lines() {
            let (task, stage) = line.split_once(' ').unwrap();
            seen.entry(task.to_owned()).or_default().push(stage.to_owned());
        }
        assert_eq!(seen.len() as i64, tasks);
        for (task, stages) in seen {
            assert_eq!(stages, ["s1", "s2", "s3", "s4", "s5"], "task {task}: {name}");
        }
    }
    let conn = nest.sql();
    let odd: i64 = conn
        .query_row(
            "SELECT count(*) FROM task WHERE (SELECT group_concat(stage || outcome, ' ') FROM task_step WHERE task_id = task.id) \
                    <> 's1done s2done s3done s4done s5done'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(odd, 0);
}

#[test]
fn a_worker_killed_often_skips_and_repeats_no_stage() {
    walks(60, 15);
}

#[test]
#[ignore = "a soak: cargo test --release --test all life:: -- --ignored"]
fn a_thousand_tasks_of_five_stages_with_kills() {
    walks(1_000, 150);
}

#[test]
fn a_second_signal_leaves_a_critical_stage_to_its_shim() {
    let text = publish("critical = true")
        + "[pipeline.q]\nstart = \"a\"\n[pipeline.q.stage.a]\nshell = \"echo begun >other; exec sleep 600\"\ngrace = \"100ms\"\n";
    let nest = with(&text);
    let worker = nest.work(&["--drain"]);
    let (critical, other) = (start(&nest, &["p"]), start(&nest, &["q"]));
    until_file(&nest, "begun");
    until_file(&nest, "other");
    kill(worker.pid(), Signal::TERM);
    until("it to wait", || worker.said().contains("waiting for 2 jobs").then_some(()));
    kill(worker.pid(), Signal::TERM);
    worker.wait();
    assert!(!nest.file("signals").exists() && !nest.file("ended").exists());
    let worker = nest.work(&["--tick", "50ms"]);
    until_task(&nest, other, "cancelled");
    std::fs::write(nest.file("go"), "").unwrap();
    until_task(&nest, critical, "done");
    assert!(nest.file("after").exists());
    worker.stop();
}

#[test]
fn a_stop_without_a_worker_asks_the_shim_itself() {
    let nest = with(&publish("grace = \"10s\"").replace("trap 'echo signal >>signals' TERM INT HUP; ", ""));
    let worker = nest.work(&[]);
    let id = start(&nest, &["p"]);
    let pid = nest.until_pid(1);
    worker.kill();
    let said = nest.say(&["task", "stop", "1"]);
    assert!(said.code == 0 && said.err.contains("it was asked to stop; there is no worker"), "{said:?}");
    until("its process to be gone", || (!lives(pid)).then_some(()));
    assert_eq!(task(&nest, id)["state"], "running", "no worker has recorded it yet");
    nest.work_until_idle(&[]);
    assert_eq!((&task(&nest, id)["state"], nest.state(1).as_str()), (&json!("cancelled"), "cancelled"));
    assert!(!nest.file("after").exists());
}
