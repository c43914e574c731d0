//! What a request changes is what the verb changes, once.

use serde_json::{Value, json};

use crate::support::{Nest, Web, until};

fn served() -> (Nest, Web) {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    (nest, web)
}

#[test]
fn a_job_is_added_with_the_keys_of_a_line() {
    let (nest, web) = served();
    let got = web.post(
        "/api/v1/jobs",
        &json!({"command": ["sh", "-c", "echo $A; pwd"], "queue": "mail", "label": "x", "priority": 3, "retries": 2, "env": {"A": "b"},
                "timeout": "1h", "hold": true}),
    );
    assert_eq!((got.status, got.json()), (201, json!({"schema": 1, "id": 2, "existing": false, "replaced": null})));
    let job = nest.show(2);
    assert_eq!(
        (&job["queue"], &job["label"], &job["priority"], &job["max_attempts"]),
        (&json!("mail"), &json!("x"), &json!(3), &json!(3))
    );
    assert_eq!((&job["cwd"], &job["env"], &job["policy"]["timeout_ms"]), (&json!("/"), &json!({"A": "b"}), &json!(3_600_000)));
    let replaced = web.post("/api/v1/jobs", &json!({"shell": "true", "unique": "k", "hold": true})).json()["id"].clone();
    let existing = web.post("/api/v1/jobs", &json!({"shell": "false", "unique": "k"}));
    assert_eq!((existing.status, &existing.json()["id"], &existing.json()["existing"]), (200, &replaced, &json!(true)));
}

#[test]
fn jobs_are_added_together_or_not_at_all() {
    let (nest, web) = served();
    let got = web.post(
        "/api/v1/jobs",
        &json!([{"ref": "a", "command": ["true"]}, {"command": ["true"], "after": ["a"]}, {"command": ["true"], "array": "0-2"}]),
    );
    assert_eq!(got.status, 201, "{}", got.text());
    let ids: Vec<i64> =
        got.json()["jobs"].as_array().expect("a list").iter().map(|one| one["id"].as_i64().expect("a number")).collect();
    assert_eq!(ids, [2, 3, 4, 5, 6]);
    assert_eq!(nest.show(3)["hold"], "dependency");
    for (body, told) in [
        (json!([{"command": ["true"]}, {"command": "true"}]), "job 1 of the array: command"),
        (json!([{"command": ["true"]}, {"command": ["true"], "after": [99]}]), "job 1 of the array"),
        (json!([{"command": ["true"]}, {"command": ["true"], "after": ["later"]}]), "no earlier line"),
        (json!([{"command": ["true"], "array": "0-9999"}, {"command": ["true"]}]), "in one request"),
        (json!([]), "no job"),
        (json!([1]), "body"),
        (json!(1), "an object, or an array"),
        (json!({}), "command"),
        (json!({"command": ["true"], "quue": "x"}), "quue"),
        (json!({"command": ["true"], "cwd": "here"}), "relative"),
        (json!({"command": ["true"], "stdin": "here"}), "relative"),
        (json!({"command": ["true"], "pass_env": ["PATH"]}), "env"),
        (json!({"command": ["true"], "secret": "PATH"}), "env"),
        (json!({"command": ["true"], "queue": ""}), "queue"),
        (json!({"command": ["true"], "retries": 1e300}), "retries"),
    ] {
        let got = web.post("/api/v1/jobs", &body);
        assert!((400..=404).contains(&got.status), "{body}: {}", got.text());
        assert!(got.text().contains(told), "{body}: {}", got.text());
    }
    let twice = br#"{"command": ["true"], "label": "a", "label": "b"}"#;
    assert!(web.ask("POST", "/api/v1/jobs", &[("Content-Type", "application/json")], twice).text().contains("given twice"));
    let long = format!("{{\"command\": [\"true\"], \"label\": \"{}\", \"array\": \"0-999\"}}", "x".repeat(100_000));
    assert!(
        web.ask("POST", "/api/v1/jobs", &[("Content-Type", "application/json")], long.as_bytes())
            .text()
            .contains("in one request")
    );
    assert_eq!(nest.status()["counts"]["queued"], 6, "nothing of those was added");
}

