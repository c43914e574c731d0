//! Rows that the guards make impossible, written by a client that dropped the guards: found, repaired, counted, never acted on.

use std::process::{Child, Command, Stdio};

use crate::life::left::{
    after_a_tick, claimed, lines, number, outcomes, ownership, prepare, row, sleeper, until_killed, until_no_run_file,
};
use crate::support::{Nest, Signal, kill, kill_child, lives, pid_in, until, without_guards};

const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "1"];

/// What a hostile hand does to a job whose id is ?1; what becomes of the row; which rule it breaks.
const FAULTY: &[(&str, &str, &str)] = &[
    ("UPDATE job SET run_id = 999999, pid = 1, started_at = 5 WHERE id = ?1", "queued - - - - -", "queued_owns_nothing"),
    ("UPDATE job SET pid = 1 WHERE id = ?1", "queued - - - - -", "queued_owns_nothing"),
    ("UPDATE job SET reason = 'exit' WHERE id = ?1", "queued - - - - -", "queued_owns_nothing"),
    ("UPDATE job SET finished_at = 5 WHERE id = ?1", "queued - - - - -", "queued_owns_nothing"),
    ("UPDATE job SET state = 'running' WHERE id = ?1", "queued - - - - -", "running_has_its_run"),
    ("UPDATE job SET state = 'running', pid = 1 WHERE id = ?1", "queued - - - - -", "running_has_its_run"),
    (
        "UPDATE job SET state = 'running', run_id = 999999, started_at = 5, pid = 1 WHERE id = ?1",
        "queued - - - - -",
        "running_has_its_run",
    ),
    ("UPDATE job SET state = 'running', run_id = 999999 WHERE id = ?1", "queued - - - - -", "running_has_its_run"),
    ("UPDATE job SET state = 'paused' WHERE id = ?1", "queued - - - - -", "state_is_known"),
    ("UPDATE job SET state = '', run_id = 7, pid = 1 WHERE id = ?1", "queued - - - - -", "state_is_known"),
    ("UPDATE job SET attempts = -3, deferrals = -1 WHERE id = ?1", "queued - - - - -", "counts_not_negative"),
    (
        "UPDATE job SET state = 'failed', reason = 'exit', finished_at = 5, pid = 1 WHERE id = ?1",
        "failed - - - 5 exit",
        "ended_says_why",
    ),
    (
        "UPDATE job SET state = 'done', reason = 'exit', finished_at = 5, exit_code = 3 WHERE id = ?1",
        "failed - - - 5 exit",
        "done_means_exit_zero",
    ),
    ("UPDATE job SET state = 'done', finished_at = 5 WHERE id = ?1", "failed - - - 5 lost", "ended_says_why"),
    ("UPDATE job SET state = 'cancelled', finished_at = 5 WHERE id = ?1", "cancelled - - - 5 cancelled", "ended_says_why"),
];

/// A held job for each of them, made faulty.
fn faulty_jobs(nest: &Nest) -> Vec<i64> {
    let jobs: Vec<i64> = FAULTY.iter().map(|_| nest.sh(&["--hold"], "echo acted >>ledger")).collect();
    without_guards(nest, |conn| {
        for (job, (act, ..)) in jobs.iter().zip(FAULTY) {
            conn.execute(act, [job]).unwrap();
        }
    });
    jobs
}

fn assert_repaired(nest: &Nest, jobs: &[i64], times: i64) {
    for (job, (act, expected, rule)) in jobs.iter().zip(FAULTY) {
        assert_eq!(ownership(nest, *job), *expected, "{act}");
        assert_eq!(number(nest, "SELECT min(attempts, deferrals, failed_starts) >= 0 FROM job WHERE id = ?1", *job), 1, "{act}");
        let told = format!(
            "SELECT count(*) FROM event WHERE job_id = ?1 AND kind IN ('repaired', 'quarantined') AND detail GLOB '{rule}: *'"
        );
        assert_eq!(number(nest, &told, *job), times, "{act}");
        let held = "SELECT state <> 'queued' OR user_hold = 1 FROM job WHERE id = ?1";
        assert_eq!(number(nest, held, *job), 1, "{act}");
    }
    assert_eq!(nest.counter("impossible_total"), FAULTY.len() as i64 * times, "each was counted once");
    assert!(lines(nest, "ledger").is_empty(), "none was acted on");
}

