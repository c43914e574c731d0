//! Steps of the worker's own turns, and of the world around it: time, crashes, tampering.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tenure::job::verdict::{self, Claimed, Progress, RunFile, Verdict};
use tenure::job::{RunEnd, RunId, State};
use tenure::store::{job::ids, upkeep::due, upkeep::open_runs, upkeep::prune, upkeep::recount, upkeep::repair};

use super::play::{LIMIT, Play, Step};
use super::settling::end;
use super::{file, truths};

impl Play {
    pub(super) fn clock(&mut self, a: u8, b: u8) {
        let step = i64::from(a) * i64::from(b) - 1_000;
        self.world.now = (self.world.now + step).max(0);
        self.log.push(format!("the clock says {}", self.world.now));
    }

    /// The worker is gone; another one opens the file and continues from what it finds in `runs/`, which here is chance.
    pub(super) fn crash(&mut self, a: u8, b: u8) {
        self.log.push("crash".into());
        self.free_runs = 0..0;
        self.conn.execute_batch("RELEASE step").unwrap();
        self.conn = reopened(&self.conn);
        self.conn.execute_batch("SAVEPOINT step").unwrap();
        ids::start_generation(&self.conn).unwrap();
        let open = open_runs::open_runs(&self.conn).unwrap();
        let running: Vec<i64> = self.world.jobs.iter().filter(|(_, j)| j.state == State::Running).map(|(id, _)| *id).collect();
        assert_eq!(open.iter().map(|o| o.job.id.0).collect::<Vec<_>>(), running);
        for (at, open) in open.iter().enumerate() {
            let seen = a.rotate_left(at as u32 * 3) ^ b.wrapping_mul(at as u8 + 1);
            assert_eq!(open.open_cancel, self.world.jobs[&open.job.id.0].cancel_open);
            let (job, run) = (open.job.id.0, open.run.id.0);
            let end = match verdict::of_claim(observation(seen)) {
                Verdict::Adopt => {
                    assert!(open_runs::adopted(&self.conn, RunId(run), "w2").unwrap());
                    continue;
                }
                Verdict::Requeue { .. } => RunEnd::NeverStarted,
                Verdict::Lose { .. } => RunEnd::Lost,
                Verdict::Finish { .. } => end(seen),
            };
            self.log.push(format!("  job {job} run {run}: {end:?}"));
            self.end_checks_of(run);
            self.settle_with(job, run, &end, 0.25);
        }
    }

    /// The transaction of a step does not come to its end.
    pub(super) fn undone(&mut self, step: Step) {
        let (world, runs, before) = (self.world.clone(), self.free_runs.clone(), truths::everything(&self.conn));
        self.log.push("undone:".into());
        self.conn.execute_batch("SAVEPOINT undone").unwrap();
        self.act(step);
        self.conn.execute_batch("ROLLBACK TO undone; RELEASE undone").unwrap();
        (self.world, self.free_runs) = (world, runs);
        self.moved.clear();
        assert_eq!(truths::everything(&self.conn), before);
    }

    /// A client without the capability touches what it may touch and should not; nothing comes of it.
    pub(super) fn tamper(&mut self, a: u8, b: u8) {
        let sql = [
            "UPDATE job SET lane_pass = 0",
            "UPDATE job SET lane_pass = 1 WHERE lane IS NOT NULL AND state = 'queued'",
            "UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL WHERE state = 'running'",
            "UPDATE OR REPLACE job SET rowid = 1 WHERE id = 2",
            "INSERT OR REPLACE INTO job (id, command) VALUES (1, '[\"x\"]')",
            "DELETE FROM job",
            "UPDATE dependency SET state = 'met'",
            "INSERT OR REPLACE INTO lane (key) VALUES ('l0')",
            "INSERT OR REPLACE INTO queue (name) VALUES ('q0')",
        ][usize::from(a % 9)];
        self.log.push(format!("tamper {sql}"));
        let checks = b % 2 == 1;
        self.conn.pragma_update(None, "ignore_check_constraints", checks).unwrap();
        if sql.contains("lane (key)") {
            self.world.lanes.entry("l0".into()).or_insert(1);
        }
        if sql.contains("queue (name)") {
            self.world.queues.entry("q0".into()).or_default();
        }
        self.conn.pragma_update(None, "recursive_triggers", b % 3 == 1).unwrap();
        let _refused_or_without_effect = self.plain(|conn| conn.execute(sql, []));
        self.conn.pragma_update(None, "ignore_check_constraints", false).unwrap();
        self.conn.pragma_update(None, "recursive_triggers", false).unwrap();
    }