#[test]
fn a_body_must_be_declared_as_json() {
    let (nest, web) = served();
    let body = br#"{"command": ["true"]}"#;
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let got = web.ask("POST", "/api/v1/jobs", &[("Content-Type", kind)], body);
        assert_eq!((got.status, got.code().as_str()), (415, "type"), "{kind}");
    }
    assert_eq!(web.ask("POST", "/api/v1/jobs", &[("Content-Type", "Application/JSON; charset=utf-8")], body).status, 201);
    for nonsense in [
        "{",
        "[[[[[[",
        "\u{0}",
        "{\"command\": [\"true\"]} x",
        &"[".repeat(100_000),
        &format!("{{\"priority\": {}}}", "9".repeat(100_000)),
    ] {
        let got = web.ask("POST", "/api/v1/jobs", &[("Content-Type", "application/json")], nonsense.as_bytes());
        assert_eq!(got.status, 400, "{nonsense:.20}");
        assert!(got.body.len() < 2_000, "{nonsense:.20}");
    }
    assert_eq!(nest.status()["counts"]["queued"], 2);
}

#[test]
fn the_same_key_is_the_same_request() {
    let (nest, web) = served();
    let ask = |web: &Web, key: &str, body: &Value| {
        web.ask(
            "POST",
            "/api/v1/jobs",
            &[("Content-Type", "application/json"), ("Idempotency-Key", key)],
            body.to_string().as_bytes(),
        )
    };
    let body = json!({"command": ["true"], "hold": true});
    let first = ask(&web, "order-17", &body);
    assert_eq!((first.status, &first.json()["id"]), (201, &json!(2)));
    let again = ask(&web, "order-17", &body);
    assert_eq!(again.json(), first.json());
    assert_eq!(ask(&web, "order-18", &body).json()["id"], 3);
    let other = ask(&web, "order-17", &json!({"command": ["false"]}));
    assert_eq!((other.status, other.code().as_str()), (409, "key_used"));
    for wrong in [" ", "a b", "ü", &"k".repeat(201)] {
        assert_eq!(ask(&web, wrong, &body).status, 400, "{wrong:.10}");
    }
    // It is in the file: another server, and a worker that prunes, know it.
    drop(web);
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    assert_eq!(ask(&web, "order-17", &body).json(), first.json());
    let many = json!([{"shell": "true", "hold": true}, {"shell": "true", "hold": true}]);
    let all = ask(&web, "order-19", &many);
    assert_eq!(ask(&web, "order-19", &many).json(), all.json());
    assert_eq!(nest.status()["counts"]["queued"], 5);
}

#[test]
fn many_clients_with_one_key_add_one_job() {
    let (nest, web) = served();
    let body = json!({"command": ["true"], "hold": true}).to_string();
    let ids: Vec<Value> = std::thread::scope(|scope| {
        let one = || {
            let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "one")];
            web.ask("POST", "/api/v1/jobs", &headers, body.as_bytes()).json()["id"].clone()
        };
        let all: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert!(ids.iter().all(|id| *id == 2), "{ids:?}");
    assert_eq!(nest.status()["counts"]["queued"], 2);
}

#[test]
fn a_job_is_changed_as_by_its_verb() {
    let (nest, web) = served();
    let post = |path: &str, body: &Value| {
        let got = web.post(&format!("/api/v1/jobs/{path}"), body);
        (got.status, got.json())
    };
    assert_eq!(post("1/release", &Value::Null), (200, json!({"schema": 1, "id": 1, "changed": "released"})));
    assert_eq!(post("1/release", &Value::Null).1["changed"], "unchanged");
    assert_eq!(post("1/hold", &json!({})).1["changed"], "held");
    assert_eq!(nest.show(1)["hold"], "user");
    assert_eq!(post("1/suspend", &Value::Null).0, 409);
    assert_eq!(post("1/retry", &Value::Null).0, 409);
    assert_eq!(post("1/cancel", &json!({"why": "not needed"})), (200, json!({"schema": 1, "id": 1, "cancelled": "ended"})));
    assert!(nest.ok(&["history", "1"]).contains("not needed"));
    assert_eq!(post("1/cancel", &Value::Null).0, 409);
    assert_eq!(post("1/retry", &json!({"with_dependants": true})), (200, json!({"schema": 1, "id": 1, "queued": [1]})));
    assert_eq!(post("1/rerun", &Value::Null).0, 201);
    assert_eq!(nest.show(2)["command"], json!(["true"]));
    for path in ["99/cancel", "99/hold", "99/rerun"] {
        assert_eq!(post(path, &Value::Null).0, 404, "{path}");
    }
    for body in [json!({"wyh": 1}), json!({"why": 1}), json!([]), json!(1)] {
        assert_eq!(post("1/cancel", &body).0, 400, "{body}");
    }
    assert_eq!(web.get("/api/v1/jobs/1/cancel").status, 405);
}

