//! Random histories of jobs that use pools: after each step the heads, the passes and the units are
//! those of a definition that stands here and uses nothing that is kept.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::OptionalExtension;

use super::*;
use crate::job::{Nonce, RunId};
use crate::store::dice::{Dice, seed};
use crate::store::fixture;
use crate::store::job::claim::{self, Scope};
use crate::store::job::ids::Prepared;
use crate::store::job::reorder::{Position, reorder};
use crate::store::upkeep::recount;

const QUEUES: [&str; 3] = ["a", "b", "c"];
const POOLS: [&str; 2] = ["gpu", "tape"];

/// What a job may use, as SQL.
fn uses(dice: &mut Dice) -> String {
    let amount = |dice: &mut Dice| dice.below(3) + 1;
    match dice.below(4) {
        0 => format!("'{{\"gpu\": {}}}'", amount(dice)),
        1 => format!("'{{\"tape\": {}}}'", amount(dice)),
        2 => format!("'{{\"gpu\": {}, \"tape\": {}}}'", amount(dice), amount(dice)),
        _ => "NULL".to_owned(),
    }
}

/// A live job, as the plain columns have it.
struct Plain {
    id: i64,
    queue: String,
    lane: String,
    order: (i64, f64, i64),
    runs: bool,
    is_held: bool,
    uses: BTreeMap<String, i64>,
}

struct Play {
    conn: Connection,
    dice: Dice,
    run: i64,
    served: Served,
    claimed: usize,
}

