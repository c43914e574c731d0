//! Pipelines and tasks at the command line: what is asked, what is told, and what is refused.

use serde_json::{Value, json};

use crate::support::{Nest, Said};

/// The shape of the manual: test goes back to build, publish is critical.
pub const SHIP: &str = r#"
[pipeline.ship]
start = "build"
max_rounds = 3
[pipeline.ship.stage.build]
command = ["sh", "-c", "echo build $TENURE_TASK $TENURE_STAGE $TENURE_PARAM_version $0 >>ledger", "v{version}"]
on_success = "test"
[pipeline.ship.stage.test]
shell = "echo test >>ledger; test $(grep -c ^test ledger) -ge ${TENURE_PARAM_tries:-1}"
on_success = "publish"
on_failure = "build"
[pipeline.ship.stage.publish]
shell = "echo publish >>ledger"
check = "grep -q publish ledger"
lane = "publish"
critical = true
teardown = "rm -rf stage"
"#;

pub fn with(pipelines: &str) -> Nest {
    let nest = Nest::new();
    apply(&nest, pipelines);
    nest
}

pub fn apply(nest: &Nest, pipelines: &str) -> Said {
    std::fs::write(nest.file("p.toml"), pipelines).unwrap();
    let said = nest.say(&["pipeline", "apply", "p.toml"]);
    assert_eq!(said.code, 0, "{said:?}");
    said
}

pub fn start(nest: &Nest, args: &[&str]) -> i64 {
    nest.ok(&[&["task", "start"], args].concat()).parse().expect("the id alone")
}

pub fn task(nest: &Nest, id: i64) -> Value {
    nest.json(&["task", "show", &id.to_string(), "--json"])
}

pub fn ledger(nest: &Nest) -> Vec<String> {
    let text = std::fs::read_to_string(nest.file("ledger")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub fn refused(nest: &Nest, args: &[&str], code: i32, words: &[&str]) {
    let said = nest.say(args);
    let shown: String = format!("{args:?}").chars().take(300).collect();
    assert_eq!(said.code, code, "{shown}: {said:?}");
    for word in words {
        assert!(said.err.contains(word), "{shown}: no {word:?} in {}", said.err);
    }
    assert!(!said.err.chars().any(|c| c.is_control() && c != '\n'), "{:?}", said.err);
}

#[test]
fn a_task_goes_back_after_a_failure_and_on_after_success() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "--key", "v1", "-p", "version=1", "-p", "tries=2"]);
    nest.work_until_idle(&[]);
    let shown = task(&nest, id);
    assert_eq!(
        (&shown["schema"], &shown["id"], &shown["pipeline"], &shown["key"], &shown["state"], &shown["stage"]),
        (&json!(1), &json!(1), &json!("ship"), &json!("v1"), &json!("done"), &json!("publish"))
    );
    assert_eq!(shown["rounds"], json!({"build": 2, "test": 2, "publish": 1}));
    assert_eq!(shown["jobs"], json!([1, 2, 3, 4, 5]));
    let outcomes: Vec<&Value> = shown["steps"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert_eq!(outcomes, ["done", "failed", "done", "done", "done"]);
    assert_eq!(ledger(&nest), ["build 1 build 1 v1", "test", "build 1 build 1 v1", "test", "publish"]);
    let people = nest.ok(&["task", "show", "1"]);
    assert!(people.contains("ship, revision 1") && people.contains("publish") && people.contains("done"), "{people}");
}

#[test]
fn a_stage_entered_max_rounds_times_fails_the_task() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1", "-p", "tries=99"]);
    nest.work_until_idle(&[]);
    let shown = task(&nest, id);
    assert_eq!((&shown["state"], &shown["rounds"]), (&json!("failed"), &json!({"build": 3, "test": 3})), "{shown}");
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("3 times") && error.contains("max_rounds") && error.contains("exit status 1"), "{error}");
}

#[test]
fn one_running_task_has_a_key_and_a_later_start_gives_that_one() {
    let nest = with(SHIP);
    let args = ["task", "start", "ship", "--key", "k", "-p", "version=1"];
    let first = nest.say(&args);
    let again = nest.say(&args);
    assert_eq!((first.out.as_str(), again.out.as_str(), again.code), ("1\n", "1\n", 0));
    assert!(again.err.contains("has this --key"), "{again:?}");
    assert_eq!(nest.json(&[&args[..], &["--json"]].concat()), json!({"schema": 1, "id": 1, "existing": true}));
    nest.work_until_idle(&[]);
    assert_eq!(nest.ok(&args), "2", "the key is free when the task has ended");
}

