//! What `tenure work` logs of each job: one line for the start of a run and one for its end, for a terminal and for the journal.

use std::os::unix::fs::MetadataExt;

use crate::support::{Nest, until};

struct Case {
    about: &'static str,
    options: &'static [&'static str],
    line: &'static str,
    /// Cancelled when it runs.
    cancelled: bool,
    /// What the end line says between the number of the job and its name.
    end: &'static str,
    state: &'static str,
}

const PLAIN: Case = Case { about: "", options: &[], line: "", cancelled: false, end: "", state: "failed" };

const CASES: &[Case] = &[
    Case { about: "done", line: "true", end: "ended: done, exit code 0, took ", state: "done", ..PLAIN },
    Case { about: "failed", line: "exit 3", end: "ended: failed, reason exit, exit code 3, took ", ..PLAIN },
    Case { about: "killed", line: "kill -9 $$", end: "ended: failed, reason signal, signal 9, took ", ..PLAIN },
    Case {
        about: "too long",
        options: &["-t", "50ms"],
        line: "sleep 600",
        end: "ended: failed, reason timeout, signal 15, took ",
        ..PLAIN
    },
    Case { about: "checked", options: &["--check", "false"], line: "true", end: "ended: failed, reason check, ", ..PLAIN },
    Case {
        about: "cancelled",
        line: "sleep 600",
        cancelled: true,
        end: "ended: cancelled, reason cancelled, signal 15, took ",
        state: "cancelled",
        ..PLAIN
    },
    Case {
        about: "again at once",
        options: &["--retries", "1", "--backoff", "0s..0s"],
        line: "exit 1",
        end: "queued again: failed, reason exit, exit code 1, took ",
        ..PLAIN
    },
    Case {
        about: "again later",
        options: &["--retries", "1", "--backoff", "1h..1h"],
        line: "exit 1",
        end: "queued again in ",
        state: "queued",
        ..PLAIN
    },
    Case {
        about: "not now",
        options: &["--backoff", "1h..1h"],
        line: "exit 75",
        end: "queued again in ",
        state: "queued",
        ..PLAIN
    },
];

/// The lines of a job, without what stands before them.
fn lines_of(log: &str, id: i64) -> Vec<String> {
    let of_it = |line: &str| line.find(&format!("job {id} ")).map(|at| line[at..].to_owned());
    log.lines().filter_map(of_it).collect()
}

#[test]
fn each_start_and_each_end_is_one_line() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "4"]);
    for case in CASES {
        let label = format!("it is {}", case.about);
        let id = nest.sh(&[case.options, &["-l", &label, "-q", "q", "--lane", "l"]].concat(), case.line);
        if case.cancelled {
            nest.until_pid(id);
            nest.ok(&["cancel", &id.to_string()]);
        }
        let lines = until(case.about, || {
            let lines = lines_of(&worker.said(), id);
            lines.iter().any(|line| line.contains(case.end)).then_some(lines)
        });
        nest.until_state(id, case.state);
        let name = format!("{label}: /bin/sh -c {}", case.line);
        let most = nest.show(id)["max_attempts"].as_i64().unwrap();
        let started = &lines[0];
        assert!(started.starts_with(&format!("job {id} started: run ")), "{}: {lines:?}", case.about);
        assert!(started.contains(&format!(", attempt 1 of {most}, queue q, lane l: {name}")), "{}: {lines:?}", case.about);
        // Another thread may write that the next run has started before this one writes the end.
        let end = lines.iter().find_map(|line| line.strip_prefix(&format!("job {id} {}", case.end)));
        let end = end.unwrap_or_else(|| panic!("{}: {lines:?}", case.about));
        assert!(end.contains(", run ") && end.ends_with(&name), "{}: {lines:?}", case.about);
        let runs = nest.show(id)["runs"].as_array().unwrap().iter().filter(|run| run["kind"] != "check").count();
        let all = lines_of(&worker.said(), id);
        assert!(all.len() <= 2 * runs, "{}: two lines for each of {runs} runs: {all:?}", case.about);
    }
    println!("{} ends", CASES.len());
    // What could not be executed, and what an earlier worker has begun.
    let id = nest.add(&["--", "/nonexistent"]);
    nest.until_state(id, "failed");
    let is_end = |line: &String| line.contains("ended: failed, reason spawn (") && line.contains("No such file");
    until("the line of its end", || lines_of(&worker.said(), id).iter().any(is_end).then_some(()));
    let id = nest.sh(&[], "until test -e go; do sleep 0.02; done");
    nest.until_pid(id);
    worker.kill();
    let worker = nest.work(&[]);
    until("it to be taken over", || {
        lines_of(&worker.said(), id).iter().any(|line| line.contains("continues under this worker")).then_some(())
    });
    std::fs::write(nest.file("go"), "").unwrap();
    until("its end", || lines_of(&worker.said(), id).iter().any(|line| line.contains("ended: done")).then_some(()));
}

#[test]
fn no_name_makes_up_a_line_or_commands_a_terminal() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    for (n, name) in
        ["a\njob 99 ended: done", "\x1b[2J\x1b]0;x\x07", "\r\u{9b}31m", "\u{202e}dlrow", &"x".repeat(900)].into_iter().enumerate()
    {
        let id = nest.add(&["-l", name, "--lane", &format!("l{n}"), "--", "true", name]);
        nest.until_state(id, "done");
        until("its end", || (lines_of(&worker.said(), id).len() == 2).then_some(()));
    }
    let log = worker.said();
    assert!(!log.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with('[') && line.len() < 500), "{log}");
    assert!(
        lines_of(&log, 99).iter().all(|line| !line.starts_with("job 99")) || !log.lines().any(|line| line.starts_with("job 99")),
        "{log}"
    );
}

#[test]
fn quiet_and_the_filter_of_the_environment_turn_the_lines_off() {
    for (options, env, count) in [
        (&[][..], &[][..], 2),
        (&["--quiet"], &[], 0),
        (&[], &[("RUST_LOG", "warn")], 0),
        (&[], &[("RUST_LOG", "info")], 2),
        (&["--quiet"], &[("RUST_LOG", "info")], 2),
    ] {
        let nest = Nest::new();
        let id = nest.sh(&[], "true");
        let mut work = nest.tenure(&[&["work", "--until-idle"], options].concat());
        let said = crate::support::said(work.envs(env.iter().copied()).output().unwrap());
        assert_eq!(lines_of(&said.err, id).len(), count, "{options:?} {env:?}: {said:?}");
    }
    // No other command logs them, although it may be a worker.
    let nest = Nest::new();
    assert_eq!(nest.say(&["run", "--", "true"]).err, "");
}

#[test]
fn in_the_journal_a_line_has_its_priority_and_no_time() {
    let nest = Nest::new();
    std::fs::write(nest.file("worker.log"), "").unwrap();
    let meta = std::fs::metadata(nest.file("worker.log")).unwrap();
    let stream = format!("{}:{}", meta.dev(), meta.ino());
    let worker = nest.work_with(&[], &[("JOURNAL_STREAM", stream.as_ref())]);
    let id = nest.sh(&["-l", "nightly\n<3>made up"], "exit 3");
    nest.until_state(id, "failed");
    let lines = until("its end", || Some(worker.said()).filter(|said| said.lines().count() == 2));
    for line in lines.lines() {
        assert!(line.starts_with(&format!("<6>job {id} ")), "{line}");
    }
}
