use std::sync::{Arc, Barrier};

use super::*;
use crate::job::{Argv, State};
use crate::store::fixture;
use crate::store::job::read;
use crate::store::schedule::{NewSchedule, add, existing, occurrences, pause, prune, remove, start_from_now};

const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01T00:00:00Z
pub(super) const START: i64 = 1_767_225_600_000;

fn template() -> Template {
    Template::of(NewJob::new(Argv::from_strs(&["true"]).unwrap()), None, None).unwrap()
}

pub(super) fn new(name: &str, cron: &str, catch_up: CatchUp) -> NewSchedule {
    NewSchedule {
        name: name.into(),
        cron: cron.into(),
        zone: "UTC".into(),
        catch_up,
        catch_up_max: 100,
        overlap: Overlap::Allow,
        jitter_ms: 0,
        boot_id: "this boot".into(),
        template: template(),
    }
}

pub(super) fn with(cron: &str, catch_up: CatchUp) -> Connection {
    let conn = fixture::fresh();
    add(&conn, &new("s", cron, catch_up), START).unwrap();
    conn
}

pub(super) fn plan_at(conn: &Connection, now: i64) -> Planned {
    let planned = plan(conn, now, SCHEDULES_MAX).unwrap();
    assert!(planned.more || !is_due(conn, now).unwrap(), "a round leaves nothing that is due");
    planned
}

/// Hours after the start of the occurrences for which there are jobs, as the jobs say it
/// themselves.
fn hours_of_jobs(conn: &Connection) -> Vec<i64> {
    let mut envs = conn.prepare("SELECT json_extract(env, '$.TENURE_SCHEDULED_FOR') FROM job ORDER BY id").unwrap();
    let hour = |text: String| (text.parse::<jiff::Timestamp>().unwrap().as_millisecond() - START) / HOUR;
    envs.query_map([], |row| row.get(0).map(hour)).unwrap().map(Result::unwrap).collect()
}

fn told(conn: &Connection) -> Vec<(i64, i64, Option<i64>, String)> {
    let id = existing(conn, "s").unwrap().id;
    let occurrences = occurrences(conn, id, 1_000).unwrap();
    let hour = |at: i64| (at - START) / HOUR;
    occurrences.into_iter().map(|s| (hour(s.at), hour(s.last_at), s.n, s.reason.unwrap_or_else(|| "fired".into()))).collect()
}

fn missed(from: i64, to: i64, n: i64) -> (i64, i64, Option<i64>, String) {
    (from, to, Some(n), "missed".into())
}

fn was_fired(hour: i64) -> (i64, i64, Option<i64>, String) {
    (hour, hour, Some(1), "fired".into())
}

#[test]
fn each_occurrence_of_years_becomes_one_job_that_knows_it() {
    let conn = with("0 3 * * *", CatchUp::Latest);
    let mut now = START;
    while now < START + 3 * 365 * DAY {
        now = next_due_ms(&conn).unwrap().unwrap() + 7;
        assert_eq!(plan_at(&conn, now).jobs.len(), 1);
        assert_eq!(plan_at(&conn, now).jobs.len(), 0);
    }
    let hours = hours_of_jobs(&conn);
    assert_eq!(hours, (0..hours.len() as i64).map(|day| 24 * day + 3).collect::<Vec<_>>());
    assert_eq!(hours.len(), 3 * 365 + 1, "the last one is the day after");
    let events = read::events(&conn, JobId(1)).unwrap();
    assert_eq!(events[1].kind, "scheduled");
    assert_eq!(events[1].detail.as_deref(), Some("by schedule s, occurrence 2026-01-01T03:00:00+00:00"));
}

