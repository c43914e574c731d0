//! What each verb does and says to a person; selectors and filters; queues, lanes, holds and changes.

use crate::faces::said::end;
use crate::support::{Nest, until};

#[test]
fn jobs_are_named_by_number_range_list_and_last() {
    let nest = Nest::new();
    for _ in 0..5 {
        nest.sh(&["--hold"], "true");
    }
    let ids = |args: &[&str]| -> Vec<i64> {
        let text = nest.ok(&[&["show", "--json"], args].concat());
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&["2"]), [2]);
    assert_eq!(ids(&["2-4"]), [2, 3, 4]);
    assert_eq!(ids(&["4,1", "last"]), [1, 4, 5]);
    assert_eq!(ids(&["3-99"]), [3, 4, 5], "a range names what is there");
    assert_eq!(nest.say(&["show", "6"]).code, 3);
    assert_eq!(nest.say(&["show", "6-9"]).code, 3);
    assert_eq!(nest.say(&["show", "1,6"]).code, 3);
    for wrong in ["0", "-1", "x", "1-", "9-3", "", "1.5", "99999999999999999999"] {
        assert_eq!(nest.say(&["show", wrong]).code, 2, "{wrong:?}");
    }
}

#[test]
fn lists_filter_by_state_queue_and_label_with_the_newest_last() {
    let nest = Nest::new();
    nest.sh(&["-q", "a", "-l", "x"], "true");
    nest.sh(&["-q", "b", "-l", "x"], "exit 1");
    nest.work_until_idle(&[]);
    nest.sh(&["-q", "a"], "true");
    nest.sh(&["-q", "b", "-l", "x", "--hold"], "true");
    let ids = |args: &[&str]| -> Vec<i64> {
        let listed = nest.json(&[&["ls", "--json"], args].concat());
        listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&[]), [3, 4], "live ones");
    assert_eq!(ids(&["-a"]), [1, 2, 3, 4]);
    assert_eq!(ids(&["-a", "-n", "2"]), [3, 4], "the newest, newest last");
    assert_eq!(ids(&["--state", "failed"]), [2]);
    assert_eq!(ids(&["--state", "failed", "--state", "done"]), [1, 2]);
    assert_eq!(ids(&["-a", "--queue", "a"]), [1, 3]);
    assert_eq!(ids(&["-a", "--label", "x"]), [1, 2, 4]);
    assert_eq!(ids(&["--label", "x", "--queue", "b"]), [4]);
    assert_eq!(ids(&["--queue", "nowhere"]), [0_i64; 0]);
    assert_eq!(ids(&["1-3", "--queue", "a"]), [1, 3]);
    let text = nest.ok(&["ls", "-a"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("ID") && lines[2].contains("failed (exit)") && lines[4].contains("queued (held)"), "{text}");
    assert!(nest.say(&["ls", "--state", "nonsense"]).code == 2);
    assert!(nest.say(&["ls", "--queue", "nowhere"]).err.contains("no"), "an empty list says so, on stderr");
    let cancelled = nest.say(&["cancel", "--queue", "b"]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    assert_eq!((nest.state(3), nest.state(4)), ("queued".into(), "cancelled".into()));
    assert_eq!(nest.say(&["cancel"]).code, 2, "cancel of nothing is not cancel of everything");
    assert_eq!(nest.say(&["cancel", "1"]).code, 6, "one that has ended");
    nest.ok(&["retry", "--failed", "--label", "x"]);
    assert_eq!((nest.state(1), nest.state(2), nest.state(4)), ("done".into(), "queued".into(), "cancelled".into()));
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let nest = Nest::new();
    let id = nest.sh(&[], "true").to_string();
    nest.ok(&["hold", &id]);
    assert!(nest.ok(&["ls"]).contains("queued (held)"));
    let said = nest.say(&["work", "--until-idle"]);
    assert!(said.code == 0 && said.err.contains("1 by user"), "{said:?}");
    nest.ok(&["release", &id]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.say(&["hold", &id]).code, 6, "one that has ended");
    assert_eq!(nest.say(&["release", "99"]).code, 3);
    let history = nest.ok(&["history", &id]);
    let kinds: Vec<&str> = history
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().find(|w| w.len() > 3 && w.bytes().all(|b| b.is_ascii_lowercase())).unwrap())
        .collect();
    assert_eq!(kinds, ["added", "held", "released", "claimed", "done"], "{history}");
}

