//! `tenure run` inside a job, beside another `run`, and with an input: it starts, says what it waits for, or is refused. It never hangs silently.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use crate::faces::said::end;
use crate::support::{Nest, PATIENCE, Said, each, kill_child, said, until};

const TENURE: &str = env!("CARGO_BIN_EXE_tenure");

/// A job that runs `tenure run ARGS`, so deep.
fn nested(depth: usize, outer: &str, inner: &str) -> String {
    let between = format!("{TENURE} run {outer} -- ").repeat(depth - 1);
    format!("{between}{TENURE} run -l inner {inner}")
}

struct Case {
    about: &'static str,
    /// Of `tenure work`.
    slots: &'static str,
    /// Commands before.
    before: &'static [&'static [&'static str]],
    /// Options of the jobs that wait, and of the innermost one.
    outer: &'static str,
    inner: &'static str,
    depth: usize,
    /// What the refusal says; `None`: it starts.
    refused: Option<&'static str>,
}

const fn case(
    about: &'static str,
    slots: &'static str,
    outer: &'static str,
    inner: &'static str,
    depth: usize,
    refused: Option<&'static str>,
) -> Case {
    Case { about, slots, before: &[], outer, inner, depth, refused }
}

const CASES: &[Case] = &[
    case("no slot is left", "1", "", "-- true", 1, Some("tenure slots 2")),
    case("no slot is left two jobs deep", "2", "", "-- true", 2, Some("tenure slots 3")),
    case("a slot is left", "2", "", "-- true", 1, None),
    case("a slot is left two jobs deep", "3", "", "-- true", 2, None),
    case("its lane is held", "3", "--lane l", "--lane l -- true", 1, Some("tenure lane set l --limit 2")),
    case("another lane is free", "3", "--lane l", "--lane m -- true", 1, None),
    Case {
        before: &[&["lane", "set", "l", "--limit", "2"]],
        ..case("its lane has room", "3", "--lane l", "--lane l -- true", 1, None)
    },
    Case {
        before: &[&["queue", "set", "q", "--slots", "1"]],
        ..case("its queue is held", "3", "-q q", "-q q -- true", 1, Some("tenure queue set q --slots 2"))
    },
    Case { before: &[&["queue", "set", "q", "--slots", "1"]], ..case("another queue is free", "3", "-q q", "-- true", 1, None) },
    case("its key is that of the job that waits", "3", "--unique k", "--unique k -- true", 1, Some("another key")),
    case("it waits for the job that waits for it", "3", "", "--after 1 -- true", 1, Some("job 1")),
    Case {
        before: &[],
        ..case(
            "it waits for one that waits for that job",
            "3",
            "",
            "--after $(TENURE_JOB= tenure add --after 1 -- true) -- true",
            1,
            Some("job 1"),
        )
    },
];

#[test]
fn a_run_inside_a_job_starts_or_is_refused_with_the_remedy() {
    for case in CASES {
        let nest = Nest::new();
        case.before.iter().for_each(|args| _ = nest.ok(args));
        let _worker = nest.work(&["--slots", case.slots]);
        let line = nested(case.depth, case.outer, case.inner).replace("tenure add", &format!("{TENURE} add"));
        let outer: Vec<&str> = case.outer.split_whitespace().collect();
        let id = nest.sh(&outer, &line);
        let job = nest.until_ended(id);
        let (log, about) = (nest.log(id), case.about);
        let inner = nest.say(&["ls", "-a", "--label", "inner", "--json"]).out;
        match case.refused {
            None => {
                assert_eq!(end(&job), "done/exit", "{about}: {log}");
                assert!(inner.contains("\"done\""), "{about}: {inner}");
            }
            Some(words) => {
                assert_eq!(end(&job), "failed/exit", "{about}: {log}");
                assert_eq!(job["exit_code"], 6, "{about}: {log}");
                assert!(log.contains(words), "{about}: {log}");
                assert!(inner.contains("\"jobs\":[]"), "{about}: nothing was added: {inner}");
            }
        }
    }
}

/// What the other job with the key is, what the job holds that follows it, and what a refusal says.
const FOLLOWED: &[(&str, &[&str], &str, Option<&str>)] = &[
    ("it runs, and the lane is held", &[], "--lane l", None),
    ("it runs, and the queue is held", &[], "-q one", None),
    ("it waits elsewhere, and the lane is held", &["-q", "paused"], "--lane l", None),
    ("it waits elsewhere, and the queue is held", &["-q", "paused"], "-q one", None),
    ("it waits for that lane", &["-q", "paused", "--lane", "l"], "--lane l", Some("tenure lane set l --limit 2")),
    ("it waits for that queue", &["-q", "one", "--hold"], "-q one", Some("tenure queue set one --slots 2")),
];

#[test]
fn a_run_that_follows_a_live_key_is_judged_by_that_job() {
    for (about, other, held, refused) in FOLLOWED {
        let nest = Nest::new();
        nest.ok(&["queue", "set", "one", "--slots", "1"]);
        nest.ok(&["queue", "pause", "paused"]);
        let _worker = nest.work(&["--slots", "3"]);
        let id = nest.sh(&[&["--unique", "k"], *other].concat(), ": > begun; until test -e go; do sleep 0.02; done");
        if other.is_empty() {
            until("it to begin", || nest.file("begun").exists().then_some(()));
        }
        let line = format!(
            "({TENURE} run {held} --unique k -- true 2>said; echo $? >code) & until test -s said; do sleep 0.02; done; \
             : >go; {TENURE} queue resume paused; wait; cat said; exit $(cat code)"
        );
        let outer: Vec<&str> = held.split_whitespace().collect();
        let follower = nest.sh(&outer, &line);
        let job = nest.until_ended(follower);
        let log = nest.log(follower);
        match refused {
            None => assert!(end(&job) == "done/exit" && log.contains("following that one"), "{about}: {log}"),
            Some(words) => assert!(job["exit_code"] == 6 && log.contains(words), "{about}: {log}"),
        }
        let jobs: i64 = nest.sql().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
        assert_eq!(jobs, 2, "{about}: nothing was added");
        nest.say(&["cancel", &id.to_string()]);
    }
}

#[test]
fn a_run_in_a_command_of_a_job_is_refused_like_one_in_the_job() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "1"]);
    let line = format!("{TENURE} run -l inner -- true");
    let id = nest.add(&["--check", &line, "--", "true"]);
    let job = nest.until_ended(id);
    assert_eq!(end(&job), "failed/check", "{job}");
    assert!(job["error"].to_string().contains("6"), "{job}");
    assert!(nest.ok(&["ls", "-a", "--label", "inner", "--json"]).contains("\"jobs\":[]"), "nothing was added");
    let prepare_command = format!("{line}; : > made");
    let id = nest.add(&["--workspace", "w", "--prepare", &prepare_command, "--", "true"]);
    nest.until_ended(id);
    assert!(nest.ok(&["ls", "-a", "--label", "inner", "--json"]).contains("\"jobs\":[]"), "nothing was added");
}