#[test]
fn wrong_parameters_of_each_kind_are_reported() {
    let nest = with(SHIP);
    refused(&nest, &["task", "start", "ship"], 2, &["missing: version", "-p version=VALUE"]);
    refused(&nest, &["task", "start", "ship", "-p", "version=1", "-p", "verson=1"], 2, &["\"verson\"", "tries, version"]);
    refused(&nest, &["task", "start", "ship", "-p", "version=1", "-p", "version=2"], 2, &["twice"]);
    refused(&nest, &["task", "start", "ship", "-p", "version"], 2, &["version=1.2"]);
    refused(&nest, &["task", "start", "ship", "-p", "\x1b[2J=1"], 2, &["name of a parameter"]);
    let long = format!("version={}", "x".repeat(131_060));
    refused(&nest, &["task", "start", "ship", "-p", &long], 2, &["131060 bytes", "file"]);
    refused(&nest, &["task", "start", "nope\x1b[2J"], 3, &["no pipeline", "pipeline ls"]);
    assert_eq!(nest.json(&["task", "ls", "-a", "--json"])["tasks"], json!([]));
    assert_eq!(nest.json(&["ls", "-a", "--json"])["jobs"], json!([]), "and nothing was queued");
}

#[test]
fn an_apply_is_all_or_nothing_and_equal_text_makes_no_revision() {
    let nest = with(SHIP);
    assert!(apply(&nest, SHIP).err.contains("revision 1, as it was"));
    assert!(apply(&nest, &SHIP.replace("max_rounds = 3", "max_rounds = 4")).err.contains("revision 2"));
    let bad = format!("{SHIP}\n[pipeline.other]\nstart = \"a\"\n");
    std::fs::write(nest.file("bad.toml"), &bad).unwrap();
    refused(&nest, &["pipeline", "apply", "bad.toml"], 2, &["bad.toml", "\"other\"", "no stage", "nothing was applied"]);
    std::fs::write(nest.file("bad.toml"), "[pipeline.\"\\u001b[2J\"]\nx = \u{1b}").unwrap();
    refused(&nest, &["pipeline", "apply", "bad.toml"], 2, &["line 2"]);
    std::fs::write(nest.file("bad.toml"), vec![b'#'; 2 << 20]).unwrap();
    refused(&nest, &["pipeline", "apply", "bad.toml"], 2, &["longer than"]);
    std::fs::write(nest.file("bad.toml"), b"\xff").unwrap();
    refused(&nest, &["pipeline", "apply", "bad.toml"], 2, &["UTF-8"]);
    refused(&nest, &["pipeline", "apply", "none.toml"], 2, &["none.toml"]);
    refused(&nest, &["pipeline", "show", "other"], 3, &["no pipeline"]);
    let listed = nest.json(&["pipeline", "ls", "--json"]);
    assert_eq!((&listed["pipelines"][0]["name"], &listed["pipelines"][0]["revision"]), (&json!("ship"), &json!(2)));
    let shown = nest.json(&["pipeline", "show", "ship", "--json"]);
    assert_eq!((&shown["max_rounds"], &shown["params"]), (&json!(4), &json!(["version"])));
    assert!(nest.ok(&["pipeline", "show", "ship"]).contains("build (start)"));
    assert!(nest.ok(&["pipeline", "ls"]).contains("build publish test"));
}

#[test]
fn a_task_stays_on_the_revision_that_it_was_started_with() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1"]);
    apply(&nest, "[pipeline.ship]\nstart = \"a\"\n[pipeline.ship.stage.a]\ncommand = [\"false\"]\n");
    let later = start(&nest, &["ship"]);
    nest.work_until_idle(&[]);
    assert_eq!((&task(&nest, id)["state"], &task(&nest, id)["revision"]), (&json!("done"), &json!(1)));
    assert_eq!((&task(&nest, later)["state"], &task(&nest, later)["revision"]), (&json!("failed"), &json!(2)));
}

#[test]
fn a_stop_of_a_queued_stage_ends_the_task_here_and_now() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "--key", "k", "-p", "version=1"]);
    let said = nest.say(&["task", "stop", "1", "--why", "not needed"]);
    assert_eq!((said.code, said.err.contains("cancelled")), (0, true), "{said:?}");
    let shown = task(&nest, id);
    assert_eq!((&shown["state"], &shown["stop_why"]), (&json!("cancelled"), &json!("not needed")));
    assert_eq!(nest.state(1), "cancelled");
    refused(&nest, &["task", "stop", "1"], 6, &["ended already"]);
    nest.work_until_idle(&[]);
    assert_eq!(ledger(&nest), [""; 0]);
    assert_eq!(start(&nest, &["ship", "--key", "k", "-p", "version=1"]), 2, "its key is free");
    refused(&nest, &["task", "stop", "9"], 3, &["no task 9"]);
}

