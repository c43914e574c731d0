//! What the server answers is what `openapi.json` says, key by key.

use serde_json::{Value, json};

use crate::support::{Got, Nest, Web};

/// Says what is wrong with a value, where the schema is of the few kinds that the document uses.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = name.strip_prefix("#").and_then(|pointer| document.pointer(pointer));
        return check(document, target.ok_or_else(|| format!("{name} is not there"))?, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<String> = any.iter().filter_map(|one| check(document, one, value, at).err()).collect();
        return if all.len() < any.len() { Ok(()) } else { Err(all.join("; or ")) };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.contains(&kind) {
        return Err(format!("{at} is {value}, and should be {kinds:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{at} is {value}"));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return Err(format!("{at} is {value}, and should be of {}", schema["enum"]));
    }
    if schema["format"] == "date-time" && value.as_str().is_some_and(|text| text.len() != 24 || !text.ends_with('Z')) {
        return Err(format!("{at} is {value}, and should be a time in UTC with milliseconds"));
    }
    for one in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], one, &format!("{at}[]"))?;
    }
    let (Some(map), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        map.get(name).ok_or_else(|| format!("{at}.{name} is missing"))?;
    }
    for (name, one) in map {
        match properties.get(name) {
            Some(schema) => check(document, schema, one, &format!("{at}.{name}"))?,
            None if schema["additionalProperties"] == false => return Err(format!("{at}.{name} is not in the document")),
            None => {}
        }
    }
    Ok(())
}

/// A server, and what it says of itself.
struct Described {
    web: Web,
    document: Value,
    asked: Vec<(String, String)>,
}

impl Described {
    fn holds(&mut self, method: &str, path: &str, target: &str, got: &Got) {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        let response = operation["responses"].get(got.status.to_string());
        let response =
            response.unwrap_or_else(|| panic!("{method} {target}: {} is not in the document: {}", got.status, got.text()));
        let kind = got.header("content-type").unwrap_or("").split(';').next().unwrap_or("").to_owned();
        match response["content"].get(&kind) {
            Some(content) if kind == "application/json" => {
                check(&self.document, &content["schema"], &got.json(), "answer")
                    .unwrap_or_else(|why| panic!("{method} {target}: {why}"));
            }
            Some(_) => {}
            None => assert!(response.get("content").is_none() && got.body.is_empty(), "{method} {target}: {kind:?}"),
        }
        self.asked.push((method.to_owned(), path.to_owned()));
    }

    fn get(&mut self, path: &str, target: &str) {
        let got = self.web.get(target);
        self.holds("GET", path, target, &got);
    }

    fn post(&mut self, path: &str, target: &str, body: &Value) {
        let got = self.web.post(target, body);
        self.holds("POST", path, target, &got);
    }
}

