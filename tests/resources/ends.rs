//! Each end of the owner tears its resources down: of a run before the next attempt starts, of a job when it has ended for good.

use crate::resources::thing::{
    REMOVE, TICK, ended_job, fail_first, hurry, lines, listed, make, nothing_is_left, of_job, resource, steps, tenure, until_gone,
};
use crate::support::{Nest, Signal, kill, pid_in, until};

/// What a row of `resource` says in the end.
fn all_gone(nest: &Nest) {
    until("everything to be gone", || listed(nest, false).is_empty().then_some(()));
    assert!(!nest.file("thing").exists());
}

#[test]
fn resources_of_a_run_are_gone_before_the_next_attempt() {
    let nest = Nest::new();
    let line = format!("[ -e thing ] && echo TWICE >>ledger; echo attempt >>ledger; {}; exit 1", make(&fail_first(3), ""));
    let job = nest.sh(&["--retries", "2", "--backoff", "0s..0s"], &line);
    let _worker = nest.work(&TICK);
    let waiting = until("the job to wait for the teardown", || {
        let job = nest.show(job);
        hurry(&nest);
        (job["hold"] == "resource").then_some(job)
    });
    assert_eq!(waiting["state"], "queued");
    let ended = until("the job to end", || {
        hurry(&nest);
        Some(nest.show(job)).filter(|job| job["state"] == "failed")
    });
    assert_eq!(ended["attempts"], 3);
    until("the last one to be gone", || {
        hurry(&nest);
        listed(&nest, false).is_empty().then_some(())
    });
    let ledger = lines(&nest, "ledger");
    assert_eq!(ledger, ["attempt", "removed", "attempt", "removed", "attempt", "removed"], "in this order and never two");
    let first = resource(&nest, 1);
    assert_eq!((&first["attempts"], &first["released_by"]), (&3.into(), &"teardown".into()));
    assert_eq!(first["last_error"], "teardown: exit status 1");
    assert_eq!(steps(&nest, 1), ["teardown failed", "teardown failed", "teardown failed", "teardown done"]);
    let history = nest.ok(&["history", &job.to_string()]);
    for what in ["resource_held", "resource_releasing", "resource_released"] {
        assert!(history.contains(what), "{what}: {history}");
    }
    nothing_is_left(&nest);
}

#[test]
fn a_run_that_ends_in_any_way_has_its_resources_torn_down() {
    for (options, then, state) in [
        (vec![], "exit 0", "done"),
        (vec![], "exit 3", "failed"),
        (vec![], "kill -9 $$", "failed"),
        (vec!["--timeout", "300ms"], "exec sleep 600", "failed"),
        (vec!["--check", "exit 1"], "exit 0", "failed"),
        (vec![], "CANCEL", "cancelled"),
    ] {
        let nest = Nest::new();
        let rest = if then == "CANCEL" { "exec sleep 600" } else { then };
        let job = nest.sh(&options, &format!("{}; {rest}", make(REMOVE, "")));
        let _worker = nest.work(&TICK);
        if then == "CANCEL" {
            until("the thing", || nest.file("thing").exists().then_some(()));
            nest.ok(&["cancel", &job.to_string()]);
        }
        assert_eq!(nest.until_ended(job)["state"], state, "{then}");
        all_gone(&nest);
        assert_eq!(lines(&nest, "ledger"), ["removed"], "{then}");
        nothing_is_left(&nest);
    }
}

#[test]
fn a_lost_run_has_its_resources_torn_down() {
    for (with_worker, with_shim) in [(false, true), (true, false), (true, true)] {
        let nest = Nest::new();
        let job = nest.sh(&[], &format!("{}; echo $$ >pid; exec sleep 600", make(REMOVE, "")));
        let worker = nest.work(&TICK);
        pid_in(&nest.file("pid"));
        let run = nest.show(job)["run_id"].as_i64().unwrap();
        let shim = nest.shim(run);
        let mut worker = Some(worker);
        if with_worker {
            worker.take().unwrap().kill();
        }
        assert_eq!(listed(&nest, false)[0]["state"], "held", "as long as no worker knows that the run has ended");
        if with_shim {
            kill(shim, Signal::KILL);
        }
        let _worker = worker.unwrap_or_else(|| nest.work(&TICK));
        if !with_shim {
            assert_eq!(resource(&nest, 1)["state"], "held", "its run lives, and is watched by the next worker");
            nest.ok(&["cancel", &job.to_string()]);
        }
        nest.until_ended(job);
        until_gone(&nest, 1);
        assert_eq!(lines(&nest, "ledger"), ["removed"]);
        nothing_is_left(&nest);
    }
}

