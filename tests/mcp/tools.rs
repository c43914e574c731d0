//! The tools do what the verbs do, and answer with their documents.

use serde_json::{Value, json};

use crate::support::mcp::hello;
use crate::support::{Nest, pid_in, until};

#[test]
fn the_handshake_tells_the_version_and_the_tools() {
    let nest = Nest::new();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut mcp = nest.mcp_silent(&[]);
        let told = mcp.ask("initialize", &hello(version));
        assert_eq!(told["result"]["protocolVersion"], version);
        assert_eq!(told["result"]["capabilities"], json!({"tools": {}}));
        assert_eq!(told["result"]["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(mcp.ask("ping", &json!({}))["result"], json!({}));
        assert_eq!(mcp.close(), 0);
    }
    let mut mcp = nest.mcp(&[]);
    assert_eq!(mcp.tools(), ["add", "list", "show", "wait", "logs", "why", "cancel"]);
    assert!(mcp.instructions.contains("\"agents\"") && mcp.instructions.contains("100") && mcp.instructions.contains("1h"));
    let mut strange = nest.mcp_silent(&[]);
    let told = strange.ask("initialize", &hello("1999-01-01"));
    assert!(told["result"]["protocolVersion"].as_str().is_some_and(|version| version.starts_with("202")), "{told}");
}

#[test]
fn a_job_goes_from_add_to_its_output() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let mut mcp = nest.mcp(&[]);
    let id =
        mcp.add(&json!({"shell": "echo $WHO in $(pwd); exit 3", "cwd": nest.path(), "env": {"WHO": "me"}, "label": "first"}));
    assert_eq!(id, 1);
    let ended = mcp.ok("wait", &json!({"id": id, "seconds": 60}));
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(3)));
    let text = mcp.text("wait", &json!({"id": id}));
    assert!(text.starts_with("job 1 is failed (exit code 3) [first]: /bin/sh -c ") && text.contains("error: "), "{text}");
    let said = format!("me in {}\n", nest.path().display());
    assert_eq!(mcp.text("logs", &json!({"id": id})), said);
    let logs = mcp.ok("logs", &json!({"id": id}));
    assert_eq!((&logs["text"], &logs["bytes_before"], &logs["bytes_dropped"]), (&json!(said), &json!(0), &json!(0)));
    // What `--json` prints.
    assert_eq!(mcp.ok("show", &json!({"id": id})), nest.show(1));
    assert_eq!(mcp.ok("why", &json!({"id": id})), nest.json(&["why", "1", "--json"]));
    let listed = nest.json(&["ls", "-a", "--json"]);
    assert_eq!(mcp.ok("list", &json!({}))["jobs"], listed["jobs"]);
    assert!(mcp.text("why", &json!({"id": id})).contains("exit status 3"), "{}", mcp.text("why", &json!({"id": id})));
}

#[test]
fn a_list_is_narrowed_and_continued() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    for n in 0..5 {
        mcp.add(&json!({"command": ["true"], "label": if n % 2 == 0 { "even" } else { "odd" }}));
    }
    mcp.ok("cancel", &json!({"id": 5}));
    let ids = |mcp: &mut crate::support::Mcp, arguments: Value| {
        let told = mcp.ok("list", &arguments);
        let ids: Vec<i64> =
            told["jobs"].as_array().expect("a list").iter().map(|job| job["id"].as_i64().expect("an id")).collect();
        (ids, told["next"].clone())
    };
    assert_eq!(ids(&mut mcp, json!({})), (vec![5, 4, 3, 2, 1], Value::Null));
    assert_eq!(ids(&mut mcp, json!({"limit": 2})), (vec![5, 4], json!(4)));
    assert_eq!(ids(&mut mcp, json!({"limit": 2, "before": 4})), (vec![3, 2], json!(2)));
    assert_eq!(ids(&mut mcp, json!({"before": 1})), (vec![], Value::Null));
    assert_eq!(ids(&mut mcp, json!({"label": "even", "state": "queued"})), (vec![3, 1], Value::Null));
    assert_eq!(ids(&mut mcp, json!({"state": ["cancelled", "done"]})), (vec![5], Value::Null));
    assert_eq!(mcp.text("list", &json!({"label": "none"})), "no job matches");
    assert!(mcp.text("list", &json!({"limit": 1})).ends_with("\nfor older ones, give before: 5"));
}