/// `tenure run ARGS` in a terminal of its own.
fn run(nest: &Nest, args: &[&str]) -> Child {
    nest.tenure(&[&["run"], args].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn came_to(child: Child) -> Said {
    said(child.wait_with_output().unwrap())
}

#[test]
fn a_run_inside_a_run_is_served_by_it() {
    let nest = Nest::new();
    let said = nest.say(&["run", "-c", &format!("{TENURE} run -c '{TENURE} run -- echo innermost; exit 4'")]);
    assert_eq!((said.code, said.out.contains("innermost\n")), (4, true), "{said:?}");
}

#[test]
fn runs_beside_each_other_all_start_and_outlive_each_other() {
    // Which of the two ends first, and whether its `run` is killed.
    for (first_ends_first, killed) in [(true, false), (false, false), (true, true)] {
        let nest = Nest::new();
        let line =
            |name: &str| format!(": > begun{name}; while ! test -e go{name}; do sleep 0.02; done; echo end {name}; exit {name}");
        let begin = |name: &str| {
            let child = run(&nest, &["-c", &line(name)]);
            until("its job to begin", || nest.file(&format!("begun{name}")).exists().then_some(()));
            child
        };
        let mut first = begin("1");
        let second = begin("2");
        let go = |name: &str| std::fs::write(nest.file(&format!("go{name}")), "").unwrap();
        let check = |child: Child, name: i32| {
            let said = came_to(child);
            assert_eq!((said.code, said.out.as_str()), (name, format!("end {name}\n").as_str()), "{said:?}");
        };
        if killed {
            kill_child(&mut first);
            go("2");
            check(second, 2);
            go("1");
            nest.work_until_idle(&[]);
        } else if first_ends_first {
            go("1");
            check(first, 1);
            go("2");
            check(second, 2);
        } else {
            go("2");
            check(second, 2);
            go("1");
            check(first, 1);
        }
        for id in 1..=2 {
            let job = nest.until_ended(id);
            assert_eq!(
                (end(&job).as_str(), &job["exit_code"], job["runs"].as_array().unwrap().len()),
                ("failed/exit", &id.into(), 1)
            );
        }
    }
}

#[test]
fn a_run_serves_only_the_jobs_that_a_client_follows() {
    let nest = Nest::new();
    let first = run(&nest, &["-c", ": > begun; while ! test -e go; do sleep 0.02; done"]);
    until("its job to begin", || nest.file("begun").exists().then_some(()));
    let added = nest.sh(&[], "true");
    let many: Vec<Child> = (0..5).map(|n| run(&nest, &["-c", &format!("exit {n}")])).collect();
    for (n, child) in (0..).zip(many) {
        assert_eq!(came_to(child).code, n);
    }
    assert_eq!(nest.state(added), "queued", "it has no terminal of its own");
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(came_to(first).code, 0);
}

/// Lines of a child's standard error so far.
struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    fn of(child: &mut Child) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut from = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let (mut line, mut byte) = (Vec::new(), [0]);
            while from.read(&mut byte).is_ok_and(|n| n > 0) {
                line.push(byte[0]);
                if byte[0] == b'\n' {
                    let _reader_may_be_gone = sender.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned());
                }
            }
        });
        Self(receiver)
    }

    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("it says what it waits for")
    }
}