#[test]
fn a_job_that_never_starts_has_what_is_its_own_torn_down() {
    let nest = Nest::new();
    let no_program = nest.add(&["--", "/no/such/program"]);
    let cancelled = nest.sh(&["--delay", "1h"], "true");
    let expired = nest.sh(&["--delay", "1h", "--expires", "10ms"], "true");
    let ids: Vec<i64> =
        [no_program, cancelled, expired].iter().map(|job| of_job(&nest, *job, "x", "echo removed >>ledger", &[])).collect();
    let _worker = nest.work(&TICK);
    nest.ok(&["cancel", &cancelled.to_string()]);
    for id in ids {
        assert_eq!(until_gone(&nest, id)["released_by"], "teardown");
    }
    assert_eq!(nest.show(no_program)["reason"], "spawn");
    assert_eq!(lines(&nest, "ledger").len(), 3);
}

#[test]
fn resources_of_a_job_outlive_its_runs() {
    let nest = Nest::new();
    let line = format!(
        "{} resource add thing --job $TENURE_JOB --teardown '{REMOVE}' >>ids; [ -e thing ] && echo kept >>ledger; touch thing; exit 1",
        tenure()
    );
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &line);
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(job)["attempts"], 2);
    assert_eq!(lines(&nest, "ledger"), ["kept", "removed"]);
    assert_eq!(lines(&nest, "ids"), ["1", "1"], "recorded twice by the same owner: one row");
    all_gone(&nest);
}

#[test]
fn a_job_that_is_retried_by_a_person_waits_for_what_is_its_own() {
    let nest = Nest::new();
    let job = nest.sh(&[], "[ -e thing ] && echo TWICE >>ledger; exit 1");
    let id = of_job(&nest, job, "thing", &format!("[ -e allowed ] && {{ {REMOVE}; }}"), &[]);
    let _worker = nest.work(&TICK);
    nest.until_state(job, "failed");
    std::fs::write(nest.file("thing"), "").unwrap();
    until("a failure", || (resource(&nest, id)["attempts"].as_i64() > Some(0)).then_some(()));
    nest.ok(&["retry", &job.to_string()]);
    let again = nest.show(job);
    assert_eq!((&again["state"], &again["hold"]), (&"queued".into(), &"resource".into()));
    std::fs::write(nest.file("allowed"), "").unwrap();
    nest.ok(&["resource", "sweep"]);
    nest.until_state(job, "failed");
    assert_eq!(lines(&nest, "ledger"), ["removed"]);
    all_gone(&nest);
}

#[test]
fn until_empty_waits_for_the_attempt_after_a_failed_teardown() {
    let nest = Nest::new();
    let line = format!("{}; exit 1", make(&fail_first(2), ""));
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &line);
    nest.ok(&["work", "--until-empty", "--tick", "50ms"]);
    let job = nest.show(job);
    assert_eq!((&job["state"], &job["attempts"]), (&"failed".into(), &2.into()), "it was tried again");
}