#[test]
fn wait_returns_the_state_when_the_time_is_up() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"command": ["true"]}));
    assert_eq!(mcp.ok("wait", &json!({"id": id, "seconds": 0}))["state"], "queued");
    let text = mcp.text("wait", &json!({"id": id, "seconds": 1}));
    assert!(text.contains("is queued") && text.contains("not ended in this time"), "{text}");
    // It is told at once when the job ends, and others are answered meanwhile.
    let waiting = mcp.request("tools/call", &json!({"name": "wait", "arguments": {"id": id, "seconds": 300}}));
    assert_eq!(mcp.ok("list", &json!({}))["jobs"][0]["state"], "queued");
    nest.work_until_idle(&[]);
    assert_eq!(mcp.answer(waiting)["result"]["structuredContent"]["state"], "done");
}

#[test]
fn the_end_of_a_log_is_read_by_lines_and_runs() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let shell = "echo run $TENURE_ATTEMPT; seq 1 5; test $TENURE_ATTEMPT = 2";
    let id = mcp.add(&json!({"shell": shell, "retries": 1, "backoff": "1ms..1ms"}));
    assert_eq!(mcp.text("logs", &json!({"id": id})), "job 1 has not run yet");
    nest.ok(&["work", "--until-empty"]);
    let silent = mcp.add(&json!({"command": ["true"]}));
    nest.work_until_idle(&[]);
    assert_eq!(mcp.text("logs", &json!({"id": silent})), "job 2 has written nothing");
    assert_eq!(mcp.text("logs", &json!({"id": id, "lines": 2})), "4\n5\n");
    assert_eq!(mcp.ok("logs", &json!({"id": id, "lines": 2}))["bytes_before"], "run 2\n1\n2\n3\n".len());
    assert!(mcp.text("logs", &json!({"id": id})).starts_with("run 2\n"));
    let first = mcp.ok("show", &json!({"id": id}))["runs"][0]["id"].clone();
    assert!(mcp.text("logs", &json!({"id": id, "run": first})).starts_with("run 1\n"));
    assert_eq!(mcp.fails("logs", &json!({"id": silent, "run": first})).0, "not_found");
    std::fs::remove_dir_all(nest.beside().join("logs")).expect("it is there");
    assert_eq!(mcp.fails("logs", &json!({"id": id})).0, "log_gone");
}

#[test]
fn cancel_ends_a_job_with_its_whole_tree() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let mut mcp = nest.mcp(&[]);
    let shell = "setsid sleep 600 & echo $! > child; wait";
    let id = mcp.add(&json!({"shell": shell, "cwd": nest.path(), "label": "tree"}));
    let child = pid_in(&nest.file("child"));
    assert_eq!(mcp.ok("cancel", &json!({"id": id, "why": "not needed"}))["cancelled"], "asked");
    assert_eq!(mcp.ok("wait", &json!({"id": id, "seconds": 60}))["reason"], "cancelled");
    until("the child to be gone", || (!crate::support::lives(child)).then_some(()));
    assert_eq!(mcp.ok("cancel", &json!({"id": id}))["cancelled"], "already_ended");
    assert!(nest.ok(&["history", "1"]).contains("not needed"));
    let queued = mcp.add(&json!({"command": ["true"], "delay": "1h"}));
    assert_eq!(mcp.ok("cancel", &json!({"id": queued}))["cancelled"], "ended");
}

#[test]
fn why_names_what_the_job_waits_for() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"command": ["true"], "hold": true}));
    let text = mcp.text("why", &json!({"id": id}));
    assert!(text.contains("tenure release 1") && text.contains("no worker"), "{text}");
    assert_eq!(mcp.ok("why", &json!({"id": id}))["obstacles"][0]["code"], "user");
}
