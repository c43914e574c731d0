//! Any process may be killed while a workspace is prepared: no unfinished directory becomes one, the job runs once, and nothing is held against it.

use std::process::{Child, Stdio};

use tenure::job::{Argv, JobId, RunId, RunKind, Workspace};
use tenure::run::Record;
use tenure::store::job::auxiliary::{self, Opening};
use tenure::store::job::ids::Prepared;
use tenure::store::workspace::{self, Made};

use crate::life::left::{self, NOW_MS, claimed, claimed_in, lines, number, outcomes, run_file, store};
use crate::support::{Dice, Nest, Signal, children, kill, kill_child, lives, seed, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "4"];
const RAN: &str = "test -e half && test -e whole && echo ran >>\"$HOME/ran\"";

/// A prepare command that is half done until `go` is there.
const HALF: &str =
    "echo prepared >>\"$HOME/prepares\"; echo x >half; until test -e \"$HOME/go\"; do sleep 0.01; done; echo x >whole";

fn job(nest: &Nest, prepare_command: &str) -> i64 {
    nest.sh(&["--workspace", "repo", "--prepare", prepare_command, "--backoff", "0s..0s"], RAN)
}

fn go(nest: &Nest) {
    std::fs::write(nest.file("go"), "").unwrap();
}

fn prepares(nest: &Nest) -> usize {
    lines(nest, "prepares").len()
}

fn names(nest: &Nest) -> Vec<String> {
    let entries = std::fs::read_dir(nest.beside().join("work"));
    let mut names: Vec<String> =
        entries.map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()).unwrap_or_default();
    names.sort();
    names
}

fn open_prepare(nest: &Nest) -> i64 {
    until("a prepare", || {
        let sql = "SELECT id FROM run WHERE kind = 'prepare' AND finished_at IS NULL AND ?1";
        nest.sql().query_row(sql, [1], |row| row.get(0)).ok()
    })
}

fn failed_starts(nest: &Nest, job: i64) -> i64 {
    number(nest, "SELECT failed_starts FROM job WHERE id = ?1", job)
}

fn whole(nest: &Nest) {
    until("an orphaned directory to go", || (names(nest).len() == 1).then_some(()));
    let dir = nest.beside().join("work").join(&names(nest)[0]);
    assert!(dir.join("half").exists() && dir.join("whole").exists());
}

#[test]
fn a_prepare_outlives_its_worker_and_is_used() {
    let nest = Nest::new();
    let id = job(&nest, HALF);
    let waits = job(&nest, HALF);
    for n in 0..8 {
        let worker = nest.work(&TICK);
        until("the prepare", || (prepares(&nest) == 1).then_some(()));
        nest.until_state(id, "running");
        nest.until_state(waits, "running");
        worker.kill();
        assert_eq!((prepares(&nest), lines(&nest, "ran").len()), (1, 0), "{n}");
    }
    let _worker = nest.work(&TICK);
    go(&nest);
    for id in [id, waits] {
        let ended = nest.until_ended(id);
        assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &1.into()), "{ended}");
        assert_eq!(failed_starts(&nest, id), 0);
    }
    assert_eq!((prepares(&nest), lines(&nest, "ran").len()), (1, 2));
    whole(&nest);
}

#[test]
fn a_killed_prepare_is_repeated_without_cost_to_the_job() {
    let nest = Nest::new();
    let id = job(&nest, HALF);
    for n in 1..=8 {
        let worker = nest.work(&TICK);
        until("another prepare", || (prepares(&nest) == n).then_some(()));
        let run = open_prepare(&nest);
        let shim = nest.shim(run);
        let spawner = nest.parent_of(shim);
        let tree = children(shim);
        worker.kill();
        for pid in [spawner, shim].into_iter().chain(tree) {
            kill(pid, Signal::KILL);
        }
        assert_eq!((failed_starts(&nest, id), lines(&nest, "ran").len()), (0, 0));
    }
    go(&nest);
    let _worker = nest.work(&TICK);
    let ended = nest.until_ended(id);
    assert_eq!((&ended["state"], &ended["attempts"], &ended["deferrals"]), (&"done".into(), &1.into(), &0.into()), "{ended}");
    assert_eq!(lines(&nest, "ran").len(), 1);
    whole(&nest);
    assert!(nest.ok(&["history", &id.to_string()]).contains("requeued"));
}

