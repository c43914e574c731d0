//! `events`: each change once, in order, however often the reader is killed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tenure::{Job, Position, Queue, State};

use crate::support::{Dice, Nest, kill_child, said, seed, until};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn words(lines: &[Value]) -> Vec<String> {
    let word = |line: &Value| format!("{} {}", line["job"], line["event"].as_str().unwrap());
    lines.iter().map(word).collect()
}

fn position(line: &Value) -> Position {
    line["id"].as_str().unwrap().parse().unwrap()
}

/// How often each job, run and kind is among them.
fn counted(all: impl Iterator<Item = (i64, Option<i64>, String)>) -> BTreeMap<(i64, Option<i64>, String), usize> {
    let mut counts = BTreeMap::new();
    all.for_each(|key| *counts.entry(key).or_insert(0) += 1);
    counts
}

#[test]
fn a_life_is_one_line_for_each_change() {
    let nest = Nest::new();
    nest.sh(&["-l", "nightly", "-q", "q"], "exit 3");
    nest.sh(&[], "true");
    nest.work_until_idle(&["--slots", "1"]);
    nest.ok(&["hold", &nest.sh(&[], "true").to_string()]);
    nest.ok(&["cancel", "3"]);
    let all = lines(&nest.ok(&["events"]));
    let life = [
        "1 added",
        "2 added",
        "1 claimed",
        "1 failed",
        "2 claimed",
        "2 done",
        "3 added",
        "3 held",
        "3 cancel_asked",
        "3 cancelled",
    ];
    assert_eq!(words(&all), life, "{all:?}");
    for (n, line) in all.iter().enumerate() {
        assert_eq!(words(&lines(&nest.ok(&["events", "--after", line["id"].as_str().unwrap()]))), life[n + 1..]);
    }
    let failed = &all[3];
    assert_eq!((&failed["label"], &failed["queue"], &failed["reason"]), (&"nightly".into(), &"q".into(), &"exit".into()));
    assert_eq!((&failed["detail"], &failed["state"]), (&"exit status 3".into(), &"failed".into()));
    assert_eq!(all[7]["state"], Value::Null, "a hold does not change the state");
    for (args, expected) in [
        (&["-l", "nightly"][..], &["1 added", "1 claimed", "1 failed"][..]),
        (&["-q", "q", "--state", "failed"], &["1 failed"]),
        (&["--state", "done", "--state", "cancelled"], &["2 done", "3 cancelled"]),
        (&["-l", "none"], &[]),
    ] {
        assert_eq!(words(&lines(&nest.ok(&[&["events"], args].concat()))), expected, "{args:?}");
    }
    assert_eq!(nest.ok(&["events", "--json", "--after", "0"]), nest.ok(&["events"]));
}

#[test]
fn an_id_of_another_file_is_refused() {
    let nest = Nest::new();
    let said = nest.say(&["events", "-f"]);
    assert!(said.code != 0 && said.out.is_empty() && !nest.db().exists(), "a missing file is not created: {said:?}");
    nest.sh(&[], "true");
    for (after, code) in
        [("5-1", 3), ("0-2", 3), ("x", 2), ("1", 2), ("-1", 2), ("", 2), ("9223372036854775807-9223372036854775807", 3)]
    {
        let said = nest.say(&["events", "-f", &format!("--after={after}")]);
        assert!(said.code == code && said.out.is_empty() && !said.err.is_empty(), "{after}: {said:?}");
    }
}

/// Numbers that the file before has given would make a reader take new changes for old ones.
#[test]
fn a_reader_continues_behind_a_restore() {
    let nest = Nest::new();
    nest.ok(&["add", "--hold", "--", "true"]);
    nest.ok(&["backup", "copy.db"]);
    let changes = || (0..3).for_each(|_| ["release", "hold"].iter().for_each(|verb| drop(nest.ok(&[verb, "1"]))));
    changes();
    let last = lines(&nest.ok(&["events"])).pop().unwrap()["id"].as_str().unwrap().to_owned();
    nest.ok(&["restore", "copy.db"]);
    let after = lines(&nest.ok(&["events", "--after", &last]));
    assert_eq!(words(&after), ["1 restored"], "{after:?}");
    changes();
    let after = lines(&nest.ok(&["events", "--after", &last]));
    assert_eq!((after.len(), words(&after)[1].as_str()), (7, "1 released"), "{after:?}");
}

#[test]
fn a_follower_starts_at_the_end_and_ends_with_its_reader() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    let mut follower = nest.tenure(&["events", "-f"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has read where the end is when it watches the log.
    until("the follower to wait", || waits(&follower).then_some(()));
    nest.sh(&["-l", "a\x1b]0;x\x07"], "true");
    let mut out = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"job\":2,") && line.contains("\"event\":\"added\"") && !line.contains('\x1b'), "{line}");
    until("the follower to wait", || waits(&follower).then_some(()));
    drop(out);
    let said = said(follower.wait_with_output().unwrap());
    assert!(said.code == 0 && said.err.is_empty(), "nothing happens, and yet it ends: {said:?}");
}

/// Whether it sleeps in a poll.
fn waits(child: &Child) -> bool {
    std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).is_ok_and(|at| at.contains("poll"))
}