#[test]
fn what_was_missed_is_caught_up_as_asked_and_told() {
    let after = START + 5 * HOUR + 10 * MINUTE;
    for (catch_up, jobs, rows) in [
        (CatchUp::None, vec![], vec![missed(1, 5, 5)]),
        (CatchUp::Latest, vec![5], vec![missed(1, 4, 4), was_fired(5)]),
        (CatchUp::All, vec![1, 2, 3, 4, 5], (1..=5).map(was_fired).collect()),
    ] {
        let conn = with("0 * * * *", catch_up);
        plan_at(&conn, after);
        assert_eq!((hours_of_jobs(&conn), told(&conn)), (jobs, rows), "{catch_up:?}");
    }
    let conn = fixture::fresh();
    add(&conn, &NewSchedule { catch_up_max: 2, ..new("s", "0 * * * *", CatchUp::All) }, START).unwrap();
    plan_at(&conn, after);
    assert_eq!((hours_of_jobs(&conn), told(&conn)), (vec![4, 5], vec![missed(1, 3, 3), was_fired(4), was_fired(5)]));
}

#[test]
fn ten_years_of_minutes_are_a_few_rows() {
    for (catch_up, jobs) in [(CatchUp::None, 0), (CatchUp::Latest, 1), (CatchUp::All, 100)] {
        let conn = with("* * * * *", catch_up);
        let now = START + 3_652 * DAY - 1; // 59.999 s after an occurrence, so that it is on time
        let made = plan_at(&conn, now).jobs.len();
        assert_eq!(made, jobs + usize::from(catch_up != CatchUp::Latest), "{catch_up:?}");
        let rows: i64 = conn.query_row("SELECT count(*) FROM occurrence", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, made as i64 + 1);
        assert_eq!(told(&conn)[0].2, None, "more than are counted");
    }
}

#[test]
fn a_clock_set_forward_and_back_neither_skips_nor_fires_twice() {
    let conn = with("0 * * * *", CatchUp::Latest);
    plan_at(&conn, START + HOUR);
    plan_at(&conn, START + 24 * HOUR + 5 * MINUTE);
    assert_eq!((hours_of_jobs(&conn), told(&conn)), (vec![1, 24], vec![was_fired(1), missed(2, 23, 22), was_fired(24)]));
    plan_at(&conn, START + HOUR + 5 * MINUTE);
    assert_eq!(told(&conn), [was_fired(1), was_fired(24)], "what was skipped ahead is open again");
    for hour in 2..=26 {
        plan_at(&conn, START + hour * HOUR + 3);
    }
    let mut hours = hours_of_jobs(&conn);
    hours.sort_unstable();
    assert_eq!(hours, (1..=26).collect::<Vec<_>>(), "each once");
}

#[test]
fn a_clock_set_back_into_a_skipped_range_opens_its_end() {
    let conn = with("0 * * * *", CatchUp::None);
    plan_at(&conn, START + 9 * HOUR + 5 * MINUTE);
    assert_eq!(told(&conn), [missed(1, 9, 9)]);
    plan_at(&conn, START + 4 * HOUR + 5 * MINUTE);
    assert_eq!(told(&conn), [missed(1, 4, 4)]);
    plan_at(&conn, START + 5 * HOUR);
    assert_eq!((hours_of_jobs(&conn), told(&conn)), (vec![5], vec![missed(1, 4, 4), was_fired(5)]));
    plan_at(&conn, START - 2 * HOUR);
    plan_at(&conn, START + HOUR);
    assert_eq!(hours_of_jobs(&conn), [5, 1], "the first occurrence of the range was skipped and is fired now");
}

#[test]
fn random_walks_of_the_clock_fire_no_occurrence_twice() {
    for seed in 1..=12_u64 {
        let mut chance = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = |below: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            i64::try_from(chance % below).unwrap()
        };
        let conn = with("*/10 * * * *", CatchUp::ALL[seed as usize % 3]);
        let mut now = START;
        for _ in 0..60 {
            now += match draw(6) {
                0 => draw(3 * DAY as u64),
                1 => -draw(2 * DAY as u64),
                _ => draw(20 * MINUTE as u64),
            };
            now = now.max(0);
            if draw(10) == 0 {
                pause(&conn, "s", draw(2) == 0, now).unwrap();
            }
            plan_at(&conn, now);
        }
        let (jobs, occurrences): (i64, i64) = conn
            .query_row("SELECT count(*), count(DISTINCT json_extract(env, '$.TENURE_SCHEDULED_FOR')) FROM job", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(jobs, occurrences, "seed {seed}");
    }
}

