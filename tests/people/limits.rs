//! A user neither outruns the others nor fills what is not theirs.

use super::{ANN, BOB, Town, can_be_several, uid};
use crate::support::{until, within};

#[test]
fn a_user_runs_so_many_jobs_at_once_and_others_run_beside() {
    if !can_be_several("limits of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&["--slots", "3"], &[("PEOPLE_MAX_RUNNING", "2")]);
    let first: Vec<String> = (0..6).map(|_| town.add(ANN, &["--priority", "0", "--", "sleep", "600"])).collect();
    first[..2].iter().for_each(|id| town.until_state(id, "running"));
    let bob = town.add(BOB, &["--priority", "-5", "--", "sleep", "600"]);
    town.until_state(&bob, "running");
    let running = || -> i64 {
        town.nest
            .sql()
            .query_row("SELECT count(*) FROM job WHERE state = 'running' AND owner = ?1", [uid(ANN)], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(running(), 2);
    assert!(town.ok(ANN, &["why", &first[2]]).contains("lane"), "{}", town.ok(ANN, &["why", &first[2]]));
    // Root can change it.
    town.nest.ok(&["cancel", &bob]);
    town.nest.ok(&["lane", "set", &format!("user-{}", uid(ANN)), "--limit", "3"]);
    until("a third one", || (running() == 3).then_some(()));
    town.ok(ANN, &["cancel", "--state", "queued"]);
    town.ok(ANN, &["cancel", "--state", "running"]);
    until("all to end", || (running() == 0).then_some(()));
}

#[test]
fn a_user_has_so_many_jobs_and_others_have_theirs() {
    if !can_be_several("limits of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[("PEOPLE_MAX_QUEUED", "3"), ("PEOPLE_MAX_KEPT", "5")]);
    let ids: Vec<String> = (0..3).map(|_| town.add(ANN, &["--hold", "--", "true"])).collect();
    let one_more = || town.say(ANN, &["add", "--hold", "--", "true"]);
    let said = one_more();
    assert!(said.code == 6 && said.err.contains("3 of your jobs are queued"), "{said:?}");
    assert_eq!(town.say(ANN, &["add", "--array", "0-3", "--hold", "--", "true"]).code, 6);
    town.add(BOB, &["--array", "0-2", "--hold", "--", "true"]);
    town.ok(ANN, &["cancel", &ids[0]]);
    town.ok(ANN, &["cancel", &ids[1]]);
    (0..2).for_each(|_| assert_eq!(one_more().code, 0));
    assert_eq!(town.say(ANN, &["retry", &ids[0]]).code, 6, "a retry queues one as well");
    town.ok(ANN, &["cancel", &ids[2]]);
    let said = one_more();
    assert!(said.code == 6 && said.err.contains("5 of your jobs are recorded") && said.err.contains("rm"), "{said:?}");
    town.ok(ANN, &["rm", &ids[0]]);
    assert_eq!(one_more().code, 0);
}

#[test]
fn the_logs_of_a_user_have_a_limit_together() {
    if !can_be_several("limits of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[("PEOPLE_LOG_SPACE", "1M"), ("LOG_LIMIT", "512K")]);
    let fill = "head -c 3000000 /dev/zero | tr '\\\\0' x";
    let space = |id: &str| -> u64 {
        use std::os::unix::fs::MetadataExt;
        let run = town.job(id)["run_id"].as_i64().unwrap();
        std::fs::metadata(town.nest.beside().join(format!("logs/000/{run}.log"))).unwrap().blocks() * 512
    };
    let first = town.add(ANN, &["-c", fill]);
    town.until_state(&first, "done");
    assert!((400 << 10..600 << 10).contains(&space(&first)), "{}", space(&first));
    // Measured again after some seconds.
    let refused = within(std::time::Duration::from_secs(40), || {
        let said = town.say(ANN, &["add", "-c", fill]);
        if said.code == 0 {
            town.until_state(said.out.trim(), "done");
        }
        (said.code == 6).then_some(said)
    });
    let refused = refused.expect("the limit to be reached");
    assert!(refused.err.contains("the logs of the user take"), "{refused:?}");
    let retried = town.say(ANN, &["retry", &first]);
    assert!(retried.code == 6 && retried.err.contains("the logs of the user take"), "{retried:?}");
    let logs: u64 = town
        .nest
        .sql()
        .prepare("SELECT id FROM job WHERE owner = ?1 AND run_id IS NOT NULL")
        .unwrap()
        .query_map([uid(ANN)], |row| row.get::<_, i64>(0))
        .unwrap()
        .map(|id| space(&id.unwrap().to_string()))
        .sum();
    println!("{logs} bytes of logs");
    assert_eq!(town.say(BOB, &["add", "--", "true"]).code, 0, "another user is not concerned");
    town.ok(
        ANN,
        &[
            "rm",
            "--",
            &town
                .ok(ANN, &["ls", "-a", "--ids"])
                .lines()
                .filter(|id| town.job(id)["owner"] == uid(ANN))
                .collect::<Vec<_>>()
                .join(","),
        ],
    );
    until("room", || (town.say(ANN, &["add", "--", "true"]).code == 0).then_some(()));
}

#[test]
fn a_result_is_cut_while_its_job_runs() {
    if !can_be_several("limits of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let id = town.add(ANN, &["-c", "head -c 20000000 /dev/zero | tr '\\0' x >$TENURE_RESULT; echo written; sleep 600"]);
    until("it to be written", || town.say(ANN, &["logs", &id]).out.contains("written").then_some(()));
    let run = town.job(&id)["run_id"].to_string();
    let size = || std::fs::metadata(town.nest.beside().join("results").join(&run)).unwrap().len();
    until("it to be cut", || (size() <= 70 << 10).then_some(()));
    town.ok(ANN, &["cancel", &id]);
    town.until_state(&id, "cancelled");
    assert_eq!(town.show(ANN, &id)["result"].as_str().unwrap().len(), 64 << 10);
}

/// Each time adds rows, which stay as long as the job.
#[test]
fn a_job_is_not_held_and_released_without_end() {
    if !can_be_several("limits of users") {
        return;
    }
    let town = Town::new();
    let worker = town.work(&[], &[]);
    let id = town.add(ANN, &["--hold", "--", "true"]);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001) INSERT INTO event (job_id, kind) SELECT ?1, 'held' FROM n";
    town.nest.owner().execute(sql, [&id]).unwrap();
    let said = town.say(ANN, &["release", &id]);
    assert!(said.code == 6 && said.err.contains("1000 times"), "{said:?}");
    town.ok(ANN, &["cancel", &id]);
    town.ok(ANN, &["rm", &id]);
    assert_eq!(worker.stop(), 0);
    assert!(!town.socket().exists());
    let said = town.say(ANN, &["ls"]);
    assert!(said.code == 5 && said.err.contains("tenure work --system"), "{said:?}");
}

#[test]
fn a_queue_that_a_user_could_pause_is_warned_of() {
    if !can_be_several("a queue that pauses itself") {
        return;
    }
    let town = Town::new();
    for (queue, settings) in [("default", "default"), ("other", "default"), ("other", "default,other")] {
        town.nest.ok(&["queue", "set", "default", "--on-failure", "none"]);
        town.nest.ok(&["queue", "set", queue, "--on-failure", "pause"]);
        let worker = town.work(&[], &[("PEOPLE_QUEUES", settings)]);
        town.ok(ANN, &["ls"]);
        let is_open = settings.contains(queue);
        assert_eq!(worker.said().contains(&format!("queue {queue} pauses itself")), is_open, "{}", worker.said());
        drop(worker);
    }
}
