//! `set`, `edit`, `add --like` and `rerun`: everything that `add` takes can be changed, copied and run again.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Nest, Said, said, write_program};

/// An option of `add` with a value, the key of `set` with another one, and what is then shown of the job.
const CHANGES: &[(&[&str], &str, &str, &str)] = &[
    (&["-q", "a"], "queue=b", "/queue", "\"b\""),
    (&["-o", "3"], "priority=5", "/priority", "5"),
    (&["-l", "x"], "label=y z", "/label", "\"y z\""),
    (&["-l", "x"], "label=", "/label", "null"),
    (&["--lane", "l"], "lane=m", "/lane", "\"m\""),
    (&["--lane", "l"], "lane=none", "/lane", "null"),
    (&["--unique", "k1"], "unique=k2", "/unique", "\"k2\""),
    (&["--cwd", "/usr"], "cwd=/etc", "/cwd", "\"/etc\""),
    (&["-e", "A=1", "-e", "B=2"], "env=A=3", "/env", r#"{"A":"3","B":"2"}"#),
    (&["-e", "A=1"], "env=none", "/env", "{}"),
    (&["-r", "2"], "retries=4", "/max_attempts", "5"),
    (&["-a", "1"], "after-any=2", "/hold", "null"),
    (&["-a", "1"], "after=none", "/hold", "null"),
    (&[], "after=1", "/hold", "\"dependency\""),
    (&["--backoff", "1s..2s"], "backoff=3s..4s", "/policy/backoff_ms", "[3000,4000]"),
    (&["--retry-on", "1"], "retry_on=2,timeout", "/policy/retry_on", r#"[2,"timeout"]"#),
    (&["--no-retry-on", "1"], "no-retry-on=none", "/policy/no_retry_on", "null"),
    (&["--max-deferrals", "1"], "max_deferrals=7", "/policy/max_deferrals", "7"),
    (&["--check", "true"], "check=test -s x", "/policy/check", r#"["/bin/sh","-c","test -s x"]"#),
    (&["--on-end", "a"], "on_end=b", "/policy/hooks/on_end", r#"["/bin/sh","-c","b"]"#),
    (&["--on-failure", "a"], "on_failure=none", "/policy/hooks", "null"),
    (&[], "on-success=c", "/policy/hooks/on_success", r#"["/bin/sh","-c","c"]"#),
    (&["-t", "1h"], "timeout=2h", "/policy/timeout_ms", "7200000"),
    (&["--grace", "1s"], "grace=none", "/policy/grace_ms", "null"),
    (&["-t", "1h"], "warn=USR1@60s", "/policy/warn/signal", "10"),
    (&[], "idle-timeout=5m", "/policy/idle_timeout_ms", "300000"),
    (&["--memory", "1G"], "memory=2G", "/policy/memory_bytes", "2147483648"),
    (&["--nice", "1"], "nice=-3", "/policy/nice", "-3"),
    (&[], "log_limit=1M", "/policy/log_limit_bytes", "1048576"),
    (&["--stdin", "/a"], "stdin=/b", "/policy/stdin/file", "\"/b\""),
    (&[], "workspace=w", "/policy/workspace/key", "\"w\""),
    (&["--workspace", "w"], "prepare=make", "/policy/workspace/prepare", r#"["/bin/sh","-c","make"]"#),
    (&["--workspace", "w"], "workspace=none", "/policy/workspace", "null"),
    (&["--user", "nobody"], "user=none", "/policy/user", "null"),
];

fn shown(nest: &Nest, id: i64, pointer: &str) -> String {
    nest.show(id).pointer(pointer).unwrap_or(&Value::Null).to_string()
}

#[test]
fn each_option_of_a_queued_job_can_be_changed() {
    let nest = Nest::new();
    // The first is held, the second has ended.
    nest.add(&["--hold", "--", "true"]);
    nest.add(&["--", "true"]);
    nest.ok(&["cancel", "2"]);
    for (options, change, pointer, expected) in CHANGES {
        let id = nest.add(&[options, &["--", "true"][..]].concat());
        let before = shown(&nest, id, pointer);
        nest.ok(&["set", &id.to_string(), change]);
        assert_eq!(shown(&nest, id, pointer), *expected, "{change}");
        assert_ne!(before, *expected, "{change}: it was so before");
        nest.ok(&["cancel", &id.to_string()]);
    }
    let id = nest.add(&["--hold", "-l", "mine", "--", "false"]);
    nest.ok(&["set", &id.to_string(), "--", "echo", "a b", "--x"]);
    assert_eq!(shown(&nest, id, "/command"), r#"["echo","a b","--x"]"#);
    nest.ok(&["set", &id.to_string(), "priority=2", "-c", "echo shell | cat"]);
    assert_eq!((shown(&nest, id, "/priority"), shown(&nest, id, "/label")), ("2".into(), "\"mine\"".into()));
    let events = nest.json(&["history", &id.to_string(), "--json"])["events"].clone();
    let changed: Vec<&str> =
        events.as_array().unwrap().iter().filter(|e| e["kind"] == "changed").map(|e| e["detail"].as_str().unwrap()).collect();
    assert_eq!(changed, ["command", "command, priority"]);
    nest.ok(&["release", &id.to_string()]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(id), "shell");
}

#[test]
fn a_change_of_the_lane_moves_the_place() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "3"]);
    let first = nest.sh(&["--lane", "a"], "until test -e go; do sleep 0.02; done");
    nest.until_state(first, "running");
    let waits = nest.add(&["--lane", "a", "--", "true"]);
    assert_eq!(shown(&nest, waits, "/hold"), "\"lane\"");
    nest.ok(&["set", &waits.to_string(), "lane=b"]);
    assert_eq!(nest.until_ended(waits)["state"], "done");
    let late = nest.add(&["--lane", "a", "--", "true"]);
    nest.ok(&["set", &late.to_string(), "lane=none"]);
    assert_eq!(nest.until_ended(late)["state"], "done");
    std::fs::write(nest.file("go"), "").unwrap();
    nest.until_ended(first);
    worker.stop();
}

#[test]
fn what_cannot_be_set_is_refused_and_nothing_changes() {
    let nest = Nest::new();
    let id = nest.add(&["--hold", "--unique", "mine", "--", "true"]).to_string();
    nest.add(&["--unique", "theirs", "--hold", "--", "true"]);
    let before = nest.ok(&["show", &id, "--json"]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["colour=red"], 2, "it cannot be set"),
        (&["lanes=x"], 2, "did you mean \"lane\"?"),
        (&["lane="], 2, "lane"),
        (&["cwd"], 2, "lacks a value"),
        (&["priority=1", "lane=none", "nice=99"], 2, "99"),
        (&["memory=1"], 2, "memory"),
        (&["warn=USR1@60s"], 2, "warn needs a timeout"),
        (&["hold=true"], 2, "tenure hold"),
        (&["secret=A"], 2, "--secret"),
        (&["array=0-3"], 2, "--array"),
        (&["stdin=-"], 2, "name a file"),
        (&["queue=none", "lane=x"], 2, "it always has a value"),
        (&["env=TENURE_X=1"], 2, "TENURE_X"),
        (&["env=novalue"], 2, "env"),
        (&["after=99"], 2, "added before it"),
        (&["after=2"], 2, "added before it"),
        (&["unique=theirs"], 6, "job 2 is live"),
        (&["prepare=make"], 2, "--workspace"),
        (&["expires=2020-01-01", "lane=x"], 2, "past"),
        (&["lane=a\u{1b}[2J", "check=x"], 0, ""),
        (&[], 2, "KEY=VALUE"),
        (&["-c", ""], 2, "-c"),
        (&["lane=x", "--", ""], 2, "empty"),
    ];
    for (words, code, text) in cases {
        let args = [&["set", &id][..], words].concat();
        let told = nest.say(&args);
        assert!(told.code == *code && told.err.contains(text), "{words:?}: {told:?}");
        assert!(!told.err.contains('\u{1b}'));
        if *code == 0 {
            nest.ok(&["set", &id, "lane=none", "check=none"]);
        }
        assert_eq!(nest.ok(&["show", &id, "--json"]), before, "{words:?}");
    }
    // All or none.
    nest.add(&["--", "true"]);
    nest.ok(&["cancel", "3"]);
    assert_eq!(nest.say(&["set", "1-3", "lane=z"]).code, 6);
    assert_eq!(shown(&nest, 1, "/lane"), "null");
}

#[test]
fn a_job_is_copied_with_changes_and_run_again() {
    let nest = Nest::new();
    let options = ["-l", "nightly", "-q", "q", "-r", "2", "-e", "A=1", "--on-end", "true", "-t", "1h", "--cwd", "/usr"];
    let id = nest.add(&[&options[..], &["--", "sh", "-c", "echo $A"]].concat());
    nest.work_until_idle(&[]);
    assert_eq!((nest.state(id), nest.log(id)), ("done".into(), "1".into()));
    let again: i64 = nest.ok(&["rerun", &id.to_string()]).trim().parse().unwrap();
    let like: i64 =
        nest.ok(&["add", "--like", &id.to_string(), "-e", "A=2", "-l", "other", "--priority", "4"]).trim().parse().unwrap();
    let command: i64 = nest.ok(&["add", "--like", "last", "--", "echo", "new"]).trim().parse().unwrap();
    let array: Vec<String> = nest.ok(&["add", "--like", &id.to_string(), "--array", "0-2"]).lines().map(str::to_owned).collect();
    assert_eq!(array.len(), 3);
    for key in ["label", "queue", "max_attempts", "env", "policy", "cwd", "command"] {
        assert_eq!(nest.show(again)[key], nest.show(id)[key], "{key}");
    }
    assert_eq!((shown(&nest, like, "/env"), shown(&nest, like, "/label")), (r#"{"A":"2"}"#.into(), "\"other\"".into()));
    nest.work_until_idle(&[]);
    assert_eq!((nest.log(again), nest.log(like), nest.log(command)), ("1".into(), "2".into(), "new".into()));
    let events = nest.json(&["history", &again.to_string(), "--json"])["events"].clone();
    assert!(events.as_array().unwrap().iter().any(|e| e["kind"] == "copied" && e["detail"] == format!("job {id}")), "{events}");
    let several = nest.ok(&["rerun", "--label", "nightly", "--state", "done"]);
    assert_eq!(several.lines().count(), 5, "{several}");
}

#[test]
fn what_a_copy_cannot_have_is_refused_with_the_option() {
    let nest = Nest::new();
    let secret = nest.add(&["--hold", "--secret", "LANG", "--", "true"]).to_string();
    let mut add = nest.tenure(&["add", "--hold", "--stdin", "-", "--", "cat"]);
    let kept = said(add.stdin(Stdio::null()).output().unwrap()).out.trim().to_owned();
    let refused = |args: &[&str], code: i32, text: &str| {
        let told: Said = nest.say(args);
        assert!(told.code == code && told.err.contains(text), "{args:?}: {told:?}");
    };
    refused(&["rerun", &secret], 2, "--secret LANG");
    refused(&["add", "--like", &kept], 2, "--stdin");
    refused(&["add", "--like", "99"], 3, "99");
    refused(&["add", "--like", "1-2"], 2, "name one job");
    refused(&["rerun"], 2, "");
    refused(&["rerun", "--label", "none"], 3, "");
    refused(&["add", "--like", &secret, "--from", "x"], 2, "--from");
    let copy: i64 =
        nest.ok(&["add", "--like", &secret, "--secret", "LANG", "--", "sh", "-c", "echo $LANG"]).trim().parse().unwrap();
    nest.ok(&["add", "--like", &kept, "--stdin", "/dev/null"]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(copy)["policy"]["secrets"].as_object().unwrap().len(), 1);
    assert_eq!(nest.state(copy), "done");
}

/// Runs `edit` with a script as the editor, which gets the file as `$1`.
fn edit(nest: &Nest, id: i64, script: &str) -> Said {
    let editor = nest.file("editor");
    write_program(&editor, format!("#!/bin/sh\n{script}\n").as_str());
    let mut edit = nest.tenure(&["edit", &id.to_string()]);
    said(edit.env("EDITOR", editor).env("TMPDIR", nest.path()).stdin(Stdio::null()).output().unwrap())
}

/// Files with the text of an editor.
fn left(nest: &Nest) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(nest.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("tenure-job-")).collect()
}

#[test]
fn a_job_survives_the_editor_with_every_option() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    for (options, change, ..) in CHANGES {
        let hostile = "a\u{7f}\u{1b}[2J\"'\\ \t\u{2028}";
        let id = nest.add(&[options, &["--hold", "-e", "H=x\ty", "--", "sh", "-c", hostile][..]].concat());
        if nest.say(&["set", &id.to_string(), change]).code != 0 {
            continue;
        }
        let before = nest.show(id);
        let told = edit(&nest, id, "sed -i 's/^# The keys/# the keys/' \"$1\"");
        assert_eq!((told.code, told.err.contains("changed")), (0, true), "{change}: {told:?}");
        assert_eq!(nest.show(id), before, "{change}");
        nest.ok(&["cancel", &id.to_string()]);
    }
    let id = nest.add(&["--hold", "-l", "x", "-t", "90s", "--", "true"]);
    let told = edit(
        &nest,
        id,
        "sed -i -e 's/^label = .*/label = \"y\"/' -e '/^timeout/d' -e 's/^command.*/shell = \"echo edited\"/' -e '/^hold/d' \"$1\"",
    );
    assert_eq!(told.code, 0, "{told:?}");
    let job = nest.show(id);
    assert_eq!((&job["label"], &job["policy"], &job["hold"]), (&"y".into(), &serde_json::json!({}), &Value::Null));
    assert_eq!(edit(&nest, id, "exit 0").err, "tenure: nothing was changed\n");
    assert!(left(&nest).is_empty(), "no text is left");
}

#[test]
fn an_edit_that_is_refused_loses_no_text() {
    let nest = Nest::new();
    let id = nest.add(&["--hold", "--", "true"]);
    let before = nest.show(id);
    for (script, code, text) in [
        ("echo 'nonsense' >>\"$1\"", 2, "line"),
        ("echo 'colour = 1' >>\"$1\"", 2, "colour"),
        ("echo 'priority = \"x\"' >>\"$1\"", 2, "priority"),
        ("sed -i '/^command/d' \"$1\"", 2, "command"),
        (": >\"$1\"", 2, "command"),
        ("echo 'after = [9]' >>\"$1\"", 2, "9"),
        ("echo 'array = \"0-3\"' >>\"$1\"", 2, "array"),
        ("head -c 5000000 /dev/zero | tr '\\0' x >>\"$1\"", 2, ""),
    ] {
        let told = edit(&nest, id, script);
        assert!(told.code == code && told.err.contains(text) && told.err.contains("nothing was changed"), "{script}: {told:?}");
        assert_eq!(nest.show(id), before, "{script}");
        let kept = left(&nest);
        assert_eq!(kept.len(), 1, "{script}: the text is kept");
        std::fs::remove_file(&kept[0]).unwrap();
    }
    let told = edit(&nest, id, "exit 3");
    assert!(told.code == 2 && told.err.contains("nothing was changed"), "{told:?}");
    // Another client is faster.
    let program = env!("CARGO_BIN_EXE_tenure");
    let told = edit(&nest, id, &format!("'{program}' set {id} label=other; echo 'label = \"mine\"' >>\"$1\""));
    assert!(told.code == 6 && told.err.contains("changed meanwhile"), "{told:?}");
    assert_eq!((nest.show(id)["label"].clone(), left(&nest).len()), ("other".into(), 1));
    nest.ok(&["cancel", &id.to_string()]);
    assert_eq!(edit(&nest, id, "exit 0").code, 6);
    assert_eq!(nest.say(&["edit", "99"]).code, 3);
}
