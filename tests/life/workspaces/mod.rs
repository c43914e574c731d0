//! Workspaces: jobs of a key share a directory that is made once, is a cache, and goes only when no run is in it.

mod kept;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::life::left::{lines, outcomes};
use crate::support::strace::{has_strace, strace};
use crate::support::{Nest, until};

/// A prepare command that notes that it was run.
fn counting(then: &str) -> String {
    format!("echo prepared >>\"$HOME/prepares\"; {then}")
}

/// A job of a workspace that notes where it ran.
fn job(nest: &Nest, key: &str, prepare: &str, line: &str) -> i64 {
    nest.sh(&["--workspace", key, "--prepare", prepare, "--backoff", "0s..0s"], line)
}

fn prepares(nest: &Nest) -> usize {
    lines(nest, "prepares").len()
}

fn work_dir(nest: &Nest) -> PathBuf {
    nest.beside().join("work")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect());
    let mut names: Vec<String> = entries.unwrap_or_default();
    names.sort();
    names
}

fn workspaces(nest: &Nest) -> Vec<Value> {
    nest.json(&["workspace", "ls", "--json"])["workspaces"].as_array().unwrap().clone()
}

fn path_of(nest: &Nest, key: &str) -> PathBuf {
    let all = workspaces(nest);
    let one = all.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("no workspace {key}: {all:?}"));
    PathBuf::from(one["path"].as_str().unwrap())
}

#[test]
fn a_job_runs_in_a_workspace_that_is_made_once_and_then_warm() {
    let nest = Nest::new();
    let line = "cat made; pwd; echo \"$TENURE_WORKSPACE\"";
    let first = job(&nest, "repo", &counting("echo whole >made; pwd >where; echo \"$TENURE_WORKSPACE\" >final"), line);
    nest.work_until_idle(&[]);
    let path = path_of(&nest, "repo").display().to_string();
    assert_eq!(nest.log(first), format!("whole\n{path}\n{path}"));
    let read = |name: &str| std::fs::read_to_string(Path::new(&path).join(name)).unwrap();
    assert!(
        read("where").contains("/work/.new-") && read("final").trim() == path,
        "the prepare command ran in a directory of its own"
    );
    let second = job(&nest, "repo", &counting("echo whole >made; pwd >where; echo \"$TENURE_WORKSPACE\" >final"), line);
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(second), nest.log(first));
    assert_eq!(prepares(&nest), 1);
    assert_eq!(outcomes(&nest, second), ["job done"]);
    assert_eq!(names(&work_dir(&nest)).len(), 1);
    let history = nest.ok(&["history", &first.to_string()]);
    assert!(history.contains("preparing") && history.contains("prepared"), "{history}");
    assert!(nest.ok(&["show", &first.to_string()]).contains("repo"));
}

#[test]
fn a_warm_hit_is_one_look_at_the_directory() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    job(&nest, "repo", &counting("true"), "true");
    nest.work_until_idle(&[]);
    job(&nest, "repo", &counting("true"), "true");
    let dir = path_of(&nest, "repo").file_name().unwrap().to_str().unwrap().to_owned();
    let trace = nest.file("trace");
    let mut command = strace();
    command.args(["-qq", "-e", "trace=lstat,stat,newfstatat,statx", "-o"]).arg(&trace);
    let tenure = nest.tenure(&["work", "--until-idle"]);
    command.arg(tenure.get_program()).args(tenure.get_args()).env_clear().current_dir(nest.path());
    command.envs(tenure.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    assert!(command.status().expect("strace is here").success(), "the traced worker ends well");
    let text = std::fs::read_to_string(&trace).unwrap();
    let looks: Vec<&str> = text.lines().filter(|line| line.contains(&format!("{dir}\""))).collect();
    assert_eq!(looks.len(), 1, "{looks:?}");
    assert_eq!(prepares(&nest), 1);
}

#[test]
fn twenty_jobs_of_a_key_prepare_once() {
    let nest = Nest::new();
    for _ in 0..20 {
        job(&nest, "repo", &counting("sleep 0.3; echo whole >made"), "cat made >>\"$HOME/ran\"");
    }
    nest.work_until_idle(&["--slots", "4"]);
    assert_eq!(prepares(&nest), 1);
    assert_eq!(lines(&nest, "ran"), ["whole"; 20]);
}

#[test]
fn a_new_prepare_command_is_a_new_workspace_beside_the_old() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "20ms", "--slots", "2"]);
    let first = job(&nest, "repo", &counting("echo one >made"), "until test -e \"$HOME/go\"; do sleep 0.01; done; cat made");
    nest.until_pid(first);
    let old = path_of(&nest, "repo");
    let second = job(&nest, "repo", &counting("echo two >made"), "cat made");
    nest.until_ended(second);
    assert_eq!(nest.log(second), "two");
    assert_ne!(path_of(&nest, "repo"), old);
    crate::life::left::after_a_tick(&nest);
    assert!(old.join("made").exists(), "a run is in it");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(first);
    assert_eq!(nest.log(first), "one");
    until("the old directory to go", || (!old.exists()).then_some(()));
    assert_eq!(prepares(&nest), 2);
}

