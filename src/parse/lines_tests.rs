use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::job::JobId;
use crate::parse::variables::Variables;

fn around() -> Surroundings {
    let now = "2026-11-30T12:00:00".parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap();
    Surroundings {
        now,
        cwd: PathBuf::from("/home/me"),
        env: [("HERE".into(), "v".into())].into(),
        found: Vec::new(),
        draw: || "drawn".into(),
    }
}

fn read_with(options: &JobOptions, text: &[u8]) -> Result<Vec<Asked>, String> {
    let around = around();
    let mut lines = Lines::new(text, options, &around);
    let mut all = Vec::new();
    while let Some(asked) = lines.next_line()? {
        all.push(asked);
    }
    Ok(all)
}

fn read(text: &str) -> Result<Vec<Asked>, String> {
    read_with(&JobOptions::default(), text.as_bytes())
}

#[test]
fn the_example_of_the_manual_is_read() {
    let text = r#"{"command": ["make"], "lane": "db", "retries": 2, "after": [3], "delay": "10m", "env": {"A": "b"}}"#;
    let asked = read(text).unwrap().remove(0);
    let job = &asked.jobs[0];
    assert_eq!(job.command, Argv::from_strs(&["make"]).unwrap());
    assert_eq!((job.placement.lane.as_deref(), job.placement.max_attempts), (Some("db"), 3));
    assert_eq!(job.after, [(JobId(3), Need::Done)]);
    assert_eq!(job.available_at, around().now.timestamp().as_millisecond() + 600_000);
    assert_eq!(job.placement.env["A"], "b");
    assert_eq!(job.placement.cwd, "/home/me");
}

#[test]
fn every_key_of_a_line_finds_its_place() {
    let text = r#"{"shell": "a && b", "queue": "q", "priority": -1, "label": "l", "at": "13:00", "expires": "2h", "hold": true,
        "backoff": "1s..2s", "retry_on": [1, "timeout"], "no_retry_on": "3,lost", "max_deferrals": 1, "timeout": "1h", "grace": "1s",
        "warn": "USR1@1m", "idle_timeout": "1m", "after": 1, "after_any": [2], "after_failed": [3], "unique": "k", "replace": true,
        "cwd": "sub", "pass_env": ["HERE"], "secret": "TOKEN", "stdin": "in", "check": ["test", "x"], "memory": "1G", "nice": 1,
        "user": "me", "log_limit": 65536, "ref": "r"}"#
        .replace('\n', " ");
    let asked = read(&text).unwrap().remove(0);
    let job = &asked.jobs[0];
    assert_eq!(job.command, Argv::shell("a && b").unwrap());
    assert_eq!((asked.name, asked.secrets.as_slice()), (Some(0), ["TOKEN".to_owned()].as_slice()));
    assert_eq!(
        (job.placement.queue.as_str(), job.placement.priority, job.placement.user_hold, job.placement.replace),
        ("q", -1, true, true)
    );
    assert_eq!(job.after.len(), 3);
    assert_eq!(job.placement.cwd, "/home/me/sub");
    assert_eq!(job.policy.check, Some(Argv::from_strs(&["test", "x"]).unwrap()));
    assert_eq!(job.policy.memory_bytes, Some(1 << 30));
    assert_eq!(job.policy.no_retry_on.len(), 2);
    let by_shell = read(r#"{"command": ["x"], "check": "grep -q ok f"}"#).unwrap().remove(0);
    assert_eq!(by_shell.jobs[0].policy.check, Some(Argv::shell("grep -q ok f").unwrap()));
}

