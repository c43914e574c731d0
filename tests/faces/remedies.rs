//! A remedy that is a command is accepted when it is typed, and what it was to clear is cleared: in every state of a job.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{Nest, Worker, each, said, until};

/// Verbs that show what to do next, and change nothing.
const SHOWS: &[&str] = &["why", "logs", "ls", "show", "doctor", "config", "history", "status"];

struct Case {
    nest: Nest,
    id: i64,
    worker: Option<Worker>,
}

type Begin = fn() -> Case;

/// A case that is looked at again and again, each time as it was.
struct Scene {
    begin: Begin,
    case: Case,
    /// A copy of all that is there; `None` where a worker is at work.
    kept: Option<tempfile::TempDir>,
}

impl Scene {
    fn new(begin: Begin) -> Self {
        let case = begin();
        let kept = case.worker.is_none().then(|| tempfile::tempdir().expect("a temporary directory"));
        kept.iter().for_each(|kept| copy(case.nest.path(), kept.path()));
        Self { begin, case, kept }
    }

    /// Restores what was kept, byte for byte and into the same inodes, so that the file is at home there: it costs far less than a new case.
    fn as_it_was(&mut self) -> &Case {
        let Some(kept) = &self.kept else {
            self.case = (self.begin)();
            return &self.case;
        };
        let nest = &self.case.nest;
        for entry in [nest.path(), &nest.beside()].iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()) {
            let path = entry.unwrap().path();
            if path.is_dir() && path != nest.beside() {
                std::fs::remove_dir_all(path).unwrap();
            } else if path.is_file() && path != nest.db() {
                std::fs::remove_file(path).unwrap();
            }
        }
        copy(kept.path(), nest.path());
        &self.case
    }
}

/// Copies the content of a directory.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp");
    assert!(status.success(), "cp -a {} {}: {status}", from.display(), to.display());
}

fn case(begin: impl FnOnce(&Nest) -> i64) -> Case {
    let nest = Nest::new();
    let id = begin(&nest);
    Case { nest, id, worker: None }
}

/// Nothing runs any more.
fn ended(begin: impl FnOnce(&Nest) -> i64) -> Case {
    case(|nest| {
        let id = begin(nest);
        nest.work_until_idle(&[]);
        id
    })
}

/// Adds a job that fails and has a secret.
fn with_secret(nest: &Nest) -> i64 {
    let mut command = nest.tenure(&["add", "--secret", "S", "--", "false"]);
    said(command.env("S", "x").output().unwrap()).out.trim().parse().unwrap()
}

