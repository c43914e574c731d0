//! A client that waits for a job hears on stderr what it waits for, once for each change: from `run`, `wait` and `logs -f`.

use std::any::Any;
use std::process::{Child, Stdio};

use crate::support::stopped::Stopped;
use crate::support::{Nest, PATIENCE, Signal, Worker, each, kill, until, within};

/// What stands around a job that is waited for.
struct Around {
    nest: Nest,
    worker: Option<Worker>,
    /// Kept until it is cleared.
    kept: Option<Box<dyn Any>>,
}

impl Around {
    fn with(slots: &str, more: &[&str]) -> Self {
        let nest = Nest::new();
        let worker = Some(nest.work(&[&["--slots", slots, "--tick", "200ms"], more].concat()));
        Self { nest, worker, kept: None }
    }

    /// One job runs until the file `go` is there.
    fn busy(slots: &str, options: &[&str]) -> Self {
        let around = Self::with(slots, &[]);
        busy(&around.nest, options);
        around
    }

    fn keep(mut self, kept: impl Any) -> Self {
        self.kept = Some(Box::new(kept));
        self
    }

    fn go(&self) {
        std::fs::write(self.nest.file("go"), "").unwrap();
    }
}

struct Case {
    about: &'static str,
    /// What is said.
    words: &'static [&'static str],
    /// Options of the job, its shell line, and the code that it ends with.
    options: &'static [&'static str],
    line: &'static str,
    code: i32,
    before: fn() -> Around,
    /// After the job is in the file.
    then: fn(&mut Around, i64),
    clear: fn(&mut Around, i64),
}

const UNTIL_GO: &str = "until test -e go; do sleep 0.02; done";

/// A job that runs until the file `go` is there.
fn busy(nest: &Nest, options: &[&str]) {
    let id = nest.sh(options, UNTIL_GO);
    nest.until_pid(id);
}

fn nothing(_: &mut Around, _: i64) {}

fn go(around: &mut Around, _: i64) {
    around.go();
}

fn obey(around: &mut Around, args: &[&str]) {
    around.nest.ok(args);
}

const PLAIN: Case = Case {
    about: "",
    words: &[],
    options: &[],
    line: "true",
    code: 0,
    before: || Around::with("2", &[]),
    then: nothing,
    clear: nothing,
};

