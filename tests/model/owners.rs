//! Who has what: leases, workspaces and occurrences, played on a real file and on a plain model, compared after each step.
//!
//! The model is a map for each: which owner has which lease, which run is in which directory, which occurrence became which job. Runs
//! begin and end by the verbs of jobs, so all that a run has must go with its row. Four bytes are a step.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use tenure::error::Error;
use tenure::job::workspace::Workspace;
use tenure::job::{Argv, CatchUp, Exit, JobId, NewJob, Nonce, Overlap, RunEnd, RunId, Template};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::{self, RunRecord, Settle};
use tenure::store::lease::{self, Lease, Taken};
use tenure::store::schedule::{self, NewSchedule};
use tenure::store::workspace::{self, Made};
use tenure::store::{job::enqueue, schedule::plan};

use crate::model::file;

/// What is done, and three bytes that say to what.
pub type Step = [u8; 4];

/// Most steps of one history.
const STEPS_MAX: usize = 300;
const BOOT: &str = "b";
/// 2026-03-01T00:00:00Z, some weeks before a change of the clock.
const START_MS: i64 = 1_772_323_200_000;
const MINUTE_MS: i64 = 60_000;

/// Plays a history. Panics where file and model differ.
pub fn play(steps: &[Step]) {
    let mut owners = Owners::new();
    for step in steps.iter().take(STEPS_MAX) {
        owners.conn.execute_batch("SAVEPOINT step").unwrap();
        owners.act(*step);
        owners.conn.execute_batch("RELEASE step").unwrap();
        owners.compare();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Run(i64),
    Front([u8; 16]),
}

struct Owners {
    conn: Connection,
    now: i64,
    next_run: i64,
    /// Open runs, with their jobs.
    runs: BTreeMap<i64, JobId>,
    leases: BTreeMap<String, Owner>,
    nonces: u8,
    /// The present directory of each key, with its prepare command and size.
    present: BTreeMap<String, (String, Option<Argv>, u64)>,
    inside: BTreeMap<i64, String>,
    dirs: usize,
    /// Occurrences that became jobs, of all schedules that there ever were.
    fired: BTreeSet<(i64, i64)>,
    /// The highest instant that the clock has shown, for occurrences that cannot have come yet.
    latest: i64,
}

impl Owners {
    fn new() -> Self {
        Self {
            conn: file::fresh(),
            now: START_MS,
            next_run: 1,
            runs: BTreeMap::new(),
            leases: BTreeMap::new(),
            nonces: 0,
            present: BTreeMap::new(),
            inside: BTreeMap::new(),
            dirs: 0,
            fired: BTreeSet::new(),
            latest: START_MS,
        }
    }

    fn act(&mut self, [op, a, b, c]: Step) {
        match op % 20 {
            0..=2 => self.begin(),
            3 | 4 => self.end(a, b),
            5 | 6 => self.take_for_run(a, b),
            7 => self.take_in_front(a),
            8 => self.let_go(a),
            9 => self.reclaim_or_force(a, b & 1 == 1),
            10 | 11 => self.make(a, b, c),
            12 | 13 => self.enter(a, b, c),
            14 => self.evict_or_remove(a, b),
            15 => self.schedule(a, b, c),
            16 => self.pause_or_remove(a, b),
            17 => self.clock(a, b, c),
            _ => self.plan(),
        }
    }

    fn some_run(&self, a: u8) -> Option<i64> {
        let n = self.runs.len();
        (n > 0).then(|| *self.runs.keys().nth(usize::from(a) % n).unwrap())
    }

    // ---- runs

    fn begin(&mut self) {
        let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        job.placement.queue = "q".into();
        enqueue::add(&self.conn, &[job], self.now).unwrap();
        let run = self.next_run;
        self.next_run += 1;
        let prepared = [Prepared { run: RunId(run), nonce: nonce_of(run) }];
        let scope = Scope { queues: vec!["q".into()], ..Scope::default() };
        let claims = claim::claim(&self.conn, &scope, &prepared, "w", BOOT, self.now).unwrap();
        self.runs.insert(run, claims[0].job.id);
    }

    /// All that a run has goes with its row, for each end.
    fn end(&mut self, a: u8, b: u8) {
        let Some(run) = self.some_run(a) else { return };
        let job = self.runs.remove(&run).unwrap();
        let end = match b % 4 {
            0 => RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false },
            1 => RunEnd::Ended { exit: Exit::Code(3), cause: None, out_of_memory: false },
            2 => RunEnd::Lost,
            _ => RunEnd::Ended { exit: Exit::Signal(9), cause: None, out_of_memory: false },
        };
        let s = Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 };
        settle::settle(&self.conn, &s, self.now).unwrap();
        self.leases.retain(|_, owner| *owner != Owner::Run(run));
        self.inside.remove(&run);
    }

    // ---- leases

    fn name(a: u8) -> String {
        format!("n{}", a % 3)
    }

    fn take_for_run(&mut self, a: u8, b: u8) {
        let name = Self::name(a);
        let Some(run) = self.some_run(b) else {
            let ended = RunId(self.next_run.max(2) - 1);
            let free = !self.leases.contains_key(&name);
            assert!(
                !free || lease::take_for_run(&self.conn, &name, ended, None, self.now).is_err(),
                "an ended run is given none"
            );
            return;
        };
        let taken = lease::take_for_run(&self.conn, &name, RunId(run), None, self.now).unwrap();
        let owner = *self.leases.entry(name).or_insert(Owner::Run(run));
        assert_eq!(matches!(taken, Taken::Yours), owner == Owner::Run(run), "{taken:?} {owner:?}");
    }

    fn take_in_front(&mut self, a: u8) {
        self.nonces = self.nonces.wrapping_add(1);
        let (name, nonce) = (Self::name(a), [self.nonces; 16]);
        let taken = lease::take(&self.conn, &in_front(&name, nonce, self.now)).unwrap();
        let owner = *self.leases.entry(name).or_insert(Owner::Front(nonce));
        assert_eq!(matches!(taken, Taken::Yours), owner == Owner::Front(nonce));
    }

    /// Of its own holding; a late one frees nothing of the next owner.
    fn let_go(&mut self, a: u8) {
        let name = Self::name(a);
        let late = lease::free(&self.conn, &name, Nonce([255; 16])).unwrap();
        assert!(!late);
        if let Some(Owner::Front(nonce)) = self.leases.get(&name).copied() {
            assert!(lease::free(&self.conn, &name, Nonce(nonce)).unwrap());
            self.leases.remove(&name);
        }
    }

    fn reclaim_or_force(&mut self, a: u8, by_force: bool) {
        let name = Self::name(a);
        let Some(held) = lease::named(&self.conn, &name).unwrap() else {
            assert!(!self.leases.contains_key(&name));
            return;
        };
        let of_run = held.run.is_some();
        if by_force {
            assert!(lease::force(&self.conn, &held, "a person", self.now).unwrap());
            assert!(!lease::force(&self.conn, &held, "a person", self.now).unwrap(), "once");
        } else {
            assert_eq!(lease::reclaim(&self.conn, &held, self.now).unwrap(), !of_run, "a run's goes with the run alone");
            assert_eq!(lease::reclaim_of_ended_runs(&self.conn, self.now).unwrap(), 0);
        }
        if by_force || !of_run {
            self.leases.remove(&name);
        }
    }

    // ---- workspaces

    fn wanted(a: u8, b: u8) -> Workspace {
        let prepare = [None, Some("x"), Some("y")][usize::from(b % 3)].map(|word| Argv::from_strs(&[word]).unwrap());
        Workspace { key: format!("k{}", a % 3), prepare }
    }

    fn make(&mut self, a: u8, b: u8, c: u8) {
        let wanted = Self::wanted(a, b);
        self.dirs += 1;
        let made = Made { workspace: wanted.clone(), dir: format!("d-{}", self.dirs), bytes: Some(u64::from(c)) };
        workspace::made(&self.conn, &made, BOOT, self.now).unwrap();
        self.present.insert(wanted.key, (made.dir, wanted.prepare, u64::from(c)));
    }

    fn enter(&mut self, a: u8, b: u8, c: u8) {
        let Some(run) = self.some_run(a) else { return };
        let wanted = Self::wanted(b, c);
        // In another boot nothing is used that is not known to be on the disk.
        let boot = if c >> 7 == 1 { "another" } else { BOOT };
        let entered = workspace::enter(&self.conn, &wanted, self.runs[&run], RunId(run), boot, self.now).unwrap();
        let present =
            self.present.get(&wanted.key).filter(|(_, prepare_command, _)| *prepare_command == wanted.prepare && boot == BOOT);
        let expected = self.inside.get(&run).cloned().or_else(|| present.map(|(dir, _, _)| dir.clone()));
        assert_eq!(entered, expected);
        self.inside.extend(expected.map(|dir| (run, dir)));
    }

    fn evict_or_remove(&mut self, a: u8, b: u8) {
        let is_used = |dir: &String| self.inside.values().any(|used| used == dir);
        if b & 1 == 1 {
            let most = u64::from(a) * 2;
            let evicted = workspace::evict(&self.conn, most).unwrap();
            for one in &evicted {
                assert!(!is_used(&one.dir), "one that a run is in stays");
            }
            evicted.iter().for_each(|one| drop(self.present.remove(&one.key)));
            let left = self.present.values().map(|(_, _, bytes)| bytes).sum::<u64>();
            let free =
                self.present.values().filter(|(dir, _, bytes)| *bytes > 0 && !self.inside.values().any(|used| used == dir));
            assert!(left <= most || free.count() == 0, "all that could go has gone");
            return;
        }
        let key = format!("k{}", a % 3);
        match (workspace::remove(&self.conn, &key), self.present.get(&key)) {
            (Ok(dir), Some((present, _, _))) => {
                assert!(dir == *present && !is_used(&dir));
                self.present.remove(&key);
            }
            (Err(Error::Refused(_)), Some((dir, _, _))) => assert!(is_used(dir)),
            (Err(Error::NotFound(_)), None) => {}
            (answer, present) => panic!("{answer:?} {present:?}"),
        }
    }

    // ---- schedules

    fn schedule(&mut self, a: u8, b: u8, c: u8) {
        let name = format!("s{}", a % 3);
        let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        job.placement.unique_key = c.is_multiple_of(5).then(|| "u".to_owned());
        let new = NewSchedule {
            name: name.clone(),
            cron: ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 * * * *"][usize::from(b % 4)].into(),
            zone: ["UTC", "Europe/Berlin", "Australia/Lord_Howe"][usize::from(c % 3)].into(),
            catch_up: CatchUp::ALL[usize::from(b / 4) % CatchUp::ALL.len()],
            catch_up_max: i64::from(c % 20) + 1,
            overlap: Overlap::ALL[usize::from(a / 3) % Overlap::ALL.len()],
            jitter_ms: if c.is_multiple_of(7) { 5_000 } else { 0 },
            boot_id: "b".into(),
            template: Template::of(job, None, None).unwrap(),
        };
        let is_there = schedule::find(&self.conn, &name).unwrap().is_some();
        match schedule::add(&self.conn, &new, self.now) {
            Ok(_) => assert!(!is_there),
            Err(error) => assert!(is_there && matches!(error, Error::Refused(_)), "{error}"),
        }
    }

    fn pause_or_remove(&mut self, a: u8, b: u8) {
        let name = format!("s{}", a % 3);
        let is_there = schedule::find(&self.conn, &name).unwrap().is_some();
        let done = match b % 3 {
            0 => schedule::remove(&self.conn, &name),
            paused => schedule::pause(&self.conn, &name, paused == 1, self.now).map(drop),
        };
        assert_eq!(done.is_ok(), is_there, "{done:?}");
    }

    /// Mostly forward, by seconds to days; sometimes back.
    fn clock(&mut self, a: u8, b: u8, c: u8) {
        let by = i64::from(b) * [1_000, MINUTE_MS, 60 * MINUTE_MS][usize::from(c % 3)];
        self.now = if a < 200 { self.now + by } else { (self.now - by).max(START_MS) };
        self.latest = self.latest.max(self.now);
    }

    fn plan(&mut self) {
        // Bounded work a round; and a second planner that comes at once finds nothing that is left to do.
        let mut rounds = 0;
        while plan::is_due(&self.conn, self.now).unwrap() {
            rounds += 1;
            assert!(rounds < 50, "it comes to an end");
            plan::plan(&self.conn, self.now, plan::SCHEDULES_MAX).unwrap();
        }
        assert_eq!(plan::plan(&self.conn, self.now, plan::SCHEDULES_MAX).unwrap().jobs, []);
    }

    // ---- comparing

    fn compare(&mut self) {
        let held: BTreeMap<String, Owner> = lease::list(&self.conn)
            .unwrap()
            .into_iter()
            .map(|held| (held.name, held.run.map_or(Owner::Front(held.nonce.0), |run| Owner::Run(run.0))))
            .collect();
        assert_eq!(held, self.leases, "who has which lease");
        let present: BTreeMap<String, String> =
            workspace::list(&self.conn).unwrap().into_iter().map(|row| (row.key, row.dir)).collect();
        let expected = self.present.iter().map(|(key, (dir, _, _))| (key.clone(), dir.clone())).collect();
        assert_eq!(present, expected, "which directory is whose");
        let inside: BTreeMap<i64, String> = self.pairs("SELECT id, dir FROM run WHERE finished_at IS NULL AND dir IS NOT NULL");
        assert_eq!(inside, self.inside, "who is in which directory");
        self.compare_occurrences();
    }

    fn compare_occurrences(&mut self) {
        let fired: BTreeSet<(i64, i64)> = self.pairs("SELECT schedule_id, at FROM occurrence WHERE state = 'fired'");
        let jobs: i64 = self
            .conn
            .query_row("SELECT count(DISTINCT job_id) FROM occurrence WHERE state = 'fired'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(jobs, fired.len() as i64, "each occurrence has a job of its own");
        assert!(fired.iter().all(|(_, at)| *at <= self.latest), "none came before its time");
        let made: i64 = self.conn.query_row("SELECT count(*) FROM job WHERE queue = 'default'", [], |row| row.get(0)).unwrap();
        self.fired.extend(&fired);
        assert_eq!(
            made,
            self.fired.len() as i64,
            "an occurrence becomes one job, for any change of the clock, and nothing else makes one"
        );
    }

    fn pairs<B: rusqlite::types::FromSql, C: FromIterator<(i64, B)>>(&self, sql: &str) -> C {
        let mut rows = self.conn.prepare(sql).unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }
}

fn nonce_of(run: i64) -> Nonce {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    Nonce(bytes)
}

fn in_front(name: &str, nonce: [u8; 16], now_ms: i64) -> Lease {
    Lease {
        name: name.into(),
        nonce: Nonce(nonce),
        run: None,
        job: None,
        pid: Some(7),
        command: r#"["x"]"#.into(),
        why: None,
        boot_id: BOOT.into(),
        since: now_ms,
    }
}
