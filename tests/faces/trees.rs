//! When a job has ended, nothing of its tree is left: after a cancel, with and without a worker, and after an end of its own.

use serde_json::Value;

use crate::faces::said::{end, run_sh};
use crate::support::{Nest, lives, pid_in, until};

/// Ignores TERM, leaves its session, clears its environment, twice over. Writes the pids of what is hardest to find.
const STUBBORN: &str = "trap '' TERM; \
    setsid sh -c 'env -i sleep 600 & echo $! >one; env -i setsid sleep 600 & echo $! >two; wait' & \
    echo $! >three; sleep 600";

/// Seconds between TERM and KILL in these tests.
const GRACE_S: i64 = 1;

fn stubborn(nest: &Nest) -> (i64, Vec<i32>) {
    let id = nest.sh(&["--grace", "1s"], STUBBORN);
    let pids = ["one", "two", "three"].map(|name| {
        until(name, || std::fs::read_to_string(nest.file(name)).ok()?.trim().parse::<i32>().ok().filter(|pid| lives(*pid)))
    });
    let job = nest.until_pid(id);
    (id, pids.into_iter().chain([job]).collect())
}

fn at_ms(value: &Value) -> i64 {
    value.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

#[test]
fn a_cancel_leaves_no_process_within_grace_and_a_second() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let (id, pids) = stubborn(&nest);
    let said = nest.say(&["cancel", &id.to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    let job = nest.until_ended(id);
    assert_eq!(end(&job), "cancelled/cancelled", "{job}");
    assert!(pids.iter().all(|pid| !lives(*pid)), "{pids:?}");
    assert!(nest.of_runs().is_empty());
    let asked: i64 = nest.sql().query_row("SELECT at FROM cancel WHERE job_id = ?1", [id], |row| row.get(0)).unwrap();
    let took = at_ms(&job["finished_at"]) - asked;
    assert!((GRACE_S * 1_000..=GRACE_S * 1_000 + 1_000).contains(&took), "{took} ms");
    assert_eq!(nest.say(&["wait", &id.to_string()]).code, 137, "it had to be killed");
}

#[test]
fn a_cancel_without_a_worker_ends_the_tree() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let (id, pids) = stubborn(&nest);
    worker.kill();
    let said = nest.say(&["cancel", "--why", "enough", &id.to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("no worker") && said.err.contains("asked to stop"), "{said:?}");
    let begun = std::time::Instant::now();
    until("nothing of it to live", || pids.iter().all(|pid| !lives(*pid)).then_some(()));
    assert!(begun.elapsed().as_millis() as i64 <= GRACE_S * 1_000 + 1_000, "{:?}", begun.elapsed());
    until("its shim to go", || nest.of_runs().is_empty().then_some(()));
    let waiting = nest.show(id);
    assert_eq!(waiting["state"], "running", "no worker has recorded it: {waiting}");
    nest.work_until_idle(&[]);
    let job = nest.show(id);
    assert_eq!(end(&job), "cancelled/cancelled", "{job}");
    assert!(nest.ok(&["why", &id.to_string()]).contains("enough"));
}

#[test]
fn an_interrupt_cancels_the_job_and_a_second_one_leaves_it() {
    let nest = Nest::new();
    let start = |line: &str| {
        nest.tenure(&["run", "--grace", "30s", "-c", line])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut polite = start("trap 'exit 9' TERM; while :; do sleep 0.05; done");
    until("a job", || nest.db().exists().then_some(()));
    until("its file to be whole", || (nest.say(&["show", "1"]).code == 0).then_some(()));
    nest.until_pid(1);
    crate::support::kill(polite.id() as i32, crate::support::Signal::INT);
    let code = polite.wait().unwrap().code();
    let job = nest.show(1);
    assert_eq!(end(&job), "cancelled/cancelled", "{job}");
    assert!(code == Some(9) || code == Some(143), "as its job ended: {code:?} {job}");

    let stubborn = start("trap '' TERM; echo $$ >pid; while :; do sleep 0.05; done");
    until("another job", || (nest.say(&["show", "2"]).code == 0).then_some(()));
    nest.until_pid(2);
    let pid = pid_in(&nest.file("pid"));
    crate::support::kill(stubborn.id() as i32, crate::support::Signal::INT);
    until("the cancel to be written", || nest.ok(&["show", "2"]).contains("cancelling").then_some(()));
    crate::support::kill(stubborn.id() as i32, crate::support::Signal::INT);
    let output = stubborn.wait_with_output().unwrap();
    let said = crate::support::said(output);
    assert_eq!(said.code, 130, "{said:?}");
    assert!(said.err.contains("interrupt again") && said.err.contains("left to itself"), "{said:?}");
    assert!(lives(pid), "it has its grace");
}

#[test]
fn processes_left_by_a_job_end_with_it_and_are_named() {
    let nest = Nest::new();
    let ran = run_sh(&nest, &[], "sleep 601 & setsid sleep 602 & env -i setsid sleep 603 >/dev/null 2>&1 & sleep 0.2; exit 0");
    assert_eq!((ran.code(), ran.end().as_str()), (0, "done/exit"), "{}", ran.job);
    assert!(nest.of_runs().is_empty());
    let leftovers = ran.job["runs"][0]["leftovers"].as_str().expect("leftovers").to_owned();
    assert_eq!(leftovers.matches("sleep").count(), 3, "{leftovers}");
    let numbers: Vec<i32> = leftovers.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    assert!(numbers.iter().all(|pid| !lives(*pid)), "{leftovers}");
    assert!(nest.ok(&["show", "last"]).contains("sleep"));
    let history = nest.ok(&["history", "last"]);
    assert!(history.contains("left_behind") && history.contains("sleep"), "{history}");
    let quiet = run_sh(&nest, &[], "exit 0");
    assert!(quiet.job["runs"][0]["leftovers"].is_null());
    assert!(!nest.ok(&["history", "last"]).contains("left_behind"));
}

#[test]
fn a_job_whose_child_keeps_its_output_open_ends_when_it_ends() {
    let nest = Nest::new();
    let begun = std::time::Instant::now();
    let ran = run_sh(&nest, &[], "echo out; (trap '' TERM HUP; exec sleep 600) & exit 4");
    assert_eq!((ran.code(), ran.said.out.as_str()), (4, "out\n"), "{}", ran.job);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    assert!(nest.of_runs().is_empty());
}