#[test]
fn a_waiting_client_reads_each_obstacle_once() {
    let follow: &[(&str, &[&str])] = &[("run", &[]), ("wait", &["wait", "last"]), ("logs", &["logs", "-f", "last"])];
    each(follow, |(about, args)| {
        let nest = Nest::new();
        nest.ok(&["queue", "pause", "q"]);
        let _worker = nest.work(&["--slots", "1"]);
        let mut child = if args.is_empty() {
            run(&nest, &["-q", "q", "-c", "echo out"])
        } else {
            nest.sh(&["-q", "q"], "echo out");
            nest.tenure(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let lines = Lines::of(&mut child);
        let first = lines.next();
        assert!(first.starts_with("tenure: job 1 waits: ") && first.contains("paused"), "{about}: {first}");
        nest.ok(&["hold", "1"]);
        let second = lines.next();
        assert!(second.contains("held") || second.contains("holds"), "{about}: {second}");
        nest.ok(&["release", "1"]);
        assert!(lines.next().contains("paused"), "{about}");
        nest.ok(&["queue", "resume", "q"]);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{about}");
        // To the end of its standard error.
        let more: Vec<String> = lines.0.iter().collect();
        assert_eq!(more, Vec::<String>::new(), "{about}");
    });
}

fn with_input(nest: &Nest, args: &[&str], input: Input<'_>) -> Said {
    let mut command: Command = nest.tenure(&[&["run"], args].concat());
    let written = match input {
        Input::File(text) => {
            std::fs::write(nest.file("input"), text).unwrap();
            command.stdin(std::fs::File::open(nest.file("input")).unwrap());
            None
        }
        Input::Pipe(text) => {
            command.stdin(Stdio::piped());
            Some(text)
        }
        Input::Null => None,
    };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let (Some(text), Some(mut pipe)) = (written, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).unwrap();
    }
    came_to(child)
}

#[derive(Clone, Copy, Debug)]
enum Input<'a> {
    Pipe(&'a str),
    File(&'a str),
    Null,
}

#[test]
fn an_input_reaches_the_job_or_the_person_is_told() {
    let nest = Nest::new();
    for input in [Input::Pipe("hello\n"), Input::File("hello\n")] {
        let said = with_input(&nest, &["--", "cat"], input);
        assert!(said.code == 0 && said.out.is_empty(), "{input:?}: {said:?}");
        assert!(said.err.contains("--stdin -") && said.err.lines().count() == 1, "{input:?}: {said:?}");
        let said = with_input(&nest, &["--stdin", "-", "--", "cat"], input);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "hello\n", ""), "{input:?}");
    }
    for input in [Input::Pipe(""), Input::File(""), Input::Null] {
        let said = with_input(&nest, &["--", "cat"], input);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""), "{input:?}");
    }
}