/// What a reader has written completely.
fn complete(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    lines(&text[..text.rfind('\n').map_or(0, |at| at + 1)])
}

#[test]
fn a_reader_that_is_killed_again_and_again_misses_nothing() {
    let nest = Nest::new();
    let seed = seed();
    let mut dice = Dice::new(seed);
    nest.sh(&[], "true");
    let worker = nest.work(&["--slots", "4", "--tick", "20ms"]);
    let (is_over, mut seen, mut after) = (AtomicBool::new(false), Vec::new(), "0".to_owned());
    std::thread::scope(|scope| {
        scope.spawn(|| storm(&nest, seed, &is_over));
        for round in 0..30 {
            let out = nest.file(&format!("out-{round}"));
            let args = ["events", "-f", "--after", &after];
            let mut reader = nest.tenure(&args).stdout(File::create(&out).unwrap()).spawn().unwrap();
            let begun = Instant::now();
            let patience = Duration::from_millis(dice.below(400));
            // It dies in the midst of its start, of a page, or of a wait.
            while begun.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            kill_child(&mut reader);
            let read = complete(&out);
            if let Some(last) = read.last() {
                after = last["id"].as_str().unwrap().to_owned();
            }
            seen.extend(read);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    worker.stop();
    nest.work_until_idle(&[]);
    seen.extend(lines(&nest.ok(&["events", "--after", &after])));
    let mut before = Position::START;
    for line in &seen {
        let now = position(line);
        assert!(before.is_within(now) && now != before, "{before} is followed by {line}");
        before = now;
    }
    let conn = nest.sql();
    let mut rows = conn.prepare("SELECT job_id, run_id, kind FROM history").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let in_file = counted(rows.map(Result::unwrap));
    let ids: std::collections::BTreeSet<i64> = in_file.keys().map(|key| key.0).collect();
    let key = |line: &Value| (line["job"].as_i64().unwrap(), line["run"].as_i64(), line["event"].as_str().unwrap().to_owned());
    let read = counted(seen.iter().map(key).filter(|key| ids.contains(&key.0)));
    assert_eq!(read, in_file, "SEED={seed}: what is in the file was read, each once");
    assert!(ids.len() > 20, "{} jobs stay", ids.len());
    // What is removed takes its numbers along, and what follows has others.
    let ended: i64 = conn.query_row("SELECT max(id) FROM job WHERE state = 'done'", [], |row| row.get(0)).unwrap();
    nest.ok(&["rm", &ended.to_string()]);
    let next = nest.sh(&["--hold"], "true");
    let after = before.to_string();
    assert_eq!(words(&lines(&nest.ok(&["events", "--after", &after]))), [format!("{next} added")]);
}

/// Adds, cancels, holds, retries and prunes, by the program and by plain SQL, until it is over.
fn storm(nest: &Nest, seed: u64, is_over: &AtomicBool) {
    let mut dice = Dice::new(seed.wrapping_add(1));
    let conn = nest.sql();
    let queue = Queue::open(nest.db()).unwrap();
    let mut n = 0;
    while !is_over.load(Ordering::Relaxed) {
        n += 1;
        let newest = queue.newest_position().unwrap().job;
        let one = 1 + dice.below(newest as u64) as i64;
        match dice.below(8) {
            0 => _ = conn.execute("INSERT INTO job (command, label) VALUES (json_array('false'), 'sql')", []),
            1 => _ = conn.execute("INSERT INTO cancel (job_id) VALUES (?1)", [one]),
            2 => _ = conn.execute("UPDATE job SET user_hold = 1 - user_hold WHERE id = ?1", [one]),
            3 => _ = queue.retry(tenure::JobId(one)),
            4 if n % 3 == 0 => _ = nest.say(&["rm", &one.to_string()]),
            5 => _ = queue.add_many((0..dice.below(20)).map(|_| Job::command(["true"]))),
            _ => _ = queue.add(Job::command(["true"]).retries(1)),
        }
    }
}

#[test]
fn a_program_continues_where_it_has_stopped() {
    let nest = Nest::new();
    let queue = Queue::open(nest.db()).unwrap();
    let first = queue.add(Job::shell("exit 7").label("a")).unwrap();
    let start: Vec<_> = queue.changes(Position::START).map(Result::unwrap).collect();
    assert_eq!((start.len(), start[0].job, start[0].kind.as_str(), start[0].state), (1, first, "added", Some(State::Queued)));
    assert_eq!(start[0].position, queue.newest_position().unwrap());
    let mut follower = queue.changes(start[0].position).follow();
    nest.work_until_idle(&[]);
    let next = follower.next().unwrap().unwrap();
    assert_eq!((next.kind.as_str(), next.run.is_some(), next.label.as_deref()), ("claimed", true, Some("a")));
    let last = follower.next().unwrap().unwrap();
    assert_eq!((last.kind.as_str(), last.reason.as_deref()), ("failed", Some("exit")));
    assert!(queue.changes(last.position).next().is_none());
    assert!(queue.changes(Position { event: 99, job: 0 }).next().unwrap().is_err());
}