#[test]
fn a_running_job_is_stopped_and_continued() {
    let (nest, web) = served();
    let _worker = nest.work(&[]);
    let id = nest.sh(&[], "exec sleep 600");
    nest.until_pid(id);
    assert_eq!(web.post(&format!("/api/v1/jobs/{id}/suspend"), &json!({"why": "lunch"})).json()["changed"], "suspended");
    until("the job to be suspended", || {
        let job = web.get(&format!("/api/v1/jobs/{id}")).json();
        (job["suspension"]["state"] == "suspended").then_some(())
    });
    assert_eq!(web.post(&format!("/api/v1/jobs/{id}/resume"), &Value::Null).json()["changed"], "resumed");
    assert_eq!(web.post(&format!("/api/v1/jobs/{id}/cancel"), &Value::Null).json()["cancelled"], "asked");
    assert_eq!(nest.until_ended(id)["reason"], "cancelled");
}

#[test]
fn queues_schedules_and_resources_are_changed() {
    let (nest, web) = served();
    assert_eq!(web.post("/api/v1/queues/mail/pause", &Value::Null).json()["paused"], true);
    assert_eq!(nest.json(&["queue", "ls", "--json"])["queues"][1]["paused"], true);
    assert_eq!(web.post("/api/v1/queues/mail/resume", &Value::Null).json()["paused"], false);
    assert_eq!(web.post("/api/v1/queues/%00/pause", &Value::Null).status, 400);
    assert!(web.post("/api/v1/pause", &Value::Null).json()["all_paused_at"].is_string());
    assert!(web.post("/api/v1/resume", &Value::Null).json()["all_paused_at"].is_null());
    nest.ok(&["schedule", "add", "nightly", "30 3 * * *", "--", "true"]);
    assert_eq!(web.post("/api/v1/schedules/nightly/pause", &Value::Null).json()["changed"], true);
    assert_eq!(web.post("/api/v1/schedules/nightly/pause", &Value::Null).json()["changed"], false);
    assert_eq!(web.post("/api/v1/schedules/nightly/resume", &Value::Null).json()["changed"], true);
    assert_eq!(web.post("/api/v1/schedules/nightly/run", &Value::Null).json()["id"], 2);
    assert_eq!(web.post("/api/v1/schedules/nope/run", &Value::Null).status, 404);
    nest.ok(&["resource", "add", "vm", "--teardown", "true", "--job", "1"]);
    assert_eq!(web.post("/api/v1/resources/1/release", &Value::Null).json()["released"], "asked");
    assert_eq!(web.post("/api/v1/resources/sweep", &Value::Null).json()["releasing"], 1);
    assert_eq!(web.post("/api/v1/resources/1/release", &json!({"force": true})).json()["released"], "given_up");
    assert_eq!(web.post("/api/v1/resources/1/release", &Value::Null).status, 409);
    assert_eq!(web.post("/api/v1/resources/99/release", &Value::Null).status, 404);
}

#[test]
fn a_key_that_would_not_be_heeded_is_refused() {
    let nest = Nest::new();
    let id = nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    let json = ("Content-Type", "application/json");
    let key = ("Idempotency-Key", "one");
    let got = web.ask("POST", &format!("/api/v1/jobs/{id}/rerun"), &[json, key], b"{}");
    assert_eq!((got.status, got.code().as_str()), (400, "usage"));
    let got = web.ask("POST", "/api/v1/jobs", &[json, key, ("Idempotency-Key", "two")], br#"{"command": ["true"]}"#);
    assert_eq!((got.status, got.code().as_str()), (400, "usage"));
    assert_eq!(web.get("/api/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(1), "nothing was added");
}