#[test]
fn impossible_rows_are_repaired_at_start_and_tick() {
    let nest = Nest::new();
    let at_start = faulty_jobs(&nest);
    let _worker = nest.work(&TICK);
    after_a_tick(&nest);
    assert_repaired(&nest, &at_start, 1);
    after_a_tick(&nest);
    assert_repaired(&nest, &at_start, 1);
    let healthy = nest.sh(&[], "true");
    nest.until_ended(healthy);
    assert_eq!(row(&nest, healthy), "done exit 0 1", "at one slot, no job waits for what is not there");
    // The same once more, under the living worker.
    without_guards(&nest, |conn| {
        for (job, (act, ..)) in at_start.iter().zip(FAULTY) {
            conn.execute("UPDATE job SET state = 'queued', reason = NULL, finished_at = NULL, exit_code = NULL, user_hold = 1 WHERE id = ?1", [job])
                .unwrap();
            conn.execute(act, [job]).unwrap();
        }
    });
    until("the ticks to repair them", || (nest.counter("impossible_total") == 2 * FAULTY.len() as i64).then_some(()));
    after_a_tick(&nest);
    assert_repaired(&nest, &at_start, 2);
    let integrity: String = nest.sql().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
}

#[test]
fn rows_are_not_acted_on_where_the_repair_is_switched_off() {
    let nest = Nest::new();
    let jobs = faulty_jobs(&nest);
    let config = nest.file("config.toml");
    std::fs::write(&config, "repair = false\n").unwrap();
    let before: Vec<String> = jobs.iter().map(|job| ownership(&nest, *job)).collect();
    let mut work = nest.tenure(&["work", "--until-idle", "--tick", "20ms"]);
    assert!(work.env("TENURE_CONFIG", &config).status().unwrap().success());
    assert_eq!(jobs.iter().map(|job| ownership(&nest, *job)).collect::<Vec<_>>(), before);
    assert_eq!(nest.counter("impossible_total"), 0);
    assert!(lines(&nest, "ledger").is_empty());
}

#[test]
fn a_running_job_with_an_ended_run_follows_that_run() {
    let nest = Nest::new();
    let jobs = ["exit 0", "exit 3"].map(|line| nest.sh(&[], line));
    nest.work_until_idle(&[]);
    without_guards(&nest, |conn| {
        conn.execute("UPDATE job SET state = 'running', reason = NULL, finished_at = NULL, exit_code = NULL, pid = 1", [])
            .unwrap();
    });
    let _worker = nest.work(&TICK);
    jobs.iter().for_each(|job| drop(nest.until_ended(*job)));
    assert_eq!(jobs.map(|job| row(&nest, job)), ["done exit 0 1", "failed exit 3 1"]);
    assert_eq!(nest.counter("impossible_total"), 2);
}

#[test]
fn a_queued_row_with_a_living_run_is_held_and_its_tree_ended() {
    let nest = Nest::new();
    let first = nest.work(&TICK);
    let job = nest.sh(&[], "echo ran >>ledger; env -i setsid sleep 600 >/dev/null 2>&1 & echo $! >inner; exec sleep 600");
    let pid = nest.until_pid(job);
    let inner = pid_in(&nest.file("inner"));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    first.kill();
    // The worst of all: it looks as if it could be claimed.
    without_guards(&nest, |conn| {
        conn.execute(
            "UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, attempts = 0 WHERE id = ?1",
            [job],
        )
        .unwrap();
        conn.execute_batch("DELETE FROM tally; INSERT INTO tally VALUES ('queued', '', 'default', 1)").unwrap();
    });
    let _second = nest.work(&TICK);
    until_no_run_file(&nest, run);
    assert!(!lives(pid) && !lives(inner));
    assert_eq!((lines(&nest, "ledger").len(), ownership(&nest, job).as_str()), (1, "queued - - - - -"));
    assert_eq!(outcomes(&nest, job), ["job lost"]);
    assert_eq!(number(&nest, "SELECT user_hold FROM job WHERE id = ?1", job), 1);
    nest.ok(&["cancel", &job.to_string()]);
}

