//! Steps that a person or the worker takes, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use tenure::error::Error;
use tenure::job::{Argv, JobId, Need, NewJob, Policy, Reason, RunId, State};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::control::{self, Cancelled, Change};
use tenure::store::{job::enqueue, job::retry};

use super::play::{Play, nonce};
use super::world::{Dep, Job};

impl Play {
    pub(super) fn add(&mut self, a: u8, b: u8, c: u8, d: u8, e: u8) {
        let now = self.world.now;
        let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        new.placement.queue = ["q0", "q1", "q2"][usize::from(a % 3)].into();
        new.placement.lane = [None, None, Some("l0"), Some("l1")][usize::from(a / 3 % 4)].map(Into::into);
        new.placement.priority = i64::from(a / 12 % 3);
        new.placement.max_attempts = u32::from(b % 3) + 1;
        new.placement.unique_key = [None, None, None, Some("u0"), Some("u1")][usize::from(b / 3 % 5)].map(Into::into);
        new.placement.replace = b >> 7 == 1;
        new.available_at = if c.is_multiple_of(4) { now + i64::from(c) * 50 } else { 0 };
        new.expires_at = c.is_multiple_of(5).then(|| now + i64::from(c) * 100 + 1);
        new.placement.user_hold = c % 16 == 7;
        new.policy = policy(d);
        new.after = self.parents(d, e);
        self.log.push(format!(
            "add {} {:?} lane {:?} prio {} at {} expires {:?} key {:?} replace {} hold {} after {:?}",
            self.world.last_id + 1,
            new.placement.queue,
            new.placement.lane,
            new.placement.priority,
            new.available_at,
            new.expires_at,
            new.placement.unique_key,
            new.placement.replace,
            new.placement.user_hold,
            new.after
        ));

        let key = new.placement.unique_key.clone();
        let existing = key.as_deref().and_then(|key| self.world.live_with_key(key));
        let added = enqueue::add(&self.conn, std::slice::from_ref(&new), now).unwrap().pop().unwrap();
        if let Some(id) = existing.filter(|_| !new.placement.replace) {
            assert_eq!((added.id.0, added.existing, added.replaced), (id, true, None));
            return;
        }
        if let Some(old) = existing {
            self.world.job(old).events.push("replaced");
            if self.world.jobs[&old].state == State::Queued {
                self.world.end_queued(old, Reason::Cancelled);
            } else {
                let job = self.world.job(old);
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
        if self.world.jobs[&id].deps.values().any(|(_, dep)| *dep == Dep::Broken) {
            self.world.end_queued(id, Reason::Dependency);
        }
        assert_eq!((added.id.0, added.existing, added.replaced), (id, false, existing.map(JobId)));
    }

    pub(super) fn parents(&self, d: u8, e: u8) -> Vec<(JobId, Need)> {
        let needs = [Need::Done, Need::Any, Need::Failed];
        let mut parents = BTreeMap::new();
        for at in 0..usize::from(d / 16 % 4).saturating_sub(1) {
            if let Some(parent) = self.some_job(e.rotate_left(at as u32 * 3)) {
                parents.insert(JobId(parent), needs[usize::from(e / 8 + at as u8) % 3]);
            }
        }
        parents.into_iter().collect()
    }

    pub(super) fn claim(&mut self, a: u8, b: u8, c: u8) {
        let prepared = self.new_runs(usize::from(a % 3) + 1);
        let queues = if b.is_multiple_of(4) { vec![["q0", "q1", "q2"][usize::from(b / 4 % 3)].to_owned()] } else { Vec::new() };
        let only = if c.is_multiple_of(8) { self.some_job(c / 8).map(JobId) } else { None };
        let scope = Scope { engine: tenure::store::job::claim::Engine::Any, queues: queues.clone(), only, room: None };
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

    pub(super) fn cancel(&mut self, a: u8, b: u8) {
        let Some(id) = self.some_job(a) else {
            assert!(matches!(control::cancel(&self.conn, JobId(99), None, 1), Err(Error::NotFound(_))));
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

    pub(super) fn retry(&mut self, a: u8, with_dependants: bool) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("retry {id} {with_dependants}"));
        let before = self.world.clone();
        let expected = self.world.retry(id, with_dependants);
        self.conn.execute_batch("SAVEPOINT retry").unwrap();
        match retry::retry(&self.conn, JobId(id), with_dependants, self.world.now) {
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

    pub(super) fn hold(&mut self, a: u8, held: bool) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("hold {id} {held}"));
        let answer = if held { control::hold(&self.conn, JobId(id)) } else { control::release(&self.conn, JobId(id)) };
        let job = self.world.job(id);
        assert_eq!(answer.is_ok(), job.state == State::Queued);
        if answer.is_ok() {
            set_hold(job, held);
        }
    }

    pub(super) fn set(&mut self, a: u8, b: u8, c: u8, d: u8) {
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
        let changed = answer.unwrap();
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
        let is_used_up = change.max_attempts.is_some() && job.attempts > 0 && job.attempts >= job.max_attempts;
        assert_eq!(changed.ended, is_used_up);
        if is_used_up {
            job.exit_code = job.latest_exit;
            let reason = job.last_reason.unwrap_or(Reason::Lost);
            self.world.end_queued(id, reason);
        }
    }

    pub(super) fn queue(&mut self, a: u8, b: u8, c: u8) {
        let name = ["q0", "q1", "q2"][usize::from(a % 3)];
        let settings = self.world.queues.entry(name.to_owned()).or_default();
        self.log.push(format!("queue {name} {b} {c}"));
        if b.is_multiple_of(2) {
            settings.paused = c.is_multiple_of(3);
            control::queue_pause(&self.conn, name, settings.paused).unwrap();
        } else {
            settings.slots = [None, Some(0), Some(1), Some(2)][usize::from(c % 4)];
            let to = control::QueueSettings { slots: Some(settings.slots), ..control::QueueSettings::default() };
            control::queue_set(&self.conn, name, &to).unwrap();
        }
    }

    pub(super) fn lane(&mut self, a: u8, b: u8) {
        let (key, limit) = (["l0", "l1"][usize::from(a % 2)], i64::from(b % 3) + 1);
        self.log.push(format!("lane {key} {limit}"));
        control::lane_set(&self.conn, key, limit).unwrap();
        self.world.lanes.insert(key.to_owned(), limit);
    }
}

pub(super) fn set_hold(job: &mut Job, held: bool) {
    if job.user_hold != held {
        job.user_hold = held;
        job.events.push(if held { "held" } else { "released" });
    }
}

pub(super) fn fresh_job(new: &NewJob) -> Job {
    Job {
        state: State::Queued,
        reason: None,
        queue: new.placement.queue.clone(),
        lane: new.placement.lane.clone(),
        priority: new.placement.priority,
        available_at: new.available_at,
        due_seen: 0,
        expires_at: new.expires_at,
        unique: new.placement.unique_key.clone(),
        user_hold: new.placement.user_hold,
        attempts: 0,
        max_attempts: new.placement.max_attempts,
        deferrals: 0,
        failed_starts: 0,
        last_reason: None,
        run: None,
        pid: None,
        exit_code: None,
        latest_exit: None,
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
