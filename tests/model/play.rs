//! Plays steps on a file and on the model, and compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tenure::error::Error;
use tenure::job::verdict::{self, Claimed, Progress, RunFile, Verdict};
use tenure::job::{Argv, Cause, Exit, JobId, Need, NewJob, Nonce, Outcome, Policy, Reason, RunEnd, RunId, State};
use tenure::store::check;
use tenure::store::claim::{self, Prepared, Scope};
use tenure::store::control::{self, Cancelled, Change};
use tenure::store::reap::{self, Healers};
use tenure::store::settle::{self, RunRecord, Settle, Settled};
use tenure::store::{enqueue, ids, mend, prune, read};

use super::world::{Job, Run, World};
use super::{file, truths};

/// One step: what is done, and five bytes that say to what.
pub type Step = [u8; 6];

/// Most steps of one history.
pub const STEPS_MAX: usize = 400;

const START_MS: i64 = 1_000_000;
const TEND_LIMIT: usize = 100_000;

/// Whether a history that fails is told.
static TELL: AtomicBool = AtomicBool::new(false);

/// From now on a history that fails is told, step by step.
pub fn tell() {
    TELL.store(true, Ordering::Relaxed);
}

/// Plays a whole history. Panics where file and model differ.
pub fn play(steps: &[Step]) {
    let mut play = Play::new();
    for step in steps.iter().take(STEPS_MAX) {
        play.step(*step);
        play.compare();
    }
}

struct Play {
    conn: Connection,
    world: World,
    /// Run ids that are reserved.
    free_runs: std::ops::Range<i64>,
    events: BTreeMap<String, String>,
    ended: BTreeMap<String, String>,
    /// Jobs that were retried or pruned in this step.
    moved: BTreeSet<i64>,
    log: Vec<String>,
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() && TELL.load(Ordering::Relaxed) {
            eprintln!("the history:\n{}", self.log.join("\n"));
        }
    }
}

