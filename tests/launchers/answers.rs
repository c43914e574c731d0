//! What each answer of an engine comes to.

use serde_json::json;

use crate::launchers::engine::{Engine, came};
use crate::support::Nest;

#[test]
fn a_job_runs_on_the_engine_of_its_queue() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "waiting for a node");
    let _worker = nest.work(&["--slots", "1"]);
    // The only slot of this machine is taken, and the engine needs none.
    let here = nest.sh(&[], "until [ -e go ]; do sleep 0.02; done");
    nest.until_state(here, "running");
    let options = ["--timeout", "90m", "--memory", "1G", "-e", "COLOUR=blue", "--label", "x"];
    let job = engine.add(&options);
    let name = engine.name(job);
    engine.until_called("status", 2);
    let shown = nest.show(job);
    assert_eq!((&shown["state"], &shown["pid"]), (&json!("running"), &json!(null)), "{shown}");
    let env = engine.read(&format!("runs/{name}/env"));
    let lines: Vec<&str> = env.lines().collect();
    for wanted in [
        "COLOUR=blue",
        "TENURE_LAUNCH_SECONDS=5400",
        "TENURE_LAUNCH_MEMORY_BYTES=1073741824",
        "TENURE_LAUNCH_SLOTS=1",
        "TENURE_OPTION_INTERVAL=100ms",
        &format!("TENURE_JOB={job}"),
        "TENURE_LAUNCH_VARIABLES=COLOUR TENURE_JOB TENURE_RUN TENURE_ATTEMPT TENURE_QUEUE",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {env}");
    }
    assert_eq!(engine.read(&format!("runs/{name}/command")), "far\naway\n");
    engine.says(job, "running on node3");
    engine.until_called("status", 2);
    engine.says(job, "ended 0 max_rss=4096 user_ms=7 system_ms=8");
    let ended = nest.until_ended(job);
    assert_eq!(came(&ended), ("done".into(), "exit".into()), "{ended}");
    let run = nest.show(job)["runs"][0].clone();
    assert_eq!((&run["max_rss_bytes"], &run["user_ms"], &run["system_ms"]), (&json!(4096), &json!(7), &json!(8)), "{run}");
    assert!(nest.log(job).contains(&format!("of {name}\noutput of {name}")), "{}", nest.log(job));
    assert_eq!(nest.state(here), "running");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(here);
    engine.has_accepted(1);
}

#[test]
fn each_answer_has_its_end() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let answers = [
        ("ended 0", "done", "exit"),
        ("ended 3", "failed", "exit"),
        ("ended signal:9", "failed", "signal"),
        ("stopped by root", "failed", "signal"),
        ("timeout", "failed", "timeout"),
        ("memory", "failed", "memory"),
        ("lost node3 does not answer", "failed", "lost"),
        ("gone", "failed", "lost"),
    ];
    let jobs = answers.map(|_| engine.add(&[]));
    for (job, (says, ..)) in jobs.iter().zip(answers) {
        engine.says(*job, says);
    }
    for (job, (says, state, reason)) in jobs.iter().zip(answers) {
        let ended = nest.until_ended(*job);
        assert_eq!(came(&ended), (state.to_owned(), reason.to_owned()), "{says}: {ended}");
    }
    engine.has_accepted(answers.len());
}

#[test]
fn a_run_that_is_lost_is_tried_again_if_its_job_says_so() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "lost");
    let _worker = nest.work(&[]);
    let job = engine.add(&["--retries", "2", "--backoff", "0s..0s"]);
    assert_eq!(came(&nest.until_ended(job)), ("failed".into(), "lost".into()));
    engine.has_accepted(3);
}

#[test]
fn a_cancel_reaches_the_engine_and_its_word_ends_the_run() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "waiting");
    let _worker = nest.work(&[]);
    let [waits, runs, ends] = [(); 3].map(|()| engine.add(&[]));
    engine.says(runs, "running");
    engine.name(waits);
    engine.name(ends);
    engine.write("before-cancel", "echo \"$*\" >> cancelled\nexit 0\n");
    for job in [waits, runs] {
        nest.ok(&["cancel", &job.to_string()]);
    }
    crate::support::until("both requests", || (engine.read("cancelled").matches("tenure-").count() >= 2).then_some(()));
    engine.until_called("status", 2);
    assert!([waits, runs].iter().all(|job| nest.state(*job) == "running"), "the engine has not said that they have ended");
    engine.says(waits, "stopped");
    engine.says(runs, "ended 143");
    for job in [waits, runs] {
        assert_eq!(came(&nest.until_ended(job)), ("cancelled".into(), "cancelled".into()));
    }
    // A success that came first is one.
    nest.ok(&["cancel", &ends.to_string()]);
    engine.says(ends, "ended 0");
    assert_eq!(came(&nest.until_ended(ends)).0, "done");
}

#[test]
fn a_timeout_is_kept_where_the_engine_does_not() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let own = engine.add(&["--timeout", "300ms"]);
    assert_eq!(came(&nest.until_ended(own)), ("failed".into(), "timeout".into()));
    let of_queue = engine.add(&[]);
    engine.name(of_queue);
    nest.ok(&["queue", "set", "far", "--max-runtime", "300ms"]);
    assert_eq!(came(&nest.until_ended(of_queue)), ("failed".into(), "timeout".into()));
    // One that waits does not run, and its time does not count.
    engine.first("waiting");
    let waits = engine.add(&["--timeout", "100ms"]);
    engine.name(waits);
    engine.until_called("status", 5);
    assert_eq!(nest.state(waits), "running");
}
