//! What jobs of a queue with a launcher have in common with all jobs, and what they cannot have.

use serde_json::json;

use crate::launchers::engine::{Engine, came};
use crate::support::{Nest, until};

#[test]
fn checks_retries_dependencies_and_lanes_are_as_everywhere() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let checked = engine.add(&["--check", "echo checked >> ledger; false"]);
    let again = engine.add(&["--retries", "1", "--backoff", "0s..0s"]);
    let first = engine.add(&["--lane", "l"]);
    let second = engine.add(&["--lane", "l"]);
    let after = engine.add(&["--after", &first.to_string()]);
    engine.says(checked, "ended 0");
    assert_eq!(came(&nest.until_ended(checked)), ("failed".into(), "check".into()));
    assert_eq!(std::fs::read_to_string(nest.file("ledger")).unwrap(), "checked\n");
    let name = engine.name(again);
    engine.says(again, "ended 1");
    until("its second attempt", || (engine.name(again) != name).then_some(()));
    engine.says(again, "ended 0");
    assert_eq!(nest.until_ended(again)["attempts"], 2);
    engine.name(first);
    assert_eq!([second, after].map(|job| nest.state(job)), ["queued", "queued"]);
    engine.says(first, "ended 0");
    for job in [second, after] {
        engine.says(job, "ended 0");
        assert_eq!(came(&nest.until_ended(job)).0, "done");
    }
    engine.has_accepted(6);
}

#[test]
fn the_engine_is_given_as_many_runs_as_the_queue_has_slots() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "waiting");
    nest.ok(&["queue", "set", "far", "--slots", "2"]);
    let _worker = nest.work(&["--slots", "1"]);
    let jobs = [(); 4].map(|()| engine.add(&[]));
    jobs[..2].iter().for_each(|job| _ = engine.name(*job));
    engine.until_called("status", 3);
    assert_eq!(jobs.map(|job| nest.state(job)), ["running", "running", "queued", "queued"]);
    let why = nest.ok(&["why", &jobs[2].to_string()]);
    assert!(why.contains("has 2 slots, 2 of them taken"), "{why}");
    engine.says(jobs[1], "ended 0");
    engine.name(jobs[2]);
    assert_eq!(nest.state(jobs[3]), "queued");
}

#[test]
fn what_needs_this_machine_is_refused_with_the_reason() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&["--workspace", "w"]);
    let ended = nest.until_ended(job);
    assert_eq!(came(&ended).0, "failed");
    assert!(ended["error"].as_str().unwrap().contains("a workspace is a directory of this machine"), "{ended}");
    let runs = engine.add(&[]);
    engine.name(runs);
    let said = nest.say(&["suspend", &runs.to_string()]);
    assert!(said.code != 0 && said.err.contains("another engine"), "{said:?}");
    engine.has_accepted(1);
}

#[test]
fn a_run_keeps_its_launcher_when_the_queue_changes_it() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.name(job);
    nest.ok(&["queue", "set", "far", "--launcher", "none"]);
    let here = nest.add(&["-q", "far", "--", "true"]);
    assert_eq!(came(&nest.until_ended(here)).0, "done");
    engine.says(job, "ended 4");
    assert_eq!(nest.until_ended(job)["exit_code"], 4);
    engine.has_accepted(1);
}

#[test]
fn a_worker_that_stops_leaves_the_runs_to_their_engine() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let worker = nest.work(&[]);
    let job = engine.add(&[]);
    engine.name(job);
    engine.until_called("status", 1);
    assert_eq!(worker.stop(), 0);
    assert_eq!((nest.state(job).as_str(), engine.calls("cancel")), ("running", 0));
    let (why, doctor) = (nest.ok(&["why", &job.to_string()]), nest.say(&["doctor"]).out);
    let known = format!("/engine has given it to its engine as of {}, which says since ", engine.name(job));
    assert!(why.contains(&known) && why.contains(": running") && !why.contains("ended"), "{why}");
    assert!(!doctor.contains("lock is free"), "{doctor}");
    engine.says(job, "ended 0");
    nest.work_until_idle(&[]);
    assert_eq!(came(&nest.show(job)).0, "done");
}

