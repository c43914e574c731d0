//! What `tenure add` refuses, the library refuses as well: the rules of acceptance are in one place.

use std::time::Duration;

use serde_json::json;
use tenure::{Error, Filter, Job, JobId, Queue, Reason};

use crate::support::{Nest, said};

/// Options of `tenure add`, and the same description for the library.
fn cases() -> Vec<(Vec<String>, Job)> {
    let (long, x) = ("x".repeat(201), || Job::command(["x"]).cwd("/"));
    let longer = "x".repeat(1_001);
    let second = Duration::from_secs(1);
    let big: Vec<(String, String)> = (0..19).map(|n| (format!("V{n}"), "x".repeat(100_500))).collect();
    let of_big: Vec<String> = big.iter().map(|(name, value)| format!("-e{name}={value}")).collect();
    let with_big = big.into_iter().fold(x(), |job, (name, value)| job.env(name, value));
    let many = (1..=10_001).fold(x(), |job, id| job.after(JobId(id)));
    let case = |options: &[&str], job: Job| (options.iter().map(|one| (*one).to_owned()).collect(), job);
    vec![
        case(&["-q", ""], x().queue("")),
        case(&["-q", &long], x().queue(&long)),
        case(&["--lane", ""], x().lane("")),
        case(&["-l", ""], x().label("")),
        case(&["-l", &longer], x().label(&longer)),
        case(&["--unique", ""], x().unique("")),
        case(&["--unique", &longer, "--replace"], x().replace(&longer)),
        case(&["--expires", "0s"], x().expires_in(Duration::ZERO)),
        case(&["-r", "1000000"], x().retries(1_000_000)),
        case(&["--backoff", "2s..1s"], x().backoff(2 * second, second)),
        case(&["--retry-on", "0"], x().retry_on_exit(0)),
        case(&["--no-retry-on", "256"], x().no_retry_on_exit(256).retry_on(Reason::Timeout)),
        case(&["-t", "0s"], x().timeout(Duration::ZERO)),
        case(&["-t", "40000d"], x().timeout(Duration::MAX)),
        case(&["--grace", "40000d"], x().grace(Duration::MAX)),
        case(&["--idle-timeout", "0s"], x().idle_timeout(Duration::ZERO)),
        case(&["--warn", "USR1@1s"], x().warn(10, second)),
        case(&["--warn", "65@1s", "-t", "1h"], x().warn(65, second).timeout(600 * second)),
        case(&["-a", "1-10001"], many),
        case(&["-a", "1", "--after-any", "1"], x().after(JobId(1)).after_any(JobId(1))),
        case(&["--workspace", "k", "--cwd", "/"], x().workspace("k")),
        case(&["--workspace", "k", "--cwd", "/etc"], x().workspace("k").cwd("/etc")),
        case(&["--workspace", "k", "--cwd", "a/../.."], x().workspace("k").cwd("a/../..")),
        case(&["--workspace", ""], Job::command(["x"]).workspace("")),
        case(&["--workspace", "k", "--user", "u"], Job::command(["x"]).workspace("k").user("u")),
        case(&["--prepare", "true"], x().prepare(["true"])),
        case(&["-e", "=x"], x().env("", "x")),
        case(&["-e", "TENURE_JOB=7"], x().env("TENURE_JOB", "7")),
        (of_big, with_big),
        case(&["--secret", "A=B"], x().secret("A=B", "x")),
        case(&["--secret", "TENURE_RUN"], x().secret("TENURE_RUN", "x")),
        case(&["--secret", "HOME", "-e", "HOME=x"], x().secret("HOME", "x").env("HOME", "x")),
        case(&["--check", ""], x().check([""])),
        case(&["--memory", "1"], x().memory(1)),
        case(&["--nice", "20"], x().nice(20)),
        case(&["--user", ""], x().user("")),
        case(&["--user", &longer], x().user(&longer)),
        case(&["--log-limit", "1K"], x().log_limit(1_024)),
    ]
}

#[test]
fn the_library_refuses_what_the_command_line_refuses() {
    let nest = Nest::new();
    let queue = Queue::open(nest.db()).unwrap();
    let refuses = |arguments: &[&str], job: Job| {
        let said = nest.say(arguments);
        let shown: String = arguments.join(" ").chars().take(60).collect();
        assert_eq!(said.code, 2, "{shown}: {}", said.err);
        match queue.add(job) {
            Err(Error::Invalid(text)) => {
                assert!(!text.contains("secrets must") && !text.contains("as JSON"), "{shown}: {text}");
            }
            other => panic!("{shown}: the library says {other:?}"),
        }
    };
    for (options, job) in cases() {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        refuses(&[&["add"], options.as_slice(), &["--", "x"]].concat(), job);
    }
    refuses(&["add", "--", ""], Job::command([""]));
    refuses(&["add", "-c", ""], Job::shell(""));
    refuses(&["add", "-c", " \t"], Job::shell(" \t"));
    assert_eq!(queue.list(&Filter::all()).unwrap(), []);
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 0);
}

/// No command line can contain one; a program can give one to the library.
#[test]
fn a_text_with_a_nul_byte_is_refused() {
    let nest = Nest::new();
    let queue = Queue::open(nest.db()).unwrap();
    let (x, nul) = (|| Job::command(["x"]).cwd("/"), "a\0b");
    let jobs = [
        ("queue", x().queue(nul)),
        ("lane", x().lane(nul)),
        ("label", x().label(nul)),
        ("unique", x().unique(nul)),
        ("user", x().user(nul)),
        ("cwd", x().cwd("/a\0b")),
        ("env", x().env("A", nul)),
        ("env", x().env(nul, "b")),
    ];
    for (option, job) in jobs {
        match queue.add(job) {
            Err(Error::Invalid(text)) => assert!(text.starts_with(&format!("{option}: ")), "{text}"),
            other => panic!("{option}: the library says {other:?}"),
        }
    }
    assert_eq!(queue.list(&Filter::all()).unwrap(), []);
}

#[test]
fn a_secret_that_no_program_can_be_given_is_refused() {
    let nest = Nest::new();
    let queue = Queue::open(nest.db()).unwrap();
    for value in [vec![b'x'; 131_072], b"a\0b".to_vec()] {
        assert!(matches!(queue.add(Job::command(["x"]).secret("A", value)), Err(Error::Invalid(_))));
    }
    let with_all = |job: Job, i| job.secret(format!("S{i}"), vec![b'x'; 120_000]);
    match queue.add((0..20).fold(Job::command(["x"]), with_all)) {
        Err(Error::Invalid(text)) => assert!(text.contains("1900000") && text.contains("secrets"), "{text}"),
        other => panic!("together the kernel takes them not: {other:?}"),
    }
    let names: Vec<String> = (0..8).map(|i| format!("S{i}")).collect();
    let arguments = vec!["y".repeat(120_000); 9];
    std::fs::write(nest.file("lines"), json!({"command": arguments, "secret": names}).to_string()).unwrap();
    let mut add = nest.tenure(&["add", "--from", "lines"]);
    add.envs(names.iter().map(|name| (name, "x".repeat(120_000))));
    let added = said(add.output().unwrap());
    assert!(added.code == 2 && added.err.contains("line 1: ") && added.err.contains("1900000"), "{added:?}");
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 0);
}
