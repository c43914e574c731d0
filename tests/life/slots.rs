//! The number of slots, changed while the worker runs: what it does to the running jobs and to the next ones, and whose word counts at
//! the next start.

use std::process::Stdio;

use tenure::Job;

use crate::life::embedded;
use crate::support::{Nest, until};

/// Counts what runs beside it when it starts, and ends when it is told to.
const MEMBER: &str = r#"mkdir -p inside; : > "inside/$TENURE_JOB"; ls inside | wc -l > "seen$TENURE_JOB"
until [ -e "go$TENURE_JOB" ]; do sleep 0.02; done; rm "inside/$TENURE_JOB""#;

fn add(nest: &Nest) -> i64 {
    nest.sh(&[], MEMBER)
}

fn go(nest: &Nest, id: i64) {
    std::fs::write(nest.file(&format!("go{id}")), "").unwrap();
}

/// How many ran when it started, itself included.
fn seen(nest: &Nest, id: i64) -> usize {
    until("a job to count", || std::fs::read_to_string(nest.file(&format!("seen{id}"))).ok()?.trim().parse().ok())
}

fn slots(nest: &Nest) -> (i64, String) {
    let document = nest.json(&["slots", "--json"]);
    (document["slots"].as_i64().unwrap(), document["slots_from"].as_str().unwrap().to_owned())
}

/// (A worker that is still starting has said how many slots it is given, and may not have written yet that an earlier number does not
/// count any more.)
fn until_slots(nest: &Nest, n: i64, from: &str) {
    until("the worker to follow", || (slots(nest) == (n, from.to_owned())).then_some(()));
    until("it to serve", || (nest.status()["worker"]["phase"] == "serving").then_some(()));
}

#[test]
fn more_slots_start_more_jobs_and_fewer_end_none() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "1"]);
    let jobs: Vec<i64> = (0..5).map(|_| add(&nest)).collect();
    nest.until_pid(jobs[0]);
    assert_eq!(nest.state(jobs[1]), "queued");
    let why = nest.ok(&["why", &jobs[1].to_string()]);
    assert!(why.contains("tenure slots 2"), "{why}");
    assert_eq!(nest.ok(&["slots", "3"]), "");
    jobs[1..3].iter().for_each(|id| _ = nest.until_pid(*id));
    until_slots(&nest, 3, "tenure slots");
    nest.ok(&["slots", "1"]);
    until_slots(&nest, 1, "tenure slots");
    for id in &jobs[..3] {
        assert_eq!(nest.state(*id), "running", "nothing was ended");
        go(&nest, *id);
        nest.until_state(*id, "done");
    }
    // The fourth starts when the third has ended, and not before.
    assert_eq!(seen(&nest, jobs[3]), 1);
    assert_eq!(nest.state(jobs[4]), "queued");
    assert!(nest.ok(&["status"]).contains("1 of 1 slots busy (set by tenure slots)"));
    nest.ok(&["slots", "default"]);
    until_slots(&nest, 1, "--slots");
    jobs[3..].iter().for_each(|id| go(&nest, *id));
    nest.until_state(jobs[4], "done");
}

#[test]
fn the_later_word_counts_and_a_kill_forgets_none() {
    let nest = Nest::new();
    let config = nest.file("config.toml");
    std::fs::write(&config, "slots = 2\n").unwrap();
    let env: &[(&str, &std::ffi::OsStr)] = &[("TENURE_CONFIG", config.as_os_str())];
    let worker = nest.work_with(&[], env);
    until_slots(&nest, 2, &config.display().to_string());
    nest.ok(&["slots", "5"]);
    until_slots(&nest, 5, "tenure slots");
    worker.kill();
    let worker = nest.work_with(&[], env);
    until_slots(&nest, 5, "tenure slots");
    assert_eq!(worker.stop(), 0);
    // Without a worker it is recorded for the next one.
    let said = nest.say(&["slots", "6"]);
    assert!(said.code == 0 && said.err.contains("no worker is running"), "{said:?}");
    let said = nest.say(&["slots"]);
    assert_eq!((said.code, said.out.as_str()), (0, "6\n"), "{said:?}");
    let worker = nest.work_with(&[], env);
    until_slots(&nest, 6, "tenure slots");
    worker.kill();
    let worker = nest.work_with(&["--slots", "3"], env);
    until_slots(&nest, 3, "--slots");
    worker.kill();
    let _worker = nest.work_with(&[], env);
    until_slots(&nest, 2, &config.display().to_string());
}

