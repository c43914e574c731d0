//! Which job is claimed is what it was when each claim looked at the head of each queue: that
//! definition stands here, over the plain tables, and random histories are compared with it.

use rusqlite::{Connection, OptionalExtension};

use crate::job::{JobId, Nonce, Reason, RunId};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ended;
use crate::store::job::ids::Prepared;
use crate::store::pipeline::advance;
use crate::store::upkeep::{inspect, prune, recount};

const QUEUES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The best head of all open queues, by priority and then by age. Nothing that is kept is used.
fn best_head(conn: &Connection, scope: &Scope) -> Option<JobId> {
    let queues = if scope.queues.is_empty() { QUEUES.map(str::to_owned).to_vec() } else { scope.queues.clone() };
    let heads = queues.iter().filter_map(|queue| {
        let is_open: bool = conn
            .query_row(
                "SELECT paused = 0 AND (slots IS NULL OR slots > (SELECT count(*) FROM job WHERE job.queue = name AND state = 'running'))
                   FROM queue WHERE name = ?1",
                [queue],
                |row| row.get(0),
            )
            .optional()
            .unwrap()?;
        let sql = "SELECT -priority, id FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND (?2 IS NULL OR id = ?2)
                    ORDER BY 1, 2 LIMIT 1";
        let only = scope.only.map(|job| job.0);
        let head: Option<(i64, i64)> = conn.query_row(sql, (queue, only), |row| Ok((row.get(0)?, row.get(1)?))).optional().unwrap();
        head.filter(|_| is_open)
    });
    heads.min().map(|(_, id)| JobId(id))
}

/// What should be claimed next, and what is put out of the way before.
fn expected(conn: &Connection, scope: &Scope) -> Option<JobId> {
    conn.execute_batch("SAVEPOINT expected").unwrap();
    let next = loop {
        let Some(head) = best_head(conn, scope) else { break None };
        if ended::open_cancel(conn, head).unwrap().is_none() {
            break Some(head);
        }
        ended::end_queued(conn, head, Reason::Cancelled, "cancelled", 5, &mut advance::aftermath()).unwrap();
    };
    conn.execute_batch("ROLLBACK TO expected; RELEASE expected").unwrap();
    next
}

/// A generator of numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
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
        all[self.dice.below(all.len() as u64) as usize]
    }

    fn do_something(&mut self) {
        let (queue, priority) = (self.one_of(&QUEUES), self.dice.below(5) as i64 - 2);
        let one = "(SELECT id FROM job WHERE state = 'queued' ORDER BY id * 7919 % 101 LIMIT 1)";
        let lane = self.one_of(&["NULL", "NULL", "'l'", "'m'"]);
        let sql = match self.dice.below(14) {
            0..=4 => format!("INSERT INTO job (command, queue, priority, lane, user_hold) VALUES ('[\"x\"]', '{queue}', {priority}, {lane}, {})", i64::from(priority == 2)),
            5 => format!("UPDATE job SET priority = {priority} WHERE id = {one}"),
            6 => format!("UPDATE job SET user_hold = 1 - user_hold WHERE id = {one}"),
            7 => format!("UPDATE queue SET paused = 1 - paused WHERE name = '{queue}'"),
            8 => format!("UPDATE queue SET slots = {} WHERE name = '{queue}'", self.one_of(&["NULL", "0", "1", "2"])),
            9 => format!("INSERT INTO cancel (job_id) SELECT {one} WHERE {one} IS NOT NULL"),
            10 => format!("UPDATE job SET queue = '{queue}' WHERE id = {one}"),
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

    fn scope(&mut self) -> Scope {
        match self.dice.below(5) {
            0 => Scope { queues: vec!["b".into(), "d".into(), "none".into()], only: None },
            1 => {
                let sql = "SELECT id FROM job WHERE state = 'queued' ORDER BY id * 31 % 97 LIMIT 1";
                let only = self.conn.query_row(sql, [], |row| row.get(0).map(JobId)).optional().unwrap();
                Scope { queues: Vec::new(), only }
            }
            _ => Scope::default(),
        }
    }

    fn claim_and_compare(&mut self) {
        let scope = self.scope();
        let prepared = self.prepared(4);
        self.conn.execute_batch("SAVEPOINT single").unwrap();
        let mut one_by_one = Vec::new();
        for one in &prepared {
            let expected = expected(&self.conn, &scope);
            let claimed = claim::claim(&self.conn, &scope, &[*one], "w", "b", 5).unwrap().pop().map(|claim| claim.job.id);
            assert_eq!(claimed, expected, "{scope:?}");
            one_by_one.extend(claimed);
        }
        self.conn.execute_batch("ROLLBACK TO single; RELEASE single").unwrap();
        assert_eq!(claim::has_ready(&self.conn, &scope).unwrap(), best_head(&self.conn, &scope).is_some());
        let at_once = claim::claim(&self.conn, &scope, &prepared, "w", "b", 5).unwrap();
        assert_eq!(at_once.iter().map(|claim| claim.job.id).collect::<Vec<_>>(), one_by_one, "four at once, or one by one");
        self.claimed += one_by_one.len();
    }
}

#[test]
fn the_order_of_claims_is_that_of_the_heads_of_all_open_queues() {
    let mut drawn = [0; 8];
    crate::random::fill(&mut drawn).unwrap();
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(u64::from_le_bytes(drawn));
    println!("SEED={seed}");
    let mut claimed = 0;
    for history in 0..20 {
        let conn = fixture::fresh();
        conn.execute_batch("UPDATE meta SET value = '1000000' WHERE key = 'run_id_limit'").unwrap();
        let mut play =
            Play { conn, dice: Dice(seed.wrapping_add(history).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1), run: 0, claimed: 0 };
        for _ in 0..60 {
            play.do_something();
            if play.dice.below(3) == 0 {
                play.claim_and_compare();
            }
        }
        assert!(recount::all(&play.conn, 9).unwrap().is_nothing(), "history {history}");
        claimed += play.claimed;
    }
    assert!(claimed > 100, "{claimed}");
}
