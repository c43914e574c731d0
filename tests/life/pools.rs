//! Pools under a worker: who gets which units, who waits, and that a unit is never had twice, however often the worker is killed.

use serde_json::Value;

use crate::support::{Nest, until};

/// Takes each unit of its pools that it is told of, which one job can do at a time, and notes when one is taken.
const TAKER: &str = r#"for unit in $(echo "$TENURE_POOL_GPU" | tr , ' '); do
  mkdir "gpu$unit" || echo "job $TENURE_JOB found unit $unit taken" >> over
done
[ "$(echo "$TENURE_POOL_GPU" | tr , ' ' | wc -w)" -eq "$1" ] || echo "job $TENURE_JOB has $TENURE_POOL_GPU, and wants $1" >> over
sleep 0.0$((TENURE_JOB % 7))
for unit in $(echo "$TENURE_POOL_GPU" | tr , ' '); do rmdir "gpu$unit"; done"#;
/// Ends when it is told to.
const HOLDER: &str = r#"echo "units $TENURE_POOL_GPU"; until [ -e "go$TENURE_JOB" ]; do sleep 0.02; done"#;

fn go(nest: &Nest, id: i64) {
    std::fs::write(nest.file(&format!("go{id}")), "").unwrap();
}

fn pool(nest: &Nest) -> Value {
    nest.json(&["pool", "ls", "--json"])["pools"][0].clone()
}

#[test]
fn a_job_waits_for_all_that_it_uses_and_in_its_turn() {
    let nest = Nest::new();
    let refused = nest.say(&["add", "--use", "gpu=1", "--", "true"]);
    assert!(refused.code == 3 && refused.err.contains("tenure pool set gpu --limit 1"), "{refused:?}");
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    let _worker = nest.work(&["--slots", "8"]);
    let one = nest.sh(&["--use", "gpu=1"], HOLDER);
    nest.until_log(one, "units 0");
    let both = nest.sh(&["--use", "gpu=2"], HOLDER);
    let small = nest.sh(&["--use", "gpu", "-q", "other"], HOLDER);
    nest.until_ended(nest.sh(&[], "true"));
    let why = nest.ok(&["why", &both.to_string()]);
    assert!(why.contains(&format!("it uses 2 of pool \"gpu\", and 1 of 2 are free (taken: 1 by job {one})")), "{why}");
    let why = nest.ok(&["why", &small.to_string()]);
    assert!(why.contains(&format!("job {both} comes first in pool \"gpu\"")), "{why}");
    // One that is suspended gives nothing back by itself; another one that is suspended has nothing to do with it.
    let other = nest.sh(&[], HOLDER);
    nest.until_log(other, "units");
    for (suspended, remedy) in [(other, format!("tenure wait {one}")), (one, format!("tenure resume {one}"))] {
        nest.ok(&["suspend", &suspended.to_string()]);
        until("the suspension", || (nest.show(suspended)["suspension"]["state"] == "suspended").then_some(()));
        let why = nest.ok(&["why", &both.to_string()]);
        assert_eq!((why.contains(&remedy), why.contains("(suspended)")), (true, suspended == one), "{why}");
        nest.ok(&["resume", &suspended.to_string()]);
        until("it to continue", || nest.show(suspended)["suspension"].is_null().then_some(()));
    }
    go(&nest, other);
    let shown = nest.show(small);
    assert_eq!((&shown["hold"], &shown["uses"]), (&"pool".into(), &serde_json::json!({"gpu": 1})));
    go(&nest, one);
    nest.until_log(both, "units 0,1");
    assert_eq!(nest.state(small), "queued");
    // A smaller pool takes nothing away, and a job that uses too much blocks none.
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    let said = nest.say(&["add", "--use", "gpu=2", "--", "true"]);
    let told = "it uses 2 of pool \"gpu\" and waits, because that has 1; tenure pool set gpu --limit 2";
    assert!(said.code == 0 && said.err.contains(told), "{said:?}");
    nest.ok(&["cancel", said.out.trim()]);
    let large = nest.sh(&["--use", "gpu=2", "-o", "5"], HOLDER);
    assert!(nest.ok(&["why", &large.to_string()]).contains("tenure pool set gpu --limit 2"));
    let now = pool(&nest);
    assert!(now["taken"] == 2 && now["waiting"].as_i64() >= Some(2), "also one that uses too much waits: {now}");
    assert_eq!(nest.say(&["pool", "rm", "gpu"]).code, 6);
    nest.ok(&["cancel", &both.to_string()]);
    nest.until_log(small, "units 0");
    assert!(nest.ok(&["ls", "--columns", "id,uses"]).contains("gpu=1"));
    nest.ok(&["set", &large.to_string(), "use=none"]);
    [small, large].iter().for_each(|id| go(&nest, *id));
    nest.until_ended(small);
    nest.until_ended(large);
    assert_eq!(pool(&nest), serde_json::json!({"name": "gpu", "limit": 1, "taken": 0, "waiting": 0}));
    nest.ok(&["pool", "rm", "gpu"]);
}