#[test]
fn an_advance_moves_a_task_once_and_a_late_one_does_nothing() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1"]);
    nest.ok(&["task", "advance", "1", "--expect", "build", "--to", "publish"]);
    let before = task(&nest, id);
    assert_eq!((&before["stage"], &before["jobs"]), (&json!("publish"), &json!([1, 2])));
    assert_eq!((nest.state(1).as_str(), &before["steps"][0]["outcome"]), ("cancelled", &json!("advanced")));
    refused(&nest, &["task", "advance", "1", "--expect", "build", "--to", "test"], 6, &["is in stage publish, not in build"]);
    refused(
        &nest,
        &["task", "advance", "1", "--expect", "nope", "--to", "test"],
        3,
        &["no stage \"nope\"", "build, publish, test"],
    );
    refused(&nest, &["task", "advance", "1", "--expect", "publish", "--to", "nope"], 3, &["no stage"]);
    assert_eq!(task(&nest, id), before, "nothing was changed");
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, id)["state"], "done");
    assert_eq!(ledger(&nest), ["publish"]);
    refused(&nest, &["task", "advance", "1", "--expect", "publish", "--to", "test"], 6, &["has ended (done)", "task start"]);
    let history = nest.ok(&["history", "1"]);
    assert!(history.contains("stage build of task 1 (pipeline ship)") && history.contains("stage_left"), "{history}");
}

#[test]
fn a_held_task_starts_nothing_and_why_names_the_remedy() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1"]);
    nest.ok(&["task", "hold", "1"]);
    nest.work_until_idle(&[]);
    assert_eq!((nest.show(1)["hold"].as_str(), ledger(&nest).len()), (Some("task"), 0));
    let why = nest.json(&["why", "1", "--json"]);
    assert_eq!((&why["obstacles"][0]["code"], &why["obstacles"][0]["remedy"]), (&json!("task"), &json!("tenure task release 1")));
    assert_eq!((&why["task"], &why["stage"]), (&json!(1), &json!("build")));
    assert!(nest.ok(&["why", "1"]).contains("stage build of task 1 (pipeline ship), which is running (held)"));
    nest.ok(&["task", "release", "1"]);
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, id)["state"], "done");
    refused(&nest, &["task", "hold", "1"], 6, &["has ended"]);
}

#[test]
fn a_step_is_not_retried_by_itself() {
    let nest = with("[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"false\"]\n");
    start(&nest, &["p"]);
    nest.work_until_idle(&[]);
    refused(&nest, &["retry", "1"], 6, &["a step of task 1", "tenure task retry 1"]);
    let why = nest.json(&["why", "1", "--json"]);
    assert!(why["obstacles"][0]["remedy"].is_null(), "{why}");
}

#[test]
fn a_cancelled_step_cancels_its_task_and_an_expiry_fails_it() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1"]);
    nest.ok(&["cancel", "1"]);
    assert_eq!(task(&nest, id)["state"], "cancelled");
    apply(
        &nest,
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"true\"]\nexpires = \"1ms\"\non_failure = \"b\"\n\
                  [pipeline.p.stage.b]\ncommand = [\"true\"]\n",
    );
    let id = start(&nest, &["p"]);
    std::thread::sleep(std::time::Duration::from_millis(5)); // it expires after 1 ms; nothing tells of it without a worker
    nest.work_until_idle(&[]);
    let shown = task(&nest, id);
    assert_eq!(
        (&shown["state"], &shown["steps"][0]["outcome"], &shown["stage"]),
        (&json!("done"), &json!("failed"), &json!("b"))
    );
}