#[test]
fn a_prepare_killed_with_its_shim_is_repeated() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let id = job(&nest, HALF);
    let run = open_prepare(&nest);
    let shim = nest.shim(run);
    until("the first prepare", || (prepares(&nest) == 1).then_some(()));
    kill(shim, Signal::KILL);
    until("the second prepare", || (prepares(&nest) == 2).then_some(()));
    go(&nest);
    assert_eq!(nest.until_ended(id)["state"], "done");
    assert_eq!(outcomes(&nest, id), ["job done", "prepare lost", "prepare done"]);
    assert_eq!(lines(&nest, "ran").len(), 1);
    whole(&nest);
}

#[test]
fn a_prepare_that_kills_its_shim_is_not_now_after_three_times() {
    let nest = Nest::new();
    let id = nest.sh(
        &[
            "--workspace",
            "repo",
            "--prepare",
            "echo x >half; echo prepared >>\"$HOME/prepares\"; kill -9 $PPID; sleep 600",
            "--max-deferrals",
            "0",
        ],
        RAN,
    );
    nest.work_until_idle(&TICK);
    let ended = nest.until_ended(id);
    assert_eq!((&ended["state"], &ended["reason"]), (&"failed".into(), &"workspace".into()), "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("no process saw how it ended"), "{ended}");
    assert_eq!((prepares(&nest), names(&nest)), (3, vec![]));
}

#[test]
fn workers_are_killed_at_random_while_workspaces_come_and_go() {
    let nest = Nest::new();
    let mut dice = Dice::new(seed());
    let prepare_command = "echo x >half; sleep 0.05; echo x >whole";
    for n in 0..40 {
        let key = format!("k{}", n % 4);
        nest.sh(&["--workspace", &key, "--prepare", prepare_command, "--backoff", "0s..0s", "--retries", "50"], RAN);
    }
    let mut rounds = 0;
    while nest.status()["counts"]["done"] != 40 && rounds < 60 {
        rounds += 1;
        let mut worker: Child =
            nest.tenure(&["work", "--tick", "20ms", "--slots", "4", "--until-idle"]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + dice.below(150))); // chance, not a wait
        match dice.below(3) {
            0 => drop(std::fs::remove_dir_all(nest.beside().join("work"))),
            1 => drop(nest.say(&["workspace", "rm", "k1"])),
            _ => {}
        }
        let _ended_already = worker.kill();
        worker.wait().unwrap();
    }
    nest.work_until_idle(&TICK);
    let conn = nest.sql();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let other = "SELECT coalesce(group_concat(id || ' ' || state || ' ' || coalesce(reason, '-') || ' ' || coalesce(error, '-')), '') FROM job WHERE state <> 'done'";
    assert_eq!(conn.query_row(other, [], |row| row.get::<_, String>(0)).unwrap(), "");
    // A kill between the entering and the first record counts; one while a workspace is made does not.
    assert!(count("SELECT max(failed_starts) FROM job") < 5);
    assert_eq!(count("SELECT count(*) FROM run WHERE finished_at IS NULL AND dir IS NOT NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM lease"), 0);
    assert!(lines(&nest, "ran").len() >= 40);
    let _worker = nest.work(&TICK);
    until("an orphaned directory to go", || names(&nest).iter().all(|name| !name.starts_with('.')).then_some(()));
}

/// A prepare that a dead worker had begun for a job of this run, with these records.
fn begun(nest: &Nest, job: i64, parent: &left::Left, boot_id: &str, records: &[Record]) -> i64 {
    let (parent, prepare, boot) = (RunId(parent.run), run_file(nest, boot_id), boot_id.to_owned());
    let prepared = Prepared { run: RunId(prepare.run), nonce: prepare.nonce };
    store(nest)
        .write(move |conn| {
            let opening = Opening { workspace: Some("repo".into()), ..Opening::of(RunKind::Prepare, JobId(job), parent) };
            assert!(auxiliary::begin(conn, &opening, prepared, "a dead worker", &boot, NOW_MS)?);
            assert!(!auxiliary::begin(
                conn,
                &opening,
                Prepared { run: RunId(prepared.run.0 + 1), ..prepared },
                "w",
                &boot,
                NOW_MS
            )?);
            Ok(())
        })
        .unwrap();
    left::append(nest, prepare.run, records);
    prepare.release();
    prepare.run
}

