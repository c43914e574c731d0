use clap::Parser;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::job::limits::CWD_BYTES_MAX;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: JobOptions,
    #[command(flatten)]
    command: Command,
}

fn around() -> Surroundings {
    let now = "2026-11-30T12:00:00".parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap();
    let env = [("HERE".into(), "value".into())].into();
    Surroundings { now, cwd: "/home/me".into(), env, found: vec![(Part::Last, vec![JobId(41)])], draw: || "drawn".into() }
}

fn parse(arguments: &[&str]) -> Result<Vec<NewJob>, String> {
    let line = Line::try_parse_from(["add"].iter().chain(arguments)).map_err(|e| e.to_string())?;
    line.options.new_jobs(line.command.argv()?, &around())
}

fn one(arguments: &[&str]) -> NewJob {
    let mut jobs = parse(arguments).unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[test]
fn a_bare_command_is_a_job_with_defaults_in_this_directory() {
    let mut expected = NewJob::new(Argv::from_strs(&["echo", "-n", "--", "hi"]).unwrap());
    expected.placement.cwd = "/home/me".into();
    assert_eq!(one(&["--", "echo", "-n", "--", "hi"]), expected);
}

#[test]
fn every_option_finds_its_place() {
    let job = one(&[
        "-q",
        "slow",
        "-o",
        "-5",
        "-l",
        "nightly",
        "-d",
        "10m",
        "--expires",
        "2h",
        "--hold",
        "-r",
        "2",
        "--backoff",
        "1s..2s",
        "--retry-on",
        "1,timeout",
        "--no-retry-on",
        "3",
        "--max-deferrals",
        "4",
        "-t",
        "1h",
        "--grace",
        "3s",
        "--warn",
        "USR1@60s",
        "--idle-timeout",
        "5m",
        "-a",
        "3",
        "4,5",
        "--after-any",
        "6-7",
        "--after-failed",
        "last",
        "--lane",
        "db",
        "--slots",
        "2",
        "--use",
        "gpu=2",
        "--use",
        "license",
        "--unique",
        "k",
        "--replace",
        "-w",
        "sub",
        "-e",
        "A=b",
        "--pass-env",
        "HERE",
        "--stdin",
        "in.txt",
        "--check",
        "test -s out",
        "--memory",
        "2G",
        "--nice",
        "-3",
        "--user",
        "nobody",
        "--log-limit",
        "1M",
        "-c",
        "a && b",
    ]);
    assert_eq!(job.command, Argv::shell("a && b").unwrap());
    assert_eq!(
        (job.placement.queue.as_str(), job.placement.priority, job.placement.label.as_deref()),
        ("slow", -5, Some("nightly"))
    );
    let now = around().now.timestamp().as_millisecond();
    assert_eq!((job.available_at, job.expires_at), (now + 600_000, Some(now + 7_200_000)));
    assert_eq!((job.placement.user_hold, job.placement.max_attempts, job.placement.replace), (true, 3, true));
    assert_eq!((job.placement.lane.as_deref(), job.placement.unique_key.as_deref()), (Some("db"), Some("k")));
    assert_eq!((job.placement.cwd.as_str(), job.placement.slots), ("/home/me/sub", 2));
    assert_eq!(job.placement.uses, [("gpu".to_owned(), 2), ("license".to_owned(), 1)].into());
    assert_eq!(job.placement.env, [("A".to_owned(), "b".to_owned()), ("HERE".to_owned(), "value".to_owned())].into());
    let needs: Vec<_> = job.after.iter().map(|(id, need)| (id.0, *need)).collect();
    let done = |id| (id, Need::Done);
    assert_eq!(needs, [done(3), done(4), done(5), (6, Need::Any), (7, Need::Any), (41, Need::Failed)]);
    let expected = r#"{"timeout_ms":3600000,"grace_ms":3000,"warn":{"signal":10,"before_ms":60000},"idle_timeout_ms":300000,"backoff_ms":[1000,2000],"retry_on":[1,"timeout"],"no_retry_on":[3],"max_deferrals":4,"memory_bytes":2147483648,"nice":-3,"user":"nobody","log_limit_bytes":1048576,"stdin":{"file":"/home/me/in.txt"},"check":["/bin/sh","-c","test -s out"]}"#;
    assert_eq!(job.policy.to_json(), expected);
}

#[test]
fn an_array_with_a_limit_has_a_lane_of_its_own() {
    let jobs = parse(&["--array", "0-3%2", "--", "x"]).unwrap();
    assert_eq!(jobs.len(), 4);
    assert!(jobs.iter().all(|job| job.placement.lane.as_deref() == Some("array-drawn") && job.lane_limit == Some(2)));
}

#[test]
fn an_array_is_one_job_for_each_index() {
    let jobs = parse(&["--array", "5-7", "--", "x"]).unwrap();
    assert_eq!(jobs.iter().map(|j| j.array_index).collect::<Vec<_>>(), [Some(5), Some(6), Some(7)]);
    assert!(jobs.iter().all(|job| job.placement.lane.is_none() && job.lane_limit.is_none()));
    assert!(parse(&["--array", "0-1", "--unique", "k", "--", "x"]).is_err());
}

#[test]
fn exactly_one_of_command_and_shell_line() {
    assert!(parse(&[]).unwrap_err().contains("-c"));
    assert!(parse(&["-c", "a", "--", "b"]).unwrap_err().contains("not both"));
    assert!(parse(&["-c", ""]).unwrap_err().contains("empty"));
    assert!(parse(&["--", ""]).unwrap_err().contains("empty"));
    assert!(parse(&["make"]).unwrap_err().contains("--"));
}

#[test]
fn what_is_not_utf8_is_run_as_it_was_typed() {
    use std::os::unix::ffi::OsStringExt;
    let raw = vec!["add".into(), "--".into(), OsString::from_vec(vec![b'p', 0xff])];
    let line = Line::try_parse_from(raw).unwrap();
    assert_eq!(line.command.argv().unwrap().arguments(), [vec![b'p', 0xff]]);
    let error = Line::try_parse_from(vec!["add".into(), "-e".into(), OsString::from_vec(b"A=\xff".to_vec())]).unwrap_err();
    assert!(error.to_string().contains("--env") && error.exit_code() == 2, "{error}");
}

#[test]
fn an_invalid_value_is_refused_with_the_name_of_the_option() {
    let cases: &[(&[&str], &str)] = &[
        (&["--at", "soon"], "--at"),
        (&["--at", "03:00", "-d", "1s"], "--delay"),
        (&["-d", "10"], "--delay"),
        (&["--expires", "2020-01-01"], "--expires"),
        (&["--replace"], "--unique"),
        (&["--warn", "USR1@60s"], "timeout"),
        (&["-t", "0s"], "timeout"),
        (&["--nice", "20"], "--nice"),
        (&["-r", "1000000"], "--retries"),
        (&["-r", "-1"], "-1"),
        (&["-o", "x"], "--priority"),
        (&["-a", "x"], "--after"),
        (&["-a", "1", "--after-any", "1"], "twice"),
        (&["-a", "1-100000"], "at most"),
        (&["--pass-env", "NOT_SET"], "NOT_SET"),
        (&["--secret", "A", "-e", "A=b"], "secret"),
        (&["--log-limit", "1K"], "log-limit"),
        (&["--memory", "0"], "memory"),
        (&["-q", ""], "--queue"),
        (&["--retry-on", "0"], "--retry-on"),
        (&["--array", "0-9%0"], "how many run at once"),
        (&["--array", "0-9%"], "0-99%8"),
        (&["--array", "0-9%2%2"], "0-99%8"),
        (&["--array", "0-9%2", "--lane", "l"], "tenure lane set l --limit 2"),
        (&["--check", ""], "--check"),
        (&["--timout", "5s"], "--timeout"),
    ];
    for (arguments, word) in cases {
        let all: Vec<&str> = arguments.iter().copied().chain(["--", "x"]).collect();
        let error = parse(&all).unwrap_err();
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    let big: Vec<String> = (0..20).map(|i| format!("-eV{i}={}", "x".repeat(100_000))).collect();
    let all: Vec<&str> = big.iter().map(String::as_str).chain(["--", "x"]).collect();
    assert!(parse(&all).unwrap_err().contains("--stdin"));
}

#[test]
fn a_directory_is_limited_in_bytes_as_in_the_file() {
    let long = format!("/{}", "ü".repeat(CWD_BYTES_MAX / 2));
    let error = parse(&["--cwd", &long, "--", "x"]).unwrap_err();
    assert!(error.contains("--cwd") && error.contains("4097 bytes") && error.contains("4096"), "{error}");
    assert_eq!(one(&["--cwd", &long[..CWD_BYTES_MAX - 1], "--", "x"]).placement.cwd.len(), CWD_BYTES_MAX - 1);
}

#[test]
fn a_job_with_a_workspace_stands_in_it_or_inside_it() {
    let job = one(&["--workspace", "repo", "--prepare", "git clone x .", "--", "make"]);
    let prepare_command = Argv::shell("git clone x .").unwrap();
    assert_eq!(job.policy.workspace, Some(Workspace { key: "repo".into(), prepare: Some(prepare_command) }));
    assert_eq!(job.placement.cwd, "");
    let job = one(&["--workspace", "repo", "--cwd", "sub/dir", "--", "make"]);
    assert_eq!((job.placement.cwd.as_str(), job.policy.workspace.unwrap().prepare), ("sub/dir", None));
    for (options, word) in [
        (&["--workspace", "repo", "--cwd", "/etc"][..], "absolute"),
        (&["--workspace", "repo", "--cwd", "/"], "absolute"),
        (&["--workspace", "repo", "--cwd", "a/../.."], "leads out"),
        (&["--workspace", "", "--"], "key"),
        (&["--workspace", "repo", "--user", "me"], "omit one of them"),
        (&["--prepare", "x"], "--workspace"),
    ] {
        let error = parse(&[options, &["--", "make"]].concat()).unwrap_err();
        assert!(error.contains(word), "{options:?}: {error}");
    }
}
