//! Jobs of one schedule that meet, jobs that start later by a jitter, and boots of the machine.

use super::tests::{HOUR, START, new, plan_at};
use super::*;
use crate::job::cron_line;
use crate::store::fixture;
use crate::store::job::{control, retry};
use crate::store::schedule::{NewSchedule, add, boot, occurrences, pause, set, start_from_now};

const MINUTE: i64 = 60_000;

fn with(change: impl Fn(&mut NewSchedule)) -> Connection {
    let conn = fixture::fresh();
    let mut wanted = new("s", "0 * * * *", CatchUp::All);
    change(&mut wanted);
    add(&conn, &wanted, START).unwrap();
    conn
}

fn hourly(overlap: Overlap) -> Connection {
    with(|new| new.overlap = overlap)
}

/// What became of each hour: the job, or the reason with the job that it met.
fn told(conn: &Connection) -> Vec<String> {
    let id = existing(conn, "s").unwrap().id;
    let all = occurrences(conn, id, 1_000).unwrap();
    let text = |o: &crate::store::schedule::Occurrence| {
        let job = o.job.map(|job| job.to_string()).unwrap_or_default();
        format!(
            "{}{} {job}",
            o.reason.as_deref().unwrap_or("fired"),
            o.n.filter(|n| *n > 1).map(|n| format!(" {n}")).unwrap_or_default()
        )
    };
    all.iter().map(text).collect()
}

fn fail(conn: &Connection, id: i64) {
    let failed = "UPDATE job SET state = 'failed', reason = 'expired', finished_at = 3 WHERE id = ?1";
    assert_eq!(conn.execute(failed, [id]).unwrap(), 1);
}

fn unmet(conn: &Connection, id: i64) -> i64 {
    conn.query_row("SELECT unmet FROM job WHERE id = ?1", [id], |row| row.get(0)).unwrap()
}

#[test]
fn skip_waits_for_the_end_of_the_earlier_job() {
    let conn = hourly(Overlap::Skip);
    (1..=3).for_each(|hour| drop(plan_at(&conn, START + hour * HOUR)));
    assert_eq!(told(&conn), ["fired 1", "overlap 2 1"]);
    fail(&conn, 1);
    plan_at(&conn, START + 4 * HOUR);
    assert_eq!(told(&conn), ["fired 1", "overlap 2 1", "fired 2"]);
    fail(&conn, 2);
    retry::retry(&conn, JobId(1), false, START).unwrap();
    plan_at(&conn, START + 5 * HOUR);
    assert_eq!(told(&conn)[3], "overlap 1", "a retried job is an earlier job again");
    control::cancel(&conn, JobId(1), None, START).unwrap();
    plan_at(&conn, START + 6 * HOUR);
    assert_eq!(told(&conn)[4], "fired 3");
    conn.execute_batch("PRAGMA foreign_keys = OFF; DROP TRIGGER job_delete_guard; DELETE FROM job WHERE id = 3").unwrap();
    plan_at(&conn, START + 7 * HOUR);
    assert_eq!(told(&conn)[5], "fired 4", "a removed job is not live");
}

#[test]
fn missed_occurrences_meet_each_other_too() {
    let conn = hourly(Overlap::Skip);
    plan_at(&conn, START + 5 * HOUR);
    assert_eq!(told(&conn), ["fired 1", "overlap 4 1"]);
    let conn = hourly(Overlap::Allow);
    plan_at(&conn, START + 3 * HOUR);
    assert_eq!(told(&conn), ["fired 1", "fired 2", "fired 3"]);
    assert_eq!((1..=3).map(|id| unmet(&conn, id)).sum::<i64>(), 0);
}