#[test]
fn a_prepare_command_whose_end_is_recorded_is_not_run_again() {
    for is_in_place in [false, true] {
        let nest = Nest::new();
        let id = job(&nest, HALF);
        let parent = claimed(&nest, id, &[]);
        begun(&nest, id, &parent, &tenure::run::machine::boot_id(), &left::whole(0));
        let name = match is_in_place {
            false => format!(".new-{}", parent.nonce),
            true => format!("repo-{}", &parent.nonce.to_string()[..8]),
        };
        let dir = nest.beside().join("work").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        ["half", "whole"].iter().for_each(|file| std::fs::write(dir.join(file), "x").unwrap());
        nest.work_until_idle(&TICK);
        assert_eq!(nest.state(id), "done", "{}", nest.show(id));
        assert_eq!((prepares(&nest), failed_starts(&nest, id)), (0, 0));
        assert_eq!(outcomes(&nest, id), ["job unstarted", "prepare done", "job done"]);
        whole(&nest);
    }
}

#[test]
fn a_recorded_failure_of_a_prepare_is_a_failure() {
    let nest = Nest::new();
    let id = nest.sh(&["--workspace", "repo", "--prepare", HALF, "--backoff", "1h..1h"], RAN);
    let parent = claimed(&nest, id, &[]);
    begun(&nest, id, &parent, &tenure::run::machine::boot_id(), &left::whole(9));
    std::fs::create_dir_all(nest.beside().join("work").join(format!(".new-{}", parent.nonce))).unwrap();
    nest.work_until_idle(&TICK);
    let shown = nest.show(id);
    assert_eq!((&shown["state"], &shown["deferrals"]), (&"queued".into(), &1.into()), "{shown}");
    assert!(shown["error"].as_str().unwrap().contains("exit status 9"), "{shown}");
    assert_eq!((names(&nest), prepares(&nest)), (vec![], 0));
}

#[test]
fn after_a_reboot_a_job_outside_its_workspace_has_not_started() {
    let nest = Nest::new();
    let id = job(&nest, HALF);
    let parent = claimed_in(&nest, id, "another boot");
    parent.release();
    begun(&nest, id, &parent, "another boot", &[left::prepare(), left::started()]);
    let dir = nest.beside().join("work").join(format!(".new-{}", parent.nonce));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("half"), "x").unwrap();
    go(&nest);
    let _worker = nest.work(&TICK);
    assert_eq!(nest.until_ended(id)["state"], "done", "{}", nest.show(id));
    assert_eq!(outcomes(&nest, id), ["job unstarted", "prepare lost", "job done", "prepare done"]);
    assert_eq!(lines(&nest, "ran").len(), 1);
    whole(&nest);
}

#[test]
fn a_workspace_that_vanishes_before_the_start_costs_no_attempt() {
    let nest = Nest::new();
    go(&nest);
    let id = job(&nest, HALF);
    let parent = claimed(&nest, id, &[left::prepare(), left::failed(2)]);
    let (run, boot_id) = (RunId(parent.run), tenure::run::machine::boot_id());
    let wanted = Workspace { key: "repo".into(), prepare: Some(Argv::shell(HALF).unwrap()) };
    store(&nest)
        .write(move |conn| {
            let made = Made { workspace: wanted.clone(), dir: "repo-01234567".into(), bytes: None };
            workspace::made(conn, &made, &boot_id, NOW_MS)?;
            assert!(workspace::enter(conn, &wanted, JobId(id), run, &boot_id, NOW_MS)?.is_some());
            Ok(())
        })
        .unwrap();
    nest.work_until_idle(&TICK);
    let ended = nest.until_ended(id);
    assert_eq!((&ended["state"], &ended["attempts"], &ended["deferrals"]), (&"done".into(), &1.into(), &1.into()), "{ended}");
    assert_eq!(outcomes(&nest, id), ["job deferred", "job done", "prepare done"]);
}