#[test]
fn every_answer_is_as_the_document_says() {
    let nest = Nest::new();
    nest.ok(&["add", "-q", "mail", "--on-end", "true", "-r", "1", "--", "sh", "-c", "tenure progress 40 x; exit 0"]);
    nest.sh(&["--workspace", "w", "--prepare", "true"], "exit 3");
    nest.ok(&["schedule", "add", "nightly", "* * * * *", "--tz", "UTC", "--", "true"]);
    nest.sleep_through("nightly", 5);
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    nest.work_until_idle(&[]);
    std::fs::write(nest.file("p.toml"), "[pipeline.ship]\nstart = \"a\"\n[pipeline.ship.stage.a]\ncommand = [\"true\"]\n")
        .expect("it is ours");
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "ship"]);
    let held = nest.add(&["--hold", "--lane", "l", "--use", "gpu=1", "--", "true"]);
    nest.ok(&["resource", "add", "vm", "--teardown", "true", "--probe", "true", "--job", &held.to_string()]);
    let worker = nest.work(&[]);
    let running = nest.sh(&[], "exec sleep 600");
    nest.until_pid(running);
    let web = nest.web(&[]);
    let document = web.get("/api/v1/openapi.json").json();
    let mut all = Described { web, document, asked: Vec::new() };
    for path in [
        "/healthz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/status",
        "/api/v1/jobs",
        "/api/v1/events",
        "/api/v1/runs",
        "/api/v1/throughput",
    ] {
        all.get(path, path);
    }
    crate::support::until("jobs to be able to start", || (all.web.get("/readyz").status == 200).then_some(()));
    all.get("/readyz", "/readyz");
    for list in ["queues", "lanes", "pools", "leases", "workspaces", "pipelines", "schedules", "tasks"] {
        let path = format!("/api/v1/{list}");
        all.get(&path, &path);
    }
    all.get("/api/v1/resources", "/api/v1/resources?all=true");
    all.get("/api/v1/resources/{id}", "/api/v1/resources/1");
    all.get("/api/v1/tasks/{id}", "/api/v1/tasks/1");
    all.get("/api/v1/schedules/{name}/next", "/api/v1/schedules/nightly/next");
    for id in [1, 2, held, running] {
        all.get("/api/v1/jobs/{id}", &format!("/api/v1/jobs/{id}"));
        for part in ["history", "why", "logs"] {
            all.get(&format!("/api/v1/jobs/{{id}}/{part}"), &format!("/api/v1/jobs/{id}/{part}"));
        }
    }
    all.post("/api/v1/jobs", "/api/v1/jobs", &json!({"command": ["true"]}));
    all.post("/api/v1/jobs", "/api/v1/jobs", &json!([{"shell": "true"}, {"shell": "false"}]));
    let second = nest.add(&["--hold", "--", "true"]);
    for (verb, id) in [
        ("suspend", running),
        ("resume", running),
        ("hold", held),
        ("cancel", held),
        ("release", second),
        ("retry", 2),
        ("rerun", 1),
    ] {
        all.post(&format!("/api/v1/jobs/{{id}}/{verb}"), &format!("/api/v1/jobs/{id}/{verb}"), &Value::Null);
        if verb == "suspend" {
            nest.until_state(running, "running");
            all.get("/api/v1/jobs/{id}", &format!("/api/v1/jobs/{running}"));
        }
    }
    for verb in ["pause", "resume"] {
        for (path, name) in [("queues", "mail"), ("schedules", "nightly")] {
            all.post(&format!("/api/v1/{path}/{{name}}/{verb}"), &format!("/api/v1/{path}/{name}/{verb}"), &Value::Null);
        }
        all.post(&format!("/api/v1/{verb}"), &format!("/api/v1/{verb}"), &Value::Null);
    }
    all.post("/api/v1/schedules/{name}/run", "/api/v1/schedules/nightly/run", &Value::Null);
    all.post("/api/v1/resources/sweep", "/api/v1/resources/sweep", &Value::Null);
    all.post("/api/v1/seen", "/api/v1/seen", &Value::Null);
    nest.ok(&["resource", "add", "vm2", "--teardown", "true", "--job", &running.to_string()]);
    all.post("/api/v1/resources/{id}/release", "/api/v1/resources/2/release", &json!({"force": true}));
    all.post("/api/v1/login", "/api/v1/login", &Value::Null);
    all.post("/api/v1/logout", "/api/v1/logout", &Value::Null);
    let told = all.document["paths"].as_object().expect("paths").iter();
    let told = told.flat_map(|(path, methods)| {
        methods.as_object().expect("methods").keys().map(|method| (method.to_uppercase(), path.clone()))
    });
    let left: Vec<_> = told.filter(|one| !all.asked.contains(one)).collect();
    assert!(left.is_empty(), "not asked: {left:?}");
    drop(worker);
}

#[test]
fn a_wrong_answer_is_found() {
    let document = json!({"a": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}, "additionalProperties": false}});
    let schema = json!({"$ref": "#/a"});
    assert!(check(&document, &schema, &json!({"n": 1}), "x").is_ok());
    for wrong in [json!({}), json!({"n": "1"}), json!({"n": 1, "m": 1}), json!(null)] {
        assert!(check(&document, &schema, &wrong, "x").is_err(), "{wrong}");
    }
}