#[test]
fn a_job_stands_inside_its_workspace_and_so_does_its_check() {
    let nest = Nest::new();
    let check = "test \"$(pwd)\" = \"$TENURE_WORKSPACE/sub\"";
    let id = nest.sh(
        &["--workspace", "k", "--prepare", "mkdir sub", "--cwd", "sub", "--check", check],
        "test \"$(pwd)\" = \"$TENURE_WORKSPACE/sub\"",
    );
    let empty = nest.sh(&["--workspace", "empty"], "ls -A | wc -l; touch x");
    let again = nest.sh(&["--workspace", "empty", "--after", &empty.to_string()], "ls -A");
    nest.work_until_idle(&[]);
    assert_eq!(nest.until_ended(id)["state"], "done", "{}", nest.show(id));
    assert_eq!((nest.log(empty).as_str(), nest.log(again).as_str()), ("0", "x"));
}

#[test]
fn a_row_by_plain_sql_has_a_workspace_too() {
    let nest = Nest::new();
    nest.ok(&["workspace", "ensure", "k"]);
    let policy = r#"{"workspace": {"key": "k"}}"#;
    nest.sql().execute("INSERT INTO job (command, policy) VALUES (json_array('pwd'), ?1)", [policy]).unwrap();
    nest.sql().execute("INSERT INTO job (command, policy, cwd) VALUES (json_array('pwd'), ?1, '/etc')", [policy]).unwrap();
    nest.sql().execute("INSERT INTO job (command, policy, cwd) VALUES (json_array('pwd'), ?1, '../..')", [policy]).unwrap();
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(1), path_of(&nest, "k").display().to_string());
    for (id, word) in [(2, "absolute"), (3, "leads out")] {
        let job = nest.show(id);
        assert_eq!((&job["state"], &job["reason"]), (&"failed".into(), &"spawn".into()));
        assert!(job["error"].as_str().unwrap().contains(word), "{job}");
    }
}

#[test]
fn a_prepare_command_that_fails_is_not_now_and_leaves_nothing() {
    let nest = Nest::new();
    let prepare_command = "echo half >half; echo no such branch >&2; test -e \"$HOME/repaired\"";
    let id = nest.sh(&["--workspace", "repo", "--prepare", prepare_command, "--backoff", "1h..1h"], "cat half");
    nest.work_until_idle(&[]);
    let shown = nest.show(id);
    assert_eq!((&shown["state"], &shown["attempts"], &shown["deferrals"]), (&"queued".into(), &0.into(), &1.into()));
    assert!(shown["error"].as_str().unwrap().contains("workspace \"repo\" could not be prepared: exit status 1"), "{shown}");
    let why = nest.ok(&["why", &id.to_string()]);
    assert!(why.contains("could not be prepared: exit status 1") && why.contains("attempt 0 of 1 used"), "{why}");
    assert_eq!(nest.log(id), "no such branch", "its output is at hand");
    assert_eq!(outcomes(&nest, id), ["job deferred", "prepare failed"]);
    assert_eq!((names(&work_dir(&nest)), workspaces(&nest).len()), (vec![], 0));
    std::fs::write(nest.file("repaired"), "").unwrap();
    nest.ok(&["set", &id.to_string(), "delay=0s"]);
    nest.work_until_idle(&[]);
    let shown = nest.show(id);
    assert_eq!((&shown["state"], &shown["attempts"]), (&"done".into(), &1.into()), "{shown}");
    assert_eq!(nest.log(id), "half");
}

#[test]
fn a_prepare_that_fails_too_often_fails_all_jobs_that_wait() {
    let nest = Nest::new();
    for _ in 0..4 {
        nest.sh(
            &["--workspace", "k", "--prepare", &counting("sleep 0.2; exit 7"), "--max-deferrals", "1", "--backoff", "0s..0s"],
            "true",
        );
    }
    nest.work_until_idle(&["--slots", "4"]);
    for id in 1..=4 {
        let job = nest.show(id);
        assert_eq!((&job["state"], &job["reason"]), (&"failed".into(), &"workspace".into()), "{job}");
        assert!(nest.ok(&["why", &id.to_string()]).contains("exit status 7"));
        assert_eq!(nest.say(&["wait", &id.to_string()]).code, 1);
    }
    assert!((2..=4).contains(&prepares(&nest)), "twice for all four, not eight times: {}", prepares(&nest));
    let id = nest.sh(&["--workspace", "k", "--prepare", "exit 1", "--no-retry-on", "workspace"], "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(id)["reason"], "workspace");
}

#[test]
fn a_wiped_directory_costs_a_prepare_and_nothing_else() {
    let nest = Nest::new();
    let prepare_command = counting("echo whole >made");
    let _worker = nest.work(&["--tick", "20ms"]);
    let wipes: [&dyn Fn(); 5] = [
        &|| {},
        &|| std::fs::remove_dir_all(path_of(&nest, "repo")).unwrap(),
        &|| std::fs::remove_dir_all(work_dir(&nest)).unwrap(),
        &|| std::fs::rename(work_dir(&nest), nest.file(&format!("moved-{}", prepares(&nest)))).unwrap(),
        &|| {
            let path = path_of(&nest, "repo");
            std::fs::remove_dir_all(&path).unwrap();
            std::fs::write(path, "a file").unwrap();
        },
    ];
    for (n, wipe) in wipes.iter().enumerate() {
        wipe();
        let id = job(&nest, "repo", &prepare_command, "cat made");
        let ended = nest.until_ended(id);
        assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &1.into()), "{n}: {ended}");
        assert_eq!((nest.log(id).as_str(), prepares(&nest)), ("whole", n + 1));
    }
}

