//! A job that handles a failure is not needed where nothing has failed. That is not a failure, and no command counts it as one.

use serde_json::Value;

use crate::faces::said::end;
use crate::support::Nest;

/// Jobs by letter, in order: what each does, and what it is added after. `y` ends with 0, `n` with 1.
struct Graph {
    about: &'static str,
    jobs: &'static [(char, &'static str)],
    /// `state/reason` of each.
    ends: &'static [&'static str],
    /// Of `tenure wait` for all of them.
    code: i32,
}

const NEEDLESS: &str = "cancelled/dependency";
const LACKS: &str = "failed/dependency";

const GRAPHS: &[Graph] = &[
    Graph { about: "not needed", jobs: &[('y', ""), ('y', "--after-failed 1")], ends: &["done/exit", NEEDLESS], code: 0 },
    Graph { about: "needed", jobs: &[('n', ""), ('y', "--after-failed 1")], ends: &["failed/exit", "done/exit"], code: 1 },
    Graph {
        about: "what follows one that is not needed is not needed",
        jobs: &[('y', ""), ('y', "--after-failed 1"), ('y', "--after 2"), ('y', "--after 3")],
        ends: &["done/exit", NEEDLESS, NEEDLESS, NEEDLESS],
        code: 0,
    },
    Graph {
        about: "not to be needed is not a failure to be handled",
        jobs: &[('y', ""), ('y', "--after-failed 1"), ('y', "--after-failed 2")],
        ends: &["done/exit", NEEDLESS, NEEDLESS],
        code: 0,
    },
    Graph {
        about: "after any end includes that",
        jobs: &[('y', ""), ('y', "--after-failed 1"), ('y', "--after-any 2")],
        ends: &["done/exit", NEEDLESS, "done/exit"],
        code: 0,
    },
    Graph {
        about: "one that lacks what it needs has failed, and its failure is handled",
        jobs: &[('n', ""), ('y', "--after 1"), ('y', "--after-failed 2")],
        ends: &["failed/exit", LACKS, "done/exit"],
        code: 1,
    },
    Graph {
        about: "needed by one, not by the other",
        jobs: &[('y', ""), ('n', ""), ('y', "--after-failed 1 --after-failed 2")],
        ends: &["done/exit", "failed/exit", NEEDLESS],
        code: 1,
    },
    Graph {
        about: "two that were to be handled, and neither failed",
        jobs: &[('y', ""), ('y', ""), ('y', "--after-failed 1,2")],
        ends: &["done/exit", "done/exit", NEEDLESS],
        code: 0,
    },
];

fn build(nest: &Nest, graph: &Graph, worked: bool) {
    for (does, after) in graph.jobs {
        let after: Vec<&str> = after.split_whitespace().collect();
        nest.sh(&[&["-l", "all"], after.as_slice()].concat(), if *does == 'y' { "exit 0" } else { "exit 1" });
        if worked {
            nest.work_until_idle(&[]);
        }
    }
    nest.work_until_idle(&[]);
}

#[test]
fn a_job_that_is_not_needed_spoils_no_count() {
    for graph in GRAPHS {
        // Added before its parents have ended, and after.
        for worked in [false, true] {
            let nest = Nest::new();
            build(&nest, graph, worked);
            let about = graph.about;
            for (id, expected) in (1i64..).zip(graph.ends) {
                let job = nest.show(id);
                assert_eq!(&end(&job), expected, "{about}, worked {worked}: job {id}: {job}");
                if *expected == NEEDLESS {
                    assert!(job["error"].as_str().unwrap().starts_with("not needed: job "), "{job}");
                    assert_eq!((&job["attempts"], &job["exit_code"]), (&Value::from(0), &Value::Null), "{job}");
                    let why = nest.ok(&["why", &id.to_string()]);
                    assert!(why.contains("not needed") && !why.contains("fails"), "{why}");
                }
            }
            let failed = graph.ends.iter().filter(|end| end.starts_with("failed")).count();
            let counts = nest.status()["counts"].clone();
            assert_eq!(counts["failed"], Value::from(failed), "{about}: {counts}");
            assert_eq!(nest.say(&["wait", "--label", "all"]).code, graph.code, "{about}");
            assert_eq!(nest.say(&["wait", &format!("1-{}", graph.ends.len())]).code, graph.code, "{about}");
            let retried = nest.say(&["retry", "--failed"]);
            assert_eq!(retried.code == 3, failed == 0, "{about}: {retried:?}");
        }
    }
}

#[test]
fn a_person_is_told_what_to_do_with_one_that_is_not_needed() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    nest.sh(&["--after-failed", "1"], "true");
    nest.work_until_idle(&[]);
    let said = nest.say(&["retry", "2"]);
    assert!(said.code == 6 && said.err.contains("add it again") && !said.err.contains("--with-dependants"), "{said:?}");
    assert_eq!(nest.say(&["wait", "2"]).code, 1, "alone it has no code of its own");
}

#[test]
fn a_retried_parent_takes_the_unneeded_children_with_it() {
    let nest = Nest::new();
    nest.sh(&[], "test -e fixed");
    nest.sh(&["--after", "1"], "true");
    nest.sh(&["--after-failed", "2"], "true");
    nest.work_until_idle(&[]);
    assert_eq!((end(&nest.show(2)).as_str(), end(&nest.show(3)).as_str()), (LACKS, "done/exit"));
    std::fs::write(nest.file("fixed"), "").unwrap();
    nest.ok(&["retry", "1", "--with-dependants"]);
    nest.sh(&["--after-failed", "2"], "true");
    nest.work_until_idle(&[]);
    assert_eq!((end(&nest.show(2)).as_str(), end(&nest.show(4)).as_str()), ("done/exit", NEEDLESS));
}