#[test]
fn queue_waits_for_all_earlier_jobs() {
    let conn = hourly(Overlap::Queue);
    (1..=4).for_each(|hour| drop(plan_at(&conn, START + hour * HOUR)));
    assert_eq!((1..=4).map(|id| unmet(&conn, id)).collect::<Vec<_>>(), [0, 1, 2, 3]);
    control::cancel(&conn, JobId(2), None, START).unwrap();
    assert_eq!((unmet(&conn, 3), unmet(&conn, 4)), (1, 2), "the one that was cancelled had waited for the first");
    control::cancel(&conn, JobId(1), None, START).unwrap();
    assert_eq!((unmet(&conn, 3), unmet(&conn, 4)), (0, 1));
    control::cancel(&conn, JobId(3), None, START).unwrap();
    plan_at(&conn, START + 5 * HOUR);
    assert_eq!((unmet(&conn, 4), unmet(&conn, 5)), (0, 1));
}

#[test]
fn a_queue_of_jobs_has_an_end() {
    let conn = with(|new| (new.overlap, new.cron, new.catch_up_max) = (Overlap::Queue, "* * * * *".into(), 1_000));
    plan_at(&conn, START + 300 * MINUTE);
    let all = told(&conn);
    assert_eq!((all.len(), all.last().unwrap().as_str()), (QUEUED_MAX + 2, "overlap 199 101"));
    assert_eq!(unmet(&conn, 101), 100);
}

