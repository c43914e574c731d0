//! What the operator allows is all that happens.

use serde_json::{Value, json};

use crate::support::Nest;

/// A file with a job of another queue, which lives and has a key.
fn shared() -> (Nest, i64) {
    let nest = Nest::new();
    let other = nest.add(&["--hold", "--unique", "nightly", "-l", "theirs", "-e", "TOKEN=secret", "--", "true"]);
    (nest, other)
}

#[test]
fn a_reader_adds_and_cancels_nothing() {
    let (nest, other) = shared();
    let mut mcp = nest.mcp(&["--read-only"]);
    assert_eq!(mcp.tools(), ["list", "show", "wait", "logs", "why"]);
    for (tool, arguments) in [("add", json!({"command": ["true"]})), ("cancel", json!({"id": other}))] {
        let (code, text) = mcp.fails(tool, &arguments);
        assert!(code == "refused" && text.contains("--read-only"), "{tool}: {text}");
    }
    // Without a queue it shows all jobs, and the variables of none.
    let shown = mcp.ok("show", &json!({"id": other}));
    assert_eq!((&shown["label"], shown.get("env")), (&json!("theirs"), None));
    assert!(!shown.to_string().contains("secret"));
    assert_eq!(mcp.ok("list", &json!({}))["jobs"][0]["id"], other);
    assert_eq!(mcp.ok("list", &json!({"queue": "agents"}))["jobs"], json!([]));
    let mut one = nest.mcp(&["--read-only", "--queue", "default"]);
    assert_eq!(one.ok("show", &json!({"id": other}))["env"], json!({"TOKEN": "secret"}));
    let mut none = nest.mcp(&["--read-only", "--queue", "mail"]);
    assert_eq!(none.fails("show", &json!({"id": other})).0, "not_found");
    assert_eq!((nest.state(other), nest.status()["counts"]["queued"].clone()), ("queued".to_owned(), json!(1)));
}

#[test]
fn a_reader_of_a_missing_file_creates_none() {
    let nest = Nest::new();
    let said = nest.say(&["mcp", "--read-only"]);
    assert!(said.code == 4 && said.out.is_empty() && !nest.db().exists(), "{said:?}");
    // One that may add creates it.
    assert_eq!(nest.mcp(&[]).close(), 0);
    assert!(nest.db().exists());
}