impl Play {
    fn new() -> Self {
        let world = World { now: START_MS, ..World::default() };
        Self {
            conn: file::fresh(),
            world,
            free_runs: 0..0,
            events: BTreeMap::new(),
            ended: BTreeMap::new(),
            moved: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        self.moved.clear();
        self.conn.execute_batch("SAVEPOINT step").unwrap();
        self.act(step);
        self.conn.execute_batch("RELEASE step").unwrap();
    }

    fn act(&mut self, [op, a, b, c, d, e]: Step) {
        match op % 32 {
            0..=3 => self.add(a, b, c, d, e),
            4 => self.plain_add(a, b, c),
            5 => self.plain_cancel(a),
            6 => self.plain_update(a, b, c),
            7..=10 => self.claim(a, b, c),
            11 => self.started(a, b),
            12 => self.check(a, b),
            13..=17 => self.settle(a, b, c, d),
            18 => self.cancel(a, b),
            19 => self.retry(a, b & 1 == 1),
            20 => self.hold(a, b & 1 == 1),
            21 => self.set(a, b, c, d),
            22 => self.queue(a, b, c),
            23 => self.lane(a, b),
            24 | 25 => self.tend(),
            26 => self.heal_and_mend(),
            27 => self.prune(a),
            28 => self.clock(a, b),
            29 => self.crash(a, b),
            30 => self.undone([a % 28, b, c, d, e, a ^ b]),
            _ => self.tamper(a, b),
        }
    }

    // ---- choosing

    fn some_job(&self, a: u8) -> Option<i64> {
        let n = self.world.jobs.len();
        (n > 0).then(|| *self.world.jobs.keys().nth(usize::from(a) % n).unwrap())
    }

    fn some_run(&self, a: u8) -> Option<i64> {
        // Half of the time one that is open.
        let open: Vec<i64> = self.world.runs.iter().filter(|(_, run)| run.open).map(|(id, _)| *id).collect();
        if a.is_multiple_of(2) && !open.is_empty() {
            return Some(open[usize::from(a / 2) % open.len()]);
        }
        let n = self.world.runs.len();
        (n > 0).then(|| *self.world.runs.keys().nth(usize::from(a / 2) % n).unwrap())
    }

    fn new_runs(&mut self, n: usize) -> Vec<Prepared> {
        (0..n)
            .map(|_| {
                if self.free_runs.is_empty() {
                    self.free_runs = ids::reserve_runs(&self.conn, 4).unwrap();
                }
                let run = self.free_runs.next().unwrap();
                Prepared { run: RunId(run), nonce: nonce(run) }
            })
            .collect()
    }

    // ---- steps

    fn add(&mut self, a: u8, b: u8, c: u8, d: u8, e: u8) {
        let now = self.world.now;
        let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        new.queue = ["q0", "q1", "q2"][usize::from(a % 3)].into();
        new.lane = [None, None, Some("l0"), Some("l1")][usize::from(a / 3 % 4)].map(Into::into);
        new.priority = i64::from(a / 12 % 3);
        new.max_attempts = u32::from(b % 3) + 1;
        new.unique_key = [None, None, None, Some("u0"), Some("u1")][usize::from(b / 3 % 5)].map(Into::into);
        new.replace = b >> 7 == 1;
        new.available_at = if c.is_multiple_of(4) { now + i64::from(c) * 50 } else { 0 };
        new.expires_at = c.is_multiple_of(5).then(|| now + i64::from(c) * 100 + 1);
        new.user_hold = c % 16 == 7;
        new.policy = policy(d);
        new.after = self.parents(d, e);
        self.log.push(format!(
            "add {} {:?} lane {:?} prio {} at {} expires {:?} key {:?} replace {} hold {} after {:?}",
            self.world.last_id + 1,
            new.queue,
            new.lane,
            new.priority,
            new.available_at,
            new.expires_at,
            new.unique_key,
            new.replace,
            new.user_hold,
            new.after
        ));

        let key = new.unique_key.clone();
        let existing = key.as_deref().and_then(|key| self.world.live_with_key(key));
        let added = enqueue::add(&self.conn, std::slice::from_ref(&new), now).unwrap().pop().unwrap();
        if let Some(id) = existing.filter(|_| !new.replace) {
            assert_eq!((added.id.0, added.existing, added.replaced), (id, true, None));
            return;
        }
        if let Some(old) = existing {
            self.world.job(old).events.push("replaced");
            if self.world.jobs[&old].state == State::Queued {
                self.world.end_queued(old, Reason::Cancelled);
            } else {
                let job = self.world.job(old);
                job.unique = None;
                if !job.cancel_open {
                    job.events.push("cancel_asked");
                }
                job.cancel_open = true;
            }
        }
        let id = self.world.add(fresh_job(&new));
        for (parent, need) in &new.after {
            self.world.depend(id, parent.0, *need);
        }
        if self.world.jobs[&id].deps.values().any(|(_, dep)| *dep == super::world::Dep::Broken) {
            self.world.end_queued(id, Reason::Dependency);
        }
        assert_eq!((added.id.0, added.existing, added.replaced), (id, false, existing.map(JobId)));
    }

    fn parents(&self, d: u8, e: u8) -> Vec<(JobId, Need)> {
        let needs = [Need::Done, Need::Any, Need::Failed];
        let mut parents = BTreeMap::new();
        for at in 0..usize::from(d / 16 % 4).saturating_sub(1) {
            if let Some(parent) = self.some_job(e.rotate_left(at as u32 * 3)) {
                parents.insert(JobId(parent), needs[usize::from(e / 8 + at as u8) % 3]);
            }
        }
        parents.into_iter().collect()
    }

    /// A client without the capability.
    fn plain<T>(&mut self, f: impl FnOnce(&Connection) -> T) -> T {
        self.conn.remove_function("tenure_owns_this_column__to_cancel_insert_into_cancel", 0).unwrap();
        let answer = f(&self.conn);
        file::register(&self.conn);
        answer
    }

    fn plain_add(&mut self, a: u8, b: u8, c: u8) {
        let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        new.queue = ["q0", "q1"][usize::from(a % 2)].into();
        new.lane = [None, Some("l0"), Some("l1")][usize::from(a / 2 % 3)].map(Into::into);
        new.priority = i64::from(b % 3);
        new.unique_key = [None, None, Some("u0")][usize::from(b / 3 % 3)].map(Into::into);
        self.log.push(format!(
            "plain add {} {:?} lane {:?} prio {} key {:?}",
            self.world.last_id + 1,
            new.queue,
            new.lane,
            new.priority,
            new.unique_key
        ));
        let taken = new.unique_key.as_deref().is_some_and(|key| self.world.live_with_key(key).is_some());
        let or = ["", "OR REPLACE ", "OR IGNORE "][usize::from(c % 3)];
        let sql =
            format!("INSERT {or}INTO job (command, queue, lane, priority, unique_key) VALUES ('[\"true\"]', ?1, ?2, ?3, ?4)");
        let values = (new.queue.clone(), new.lane.clone(), new.priority, new.unique_key.clone());
        let added = self.plain(|conn| conn.execute(&sql, values));
        assert_eq!(added.is_err(), taken, "{added:?}");
        if !taken {
            self.world.add(fresh_job(&new));
        }
    }

    fn plain_cancel(&mut self, a: u8) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("plain cancel {id}"));
        let asked = self.plain(|conn| conn.execute("INSERT INTO cancel (job_id) VALUES (?1)", [id]));
        let job = self.world.job(id);
        assert_eq!(asked.is_err(), job.state.is_terminal(), "{asked:?}");
        if asked.is_ok() && !job.cancel_open {
            job.cancel_open = true;
            job.events.push("cancel_asked");
        }
    }

    fn plain_update(&mut self, a: u8, b: u8, c: u8) {
        let Some(id) = self.some_job(a) else { return };
        let now = self.world.now;
        let (column, value) = match b % 4 {
            0 => ("priority", i64::from(c % 4)),
            1 => ("user_hold", i64::from(c % 2)),
            2 => ("available_at", now + i64::from(c) * 20),
            _ => ("available_at", 0),
        };
        self.log.push(format!("plain update {id} {column} = {value}"));
        let sql = format!("UPDATE job SET {column} = ?2 WHERE id = ?1");
        let updated = self.plain(|conn| conn.execute(&sql, (id, value)));
        let job = self.world.job(id);
        assert_eq!(updated.is_ok(), job.state == State::Queued, "{updated:?}");
        if job.state != State::Queued {
            return;
        }
        match column {
            "priority" => job.priority = value,
            "user_hold" => set_hold(job, value == 1),
            _ => job.available_at = value,
        }
    }

    fn claim(&mut self, a: u8, b: u8, c: u8) {
        let prepared = self.new_runs(usize::from(a % 3) + 1);
        let queues = if b.is_multiple_of(4) { vec![["q0", "q1", "q2"][usize::from(b / 4 % 3)].to_owned()] } else { Vec::new() };
        let only = if c.is_multiple_of(8) { self.some_job(c / 8).map(JobId) } else { None };
        let scope = Scope { queues: queues.clone(), only };
        self.log.push(format!("claim {} {scope:?}", prepared.len()));
        let queues: BTreeSet<String> = queues.into_iter().collect();
        let runs: Vec<i64> = prepared.iter().map(|p| p.run.0).collect();
        let ready = self.world.next(&queues, only.map(|id| id.0)).is_some();
        assert_eq!(claim::has_ready(&self.conn, &scope).unwrap(), ready);
        let claims = claim::claim(&self.conn, &scope, &prepared, "w", "b", self.world.now).unwrap();
        let expected = self.world.claim(&queues, only.map(|id| id.0), &runs);
        assert_eq!(claims.iter().map(|c| c.job.id.0).collect::<Vec<_>>(), expected);
        assert_eq!(claims.iter().map(|c| c.run.0).collect::<Vec<_>>(), runs[..claims.len()]);
        for claim in &claims {
            assert_eq!(claim.job.state, State::Running);
            assert_eq!(claim.previous_reason, self.world.jobs[&claim.job.id.0].last_reason);
            assert_eq!(claim.nonce, nonce(claim.run.0));
        }
    }

    fn started(&mut self, a: u8, b: u8) {
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
    fn owns(&self, run: i64) -> bool {
        let Run { job, parent, open } = self.world.runs[&run];
        open && self.world.jobs.get(&job).is_some_and(|j| j.state == State::Running && j.run == Some(parent.unwrap_or(run)))
    }

    fn has_exited(&self, run: i64) -> bool {
        let sql = "SELECT exited_at IS NOT NULL FROM run WHERE id = ?1";
        self.conn.query_row(sql, [run], |row| row.get(0)).unwrap()
    }

    fn check(&mut self, a: u8, b: u8) {
        let Some(run) = self.some_run(a) else { return };
        let Run { job, parent, .. } = self.world.runs[&run].clone();
        if parent.is_some() {
            let open = self.world.runs[&run].open;
            self.log.push(format!("end check {run}"));
            let (reason, exit) = (Some(Reason::Exit), Some(Exit::Code(i32::from(b % 2))));
            let ended = check::end_check(&self.conn, RunId(run), Outcome::Failed, reason, exit, None, self.world.now);
            assert_eq!(ended.unwrap(), open);
            self.world.runs.get_mut(&run).unwrap().open = false;
            return;
        }
        self.log.push(format!("exited {run}, and its check begins"));
        let owns = self.owns(run);
        let record = RunRecord { exited_at: Some(self.world.now), ..RunRecord::default() };
        assert_eq!(check::exited(&self.conn, JobId(job), RunId(run), &record, 0).unwrap(), owns);
        let check = self.new_runs(1)[0];
        let begun = check::begin_check(&self.conn, JobId(job), RunId(run), check.run, check.nonce, "w", "b", self.world.now);
        assert_eq!(begun.unwrap(), owns);
        if owns {
            self.world.job(job).pid = None;
            self.world.runs.insert(check.run.0, Run { job, parent: Some(run), open: true });
        }
    }

    fn settle(&mut self, a: u8, b: u8, c: u8, d: u8) {
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

    fn settle_with(&mut self, job: i64, run: i64, end: &RunEnd, chance: f64) {
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

    fn bring(&self, job: i64, run: i64, end: &RunEnd, chance: f64) -> Settled {
        let record = RunRecord { leftovers: Some("1 x".into()), ..RunRecord::default() };
        let news = Settle { job: JobId(job), run: RunId(run), end: end.clone(), record, chance };
        settle::settle(&self.conn, &news, self.world.now).unwrap()
    }

    fn end_checks_of(&mut self, run: i64) {
        let checks: Vec<i64> =
            self.world.runs.iter().filter(|(_, r)| r.open && r.parent == Some(run)).map(|(id, _)| *id).collect();
        for check in checks {
            assert!(check::end_check(&self.conn, RunId(check), Outcome::Done, None, None, None, self.world.now).unwrap());
            self.world.runs.get_mut(&check).unwrap().open = false;
        }
    }

    fn cancel(&mut self, a: u8, b: u8) {
        let Some(id) = self.some_job(a) else {
            assert!(matches!(control::cancel(&self.conn, JobId(99), None, 1), Err(Error::NoSuch(_))));
            return;
        };
        self.log.push(format!("cancel {id}"));
        let why = b.is_multiple_of(2).then_some("because");
        let answer = control::cancel(&self.conn, JobId(id), why, self.world.now).unwrap();
        let job = self.world.job(id);
        if !job.state.is_terminal() && !job.cancel_open {
            job.events.push("cancel_asked");
            job.cancel_open = true;
        }
        match job.state {
            State::Queued => {
                assert!(matches!(answer, Cancelled::Ended { .. }));
                self.world.end_queued(id, Reason::Cancelled);
            }
            State::Running => assert_eq!(answer, Cancelled::Asked { run: RunId(job.run.unwrap()) }),
            _ => assert_eq!(answer, Cancelled::AlreadyEnded),
        }
    }

    fn retry(&mut self, a: u8, with_dependants: bool) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("retry {id} {with_dependants}"));
        let before = self.world.clone();
        let expected = self.world.retry(id, with_dependants);
        self.conn.execute_batch("SAVEPOINT retry").unwrap();
        match control::retry(&self.conn, JobId(id), with_dependants, self.world.now) {
            Ok(back) => {
                assert_eq!(Some(back.iter().map(|id| id.0).collect()), expected);
                self.moved.extend(back.iter().map(|id| id.0));
            }
            Err(error) => {
                assert!(matches!(error, Error::Refused(_)), "{error}");
                assert_eq!(expected, None, "refused: {error}");
                self.conn.execute_batch("ROLLBACK TO retry").unwrap();
                self.world = before;
            }
        }
        self.conn.execute_batch("RELEASE retry").unwrap();
    }

    fn hold(&mut self, a: u8, held: bool) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("hold {id} {held}"));
        let answer =
            if held { control::hold(&self.conn, JobId(id)) } else { control::release(&self.conn, JobId(id), self.world.now) };
        let job = self.world.job(id);
        assert_eq!(answer.is_ok(), job.state == State::Queued);
        if answer.is_ok() {
            set_hold(job, held);
        }
    }

    fn set(&mut self, a: u8, b: u8, c: u8, d: u8) {
        let Some(id) = self.some_job(a) else { return };
        let now = self.world.now;
        let change = Change {
            priority: (b & 1 == 1).then(|| i64::from(c % 4)),
            queue: (b & 2 == 2).then(|| ["q0", "q1", "q3"][usize::from(c % 3)].to_owned()),
            available_at: (b & 4 == 4).then(|| if d.is_multiple_of(3) { 0 } else { now + i64::from(d) * 30 - 1_000 }),
            max_attempts: (b & 8 == 8).then(|| u32::from(d % 4) + 1),
            timeout_ms: (b & 16 == 16).then_some(Some(5_000)),
            ..Change::default()
        };
        self.log.push(format!("set {id} {change:?}"));
        let answer = control::set(&self.conn, JobId(id), &change, now);
        if self.world.jobs[&id].state != State::Queued {
            assert!(matches!(answer, Err(Error::Refused(_))));
            return;
        }
        answer.unwrap();
        if let Some(queue) = &change.queue {
            self.world.queues.entry(queue.clone()).or_default();
        }
        let job = self.world.job(id);
        job.priority = change.priority.unwrap_or(job.priority);
        job.queue = change.queue.unwrap_or(job.queue.clone());
        job.max_attempts = change.max_attempts.unwrap_or(job.max_attempts);
        if let Some(at) = change.available_at {
            (job.available_at, job.due_seen) = (at, 0);
        }
        if let Some(timeout) = change.timeout_ms {
            job.policy.timeout_ms = timeout;
        }
    }

    fn queue(&mut self, a: u8, b: u8, c: u8) {
        let name = ["q0", "q1", "q2"][usize::from(a % 3)];
        let settings = self.world.queues.entry(name.to_owned()).or_default();
        self.log.push(format!("queue {name} {b} {c}"));
        if b.is_multiple_of(2) {
            settings.paused = c.is_multiple_of(3);
            control::queue_pause(&self.conn, name, settings.paused).unwrap();
        } else {
            settings.slots = [None, Some(0), Some(1), Some(2)][usize::from(c % 4)];
            control::queue_set(&self.conn, name, Some(settings.slots), None).unwrap();
        }
    }

    fn lane(&mut self, a: u8, b: u8) {
        let (key, limit) = (["l0", "l1"][usize::from(a % 2)], i64::from(b % 3) + 1);
        self.log.push(format!("lane {key} {limit}"));
        control::lane_set(&self.conn, key, limit).unwrap();
        self.world.lanes.insert(key.to_owned(), limit);
    }

    fn tend(&mut self) {
        self.log.push("tend".into());
        let tended = claim::tend(&self.conn, self.world.now, TEND_LIMIT).unwrap();
        assert!(!tended.more);
        self.world.tend();
        let next = claim::next_due_ms(&self.conn).unwrap();
        assert!(next.is_none_or(|at| at > self.world.now), "what is due has been done");
    }

    /// Nothing is impossible, but the runs of checks whose job was settled over them.
    fn heal_and_mend(&mut self) {
        self.log.push("heal and mend".into());
        let orphans: BTreeSet<i64> =
            self.world.runs.iter().filter(|(id, run)| run.open && !self.owns(**id)).map(|(id, _)| *id).collect();
        let healed = reap::heal(&self.conn, Healers::default(), self.world.now).unwrap();
        let closed: BTreeSet<i64> = healed.iter().flat_map(|h| h.runs.iter().map(|(run, _)| run.0)).collect();
        assert_eq!(closed, orphans, "{healed:?}");
        for healed in healed {
            assert_eq!(healed.what, tenure::store::heal::Impossible::RunWithoutJob);
            self.world.job(healed.job.0).events.push("healed");
        }
        for run in orphans {
            self.world.runs.get_mut(&run).unwrap().open = false;
        }
        let before = truths::everything(&self.conn);
        assert_eq!(reap::heal(&self.conn, Healers::default(), self.world.now).unwrap(), []);
        let mended = mend::mend(&self.conn, self.world.now).unwrap();
        assert!(mended.is_nothing(), "{mended:?}");
        assert_eq!(truths::everything(&self.conn), before);
    }

    fn prune(&mut self, a: u8) {
        let before = self.world.now - i64::from(a) * 10;
        self.log.push(format!("prune {before}"));
        let pruned = prune::prune(&self.conn, before, TEND_LIMIT).unwrap();
        let gone = self.world.prune(before);
        assert_eq!(pruned.jobs, gone.len());
        self.moved.extend(gone);
    }

    fn clock(&mut self, a: u8, b: u8) {
        let step = i64::from(a) * i64::from(b) - 1_000;
        self.world.now = (self.world.now + step).max(0);
        self.log.push(format!("the clock says {}", self.world.now));
    }

    /// The worker is gone; another one opens the file and goes on from what it finds in `runs/`, which here is chance.
    fn crash(&mut self, a: u8, b: u8) {
        self.log.push("crash".into());
        self.free_runs = 0..0;
        self.conn.execute_batch("RELEASE step").unwrap();
        self.conn = reopened(&self.conn);
        self.conn.execute_batch("SAVEPOINT step").unwrap();
        ids::start_generation(&self.conn).unwrap();
        let open = reap::open_runs(&self.conn).unwrap();
        let running: Vec<i64> = self.world.jobs.iter().filter(|(_, j)| j.state == State::Running).map(|(id, _)| *id).collect();
        assert_eq!(open.iter().map(|o| o.job.id.0).collect::<Vec<_>>(), running);
        for (at, open) in open.iter().enumerate() {
            let seen = a.rotate_left(at as u32 * 3) ^ b.wrapping_mul(at as u8 + 1);
            assert_eq!(open.open_cancel, self.world.jobs[&open.job.id.0].cancel_open);
            let (job, run) = (open.job.id.0, open.run.id.0);
            let end = match verdict::of_claim(observation(seen)) {
                Verdict::Adopt => {
                    assert!(reap::adopted(&self.conn, RunId(run), "w2").unwrap());
                    continue;
                }
                Verdict::PutBack => RunEnd::NeverStarted,
                Verdict::Lose { .. } => RunEnd::Lost,
                Verdict::GoOn { .. } => end(seen),
            };
            self.log.push(format!("  job {job} run {run}: {end:?}"));
            self.end_checks_of(run);
            self.settle_with(job, run, &end, 0.25);
        }
    }

    /// The transaction of a step does not come to its end.
    fn undone(&mut self, step: Step) {
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
    fn tamper(&mut self, a: u8, b: u8) {
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

    // ---- comparing

    fn compare(&mut self) {
        truths::check(&self.conn);
        let all = read::Filter { all: true, ..read::Filter::default() };
        let jobs = read::jobs(&self.conn, &all).unwrap();
        let ids: Vec<i64> = jobs.iter().map(|job| job.id.0).collect();
        assert_eq!(ids, self.world.jobs.keys().copied().collect::<Vec<_>>(), "no job is lost, none appears");
        for job in jobs {
            self.compare_job(&job);
        }
        let open: BTreeSet<i64> = self.world.runs.iter().filter(|(_, run)| run.open).map(|(id, _)| *id).collect();
        let in_file = truths::table(&self.conn, "run", "finished_at IS NULL").len();
        assert_eq!(open.len(), in_file, "open runs {open:?}");
        self.compare_history();
    }

    fn compare_job(&self, job: &tenure::store::rows::Job) {
        let id = job.id.0;
        let model = &self.world.jobs[&id];
        let deps = read::dependencies(&self.conn, job.id).unwrap();
        let deps: BTreeMap<_, _> = deps
            .into_iter()
            .map(|d| {
                let state = match d.state.as_str() {
                    "unmet" => super::world::Dep::Unmet,
                    "met" => super::world::Dep::Met,
                    _ => super::world::Dep::Broken,
                };
                (d.on.0, (d.need, state))
            })
            .collect();
        let events = read::events(&self.conn, job.id).unwrap();
        let seen = Job {
            state: job.state,
            reason: job.reason,
            queue: job.queue.clone(),
            lane: job.lane.clone(),
            priority: job.priority,
            available_at: job.available_at,
            due_seen: job.due_seen,
            expires_at: job.expires_at,
            unique: job.unique_key.clone(),
            user_hold: job.user_hold,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            deferrals: job.deferrals,
            unstarts: job.unstarts,
            last_reason: job.last_reason,
            // A terminal row keeps the run that ended it.
            run: job.run_id.map(|run| run.0).filter(|_| !job.state.is_terminal()),
            pid: job.pid,
            exit_code: job.exit_code,
            finished_at: job.finished_at,
            cancel_open: job.cancel_open,
            policy: job.policy().unwrap(),
            deps,
            events: model.events.clone(),
        };
        let expected = Job { run: model.run.filter(|_| !model.state.is_terminal()), ..model.clone() };
        assert_eq!(seen, expected, "job {id}");
        assert_eq!(job.hold, self.world.hold(id), "the hold of job {id}");
        assert_eq!(events.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), model.events, "the history of job {id}");
    }

    /// Ended rows stay as they are, and history only grows.
    fn compare_history(&mut self) {
        let ended = truths::table(&self.conn, "job", "state NOT IN ('queued', 'running')");
        for (id, row) in &self.ended {
            let number: i64 = id.trim_start_matches("Integer(").trim_end_matches(')').parse().unwrap();
            if !self.moved.contains(&number) {
                assert_eq!(ended.get(id), Some(row), "an ended row changed");
            }
        }
        let events = truths::table(&self.conn, "event", "1");
        for (id, event) in &self.events {
            let gone =
                self.moved.iter().any(|job| event.contains(&format!("|Integer({job})|")) && !self.world.jobs.contains_key(job));
            assert!(gone || events.get(id) == Some(event), "history changed: {event} {:?}", events.get(id));
        }
        (self.ended, self.events) = (ended, events);
    }
}

