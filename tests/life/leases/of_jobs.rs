//! Leases of jobs: their ends, their fences and their copies.

use std::process::Stdio;

use serde_json::Value;
use tenure::job::RunId;
use tenure::store::lease::{self, Taken};

use crate::life::left::{lines, spawner_of, store, until_killed};
use crate::support::{Nest, Signal, kill, lives, pid_in, said, until};

use super::{TENURE, TICK, leases, start, until_it_waits};

#[test]
fn a_cancelled_job_has_no_lease_any_more() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    for line in ["exec sleep 600", "trap '' TERM; while :; do sleep 0.01; done"] {
        let held = format!("exec {TENURE} lease run gpu -- bash -c \"echo \\$\\$ > inner; {line}\"");
        let _the_last_one_is_of_another_job = std::fs::remove_file(nest.file("inner"));
        let job = nest.sh(&["--grace", "100ms"], &held);
        pid_in(&nest.file("inner"));
        assert_eq!((&leases(&nest)[0]["job"], &leases(&nest)[0]["state"]), (&job.into(), &"held".into()));
        nest.ok(&["cancel", &job.to_string()]);
        nest.until_state(job, "cancelled");
        let next = nest.say(&["lease", "run", "gpu", "--", "true"]);
        assert_eq!(next.code, 0, "no waiting: a job is over when its tree is gone: {next:?}");
    }
}