/// A process with this very pid, if the kernel lets us choose.
fn reborn(nest: &Nest, pid: i32) -> Option<Child> {
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let mut child =
            Command::new("sleep").arg("600").current_dir(nest.path()).env_clear().stdout(Stdio::null()).spawn().ok()?;
        if child.id() as i32 == pid {
            return Some(child);
        }
        kill_child(&mut child);
    }
    None
}

#[test]
fn a_reused_pid_is_neither_touched_nor_waited_for() {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "default", "--slots", "1"]);
    let ended = nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    let its_pid = number(&nest, "SELECT pid FROM run WHERE job_id = ?1", ended) as i32;
    let heir = reborn(&nest, its_pid);
    let bystander = sleeper(&nest, None, Stdio::null());
    let pids = [Some(bystander.id() as i32), heir.as_ref().map(|child| child.id() as i32)];
    println!("the pid of a finished run was made again: {}", heir.is_some());
    for pid in pids.into_iter().flatten() {
        // Running without a run, running under a run of which nothing is left, and queued: each with that pid.
        let [a, b, c] = [0; 3].map(|_| nest.sh(&[], "echo again >>ledger"));
        claimed(&nest, b, &[prepare()]);
        without_guards(&nest, |conn| {
            conn.execute("UPDATE job SET state = 'running', pid = ?2 WHERE id = ?1", [a, pid.into()]).unwrap();
            conn.execute("UPDATE job SET pid = ?2 WHERE id = ?1", [b, pid.into()]).unwrap();
            conn.execute("UPDATE job SET pid = ?2, user_hold = 1 WHERE id = ?1", [c, pid.into()]).unwrap();
        });
        let next = nest.sh(&[], "true");
        let worker = nest.work(&TICK);
        nest.until_ended(next);
        assert_eq!(row(&nest, next), "done exit 0 1");
        assert_eq!(row(&nest, b), "failed lost - 1");
        assert_eq!([ownership(&nest, a), ownership(&nest, c)], ["queued - - - - -"; 2]);
        assert!(lives(pid), "{pid} has nothing to do with it");
        worker.stop();
    }
    for child in [Some(bystander), heir].into_iter().flatten() {
        kill(child.id() as i32, Signal::KILL);
        until_killed(child);
    }
    assert!(lines(&nest, "ledger").is_empty());
}

#[test]
fn what_is_healthy_is_not_called_impossible() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let waiting = nest.sh(&["--delay", "1h"], "true");
    let held = nest.sh(&["--hold"], "true");
    let running = nest.sh(&["--queue", "other"], "exec sleep 600");
    nest.until_pid(running);
    let ended = nest.sh(&[], "exit 3");
    // At one slot the last one waits; a second queue does not help, so the running one makes room.
    nest.ok(&["cancel", &running.to_string()]);
    nest.until_ended(ended);
    let before: Vec<String> = [waiting, held, running, ended].iter().map(|job| ownership(&nest, *job)).collect();
    (0..3).for_each(|_| after_a_tick(&nest));
    assert_eq!([waiting, held, running, ended].map(|job| ownership(&nest, job)).to_vec(), before);
    assert_eq!(before[..2], ["queued - - - - -"; 2]);
    for job in [running, ended] {
        let whole = "SELECT run_id IS NOT NULL AND started_at IS NOT NULL AND finished_at >= started_at AND pid IS NULL FROM job WHERE id = ?1";
        assert_eq!(number(&nest, whole, job), 1, "{}", ownership(&nest, job));
    }
    assert_eq!(nest.counter("impossible_total"), 0);
}