#[test]
fn only_jobs_of_the_queue_are_seen_and_cancelled() {
    let (nest, other) = shared();
    let mut mcp = nest.mcp(&[]);
    let own = mcp.add(&json!({"command": ["true"]}));
    assert_eq!(mcp.ok("list", &json!({}))["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(mcp.ok("list", &json!({"label": "theirs"}))["jobs"], json!([]));
    assert_eq!(mcp.fails("list", &json!({"queue": "default"})).0, "refused");
    assert_eq!(mcp.ok("list", &json!({"queue": "agents"}))["jobs"][0]["id"], own);
    let none = mcp.fails("show", &json!({"id": 99})).1.replace("99", "1");
    for tool in ["show", "wait", "logs", "why", "cancel"] {
        // It is not told from one that does not exist.
        assert_eq!(mcp.fails(tool, &json!({"id": other})), ("not_found".into(), none.clone()), "{tool}");
    }
    assert_eq!(nest.state(other), "queued");
}

#[test]
fn an_addition_touches_no_job_of_another_queue() {
    let (nest, other) = shared();
    let mut mcp = nest.mcp(&[]);
    for key in ["after", "after_any", "after_failed"] {
        assert_eq!(mcp.fails("add", &json!({"command": ["true"], key: [other]})).0, "not_found", "{key}");
    }
    for keys in [json!({"unique": "nightly"}), json!({"unique": "nightly", "replace": true})] {
        let mut keys = keys;
        keys["command"] = json!(["true"]);
        let (code, text) = mcp.fails("add", &keys);
        assert!(code == "refused" && text.contains("another queue"), "{text}");
    }
    let (code, text) = mcp.fails("add", &json!({"command": ["true"], "queue": "default"}));
    assert!(code == "refused" && text.contains("agents"), "{text}");
    assert_eq!(mcp.add(&json!({"command": ["true"], "queue": "agents"})), 2, "nothing of those was added");
    assert_eq!(nest.show(other)["state"], "queued");
    let mut named = nest.mcp(&["-q", "default"]);
    assert_eq!(named.ok("cancel", &json!({"id": other}))["cancelled"], "ended");
}

#[test]
fn the_queue_has_a_limit_of_live_jobs() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&["--max-jobs", "3"]);
    let job = json!({"command": ["true"]});
    let first = json!({"command": ["true"], "request": "first", "unique": "k"});
    assert_eq!(mcp.add(&first), 1);
    let full = |mcp: &mut crate::support::Mcp, keys: &Value| {
        let (code, text) = mcp.fails("add", keys);
        assert!(code == "refused" && text.contains("allows 3"), "{text}");
    };
    full(&mut mcp, &json!({"command": ["true"], "array": "0-2"}));
    assert_eq!((mcp.add(&job), mcp.add(&job)), (2, 3));
    full(&mut mcp, &job);
    // What is there already is found.
    assert_eq!(mcp.add(&first), 1);
    assert_eq!(mcp.ok("add", &json!({"command": ["true"], "unique": "k"}))["existing"], true);
    // Another server of the queue counts the same jobs, and one that was started anew.
    full(&mut nest.mcp(&["--max-jobs", "3"]), &job);
    // Jobs of other queues do not count, and jobs that have ended.
    nest.add(&["--hold", "--", "true"]);
    mcp.ok("cancel", &json!({"id": 2}));
    assert_eq!(mcp.add(&job), 5);
    full(&mut mcp, &job);
    nest.work_until_idle(&[]);
    assert_eq!(mcp.ok("add", &json!({"command": ["true"], "array": "0-2"}))["jobs"].as_array().map(Vec::len), Some(3));
}

#[test]
fn each_job_has_a_timeout_within_the_limit() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&["--max-timeout", "10m"]);
    assert!(mcp.instructions.contains("at most 10m"), "{}", mcp.instructions);
    let timeout = |id: i64| nest.show(id)["policy"]["timeout_ms"].clone();
    let none = mcp.add(&json!({"command": ["true"]}));
    let null = mcp.add(&json!({"command": ["true"], "timeout": null}));
    let less = mcp.add(&json!({"command": ["true"], "timeout": "30s", "grace": "1m"}));
    assert_eq!([none, null, less].map(timeout), [json!(600_000), json!(600_000), json!(30_000)]);
    for (keys, told) in [
        (json!({"timeout": "11m"}), "timeout: this server allows at most 10m"),
        (json!({"timeout": "100d"}), "timeout: "),
        (json!({"grace": "61s"}), "grace: this server allows at most 1m"),
    ] {
        let mut keys = keys;
        keys["command"] = json!(["true"]);
        let (code, text) = mcp.fails("add", &keys);
        assert!(code == "refused" && text.starts_with(told), "{text}");
    }
    let slow = nest.mcp(&["--max-timeout", "200ms"]).add(&json!({"command": ["sleep", "600"]}));
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(slow)["reason"], "timeout");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let nest = Nest::new();
    for args in [
        &["--read-only", "--max-jobs", "3"][..],
        &["--read-only", "--max-timeout", "1h"],
        &["--max-jobs", "0"],
        &["--max-jobs", "-1"],
        &["--max-timeout", "0s"],
        &["--max-timeout", "10"],
        &["--queue", ""],
        &["extra"],
    ] {
        let said = nest.say(&[&["mcp"][..], args].concat());
        assert!(said.code == 2 && said.out.is_empty() && !nest.db().exists(), "{args:?}: {said:?}");
    }
}