const CASES: &[Case] = &[
    Case {
        about: "all slots are full",
        words: &["the only slot of the worker", "tenure slots 2"],
        before: || Around::busy("1", &[]),
        clear: go,
        ..PLAIN
    },
    Case {
        about: "it waits for another attempt",
        words: &["it starts no sooner than", "delay=0s"],
        options: &["--retries", "1", "--backoff", "1h..1h"],
        line: "test -e again; r=$?; : > again; exit $r",
        clear: |around, id| obey(around, &["set", &id.to_string(), "delay=0s"]),
        ..PLAIN
    },
    Case {
        about: "its time has not come",
        words: &["it starts no sooner than", "delay=0s"],
        options: &["--delay", "1h"],
        clear: |around, id| obey(around, &["set", &id.to_string(), "delay=0s"]),
        ..PLAIN
    },
    Case {
        about: "its lane is full",
        words: &["its lane \"l\" is full", "by job 1", "tenure wait 1"],
        options: &["--lane", "l"],
        before: || Around::busy("2", &["--lane", "l"]),
        clear: go,
        ..PLAIN
    },
    Case {
        about: "it waits for another job",
        words: &["it waits for job 1 to be done", "tenure wait 1"],
        options: &["--after", "1"],
        before: || Around::busy("2", &[]),
        clear: go,
        ..PLAIN
    },
    Case {
        about: "its queue is paused",
        words: &["its queue \"q\" is paused", "tenure queue resume q"],
        options: &["-q", "q"],
        before: || {
            let around = Around::with("2", &[]);
            around.nest.ok(&["queue", "pause", "q"]);
            around
        },
        clear: |around, _| obey(around, &["queue", "resume", "q"]),
        ..PLAIN
    },
    Case {
        about: "its queue is full",
        words: &["its queue \"q\" has 1 slot", "tenure queue set q --slots 2"],
        options: &["-q", "q"],
        before: || {
            let around = Around::with("2", &[]);
            around.nest.ok(&["queue", "set", "q", "--slots", "1"]);
            busy(&around.nest, &["-q", "q"]);
            around
        },
        clear: |around, _| obey(around, &["queue", "set", "q", "--slots", "2"]),
        ..PLAIN
    },
    Case {
        about: "no worker serves its queue",
        words: &["does not serve queue \"q\"", "queue=served"],
        options: &["-q", "q"],
        before: || Around::with("2", &["--queue", "served"]),
        clear: |around, id| obey(around, &["set", &id.to_string(), "queue=served"]),
        ..PLAIN
    },
    Case {
        about: "a person holds it",
        words: &["a person holds it", "tenure release"],
        options: &["--hold"],
        clear: |around, id| obey(around, &["release", &id.to_string()]),
        ..PLAIN
    },
    Case {
        about: "what its first attempt made is not torn down",
        words: &["resource 1 \"vm\" of run", "is not torn down yet", "tenure resource release 1"],
        options: &["--retries", "1", "--backoff", "0s..0s"],
        line: "test -e again && exit 0; : > again; TENURE resource add vm --teardown 'test -e go'; exit 1",
        clear: |around, _| {
            around.go();
            // Unless the worker has tried again by itself since it may.
            let released = around.nest.say(&["resource", "release", "1"]);
            assert!(released.code == 0 || released.err.contains("is gone already"), "{released:?}");
        },
        ..PLAIN
    },
    Case {
        about: "its workspace is being made",
        words: &["its workspace \"k\"", "tenure logs"],
        options: &["--workspace", "k", "--prepare", "while ! test -e \"$HOME/go\"; do sleep 0.02; done"],
        clear: go,
        ..PLAIN
    },
    Case {
        about: "another program holds the write lock",
        words: &["holds the write lock"],
        options: &["--delay", "1h"],
        before: || Around::busy("2", &[]),
        then: |around, _| {
            let other = around.nest.sql();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            around.kept = Some(Box::new(other));
            // The worker has an end to record.
            around.go();
        },
        clear: |around, id| {
            drop(around.kept.take());
            obey(around, &["set", &id.to_string(), "delay=0s"]);
        },
        ..PLAIN
    },
    Case {
        about: "the worker is stopped",
        words: &["is stopped by a signal"],
        before: || {
            let mut around = Around::with("2", &[]);
            let worker = around.worker.as_ref().unwrap().pid();
            around.kept = Some(Box::new(Stopped::between_writes(&around.nest, worker)));
            around
        },
        clear: |around, _| drop(around.kept.take()),
        ..PLAIN
    },
    Case {
        about: "the worker drains",
        words: &["it claims nothing more"],
        before: || {
            let around = Around::with("2", &["--drain"]);
            busy(&around.nest, &[]);
            kill(around.worker.as_ref().unwrap().pid(), Signal::TERM);
            let draining = || (around.nest.status()["worker"]["phase"] == "draining").then_some(());
            until("it to drain", draining);
            around
        },
        clear: |around, _| {
            around.go();
            around.worker.take().unwrap().wait();
            around.worker = Some(around.nest.work(&[]));
        },
        ..PLAIN
    },
    Case {
        about: "the machine has less than the floor",
        words: &["the floor is 900T"],
        before: || {
            let nest = Nest::new();
            std::fs::write(nest.file("floor.toml"), "[floor]\ndisk = \"900T\"\n").unwrap();
            let config = nest.file("floor.toml");
            let worker = nest.work_with(&[], &[("TENURE_CONFIG", config.as_os_str())]);
            Around { nest, worker: Some(worker), kept: None }
        },
        clear: |around, _| {
            around.worker.take().unwrap().stop();
            around.worker = Some(around.nest.work(&[]));
        },
        ..PLAIN
    },
];

/// Cases of those who only look on: a `tenure run` is its own worker.
const WATCHED: &[Case] = &[
    Case {
        about: "there is no worker",
        words: &["no worker is running", "(tenure work)"],
        before: || Around { nest: Nest::new(), worker: None, kept: None },
        clear: |around, _| around.worker = Some(around.nest.work(&[])),
        ..PLAIN
    },
    Case {
        about: "it runs, and no worker will record its end",
        words: &["no worker is running", "its end is recorded when a worker starts", "(tenure work)"],
        line: UNTIL_GO,
        then: |around, id| {
            around.nest.until_pid(id);
            around.worker.take().unwrap().kill();
        },
        clear: |around, _| {
            // The worker first: without one it would be told that the run is over.
            around.worker = Some(around.nest.work(&[]));
            around.go();
        },
        ..PLAIN
    },
    Case {
        about: "the only worker is a run of another job",
        words: &["the only worker is a tenure run", "(tenure work)"],
        before: || {
            let nest = Nest::new();
            let mut run = nest.tenure(&["run", "--", "/bin/sh", "-c", UNTIL_GO]);
            let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let status = || serde_json::from_str::<serde_json::Value>(&nest.say(&["status", "--json"]).out).ok();
            until("the run to be the worker", || status().filter(|status| status["counts"]["running"] == 1));
            Around { nest, worker: None, kept: None }.keep(run)
        },
        clear: |around, _| {
            around.worker = Some(around.nest.work(&[]));
            around.go();
            let mut run = around.kept.take().unwrap().downcast::<Child>().unwrap();
            run.wait().unwrap();
        },
        ..PLAIN
    },
];