    /// Nothing is impossible, but the runs of checks whose job was settled over them.
    pub(super) fn repair_and_recount(&mut self) {
        self.log.push("repair and recount".into());
        let orphans: BTreeSet<i64> =
            self.world.runs.iter().filter(|(id, run)| run.open && !self.owns(**id)).map(|(id, _)| *id).collect();
        let repaired = repair::repair(&self.conn, self.world.now).unwrap();
        let closed: BTreeSet<i64> = repaired.iter().flat_map(|h| h.runs.iter().map(|(run, _)| run.0)).collect();
        assert_eq!(closed, orphans, "{repaired:?}");
        for repaired in repaired {
            assert_eq!(repaired.rule, "run_has_its_job");
            self.world.job(repaired.job.0).events.push("repaired");
        }
        for run in orphans {
            let now = self.world.now;
            self.world.runs.get_mut(&run).unwrap().close(now);
        }
        // A settle that does not know of a suspension leaves its row open, without effect.
        let ended = "closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM job WHERE id = job_id AND state = 'running' AND run_id = suspend.run_id)";
        let suspensions = truths::table(&self.conn, "suspend", ended).len();
        let counts = recount::all(&self.conn, self.world.now).unwrap();
        assert_eq!(counts, recount::Recounted { suspensions, ..Default::default() });
        let before = truths::everything(&self.conn);
        assert_eq!(repair::repair(&self.conn, self.world.now).unwrap(), []);
        assert!(recount::all(&self.conn, self.world.now).unwrap().is_nothing());
        assert_eq!(truths::everything(&self.conn), before);
    }

    pub(super) fn process_due(&mut self) {
        self.log.push("process_due".into());
        let processed = due::process(&self.conn, self.world.now, LIMIT).unwrap();
        assert!(!processed.more);
        self.world.process_due();
        let next = due::next_due_ms(&self.conn).unwrap();
        assert!(next.is_none_or(|at| at > self.world.now), "what is due has been done");
    }

    pub(super) fn prune(&mut self, a: u8) {
        let before = self.world.now - i64::from(a) * 10;
        self.log.push(format!("prune {before}"));
        let pruned = prune::prune(&self.conn, before, LIMIT).unwrap();
        let gone = self.world.prune(before);
        assert_eq!(pruned.jobs, gone.len());
        self.moved.extend(gone);
    }
}

fn observation(seen: u8) -> Claimed {
    let progress = [Progress::Nothing, Progress::Begun, Progress::Exited, Progress::Failed, Progress::Drained];
    let file = match seen % 8 {
        0 => RunFile::Missing,
        1 => RunFile::Foreign,
        _ => RunFile::Own { locked: seen & 8 == 8, progress: progress[usize::from(seen / 16) % 5] },
    };
    Claimed { same_boot: !seen.is_multiple_of(7), file, known_unstarted: false }
}

/// What is on the disk, in the hands of a new process.
fn reopened(conn: &Connection) -> Connection {
    let mut copy = Connection::open_in_memory().unwrap();
    rusqlite::backup::Backup::new(conn, &mut copy).unwrap().run_to_completion(10_000, std::time::Duration::ZERO, None).unwrap();
    copy.set_prepared_statement_cache_capacity(256);
    copy.pragma_update(None, "trusted_schema", false).unwrap();
    file::register(&copy);
    copy
}