#[test]
fn what_passes_in_a_pause_is_skipped_and_told_not_caught_up() {
    let conn = with("0 * * * *", CatchUp::All);
    plan_at(&conn, START + HOUR);
    assert!(pause(&conn, "s", true, START + 90 * MINUTE).unwrap());
    assert!(!pause(&conn, "s", true, START + 95 * MINUTE).unwrap(), "it was so already");
    assert_eq!((plan_at(&conn, START + 4 * HOUR).jobs.len(), next_due_ms(&conn).unwrap()), (0, None));
    assert!(pause(&conn, "s", false, START + 4 * HOUR + 5 * MINUTE).unwrap());
    plan_at(&conn, START + 4 * HOUR + 6 * MINUTE);
    assert_eq!(told(&conn), [was_fired(1), (2, 4, Some(3), "paused".into())]);
    plan_at(&conn, START + 5 * HOUR);
    assert_eq!(hours_of_jobs(&conn), [1, 5]);
}

#[test]
fn what_was_missed_before_a_pause_is_caught_up_after_it() {
    let conn = with("0 * * * *", CatchUp::All);
    pause(&conn, "s", true, START + 150 * MINUTE).unwrap();
    pause(&conn, "s", false, START + 270 * MINUTE).unwrap();
    plan_at(&conn, START + 6 * HOUR);
    assert_eq!((hours_of_jobs(&conn), told(&conn)[2].clone()), (vec![1, 2, 5, 6], (3, 4, Some(2), "paused".into())));
}

#[test]
fn two_planners_on_one_file_fire_no_occurrence_twice() {
    const ROUNDS: i64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.db");
    let open = || {
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
        fixture::register(&conn);
        conn
    };
    let first = open();
    first.execute_batch(include_str!("../../../schema.sql")).unwrap();
    add(&first, &new("s", "* * * * *", CatchUp::All), START).unwrap();
    let together = Arc::new(Barrier::new(2));
    let planner = |conn: Connection, together: Arc<Barrier>| {
        std::thread::spawn(move || {
            let mut made = 0;
            for round in 1..=ROUNDS {
                // Each has seen the row before, as a planner of another version might.
                let seen = existing(&conn, "s").unwrap();
                together.wait();
                conn.execute_batch("BEGIN IMMEDIATE").unwrap();
                let mut planned = Planned::default();
                plan_one(&conn, &seen, START + round * MINUTE, &mut planned).unwrap();
                conn.execute_batch("COMMIT").unwrap();
                made += planned.jobs.len() as i64;
                together.wait();
            }
            made
        })
    };
    let (a, b) = (planner(open(), Arc::clone(&together)), planner(open(), together));
    assert_eq!(a.join().unwrap() + b.join().unwrap(), ROUNDS);
    let occurrences: i64 = first
        .query_row("SELECT count(DISTINCT json_extract(env, '$.TENURE_SCHEDULED_FOR')) FROM job", [], |row| row.get(0))
        .unwrap();
    assert_eq!(occurrences, ROUNDS);
}

#[test]
fn a_occurrence_finds_its_key_taken_and_is_skipped() {
    let conn = fixture::fresh();
    let mut template = template();
    template.placement.unique_key = Some("k".into());
    add(&conn, &NewSchedule { template, ..new("s", "0 * * * *", CatchUp::Latest) }, START).unwrap();
    for hour in 1..=4 {
        plan_at(&conn, START + hour * HOUR);
    }
    assert_eq!(told(&conn), [was_fired(1), (2, 4, Some(3), "unique".into())], "and three such occurrences are one row");
    assert_eq!(occurrences(&conn, 1, 9).unwrap()[1].job, Some(JobId(1)));
}