#[test]
fn a_queued_job_can_be_changed_and_no_other() {
    let nest = Nest::new();
    let id = nest.sh(&["--hold"], "exit 3").to_string();
    nest.ok(&["set", &id, "priority=-7", "queue=other", "label=new name", "delay=1h", "timeout=90s", "retries=4"]);
    let job = nest.json(&["show", &id, "--json"]);
    assert_eq!(
        (&job["priority"], &job["queue"], &job["label"], &job["max_attempts"]),
        (&(-7).into(), &"other".into(), &"new name".into(), &5.into())
    );
    assert!(nest.ok(&["show", &id]).contains("1m 30s"));
    nest.ok(&["set", &id, "label=", "timeout=none", "delay=0s", "retries=0"]);
    let job = nest.json(&["show", &id, "--json"]);
    assert!(job["label"].is_null() && job["max_attempts"] == 1);
    for wrong in ["priority=x", "nonsense=1", "priority", "queue=", "retries=-1", "delay=5", "priority=99999999999999999999"] {
        assert_eq!(nest.say(&["set", &id, wrong]).code, 2, "{wrong}");
    }
    nest.ok(&["release", &id]);
    nest.work_until_idle(&[]);
    let late = nest.say(&["set", &id, "priority=1"]);
    assert_eq!(late.code, 6, "{late:?}");
    assert_eq!(nest.say(&["set", "99", "priority=1"]).code, 3);
}

#[test]
fn a_paused_queue_starts_nothing_and_others_go_on() {
    let nest = Nest::new();
    nest.ok(&["queue", "pause", "slow"]);
    let (slow, fast) = (nest.sh(&["-q", "slow"], "true"), nest.sh(&["-q", "fast"], "true"));
    let said = nest.say(&["work", "--until-idle"]);
    assert!(said.code == 0 && said.err.contains("1 job"), "it says who waits: {said:?}");
    assert_eq!((nest.state(slow), nest.state(fast)), ("queued".into(), "done".into()));
    let listed = nest.ok(&["queue", "ls"]);
    assert!(listed.lines().any(|line| line.starts_with("slow") && line.ends_with("paused")), "{listed}");
    nest.ok(&["queue", "resume", "slow"]);
    let other = nest.sh(&["-q", "third"], "true");
    nest.work_until_idle(&["--queue", "slow"]);
    assert_eq!((nest.state(slow), nest.state(other)), ("done".into(), "queued".into()), "a worker of one queue");
}

#[test]
fn a_mistyped_queue_or_a_needless_release_is_said() {
    let nest = Nest::new();
    let id = nest.add(&["--delay", "1h", "--", "true"]).to_string();
    for verb in [&["queue", "pause", "defautl"][..], &["queue", "set", "defulat", "--slots", "2"]] {
        let said = nest.say(verb);
        assert_eq!(said.code, 0, "a queue may be set up before its first job: {said:?}");
        assert!(said.err.contains("and it is created; did you mean \"default\"?"), "{said:?}");
    }
    assert_eq!(nest.say(&["queue", "pause", "default"]).err, "");
    let unknown = nest.say(&["queue", "resume", "nightly"]);
    assert_eq!(unknown.code, 0, "it is not paused, as was asked for: {unknown:?}");
    assert!(unknown.err.contains("there was no queue \"nightly\", so nothing was paused"), "{unknown:?}");
    assert!(!nest.ok(&["queue", "ls"]).contains("nightly"));
    for (verb, told) in [
        ("release", "was not held (tenure why says what it waits for)"),
        ("hold", "is held; tenure release ends that"),
        ("hold", "was held already"),
        ("release", "is released"),
    ] {
        let said = nest.say(&[verb, &id]);
        assert!((said.out.clone() + &said.err).contains(&format!("job {id} {told}")), "{verb}: {said:?}");
    }
    for (verb, changed) in [("release", "unchanged"), ("hold", "held"), ("hold", "unchanged"), ("release", "released")] {
        assert_eq!(nest.json(&[verb, &id, "--json"])["changed"], changed, "{verb}");
    }
    (0..11).for_each(|_| _ = nest.add(&["--hold", "--", "true"]));
    let many = nest.say(&["hold", "1-12"]);
    assert!(many.err.contains("12 jobs: 1 held, 11 unchanged"), "{many:?}");
}