#[test]
fn the_job_of_a_stage_says_which_task_it_belongs_to() {
    let nest = with(SHIP);
    start(&nest, &["ship", "-p", "version=1"]);
    let job = nest.show(1);
    assert_eq!((&job["task"], &job["stage"], &job["label"]), (&json!(1), &json!("build"), &json!("ship/build")));
    assert!(nest.ok(&["show", "1"]).contains("stage build of task 1"));
    assert_eq!(nest.json(&["ls", "--json"])["jobs"][0]["task"], 1);
    assert_eq!(nest.status()["tasks"], json!({"running": 1, "done": 0, "failed": 0, "cancelled": 0}));
    assert!(nest.ok(&["status"]).contains("tasks   1 running"));
    let listed = nest.json(&["task", "ls", "--json"]);
    assert_eq!((&listed["tasks"][0]["stage"], &listed["tasks"][0]["rounds"]), (&json!("build"), &json!({"build": 1})));
    assert!(nest.ok(&["task", "ls"]).contains("ship"));
    let sql: String = nest.sql().query_row("SELECT stage || '|' || state FROM tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(sql, "build|running");
}

#[test]
fn an_ended_task_is_pruned_whole_and_a_running_one_stays() {
    let nest = with(
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"true\"]\non_success = \"b\"\n\
                     [pipeline.p.stage.b]\ncommand = [\"true\"]\nhold = true\n",
    );
    let (ended, waiting) = (start(&nest, &["p"]), start(&nest, &["p"]));
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, waiting)["stage"], "b");
    nest.ok(&["release", &task(&nest, ended)["job"].to_string()]);
    nest.work_until_idle(&[]);
    assert_eq!((&task(&nest, ended)["state"], &task(&nest, waiting)["state"]), (&json!("done"), &json!("running")));
    assert_eq!(
        nest.json(&["prune", "--older-than", "0s", "--json"]),
        json!({"schema": 1, "jobs": 2, "runs": 2, "occurrences": 0, "tasks": 1})
    );
    refused(&nest, &["task", "show", "1"], 3, &["no task 1"]);
    assert_eq!(task(&nest, waiting)["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(nest.state(2), "done", "its first job has ended and is kept");
}

#[test]
fn after_a_restore_a_task_waits_for_a_person_and_then_goes_on() {
    let nest = with(SHIP);
    let id = start(&nest, &["ship", "-p", "version=1"]);
    nest.ok(&["backup", "copy.db"]);
    nest.work_until_idle(&[]);
    nest.ok(&["restore", "copy.db"]);
    nest.work_until_idle(&[]);
    assert_eq!((&task(&nest, id)["state"], nest.show(1)["hold"].as_str()), (&json!("running"), Some("user")));
    nest.ok(&["release", "1"]);
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, id)["state"], "done");
    assert!(start(&nest, &["ship", "-p", "version=1"]) > 1, "no number of a task is given twice");
}

#[test]
fn a_plain_client_reads_tasks_and_cannot_write_them() {
    let nest = with(SHIP);
    start(&nest, &["ship", "--key", "k", "-p", "version=1"]);
    let conn = nest.sql();
    for attack in [
        "UPDATE task SET state = 'done', finished_at = 1",
        "UPDATE task SET stage = 'publish'",
        "UPDATE OR REPLACE task SET rowid = 7",
        "DELETE FROM task",
        "REPLACE INTO task (id, pipeline_id, pipeline, stage, created_at) VALUES (1, 1, 'ship', 'publish', 0)",
        "INSERT INTO task (pipeline_id, pipeline, stage, created_at) VALUES (1, 'ship', 'publish', 0)",
        "UPDATE pipeline SET spec = '{}'",
        "DELETE FROM pipeline",
        "REPLACE INTO pipeline VALUES (1, 'ship', 1, '{}', 0)",
        "INSERT INTO task_step VALUES (1, 2, 'publish', 1, 0, NULL, NULL)",
        "UPDATE task_step SET outcome = 'done', ended_at = 1",
        "DELETE FROM task_step",
        "UPDATE counter SET n = 5",
        "INSERT INTO job (command, task_id) VALUES (json_array('x'), 1)",
        "INSERT INTO job (command, task_hold) VALUES (json_array('x'), 1)",
        "UPDATE job SET task_id = NULL",
        "UPDATE job SET task_hold = 1",
    ] {
        for checks in ["ON", "OFF"] {
            conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
            assert!(conn.execute(attack, []).is_err(), "{attack}");
        }
    }
    conn.execute("INSERT INTO cancel (job_id) VALUES (1)", []).unwrap();
    nest.work_until_idle(&[]);
    assert_eq!(task(&nest, 1)["state"], "cancelled", "each client may cancel its job");
}

#[test]
fn the_page_about_pipelines_runs_as_it_stands() {
    let nest = Nest::new();
    let page = include_str!("../../docs/pipelines.md");
    let blocks: Vec<&str> = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 4);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tenure"));
    for block in blocks {
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-e", "-c", block]).current_dir(nest.path()).env("PATH", path).env("TENURE_DB", nest.db());
        let said = shell.env("HOME", nest.path()).env("XDG_CONFIG_HOME", nest.path()).output().unwrap();
        assert!(
            said.status.success(),
            "{block}\n{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
    }
    assert_eq!(std::fs::read_to_string(nest.file("published")).unwrap(), "1.2\n1.4\n");
}