#[test]
fn the_newest_replaces_where_that_was_asked_for() {
    let conn = fixture::fresh();
    let mut template = template();
    (template.placement.unique_key, template.placement.replace) = (Some("k".into()), true);
    add(&conn, &NewSchedule { template, ..new("s", "0 * * * *", CatchUp::Latest) }, START).unwrap();
    plan_at(&conn, START + HOUR);
    plan_at(&conn, START + 2 * HOUR);
    let state = |id| read::job(&conn, JobId(id)).unwrap().unwrap().state;
    assert_eq!((state(1), state(2)), (State::Cancelled, State::Queued));
}

#[test]
fn a_schedule_that_is_never_due_costs_nothing() {
    let conn = with("0 0 30 2 *", CatchUp::All);
    assert_eq!((next_due_ms(&conn).unwrap(), is_due(&conn, i64::MAX / 2).unwrap()), (None, false));
}

#[test]
fn a_removed_schedule_frees_its_name_and_leaves_its_jobs() {
    let conn = with("0 * * * *", CatchUp::All);
    plan_at(&conn, START + HOUR);
    assert!(
        matches!(add(&conn, &new("s", "0 * * * *", CatchUp::All), START + HOUR), Err(Error::Refused(text)) if text.contains("schedule rm s"))
    );
    remove(&conn, "s").unwrap();
    assert!(matches!(remove(&conn, "s"), Err(Error::NotFound(_))));
    assert_ne!(add(&conn, &new("s", "0 * * * *", CatchUp::All), START + HOUR + MINUTE).unwrap(), 1);
    plan_at(&conn, START + HOUR + MINUTE);
    plan_at(&conn, START + 2 * HOUR);
    assert_eq!(hours_of_jobs(&conn), [1, 2], "the new one begins where it was added");
}

#[test]
fn old_occurrences_go_and_none_of_them_is_fired_again() {
    let conn = with("0 * * * *", CatchUp::All);
    for hour in 1..=10 {
        plan_at(&conn, START + hour * HOUR);
    }
    assert_eq!(prune(&conn, START + 8 * HOUR, 3).unwrap(), 3);
    assert_eq!(prune(&conn, START + 8 * HOUR, 100).unwrap(), 4);
    assert_eq!(told(&conn), [was_fired(8), was_fired(9), was_fired(10)]);
    plan_at(&conn, START - DAY);
    for hour in 1..=11 {
        plan_at(&conn, START + hour * HOUR);
    }
    assert_eq!(hours_of_jobs(&conn), (1..=11).collect::<Vec<_>>());
    assert_eq!(prune(&conn, i64::MAX, 100).unwrap(), 3);
    assert_eq!(told(&conn), [was_fired(11)], "the newest stays");
}

#[test]
fn after_a_restore_a_schedule_goes_on_from_now() {
    let conn = with("0 * * * *", CatchUp::All);
    start_from_now(&conn, START + 90 * MINUTE).unwrap();
    plan_at(&conn, START + 2 * HOUR);
    assert_eq!((hours_of_jobs(&conn), told(&conn)), (vec![2], vec![was_fired(2)]));
}

#[test]
fn many_schedules_are_decided_in_rounds() {
    let conn = fixture::fresh();
    for n in 0..250 {
        add(&conn, &new(&format!("s{n}"), "0 * * * *", CatchUp::Latest), START).unwrap();
    }
    let rounds: Vec<_> =
        (0..3).map(|_| plan(&conn, START + HOUR, SCHEDULES_MAX).unwrap()).map(|p| (p.jobs.len(), p.more)).collect();
    assert_eq!(rounds, [(100, true), (100, true), (50, false)]);
}
