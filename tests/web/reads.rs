//! What is read over HTTP is what the command line prints.

use serde_json::{Value, json};

use crate::support::Nest;

/// A file with some of everything.
fn furnished() -> Nest {
    let nest = Nest::new();
    nest.ok(&["add", "-q", "mail", "-l", "greeting", "--", "echo", "hello"]);
    nest.sh(&["--lane", "db"], "echo out; exit 3");
    nest.work_until_idle(&[]);
    nest.ok(&["add", "--hold", "-l", "waits", "--", "true"]);
    nest.ok(&["schedule", "add", "nightly", "30 3 * * *", "--tz", "UTC", "--", "true"]);
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    nest.ok(&["resource", "add", "vm", "--teardown", "true", "--job", "3"]);
    nest
}

/// The same without what another moment changes.
fn settled(mut value: Value) -> Value {
    for key in ["disk", "wal_bytes", "problems", "next"] {
        value.as_object_mut().map(|map| map.remove(key));
    }
    value
}

#[test]
fn the_documents_are_those_of_the_command_line() {
    let nest = furnished();
    let web = nest.web(&[]);
    for (path, args) in [
        ("status", vec!["status"]),
        ("jobs/1", vec!["show", "1"]),
        ("jobs/2", vec!["show", "2"]),
        ("jobs/2/history", vec!["history", "2"]),
        ("jobs/2/why", vec!["why", "2"]),
        ("jobs/3/why", vec!["why", "3"]),
        ("lanes", vec!["lane", "ls"]),
        ("pools", vec!["pool", "ls"]),
        ("leases", vec!["lease", "ls"]),
        ("workspaces", vec!["workspace", "ls"]),
        ("pipelines", vec!["pipeline", "ls"]),
        ("schedules", vec!["schedule", "ls"]),
        ("schedules/nightly/next", vec!["schedule", "next", "nightly"]),
        ("tasks", vec!["task", "ls"]),
        ("resources", vec!["resource", "ls"]),
        ("resources/1", vec!["resource", "show", "1"]),
    ] {
        let got = web.get(&format!("/api/v1/{path}"));
        assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")), "{path}: {}", got.text());
        let told = nest.json(&[args.as_slice(), &["--json"]].concat());
        assert_eq!(settled(got.json()), settled(told), "{path}");
        assert_eq!(got.json()["schema"], 1, "{path}");
    }
}

#[test]
fn queues_come_with_the_reaper_leases_and_resources() {
    let nest = furnished();
    let web = nest.web(&[]);
    let got = web.get("/api/v1/queues").json();
    let told = nest.json(&["queue", "ls", "--json"]);
    assert_eq!(got["queues"], told["queues"]);
    assert_eq!(got["reaper"], nest.status()["reaper"]);
    assert_eq!(got["resources"], json!({"held": 1, "releasing": 0}));
    assert_eq!(got["leases"], json!([]));
}

