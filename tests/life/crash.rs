//! Workers that come and go, and shims that are told to go: nothing hangs, nothing is repeated, nothing is called by a wrong name.

use std::process::{Child, Stdio};

use crate::life::left::{after_a_tick, lines, number, outcomes, row, spawner_of};
use crate::support::frozen::Frozen;
use crate::support::{Nest, Signal, kill, kill_child, lives, said, until};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];
const UNTIL_GO: &str = "echo begin; while [ ! -e go ]; do sleep 0.02; done; echo end; exit 7";

#[test]
fn a_timeout_without_a_worker_is_enforced() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&["--timeout", "700ms", "--grace", "100ms"], "trap '' TERM; echo $$ >pid; while :; do sleep 1; done");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    first.kill();
    assert!(lives(pid));
    until("its end", || nest.run_file(run).contains("DRAINED").then_some(()));
    assert!(!lives(pid));
    let _second = nest.work(&TICK);
    let ended = nest.until_ended(job);
    assert_eq!((row(&nest, job).as_str(), ended["signal"].as_i64()), ("failed timeout - 1", Some(9)));
}

#[test]
fn five_starts_that_kill_the_worker_are_enough() {
    let nest = Nest::new();
    let job = nest.sh(&["--retries", "9"], "echo started >>ledger");
    for _ in 0..5 {
        nest.ok(&["queue", "pause", "default"]);
        let worker = nest.work(&TICK);
        let spawner = spawner_of(&nest, worker.pid());
        until("the job to be requeued", || (nest.state(job) == "queued").then_some(()));
        let _frozen = Frozen::new(spawner);
        nest.ok(&["queue", "resume", "default"]);
        nest.until_state(job, "running");
        after_a_tick(&nest);
        worker.kill();
        kill(spawner, Signal::KILL);
        until("the message to go with it", || (!lives(spawner)).then_some(()));
    }
    let _worker = nest.work(&TICK);
    let ended = nest.until_ended(job);
    assert_eq!(row(&nest, job), "failed spawn - 0");
    assert!(ended["error"].as_str().unwrap().contains("5 times"), "{ended}");
    assert_eq!(outcomes(&nest, job), ["job unstarted"; 5]);
    assert!(lines(&nest, "ledger").is_empty());
}

#[test]
fn a_job_can_be_cancelled_put_back_and_cancelled_again() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let job = nest
        .sh(&["--grace", "10m"], "trap 'until [ -e go ]; do sleep 0.02; done; exit 0' TERM; echo $$ >>ledger; sleep 600 & wait");
    let id = job.to_string();
    until("its trap", || (lines(&nest, "ledger").len() == 1).then_some(()));
    nest.ok(&["cancel", &id]);
    assert_eq!(nest.say(&["retry", &id]).code, 6, "it still runs");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_state(job, "cancelled");
    std::fs::remove_file(nest.file("go")).unwrap();
    nest.ok(&["retry", &id]);
    until("its second start", || (lines(&nest, "ledger").len() == 2).then_some(()));
    assert_eq!(nest.state(job), "running", "the first stop request is not for this run");
    nest.ok(&["cancel", &id]);
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_state(job, "cancelled");
    assert_eq!(outcomes(&nest, job), ["job cancelled"; 2]);
    assert_eq!(number(&nest, "SELECT count(*) FROM cancel WHERE job_id = ?1 AND closed_at IS NULL", job), 0);
    assert!(nest.of_runs().is_empty());
}

#[test]
fn a_stop_request_without_a_worker_reaches_shim_and_next_worker() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let [told, written] = [0; 2].map(|_| nest.sh(&["--grace", "1s"], "exec sleep 600"));
    let pids = [told, written].map(|job| nest.until_pid(job));
    first.kill();
    nest.ok(&["cancel", &told.to_string()]);
    until("the shim to obey", || (!lives(pids[0])).then_some(()));
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [written]).unwrap();
    assert!(lives(pids[1]));
    let _second = nest.work(&TICK);
    [told, written].iter().for_each(|job| drop(nest.until_ended(*job)));
    assert_eq!([told, written].map(|job| row(&nest, job)), ["cancelled cancelled - 1"; 2]);
}

#[test]
fn a_bare_term_to_a_shim_is_a_shutdown_and_not_a_cancel() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let once = nest.sh(&[], "exec sleep 600");
    let again = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "test $TENURE_ATTEMPT = 2 || exec sleep 600");
    for job in [once, again] {
        nest.until_pid(job);
        kill(nest.shim(nest.show(job)["run_id"].as_i64().unwrap()), Signal::TERM);
        nest.until_ended(job);
    }
    assert_eq!([once, again].map(|job| row(&nest, job)), ["failed shutdown - 1", "done exit 0 2"]);
    assert_eq!(outcomes(&nest, again), ["job lost", "job done"]);
}

#[test]
fn a_detaching_worker_leaves_its_runs_and_a_drain_waits() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&[], UNTIL_GO);
    let pid = nest.until_pid(job);
    assert_eq!(first.stop(), 0);
    assert!(lives(pid) && nest.state(job) == "running");
    let second = nest.work(&["--tick", "20ms", "--slots", "2", "--drain"]);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    kill(second.pid(), Signal::TERM);
    until("it to say that it waits", || second.said().contains("waiting for 1").then_some(()));
    let late = nest.sh(&[], "echo late >>ledger");
    assert!(lives(second.pid()) && lives(pid));
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(second.wait(), 0);
    assert_eq!([job, late].map(|job| row(&nest, job)), ["failed exit 7 1", "queued - - 0"], "it claimed nothing any more");
    assert_eq!(nest.log(job), "begin\nend");
}