#[test]
fn a_lane_is_one_at_a_time_over_all_queues() {
    let nest = Nest::new();
    let line = "mkdir busy || echo two >>overlap; sleep 0.05; rmdir busy; echo x >>done";
    for queue in ["a", "b", "a", "b", "c", "c"] {
        nest.sh(&["--lane", "gate", "-q", queue], line);
    }
    nest.work_until_idle(&["--slots", "6"]);
    assert_eq!(std::fs::read_to_string(nest.file("done")).unwrap().lines().count(), 6);
    assert!(!nest.file("overlap").exists());
    nest.ok(&["lane", "set", "gate", "--limit", "3"]);
    let _worker = nest.work(&["--slots", "6"]);
    let ids: Vec<i64> = (0..5).map(|_| nest.sh(&["--lane", "gate"], "while [ ! -e go ]; do sleep 0.02; done")).collect();
    until("three to run", || (nest.status()["lanes"][0]["running"] == 3).then_some(()));
    assert_eq!(nest.status()["counts"]["running"], 3);
    assert!(nest.ok(&["lane", "ls"]).contains("gate"));
    std::fs::write(nest.file("go"), "").unwrap();
    ids.iter().for_each(|id| assert_eq!(end(&nest.until_ended(*id)), "done/exit"));
    assert_eq!(nest.say(&["lane", "set", "gate", "--limit", "0"]).code, 2);
}

#[test]
fn until_idle_leaves_delayed_jobs_and_until_empty_does_not() {
    let nest = Nest::new();
    nest.sh(&["--delay", "1s"], "true");
    let again = nest.sh(&["--retries", "1", "--backoff", "1s..1s"], "[ $TENURE_ATTEMPT = 2 ]");
    nest.sh(&["--hold"], "true");
    let idle = nest.say(&["work", "--until-idle"]);
    assert!(idle.code == 0 && idle.err.contains("by time") && idle.err.contains("1 by user"), "{idle:?}");
    let empty = nest.say(&["work", "--until-empty"]);
    assert!(empty.code == 0 && empty.err.contains("1 by user") && !empty.err.contains("by time"), "{empty:?}");
    assert_eq!((nest.state(1), nest.state(again), nest.state(3)), ("done".into(), "done".into(), "queued".into()));
}

#[test]
fn dependencies_are_met_by_what_they_need() {
    let nest = Nest::new();
    let (good, bad) = (nest.sh(&[], "true").to_string(), nest.sh(&[], "exit 1").to_string());
    let cases: &[(&[&str], &str)] = &[
        (&["--after", &good], "done"),
        (&["--after", &good, &bad], "failed"),
        (&["--after-any", &bad], "done"),
        (&["--after-failed", &bad], "done"),
        (&["--after-failed", &good], "cancelled"),
        (&["--after", &good, "--after-failed", &bad], "done"),
        (&["--after", "1-1"], "done"),
    ];
    let ids: Vec<i64> = cases.iter().map(|(options, _)| nest.sh(options, "true")).collect();
    assert_eq!(nest.say(&["add", "--after", "99", "--", "true"]).code, 3);
    assert_eq!(nest.say(&["add", "--after", &good, "--after-any", &good, "--", "true"]).code, 2);
    nest.work_until_idle(&[]);
    for (id, (options, state)) in ids.iter().zip(cases) {
        assert_eq!(nest.state(*id), *state, "{options:?}");
    }
    let late = nest.sh(&["--after", &bad], "true");
    assert_eq!(nest.state(late), "failed", "what can never start is told at once");
}

#[test]
fn logs_shows_one_run_the_last_lines_or_what_comes() {
    let nest = Nest::new();
    let id = nest
        .sh(&["--retries", "1", "--backoff", "0s..0s"], "echo a $TENURE_ATTEMPT; echo e >&2; echo c; [ $TENURE_ATTEMPT = 2 ]")
        .to_string();
    let none = nest.say(&["logs", &id]);
    assert!(none.code == 0 && none.out.is_empty() && none.err.contains("has not run yet"), "{none:?}");
    nest.work_until_idle(&[]);
    assert_eq!(nest.ok(&["logs", &id]), "a 2\ne\nc");
    assert_eq!(nest.ok(&["logs", &id, "-n", "1"]), "c");
    assert_eq!(nest.ok(&["logs", &id, "-n", "0"]), "");
    assert_eq!(nest.ok(&["logs", &id, "--run", "1"]), "a 1\ne\nc");
    assert_eq!(nest.say(&["logs", &id, "--run", "99"]).code, 3);
    assert_eq!(nest.ok(&["logs", "-f", &id]), "a 2\ne\nc", "of one that has ended, that is all");
    let worker = nest.work(&[]);
    let live = nest.sh(&[], "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two").to_string();
    nest.until_pid(live.parse().unwrap());
    let follower = nest.tenure(&["logs", "-f", &live]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(crate::support::said(follower.wait_with_output().unwrap()).out, "one\ntwo\n");
    drop(worker);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(nest.say(&["logs", &id]).code, 3);
    assert!(std::fs::read_dir(nest.beside().join("logs/000")).unwrap().next().is_none(), "logs go with their jobs");
}