#[test]
fn pages_of_jobs_follow_each_other_while_jobs_come() {
    let nest = Nest::new();
    for n in 0..7 {
        nest.ok(&["add", "--hold", "-l", &format!("n{n}"), "--", "true"]);
    }
    let web = nest.web(&[]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = web.get(&format!("/api/v1/jobs?limit=3{cursor}")).json();
        seen.extend(page["jobs"].as_array().expect("a list").iter().map(|job| job["id"].as_i64().expect("a number")));
        nest.add(&["--hold", "--", "true"]);
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    let queues = |cursor: &str| web.get(&format!("/api/v1/queues?limit=1{cursor}")).json();
    nest.ok(&["queue", "set", "a", "--slots", "1"]);
    nest.ok(&["queue", "set", "b", "--slots", "1"]);
    assert_eq!((&queues("")["queues"][0]["name"], &queues("")["next"]), (&json!("a"), &json!("a")));
    assert_eq!(queues("&cursor=a")["queues"][0]["name"], "b");
}

#[test]
fn jobs_are_filtered_by_what_they_have() {
    let nest = furnished();
    let web = nest.web(&[]);
    let ids = |query: &str| -> Vec<i64> {
        let jobs = web.get(&format!("/api/v1/jobs?{query}")).json();
        jobs["jobs"].as_array().expect("a list").iter().map(|job| job["id"].as_i64().expect("a number")).collect()
    };
    assert_eq!(ids(""), [3, 2, 1]);
    assert_eq!(ids("state=done"), [1]);
    assert_eq!(ids("state=failed,queued"), [3, 2]);
    assert_eq!(ids("state=failed&state=queued"), [3, 2]);
    assert_eq!(ids("queue=mail"), [1]);
    assert_eq!(ids("label=waits"), [3]);
    assert_eq!(ids("since=1h&state=done"), [1]);
    assert_eq!(ids("since=0s&state=done"), Vec::<i64>::new());
}

#[test]
fn a_list_that_has_not_changed_is_not_sent_again() {
    let nest = furnished();
    let web = nest.web(&[]);
    let first = web.get("/api/v1/jobs");
    let tag = first.header("etag").expect("a tag").to_owned();
    let again = web.ask("GET", "/api/v1/jobs", &[("If-None-Match", &tag)], b"");
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
    nest.ok(&["release", "3"]);
    let changed = web.ask("GET", "/api/v1/jobs", &[("If-None-Match", &tag)], b"");
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
}

#[test]
fn a_log_is_sent_as_bytes_from_where_it_is_asked() {
    let nest = Nest::new();
    let id = nest.sh(&[], r"printf '<script>\033[2J\377\n'; echo two; echo three");
    nest.sh(&["--hold"], "true");
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    let whole = web.get(&format!("/api/v1/jobs/{id}/logs"));
    let bytes = b"<script>\x1b[2J\xff\ntwo\nthree\n";
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let end = bytes.len().to_string();
    assert_eq!((whole.header("tenure-log-end"), whole.header("tenure-log-dropped")), (Some(end.as_str()), Some("0")));
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?offset=14")).body, b"two\nthree\n");
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?tail=1")).body, b"three\n");
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?offset=999")).body, b"");
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?run=1")).body, bytes);
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?run=99")).status, 404);
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs?tail=1&offset=1")).status, 400);
    assert_eq!((web.get("/api/v1/jobs/2/logs").status, web.get("/api/v1/jobs/2/logs").body.len()), (200, 0));
    let log = nest.show(id)["runs"][0]["log"].as_str().expect("a path").to_owned();
    std::fs::remove_file(log).expect("it is there");
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs")).code(), "log_gone");
}

#[test]
fn a_dropped_part_of_a_log_is_counted_and_not_sent() {
    let nest = Nest::new();
    let id = nest.sh(&["--log-limit", "64K"], "yes 0123456789abcde | head -c 2000000; echo end");
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    let got = web.get(&format!("/api/v1/jobs/{id}/logs"));
    let number = |name: &str| got.header(name).expect("a header").parse::<usize>().expect("a number");
    assert_eq!((number("tenure-log-end"), got.body.len() + number("tenure-log-dropped")), (2_000_004, 2_000_004));
    assert!(number("tenure-log-dropped") > 1_500_000 && !got.body.contains(&0));
    assert!(got.body.ends_with(b"\nend\n"));
}

#[test]
fn the_process_is_healthy_and_ready_while_jobs_can_start() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    assert_eq!((web.get("/healthz").status, web.get("/healthz").text()), (200, "ok\n".to_owned()));
    let none = web.get("/readyz");
    assert_eq!((none.status, none.code().as_str()), (503, "not_ready"));
    assert_eq!(none.header("retry-after"), Some("5"));
    assert!(none.json()["error"]["text"].as_str().expect("a text").starts_with("no_worker"), "{}", none.text());
    let worker = nest.work(&[]);
    crate::support::until("the worker to be ready", || (web.get("/readyz").status == 200).then_some(()));
    nest.ok(&["pause"]);
    let paused = web.get("/readyz");
    assert_eq!(paused.status, 503);
    assert!(paused.text().contains("all_paused"), "{}", paused.text());
    assert_eq!(web.get("/healthz").status, 200);
    drop(worker);
}

#[test]
fn a_restored_file_is_read_from_then_on() {
    let nest = Nest::new();
    nest.add(&["--hold", "-l", "before", "--", "true"]);
    let copy = nest.file("copy.db");
    nest.ok(&["backup", copy.to_str().expect("a path")]);
    let web = nest.web(&[]);
    nest.add(&["--hold", "-l", "after", "--", "true"]);
    assert_eq!(web.get("/api/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(2));
    nest.ok(&["restore", copy.to_str().expect("a path")]);
    assert_eq!(web.get("/api/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_server_needs_a_file_and_creates_none() {
    let nest = Nest::new();
    let said = nest.say(&["web", "127.0.0.1:0"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(!nest.db().exists() && !nest.beside().exists());
    assert_eq!(nest.say(&["web", "token"]).code, 4);
}