fn crowd(nest: &Nest) -> Vec<Child> {
    let start = |_| nest.tenure(&["work"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (0..20).map(start).collect()
}

/// Waits until all but one have been refused, and returns that one.
fn winner(nest: &Nest, mut crowd: Vec<Child>) -> Child {
    let mut refused = Vec::new();
    until("all but one to be refused", || {
        crowd.retain_mut(|one| match one.try_wait().unwrap() {
            None => true,
            Some(status) => {
                refused.push(status.code());
                false
            }
        });
        (crowd.len() <= 1).then_some(())
    });
    assert_eq!(refused, vec![Some(6); 19]);
    let winner = crowd.pop().expect("one of them is the worker");
    assert_eq!(nest.status()["worker"]["pid"], winner.id());
    winner
}

#[test]
fn of_twenty_workers_one_wins_also_after_a_kill() {
    let nest = Nest::new();
    let job = nest.sh(&[], UNTIL_GO);
    let mut first = winner(&nest, crowd(&nest));
    nest.until_pid(job);
    kill_child(&mut first);
    let mut second = winner(&nest, crowd(&nest));
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(job);
    assert_eq!((row(&nest, job).as_str(), outcomes(&nest, job).len()), ("failed exit 7 1", 1));
    kill(second.id() as i32, Signal::TERM);
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_worker_is_refused_and_told_who_was_first() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let second = nest.say(&["work"]);
    assert_eq!(second.code, 6, "{second:?}");
    assert!(second.err.contains(&format!("pid {}", first.pid())), "{second:?}");
}

#[test]
fn a_run_that_is_its_own_worker_yields_to_a_worker() {
    let nest = Nest::new();
    let line = "for n in 1 2 3; do echo $n; done; while [ ! -e go ]; do sleep 0.02; done; echo end; exit 7";
    let follower =
        nest.tenure(&["run", "--", "/bin/sh", "-c", line]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let kind = until("the run to be its own worker", || {
        let status: serde_json::Value = serde_json::from_str(&nest.say(&["status", "--json"]).out).ok()?;
        // Between its lock and its word for itself no process knows which one it is.
        let has_said = status["worker"]["slots"].as_u64().is_some_and(|slots| slots > 0);
        status["worker"]["kind"].as_str().filter(|_| has_said).map(str::to_owned)
    });
    assert_eq!(kind, "run");
    let pid = nest.until_pid(1);
    let other = nest.sh(&[], "echo other >>ledger");
    let _worker = nest.work(&TICK);
    assert!(lives(follower.id() as i32) && lives(pid));
    nest.until_ended(other);
    assert_eq!(nest.state(1), "running", "it continues under the worker");
    std::fs::write(nest.file("go"), "").unwrap();
    let said = said(follower.wait_with_output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (7, "1\n2\n3\nend\n"), "{said:?}");
    assert_eq!(outcomes(&nest, 1), ["job failed"]);
}

#[test]
fn two_files_in_one_directory_do_not_know_of_each_other() {
    let nest = Nest::new();
    let other = nest.file("other.db").to_string_lossy().into_owned();
    let beside = |args: &[&str]| said(nest.tenure(&[&["--db", &other], args].concat()).output().unwrap());
    let first = nest.work(&TICK);
    let add = ["add", "--", "/bin/sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; echo $TENURE_DB >>ledger"];
    assert_eq!(beside(&add).out, "1\n");
    let mut second = nest.tenure(&["--db", &other, "work", "--tick", "20ms"]).stderr(Stdio::null()).spawn().unwrap();
    nest.ok(&add);
    let shown = || serde_json::from_str::<serde_json::Value>(&beside(&["show", "1", "--json"]).out).unwrap();
    let pids = [nest.until_pid(1), until("the other job", || shown()["pid"].as_i64()) as i32];
    first.kill();
    assert!(pids.iter().all(|pid| lives(*pid)));
    nest.ok(&["cancel", "1"]);
    until("the first to end", || (!lives(pids[0])).then_some(()));
    assert!(lives(pids[1]), "each has its own job 1, its own run 1");
    std::fs::write(nest.file("go"), "").unwrap();
    until("the other to be done", || (shown()["state"] == "done").then_some(()));
    assert_eq!(lines(&nest, "ledger"), std::slice::from_ref(&other));
    let _third = nest.work(&TICK);
    nest.until_state(1, "cancelled");
    kill(second.id() as i32, Signal::TERM);
    second.wait().unwrap();
}

#[test]
fn a_link_to_the_file_is_the_file() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    std::fs::create_dir(nest.file("away")).unwrap();
    let link = nest.file("away/link.db");
    std::os::unix::fs::symlink(nest.db(), &link).unwrap();
    let linked = |args: &[&str]| said(nest.tenure(&[&["--db", link.to_str().unwrap()], args].concat()).output().unwrap());
    let worker = nest.work(&TICK);
    assert_eq!(linked(&["work"]).code, 6, "one file, one worker");
    let id: i64 = linked(&["add", "--", "/bin/sh", "-c", "echo $TENURE_DB >>ledger; exit 3"]).out.trim().parse().unwrap();
    nest.until_ended(id);
    assert_eq!(row(&nest, id), "failed exit 3 1");
    assert_eq!(lines(&nest, "ledger"), [nest.db().to_string_lossy()]);
    assert_eq!(linked(&["wait", &id.to_string()]).code, 3);
    worker.stop();
    let names = std::fs::read_dir(nest.file("away")).unwrap().count();
    assert_eq!(names, 1, "nothing is made beside the link");
}
