//! The order after any moves is that of a list in which a person moves things.

use rusqlite::Connection;

use super::*;
use crate::job::State;
use crate::store::dice::{Dice, seed};
use crate::store::fixture;
use crate::store::job::read;

fn add(conn: &Connection, queue: &str, priority: i64) -> JobId {
    conn.execute("INSERT INTO job (command, queue, priority) VALUES (json_array('x'), ?1, ?2)", (queue, priority)).unwrap();
    JobId(conn.last_insert_rowid())
}

/// The queued jobs of a queue in the order in which they start, without the indexes.
fn order(conn: &Connection, queue: &str) -> Vec<JobId> {
    let sql = "SELECT id FROM job WHERE +queue = ?1 AND +state = 'queued' ORDER BY -priority, coalesce(place, id), id";
    let mut all = conn.prepare(sql).unwrap();
    all.query_map([queue], |row| row.get(0).map(JobId)).unwrap().map(Result::unwrap).collect()
}

fn head(conn: &Connection, queue: &str) -> Option<JobId> {
    conn.query_row("SELECT head_id FROM queue WHERE name = ?1", [queue], |row| row.get::<_, Option<i64>>(0)).unwrap().map(JobId)
}

#[test]
fn any_moves_give_the_order_of_a_list() {
    let seed = seed();
    for history in 0..8 {
        let (conn, mut dice) = (fixture::fresh(), Dice::new(seed.wrapping_add(history)));
        // In the order of their starts, each with its priority.
        let mut list: Vec<(JobId, i64)> = Vec::new();
        for _ in 0..300 {
            let add_one = list.len() < 3 || dice.below(5) == 0;
            if add_one {
                let priority = dice.below(3) as i64;
                let id = add(&conn, "q", priority);
                // Behind the others of its priority: its id is the highest, all places are lower.
                let at = list.iter().position(|(_, other)| *other < priority).unwrap_or(list.len());
                list.insert(at, (id, priority));
            } else {
                let from = dice.index(list.len());
                let (id, own) = list.remove(from);
                // Often beside the same few, so that the room between two is used up.
                let at = if dice.below(3) > 0 { dice.index(list.len().min(2)) } else { dice.index(list.len()) };
                let (other, priority) = list[at];
                let (to, place, priority) = match dice.below(4) {
                    0 => (Position::First, 0, own.max(list.iter().map(|(_, one)| *one).max().unwrap_or(own))),
                    1 => (Position::After(other), at + 1, priority),
                    _ => (Position::Before(other), at, priority),
                };
                let moved = reorder(&conn, id, to).unwrap();
                assert_eq!(moved, Moved { priority, was: own }, "{to:?}");
                list.insert(place, (id, priority));
            }
            let ids: Vec<JobId> = list.iter().map(|(id, _)| *id).collect();
            assert_eq!(order(&conn, "q"), ids, "history {history}");
            assert_eq!(head(&conn, "q"), ids.first().copied());
        }
    }
}

#[test]
fn a_gap_that_runs_out_is_made_wider() {
    let conn = fixture::fresh();
    let ids: Vec<JobId> = (0..200).map(|_| add(&conn, "q", 0)).collect();
    let mut expected = ids.clone();
    for id in &ids[2..] {
        reorder(&conn, *id, Position::Before(ids[1])).unwrap();
        expected.retain(|one| one != id);
        let at = expected.iter().position(|one| *one == ids[1]).unwrap();
        expected.insert(at, *id);
        assert_eq!(order(&conn, "q"), expected);
    }
    for id in &ids[2..] {
        reorder(&conn, *id, Position::After(ids[0])).unwrap();
        expected.retain(|one| one != id);
        expected.insert(1, *id);
        assert_eq!(order(&conn, "q"), expected);
    }
    let events: i64 = conn.query_row("SELECT count(*) FROM event WHERE kind = 'moved'", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 2 * 198, "what was moved by a person, and nothing else");
}

#[test]
fn a_move_that_cannot_be_is_refused_and_changes_nothing() {
    let conn = fixture::fresh();
    let (a, b, other) = (add(&conn, "q", 0), add(&conn, "q", 0), add(&conn, "other", 0));
    let ended = add(&conn, "q", 0);
    conn.execute_batch(&format!("UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 1 WHERE id = {ended}"))
        .unwrap();
    for (id, to, word) in [
        (a, Position::Before(a), "itself"),
        (a, Position::After(other), "is in queue"),
        (a, Position::Before(ended), "has ended"),
        (ended, Position::First, "has ended"),
        (a, Position::Before(JobId(99)), "99"),
    ] {
        let error = reorder(&conn, id, to).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(order(&conn, "q"), [a, b]);
    // Where numbers have no fractions any more there is no room, and no wrong order.
    conn.execute_batch(&format!(
        "UPDATE job SET place = 4503599627370495 WHERE id = {a}; UPDATE job SET place = 4503599627370496 WHERE id = {b}"
    ))
    .unwrap();
    let c = add(&conn, "q", 0);
    reorder(&conn, c, Position::Before(b)).unwrap();
    let error = (0..9).find_map(|_| reorder(&conn, add(&conn, "q", 0), Position::Before(b)).err()).expect("no room");
    assert!(error.to_string().contains("too many jobs"), "{error}");
    assert_eq!(order(&conn, "q").iter().rev().position(|id| *id == b), Some(0));
    assert_eq!(read::existing(&conn, b).unwrap().state, State::Queued);
}

#[test]
fn a_moved_job_keeps_its_place_in_its_lane_and_when_it_is_held() {
    let conn = fixture::fresh();
    let ids: Vec<JobId> = (0..4).map(|_| add(&conn, "q", 0)).collect();
    conn.execute_batch("UPDATE job SET lane = 'l' WHERE id > 1").unwrap();
    let ready = || -> Vec<i64> {
        let mut all =
            conn.prepare("SELECT id FROM job WHERE state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(ready(), [1, 2]);
    reorder(&conn, ids[3], Position::Before(ids[1])).unwrap();
    assert_eq!(ready(), [1, 4], "the lane admits the one that comes first now");
    conn.execute_batch("UPDATE job SET user_hold = 1 WHERE id = 4").unwrap();
    assert_eq!(ready(), [1, 2]);
    reorder(&conn, ids[2], Position::Before(ids[1])).unwrap();
    conn.execute_batch("UPDATE job SET user_hold = 0 WHERE id = 4").unwrap();
    assert_eq!(order(&conn, "q"), [ids[0], ids[3], ids[2], ids[1]], "a held job keeps the place before the later one");
    assert_eq!(ready(), [1, 4]);
}
