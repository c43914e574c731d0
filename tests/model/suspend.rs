//! Suspensions: what clients ask and what the worker reports, in any order.

use tenure::error::Error;
use tenure::job::{JobId, RunId, State};
use tenure::store::job::suspend;

use super::play::Play;

/// An open suspension of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspended {
    pub row: i64,
    pub is_done: bool,
    pub is_resuming: bool,
}

impl Play {
    pub(super) fn suspension(&mut self, a: u8, b: u8) {
        let Some(id) = self.some_job(a) else {
            assert!(matches!(suspend::suspend(&self.conn, JobId(99), None, 1), Err(Error::NotFound(_))));
            return;
        };
        match b % 6 {
            0 => self.ask_to_suspend(id, false),
            1 => self.ask_to_suspend(id, true),
            2 => self.ask_to_resume(id, false),
            3 => self.ask_to_resume(id, true),
            4 => self.report_suspended(id),
            _ => self.report_resumed(id),
        }
    }

    /// The run of a running job.
    fn run_of(&self, id: i64) -> Option<i64> {
        let job = &self.world.jobs[&id];
        job.run.filter(|_| job.state == State::Running)
    }

    fn open(&self, id: i64) -> Option<Suspended> {
        self.world.suspended.get(&self.run_of(id)?).copied()
    }

    fn ask_to_suspend(&mut self, id: i64, is_plain: bool) {
        self.log.push(format!("suspend {id}, plain {is_plain}"));
        let (now, open) = (self.world.now, self.open(id));
        let run = self.run_of(id).filter(|_| !self.world.jobs[&id].cancel_open);
        let asked = if is_plain {
            self.plain(|conn| conn.execute("INSERT INTO suspend (job_id) VALUES (?1)", [id])).map(|n| n > 0).map_err(drop)
        } else {
            suspend::suspend(&self.conn, JobId(id), None, now).map_err(drop)
        };
        let Some(run) = run else { return assert!(asked.is_err(), "{asked:?}") };
        let is_new = open.is_none_or(|one| one.is_resuming);
        // A plain client sees that a row was inserted, not that a request was withdrawn.
        assert_eq!(asked, Ok(if is_plain { open.is_none() } else { is_new }));
        if is_new {
            self.world.job(id).events.push("suspend_asked");
        }
        let row = suspend::wanted(&self.conn).unwrap().into_iter().find(|(of, _)| of.0 == run).unwrap().1;
        assert!(row.is_suspended);
        let is_done = open.is_some_and(|one| one.is_done);
        self.world.suspended.insert(run, Suspended { row: row.id, is_done, is_resuming: false });
    }

    fn ask_to_resume(&mut self, id: i64, is_plain: bool) {
        self.log.push(format!("resume {id}, plain {is_plain}"));
        let (now, open) = (self.world.now, self.open(id));
        let changes = open.is_some_and(|one| !one.is_resuming);
        if is_plain {
            let sql =
                "UPDATE suspend SET resume_at = 1 WHERE job_id = ?1 AND run_id = ?2 AND closed_at IS NULL AND resume_at IS NULL";
            let run = self.run_of(id);
            assert_eq!(self.plain(|conn| conn.execute(sql, (id, run))), Ok(usize::from(changes)));
        } else {
            match suspend::resume(&self.conn, JobId(id), now) {
                Ok(resumed) => assert_eq!((resumed, self.world.jobs[&id].state), (changes, State::Running)),
                Err(error) => assert_ne!(self.world.jobs[&id].state, State::Running, "{error}"),
            }
        }
        if let Some(run) = self.run_of(id).filter(|_| changes) {
            self.world.job(id).events.push("resume_asked");
            self.world.suspended.get_mut(&run).unwrap().is_resuming = true;
        }
    }

    fn report_suspended(&mut self, id: i64) {
        let (Some(run), Some(open)) = (self.run_of(id), self.open(id)) else { return };
        self.log.push(format!("run {run} is suspended"));
        suspend::is_suspended(&self.conn, open.row, self.world.now, "").unwrap();
        if !open.is_done {
            self.world.job(id).events.push("suspended");
            self.world.suspended.get_mut(&run).unwrap().is_done = true;
        }
    }

    fn report_resumed(&mut self, id: i64) {
        let (Some(run), Some(open)) = (self.run_of(id), self.open(id)) else { return };
        self.log.push(format!("run {run} continues"));
        suspend::is_resumed(&self.conn, open.row, 5, self.world.now).unwrap();
        if open.is_resuming {
            if open.is_done {
                self.world.job(id).events.push("resumed");
            }
            self.world.suspended.remove(&run);
        } else {
            self.world.suspended.get_mut(&run).unwrap().is_done = false;
        }
        // A worker that is late reports a row that is closed.
        suspend::is_resumed(&self.conn, open.row, 5, self.world.now).unwrap();
        if open.is_resuming {
            suspend::is_suspended(&self.conn, open.row, self.world.now, "").unwrap();
        }
    }

    /// What the row of a job says, and what is wanted of the runs.
    pub(super) fn compare_suspension(&self, job: &tenure::store::job::rows::Job) {
        let open = self.open(job.id.0);
        let seen = job.suspension.map(|one| Suspended {
            row: one.id,
            is_done: one.suspended_at.is_some(),
            is_resuming: one.is_resuming,
        });
        assert_eq!(seen, open, "the suspension of job {}", job.id);
        let wanted = suspend::wanted(&self.conn).unwrap();
        let of_run = wanted.iter().find(|(run, _)| Some(*run) == self.run_of(job.id.0).map(RunId));
        assert_eq!(of_run.map(|(_, wanted)| wanted.is_suspended), open.map(|one| !one.is_resuming));
    }
}