#[test]
fn what_belongs_to_a_task_goes_with_the_task() {
    let nest = Nest::new();
    std::fs::write(
        nest.file("p.toml"),
        r#"
        [pipeline.p]
        start = "one"
        [pipeline.p.stage.one]
        command = ["true"]
        teardown = "touch \"stage-$TENURE_PARAM_v\""
        on_success = "two"
        [pipeline.p.stage.two]
        command = ["true"]
        hold = true
        "#,
    )
    .unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    let task = nest.ok(&["task", "start", "p", "-p", "v=7"]);
    nest.work_until_idle(&[]);
    assert_eq!(resource(&nest, 1)["state"], "held", "the task is in its second stage, and the first has left something");
    assert_eq!(resource(&nest, 1)["task"].to_string(), task);
    let cwd = nest.path().to_str().unwrap().to_owned();
    nest.ok(&["resource", "add", "other", "--task", &task, "--teardown", "touch gone", "--cwd", &cwd]);
    nest.work_until_idle(&[]);
    assert_eq!(resource(&nest, 2)["state"], "held");
    nest.ok(&["task", "stop", &task]);
    nest.work_until_idle(&[]);
    for id in [1, 2] {
        until_gone(&nest, id);
    }
    assert!(nest.file("gone").exists() && nest.file("stage-7").exists());
}

#[test]
fn a_run_without_its_job_records_resources_for_teardown() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo $TENURE_RUN >run");
    nest.work_until_idle(&[]);
    let run = lines(&nest, "run")[0].clone();
    for run in [run.as_str(), "4000000"] {
        std::fs::write(nest.file("thing"), "").unwrap();
        let mut add = nest.tenure(&["resource", "add", "late", "--teardown", REMOVE]);
        let said = crate::support::said(add.env("TENURE_RUN", run).env("TENURE_JOB", job.to_string()).output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.err.contains("torn down at once") && said.err.contains("no worker"), "{said:?}");
        let id: i64 = said.out.trim().parse().unwrap();
        assert_eq!(resource(&nest, id)["state"], "releasing");
        nest.work_until_idle(&[]);
        assert_eq!(until_gone(&nest, id)["released_by"], "teardown");
        assert!(!nest.file("thing").exists());
    }
}

#[test]
fn tenure_run_that_is_its_own_worker_tears_down_before_it_ends() {
    let nest = Nest::new();
    let said = nest.say(&["run", "--", "/bin/sh", "-c", &format!("{}; exit 4", make("sleep 0.3; rm thing", ""))]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(!nest.file("thing").exists());
    let said = nest.say(&["run", "--", "/bin/sh", "-c", &make("exit 1", "")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("is not torn down yet; it failed once: teardown: exit status 1"), "{said:?}");
    // What others have left is not waited for.
    let other = ended_job(&nest);
    of_job(&nest, other, "x", "exec sleep 600", &[]);
    let said = nest.say(&["run", "--", "/bin/sh", "-c", &make(REMOVE, "")]);
    assert_eq!((said.code, lines(&nest, "ledger").len()), (0, 1), "{said:?}");
}

#[test]
fn a_restored_copy_tears_down_what_its_lost_runs_had_made() {
    let nest = Nest::new();
    let job = nest.sh(&[], &format!("{}; echo $$ >pid; exec sleep 600", make(REMOVE, "")));
    let worker = nest.work(&TICK);
    pid_in(&nest.file("pid"));
    nest.ok(&["backup", "copy"]);
    nest.ok(&["cancel", &job.to_string()]);
    until_gone(&nest, 1);
    worker.stop();
    std::fs::write(nest.file("thing"), "").unwrap();
    nest.ok(&["restore", "copy"]);
    assert_eq!(resource(&nest, 1)["state"], "releasing");
    nest.work_until_idle(&[]);
    until_gone(&nest, 1);
    assert_eq!(lines(&nest, "ledger"), ["removed", "removed"]);
    let restored = nest.show(job);
    assert_eq!((&restored["state"], &restored["hold"]), (&"queued".into(), &"user".into()));
}

#[test]
fn an_ended_owner_may_be_named_and_an_unknown_one_may_not() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let id = of_job(&nest, job, "x", "true", &[]);
    assert_eq!(resource(&nest, id)["state"], "releasing");
    for owner in [["--job", "99"], ["--task", "99"]] {
        let said = nest.say(&["resource", "add", "x", "--teardown", "true", owner[0], owner[1]]);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.err.contains("there is no"), "{said:?}");
    }
}