#[test]
fn a_line_is_laid_over_the_options_of_the_command_line() {
    let variables = Variables { env: vec![("A".into(), "1".into())], ..Variables::default() };
    let base = JobOptions { queue: Some("slow".into()), delay: Some(5), variables, ..JobOptions::default() };
    let text = b"{\"command\":[\"x\"]}\n\n{\"command\":[\"x\"],\"queue\":\"q\",\"at\":\"13:00\",\"env\":{\"A\":\"2\"}}\n";
    let all = read_with(&base, text).unwrap();
    assert_eq!(all.iter().map(|a| a.line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(all[0].jobs[0].placement.queue, "slow");
    assert_eq!((all[1].jobs[0].placement.queue.as_str(), all[1].jobs[0].placement.env["A"].as_str()), ("q", "2"));
}

#[test]
fn lines_name_only_lines_above_them() {
    let all = read("{\"ref\":\"a\",\"command\":[\"x\"]}\n{\"command\":[\"y\"],\"after\":[\"a\",4]}").unwrap();
    assert_eq!((all[0].name, all[1].after.as_slice()), (Some(0), [(0, Need::Done)].as_slice()));
    assert_eq!(all[1].jobs[0].after, [(JobId(4), Need::Done)]);
    let forward = read("{\"command\":[\"y\"],\"after\":[\"a\"]}\n{\"ref\":\"a\",\"command\":[\"x\"]}").unwrap_err();
    assert!(forward.starts_with("line 1: ") && forward.contains("above"), "{forward}");
    assert!(read(r#"{"ref":"a","after":["a"],"command":["x"]}"#).is_err(), "a line that waits for itself");
    let twice = read("{\"ref\":\"a\",\"command\":[\"x\"]}\n{\"ref\":\"a\",\"command\":[\"x\"]}").unwrap_err();
    assert!(twice.starts_with("line 2: "), "{twice}");
}

#[test]
fn a_bad_line_is_refused_with_its_number_and_the_reason() {
    let cases = [
        ("", "EOF"),
        ("x", "JSON object"),
        ("{x", "a key is in double quotes"),
        ("[[\"x\"]]", "JSON object"),
        ("{}", "command"),
        (r#"{"command": []}"#, "empty"),
        (r#"{"command": "make all"}"#, "shell"),
        (r#"{"command": ["a\u0000"]}"#, "NUL"),
        (r#"{"command": [1]}"#, "argument 0 is 1"),
        (r#"{"command": ["x"], "shell": "y"}"#, "not both"),
        (r#"{"command": ["x"], "timout": "5s"}"#, "timout"),
        (r#"{"command": ["x"], "queue": "a", "queue": "b"}"#, "is given twice"),
        (r#"{"command": ["x"], "timeout": 5}"#, "string"),
        (r#"{"command": ["x"], "timeout": "5"}"#, "timeout"),
        (r#"{"command": ["x"], "retries": -1}"#, "retries: -1 is not a whole number that is not negative"),
        (r#"{"command": ["x"], "retries": 1000000}"#, "retries"),
        (r#"{"command": ["x"], "after": [0]}"#, "after"),
        (r#"{"command": ["x"], "after": {}}"#, "after"),
        (r#"{"command": ["x"], "env": {"A": 1}}"#, "env"),
        (r#"{"command": ["x"], "env": {"A": "\u0000"}}"#, "NUL"),
        (r#"{"command": ["x"], "env": {"A=B": "c"}}"#, "env"),
        (r#"{"command": ["x"], "stdin": "-"}"#, "stdin"),
        (r#"{"command": ["x"], "check": ""}"#, "check"),
        (r#"{"command": ["x"], "memory": -1}"#, "memory"),
        (r#"{"command": ["x"], "ref": 1}"#, "ref"),
        (r#"{"command": ["x"], "delay": "1s", "at": "13:00"}"#, "delay"),
        (r#"{"command": ["x"]} {}"#, "one object a line"),
    ];
    for (line, word) in cases.into_iter().skip(1) {
        let error = read(&format!("\n{line}\n")).unwrap_err();
        assert!(error.starts_with("line 2: ") && error.contains(word), "{line}: {error}");
    }
    assert!(read_with(&JobOptions::default(), b"{\"command\": [\"\xff\"]}").unwrap_err().contains("UTF-8"));
}

#[test]
fn a_long_line_is_refused_without_being_held() {
    let long = format!("{{\"command\": [\"x\"], \"label\": \"{}\"}}", "x".repeat(JOB_LINE_BYTES_MAX));
    assert!(read(&long).unwrap_err().contains("4.0M"));
    let deep = format!("{{\"command\": {}", "[".repeat(100_000));
    assert!(read(&deep).is_err());
}

#[test]
fn a_line_may_have_a_workspace_and_a_prepare_command() {
    let text = "{\"command\": [\"make\"], \"workspace\": \"repo\", \"prepare\": \"git clone x .\", \"cwd\": \"sub\"}\n\
                {\"command\": [\"make\"], \"workspace\": \"repo\", \"prepare\": [\"git\", \"clone\", \"x\", \".\"]}";
    let prepare_commands: Vec<_> =
        read(text).unwrap().iter().map(|one| one.jobs[0].policy.workspace.clone().unwrap().prepare.unwrap()).collect();
    assert_eq!(prepare_commands, [Argv::shell("git clone x .").unwrap(), Argv::from_strs(&["git", "clone", "x", "."]).unwrap()]);
    for (line, word) in [
        (r#"{"command": ["x"], "prepare": "y"}"#, "workspace"),
        (r#"{"command": ["x"], "workspace": ""}"#, "key"),
        (r#"{"command": ["x"], "workspace": 3}"#, "workspace"),
        (r#"{"command": ["x"], "workspace": "k", "prepare": []}"#, "prepare"),
        (r#"{"command": ["x"], "workspace": "k", "prepare": 3}"#, "prepare"),
        (r#"{"command": ["x"], "workspace": "k", "cwd": "/etc"}"#, "absolute"),
    ] {
        let error = read(line).unwrap_err();
        assert!(error.contains(word) && error.starts_with("line 1"), "{line}: {error}");
    }
}