fn ensure(nest: &Nest, prepare_command: &str) -> Child {
    let mut command = nest.tenure(&["workspace", "ensure", "repo", "--prepare", prepare_command]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn two_in_the_foreground_and_a_worker_at_once_prepare_once() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let jobs: Vec<i64> = (0..3).map(|_| job(&nest, HALF)).collect();
    let foreground: Vec<Child> = (0..2).map(|_| ensure(&nest, HALF)).collect();
    until("the prepare", || (prepares(&nest) > 0).then_some(()));
    jobs.iter().for_each(|id| drop(nest.until_state(*id, "running")));
    go(&nest);
    let paths: Vec<String> =
        foreground.into_iter().map(|child| crate::support::said(child.wait_with_output().unwrap()).out).collect();
    jobs.iter().for_each(|id| assert_eq!(nest.until_ended(*id)["state"], "done"));
    assert_eq!((prepares(&nest), lines(&nest, "ran").len()), (1, 3));
    let expected = format!("{}\n", nest.beside().join("work").join(&names(&nest)[0]).display());
    assert_eq!(paths, [expected.clone(), expected]);
    assert_eq!(nest.json(&["lease", "ls", "--json"])["leases"], serde_json::json!([]));
}

#[test]
fn a_killed_foreground_maker_leaves_its_lease_to_its_tree() {
    let nest = Nest::new();
    let mut maker = ensure(&nest, HALF);
    until("the prepare", || (prepares(&nest) == 1).then_some(()));
    kill_child(&mut maker);
    let leases = nest.json(&["lease", "ls", "--json"]);
    assert_eq!(
        (&leases["leases"][0]["name"], &leases["leases"][0]["state"]),
        (&"workspace/repo".into(), &"held".into()),
        "{leases}"
    );
    // A worker waits for the tree as for the maker itself.
    let _worker = nest.work(&TICK);
    let id = job(&nest, HALF);
    nest.until_state(id, "running");
    let refused = nest.say(&["workspace", "rm", "repo"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    left::after_a_tick(&nest);
    assert_eq!((prepares(&nest), names(&nest).len()), (1, 1));
    // Every process with this working directory was left by the prepare command.
    let tree: Vec<i32> = nest.processes().into_iter().filter(|pid| stands_in_work(&nest, *pid)).collect();
    assert!(!tree.is_empty());
    for pid in tree.iter() {
        kill(*pid, Signal::KILL);
    }
    until("them to go", || tree.iter().all(|pid| !lives(*pid)).then_some(()));
    until("another prepare", || (prepares(&nest) == 2).then_some(()));
    go(&nest);
    assert_eq!(nest.until_ended(id)["state"], "done");
    whole(&nest);
}

fn stands_in_work(nest: &Nest, pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(nest.beside().join("work")))
}

#[test]
fn ensure_says_how_it_went() {
    let nest = Nest::new();
    let say = |prepare_command: &str| nest.say(&["workspace", "ensure", "k", "--prepare", prepare_command]);
    let failed = say("echo out; exit 9");
    assert_eq!((failed.code, failed.out.as_str()), (1, ""), "{failed:?}");
    assert!(failed.err.contains("out\n") && failed.err.contains("exit status 9"), "{failed:?}");
    assert_eq!(names(&nest), [""; 0]);
    let killed = say("kill -TERM $$");
    assert_eq!(killed.code, 143, "{killed:?}");
    let made = say("echo out; pwd >where; echo \"$TENURE_WORKSPACE\" >final; setsid sleep 600 &");
    assert_eq!(made.code, 0, "{made:?}");
    let path = std::path::PathBuf::from(made.out.trim_end());
    assert!(path.is_dir() && made.out.lines().count() == 1 && made.err.contains("out"), "{made:?}");
    assert_eq!(std::fs::read_to_string(path.join("final")).unwrap(), made.out);
    assert!(nest.processes().is_empty(), "what the prepare command left behind has ended");
    let again = say("echo out; pwd >where; echo \"$TENURE_WORKSPACE\" >final; setsid sleep 600 &");
    assert_eq!((again.out.as_str(), again.err.as_str()), (made.out.as_str(), ""));
    let empty = nest.ok(&["workspace", "ensure", "empty"]);
    assert_eq!(std::fs::read_dir(empty).unwrap().count(), 0);
    assert_eq!(nest.say(&["workspace", "ensure", ""]).code, 2);
    assert_eq!(nest.say(&["workspace", "ensure", "k", "--prepare", " "]).code, 2);
    // A job gets in where it was made for it.
    let id = nest.sh(&["--workspace", "empty"], "pwd");
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(id), nest.ok(&["workspace", "ensure", "empty"]));
}

#[test]
fn a_restored_copy_finds_or_prepares_its_workspaces() {
    let nest = Nest::new();
    go(&nest);
    let id = job(&nest, HALF);
    nest.work_until_idle(&TICK);
    assert_eq!((nest.state(id), prepares(&nest)), ("done".into(), 1));
    nest.ok(&["backup", "copy.db"]);
    nest.ok(&["workspace", "rm", "repo"]);
    let other = nest.sh(&["--workspace", "other", "--prepare", "true"], "true");
    nest.work_until_idle(&TICK);
    assert_eq!(nest.state(other), "done");
    nest.ok(&["restore", "copy.db"]);
    let again = job(&nest, HALF);
    let _worker = nest.work(&TICK);
    assert_eq!(nest.until_ended(again)["state"], "done");
    assert_eq!(prepares(&nest), 2);
    // What the copy does not know has no owner.
    whole(&nest);
}
