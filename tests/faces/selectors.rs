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

#[test]
fn an_element_of_an_array_is_named_by_its_index() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    assert_eq!(nest.ok(&["add", "--hold", "--array", "10-14", "--", "true"]), "2\n3\n4\n5\n6");
    nest.ok(&["add", "--hold", "--array", "15-16", "--", "true"]);
    for (selector, id) in [("2[10]", "2"), ("2[13]", "5"), ("4[10]", "2"), ("6[14],1", "1\n6"), ("8[16]", "8")] {
        assert_eq!(nest.ok(&["ls", selector, "--ids"]), id, "{selector}");
    }
    nest.ok(&["cancel", "2[12]"]);
    assert_eq!((nest.state(4).as_str(), nest.state(5).as_str()), ("cancelled", "queued"));
    for selector in ["2[9]", "2[15]", "7[14]", "1[0]", "99[0]", "2[9223372036854775807]"] {
        for verb in [&["show"][..], &["cancel"], &["logs"], &["ls"], &["add", "--hold", "--after"]] {
            let last: &[&str] = if verb[0] == "add" { &["--", "true"] } else { &[] };
            let said = asked(&nest, verb, &[selector], last);
            assert!(said.code == 3 && said.out.is_empty() && said.err.contains("tenure "), "{verb:?} {selector}: {said:?}");
        }
    }
    let after = nest.add(&["--after", "2[13]", "--", "true"]);
    assert!(nest.ok(&["why", &after.to_string()]).contains("job 5"), "{}", nest.ok(&["why", &after.to_string()]));
    assert_eq!(nest.say(&["resource", "show", "2[13]"]).code, 2);
    // Two arrays of one file are added at the same instant.
    let lines =
        "{\"command\":[\"true\"],\"hold\":true,\"array\":\"0-1\"}\n{\"command\":[\"false\"],\"hold\":true,\"array\":\"2-3\"}\n";
    std::fs::write(nest.file("lines"), lines).unwrap();
    let first: i64 = nest.ok(&["add", "--from", "lines"]).lines().next().unwrap().parse().unwrap();
    assert_eq!(nest.ok(&["ls", "--ids", &format!("{first}[1]")]), (first + 1).to_string());
    assert_eq!(nest.say(&["ls", "--ids", &format!("{first}[2]")]).code, 3, "it is of the other array");
}

#[test]
fn a_label_names_its_jobs_wherever_a_number_does() {
    let nest = file_with_jobs();
    let hostile = "a,b @c\t[3]";
    nest.add(&["-l", hostile, "--hold", "--", "true"]);
    for (selector, ids) in [("@done", "1"), ("1,@failed", "1\n2"), ("@a,b @c\t[3]", "4")] {
        assert_eq!(nest.ok(&["ls", "--ids", selector]), ids, "{selector:?}");
    }
    assert_eq!(nest.ok(&["ls", "--ids", "@done", "@queued", "-q", "queued"]), "3", "what both match");
    assert!(nest.ok(&["show", "@failed"]).contains("failed (exit)"));
    assert_eq!(nest.say(&["wait", "@failed"]).code, 3, "the code of the one job");
    assert_eq!(nest.ok(&["set", "@queued", "priority=3"]), "");
    let after = nest.add(&["--after-any", "@queued", "--", "true"]);
    assert!(nest.ok(&["why", &after.to_string()]).contains("job 3"));
    // Like the option, it means the jobs that a verb can change.
    for (verb, code) in [("cancel", 3), ("hold", 3), ("release", 3), ("retry", 3)] {
        let said = nest.say(&[verb, "@done"]);
        assert!(
            said.code == code && said.err.contains("1 job in another state does: tenure ls -a --label done"),
            "{verb}: {said:?}"
        );
    }
    nest.ok(&["release", "@queued"]);
    nest.ok(&["cancel", "@queued"]);
    assert_eq!(nest.state(3), "cancelled");
    for verb in MANY.iter().chain(NAMED) {
        let last: &[&str] = if verb[0] == "add" { &["--", "true"] } else { &[] };
        let said = asked(&nest, verb, &["@quued"], last);
        assert!(said.code == 3 && said.err.contains("did you mean \"queued\"?"), "{verb:?}: {said:?}");
        assert_eq!(asked(&nest, verb, &["@"], last).code, 2, "{verb:?}: an empty label");
        assert_eq!(asked(&nest, verb, &[&format!("@{}", "x".repeat(5_000))], last).code, 2, "{verb:?}: a long label");
    }
}

#[test]
fn last_is_the_newest_job_that_was_added_by_hand() {
    let nest = Nest::new();
    nest.ok(&["schedule", "add", "nightly", "30 2 * * *", "--", "true"]);
    nest.sleep_through("nightly", 2_880);
    nest.work_until_idle(&[]);
    let scheduled = nest.ok(&["ls", "-a", "--ids"]).lines().count();
    assert!(scheduled > 0, "the schedule has made a job");
    let none = nest.say(&["show", "last"]);
    assert!(none.code == 3 && none.err.contains("by hand"), "{none:?}");
    let by_hand = nest.add(&["--hold", "--", "true"]);
    std::fs::write(nest.file("p.toml"), "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"true\"]\n").unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "p"]);
    assert!(nest.ok(&["ls", "-a", "--ids"]).lines().count() > scheduled + 1, "the task has a job");
    assert_eq!(nest.ok(&["ls", "--ids", "last"]), by_hand.to_string());
}
