//! Which job is claimed is what it was when each claim looked at the head of each queue: that
//! definition stands here, over the plain tables, and random histories are compared with it.

use rusqlite::{Connection, OptionalExtension};

use crate::job::{JobId, Nonce, Reason, RunId};
use crate::store::dice::{Dice, seed};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ended;
use crate::store::job::ids::Prepared;
use crate::store::job::reorder::{self, Position};
use crate::store::job::slots;
use crate::store::pipeline::advance;
use crate::store::upkeep::{inspect, prune, recount};

const QUEUES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The best head of all open queues, by priority, place and age. Nothing that is kept is used.
fn best_head(conn: &Connection, scope: &Scope) -> Option<JobId> {
    let queues = if scope.queues.is_empty() { QUEUES.map(str::to_owned).to_vec() } else { scope.queues.clone() };
    let all_paused: bool = conn.query_row("SELECT EXISTS (SELECT 1 FROM pause)", [], |row| row.get(0)).unwrap();
    let heads = queues.iter().filter_map(|queue| {
        let is_open: bool =
            conn.query_row("SELECT paused = 0 FROM queue WHERE name = ?1", [queue], |row| row.get(0)).optional().unwrap()?;
        let has_room = "SELECT slots IS NULL OR slots >= (SELECT slots FROM job WHERE id = ?2)
                               + (SELECT coalesce(sum(slots), 0) FROM job WHERE job.queue = name AND state = 'running')
                          FROM queue WHERE name = ?1";
        let sql =
            "SELECT -priority, coalesce(place, id), id FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND (?2 IS NULL OR id = ?2)
                    ORDER BY 1, 2, 3 LIMIT 1";
        let only = scope.only.map(|job| job.0);
        let head: Option<(i64, f64, i64)> =
            conn.query_row(sql, (queue, only), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional().unwrap();
        head.filter(|(.., id)| is_open && !all_paused && conn.query_row(has_room, (queue, id), |row| row.get::<_, bool>(0)).unwrap())
    });
    heads.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))).map(|(.., id)| JobId(id))
}

/// What should be claimed next, and what is put out of the way before.
fn expected(conn: &Connection, scope: &Scope) -> Option<JobId> {
    conn.execute_batch("SAVEPOINT expected").unwrap();
    let next = loop {
        let Some(head) = best_head(conn, scope) else { break None };
        // Strict order: one that takes more slots than are free comes next all the same.
        let waits = slots_of(conn, head) > scope.room.unwrap_or(usize::MAX);
        if waits || ended::open_cancel(conn, head).unwrap().is_none() {
            break Some(head).filter(|_| !waits);
        }
        ended::end_queued(conn, head, Reason::Cancelled, "cancelled", 5, &mut advance::aftermath()).unwrap();
    };
    conn.execute_batch("ROLLBACK TO expected; RELEASE expected").unwrap();
    next
}

fn slots_of(conn: &Connection, job: JobId) -> usize {
    conn.query_row("SELECT slots FROM job WHERE id = ?1", [job.0], |row| row.get::<_, u32>(0)).unwrap() as usize
}

struct Play {
    conn: Connection,
    dice: Dice,
    run: i64,
    claimed: usize,
}

impl Play {
    fn prepared(&mut self, n: i64) -> Vec<Prepared> {
        self.run += n;
        (self.run - n..self.run).map(|run| Prepared { run: RunId(run + 1), nonce: Nonce([1; 16]) }).collect()
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        self.dice.of(all)
    }

