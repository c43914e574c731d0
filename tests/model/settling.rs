//! Steps of runs that start and end, the late ones too.

use tenure::job::{Cause, Exit, JobId, Outcome, Reason, RunEnd, RunId, RunKind, State};
use tenure::store::job::auxiliary::{self, Closed, Opening};
use tenure::store::job::check;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};

use super::play::Play;
use super::truths;
use super::world::Run;

impl Play {
    pub(super) fn started(&mut self, a: u8, b: u8) {
        let Some(run) = self.some_run(a) else { return };
        let pid = i32::from(b) + 1;
        self.log.push(format!("started {run} as {pid}"));
        let owns = self.owns(run);
        assert_eq!(settle::started(&self.conn, RunId(run), pid, self.world.now).unwrap(), owns);
        let Run { job, parent, .. } = self.world.runs[&run];
        if owns && parent.is_none() && !self.has_exited(run) {
            self.world.job(job).pid = Some(pid);
        }
    }

    /// The run is open, and it or its parent owns the job.
    pub(super) fn owns(&self, run: i64) -> bool {
        let Run { job, parent, open, .. } = self.world.runs[&run];
        open && self.world.jobs.get(&job).is_some_and(|j| j.state == State::Running && j.run == Some(parent.unwrap_or(run)))
    }

    pub(super) fn has_exited(&self, run: i64) -> bool {
        let sql = "SELECT exited_at IS NOT NULL FROM run WHERE id = ?1";
        self.conn.query_row(sql, [run], |row| row.get(0)).unwrap()
    }

    pub(super) fn check(&mut self, a: u8, b: u8) {
        let Some(run) = self.some_run(a) else { return };
        let Run { job, parent, .. } = self.world.runs[&run].clone();
        if parent.is_some() {
            let open = self.world.runs[&run].open;
            self.log.push(format!("end check {run}"));
            let (reason, exit) = (Some(Reason::Exit), Some(Exit::Code(i32::from(b % 2))));
            let closed = Closed { outcome: Outcome::Failed, reason, exit, error: None, record: RunRecord::default() };
            assert_eq!(auxiliary::end(&self.conn, RunId(run), &closed, self.world.now).unwrap().was_open, open);
            if open {
                let now = self.world.now;
                self.world.runs.get_mut(&run).unwrap().close(now);
            }
            return;
        }
        self.log.push(format!("exited {run}, and its check begins"));
        let owns = self.owns(run);
        let record = RunRecord { exited_at: Some(self.world.now), ..RunRecord::default() };
        assert_eq!(check::exited(&self.conn, JobId(job), RunId(run), &record, 0).unwrap(), owns);
        let check = self.new_runs(1)[0];
        let opening = Opening::of(RunKind::Check, JobId(job), RunId(run));
        let begun = auxiliary::begin(&self.conn, &opening, check, "w", "b", self.world.now).unwrap();
        let is_asked = self.world.runs.values().any(|r| r.open && r.parent == Some(run));
        assert_eq!(begun, owns && !is_asked);
        if owns {
            self.world.job(job).pid = None;
        }
        if begun {
            self.world.runs.insert(check.run.0, Run { job, parent: Some(run), open: true, closed_at: None });
        }
    }

    pub(super) fn settle(&mut self, a: u8, b: u8, c: u8, d: u8) {
        let Some(run) = self.some_run(a) else { return };
        let job = self.world.runs[&run].job;
        let end = end(b);
        self.log.push(format!("settle job {job} run {run}: {end:?}"));
        if d.is_multiple_of(2) {
            self.end_checks_of(run);
        }
        self.settle_with(job, run, &end, f64::from(c) / 256.0);
        // The same news once more changes nothing.
        let before = truths::everything(&self.conn);
        let again = self.bring(job, run, &end, 0.5);
        assert_eq!(again, Settled::Late);
        assert_eq!(truths::everything(&self.conn), before, "a late settle changed something");
    }

    pub(super) fn settle_with(&mut self, job: i64, run: i64, end: &RunEnd, chance: f64) {
        let before = truths::everything(&self.conn);
        let settled = self.bring(job, run, end, chance);
        match self.world.settle(job, run, end, chance) {
            None => {
                assert_eq!(settled, Settled::Late);
                assert_eq!(truths::everything(&self.conn), before, "a late settle changed something");
            }
            Some(expected) => assert!(matches!(settled, Settled::Won { decision, .. } if decision == expected)),
        }
    }

    pub(super) fn bring(&self, job: i64, run: i64, end: &RunEnd, chance: f64) -> Settled {
        // A run that was never suspended has no record of that.
        let suspended_ms = self.world.suspended.get(&run).filter(|open| open.is_done).map(|_| 5);
        let record = RunRecord { leftovers: Some("1 x".into()), suspended_ms, ..RunRecord::default() };
        let news = Settle { job: JobId(job), run: RunId(run), end: end.clone(), record, chance };
        settle::settle(&self.conn, &news, self.world.now).unwrap()
    }

    pub(super) fn end_checks_of(&mut self, run: i64) {
        let checks: Vec<i64> =
            self.world.runs.iter().filter(|(_, r)| r.open && r.parent == Some(run)).map(|(id, _)| *id).collect();
        for check in checks {
            let record = RunRecord::default();
            let closed = Closed { outcome: Outcome::Done, reason: None, exit: None, error: None, record };
            assert!(auxiliary::end(&self.conn, RunId(check), &closed, self.world.now).unwrap().was_open);
            let now = self.world.now;
            self.world.runs.get_mut(&check).unwrap().close(now);
        }
    }
}

pub(super) fn end(b: u8) -> RunEnd {
    let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
    match b % 21 {
        0..=3 => ended(Exit::Code(0), None),
        4 | 5 => ended(Exit::Code(1), None),
        6 | 7 => ended(Exit::Code(75), None),
        8 => ended(Exit::Code(64), None),
        9 => ended(Exit::Signal(9), None),
        10 => ended(Exit::Signal(15), Some(Cause::Timeout)),
        11 => ended(Exit::Signal(15), Some(Cause::Cancel)),
        12 => ended(Exit::Signal(15), Some(Cause::Shutdown)),
        13 => RunEnd::NotExecuted { errno: 2, error: "no such file".into() },
        14 => RunEnd::NotExecuted { errno: 11, error: "fork".into() },
        15 => RunEnd::NeverStarted,
        16 => RunEnd::Lost,
        17 => RunEnd::Unprepared,
        18 => RunEnd::Withdrawn,
        19 => RunEnd::PrepareFailed { error: "no room".into() },
        _ => RunEnd::CheckFailed { error: "no".into() },
    }
}
