//! `rm` and `prune` with selectors: what goes with its log, what stays and why, and what a dry run says.

use std::path::PathBuf;

use crate::support::Nest;

/// Jobs 1 (done, queue a, label x), 2 (failed, queue b, label x), 3 (cancelled, queue b), 4 (held, waits for 2).
fn file() -> Nest {
    let nest = Nest::new();
    nest.sh(&["-q", "a", "-l", "x"], "echo one");
    nest.sh(&["-q", "b", "-l", "x"], "exit 3");
    nest.work_until_idle(&[]);
    nest.sh(&["-q", "b", "--hold"], "true");
    nest.ok(&["cancel", "3"]);
    nest.sh(&["-q", "c", "--hold", "--after-any", "2"], "true");
    nest
}

fn ids(nest: &Nest) -> String {
    nest.ok(&["ls", "-a", "--ids"]).replace('\n', " ")
}

fn log(nest: &Nest, id: i64) -> PathBuf {
    PathBuf::from(nest.show(id)["runs"][0]["log"].as_str().expect("it has run"))
}

#[test]
fn ended_jobs_are_removed_with_their_logs() {
    let nest = file();
    let (first, second) = (log(&nest, 1), log(&nest, 2));
    let said = nest.say(&["rm", "1,3"]);
    assert!(said.code == 0 && said.err.contains("removed 2 jobs with 1 run and their logs"), "{said:?}");
    assert!(!first.exists() && second.exists());
    assert_eq!(ids(&nest), "2 4");
    assert!(!nest.ok(&["queue", "ls"]).contains("\na "), "a queue goes with its last job");
    assert_eq!(nest.say(&["rm", "1"]).code, 3);
    assert_eq!(nest.say(&["history", "1"]).code, 3);
}

#[test]
fn what_must_stay_is_named_with_the_remedy() {
    let nest = file();
    let said = nest.say(&["rm", "1-4"]);
    assert_eq!((said.code, ids(&nest).as_str()), (6, "2 4"), "{said:?}");
    for words in ["removed 2 jobs", "job 2 stays, as job 4 waits for it", "tenure cancel 4", "job 4 is queued", "tenure cancel 4"]
    {
        assert!(said.err.contains(words), "{words:?}: {said:?}");
    }
    let document: serde_json::Value = serde_json::from_str(&nest.say(&["rm", "2", "4", "--json"]).out).unwrap();
    assert_eq!(
        (&document["jobs"], &document["kept"][0]["reason"], &document["kept"][1]["id"]),
        (&0.into(), &"dependency".into(), &4.into())
    );
    nest.ok(&["cancel", "4"]);
    nest.ok(&["rm", "2,4"]);
    assert_eq!(ids(&nest), "");
    // A label means the ended jobs.
    let (held, ended) = (nest.add(&["--hold", "-l", "x", "--", "true"]), nest.add(&["-l", "x", "--", "true"]));
    nest.ok(&["cancel", &ended.to_string()]);
    nest.ok(&["rm", "@x"]);
    assert_eq!(ids(&nest), held.to_string());
    assert_eq!(nest.say(&["rm", "@x"]).code, 3);
}