#[test]
fn the_lease_of_a_run_is_waited_for_until_the_run_has_ended() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let job = nest.sh(&[], "exec sleep 600");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let take = || {
        let (taken, _) =
            store(&nest).commit(move |conn| lease::take_for_run(conn, "gpu", RunId(run), Some("making it"), 1)).unwrap();
        assert_eq!(taken, Taken::Yours, "a second time is the same lease");
    };
    take();
    take();
    let listed = leases(&nest);
    assert_eq!((&listed[0]["run"], &listed[0]["job"], &listed[0]["state"]), (&run.into(), &job.into(), &"held".into()));
    assert!(nest.say(&["lease", "run", "gpu", "--", "true"]).err.contains("making it"));
    // A worker that is killed releases nothing.
    worker.kill();
    assert_eq!(nest.say(&["lease", "run", "gpu", "--", "true"]).code, 6);
    let mut waiter = start(&nest, &["--wait", "1h"], "exit 9");
    until_it_waits(&waiter);
    kill(pid, Signal::KILL);
    let _worker = nest.work(&TICK);
    assert_eq!(waiter.wait().unwrap().code(), Some(9));
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn a_copy_that_comes_back_has_the_leases_of_now() {
    let nest = Nest::new();
    let held = |name: &str| {
        let line = format!("echo $$ > {name}.pid; exec sleep 600");
        let mut command = nest.tenure(&["lease", "run", name, "--", "bash", "-c", &line]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pid_in(&nest.file(&format!("{name}.pid")));
        child
    };
    let old = held("old");
    let copy = nest.file("copy").to_string_lossy().into_owned();
    nest.ok(&["backup", &copy]);
    let old_pid = pid_in(&nest.file("old.pid"));
    kill(old_pid, Signal::KILL);
    until_killed(old);
    let new = held("new");
    nest.ok(&["restore", &copy]);
    let all = leases(&nest);
    assert_eq!((all.len(), &all[0]["name"], &all[0]["state"]), (1, &"new".into(), &"held".into()), "{all:?}");
    assert_eq!(nest.say(&["lease", "run", "new", "--", "true"]).code, 6, "its owner lives");
    assert_eq!(nest.say(&["lease", "run", "old", "--", "true"]).code, 0);
    kill(pid_in(&nest.file("new.pid")), Signal::KILL);
    until_killed(new);
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn a_fence_lets_only_the_owner_of_the_job_through() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let job =
        nest.sh(&[], &format!("{TENURE} fence -- sh -c 'echo let through >> ledger; exit 7'; echo $? >> ledger; exec sleep 600"));
    let run = nest.until_state(job, "running")["run_id"].as_i64().unwrap();
    until("the fenced command", || (lines(&nest, "ledger") == ["let through", "7"]).then_some(()));
    let outside = |job: i64, run: i64, args: &[&str]| {
        let mut command = nest.tenure(&[&["fence"], args].concat());
        said(command.env("TENURE_JOB", job.to_string()).env("TENURE_RUN", run.to_string()).output().unwrap())
    };
    let live = outside(job, run, &["--", "sh", "-c", "echo $TENURE_COOKIE; exit 8"]);
    assert!(live.code == 8 && live.out.len() == 33, "it carries the cookie of its run: {live:?}");
    for (job, run) in [(job, run + 1), (job + 1, run)] {
        let stale = outside(job, run, &["--", "sh", "-c", "echo $TENURE_RUN >> stale"]);
        assert!(stale.code == 6 && stale.err.contains("does not own"), "{stale:?}");
    }
    nest.ok(&["cancel", &job.to_string()]);
    nest.until_state(job, "cancelled");
    assert_eq!(outside(job, run, &["--", "sh", "-c", "echo late >> stale"]).code, 6);
    assert!(!nest.file("stale").exists());
    let unset = nest.say(&["fence", "--", "true"]);
    assert!(unset.code == 2 && unset.err.contains("inside a job"), "{unset:?}");
    assert_eq!(nest.say(&["fence"]).code, 2);
    let other =
        nest.sh(&[], &format!("{TENURE} fence -- no-such-program; a=$?; {TENURE} fence -- /etc/passwd; echo $a $? >> codes"));
    nest.until_ended(other);
    assert_eq!(lines(&nest, "codes"), ["127 126"]);
}

#[test]
fn a_run_is_not_over_before_what_its_fence_let_through_is_gone() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    // It redirects its output, leaves its session, and removes cookie and limit: nothing but the fence's descriptor tells whose it is.
    let hides = "echo $$ > fenced; exec env -i prlimit --rttime=unlimited:unlimited setsid sleep 600 </dev/null >/dev/null 2>&1";
    let line = format!(
        "if [ -e fenced ]; then grep -q sleep /proc/$(cat fenced)/cmdline 2>/dev/null && echo overlap >> overlaps; exit 0; fi; \
         {TENURE} fence -- bash -c '{hides}' & wait"
    );
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &line);
    let fenced = pid_in(&nest.file("fenced"));
    until("it to hide", || std::fs::read_to_string(format!("/proc/{fenced}/comm")).is_ok_and(|n| n == "sleep\n").then_some(()));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let (shim, spawner) = (nest.shim(run), spawner_of(&nest, worker.pid()));
    worker.kill();
    kill(spawner, Signal::KILL);
    kill(shim, Signal::KILL);
    until("the shim to be gone", || (!lives(shim)).then_some(()));
    assert!(lives(fenced), "nothing ends it by itself");
    let _worker = nest.work(&TICK);
    let ended = nest.until_ended(job);
    assert!(!lives(fenced), "{ended}");
    assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &2.into()), "{ended}");
    assert_eq!(lines(&nest, "overlaps"), [""; 0]);
}

#[test]
fn an_array_with_a_limit_never_exceeds_it() {
    let nest = Nest::new();
    std::fs::create_dir(nest.file("inside")).unwrap();
    let line = "mkdir inside/$TENURE_ARRAY_INDEX; ls inside | wc -l >> seen; sleep 0.03; ls inside | wc -l >> seen; \
                rmdir inside/$TENURE_ARRAY_INDEX; echo $TENURE_ARRAY_INDEX >> ran";
    let ids = nest.ok(&["add", "--array", "0-39%8", "-c", line]);
    assert_eq!(ids.lines().count(), 40);
    let lane = nest.show(1)["lane"].as_str().unwrap().to_owned();
    assert!(lane.starts_with("array-"), "{lane}");
    nest.work_until_idle(&["--slots", "12"]);
    let mut seen: Vec<usize> = lines(&nest, "seen").iter().map(|n| n.trim().parse().unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.last().is_some_and(|most| (2..=8).contains(most)), "{seen:?}");
    let mut ran: Vec<i64> = lines(&nest, "ran").iter().map(|n| n.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..40).collect::<Vec<_>>());
    let limits = |nest: &Nest| nest.json(&["lane", "ls", "--json"])["lanes"].as_array().unwrap().len();
    assert_eq!(limits(&nest), 1);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(limits(&nest), 0, "its lane goes with its jobs");
}
