//! Which workspaces stay and which go.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::life::left::outcomes;
use crate::support::{Nest, kill_child, until};

use super::{counting, job, names, path_of, prepares, work_dir, workspaces};

#[test]
fn only_a_workspace_that_no_run_is_in_is_removed() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "20ms"]);
    let id = job(&nest, "repo", "mkdir a; echo x >a/x; chmod 500 a", "until test -e \"$HOME/go\"; do sleep 0.01; done");
    nest.until_pid(id);
    let path = path_of(&nest, "repo");
    let refused = nest.say(&["workspace", "rm", "repo"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains(&format!("tenure wait {id}")), "{refused:?}");
    assert!(path.join("a/x").exists());
    assert_eq!(nest.status()["workspaces"]["in_use"], 1);
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(id);
    nest.ok(&["workspace", "rm", "repo"]);
    assert!(!path.exists());
    assert_eq!(workspaces(&nest).len(), 0);
    // The worker may have been at it too.
    until("all of it to go", || names(&work_dir(&nest)).is_empty().then_some(()));
    assert_eq!(nest.say(&["workspace", "rm", "repo"]).code, 3);
    drop(worker);
    let making = job(&nest, "slow", "until test -e \"$HOME/gone\"; do sleep 0.01; done", "true");
    let _worker = nest.work(&["--tick", "20ms"]);
    until("the prepare", || nest.ok(&["why", &making.to_string()]).contains("is being prepared by run").then_some(()));
    let refused = nest.say(&["workspace", "rm", "slow"]);
    assert!(refused.code == 6 && refused.err.contains("is being prepared"), "{refused:?}");
    std::fs::write(nest.file("gone"), "").unwrap();
    nest.until_ended(making);
}

#[test]
fn above_the_limit_the_least_recently_used_idle_ones_go() {
    let nest = Nest::new();
    std::fs::write(nest.file("config.toml"), "[workspace]\nmax_size = \"1M\"\n").unwrap();
    let fill = "dd if=/dev/zero of=x bs=1024 count=400 2>/dev/null";
    let mut work = nest.tenure(&["work", "--tick", "20ms", "--slots", "2"]);
    let mut worker = work.env("TENURE_CONFIG", nest.file("config.toml")).stderr(Stdio::null()).spawn().unwrap();
    let user = job(&nest, "used", fill, "until test -e \"$HOME/go\"; do sleep 0.01; done");
    nest.until_pid(user);
    for key in ["a", "b"] {
        let id = job(&nest, key, fill, "true");
        nest.until_ended(id);
    }
    // Three of 400 KiB are above 1 MiB: `used` is the oldest and in use, so `a` goes.
    let keys = || workspaces(&nest).iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    until("the least recently used one to go", || (keys() == ["b", "used"]).then_some(()));
    until("its directory to go", || (names(&work_dir(&nest)).len() == 2).then_some(()));
    crate::life::left::after_a_tick(&nest);
    assert_eq!(keys(), ["b", "used"]);
    assert_eq!(nest.counter("workspaces_evicted_total"), 1);
    // Used again, `b` is the younger one.
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(user);
    let again = job(&nest, "b", fill, "true");
    nest.until_ended(again);
    let third = job(&nest, "c", fill, "true");
    nest.until_ended(third);
    until("the next one to go", || (keys() == ["b", "c"]).then_some(()));
    kill_child(&mut worker);
}

#[test]
fn an_orphaned_directory_is_swept_and_told_by_doctor() {
    let nest = Nest::new();
    let id = job(&nest, "repo", "mkdir -p a/b; chmod 0 a", "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(id), "done");
    let orphan = work_dir(&nest).join("left-0badf00d");
    for dir in [orphan.join("a/b/c"), work_dir(&nest).join(".new-0"), work_dir(&nest).join(".trash-0")] {
        std::fs::create_dir_all(dir).unwrap();
    }
    std::fs::set_permissions(orphan.join("a/b"), std::fs::Permissions::from_mode(0o500)).unwrap();
    let doctor = nest.say(&["doctor"]);
    assert!(doctor.out.contains("belong to no workspace") && doctor.out.contains("left-0badf00d"), "{doctor:?}");
    let _worker = nest.work(&["--tick", "20ms"]);
    until("an orphaned directory to go", || (names(&work_dir(&nest)).len() == 1).then_some(()));
    assert!(nest.say(&["doctor"]).out.contains("1 in "));
    assert!(path_of(&nest, "repo").exists());
}

#[test]
fn every_key_is_one_workspace_in_its_place() {
    let nest = Nest::new();
    let long = "x".repeat(200);
    let keys = [
        "a/b",
        "../../../../tmp/x",
        "..",
        ".",
        "/",
        "a\u{1b}[2Jb",
        "new\nline",
        "日本語",
        "-rf",
        ".new-1",
        "work",
        &long,
        "a b",
        "'",
        "\\",
    ];
    for key in keys {
        let id = nest.sh(&[&format!("--workspace={key}"), "--prepare", "echo x >made"], "cat made");
        nest.work_until_idle(&[]);
        assert_eq!(nest.state(id), "done", "{key:?}: {}", nest.show(id));
    }
    assert_eq!((names(&work_dir(&nest)).len(), workspaces(&nest).len()), (keys.len(), keys.len()));
    let shown = nest.ok(&["workspace", "ls"]);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n') && shown.lines().count() == keys.len() + 1, "{shown:?}");
    for key in keys {
        let said = nest.say(&["workspace", "rm", "--", key]);
        assert_eq!(said.code, 0, "{key:?}: {said:?}");
    }
    assert_eq!(names(&work_dir(&nest)), [""; 0]);
}

#[test]
fn a_cancel_reaches_a_prepare_and_the_jobs_that_wait_for_it() {
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "20ms", "--slots", "3"]);
    let prepare_command = counting("until test -e \"$HOME/go\"; do sleep 0.01; done");
    let leads = job(&nest, "k", &prepare_command, "true");
    until("the prepare", || (prepares(&nest) == 1).then_some(()));
    let waits = job(&nest, "k", &prepare_command, "echo ran");
    let leaves = job(&nest, "k", &prepare_command, "true");
    nest.until_state(leaves, "running");
    nest.ok(&["cancel", &leaves.to_string()]);
    assert_eq!(nest.until_ended(leaves)["state"], "cancelled");
    nest.until_state(waits, "running");
    nest.ok(&["cancel", &leads.to_string()]);
    let ended = nest.until_ended(leads);
    assert_eq!((&ended["state"], &ended["exit_code"]), (&"cancelled".into(), &Value::Null), "{ended}");
    // The one that waited leads now.
    until("another prepare", || (prepares(&nest) == 2).then_some(()));
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.until_ended(waits)["state"], "done");
    until("what was left of the first to go", || (names(&work_dir(&nest)).len() == 1).then_some(()));
    assert_eq!(outcomes(&nest, leads), ["job cancelled", "prepare cancelled"]);
}
