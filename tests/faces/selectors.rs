//! What a selector means, for every verb that takes one: all that it matches, and never a silent nothing.

use crate::support::{Nest, Said, until, without_guards};

/// Verbs that take numbers and what jobs have in common.
const MANY: &[&[&str]] = &[&["wait"], &["wait", "--any"], &["cancel"], &["hold"], &["release"], &["retry"]];
/// Verbs that take numbers.
const NAMED: &[&[&str]] =
    &[&["show"], &["why"], &["history"], &["logs"], &["add", "--hold", "--after"], &["add", "--hold", "--after-any"]];

fn asked(nest: &Nest, verb: &[&str], selector: &[&str], last: &[&str]) -> Said {
    nest.say(&[verb, selector, last].concat())
}

/// Jobs of every state, with labels and in queues of their own: `q` and `l` of nothing else.
fn file_with_jobs() -> Nest {
    let nest = Nest::new();
    nest.sh(&["-l", "done", "-q", "done"], "true");
    nest.sh(&["-l", "failed", "-q", "failed"], "exit 3");
    nest.work_until_idle(&[]);
    nest.sh(&["-l", "queued", "-q", "queued", "--hold"], "true");
    nest
}

#[test]
fn a_selector_that_matches_nothing_is_exit_3_for_every_verb() {
    let nest = file_with_jobs();
    let nothing: &[&[&str]] =
        &[&["--label", "none"], &["--queue", "none"], &["--label", "done", "--queue", "failed"], &["--state", "running"]];
    let no_numbers: &[&[&str]] = &[&["99"], &["50-60"], &["1,99"]];
    for verb in MANY {
        for selector in nothing.iter().chain(no_numbers) {
            let said = asked(&nest, verb, selector, &[]);
            assert_eq!(said.code, 3, "{verb:?} {selector:?}: {said:?}");
            let value = selector.last().unwrap().rsplit([',', '-']).next().unwrap();
            assert!(said.err.contains(value) && said.err.contains("tenure ls"), "{verb:?} {selector:?}: {said:?}");
        }
        // Both together mean what both match.
        let said = asked(&nest, verb, &["1", "--label", "failed"], &[]);
        assert_eq!(said.code, 3, "{verb:?}: {said:?}");
    }
    for verb in NAMED {
        let last: &[&str] = if verb[0] == "add" { &["--", "true"] } else { &[] };
        for selector in no_numbers {
            let said = asked(&nest, verb, selector, last);
            assert_eq!(said.code, 3, "{verb:?} {selector:?}: {said:?}");
        }
    }
    for selector in nothing {
        let said = asked(&nest, &["ls"], selector, &[]);
        assert!(said.code == 0 && said.out.is_empty() && said.err.contains("no ") && said.err.contains(selector[1]), "{said:?}");
    }
    for selector in no_numbers {
        assert_eq!(nest.say(&["ls", selector[0]]).code, 3, "{selector:?}");
        assert_eq!(nest.say(&["set", selector[0], "priority=1"]).code, 3, "{selector:?}");
    }
    nest.ok(&["retry", "--failed"]);
    assert_eq!(nest.say(&["retry", "--failed"]).code, 3, "none is left");
    let empty = Nest::new();
    empty.ok(&["queue", "set", "q", "--slots", "1"]);
    for verb in MANY.iter().chain(&NAMED[..4]) {
        assert_eq!(asked(&empty, verb, &["last"], &[]).code, 3, "{verb:?}");
    }
    assert_eq!(empty.say(&["ls"]).code, 0, "the list of all jobs may be empty");
}

