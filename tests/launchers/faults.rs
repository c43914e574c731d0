//! Engines that are slow, lie, cannot be reached, or answer twice: a run ends by a word that is certain, and by nothing else.

use serde_json::json;

use crate::launchers::engine::{Engine, came};
use crate::support::{Nest, until};

#[test]
fn an_engine_that_gives_no_answer_ends_nothing() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    let name = engine.name(job);
    let state = format!("runs/{name}/state");
    let answers = ["", "ended", "ended 999", "done", "\u{1b}[2J", "running\ngone", "ended 0\nended 1"];
    for says in answers {
        engine.write(&state, &format!("{says}\n"));
        engine.until_called("status", 3);
        assert_eq!(nest.state(job), "running", "{says:?}");
    }
    for fault in ["exit 1", "echo; exit 0", "kill -9 $$", "head -c 100000 /dev/zero; exit 0", "echo \"$1 gone\"; exit 3"] {
        engine.write("before-status", fault);
        engine.write(&state, "gone\n");
        engine.until_called("status", 2);
        assert_eq!(nest.state(job), "running", "{fault:?}");
        // An engine that has not answered for a while is asked less often.
        engine.write(&state, "running\n");
        engine.remove("before-status");
        // The first of them has been answered when the second begins.
        engine.until_called("status", 2);
    }
    engine.says(job, "ended 0");
    assert_eq!(came(&nest.until_ended(job)).0, "done");
    engine.has_accepted(1);
}

#[test]
fn a_run_that_is_missing_once_is_not_given_up() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.name(job);
    engine.until_called("status", 1);
    engine.write("before-status", "if [ ! -e once ]; then : > once; for name; do echo \"$name gone\"; done; exit 0; fi\n");
    until("that answer", || (!engine.read("calls").is_empty() && nest.file("engine/once").exists()).then_some(()));
    engine.until_called("status", 3);
    assert_eq!(nest.state(job), "running");
    engine.says(job, "ended 0");
    assert_eq!(came(&nest.until_ended(job)).0, "done");
}

#[test]
fn what_a_silent_engine_has_is_told() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.name(job);
    engine.write("before-status", "echo no route to the controller; exit 1\n");
    let told = until("the problem", || {
        let status = nest.status();
        status["problems"].as_array()?.iter().find(|problem| problem["code"] == "engine_silent").cloned()
    });
    assert!(told["text"].as_str().unwrap().contains("exit status 1: no route to the controller"), "{told}");
    engine.remove("before-status");
    until("the problem to be over", || (!nest.status()["problems"].to_string().contains("engine_silent")).then_some(()));
    engine.says(job, "ended 0");
    nest.until_ended(job);
}

#[test]
fn a_refusal_fails_the_job_with_the_words_of_the_engine() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    engine.write("before-submit", "echo 'invalid partition specified: mian' >&2; exit 1\n");
    let _worker = nest.work(&[]);
    let job = engine.add(&["--retries", "5"]);
    let ended = nest.until_ended(job);
    assert_eq!(came(&ended), ("failed".into(), "spawn".into()), "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("refused it: exit status 1: invalid partition specified: mian"), "{error}");
    engine.has_accepted(0);
}

#[test]
fn an_engine_that_takes_nothing_now_gets_the_job_later() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "ended 0");
    engine.write("before-submit", "echo busy; exit 75\n");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.until_called("submit", 2);
    until("the problem", || nest.status()["problems"].to_string().contains("takes no job now: busy").then_some(()));
    engine.remove("before-submit");
    let ended = nest.until_ended(job);
    assert_eq!((came(&ended).0.as_str(), &ended["attempts"]), ("done", &json!(1)), "the others were none: {ended}");
    engine.has_accepted(1);
}

#[test]
fn a_submission_that_fails_after_it_was_accepted_is_found() {
    for fault in ["exit 1", "exit 75", "kill -9 $$"] {
        let nest = Nest::new();
        let engine = Engine::new(&nest, "ended 0");
        engine.write("after-submit", fault);
        let _worker = nest.work(&[]);
        let job = engine.add(&["--retries", "3"]);
        assert_eq!(came(&nest.until_ended(job)).0, "done", "{fault}");
        engine.has_accepted(1);
    }
}

#[test]
fn nothing_is_submitted_again_while_the_engine_is_silent() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    engine.write("after-submit", "exit 1");
    engine.write("before-status", "exit 1");
    let _worker = nest.work(&[]);
    let job = engine.add(&["--retries", "3"]);
    engine.name(job);
    engine.until_called("status", 2);
    let why = nest.ok(&["why", &job.to_string()]);
    assert!(why.contains("whether the engine has it is not known"), "{why}");
    engine.write("after-submit", "");
    engine.remove("before-status");
    engine.says(job, "ended 0");
    assert_eq!(came(&nest.until_ended(job)).0, "done");
    engine.has_accepted(1);
}

#[test]
fn a_launcher_that_is_gone_fails_new_jobs_and_ends_no_run() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let runs = engine.add(&[]);
    engine.name(runs);
    std::fs::rename(nest.file("engine"), nest.file("moved")).unwrap();
    let new = nest.add(&["-q", "far", "--", "x"]);
    let ended = nest.until_ended(new);
    assert_eq!(came(&ended), ("failed".into(), "spawn".into()), "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("/engine/submit"), "{ended}");
    assert_eq!(nest.state(runs), "running");
    std::fs::rename(nest.file("moved"), nest.file("engine")).unwrap();
    engine.says(runs, "ended 0");
    assert_eq!(came(&nest.until_ended(runs)).0, "done");
}

#[test]
fn a_person_ends_a_run_whose_engine_is_gone_for_ever() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.name(job);
    engine.until_called("status", 1);
    worker.kill();
    std::fs::remove_dir_all(nest.file("engine")).unwrap();
    let run = nest.show(job)["run_id"].to_string();
    nest.ok(&["doctor", "--gone", &run]);
    let _next = nest.work(&["--tick", "20ms"]);
    assert_eq!(came(&nest.until_ended(job)), ("failed".into(), "lost".into()));
    assert_ne!(nest.say(&["doctor", "--gone", &run]).code, 0, "it has ended");
}