const CASES: &[(&str, Begin)] = &[
    ("failed by its exit", || ended(|nest| nest.sh(&[], "exit 3"))),
    ("failed after its retries", || ended(|nest| nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "exit 3"))),
    ("failed by a signal", || ended(|nest| nest.sh(&[], "kill -9 $$"))),
    ("failed at its start", || ended(|nest| nest.add(&["--", "/nonexistent"]))),
    ("failed by its check", || ended(|nest| nest.sh(&["--check", "false"], "true"))),
    ("failed after a timeout", || ended(|nest| nest.sh(&["--timeout", "50ms", "--grace", "0s"], "sleep 600"))),
    ("cancelled", || {
        ended(|nest| {
            let id = nest.sh(&[], "true");
            nest.ok(&["cancel", &id.to_string(), "--why", "a reason"]);
            id
        })
    }),
    ("expired", || {
        ended(|nest| {
            let id = nest.sh(&["--expires", "1h"], "true");
            nest.sql().execute("UPDATE job SET expires_at = 1", []).unwrap();
            id
        })
    }),
    ("expired, and no worker has looked", || {
        case(|nest| {
            let id = nest.sh(&["--expires", "1h"], "true");
            nest.sql().execute("UPDATE job SET expires_at = 1", []).unwrap();
            id
        })
    }),
    ("failed, and had a secret", || ended(with_secret)),
    ("lacks a job that failed", || {
        ended(|nest| {
            nest.sh(&[], "exit 1");
            nest.sh(&["--after", "1"], "true")
        })
    }),
    ("lacks a job that lacks a job", || {
        ended(|nest| {
            nest.sh(&[], "exit 1");
            nest.sh(&["--after", "1"], "true");
            nest.sh(&["--after", "2"], "true")
        })
    }),
    ("lacks a job that failed and had a secret", || {
        ended(|nest| {
            with_secret(nest);
            nest.sh(&["--after", "1"], "true");
            nest.sh(&["--after", "2"], "true")
        })
    }),
    ("lacks a job, beside one that had a secret", || {
        ended(|nest| {
            nest.sh(&[], "exit 1");
            said(nest.tenure(&["add", "--secret", "S", "--after", "1", "--", "true"]).env("S", "x").output().unwrap());
            nest.sh(&["--after", "1"], "true")
        })
    }),
    ("lacks two jobs that failed", || {
        ended(|nest| {
            nest.sh(&[], "exit 1");
            nest.sh(&[], "exit 1");
            nest.sh(&["--after", "1", "--after", "2"], "true")
        })
    }),
    ("was cancelled, and lacks a job that failed since", || {
        ended(|nest| {
            nest.sh(&[], "exit 1");
            let id = nest.sh(&["--after", "1"], "true");
            nest.ok(&["cancel", &id.to_string()]);
            id
        })
    }),
    ("was left over when the job that it waited for was retried", || left_over("1", "exit 1")),
    ("was left over, and the job that it waited for is done since", || {
        let case = left_over("1", "test -e repaired");
        std::fs::write(case.nest.file("repaired"), "").unwrap();
        case.nest.work_until_idle(&[]);
        case
    }),
    ("was left over by one job, and lacks another one too", || left_over("1 2", "exit 1")),
    ("lacks a job that has been pruned", || {
        let case = ended(|nest| {
            nest.sh(&[], "exit 1");
            nest.sh(&["--after", "1"], "true")
        });
        case.nest.owner().execute("DELETE FROM job WHERE id = 1", []).unwrap();
        case
    }),
    ("failed, and its key is another one's now", || {
        let case = ended(|nest| nest.sh(&["--unique", "k"], "exit 1"));
        case.nest.sh(&["--unique", "k"], "true");
        case
    }),
    ("failed, and its task has gone on", || {
        let nest = Nest::new();
        let pipeline = "[pipeline.p]\nstart = \"one\"\n[pipeline.p.stage.one]\ncommand = [\"false\"]\n";
        std::fs::write(nest.file("p.toml"), pipeline).unwrap();
        nest.ok(&["pipeline", "apply", "p.toml"]);
        nest.ok(&["task", "start", "p"]);
        nest.work_until_idle(&[]);
        Case { nest, id: 1, worker: None }
    }),
    ("is done", || ended(|nest| nest.sh(&[], "true"))),
    ("is not needed", || {
        ended(|nest| {
            nest.sh(&[], "true");
            nest.sh(&["--after-failed", "1"], "true")
        })
    }),
    ("is not needed, and no worker has looked", || {
        case(|nest| {
            nest.sh(&[], "true");
            nest.work_until_idle(&[]);
            let sql = nest.sql();
            sql.execute("INSERT INTO job (command) VALUES ('[\"true\"]')", []).unwrap();
            let id = sql.last_insert_rowid();
            sql.execute("INSERT INTO dependency (job_id, on_job, need) VALUES (?1, 1, 'failed')", [id]).unwrap();
            id
        })
    }),
    ("waits for one that waits", || {
        case(|nest| {
            nest.sh(&["--hold"], "true");
            nest.sh(&["--after", "1"], "true")
        })
    }),
    ("waits for everything at once", || {
        case(|nest| {
            nest.sh(&["--hold"], "true");
            nest.ok(&["queue", "pause", "q"]);
            nest.sh(&["--after", "1", "--hold", "--delay", "1h", "-q", "q", "--lane", "l", "--expires", "2h"], "true")
        })
    }),
    ("another of its lane comes first", || {
        case(|nest| {
            nest.sh(&["--lane", "l"], "true");
            nest.sh(&["--lane", "l"], "true")
        })
    }),
    ("waits between two attempts", || ended(|nest| nest.sh(&["--retries", "3", "--backoff", "1h..1h"], "exit 3"))),
    ("its queue has no slots", || {
        case(|nest| {
            nest.ok(&["queue", "set", "a b'c", "--slots", "0"]);
            nest.sh(&["-q", "a b'c"], "true")
        })
    }),
    ("runs, and is being cancelled", || {
        let nest = Nest::new();
        let worker = nest.work(&["--slots", "1"]);
        let id = nest.sh(&["--grace", "10m"], "trap '' TERM; : > begun; while :; do sleep 0.1; done");
        until("the job to begin", || nest.file("begun").exists().then_some(()));
        nest.ok(&["cancel", &id.to_string()]);
        Case { nest, id, worker: Some(worker) }
    }),
    ("all slots are busy", || {
        let nest = Nest::new();
        let worker = nest.work(&["--slots", "1"]);
        nest.sh(&[], ": > begun; while ! test -e go; do sleep 0.1; done");
        until("the job to begin", || nest.file("begun").exists().then_some(()));
        let id = nest.sh(&[], "true");
        Case { nest, id, worker: Some(worker) }
    }),
];