impl Play {
    fn jobs(&self) -> Vec<Plain> {
        let sql = "SELECT id, queue, -priority, coalesce(place, id), state = 'running', user_hold, coalesce(uses, '{}'), coalesce(lane, '')
                     FROM job WHERE state IN ('queued', 'running')";
        let mut jobs = self.conn.prepare(sql).unwrap();
        let rows = jobs.query_map([], |row| {
            let id = row.get(0)?;
            let uses: String = row.get(6)?;
            Ok(Plain {
                id,
                queue: row.get(1)?,
                order: (row.get(2)?, row.get(3)?, id),
                runs: row.get(4)?,
                is_held: row.get(5)?,
                uses: serde_json::from_str(&uses).unwrap(),
                lane: row.get(7)?,
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn pairs(&self, sql: &str) -> Vec<(String, i64)> {
        let mut all = self.conn.prepare(sql).unwrap();
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    /// Whether one more job of its queue and of its lane can run.
    fn has_room(&self, job: &Plain) -> bool {
        let sql =
            "SELECT paused = 0 AND (slots IS NULL OR slots > (SELECT count(*) FROM job WHERE queue = ?1 AND state = 'running'))
                     FROM queue WHERE name = ?1";
        let queue: Option<bool> = self.conn.query_row(sql, [&job.queue], |row| row.get(0)).optional().unwrap();
        let sql =
            "SELECT max_running > (SELECT count(*) FROM job WHERE lane = ?1 AND state = 'running') FROM lane WHERE key = ?1";
        let lane: Option<bool> = self.conn.query_row(sql, [&job.lane], |row| row.get(0)).optional().unwrap();
        queue.unwrap_or(true) && lane.unwrap_or(true)
    }

    /// The head of a pool: of the first job of each queue and lane the first that could start.
    fn head<'a>(&self, waiting: impl Iterator<Item = &'a Plain>) -> i64 {
        let mut sorted: Vec<&Plain> = waiting.collect();
        sorted.sort_by(|a, b| a.order.0.cmp(&b.order.0).then(a.order.1.total_cmp(&b.order.1)).then(a.order.2.cmp(&b.order.2)));
        match &self.served {
            Served::Jobs(jobs) => sorted.retain(|job| jobs.contains(&JobId(job.id))),
            Served::Queues(queues) => {
                let mut seen = BTreeSet::new();
                sorted.retain(|job| seen.insert((&job.queue, &job.lane)) && (queues.is_empty() || queues.contains(&job.queue)));
            }
        }
        sorted.into_iter().find(|job| self.has_room(job)).map_or(0, |job| job.id)
    }

    /// The head of each pool, and the jobs that its pools admit.
    fn check(&self, step: &str) {
        let jobs = self.jobs();
        let sizes: BTreeMap<String, i64> = self.pairs("SELECT name, size FROM pool").into_iter().collect();
        let fits = |job: &Plain| job.uses.iter().all(|(pool, n)| sizes.get(pool).is_some_and(|size| size >= n));
        let waits = |job: &&Plain| !job.runs && !job.is_held && !job.uses.is_empty() && fits(job);
        let mut heads = BTreeMap::new();
        for pool in sizes.keys() {
            let waiting = jobs.iter().filter(waits).filter(|job| job.uses.contains_key(pool));
            heads.insert(pool.as_str(), self.head(waiting));
        }
        let kept = self.pairs("SELECT name, coalesce(head_id, 0) FROM pool");
        assert!(kept.iter().all(|(pool, head)| heads[pool.as_str()] == *head), "{step}: {kept:?}, and not {heads:?}");

        let taken = |pool: &str| jobs.iter().filter(|job| job.runs).filter_map(|job| job.uses.get(pool)).sum::<i64>();
        let admits =
            |job: &Plain| job.uses.iter().all(|(pool, n)| heads[pool.as_str()] == job.id && taken(pool) + n <= sizes[pool]);
        for job in jobs.iter().filter(|job| !job.runs && !job.uses.is_empty()) {
            let sql = "SELECT pool_pass, hold IS 'pool' FROM job WHERE id = ?1";
            let kept: (bool, bool) = self.conn.query_row(sql, [job.id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let admitted = waits(&job) && admits(job);
            assert_eq!(kept, (admitted, !admitted && !job.is_held), "{step}: job {} uses {:?}", job.id, job.uses);
        }
        for job in jobs.iter().filter(|job| job.runs) {
            let units: Vec<(String, i64)> =
                units(&self.conn, JobId(job.id)).unwrap().into_iter().map(|(pool, units)| (pool, units.len() as i64)).collect();
            assert_eq!(units, job.uses.clone().into_iter().collect::<Vec<_>>(), "{step}: job {} has what it uses", job.id);
        }
        let strays = "SELECT 'n', count(*) FROM pool_unit WHERE job_id NOT IN (SELECT id FROM job WHERE state = 'running')";
        assert_eq!(self.pairs(strays)[0].1, 0, "{step}: only running jobs have units");
    }

    fn claim(&mut self) {
        let prepared: Vec<Prepared> = (0..3).map(|n| Prepared { run: RunId(self.run + n + 1), nonce: Nonce([1; 16]) }).collect();
        self.run += 3;
        let scope = match &self.served {
            Served::Queues(queues) => Scope { queues: queues.clone(), ..Scope::default() },
            Served::Jobs(jobs) => Scope { only: jobs.first().copied(), ..Scope::default() },
        };
        self.claimed += claim::claim(&self.conn, &scope, &prepared, "w", "b", 5).unwrap().len();
    }

    fn step(&mut self) -> String {
        let dice = &mut self.dice;
        let one = "(SELECT id FROM job WHERE state = 'queued' ORDER BY id * 7919 % 101 LIMIT 1)";
        let queue = dice.of(&QUEUES);
        let uses = uses(dice);
        let (priority, held) = (dice.below(3), dice.below(5) / 4);
        let lane = dice.of(&["NULL", "NULL", "'l'"]);
        let sql = match dice.below(17) {
            0..=3 => format!(
                "INSERT INTO job (command, queue, priority, lane, uses, user_hold) VALUES ('[\"x\"]', '{queue}', {priority}, {lane}, {uses}, {held})"
            ),
            4 => format!("UPDATE job SET user_hold = 1 - user_hold WHERE id = {one}"),
            5 => format!("UPDATE job SET priority = {priority} WHERE id = {one}"),
            6 => format!("UPDATE job SET uses = {uses} WHERE id = {one}"),
            7 => format!("UPDATE job SET queue = '{queue}' WHERE id = {one}"),
            8 => format!("UPDATE queue SET paused = 1 - paused WHERE name = '{queue}'"),
            9 => format!("UPDATE queue SET slots = {} WHERE name = '{queue}'", dice.of(&["NULL", "0", "1", "4"])),
            10 => {
                let (pool, size) = (dice.of(&POOLS), dice.below(5) as i64);
                set(&self.conn, pool, size).unwrap();
                return format!("{pool} has {size}");
            }
            11 => {
                let id = self.conn.query_row(&format!("SELECT {one}"), [], |row| row.get::<_, Option<i64>>(0)).unwrap();
                let _none_is_queued = reorder(&self.conn, JobId(id.unwrap_or(1)), Position::First);
                return format!("{id:?} is moved");
            }
            12 if dice.below(3) == 0 => {
                let ids = "SELECT max(id), min(id) FROM job WHERE state = 'queued'";
                let (one, other): (Option<i64>, Option<i64>) =
                    self.conn.query_row(ids, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                self.served = match dice.below(4) {
                    0 => Served::Queues(vec!["a".to_owned(), "c".to_owned()]),
                    1 => Served::Jobs([one, other].into_iter().flatten().map(JobId).collect()),
                    _ => Served::Queues(Vec::new()),
                };
                note_served(&self.conn, &self.served).unwrap();
                return format!("{:?} are served", self.served);
            }
            12 | 13 => "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 9 WHERE state = 'running' AND id % 3 > 0".into(),
            14 => "UPDATE job SET state = 'queued', run_id = NULL, started_at = NULL WHERE state = 'running' AND id % 2 = 0".into(),
            15 if dice.below(2) == 0 => "UPDATE lane SET max_running = 3 - max_running".into(),
            _ => format!("UPDATE job SET state = 'cancelled', reason = 'cancelled', finished_at = 5 WHERE id = {one}"),
        };
        // Some are refused, as they should be.
        let _refused = self.conn.execute_batch(&sql);
        let ended = "UPDATE run SET finished_at = 9, outcome = 'lost'
                      WHERE finished_at IS NULL AND job_id NOT IN (SELECT id FROM job WHERE state = 'running')";
        self.conn.execute_batch(ended).unwrap();
        sql
    }
}

#[test]
fn heads_passes_and_units_are_those_of_their_definition() {
    let seed = seed();
    let (mut claimed, mut history) = (0, 0);
    while history < 12 || claimed < 100 {
        assert!(history < 500, "{claimed} were claimed");
        history += 1;
        let conn = fixture::fresh();
        conn.execute_batch("UPDATE meta SET value = '1000000' WHERE key = 'run_id_limit'").unwrap();
        POOLS.iter().for_each(|pool| set(&conn, pool, 2).unwrap());
        let dice = Dice::new(seed.wrapping_add(history));
        let mut play = Play { conn, dice, run: 0, served: Served::Queues(Vec::new()), claimed: 0 };
        for _ in 0..60 {
            let step = play.step();
            play.check(&step);
            if play.dice.below(3) == 0 {
                play.claim();
                play.check("a claim");
            }
        }
        let made = recount::all(&play.conn, 9).unwrap();
        assert!(made.is_nothing(), "history {history}: {made:?}");
        claimed += play.claimed;
    }
}
