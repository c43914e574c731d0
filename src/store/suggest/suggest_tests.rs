use super::*;
use crate::store::fixture;

fn add(conn: &Connection, label: Option<&str>, queue: &str) {
    conn.execute("INSERT INTO job (command, label, queue) VALUES ('[\"x\"]', ?1, ?2)", (label, queue)).unwrap();
}

fn found(conn: &Connection, subject: Subject, begin: &str) -> Vec<String> {
    ask(conn, subject, begin).unwrap().into_iter().map(|one| one.value).collect()
}

#[test]
fn digits_are_a_range_for_each_count_of_digits() {
    assert_eq!(ranges(""), [(1, i64::MAX)]);
    let of_12 = ranges("12");
    assert_eq!(of_12.last(), Some(&(12, 12)));
    assert_eq!(of_12[of_12.len() - 2], (120, 129));
    assert!(of_12.len() < 20 && of_12.is_sorted_by(|a, b| a.0 > b.1), "{of_12:?}");
    assert_eq!(ranges("9223372036854775807"), [(i64::MAX, i64::MAX)]);
    for nothing in ["0", "01", "x", "-1", "1 ", "9223372036854775808", "99999999999999999999"] {
        assert!(ranges(nothing).is_empty(), "{nothing:?}");
    }
}

#[test]
fn numbers_are_the_newest_first_and_at_most_so_many() {
    let conn = fixture::fresh();
    (0..1_300).for_each(|_| add(&conn, None, "default"));
    let live = Subject::Jobs(&["running", "queued"]);
    assert_eq!(found(&conn, Subject::Jobs(&[]), "12")[..3], ["1299", "1298", "1297"]);
    assert_eq!(found(&conn, live, "12").len(), 111, "12, 120-129, 1200-1299");
    assert_eq!(found(&conn, live, "").len(), VALUES_MAX);
    assert_eq!(found(&conn, live, "")[0], "1300");
    assert!(found(&conn, Subject::Jobs(&["failed", "cancelled"]), "").is_empty());
    conn.execute("UPDATE job SET user_hold = 1 WHERE id IN (7, 70)", []).unwrap();
    assert_eq!(found(&conn, Subject::HeldJobs, ""), ["70", "7"]);
}

#[test]
fn names_are_those_that_begin_so_each_once() {
    let conn = fixture::fresh();
    for label in [Some("night"), Some("nightly"), Some("nightly"), Some("noon"), None, Some("a'b%_"), Some("é")] {
        add(&conn, label, "q-one");
    }
    assert_eq!(found(&conn, Subject::Labels, ""), ["a'b%_", "night", "nightly", "noon", "é"]);
    assert_eq!(found(&conn, Subject::Labels, "ni"), ["night", "nightly"]);
    assert_eq!(found(&conn, Subject::Labels, "a'"), ["a'b%_"]);
    assert_eq!(found(&conn, Subject::Labels, "%"), Vec::<String>::new());
    assert_eq!(found(&conn, Subject::Queues, "q"), ["q-one"]);
    assert_eq!(found(&conn, Subject::Queues, "Q"), Vec::<String>::new());
    for subject in [Subject::Lanes, Subject::Leases, Subject::Workspaces, Subject::Schedules, Subject::Pipelines] {
        assert_eq!(found(&conn, subject, ""), Vec::<String>::new(), "{subject:?}");
    }
}

/// Every statement reads from an index, in its order.
#[test]
fn nothing_is_scanned_or_sorted() {
    let conn = fixture::fresh();
    let file = include_str!("suggest.sql");
    let statements = file.split("-- name: ").skip(1).map(|one| one.split_once('\n').expect("a name").1);
    let more = ["SELECT name FROM queue WHERE name >= ?1 ORDER BY name LIMIT ?2"];
    let mut seen = 0;
    for statement in statements.chain(more) {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let lines: Vec<String> = plan.raw_query().mapped(|row| row.get::<_, String>(3)).map(Result::unwrap).collect();
        for line in &lines {
            let scans = line.starts_with("SCAN") && !line.contains("SCAN named") && !line.contains("SCAN (subquery");
            assert!(!scans && !line.contains("B-TREE"), "{statement}\n{lines:#?}");
        }
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}