    fn do_something(&mut self) {
        let (queue, priority) = (self.one_of(&QUEUES), self.dice.below(5) as i64 - 2);
        let one = "(SELECT id FROM job WHERE state = 'queued' ORDER BY id * 7919 % 101 LIMIT 1)";
        let lane = self.one_of(&["NULL", "NULL", "'l'", "'m'"]);
        let to = [Position::First, Position::Before(self.any_queued()), Position::After(self.any_queued())]
            [self.dice.below(3) as usize];
        let slots = self.one_of(&["1", "1", "2", "3"]);
        let sql = match self.dice.below(21) {
            0..=4 => format!("INSERT INTO job (command, queue, priority, lane, slots, user_hold) VALUES ('[\"x\"]', '{queue}', {priority}, {lane}, {slots}, {})", i64::from(priority == 2)),
            18 => format!("UPDATE job SET slots = {slots} WHERE id = {one}"),
            19 => {
                let worker = self.one_of(&["1", "2", "4"]).parse().ok().filter(|n| *n < 4);
                slots::note(&self.conn, worker).unwrap();
                String::new()
            }
            5 => format!("UPDATE job SET priority = {priority} WHERE id = {one}"),
            6 => format!("UPDATE job SET user_hold = 1 - user_hold WHERE id = {one}"),
            7 => format!("UPDATE queue SET paused = 1 - paused WHERE name = '{queue}'"),
            8 => format!("UPDATE queue SET slots = {} WHERE name = '{queue}'", self.one_of(&["NULL", "0", "1", "2", "4"])),
            9 => format!("INSERT INTO cancel (job_id) SELECT {one} WHERE {one} IS NOT NULL"),
            10 => format!("UPDATE job SET queue = '{queue}' WHERE id = {one}"),
            13 if self.dice.below(3) == 0 => "INSERT INTO pause DEFAULT VALUES".into(),
            13 => "DELETE FROM pause".into(),
            14 => format!("UPDATE job SET place = {} WHERE id = {one}", self.one_of(&["NULL", "-3.5", "7", "1e9", "2.25"])),
            15..=17 => return self.move_one(to),
            11 => "UPDATE lane SET max_running = 3 - max_running".to_owned(),
            12 => "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE state = 'running' AND id % 3 > 0".into(),
            _ => "UPDATE job SET state = 'queued', run_id = NULL, started_at = NULL WHERE state = 'running' AND id % 3 = 0".into(),
        };
        if sql.starts_with("UPDATE job SET state") {
            self.conn.execute_batch("UPDATE run SET finished_at = 9, outcome = 'done' WHERE finished_at IS NULL AND job_id IN (SELECT id FROM job WHERE state = 'running')").unwrap();
        }
        // Some are refused, as they should be.
        let _refused = self.conn.execute_batch(&sql);
        if self.dice.below(8) == 0 {
            let found = inspect::find(&self.conn, &mut inspect::Cursor::default(), 100).unwrap();
            prune::remove_empty(&self.conn, found.empty_queues.iter(), found.empty_lanes.iter()).unwrap();
        }
        // Only a run that ended leaves nothing behind.
        self.conn.execute_batch("UPDATE run SET finished_at = 9, outcome = 'lost' WHERE finished_at IS NULL AND job_id NOT IN (SELECT id FROM job WHERE state = 'running')").unwrap();
    }

    fn any_queued(&mut self) -> JobId {
        let sql = "SELECT id FROM job WHERE state = 'queued' ORDER BY id * ?1 % 101 LIMIT 1";
        let found = self.conn.query_row(sql, [self.dice.below(1_000) as i64 * 2 + 1], |row| row.get(0).map(JobId));
        found.optional().unwrap().unwrap_or(JobId(1))
    }

    /// Some are refused: another queue, itself, none.
    fn move_one(&mut self, to: Position) {
        let id = self.any_queued();
        let _refused = reorder::reorder(&self.conn, id, to);
    }

    fn scope(&mut self) -> Scope {
        match self.dice.below(5) {
            0 => Scope { queues: vec!["b".into(), "d".into(), "none".into()], ..Scope::default() },
            1 => {
                let sql = "SELECT id FROM job WHERE state = 'queued' ORDER BY id * 31 % 97 LIMIT 1";
                let only = self.conn.query_row(sql, [], |row| row.get(0).map(JobId)).optional().unwrap();
                Scope { only, ..Scope::default() }
            }
            _ => Scope::default(),
        }
    }

