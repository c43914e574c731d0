//! What is said where there is no output to show, and of processes that a job has left behind.

use std::fs;

use crate::support::{Nest, Said};

/// What `logs` says on stderr of a job, with and without `-f`, and its exit code.
fn logs(nest: &Nest, id: i64, code: i32, words: &str) {
    for args in [&["logs", "ID"][..], &["logs", "ID", "-n", "3"], &["logs", "-f", "ID"]] {
        let id = id.to_string();
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "ID" { &id } else { *arg }).collect();
        let said = nest.say(&args);
        assert!(said.out.is_empty() && said.err.contains(words), "{args:?}: {words:?} is missing in {said:?}");
        assert_eq!(said.code, code, "{args:?}: {said:?}");
    }
}

#[test]
fn logs_say_why_a_job_has_no_output() {
    let nest = Nest::new();
    let ended: Vec<(i64, &str)> = vec![
        (
            nest.add(&["--", "/no/such"]),
            "run 1 of job 1 did not start: execve /no/such: No such file or directory; /no does not exist",
        ),
        (nest.add(&["--cwd", "/no/dir", "--", "true"]), "did not start: chdir /no/dir"),
        (nest.add(&["--stdin", "/no/input", "--", "cat"]), "did not start: opening stdin /no/input"),
        (nest.add(&["--after", "1", "--", "true"]), "never ran; it is failed"),
        (nest.add(&["--workspace", "w", "--prepare", "exit 65", "--no-retry-on", "workspace", "--", "true"]), ""),
    ];
    let cancelled = nest.add(&["--hold", "--", "true"]);
    nest.ok(&["cancel", &cancelled.to_string()]);
    nest.work_until_idle(&[]);
    for (id, words) in ended {
        logs(&nest, id, 0, words);
    }
    logs(&nest, cancelled, 0, "never ran; it is cancelled");
    let silent = nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    let said = nest.say(&["logs", &silent.to_string()]);
    assert!(said.code == 0 && said.err.is_empty(), "a job that wrote nothing wrote nothing: {said:?}");
}

#[test]
fn a_log_that_was_deleted_is_told_and_is_an_error() {
    let nest = Nest::new();
    let (first, second) = (nest.sh(&[], "echo one"), nest.sh(&[], "echo two"));
    nest.work_until_idle(&[]);
    let path = |id: i64| nest.show(id)["runs"][0]["log"].as_str().unwrap().to_owned();
    fs::remove_file(path(first)).unwrap();
    logs(&nest, first, 1, &format!("the log of run 1 of job {first} is gone: {} was deleted", path(first)));
    logs(&nest, first, 1, &format!("tenure show {first}"));
    let run = nest.say(&["logs", &first.to_string(), "--run", "1"]);
    assert_eq!(run.code, 1, "{run:?}");
    let both = nest.say(&["logs", &first.to_string(), &second.to_string()]);
    assert!(both.code == 1 && both.out == "2| two\n", "the others are shown: {both:?}");
    fs::remove_dir_all(nest.beside().join("logs")).unwrap();
    logs(&nest, second, 1, "is gone");
}

fn says_left(said: &Said, run: i64, name: &str) {
    let line = said
        .err
        .lines()
        .find(|line| line.contains(&format!("run {run} left processes behind")))
        .unwrap_or_else(|| panic!("{said:?}"));
    assert!(line.contains(name) && line.contains("ended with it") && line.contains("systemd-run"), "{line}");
}

#[test]
fn processes_that_a_job_leaves_behind_are_named() {
    // Each waits until the child is the program that is to be named.
    let leavers: &[(&str, &[&str], i32)] = &[
        ("setsid sleep 600 & until grep -q sleep /proc/$!/comm; do :; done", &[], 0),
        ("sleep 600 & until grep -q sleep /proc/$!/comm; do :; done; exit 3", &[], 3),
        ("sleep 600 >/dev/null 2>&1 </dev/null & until grep -q sleep /proc/$!/comm; do :; done", &["--check", "true"], 0),
        ("sleep 600 & until grep -q sleep /proc/$!/comm; do :; done; exit 3", &["--retries", "1", "--backoff", "0s..0s"], 3),
    ];
    for with_worker in [false, true] {
        let nest = Nest::new();
        let worker = with_worker.then(|| nest.work(&[]));
        for (line, options, code) in leavers {
            let said = nest.say(&[&["run"], *options, &["--", "sh", "-c", line]].concat());
            assert_eq!(said.code, *code, "{said:?}");
            let last = nest.json(&["show", "last", "--json"]);
            let runs: Vec<i64> = last["runs"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|run| run["kind"] == "job")
                .map(|run| run["id"].as_i64().unwrap())
                .collect();
            assert_eq!(runs.len(), if options.contains(&"--retries") { 2 } else { 1 });
            runs.iter().for_each(|run| says_left(&said, *run, "sleep"));
            let why = nest.json(&["why", "last", "--json"]);
            let obstacles = why["obstacles"].as_array().unwrap();
            let one = obstacles.iter().find(|one| one["code"] == "left_behind").unwrap_or_else(|| panic!("{why}"));
            assert!(one["text"].as_str().unwrap().contains("sleep"), "{one}");
            assert!(nest.ok(&["why", "last"]).contains("left processes behind"));
        }
        let tidy = nest.say(&["run", "--", "sh", "-c", "sleep 0 & wait"]);
        assert!(!tidy.err.contains("left"), "{tidy:?}");
        assert!(!nest.ok(&["why", "last"]).contains("left processes"));
        drop(worker);
    }
}