#[test]
fn a_number_that_cannot_be_is_refused() {
    let nest = Nest::new();
    for wrong in ["0", "-1", "x", "10001", "99999999999999999999", ""] {
        let said = nest.say(&["slots", wrong]);
        assert!(said.code == 2 && !said.err.is_empty(), "{wrong:?}: {said:?}");
    }
    nest.ok(&["slots", "default"]);
    let line = format!("ulimit -n 100; exec {} work --slots 2", env!("CARGO_BIN_EXE_tenure"));
    let mut work = std::process::Command::new("/bin/sh");
    work.args(["-c", &line]).env("TENURE_DB", nest.db()).stdin(Stdio::null()).stderr(Stdio::null());
    let mut worker = work.spawn().unwrap();
    until("the worker to serve", || (nest.json(&["slots", "--json"])["worker"] == true).then_some(()));
    until_slots(&nest, 2, "--slots");
    let said = nest.say(&["slots", "16"]);
    assert!(said.code == 6 && said.err.contains("use at most 15"), "{said:?}");
    nest.ok(&["slots", "15"]);
    until_slots(&nest, 15, "tenure slots");
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_program_changes_the_slots_of_its_worker() {
    let nest = Nest::new();
    let queue = embedded::queue(&nest);
    let worker = queue.worker().slots(1).helper(env!("CARGO_BIN_EXE_tenure")).start().unwrap();
    let go = nest.file("go").display().to_string();
    let line = format!("until [ -e {go} ]; do sleep 0.02; done");
    let ids: Vec<_> = (0..2).map(|_| queue.add(Job::shell(&line)).unwrap()).collect();
    until("the first to start", || queue.job(ids[0]).unwrap().pid);
    assert_eq!(queue.job(ids[1]).unwrap().state, tenure::State::Queued);
    assert!(matches!(worker.set_slots(0), Err(tenure::Error::Invalid(_))));
    worker.set_slots(2).unwrap();
    until("the second to start", || queue.job(ids[1]).unwrap().pid);
    std::fs::write(&go, "").unwrap();
    ids.iter().for_each(|id| _ = queue.wait(*id).unwrap());
    worker.stop().unwrap();
    queue.set_slots(None).unwrap();
}

/// Takes as many of four things as its argument says, each of which one job can have at a time, and notes when there are too few.
const TAKER: &str = r#"n=0; mine=
for i in 1 2 3 4; do
  [ $n -lt $1 ] && mkdir "thing$i" 2>/dev/null && { n=$((n + 1)); mine="$mine thing$i"; }
done
[ $n -eq $1 ] || echo "job $TENURE_JOB got $n of $1" >> over
sleep 0.0$((TENURE_JOB % 7))
rmdir $mine"#;

#[test]
fn a_wide_job_waits_for_its_slots_and_is_not_overtaken() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "3"]);
    let first = nest.sh(&["--slots", "2"], MEMBER);
    nest.until_pid(first);
    let wide = nest.sh(&["--slots", "2"], MEMBER);
    let narrow = nest.sh(&["-q", "other"], MEMBER);
    let code = |id: i64| -> Vec<String> {
        let why = nest.json(&["why", &id.to_string(), "--json"]);
        why["obstacles"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(code(wide), ["slots"]);
    assert!(nest.ok(&["why", &wide.to_string()]).contains("it takes 2 slots, and 1 of 3"));
    assert_eq!(code(narrow), ["behind_wide"]);
    assert!(nest.ok(&["status"]).contains("2 of 3 slots busy"));
    go(&nest, first);
    nest.until_pid(wide);
    nest.until_pid(narrow);
    assert!(seen(&nest, narrow) <= 3 && nest.show(wide)["slots"] == 2);
    [wide, narrow].iter().for_each(|id| go(&nest, *id));
    nest.until_ended(wide);
    nest.until_ended(narrow);
}

#[test]
fn a_job_wider_than_the_worker_is_told_and_blocks_none() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    nest.ok(&["queue", "set", "q", "--slots", "1"]);
    let added = nest.say(&["add", "--slots", "3", "--", "true"]);
    assert!(added.err.contains("the worker has 2") && added.err.contains("tenure slots 3"), "{added:?}");
    let id: i64 = added.out.trim().parse().unwrap();
    let of_queue = nest.say(&["add", "--slots", "2", "-q", "q", "--", "true"]);
    assert!(of_queue.err.contains("its queue \"q\" has 1"), "{of_queue:?}");
    let other: i64 = of_queue.out.trim().parse().unwrap();
    nest.until_ended(nest.sh(&[], "true"));
    nest.until_ended(nest.sh(&["-q", "q"], "true"));
    let job = nest.show(id);
    assert_eq!((&job["state"], &job["hold"]), (&"queued".into(), &"slots".into()), "{job}");
    assert!(nest.ok(&["why", &id.to_string()]).contains("tenure slots 3, or tenure set"));
    assert!(nest.ok(&["status"]).contains("2 jobs take more slots"));
    nest.ok(&["slots", "3"]);
    nest.until_state(id, "done");
    nest.ok(&["set", &other.to_string(), "slots=1"]);
    nest.until_state(other, "done");
}

#[test]
fn no_slot_is_taken_twice_however_often_the_worker_is_killed() {
    let nest = Nest::new();
    std::fs::write(nest.file("taker"), TAKER).unwrap();
    let width = |n: i64| [1, 2, 1, 4, 3, 1, 2][n as usize % 7].to_string();
    let jobs: Vec<i64> = (0..28).map(|n| nest.add(&["--slots", &width(n), "--", "/bin/sh", "taker", &width(n)])).collect();
    let done = || nest.sql().query_row("SELECT count(*) FROM job WHERE state = 'done'", [], |row| row.get::<_, i64>(0)).unwrap();
    for kill in 1..=6 {
        let worker = nest.work(&["--slots", "4", "--tick", "20ms"]);
        until("some jobs to end", || (done() >= kill * 4).then_some(()));
        worker.kill();
    }
    let _worker = nest.work(&["--slots", "4", "--tick", "20ms"]);
    jobs.iter().for_each(|id| assert_eq!(nest.until_ended(*id)["state"], "done"));
    assert_eq!(std::fs::read_to_string(nest.file("over")).unwrap_or_default(), "");
    until("the slots to be free", || (nest.status()["worker"]["busy"] == 0).then_some(()));
}