#[test]
fn by_hand_obeys_the_overlap_too() {
    let conn = hourly(Overlap::Skip);
    plan_at(&conn, START + HOUR);
    let refused = by_hand(&conn, "s", START + HOUR + 5).unwrap_err();
    assert!(matches!(&refused, Error::Refused(text) if text.contains("job 1") && text.contains("--overlap allow")), "{refused}");
    fail(&conn, 1);
    assert_eq!(by_hand(&conn, "s", START + 2 * HOUR).unwrap().0, JobId(2));
    plan_at(&conn, START + 2 * HOUR);
    assert_eq!(told(&conn), ["fired 1", "overlap 2", "fired 2"], "the occurrence of that hour is another one");
    let conn = hourly(Overlap::Queue);
    let ids: Vec<_> = (0..3).map(|_| by_hand(&conn, "s", START).unwrap().0.0).collect();
    assert_eq!(ids.iter().map(|id| unmet(&conn, *id)).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_older_schedule_and_a_bent_one_overlap_as_they_say() {
    let conn = hourly(Overlap::Allow);
    let allowed = conn.query_row("SELECT dflt_value FROM pragma_table_info('schedule') WHERE name = 'overlap'", [], |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(allowed.unwrap(), "'allow'", "a schedule of an older file");
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE schedule SET overlap = 'x', jitter_ms = -5").unwrap();
    plan_at(&conn, START + 2 * HOUR);
    assert_eq!(told(&conn), ["fired 1", "overlap 1"]);
}

#[test]
fn a_jitter_is_below_its_limit_and_stays() {
    let start = |minutes: i64, id: i64| {
        let conn = with(|new| (new.jitter_ms, new.overlap) = (minutes * MINUTE, Overlap::Allow));
        plan_at(&conn, START + 24 * HOUR);
        plan_at(&conn, START + 25 * HOUR);
        conn.query_row("SELECT available_at FROM job WHERE id = ?1", [id], |row| row.get::<_, i64>(0)).unwrap() - START
    };
    let late = start(10, 25) - 25 * HOUR;
    assert!((1..10 * MINUTE).contains(&late) && late % 1_000 == 0, "{late}");
    assert_eq!(start(10, 25) - 25 * HOUR, late, "the same in each life");
    assert_eq!(start(10, 5), -START, "its time was over when it was caught up");
    assert_eq!(start(0, 25), -START);
    let seed = cron_line::seed("s", START);
    let all: BTreeSet<i64> = (0..1_000).map(|hour| crate::job::schedule::delay_ms(seed, START + hour * HOUR, 600_000)).collect();
    assert!(all.len() > 400 && all.first() < Some(&10_000) && all.last() > Some(&590_000) && all.last() < Some(&600_000));
}

#[test]
fn a_jitter_moves_the_expiry_and_the_delay_of_a_job() {
    let conn = with(|new| {
        new.jitter_ms = 10 * MINUTE;
        (new.template.delay_ms, new.template.expires_in_ms) = (Some(1_000), Some(5_000));
    });
    plan_at(&conn, START + HOUR);
    let found = conn.query_row("SELECT available_at - created_at, expires_at - created_at FROM job", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    let late = existing(&conn, "s").unwrap().starts_at(START + HOUR) - START - HOUR;
    assert_eq!(found.unwrap(), (late + 1_000, late + 5_000));
}

#[test]
fn a_boot_makes_one_job_however_often_a_worker_starts() {
    let conn = with(|new| (new.cron, new.catch_up) = ("@reboot".into(), CatchUp::None));
    assert_eq!(boot(&conn, "this boot", START + 1).unwrap(), 0, "it was added in this boot");
    plan_at(&conn, START + HOUR);
    assert_eq!(told(&conn), [""; 0]);
    for (n, id) in ["b", "c", "d"].iter().enumerate() {
        let now = START + (n as i64 + 2) * HOUR;
        // The worker is killed before it has made the job, and starts again much later.
        assert_eq!(boot(&conn, id, now).unwrap(), 1);
        assert_eq!(boot(&conn, id, now + 10 * MINUTE).unwrap(), 1);
        for again in 0..3 {
            plan_at(&conn, now + (10 + again) * MINUTE);
            assert_eq!(boot(&conn, id, now + (11 + again) * MINUTE).unwrap(), 0);
        }
        assert_eq!(told(&conn).len(), n + 1);
    }
    assert_eq!(told(&conn), ["fired 1", "fired 2", "fired 3"]);
    assert_eq!(boot(&conn, "", START + 9 * HOUR).unwrap(), 0, "a boot that cannot be told from another");
    // The clock of the machine begins again with each boot.
    assert_eq!(boot(&conn, "e", START + HOUR).unwrap(), 1);
    plan_at(&conn, START + HOUR);
    assert_eq!(told(&conn).len(), 4);
}

#[test]
fn a_boot_in_a_pause_or_before_a_restore_makes_no_job() {
    let conn = with(|new| new.cron = "@reboot".into());
    pause(&conn, "s", true, START).unwrap();
    assert_eq!(boot(&conn, "b", START + HOUR).unwrap(), 1);
    plan_at(&conn, START + HOUR);
    pause(&conn, "s", false, START + 2 * HOUR).unwrap();
    assert_eq!(boot(&conn, "b", START + 3 * HOUR).unwrap(), 0);
    plan_at(&conn, START + 3 * HOUR);
    assert_eq!(told(&conn), ["paused "]);
    start_from_now(&conn, START + 4 * HOUR).unwrap();
    assert_eq!(boot(&conn, "c", START + 5 * HOUR).unwrap(), 0, "the file before the restore may have seen it");
    assert_eq!(boot(&conn, "d", START + 6 * HOUR).unwrap(), 1);
    plan_at(&conn, START + 6 * HOUR);
    assert_eq!(told(&conn), ["paused ", "fired 1"]);
}

#[test]
fn a_line_changes_to_boots_and_back() {
    let conn = hourly(Overlap::Allow);
    let line = |cron: &str, at: i64| {
        set(&conn, "s", at, |_| Ok(NewSchedule { cron: cron.into(), ..new("s", cron, CatchUp::Latest) })).unwrap().0
    };
    let of_boots = line("@reboot", START + 90 * MINUTE);
    assert_eq!((of_boots.boot_id.as_deref(), of_boots.next_at), (Some("this boot"), None));
    assert_eq!(boot(&conn, "this boot", START + 2 * HOUR).unwrap(), 0);
    let hourly = line("0 * * * *", START + 150 * MINUTE);
    assert_eq!((hourly.boot_id, hourly.next_at), (None, Some(START + 3 * HOUR)));
    assert_eq!(boot(&conn, "b", START + 3 * HOUR).unwrap(), 0);
    assert_eq!(told(&conn), ["missed "], "the hour before the first change");
}
