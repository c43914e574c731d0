//! A lane under kills: a job that enters finds no process inside, not even a child of a job that was killed, cancelled or lost.

use std::process::Stdio;

use crate::life::storm::{add_all, assert_nothing_is_left};
use crate::support::{Dice, Nest, Signal, kill, seed, until};

const JOBS: usize = 30;
const KILLS: usize = 14;

/// A job that notes itself and a child that has left its session, and that looks whether anything lives that came before it.
/// What is dead is told by its cookie, as its pid may be another's by now.
const MEMBER: &str = r#"
for file in inside/*; do
  [ -e "$file" ] || continue
  read -r lane pid cookie < "$file" || continue
  [ "$lane" = "$TENURE_LANE" ] || continue
  [ "$cookie" = "$TENURE_COOKIE" ] && continue
  if tr '\0' '\n' < "/proc/$pid/environ" 2>/dev/null | grep -qx "TENURE_COOKIE=$cookie"; then
    echo "run $TENURE_RUN found $file" >> overlaps
  fi
done
setsid sleep 600 &
echo "$TENURE_LANE $! $TENURE_COOKIE" > "inside/$TENURE_RUN.child"
echo "$TENURE_LANE $$ $TENURE_COOKIE" > "inside/$TENURE_RUN"
echo "$TENURE_JOB" >> entered
sleep 0.0$((TENURE_JOB % 5))
"#;

fn members(nest: &Nest) {
    std::fs::create_dir(nest.file("inside")).unwrap();
    std::fs::write(nest.file("member"), MEMBER).unwrap();
    let line = |n: usize| {
        format!(
            r#"{{"command": ["/bin/sh", "member"], "lane": "l{}", "queue": "q{}", "retries": 50, "backoff": "0s..0s", "retry_on": ["lost", "shutdown"]}}"#,
            n % 2,
            n % 3
        )
    };
    add_all(nest, (0..JOBS).map(line));
}

/// Kills a shim that is there now, found by the run files, so that its run is lost.
fn kill_a_shim(nest: &Nest, dice: &mut Dice) {
    let runs: Vec<i64> = std::fs::read_dir(nest.beside().join("runs"))
        .map(|all| all.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    if runs.is_empty() {
        return;
    }
    let run = runs[dice.below(runs.len() as u64) as usize];
    let shim = nest.record(run, "STARTED", "shim").and_then(|pid| pid.parse().ok());
    let drained = nest.run_file(run).contains("DRAINED");
    // Its pid is its own only as long as it has not ended; a shim is told by its title.
    if let Some(shim) = shim.filter(|_| !drained)
        && std::fs::read_to_string(format!("/proc/{shim}/cmdline")).is_ok_and(|title| title.contains("tenure"))
    {
        kill(shim, Signal::KILL);
    }
}

#[test]
fn a_lane_is_empty_when_a_job_enters_after_any_kill() {
    let mut dice = Dice::new(seed());
    let nest = Nest::new();
    members(&nest);
    for _ in 0..KILLS {
        let worker = nest.work(&["--slots", "4", "--tick", "20ms"]);
        let entered = lines(&nest).len();
        // Something has entered since, or everything has ended: then the kill comes at a random part of it.
        until("another member to enter", || {
            (lines(&nest).len() > entered || nest.status()["counts"]["queued"] == 0).then_some(())
        });
        if dice.below(2) == 0 {
            kill_a_shim(&nest, &mut dice);
        }
        worker.kill();
    }
    nest.work_until_idle(&["--slots", "4"]);
    let overlaps = std::fs::read_to_string(nest.file("overlaps")).unwrap_or_default();
    assert_eq!(overlaps, "", "no job was inside when another entered");
    let counts = &nest.status()["counts"];
    assert_eq!(counts["done"].as_u64(), Some(JOBS as u64), "{counts}");
    let lanes = nest.json(&["lane", "ls", "--json"]);
    assert!(lanes["lanes"].as_array().unwrap().iter().all(|lane| lane["running"] == 0), "no place is leaked: {lanes}");
    assert_nothing_is_left(&nest);
}

fn lines(nest: &Nest) -> Vec<String> {
    crate::life::left::lines(nest, "entered")
}

#[test]
fn a_successor_waits_until_the_tree_of_a_cancelled_one_is_gone() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "4"]);
    let stubborn = "trap '' TERM; setsid sh -c \"trap '' TERM; echo child >> log; while :; do sleep 0.02; done\" & \
                    echo in >> log; while :; do sleep 0.02; done";
    let first = nest.sh(&["--lane", "l", "--grace", "300ms"], stubborn);
    until("both to be there", || {
        let log = std::fs::read_to_string(nest.file("log")).unwrap_or_default();
        (log.contains("in") && log.contains("child")).then_some(())
    });
    let cookie = nest.sql().query_row("SELECT nonce FROM run WHERE job_id = ?1", [first], |row| row.get::<_, String>(0)).unwrap();
    // The successor looks for its predecessor's cookie in every process.
    let look = format!("grep -lsz TENURE_COOKIE={cookie} /proc/[0-9]*/environ > found; true");
    let second = nest.sh(&["--lane", "l", "-q", "other"], &look);
    nest.ok(&["cancel", &first.to_string()]);
    assert_eq!(nest.until_ended(first)["state"], "cancelled");
    assert_eq!(nest.until_ended(second)["state"], "done");
    assert_eq!(std::fs::read_to_string(nest.file("found")).unwrap(), "", "nothing of the cancelled job was left");
}

#[test]
fn no_head_of_a_lane_strands_those_behind_it() {
    let nest = Nest::new();
    nest.ok(&["queue", "pause", "paused"]);
    let held = nest.sh(&["--lane", "l", "--hold", "-o", "9"], "true");
    let paused = nest.sh(&["--lane", "l", "-q", "paused", "-o", "9"], "true");
    let expired = nest.sh(&["--lane", "l", "--expires", "1ms", "-o", "9"], "true");
    let later = nest.sh(&["--lane", "l", "--delay", "1h", "-o", "9"], "true");
    let cancelled = nest.sh(&["--lane", "l", "-o", "9"], "true");
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [cancelled]).unwrap();
    let last = nest.sh(&["--lane", "l"], "true");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(last), "done");
    assert_eq!((nest.state(expired), nest.state(cancelled)), ("failed".into(), "cancelled".into()));
    for waits in [held, paused, later] {
        assert_eq!(nest.state(waits), "queued");
    }
}

#[test]
fn twenty_processes_that_ask_at_once_for_one_key_give_one_job() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    for round in 0..5 {
        let key = format!("key {round}");
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let mut add = nest.tenure(&["add", "--unique", &key, "--", "true"]);
                add.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        let ids: std::collections::BTreeSet<String> = asked
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success());
                String::from_utf8(output.stdout).unwrap()
            })
            .collect();
        assert_eq!(ids.len(), 1, "round {round}: {ids:?}");
    }
    assert_eq!(nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len(), 6);
}