#[test]
fn jobs_are_pruned_by_what_they_have_in_common() {
    for (selectors, left) in [
        (&["--state", "done"][..], "2 3 4"),
        (&["--queue", "b"], "1 2 4"),
        (&["--label", "x"], "2 3 4"),
        (&["-l", "x", "--state", "failed"], "1 2 3 4"),
        (&["--state", "done", "--state", "cancelled"], "2 4"),
        (&["--queue", "none"], "1 2 3 4"),
        (&["--state", "done", "--older-than", "1d"], "1 2 3 4"),
        (&["--state", "done", "--older-than", "0s"], "2 3 4"),
    ] {
        let nest = file();
        let before = (ids(&nest), log(&nest, 1));
        let plan = nest.say(&[&["prune", "--dry-run"], selectors].concat());
        let goes: Vec<&str> = before.0.split(' ').filter(|id| !left.split(' ').any(|kept| kept == *id)).collect();
        assert!(plan.code == 0 && plan.err.contains("nothing was changed"), "{plan:?}");
        assert_eq!((plan.out.trim_end(), ids(&nest), before.1.exists()), (goes.join(" ").as_str(), before.0.clone(), true));
        let json = nest.json(&[&["prune", "--dry-run", "--json"], selectors].concat());
        assert_eq!(json["ids"].as_array().unwrap().len(), goes.len(), "{json}");
        let said = nest.say(&[&["prune"], selectors].concat());
        assert_eq!((said.code, ids(&nest).as_str()), (0, left), "{selectors:?}: {said:?}");
        assert_eq!(before.1.exists(), left.starts_with('1'), "{selectors:?}");
        assert_eq!(json["jobs"].as_u64(), Some(goes.len() as u64));
    }
    let nest = file();
    let said = nest.say(&["prune", "--state", "failed"]);
    assert!(said.err.contains("1 job that matches stays (dependency: 1); tenure rm ID"), "{said:?}");
    for args in
        [&["--state", "queued"][..], &["--state", "running", "--dry-run"], &["--state", "x"], &["-q", ""], &[], &["--dry-run"]]
    {
        assert_eq!(nest.say(&[&["prune"], args].concat()).code, 2, "{args:?}");
    }
}

#[test]
fn a_dry_run_by_age_agrees_with_the_prune() {
    let nest = file();
    let plan = nest.json(&["prune", "--older-than", "0s", "--dry-run", "--json"]);
    assert_eq!((&plan["jobs"], &plan["runs"], &plan["ids"]), (&2.into(), &1.into(), &serde_json::json!([1, 3])));
    let done = nest.json(&["prune", "--older-than", "0s", "--json"]);
    assert_eq!((&done["jobs"], &done["runs"]), (&plan["jobs"], &plan["runs"]));
    let empty = Nest::new();
    assert_eq!(empty.say(&["prune", "--state", "done", "--dry-run"]).code, 4);
    assert!(!empty.db().exists(), "a dry run creates nothing");
}

#[test]
fn a_task_is_removed_as_a_whole() {
    let nest = Nest::new();
    std::fs::write(
        nest.file("p.toml"),
        "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"true\"]\nqueue = \"q\"\n",
    )
    .unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "p"]);
    nest.work_until_idle(&[]);
    let said = nest.say(&["rm", "1"]);
    assert!(said.code == 6 && said.err.contains("stays with its task 1") && said.err.contains("tenure prune"), "{said:?}");
    let said = nest.say(&["prune", "--queue", "q"]);
    assert!(said.code == 0 && said.err.contains("1 job that matches stays (task: 1)"), "{said:?}");
    assert_eq!(ids(&nest), "1");
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(ids(&nest), "");
}

#[test]
fn a_mistyped_queue_or_lane_is_removable_and_one_in_use_is_not() {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "biuld", "--slots", "2"]);
    nest.ok(&["lane", "set", "dpeloy", "--limit", "2"]);
    nest.ok(&["queue", "rm", "biuld"]);
    nest.ok(&["lane", "rm", "dpeloy"]);
    assert!(!nest.ok(&["queue", "ls"]).contains("biuld") && !nest.say(&["lane", "ls"]).out.contains("dpeloy"));
    nest.add(&["-q", "build", "--lane", "deploy", "--hold", "--", "true"]);
    for (what, name) in [("queue", "build"), ("lane", "deploy")] {
        let said = nest.say(&[what, "rm", name]);
        assert!(said.code == 6 && said.err.contains("job") && said.err.contains(name), "{said:?}");
        assert_eq!(nest.say(&[what, "rm", "none"]).code, 3);
    }
    // Of a queue whose jobs have ended, the limits are removed.
    nest.ok(&["cancel", "1"]);
    nest.ok(&["queue", "rm", "build"]);
    nest.ok(&["lane", "rm", "deploy"]);
    assert_eq!(ids(&nest), "1");
}
