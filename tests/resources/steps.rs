//! What a probe and a teardown say, and what follows.

use crate::resources::thing::{
    REMOVE, TICK, ended_job, hurry, lines, listed, nothing_is_left, of_job, resource, steps, until_gone,
};
use crate::support::{Nest, until};

#[test]
fn only_a_probe_that_reports_gone_skips_the_teardown() {
    for (answer, expected, by) in [
        ("exit 1", vec!["probe failed"], "probe"),
        ("exit 0", vec!["probe done", "teardown done", "probe failed"], "teardown"),
        ("exit 7", vec!["probe failed", "teardown done", "probe failed"], "teardown"),
        ("kill -9 $$", vec!["probe failed", "teardown done", "probe failed"], "teardown"),
        ("exec /no/such/probe", vec!["probe failed", "teardown done", "probe failed"], "teardown"),
    ] {
        let nest = Nest::new();
        let job = ended_job(&nest);
        let probe = format!("[ -e torn ] && exit 1; {answer}");
        let id = of_job(&nest, job, "x", "touch torn; echo torn >>ledger", &["--probe", &probe]);
        nest.work_until_idle(&[]);
        let gone = until_gone(&nest, id);
        assert_eq!(
            (gone["released_by"].as_str(), steps(&nest, id)),
            (Some(by), expected.iter().map(|s| (*s).to_owned()).collect())
        );
        assert_eq!(lines(&nest, "ledger").len(), usize::from(by == "teardown"), "{answer}");
        nothing_is_left(&nest);
    }
}

#[test]
fn a_resource_that_still_exists_is_torn_down_until_it_is_gone() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    std::fs::write(nest.file("thing"), "").unwrap();
    // Its first three answers are a lie: exit 0, and nothing was removed.
    let teardown = "echo asked >>asked; [ $(wc -l <asked) -gt 3 ] && rm -f thing; exit 0";
    let id = of_job(&nest, job, "vm", teardown, &["--probe", "[ -e thing ]"]);
    let _worker = nest.work(&TICK);
    let lied = until("the lie to be found out", || Some(resource(&nest, id)).filter(|one| one["attempts"].as_i64() > Some(0)));
    assert!(lied["last_error"].as_str().unwrap().contains("still there"), "{lied}");
    until("it to be gone", || {
        hurry(&nest);
        (resource(&nest, id)["state"] == "released").then_some(())
    });
    let gone = resource(&nest, id);
    assert_eq!((&gone["attempts"], &gone["released_by"]), (&3.into(), &"teardown".into()));
    assert!(!nest.file("thing").exists());
    assert_eq!(lines(&nest, "asked").len(), 4);
}

#[test]
fn the_wait_between_two_tries_grows_and_is_told() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let id = of_job(&nest, job, "x", "exit 3", &[]);
    let mut waits = Vec::new();
    for failed in 1..=4 {
        nest.work_until_idle(&[]);
        let one = resource(&nest, id);
        assert_eq!(one["attempts"], failed, "one try each time, and the worker does not wait for the next");
        let finished: i64 =
            nest.sql().query_row("SELECT max(finished_at) FROM run WHERE resource_id = ?1", [id], |row| row.get(0)).unwrap();
        let next: i64 = nest.sql().query_row("SELECT next_at FROM resource WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        waits.push(next - finished);
        assert!(one["next_at"].is_string());
        hurry(&nest);
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000]);
    let said = nest.say(&["work", "--until-idle"]);
    assert!(said.err.contains("1 resource is not torn down yet"), "{said:?}");
    assert_eq!(resource(&nest, id)["last_error"], "teardown: exit status 3");
    let log = resource(&nest, id)["log"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&log).exists());
}

#[test]
fn a_teardown_has_its_directory_and_environment_or_the_root() {
    let nest = Nest::new();
    std::fs::create_dir(nest.file("there")).unwrap();
    let job = nest.sh(&["-e", "REGION=north", "-e", "COLOUR=red"], "true");
    nest.ok(&["cancel", &job.to_string()]);
    let out = nest.file("out");
    let teardown = format!(
        "echo $PWD $REGION $COLOUR $TENURE_RESOURCE $TENURE_RESOURCE_NAME $TENURE_RESOURCE_JOB ${{TENURE_JOB:-none}} $TENURE_DB >>{}",
        out.display()
    );
    let there = of_job(&nest, job, "a name", &teardown, &["--cwd", "there", "-e", "COLOUR=blue"]);
    let wiped = of_job(&nest, job, "wiped", &teardown, &["--cwd", "gone"]);
    nest.work_until_idle(&[]);
    [there, wiped].iter().for_each(|id| drop(until_gone(&nest, *id)));
    let mut said = lines(&nest, "out");
    said.sort();
    let (dir, db) = (nest.path().canonicalize().unwrap().join("there"), nest.db().canonicalize().unwrap());
    let mut expected = [
        format!("/ north red {wiped} wiped {job} none {}", db.display()),
        format!("{} north blue {there} a name {job} none {}", dir.display(), db.display()),
    ];
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn a_hanging_teardown_is_stopped_with_its_tree_and_retried() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let teardown = format!("echo asked >>asked; [ $(wc -l <asked) -gt 1 ] || {{ sleep 600 & sleep 601; }}; {REMOVE}");
    let id = of_job(&nest, job, "x", &teardown, &["--timeout", "300ms"]);
    let _worker = nest.work(&TICK);
    let failed = until("a failure", || Some(resource(&nest, id)).filter(|one| one["attempts"].as_i64() > Some(0)));
    assert_eq!(failed["last_error"], "teardown: ran past its timeout");
    until_gone(&nest, id);
    assert_eq!(steps(&nest, id), ["teardown failed", "teardown done"]);
    nothing_is_left(&nest);
}

#[test]
fn an_unexecutable_teardown_is_a_reported_failure() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    for (at, bad) in ["[{\"hex\": \"zz\"}]", "[{}]", "[\"/no/such/program\"]"].iter().enumerate() {
        nest.sql()
            .execute("INSERT INTO resource (name, job_id, teardown) VALUES (?1, ?2, ?3)", (format!("x{at}"), job, bad))
            .unwrap();
    }
    nest.sql()
        .execute(
            "INSERT INTO resource (name, job_id, teardown, env) VALUES ('env', ?1, json_array('true'), '{\"TENURE_COOKIE\": \"x\"}')",
            [job],
        )
        .unwrap();
    nest.work_until_idle(&[]);
    let all = listed(&nest, false);
    assert_eq!(all.len(), 4, "none of them is called gone");
    for one in all {
        assert_eq!(one["attempts"], 1, "{one}");
        assert!(one["last_error"].is_string(), "{one}");
    }
}

#[test]
fn only_the_newest_runs_of_a_resource_are_kept() {
    let nest = Nest::new();
    let job = ended_job(&nest);
    let id = of_job(&nest, job, "x", "exit 1", &[]);
    for _ in 0..13 {
        nest.work_until_idle(&[]);
        hurry(&nest);
    }
    assert_eq!(resource(&nest, id)["attempts"], 13);
    let runs = resource(&nest, id)["runs"].as_array().unwrap().clone();
    assert_eq!(runs.len(), 10);
    let logs = std::fs::read_dir(nest.beside().join("logs/000")).unwrap().count();
    assert_eq!(logs, 10, "and their logs");
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(job)["hold"], serde_json::Value::Null, "no worker takes this for an older copy");
}