    fn claim_and_compare(&mut self) {
        let scope = Scope { room: [None, Some(1), Some(2), Some(5)][self.dice.below(4) as usize], ..self.scope() };
        let prepared = self.prepared(4);
        self.conn.execute_batch("SAVEPOINT single").unwrap();
        let mut one_by_one = Vec::new();
        let mut left = scope.clone();
        for one in &prepared {
            let expected = expected(&self.conn, &left);
            let claimed = claim::claim(&self.conn, &left, &[*one], "w", "b", 5).unwrap().pop().map(|claim| claim.job.id);
            assert_eq!(claimed, expected, "{left:?}");
            let taken = claimed.map_or(0, |job| slots_of(&self.conn, job));
            left.room = left.room.map(|room| room.checked_sub(taken).expect("no more than are free"));
            one_by_one.extend(claimed);
        }
        self.conn.execute_batch("ROLLBACK TO single; RELEASE single").unwrap();
        let fits = |head: JobId| slots_of(&self.conn, head) <= scope.room.unwrap_or(usize::MAX);
        assert_eq!(claim::has_ready(&self.conn, &scope).unwrap(), best_head(&self.conn, &scope).is_some_and(fits));
        let at_once = claim::claim(&self.conn, &scope, &prepared, "w", "b", 5).unwrap();
        assert_eq!(at_once.iter().map(|claim| claim.job.id).collect::<Vec<_>>(), one_by_one, "four at once, or one by one");
        self.claimed += one_by_one.len();
    }
}

/// A worker with so many slots, and jobs of one queue that take one or several of them.
#[test]
fn no_slot_is_taken_twice_and_no_wide_job_is_starved() {
    const SLOTS: usize = 4;
    let conn = fixture::fresh();
    conn.execute_batch("UPDATE meta SET value = '1000000' WHERE key = 'run_id_limit'").unwrap();
    slots::note(&conn, Some(SLOTS)).unwrap();
    let seed = seed();
    let mut play = Play { conn, dice: Dice::new(seed), run: 0, claimed: 0 };
    let (mut running, mut order, mut too_wide): (Vec<JobId>, Vec<JobId>, Vec<JobId>) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..600 {
        if step < 400 {
            // A stream of light jobs that never ends.
            let slots = [1, 1, 1, 2, 4, 5][play.dice.below(6) as usize];
            play.conn.execute("INSERT INTO job (command, slots) VALUES ('[\"x\"]', ?1)", [slots as i64]).unwrap();
            too_wide.extend((slots > SLOTS).then(|| JobId(play.conn.last_insert_rowid())));
        }
        if !running.is_empty() && play.dice.below(3) > 0 {
            let one = running.swap_remove(play.dice.below(running.len() as u64) as usize);
            let sql = "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE id = ?1";
            play.conn.execute(sql, [one.0]).unwrap();
            play.conn.execute("UPDATE run SET finished_at = 9, outcome = 'done' WHERE job_id = ?1", [one.0]).unwrap();
        }
        let taken: usize = running.iter().map(|job| slots_of(&play.conn, *job)).sum();
        let scope = Scope { room: Some(SLOTS.checked_sub(taken).expect("no more than there are")), ..Scope::default() };
        let prepared = play.prepared(3);
        let claimed: Vec<JobId> =
            claim::claim(&play.conn, &scope, &prepared, "w", "b", 5).unwrap().into_iter().map(|claim| claim.job.id).collect();
        order.extend(&claimed);
        running.extend(&claimed);
    }
    assert!(order.is_sorted(), "each starts before all that were added after it");
    assert!(order.len() > 100 && !too_wide.is_empty() && too_wide.iter().all(|job| !order.contains(job)));
    let skipped = order.last().map_or(0, |last| last.0 as usize) - order.len();
    assert_eq!(skipped, too_wide.iter().filter(|job| Some(*job) < order.last()).count(), "no other job was passed over");
    slots::note(&play.conn, Some(5)).unwrap();
    assert_eq!(play.conn.query_row("SELECT count(*) FROM job WHERE hold = 'slots'", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn the_order_of_claims_is_that_of_the_heads_of_all_open_queues() {
    let seed = seed();
    let (mut claimed, mut history) = (0, 0);
    // How many are claimed in one depends on what is drawn.
    while history < 20 || claimed < 100 {
        assert!(history < 500, "{claimed} were claimed");
        history += 1;
        let conn = fixture::fresh();
        conn.execute_batch("UPDATE meta SET value = '1000000' WHERE key = 'run_id_limit'").unwrap();
        let mut play = Play { conn, dice: Dice::new(seed.wrapping_add(history)), run: 0, claimed: 0 };
        for _ in 0..60 {
            play.do_something();
            if play.dice.below(3) == 0 {
                play.claim_and_compare();
            }
        }
        assert!(recount::all(&play.conn, 9).unwrap().is_nothing(), "history {history}");
        claimed += play.claimed;
    }
}