/// A command that waits, with its messages in a file.
fn start(nest: &Nest, args: &[&str]) -> Child {
    let err = std::fs::File::create(nest.file("err")).unwrap();
    nest.tenure(args).stdout(Stdio::null()).stderr(err).spawn().unwrap()
}

fn said(nest: &Nest) -> String {
    std::fs::read_to_string(nest.file("err")).unwrap_or_default()
}

/// Whether the second line says what the first one says. Other obstacles (`and 1 more`) may change for a moment.
fn is_again(case: &Case, one: &str, next: &str) -> bool {
    let ending = |line: &str| line.rsplit(" (").next().map(str::to_owned);
    [one, next].iter().all(|line| line.contains(case.words[0])) && ending(one) == ending(next)
}

/// The command says it, ends when it is cleared, and has said it once.
fn walk(case: &Case, verb: &str) {
    let mut around = (case.before)();
    let line = case.line.replace("TENURE", env!("CARGO_BIN_EXE_tenure"));
    let job = [case.options, &["-l", "waited", "--", "/bin/sh", "-c", &line]].concat();
    let (mut child, id);
    if verb == "run" {
        child = start(&around.nest, &[&["run"], job.as_slice()].concat());
        let listed = || around.nest.json(&["ls", "-a", "--label", "waited", "--json"])["jobs"][0]["id"].as_i64();
        id = until("the job to be added", listed);
        (case.then)(&mut around, id);
    } else {
        id = around.nest.add(&job);
        (case.then)(&mut around, id);
        let id = id.to_string();
        let args: &[&str] = if verb == "wait" { &["wait", &id] } else { &["logs", "-f", &id] };
        child = start(&around.nest, args);
    }
    let about = format!("{verb}, {}", case.about);
    let is_said = || {
        let said = said(&around.nest);
        case.words.iter().all(|word| said.contains(word)).then_some(())
    };
    within(PATIENCE, is_said).unwrap_or_else(|| panic!("{about}: {:?} is not said, but {:?}", case.words, said(&around.nest)));
    (case.clear)(&mut around, id);
    let ended = child.wait().unwrap();
    let all = said(&around.nest);
    assert_eq!(ended.code(), Some(case.code), "{about}: {all}");
    assert!(
        all.lines().zip(all.lines().skip(1)).all(|(one, next)| !is_again(case, one, next)),
        "{about}: it is said once: {all}"
    );
    assert!(all.lines().all(|line| line.starts_with("tenure: job ")), "{about}: {all}");
}

#[test]
fn run_says_what_its_job_waits_for() {
    each(CASES, |case| walk(case, "run"));
}

#[test]
fn wait_says_what_the_job_waits_for() {
    each(&CASES.iter().chain(WATCHED).collect::<Vec<_>>(), |case| walk(case, "wait"));
}

#[test]
fn following_a_log_says_what_the_job_waits_for() {
    each(&CASES.iter().chain(WATCHED).collect::<Vec<_>>(), |case| walk(case, "logs"));
}

#[test]
fn each_change_of_what_is_waited_for_is_said() {
    let around = Around::with("1", &[]);
    let nest = &around.nest;
    nest.ok(&["queue", "pause", "q"]);
    let id = nest.sh(&["-q", "q", "--hold"], "true").to_string();
    let mut child = start(nest, &["wait", &id]);
    let says = |words: &str| until(words, || said(nest).contains(words).then_some(()));
    says("a person holds it (and 1 more: tenure why 1)");
    nest.ok(&["release", &id]);
    says("its queue \"q\" is paused (tenure queue resume q)");
    // That it is held was said a moment ago; what is new is said.
    nest.ok(&["hold", &id]);
    nest.ok(&["queue", "resume", "q"]);
    says("a person holds it (tenure release 1)");
    nest.ok(&["release", &id]);
    assert!(child.wait().unwrap().success());
    assert_eq!(said(nest).lines().count(), 3, "{}", said(nest));
}