#[test]
fn a_link_that_is_planted_in_the_way_is_not_followed() {
    let nest = Nest::new();
    let prepare_command = counting("echo whole >made");
    let outside = nest.file("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    let is_untouched = || names(&outside) == ["precious"];
    let first = job(&nest, "repo", &prepare_command, "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(first), "done");
    // In the place of the workspace, of one that is being made, and of one that is being removed.
    let path = path_of(&nest, "repo");
    std::fs::remove_dir_all(&path).unwrap();
    for planted in [path.clone(), work_dir(&nest).join(".new-00000000000000000000000000000000"), work_dir(&nest).join(".trash-1")]
    {
        symlink(&outside, planted).unwrap();
    }
    let second = job(&nest, "repo", &prepare_command, "pwd");
    {
        let _worker = nest.work(&["--tick", "20ms"]);
        nest.until_ended(second);
        until("the links to go", || (names(&work_dir(&nest)).len() == 1).then_some(()));
    }
    assert_eq!((nest.log(second), prepares(&nest)), (path_of(&nest, "repo").display().to_string(), 2));
    assert!(is_untouched());
    // A prepare command that puts a link in the place of its own directory.
    let evil = counting("cd ..; d=$(echo .new-*); rm -r \"$d\"; ln -s \"$HOME/outside\" \"$d\"");
    let third = nest.sh(&["--workspace", "evil", "--prepare", &evil, "--max-deferrals", "0"], "touch here");
    nest.work_until_idle(&[]);
    assert!(nest.show(third)["error"].as_str().unwrap().contains("not a directory any more"), "{}", nest.show(third));
    // In the place of `work` itself.
    std::fs::rename(work_dir(&nest), nest.file("elsewhere")).unwrap();
    symlink(nest.file("elsewhere"), work_dir(&nest)).unwrap();
    let fourth =
        nest.sh(&["--workspace", "repo", "--prepare", &prepare_command, "--max-deferrals", "0"], "touch \"$HOME/outside/here\"");
    nest.work_until_idle(&[]);
    let ended = nest.show(fourth);
    assert_eq!((&ended["reason"], &ended["attempts"]), (&"workspace".into(), &1.into()), "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("not followed"), "{ended}");
    assert!(is_untouched());
    assert_eq!(prepares(&nest), 3);
}

#[test]
fn faults_of_a_job_are_found_before_its_workspace_is_prepared() {
    let nest = Nest::new();
    let options = ["--workspace", "k", "--prepare", &counting("true")];
    for command in ["no-such-command-anywhere", "/no/such/command", "/etc/passwd"] {
        let mut all = options.to_vec();
        all.extend(["--", command]);
        nest.add(&all);
    }
    let gone =
        r#"{"workspace": {"key": "k", "prepare": ["sh", "-c", "echo prepared >>$HOME/prepares"]}, "secrets": {"A": "gone"}}"#;
    nest.sql().execute("INSERT INTO job (command, policy) VALUES (json_array('true'), ?1)", [gone]).unwrap();
    nest.work_until_idle(&[]);
    for id in 1..=4 {
        let job = nest.show(id);
        assert_eq!((&job["state"], &job["reason"]), (&"failed".into(), &"spawn".into()), "{job}");
    }
    assert_eq!(prepares(&nest), 0);
    let codes: Vec<i32> = (1..=3).map(|id| nest.say(&["wait", &id.to_string()]).code).collect();
    assert_eq!(codes, [127, 127, 126], "as if the shim had tried");
    // What only the workspace can bring is not looked for before.
    let script = nest.sh(&["--workspace", "s", "--prepare", "printf '#!/bin/sh\\necho ran' >x; chmod +x x"], "exec ./x");
    let direct = nest.add(&["--workspace", "s", "--prepare", "printf '#!/bin/sh\\necho ran' >x; chmod +x x", "--", "./x"]);
    nest.work_until_idle(&[]);
    assert_eq!((nest.log(script).as_str(), nest.log(direct).as_str()), ("ran", "ran"));
}