/// A `retry --with-dependants` of job 1 that was killed before it came to this one, which waits for these.
fn left_over(after: &str, line: &str) -> Case {
    let case = ended(|nest| {
        nest.sh(&[], line);
        nest.sh(&[], "exit 1");
        let id = nest.sh(&["--after", &after.replace(' ', ",")], "true");
        nest.sh(&["--after", &id.to_string()], "true");
        id
    });
    case.nest.ok(&["retry", "1"]);
    case
}

fn obstacles(case: &Case) -> Vec<(String, String)> {
    let why = case.nest.json(&["why", &case.id.to_string(), "--json"]);
    let of = |one: &Value| Some((one["code"].as_str()?.to_owned(), one["remedy"].as_str()?.to_owned()));
    why["obstacles"].as_array().unwrap().iter().filter_map(of).collect()
}

/// As a person types it, in a shell that finds the program.
fn type_it(case: &Case, remedy: &str) -> i32 {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_tenure"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", remedy]).current_dir(case.nest.path()).env("TENURE_DB", case.nest.db()).env("HOME", case.nest.path());
    command.env("PATH", format!("{}:/usr/bin:/bin", binary.parent().unwrap().display()));
    let said = said(command.stdin(std::process::Stdio::null()).output().unwrap());
    assert!(![2, 126, 127].contains(&said.code), "{remedy}: {said:?}");
    said.code
}

#[test]
fn every_remedy_is_accepted_and_clears_what_it_names() {
    each(CASES, |(about, begin)| {
        let mut scene = Scene::new(*begin);
        let all = obstacles(&scene.case);
        for (code, remedy) in &all {
            let Some(typed) = remedy.strip_prefix("tenure ") else { continue };
            let verb = typed.split(' ').next().unwrap();
            // It stays; `reasons` starts one.
            if verb == "work" || typed.starts_with("logs -f") || typed.contains("; ") {
                continue;
            }
            // Each on a case as it was, so that none clears what another one names.
            let case = scene.as_it_was();
            assert_eq!(type_it(case, remedy), 0, "{about}: {code}: {remedy}");
            if !SHOWS.contains(&verb) {
                let left = obstacles(case);
                assert!(!left.contains(&(code.clone(), remedy.clone())), "{about}: {remedy} has not cleared {code}: {left:?}");
            }
        }
    });
}