#[test]
fn no_unit_is_had_twice_however_often_the_worker_is_killed() {
    let nest = Nest::new();
    std::fs::write(nest.file("taker"), TAKER).unwrap();
    nest.ok(&["pool", "set", "gpu", "--limit", "3"]);
    let amount = |n: i64| [1, 2, 1, 3, 1][n as usize % 5].to_string();
    let add = |n: i64| {
        let (uses, queue) = (format!("gpu={}", amount(n)), format!("q{}", n % 3));
        nest.add(&["--use", &uses, "-q", &queue, "--", "/bin/sh", "taker", &amount(n)])
    };
    let jobs: Vec<i64> = (0..28).map(add).collect();
    let done = || nest.sql().query_row("SELECT count(*) FROM job WHERE state = 'done'", [], |row| row.get::<_, i64>(0)).unwrap();
    for kill in 1..=6 {
        let worker = nest.work(&["--slots", "6", "--tick", "20ms"]);
        until("some jobs to end", || (done() >= kill * 4).then_some(()));
        worker.kill();
    }
    let _worker = nest.work(&["--slots", "6", "--tick", "20ms"]);
    jobs.iter().for_each(|id| assert_eq!(nest.until_ended(*id)["state"], "done"));
    assert_eq!(std::fs::read_to_string(nest.file("over")).unwrap_or_default(), "");
    assert_eq!(pool(&nest), serde_json::json!({"name": "gpu", "limit": 3, "taken": 0, "waiting": 0}));
}

#[test]
fn the_check_of_an_adopted_run_finds_its_units() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "3"]);
    let worker = nest.work(&["--slots", "3"]);
    let other = nest.sh(&["--use", "gpu"], HOLDER);
    nest.until_log(other, "units 0");
    let job = nest.sh(&["--use", "gpu=2", "--check", "echo \"$TENURE_POOL_GPU\" >checked"], HOLDER);
    nest.until_log(job, "units 1,2");
    worker.kill();
    let _worker = nest.work(&["--slots", "3"]);
    [job, other].iter().for_each(|id| go(&nest, *id));
    [job, other].iter().for_each(|id| assert_eq!(nest.until_ended(*id)["state"], "done"));
    assert_eq!(std::fs::read_to_string(nest.file("checked")).unwrap(), "1,2\n");
}

/// What it waits for apart from the pool may last, and may even wait for a job behind it.
#[test]
fn a_job_that_could_not_start_anyway_keeps_no_pool() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    nest.ok(&["queue", "set", "narrow", "--slots", "1"]);
    let _worker = nest.work(&["--slots", "8"]);
    let in_queue = nest.sh(&["-q", "narrow"], HOLDER);
    let in_lane = nest.sh(&["--lane", "l"], HOLDER);
    [in_queue, in_lane].iter().for_each(|id| nest.until_log(*id, "units"));
    let behind_queue = nest.sh(&["-q", "narrow", "--use", "gpu"], "true");
    let behind_lane = nest.sh(&["--lane", "l", "--use", "gpu"], "true");
    nest.until_ended(nest.sh(&["--use", "gpu"], "true"));
    assert_eq!((nest.state(behind_queue).as_str(), nest.state(behind_lane).as_str()), ("queued", "queued"));
    [in_queue, in_lane].iter().for_each(|id| go(&nest, *id));
    [behind_queue, behind_lane].iter().for_each(|id| assert_eq!(nest.until_ended(*id)["state"], "done"));
}

#[test]
fn a_run_without_a_worker_comes_before_jobs_that_nothing_starts() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    nest.ok(&["work", "--queue", "a", "--until-idle"]);
    let other = nest.sh(&["--use", "gpu", "-q", "a"], "true");
    let said = nest.say(&["run", "--use", "gpu", "--", "sh", "-c", "echo unit $TENURE_POOL_GPU"]);
    assert!(said.code == 0 && said.out.contains("unit 0"), "{said:?}");
    assert_eq!(nest.state(other), "queued");
    nest.ok(&["work", "--until-idle"]);
    assert_eq!(nest.state(other), "done");
}

#[test]
fn a_run_that_would_wait_for_its_own_job_is_refused() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "3"]);
    let _worker = nest.work(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let refused = nest.sh(&["--use", "gpu=2"], &format!("{tenure} run --use gpu=2 -- true"));
    let ended = nest.until_ended(refused);
    let log = nest.log(refused);
    assert!(ended["exit_code"] == 6 && log.contains("it needs 4 of pool \"gpu\", which has 3"), "{ended}: {log}");
    let fits = nest.sh(&["--use", "gpu=2"], &format!("{tenure} run --use gpu -- true"));
    assert_eq!(nest.until_ended(fits)["state"], "done");
}

#[test]
fn a_worker_repairs_pools_that_a_client_has_bent() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    let id = nest.sh(&["--use", "gpu", "--hold"], "true");
    let bent = "DROP TRIGGER pool_unit_insert_guard; DROP TRIGGER pool_update_guard; DROP TRIGGER job_update_guard;
                DROP TRIGGER pool_use_delete_guard; DROP TRIGGER pool_use_insert_guard;
                INSERT INTO pool_unit VALUES ('gpu', 0, 99); UPDATE pool SET head_id = 99; DELETE FROM pool_use;";
    nest.owner().execute_batch(bent).unwrap();
    nest.ok(&["release", &id.to_string()]);
    let _worker = nest.work(&["--tick", "20ms"]);
    nest.until_state(id, "done");
    assert_eq!(pool(&nest)["taken"], 0);
}

#[test]
fn jobs_of_a_queue_without_a_worker_keep_no_pool() {
    let nest = Nest::new();
    std::fs::write(nest.file("config.toml"), "[pool]\ngpu = 1\n").unwrap();
    nest.ok(&["pool", "set", "gpu", "--limit", "3"]);
    let unserved = nest.sh(&["--use", "gpu", "-q", "a"], "true");
    let served = nest.sh(&["--use", "gpu", "-q", "b"], "true");
    let config = nest.file("config.toml");
    let _worker = nest.work_with(&["--queue", "b"], &[("TENURE_CONFIG", config.as_os_str())]);
    nest.until_state(served, "done");
    assert_eq!((nest.state(unserved).as_str(), &pool(&nest)["limit"]), ("queued", &1.into()));
}