#[test]
fn a_verb_that_changes_jobs_means_those_that_it_can_change() {
    // verb, what each selector by label comes to: done, failed, queued
    let cases: &[(&str, [i32; 3])] = &[("cancel", [3, 3, 0]), ("hold", [3, 3, 0]), ("release", [3, 3, 0]), ("retry", [3, 0, 3])];
    for (verb, codes) in cases {
        for (label, code) in ["done", "failed", "queued"].iter().zip(codes) {
            for option in ["--label", "--queue"] {
                let nest = file_with_jobs();
                let said = nest.say(&[verb, option, label]);
                assert_eq!(said.code, *code, "{verb} {option} {label}: {said:?}");
            }
        }
    }
}

#[test]
fn wait_means_every_job_that_a_selector_matches_ended_ones_too() {
    // What the members do: how they have ended before, and how those end that run when `wait` is called.
    let members: &[(&str, &str, i32)] = &[
        ("y", "", 0),
        ("n", "", 3),
        ("yy", "", 0),
        ("yn", "", 1),
        ("", "y", 0),
        ("", "n", 3),
        ("", "yy", 0),
        ("", "yn", 1),
        ("y", "y", 0),
        ("n", "y", 1),
        ("y", "n", 1),
        ("nn", "yy", 1),
        ("c", "y", 1),
        ("c", "", 1),
    ];
    let selectors: &[&[&str]] = &[
        &["--label", "b"],
        &["--queue", "b"],
        &["--label", "b", "--queue", "b"],
        &[
            "--state",
            "done",
            "--state",
            "failed",
            "--state",
            "cancelled",
            "--state",
            "running",
            "--state",
            "queued",
            "--label",
            "b",
        ],
        &["2-9", "--label", "b"],
        &["--label", "b", "--since", "1h"],
    ];
    for (before, during, code) in members {
        let nest = Nest::new();
        // One that no selector means, and that fails.
        nest.sh(&[], "exit 9");
        let add = |what: char, waits: bool| {
            let wait = if waits { "while ! test -e go; do sleep 0.1; done; " } else { "" };
            let end = if what == 'y' { "exit 0" } else { "exit 3" };
            nest.sh(&["-l", "b", "-q", "b"], &format!("{wait}{end}"))
        };
        let ended: Vec<i64> = before.chars().map(|what| add(what, false)).collect();
        if before.contains('c') {
            nest.ok(&["cancel", "--label", "b"]);
        }
        nest.work_until_idle(&[]);
        assert!(ended.iter().all(|id| nest.show(*id)["finished_at"].is_string()));
        let _worker = nest.work(&["--slots", "3"]);
        during.chars().for_each(|what| _ = add(what, true));
        let mut waits: Vec<_> = selectors.iter().map(|s| nest.tenure(&[&["wait"], *s].concat()).spawn().unwrap()).collect();
        if !during.is_empty() {
            until("the jobs to run", || (nest.status()["counts"]["running"] == during.len()).then_some(()));
            assert!(waits.iter_mut().all(|wait| wait.try_wait().unwrap().is_none()), "{before}+{during}: it waits for what runs");
        }
        std::fs::write(nest.file("go"), "").unwrap();
        for (wait, selector) in waits.iter_mut().zip(selectors) {
            assert_eq!(wait.wait().unwrap().code(), Some(*code), "{before}+{during} {selector:?}");
        }
    }
}

#[test]
fn since_looks_no_further_back() {
    let nest = Nest::new();
    nest.sh(&["-l", "b"], "exit 3");
    nest.sh(&["-l", "b"], "true");
    nest.work_until_idle(&[]);
    without_guards(&nest, |conn| conn.execute_batch("UPDATE job SET created_at = created_at - 7200000 WHERE id = 1").unwrap());
    assert_eq!(nest.say(&["wait", "--label", "b"]).code, 1);
    assert_eq!(nest.say(&["wait", "--label", "b", "--since", "1h"]).code, 0);
    assert_eq!(nest.say(&["wait", "--label", "b", "--since", "0s"]).code, 3);
    let said = nest.say(&["wait", "1", "--since", "1h"]);
    assert!(said.code == 2 && said.err.contains("--label"), "{said:?}");
}
