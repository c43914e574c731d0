//! A job is added once for each key, and nothing is added that was not meant.

use serde_json::{Value, json};

use crate::support::Nest;

#[test]
fn the_same_request_is_the_same_job() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let keys = json!({"request": "order-17", "command": ["true"], "env": {"A": "1", "B": "2"}});
    assert_eq!(mcp.ok("add", &keys), json!({"schema": 1, "id": 1, "existing": false, "replaced": null}));
    assert_eq!(mcp.ok("add", &keys)["id"], 1);
    // A model does not write its keys in one order.
    let reordered = json!({"env": {"B": "2", "A": "1"}, "command": ["true"], "request": "order-17"});
    assert_eq!(mcp.ok("add", &reordered)["id"], 1);
    let (code, text) = mcp.fails("add", &json!({"request": "order-17", "command": ["false"]}));
    assert!(code == "key_used" && text.contains("another request"), "{code}: {text}");
    assert_eq!(mcp.ok("add", &json!({"request": "order-18", "command": ["true"]}))["id"], 2);
    // Also when it has ended, and by another server.
    nest.work_until_idle(&[]);
    drop(mcp);
    let mut mcp = nest.mcp(&[]);
    assert_eq!(mcp.ok("add", &keys)["id"], 1);
    // Another queue has its own keys.
    assert_eq!(nest.mcp(&["--queue", "review"]).ok("add", &keys)["id"], 3);
    for wrong in [json!(""), json!("a b"), json!("ü"), json!("k".repeat(201)), json!(17), json!(["k"]), json!({})] {
        assert_eq!(mcp.fails("add", &json!({"request": wrong, "command": ["true"]})).0, "usage", "{wrong:.20}");
    }
    assert_eq!(mcp.ok("add", &json!({"request": null, "command": ["true"]}))["id"], 4);
}

#[test]
fn a_key_of_the_web_is_another_one() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    mcp.add(&json!({"request": "k", "command": ["true"]}));
    let web = nest.web(&[]);
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    let got = web.ask("POST", "/api/v1/jobs", &headers, br#"{"command": ["true"]}"#);
    assert_eq!((got.status, &got.json()["id"]), (201, &json!(2)));
}

#[test]
fn a_unique_key_has_one_live_job() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let keys = json!({"unique": "k", "command": ["true"]});
    assert_eq!(mcp.ok("add", &keys)["existing"], false);
    assert_eq!(mcp.ok("add", &keys), json!({"schema": 1, "id": 1, "existing": true, "replaced": null}));
    assert!(mcp.text("add", &keys).contains("nothing was added"));
    let replacing = json!({"unique": "k", "replace": true, "command": ["true"]});
    assert_eq!(mcp.ok("add", &replacing), json!({"schema": 1, "id": 2, "existing": false, "replaced": 1}));
    assert_eq!(nest.state(1), "cancelled");
}

#[test]
fn an_array_is_added_as_a_whole() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let told = mcp.ok("add", &json!({"command": ["true"], "array": "0-2%1", "request": "a"}));
    let ids: Vec<&Value> = told["jobs"].as_array().expect("a list").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(mcp.ok("add", &json!({"command": ["true"], "array": "0-2%1", "request": "a"})), told);
    assert_eq!(mcp.add(&json!({"command": ["true"], "after": [1, 2, 3]})), 4);
    assert_eq!(nest.show(4)["hold"], "dependency");
}

#[test]
fn a_job_inherits_nothing_and_says_what_is_wrong() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    mcp.add(&json!({"command": ["true"]}));
    let job = nest.show(1);
    assert_eq!((&job["cwd"], &job["env"], &job["queue"]), (&json!("/"), &json!({}), &json!("agents")));
    for (keys, told) in [
        (json!({}), "command"),
        (json!({"command": []}), "command"),
        (json!({"command": "true"}), "array"),
        (json!({"command": ["true"], "shell": "true"}), "not both"),
        (json!({"comand": ["true"]}), "did you mean"),
        (json!({"command": ["true"], "cwd": "here"}), "relative"),
        (json!({"command": ["true"], "stdin": "here"}), "relative"),
        (json!({"command": ["true"], "pass_env": ["PATH"]}), "env"),
        (json!({"command": ["true"], "secret": ["PATH"]}), "env"),
        (json!({"command": ["true"], "ref": "a"}), "ref"),
        (json!({"command": ["true"], "after": ["a"]}), "after"),
        (json!({"command": ["true"], "retries": 1e300}), "retries"),
        (json!({"command": ["true"], "timeout": 60}), "timeout"),
        (json!({"command": ["true"], "env": {"A=": "b"}}), "env"),
        (json!({"command": ["true"], "priority": "high"}), "priority"),
        (json!({"command": ["a\u{0}b"]}), "command"),
        (json!({"command": ["true"], "array": "0-9999999"}), "array"),
        (json!({"command": ["true"], "env": "x".repeat(100_000)}), "env"),
    ] {
        let (code, text) = mcp.fails("add", &keys);
        assert!(code == "usage" && text.contains(told) && text.len() < 600, "{keys:.60}: {code}: {text}");
    }
    assert_eq!(nest.status()["counts"]["queued"], 1, "nothing of those was added");
}
