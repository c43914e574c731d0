//! A hook tells the end of its job at least once, also if the worker is killed; it takes no slot, and one that hangs or floods is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use crate::life::left::{lines, number};
use crate::support::{Dice, Nest, kill_child, seed, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

/// Appends a line about the end to a file; it is run with a directory that is the nest's.
fn tell(file: &str, text: &str) -> String {
    format!("echo \"{text}\" >>\"$HOME/{file}\"")
}

fn hooks(nest: &Nest, id: i64) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    nest.show(id)["hooks"].as_array().unwrap().iter().map(|hook| (word(&hook["event"]), word(&hook["state"]))).collect()
}

fn until_told(nest: &Nest, id: i64) {
    until("the hooks to end", || {
        let all = hooks(nest, id);
        (!all.is_empty() && all.iter().all(|(_, state)| state == "done" || state == "given_up")).then_some(())
    });
}

fn config(nest: &Nest, text: &str) -> Vec<(&'static str, std::ffi::OsString)> {
    let file = nest.file("hooks.toml");
    std::fs::write(&file, text).unwrap();
    vec![("TENURE_CONFIG", file.into_os_string())]
}

#[test]
fn a_hook_finds_what_happened_in_its_environment_and_input() {
    let nest = Nest::new();
    let text = tell(
        "told",
        "$TENURE_EVENT $TENURE_STATE $TENURE_REASON $TENURE_EXIT_CODE $TENURE_JOB $TENURE_LABEL $TENURE_QUEUE $TENURE_HOOK_ATTEMPT $MINE",
    );
    let script = format!("{text}; cat >\"$HOME/input\"; cat \"$TENURE_LOG\" >>\"$HOME/told\"; pwd >>\"$HOME/told\"");
    let failed = nest.sh(&["--on-failure", &script, "-l", "night", "-q", "q", "--env", "MINE=mine"], "echo why; exit 3");
    let done = nest.sh(&["--on-failure", "touch \"$HOME/never\"", "--on-success", &tell("done", "$TENURE_STATE")], "true");
    nest.work_until_idle(&[]);
    assert_eq!(hooks(&nest, failed), [("on_failure".into(), "done".into())]);
    let cwd = nest.show(failed)["cwd"].as_str().unwrap().to_owned();
    let told = lines(&nest, "told");
    assert_eq!(told, [format!("on_failure failed exit 3 {failed} night q 1 mine"), "why".into(), cwd]);
    let input: Value = serde_json::from_str(&std::fs::read_to_string(nest.file("input")).unwrap()).unwrap();
    let shown = nest.show(failed);
    for key in
        ["schema", "id", "state", "reason", "exit_code", "command", "label", "run_id", "finished_at", "started_at", "error"]
    {
        assert_eq!(input[key], shown[key], "{key}");
    }
    assert_eq!((lines(&nest, "done"), nest.file("never").exists()), (vec!["done".to_owned()], false));
    let kinds: Vec<Value> = nest.json(&["history", &done.to_string(), "--json"])["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].clone())
        .collect();
    assert!(kinds.contains(&json!("hook_done")), "{kinds:?}");
    assert!(std::fs::read_dir(nest.beside().join("results")).unwrap().next().is_none(), "no input is left");
}

#[test]
fn rules_of_the_configuration_tell_of_jobs_of_every_client() {
    let nest = Nest::new();
    let text = format!(
        "[hooks]\non_failure = '''{}'''\n[hooks.night]\nqueue = 'n*'\non_end = '''{}'''\n",
        tell("failures", "$TENURE_JOB"),
        tell("night", "$TENURE_JOB $TENURE_STATE")
    );
    let env = config(&nest, &text);
    let env: Vec<(&str, &std::ffi::OsStr)> = env.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    let worker = nest.work_with(&TICK, &env);
    nest.sql().execute("INSERT INTO job (command) VALUES ('[\"false\"]')", []).unwrap();
    let night = nest.add(&["-q", "night", "--", "true"]);
    let held = nest.add(&["-q", "night", "--hold", "--", "true"]);
    until_told(&nest, 1);
    until_told(&nest, night);
    nest.ok(&["cancel", &held.to_string()]);
    until_told(&nest, held);
    assert_eq!(lines(&nest, "failures"), ["1"]);
    let told: BTreeSet<String> = lines(&nest, "night").into_iter().collect();
    assert_eq!(told, BTreeSet::from([format!("{night} done"), format!("{held} cancelled")]));
    worker.stop();
    // The next worker has another configuration.
    let _worker = nest.work(&TICK);
    let last = nest.add(&["-q", "night", "--", "false"]);
    nest.until_ended(last);
    assert_eq!(hooks(&nest, last), []);
}

#[test]
fn a_hook_that_fails_runs_again_and_status_tells() {
    let nest = Nest::new();
    let script = format!("{}; echo trying; test -e \"$HOME/up\" || exit 7", tell("tries", "$TENURE_HOOK $TENURE_HOOK_ATTEMPT"));
    let id = nest.sh(&["--on-end", &script], "true");
    let _worker = nest.work(&TICK);
    until("a second try", || (lines(&nest, "tries").len() >= 2).then_some(()));
    let hook = nest.show(id)["hooks"][0].clone();
    assert!(hook["failures"].as_i64().unwrap() >= 1 && hook["error"] == "exit status 7", "{hook}");
    let run = nest.show(id)["runs"].as_array().unwrap().iter().find(|run| run["kind"] == "hook").unwrap()["id"].to_string();
    assert_eq!(nest.ok(&["logs", &id.to_string(), "--run", &run]), "trying");
    let why = nest.ok(&["why", &id.to_string()]);
    assert!(why.contains("its hook on_end"), "{why}");
    std::fs::write(nest.file("up"), "").unwrap();
    until_told(&nest, id);
    let tries = lines(&nest, "tries");
    let expected: Vec<String> = (1..=tries.len()).map(|n| format!("1 {n}")).collect();
    assert_eq!(tries, expected, "the number of the hook stays, that of the attempt counts");
    assert_eq!(hooks(&nest, id), [("on_end".into(), "done".into())]);
}

#[test]
fn a_hook_takes_no_slot_and_its_job_has_ended() {
    let nest = Nest::new();
    let hangs = nest.sh(&["--on-end", "touch \"$HOME/began\"; until test -e \"$HOME/go\"; do sleep 0.02; done"], "true");
    let _worker = nest.work(&["--tick", "20ms", "--slots", "1"]);
    until("the hook", || nest.file("began").exists().then_some(()));
    assert_eq!((nest.state(hangs).as_str(), nest.status()["worker"]["busy"].as_i64()), ("done", Some(0)));
    // Four of them at once, and the only slot is free for jobs.
    for _ in 0..6 {
        nest.sh(&["--on-end", "until test -e \"$HOME/go\"; do sleep 0.02; done"], "true");
    }
    let last = nest.add(&["--", "true"]);
    assert_eq!(nest.until_ended(last)["state"], "done");
    std::fs::write(nest.file("go"), "").unwrap();
    (hangs..last).for_each(|id| until_told(&nest, id));
}

#[test]
fn the_output_and_the_tree_of_a_hook_are_bounded() {
    let nest = Nest::new();
    let flood = "setsid sleep 1000 & head -c 8000000 /dev/zero";
    let id = nest.sh(&["--on-end", flood], "true");
    nest.work_until_idle(&[]);
    until_told(&nest, id);
    let run = number(&nest, "SELECT id FROM run WHERE kind = 'hook' AND hook_id = ?1", 1);
    let log = nest.beside().join("logs").join("000").join(format!("{run}.log"));
    // The middle of the file is a hole.
    let kept = std::fs::metadata(&log).unwrap().blocks() * 512;
    assert!(kept <= (1 << 20) + 65_536, "{kept}");
    assert_eq!(nest.of_runs(), [0; 0], "its whole tree has ended");
}

#[test]
fn a_pipeline_tells_of_its_tasks_and_a_stage_of_its_jobs() {
    let nest = Nest::new();
    let file = nest.file("p.toml");
    let hooks = |name: &str| {
        let line = |event: &str| format!("{event} = '''{}'''\n", tell(name, &format!("{event} $TENURE_TASK $TENURE_STATE")));
        ["on_failure", "on_success", "on_end"].map(line).concat()
    };
    let stage = |name: &str, line: &str| {
        format!("[pipeline.p.stage.{name}]\nshell = '{line}'\nenv = {{ HOME = '{}' }}\n", nest.path().display())
    };
    let text = format!(
        "[pipeline.p]\nstart = 'a'\nparams = ['code']\n[pipeline.p.hooks]\n{}{}on_success = 'b'\n[pipeline.p.stage.a.hooks]\n{}{}",
        hooks("task"),
        stage("a", "true"),
        hooks("stage"),
        stage("b", "exit $TENURE_PARAM_code"),
    );
    std::fs::write(&file, text).unwrap();
    nest.ok(&["pipeline", "apply", file.to_str().unwrap()]);
    for code in ["0", "3"] {
        nest.ok(&["task", "start", "p", "-p", &format!("code={code}")]);
    }
    nest.work_until_idle(&[]);
    let told = |file: &str| lines(&nest, file).into_iter().collect::<BTreeSet<_>>();
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(told("task"), all(&["on_success 1 done", "on_end 1 done", "on_failure 2 failed", "on_end 2 failed"]));
    assert_eq!(told("stage"), all(&["on_success 1 done", "on_end 1 done", "on_success 2 done", "on_end 2 done"]));
    for wrong in ["hooks = 3", "[pipeline.p.hooks]\non_fail = 'x'", "[pipeline.p.stage.a.hooks]\non_end = ' '", "on_end = 'x'"] {
        std::fs::write(&file, format!("[pipeline.p]\nstart = 'a'\n[pipeline.p.stage.a]\nshell = 'true'\n{wrong}\n")).unwrap();
        let said = nest.say(&["pipeline", "apply", file.to_str().unwrap()]);
        assert!(said.code == 2 && said.err.contains("hooks"), "{wrong}: {said:?}");
    }
}

/// 300 jobs, the worker killed 50 times: each end was told at least once, and nothing else.
#[test]
fn every_end_is_told_although_the_worker_is_killed() {
    let (nest, mut dice) = (Nest::new(), Dice::new(seed()));
    let jobs = 300;
    let line = |id: i64| json!({"shell": format!("sleep 0.0{}; exit {}", id % 7, id % 3), "on_end": tell("told", "$TENURE_JOB $TENURE_STATE $TENURE_HOOK")});
    let text: String = (1..=jobs).map(|id| format!("{}\n", line(id))).collect();
    std::fs::write(nest.file("jobs"), text).unwrap();
    nest.ok(&["add", "--from", nest.file("jobs").to_str().unwrap(), "--env", &format!("HOME={}", nest.path().display())]);
    let open = "SELECT (SELECT count(*) FROM job WHERE state IN ('queued', 'running')) + (SELECT count(*) FROM hook WHERE outcome IS NULL) WHERE ?1";
    let mut kills = 0;
    while number(&nest, open, 1) > 0 {
        let mut work = nest.tenure(&["work", "--slots", "3", "--tick", "50ms"]);
        let mut worker = work.stderr(std::process::Stdio::null()).spawn().unwrap();
        let before = lines(&nest, "told").len();
        // A few ends later; the last workers are left to finish.
        let until_lines = before + 1 + dice.below(4) as usize;
        until("more ends", || (lines(&nest, "told").len() >= until_lines.min(jobs as usize)).then_some(()));
        if kills < 50 {
            kills += 1;
            kill_child(&mut worker);
        } else {
            until("the rest", || (number(&nest, open, 1) == 0).then_some(()));
            kill_child(&mut worker);
        }
    }
    println!("{kills} kills");
    let mut told: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for line in lines(&nest, "told") {
        let (id, rest) = line.split_once(' ').unwrap();
        told.entry(id.parse().unwrap()).or_default().push(rest.to_owned());
    }
    assert_eq!(told.len() as i64, jobs, "each job has told its end");
    let mut again = 0;
    for (id, all) in told {
        let state = if id % 3 == 0 { "done" } else { "failed" };
        assert!(all.iter().all(|line| *line == all[0] && line.starts_with(state)), "job {id}: {all:?}");
        again += all.len() - 1;
    }
    println!("{again} ends were told again");
    assert!(kills >= 40, "{kills}");
    assert_eq!(number(&nest, "SELECT count(*) FROM hook WHERE job_id > ?1", 0), jobs, "one hook for each end");
}
