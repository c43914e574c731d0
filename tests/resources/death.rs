//! The worker that tears down may die at any moment: the next worker continues, never two at once, and the row is closed once.

use crate::resources::thing::{TICK, ended_job, hurry, lines, nothing_is_left, of_job, resource, steps, until_gone};
use crate::support::{Dice, Nest, Signal, kill, lives, pid_in, seed, until, without_guards};

/// A teardown of which there is never a second at once: it makes a file that must not be there, and waits until it may end.
const EXCLUSIVE: &str = "set -C; : >marker || { echo TWO AT ONCE >>ledger; exit 1; }; set +C; \
                         echo begun >>ledger; echo $$ >pid; while [ ! -e go ]; do sleep 0.02; done; rm marker; echo torn >>ledger";

fn begun(nest: &Nest) -> i64 {
    let job = ended_job(nest);
    of_job(nest, job, "x", EXCLUSIVE, &[])
}

#[test]
fn a_teardown_outlives_the_worker_and_its_answer_is_used() {
    let nest = Nest::new();
    let id = begun(&nest);
    let worker = nest.work(&TICK);
    let pid = pid_in(&nest.file("pid"));
    worker.kill();
    assert!(lives(pid));
    let worker = nest.work(&TICK);
    nest.ok(&["resource", "sweep"]);
    nest.ok(&["resource", "release", &id.to_string()]);
    assert!(lives(pid), "neither ends what is under way");
    std::fs::write(nest.file("go"), "").unwrap();
    let gone = until_gone(&nest, id);
    assert_eq!((&gone["attempts"], &gone["released_by"]), (&0.into(), &"teardown".into()));
    assert_eq!(lines(&nest, "ledger"), ["begun", "torn"]);
    assert_eq!(steps(&nest, id), ["teardown done"]);
    worker.stop();
    nothing_is_left(&nest);
}

#[test]
fn a_teardown_that_ended_without_a_worker_is_not_repeated() {
    let nest = Nest::new();
    let id = begun(&nest);
    let worker = nest.work(&TICK);
    pid_in(&nest.file("pid"));
    worker.kill();
    std::fs::write(nest.file("go"), "").unwrap();
    until("the shim to be gone", || nest.of_runs().is_empty().then_some(()));
    assert_eq!(resource(&nest, id)["state"], "releasing");
    nest.work_until_idle(&[]);
    assert_eq!(until_gone(&nest, id)["attempts"], 0);
    assert_eq!(lines(&nest, "ledger"), ["begun", "torn"]);
    nothing_is_left(&nest);
}

#[test]
fn a_teardown_whose_shim_is_killed_is_repeated() {
    for with_worker in [false, true] {
        let nest = Nest::new();
        let id = begun(&nest);
        let mut worker = Some(nest.work(&TICK));
        let pid = pid_in(&nest.file("pid"));
        let run = resource(&nest, id)["auxiliary_run_id"].as_i64().unwrap();
        let shim = nest.shim(run);
        if with_worker {
            worker.take().unwrap().kill();
        }
        kill(shim, Signal::KILL);
        let _worker = worker.unwrap_or_else(|| nest.work(&TICK));
        let failed = until("the loss to be noted", || Some(resource(&nest, id)).filter(|one| one["attempts"] == 1));
        assert!(failed["last_error"].as_str().unwrap().contains("no process saw"), "{failed}");
        assert!(!lives(pid));
        // What it had made is as it was left; a second one that finds it says so.
        std::fs::remove_file(nest.file("marker")).unwrap();
        std::fs::write(nest.file("go"), "").unwrap();
        until("it to be gone", || {
            hurry(&nest);
            (resource(&nest, id)["state"] == "released").then_some(())
        });
        assert_eq!(lines(&nest, "ledger").iter().filter(|line| *line == "torn").count(), 1);
        assert_eq!(steps(&nest, id).last().unwrap(), "teardown done");
        nothing_is_left(&nest);
    }
}

#[test]
fn a_shutdown_leaves_a_teardown_to_its_shim() {
    for signal in [Signal::TERM, Signal::INT] {
        let nest = Nest::new();
        let id = begun(&nest);
        let worker = nest.work(&TICK);
        let pid = pid_in(&nest.file("pid"));
        kill(worker.pid(), signal);
        assert_eq!(worker.wait(), 0);
        assert!(lives(pid), "{signal:?}");
        let worker = nest.work(&TICK);
        std::fs::write(nest.file("go"), "").unwrap();
        until_gone(&nest, id);
        assert_eq!(lines(&nest, "ledger"), ["begun", "torn"]);
        worker.stop();
        nothing_is_left(&nest);
    }
}

#[test]
fn a_worker_that_ends_its_runs_does_not_end_a_teardown() {
    let nest = Nest::new();
    let id = begun(&nest);
    let worker = nest.work(&[&TICK[..], &["--drain"]].concat());
    let pid = pid_in(&nest.file("pid"));
    let job = nest.sh(&[], "exec sleep 600");
    nest.until_pid(job);
    kill(worker.pid(), Signal::TERM);
    until("the worker to drain", || worker.said().contains("waiting for 1 job").then_some(()));
    kill(worker.pid(), Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(nest.state(job), "cancelled");
    assert!(lives(pid));
    std::fs::write(nest.file("go"), "").unwrap();
    nest.work_until_idle(&[]);
    until_gone(&nest, id);
    assert_eq!(lines(&nest, "ledger"), ["begun", "torn"]);
    nothing_is_left(&nest);
}

#[test]
fn under_random_kills_everything_is_torn_down_one_at_a_time() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let mut left: Vec<i64> = (0..8)
        .map(|n| {
            let teardown = format!(
                "set -C; : >marker{n} || {{ echo TWO >>ledger; exit 1; }}; set +C; sleep 0.05; rm marker{n}; rm -f thing{n}"
            );
            std::fs::write(nest.file(&format!("thing{n}")), "").unwrap();
            of_job(&nest, job, &format!("x{n}"), &teardown, &["--probe", &format!("[ -e thing{n} ]")])
        })
        .collect();
    let mut dice = Dice::new(seed());
    for _ in 0..40 {
        let worker = nest.work(&TICK);
        // The moment is what the test is about; it is not a wait for an event.
        std::thread::sleep(std::time::Duration::from_millis(dice.below(64)));
        worker.kill();
        hurry(&nest);
        left.retain(|id| resource(&nest, *id)["state"] != "released");
        if left.is_empty() {
            break;
        }
    }
    until("everything to be gone", || {
        nest.work_until_idle(&[]);
        hurry(&nest);
        left.retain(|id| resource(&nest, *id)["state"] != "released");
        left.is_empty().then_some(())
    });
    assert!(lines(&nest, "ledger").is_empty(), "{:?}", lines(&nest, "ledger"));
    assert!((0..8).all(|n| !nest.file(&format!("thing{n}")).exists()));
    nothing_is_left(&nest);
}

#[test]
fn a_stale_auxiliary_run_and_an_orphan_are_repaired() {
    let nest = Nest::new();
    let job = nest.sh(&["--hold"], "true");
    let id = of_job(&nest, job, "x", "touch gone", &[]);
    without_guards(&nest, |conn| {
        let sql = "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 1; UPDATE job SET unreleased = 0";
        conn.execute_batch(sql).unwrap();
    });
    assert_eq!(resource(&nest, id)["state"], "held");
    nest.work_until_idle(&[]);
    until_gone(&nest, id);
    assert!(nest.file("gone").exists());
}