fn set_hold(job: &mut Job, held: bool) {
    if job.user_hold != held {
        job.user_hold = held;
        job.events.push(if held { "held" } else { "released" });
    }
}

fn fresh_job(new: &NewJob) -> Job {
    Job {
        state: State::Queued,
        reason: None,
        queue: new.queue.clone(),
        lane: new.lane.clone(),
        priority: new.priority,
        available_at: new.available_at,
        due_seen: 0,
        expires_at: new.expires_at,
        unique: new.unique_key.clone(),
        user_hold: new.user_hold,
        attempts: 0,
        max_attempts: new.max_attempts,
        deferrals: 0,
        unstarts: 0,
        last_reason: None,
        run: None,
        pid: None,
        exit_code: None,
        finished_at: None,
        cancel_open: false,
        policy: new.policy.clone(),
        deps: BTreeMap::new(),
        events: vec!["added"],
    }
}

fn policy(d: u8) -> Policy {
    let text = [r#"{"backoff_ms":[0,0]}"#, r#"{"backoff_ms":[500,2000],"max_deferrals":2}"#, r#"{"no_retry_on":["lost"]}"#, "{}"];
    Policy::from_json(text[usize::from(d % 4)]).unwrap()
}

fn nonce(run: i64) -> Nonce {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    Nonce(bytes)
}

fn end(b: u8) -> RunEnd {
    let ended = |exit, cause| RunEnd::Ended { exit, cause, out_of_memory: false };
    match b % 18 {
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
        _ => RunEnd::CheckFailed { error: "no".into() },
    }
}

fn observation(seen: u8) -> Claimed {
    let progress = [Progress::Nothing, Progress::Begun, Progress::Exited, Progress::Failed, Progress::Drained];
    let file = match seen % 8 {
        0 => RunFile::Missing,
        1 => RunFile::Foreign,
        _ => RunFile::Own { locked: seen & 8 == 8, progress: progress[usize::from(seen / 16) % 5] },
    };
    Claimed { same_boot: !seen.is_multiple_of(7), file }
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
