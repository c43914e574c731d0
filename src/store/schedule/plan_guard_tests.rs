//! What the file refuses, and how an altered row affects the others.

use super::tests::{HOUR, START, new, plan_at, with};
use super::*;
use crate::store::fixture;
use crate::store::schedule::{add, existing, list, occurrences, recompute_next};

#[test]
fn a_plain_client_pauses_and_its_clock_says_since_when() {
    let conn = with("0 * * * *", CatchUp::All);
    plan_at(&conn, START + HOUR);
    fixture::make_plain(&conn);
    conn.execute("UPDATE schedule SET paused = 1 WHERE name = 's'", []).unwrap();
    let since = existing(&conn, "s").unwrap().paused_at.unwrap();
    assert!(since > START, "{since}");
    conn.execute("UPDATE schedule SET paused = 0 WHERE name = 's'", []).unwrap();
    assert!(existing(&conn, "s").unwrap().resumed_at.unwrap() >= since);
    for checks in ["OFF", "ON"] {
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
        for refused in [
            "UPDATE schedule SET paused = 2",
            "UPDATE schedule SET cron = '* * * * *'",
            "UPDATE schedule SET template = '{}'",
            "UPDATE schedule SET decided_until = 0",
            "UPDATE schedule SET next_at = 0",
            "UPDATE schedule SET rowid = 9",
            "UPDATE OR REPLACE schedule SET rowid = 9, paused = 1",
            "DELETE FROM schedule",
            "INSERT OR REPLACE INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('s', '* * * * *', 'UTC', '{}', 0, 0)",
            "INSERT INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at) VALUES (1, 1, 1, 'fired', 1, 1)",
            "DELETE FROM occurrence",
            "UPDATE occurrence SET state = 'skipped'",
        ] {
            assert!(conn.execute(refused, []).is_err(), "{checks}: {refused}");
        }
    }
    let shown: (String, i64) =
        conn.query_row("SELECT name, next_at FROM schedules", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(shown, ("s".into(), START + 2 * HOUR));
}

#[test]
fn the_guards_hold_against_our_own_mistakes_too() {
    let conn = with("0 * * * *", CatchUp::Latest);
    plan_at(&conn, START + HOUR);
    for refused in [
        "UPDATE occurrence SET job_id = 7",
        "UPDATE OR REPLACE occurrence SET at = 5",
        "INSERT OR REPLACE INTO occurrence SELECT schedule_id, at, at, 1, 'fired', NULL, 7, 1 FROM occurrence",
        "INSERT INTO occurrence (schedule_id, at, last_at, state, decided_at) VALUES (1, 1, 1, 'fired', 1)",
        "INSERT INTO occurrence (schedule_id, at, last_at, state, decided_at) VALUES (1, 1, 1, 'skipped', 1)",
        "INSERT OR REPLACE INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('s', 'x', 'x', '{}', 0, 0)",
        "INSERT INTO schedule (id, name, cron, zone, template, decided_until, created_at) VALUES (1, 't', 'x', 'x', '{}', 0, 0)",
        "UPDATE schedule SET name = 't'",
    ] {
        assert!(conn.execute(refused, []).is_err(), "{refused}");
    }
}

#[test]
fn a_schedule_that_cannot_be_read_says_so_and_the_others_go_on() {
    let conn = fixture::fresh();
    for name in ["a-template", "b-cron", "c-zone", "d-policy", "z-good"] {
        add(&conn, &new(name, "0 * * * *", CatchUp::Latest), START).unwrap();
    }
    conn.execute_batch(
        "UPDATE schedule SET template = '{\"command\": 7}' WHERE name = 'a-template';
         UPDATE schedule SET cron = 'x' WHERE name = 'b-cron';
         UPDATE schedule SET zone = 'Mars/Olympus' WHERE name = 'c-zone';
         UPDATE schedule SET template = json_set(template, '$.queue', '') WHERE name = 'd-policy'",
    )
    .unwrap();
    assert_eq!(plan_at(&conn, START + HOUR).jobs.len(), 1);
    let error = |name: &str| existing(&conn, name).unwrap().last_error.unwrap_or_default();
    assert!(error("a-template").contains("occurrence 2026-01-01T01:00:00+00:00: template:"), "{}", error("a-template"));
    assert!(error("b-cron").contains("not a cron line") && error("c-zone").contains("Mars/Olympus"));
    assert!(error("d-policy").contains("queue: it is empty"), "{}", error("d-policy"));
    assert_eq!(error("z-good"), "");
    let listed = list(&conn).unwrap();
    assert_eq!(listed[0].skipped.as_ref().unwrap().reason.as_deref(), Some("error"));
    conn.execute_batch(
        "UPDATE schedule SET cron = '0 * * * *', zone = 'UTC', template = (SELECT template FROM schedule WHERE name = 'z-good')",
    )
    .unwrap();
    assert_eq!(recompute_next(&conn).unwrap(), 2, "the next worker looks again at what could not be read");
    plan_at(&conn, START + 2 * HOUR);
    assert!(list(&conn).unwrap().iter().all(|one| one.schedule.last_error.is_none() && one.fired.is_some()));
    assert_eq!(recompute_next(&conn).unwrap(), 0);
}

#[test]
fn a_row_that_no_guard_would_allow_stops_no_other_schedule() {
    let conn = fixture::fresh();
    for name in ["bent", "good"] {
        add(&conn, &new(name, "0 * * * *", CatchUp::Latest), START).unwrap();
    }
    conn.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE schedule SET catch_up_max = 1000000000, catch_up = 'some', pruned_until = -5 WHERE name = 'bent';
         PRAGMA ignore_check_constraints = OFF",
    )
    .unwrap();
    assert_eq!(plan(&conn, START + HOUR, SCHEDULES_MAX).unwrap().jobs.len(), 1);
    conn.execute_batch(
        "DROP TRIGGER occurrence_insert_guard;
         CREATE TRIGGER occurrence_insert_guard BEFORE INSERT ON occurrence WHEN NEW.schedule_id = 2 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let third = add(&conn, &new("third", "0 * * * *", CatchUp::Latest), START).unwrap();
    assert_eq!(plan(&conn, START + 2 * HOUR, SCHEDULES_MAX).unwrap().jobs.len(), 1);
    assert_eq!(occurrences(&conn, third, 9).unwrap().len(), 2);
    assert!(existing(&conn, "good").unwrap().last_error.unwrap().contains("no"));
}

#[test]
fn names_that_would_be_trouble_are_refused_with_the_remedy() {
    let conn = fixture::fresh();
    for bad in ["", "a b", "\x1b[2J", "-x", "ü", "a/b", &"x".repeat(201), &"x".repeat(1 << 20)] {
        match add(&conn, &new(bad, "0 * * * *", CatchUp::None), START) {
            Err(Error::Invalid(text)) => assert!(text.contains("nightly-backup") && text.len() < 300, "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