#[test]
fn a_refusal_never_advises_what_is_refused_as_well() {
    // What is asked, and refused, in which state; the advice of the answer is typed next.
    let asks: &[&str] = &["retry", "hold", "release", "set", "cancel"];
    let (refused, typed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    each(CASES, |(about, begin)| {
        let mut scene = Scene::new(*begin);
        for ask in asks {
            let case = scene.as_it_was();
            let id = case.id.to_string();
            let args: Vec<&str> = if *ask == "set" { vec!["set", &id, "priority=1"] } else { vec![ask, &id] };
            let answer = case.nest.say(&args);
            assert!([0, 6].contains(&answer.code), "{about}: {ask}: {answer:?}");
            refused.fetch_add(usize::from(answer.code == 6), Ordering::Relaxed);
            let mut puts_back = false;
            // The answer begins with `tenure: `, which is not an advice.
            for advice in answer.err.split("tenure ").skip(1) {
                let words: Vec<&str> = advice.split(' ').take_while(|word| !word.is_empty()).collect();
                let number = |word: &str| {
                    word.trim_end_matches(|c: char| !c.is_ascii_digit()).split('-').all(|id| id.parse::<i64>().is_ok())
                };
                let [verb, job, ..] = words.as_slice() else { continue };
                if !number(job) || verb.starts_with("logs") || verb == &"wait" {
                    continue;
                }
                let more = if advice.contains("--with-dependants") { " --with-dependants" } else { "" };
                let jobs = words[1..].iter().take_while(|word| number(word));
                let job = jobs.map(|job| job.trim_end_matches(|c: char| !c.is_ascii_digit())).collect::<Vec<_>>().join(" ");
                typed.fetch_add(1, Ordering::Relaxed);
                puts_back |= *verb == "retry";
                if type_it(case, &format!("tenure {verb} {job}{more}")) != 0 {
                    wrong.lock().unwrap().push(format!("{about}: {ask}: {}", answer.err));
                }
            }
            if puts_back && case.nest.state(case.id) != "queued" {
                wrong.lock().unwrap().push(format!("{about}: {ask}: it is not retried: {}", answer.err));
            }
        }
    });
    let (refused, typed, wrong) = (refused.into_inner(), typed.into_inner(), wrong.into_inner().unwrap());
    println!("{refused} refusals, {typed} advices typed");
    assert!(wrong.is_empty(), "advices that are refused: {wrong:#?}");
    assert!(typed >= 40, "only {typed} advices were typed, after {refused} refusals");
}

/// Numbers that follow each other are one word; where there are too many words for a line, the remedy says how the list continues.
#[test]
fn the_way_back_from_many_jobs_fits_a_line_and_works() {
    for (ended, what, words_max) in [(1..=3_000, "all", 1), (1..=90, "every second", 20)] {
        let nest = Nest::new();
        let last = *ended.end();
        let jobs: String = ended.clone().map(|_| "{\"command\":[\"true\"],\"hold\":true}\n").collect();
        std::fs::write(nest.file("jobs"), jobs).unwrap();
        nest.ok(&["add", "--from", "jobs"]);
        let id = nest.sh(&["--after", &format!("1-{last}")], "true");
        let cancelled: Vec<String> = match what {
            "all" => vec![format!("1-{last}")],
            _ => ended.step_by(2).map(|id| id.to_string()).collect(),
        };
        nest.ok(&[&["cancel"], cancelled.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat());
        let case = Case { nest, id, worker: None };
        let mut typed = 0;
        while case.nest.state(id) != "queued" {
            let all = obstacles(&case);
            let remedy =
                &all.iter().find(|(_, remedy)| remedy.starts_with("tenure retry ")).unwrap_or_else(|| panic!("{all:?}")).1;
            let words = remedy.split(" --").next().unwrap().split(' ').skip(2).count();
            assert!((1..=words_max).contains(&words) && remedy.len() < 200, "{remedy}");
            assert_eq!(type_it(&case, remedy), 0, "{remedy}");
            typed += 1;
            assert!(typed < 10, "{remedy}");
        }
    }
}