#[test]
fn a_worker_that_ends_when_idle_waits_for_the_engine() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let job = engine.add(&[]);
    let worker = nest.work(&["--until-idle"]);
    engine.name(job);
    engine.until_called("status", 3);
    engine.says(job, "ended 0");
    assert_eq!((worker.wait(), came(&nest.show(job)).0.as_str()), (0, "done"));
}

#[test]
fn a_launcher_is_set_with_what_it_needs() {
    let nest = Nest::new();
    let refused = |args: &[&str], why: &str| {
        let said = nest.say(&[&["queue", "set", "q"], args].concat());
        assert!(said.code == 2 && said.err.contains(why), "{args:?}: {said:?}");
    };
    refused(&["--launcher", "nope", "--slots", "1"], "write the directory of a launcher, slurm, ssh or none");
    refused(&["--launcher", ".", "--slots", "1"], "has no executable submit");
    let _engine = Engine::new(&nest, "running");
    refused(&["--launcher", "engine"], "needs --slots N");
    refused(&["--launcher-option", "partition=main"], "the queue has none; set --launcher too");
    for (option, why) in [
        ("partition", "write NAME=VALUE"),
        ("Partition=x", "is not the name of an option"),
        ("=x", "is not the name of an option"),
        ("x=a\nb", "is one line"),
        ("interval=soon", "soon"),
    ] {
        refused(&["--launcher", "engine", "--slots", "1", "--launcher-option", option], why);
    }
    let queue = |name: &str| {
        let all = nest.json(&["queue", "ls", "--json"]);
        all["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).cloned().unwrap()
    };
    nest.ok(&["queue", "set", "far", "--launcher-option", "partition=main", "--launcher-option", "qos=low"]);
    let far = queue("far");
    assert_eq!(far["launcher"], json!(nest.file("engine").canonicalize().unwrap()));
    assert_eq!(far["launcher_options"], json!({"interval": "100ms", "partition": "main", "qos": "low"}));
    nest.ok(&["queue", "set", "far", "--launcher-option", "qos="]);
    assert_eq!(queue("far")["launcher_options"], json!({"interval": "100ms", "partition": "main"}));
    refused_of(&nest, &["--slots", "none"], "needs --slots N");
    nest.ok(&["queue", "set", "far", "--launcher", "none", "--slots", "none"]);
    assert_eq!((&queue("far")["launcher"], &queue("far")["launcher_options"]), (&json!(null), &json!({})));
}

fn refused_of(nest: &Nest, args: &[&str], why: &str) {
    let said = nest.say(&[&["queue", "set", "far"], args].concat());
    assert!(said.code == 2 && said.err.contains(why), "{args:?}: {said:?}");
}

#[test]
fn the_output_of_a_followed_run_comes_while_it_runs() {
    let nest = Nest::new();
    let engine = Engine::new(&nest, "running");
    let _worker = nest.work(&[]);
    let job = engine.add(&[]);
    let name = engine.name(job);
    let heard = std::fs::File::create(nest.file("heard")).unwrap();
    let mut follow = nest.tenure(&["logs", "-f", &job.to_string()]);
    let mut follow = follow.stdout(heard).spawn().unwrap();
    let heard = || std::fs::read_to_string(nest.file("heard")).unwrap_or_default();
    for line in ["first", "second"] {
        let out = format!("{}{line}\n", engine.read(&format!("runs/{name}/out")));
        engine.write(&format!("runs/{name}/out"), &out);
        until("that line", || heard().contains(line).then_some(()));
    }
    assert_eq!(nest.state(job), "running");
    let large = "x".repeat(3 << 20);
    let out = format!("first\nsecond\n{large}\nlast\n");
    engine.write(&format!("runs/{name}/out"), &out);
    engine.says(job, "ended 0");
    assert!(follow.wait().unwrap().success());
    let wanted = format!("of {name}\noutput of {name}\n{out}");
    assert_eq!(std::fs::read_dir(nest.beside().join("followed")).unwrap().count(), 0, "no mark is left");
    assert!(heard() == wanted, "{} bytes, not {}: {:.200}", heard().len(), wanted.len(), heard());
}
