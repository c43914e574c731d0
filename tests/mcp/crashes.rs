//! A kill of the server at any time loses no job that was acknowledged, and makes no second one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Dice, Nest, seed};

/// The jobs of a file by their labels, each label with its number.
fn labelled(nest: &Nest) -> Vec<(String, i64)> {
    let listed = nest.json(&["ls", "-a", "-n", "1000", "--json"]);
    let job = |job: &Value| (job["label"].as_str().unwrap_or_default().to_owned(), job["id"].as_i64().expect("an id"));
    listed["jobs"].as_array().expect("a list").iter().map(job).collect()
}

#[test]
fn a_kill_in_the_middle_of_an_add_leaves_one_job() {
    let mut dice = Dice::new(seed());
    let nest = Nest::new();
    nest.mcp(&[]).kill();
    let (mut acknowledged, mut was_lost) = (Vec::new(), 0);
    for n in 0..25 {
        let label = format!("job-{n}");
        let keys = json!({"command": ["true"], "label": label, "request": label});
        let mut mcp = nest.mcp(&[]);
        mcp.request("tools/call", &json!({"name": "add", "arguments": keys}));
        // From before it is read to after it is answered.
        std::thread::sleep(Duration::from_micros(dice.below(12_000)));
        mcp.kill();
        let before = labelled(&nest).iter().any(|(one, _)| *one == label);
        was_lost += usize::from(!before);
        let id = nest.mcp(&[]).add(&keys);
        assert_eq!(nest.mcp(&[]).add(&keys), id);
        acknowledged.push((label, id));
    }
    let mut found = labelled(&nest);
    found.sort_by_key(|(_, id)| *id);
    acknowledged.sort_by_key(|(_, id)| *id);
    assert_eq!(found, acknowledged);
    println!("{was_lost} of 25 were killed before the commit");
}

#[test]
fn an_acknowledged_job_outlives_its_server_and_its_client() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"shell": "until [ -e go ]; do sleep 0.02; done; echo end", "cwd": nest.path()}));
    nest.until_pid(id);
    mcp.kill();
    worker.kill();
    std::fs::write(nest.file("go"), "").expect("a file");
    let _worker = nest.work(&[]);
    let mut mcp = nest.mcp(&[]);
    assert_eq!(mcp.ok("wait", &json!({"id": id, "seconds": 60}))["state"], "done");
    assert_eq!(mcp.text("logs", &json!({"id": id})), "end\n");
}

#[test]
fn many_servers_with_one_key_add_one_job() {
    let nest = Nest::new();
    nest.mcp(&[]).kill();
    let keys = json!({"command": ["true"], "request": "one"});
    let ids: Vec<i64> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| nest.mcp(&[]).add(&keys))).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert!(ids.iter().all(|id| *id == 1), "{ids:?}");
    assert_eq!(nest.status()["counts"]["queued"], 1);
}
