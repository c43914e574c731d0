//! Steps of the wall clock, hours both ways: what is a duration does not notice them, and what is an instant goes by the clock.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::{Nest, Worker, lives, until};

const HOUR_MS: i64 = 3_600_000;

/// Stands before the C library of a worker: the wall clock is ahead by as many seconds as the file `offset` says.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
    long n = 0;
    FILE *f = fopen(getenv("CLOCK_OFFSET"), "r");
    if (f) { if (fscanf(f, "%ld", &n) != 1) n = 0; fclose(f); }
    return n;
}
int clock_gettime(clockid_t clock, struct timespec *t) {
    int r = syscall(SYS_clock_gettime, clock, t);
    if (!r && clock == CLOCK_REALTIME) t->tv_sec += offset();
    return r;
}
"#;

/// A worker whose wall clock can be set; `None` where there is no C compiler (Rust needs one to link, so there is).
struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    fn new(nest: &Nest) -> Option<Self> {
        let (source, library) = (nest.file("clock.c"), nest.file("clock.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let mut cc = Command::new("cc");
        let made = cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        if !made.is_ok_and(|status| status.success()) {
            crate::support::untested::not_tested("a clock that is set", "a C compiler");
            return None;
        }
        Some(Self { library, offset: nest.file("offset") })
    }

    fn work(&self, nest: &Nest, args: &[&str]) -> Worker {
        let path = |path: &Path| path.as_os_str().to_owned();
        let (library, offset) = (path(&self.library), path(&self.offset));
        let env: [(&str, &OsStr); 3] = [("LD_PRELOAD", &library), ("CLOCK_OFFSET", &offset), ("TENURE_KEEP", OsStr::new("1h"))];
        nest.work_with(args, &env)
    }

    fn set(&self, hours: i64) {
        let aside = self.offset.with_extension("new");
        std::fs::write(&aside, (hours * 3600).to_string()).unwrap();
        std::fs::rename(&aside, &self.offset).unwrap();
    }
}

fn now_ms() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn available_at(nest: &Nest, job: i64) -> i64 {
    nest.sql().query_row("SELECT available_at FROM job WHERE id = ?1", [job], |row| row.get(0)).unwrap()
}

fn walk(hours: i64) {
    let nest = Nest::new();
    let Some(clock) = Clock::new(&nest) else { return };
    nest.ok(&["queue", "set", "two-hours", "--max-runtime", "2h"]);
    nest.ok(&["queue", "set", "later", "--slots", "9"]);
    let worker = clock.work(&nest, &["--slots", "9", "--tick", "200ms"]);
    let stubborn = "trap 'echo term >>term' TERM; echo begin; while :; do sleep 0.05; done";
    let limited: [(&str, &[&str]); 4] = [
        ("max-runtime", &["--queue", "two-hours"]),
        ("max-runtime set later", &["--queue", "later"]),
        ("timeout", &["--timeout", "2h"]),
        ("idle-timeout", &["--idle-timeout", "2h"]),
    ];
    let limited = limited.map(|(what, options)| (what, nest.sh(options, "echo begin; exec sleep 600")));
    let in_grace = nest.sh(&["--grace", "2h"], stubborn);
    let in_short_grace = nest.sh(&["--grace", "2s"], stubborn);
    for job in limited.iter().map(|(_, job)| *job).chain([in_grace, in_short_grace]) {
        nest.until_pid(job);
        nest.until_log(job, "begin");
    }
    nest.ok(&["cancel", &in_grace.to_string()]);
    let retried = nest.sh(&["--retries", "1", "--backoff", "1h..1h"], "exit 3");
    let deferred = nest.sh(&["--backoff", "1h..1h"], "exit 75");
    let waits = |job| until("it to wait", || (nest.show(job)["hold"] == "time").then_some(()));
    waits(retried);
    waits(deferred);
    let delayed = nest.sh(&["--delay", "1h"], "exit 0");
    let ended = nest.sh(&[], "exit 0");
    nest.until_ended(ended);
    let before = [retried, deferred].map(|job| available_at(&nest, job));

    clock.set(hours);
    until("the worker to see it", || worker.said().contains("the clock was set").then_some(()));
    nest.ok(&["queue", "set", "later", "--max-runtime", "2h"]);
    // What is stopped by a limit that is set now tells that the worker has looked at every limit.
    let sentinel = nest.sh(&["--queue", "sentinel", "--grace", "1s"], "exec sleep 600");
    nest.until_pid(sentinel);
    nest.ok(&["queue", "set", "sentinel", "--max-runtime", "500ms"]);
    let stopped = nest.until_ended(sentinel);
    assert_eq!(stopped["reason"], "timeout", "a limit that is set later: {stopped}");
    nest.ok(&["cancel", &in_short_grace.to_string()]);
    assert_eq!(nest.until_ended(in_short_grace)["reason"], "cancelled", "a grace is over when it is over");

    for (what, job) in limited {
        assert_eq!(nest.state(job), "running", "{what} of 2 h, and a step of {hours} h");
    }
    assert_eq!(nest.state(in_grace), "running", "a grace of 2 h, and a step of {hours} h");
    for (job, before) in [retried, deferred].into_iter().zip(before) {
        let wait = available_at(&nest, job) - before - hours * HOUR_MS;
        assert!(wait.abs() < 60_000, "a wait for another attempt moves with the clock: off by {wait} ms");
        assert_eq!(nest.show(job)["hold"], "time", "{hours} h");
    }
    // An instant is an instant: an hour from now has come when the clock says so.
    if hours > 0 {
        assert_eq!(nest.until_ended(delayed)["state"], "done");
    } else {
        assert_eq!(nest.show(delayed)["hold"], "time");
    }
    let pruned = nest.say(&["show", &ended.to_string()]);
    assert_eq!(pruned.code, 0, "history of an hour is kept for an hour: {pruned:?}");
    assert_eq!(nest.status()["reaper"]["lost_total"], json!(0));
}

#[test]
fn a_clock_set_forward_by_hours_ends_and_starts_nothing() {
    walk(3);
}

#[test]
fn a_clock_set_back_by_hours_prolongs_nothing() {
    walk(-3);
}

#[test]
fn a_job_that_ended_without_a_worker_has_its_own_times() {
    let nest = Nest::new();
    let first = nest.work(&[]);
    let checked = nest.sh(&["--check", "sleep 0.1"], "sleep 0.3");
    let plain = nest.sh(&[], "sleep 1; until [ -e go ]; do sleep 0.02; done; echo over");
    nest.until_ended(checked);
    nest.until_pid(plain);
    let run = nest.show(plain)["run_id"].as_i64().unwrap();
    first.kill();
    std::fs::write(nest.file("go"), "").unwrap();
    until("its end to be recorded", || nest.record(run, "EXITED", "at"));
    // By now: the file is put away when its run is settled.
    let number = |kind, key| -> i64 { nest.record(run, kind, key).unwrap().parse().unwrap() };
    let (begun, exited) = (number("STARTED", "at"), number("EXITED", "at"));
    let ran = number("EXITED", "boot") - number("STARTED", "boot");
    assert!(ran >= 900, "it ran {ran} ms");
    // The worker is away for long enough to tell one from the other.
    until("some time to pass", || (now_ms() > exited + 2_000).then_some(()));
    let _second = nest.work(&[]);
    nest.until_ended(plain);
    let (started, finished): (i64, i64) = nest
        .sql()
        .query_row("SELECT started_at, finished_at FROM job WHERE id = ?1", [plain], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(finished, exited, "the end is that of the run");
    assert!(started <= begun && finished - started >= 900, "from {started} to {finished}, and it ran {ran} ms from {begun} on");
    let recorded: i64 = nest.sql().query_row("SELECT finished_at FROM run WHERE id = ?1", [run], |row| row.get(0)).unwrap();
    assert!(recorded > exited + 1_900, "and its row says when that was recorded");
    let of = "SELECT j.finished_at >= c.exited_at AND j.finished_at <= c.finished_at FROM job j JOIN run c ON c.job_id = j.id
               WHERE j.id = ?1 AND c.kind = 'check'";
    assert!(nest.sql().query_row(of, [checked], |row| row.get::<_, bool>(0)).unwrap(), "a check belongs to its job's time");
}

#[test]
fn a_clock_step_beside_a_write_lock_delays_no_stop() {
    let nest = Nest::new();
    let Some(clock) = Clock::new(&nest) else { return };
    let job = nest.sh(&["-q", "later"], "sleep 600");
    let _worker = clock.work(&nest, &[]);
    let pid = nest.until_pid(job);
    nest.ok(&["queue", "set", "later", "--max-runtime", "4s"]);
    let blocker = nest.sql();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    clock.set(3);
    until("the job to be stopped", || (!lives(pid)).then_some(()));
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(nest.until_ended(job)["reason"], "timeout");
}
