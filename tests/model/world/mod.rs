//! The plain model of a file.

mod prune;

use std::collections::{BTreeMap, BTreeSet};

use tenure::job::ending::decide;
use tenure::job::{Decision, Facts, Hold, Need, Next, Policy, Reason, RunEnd, RunKind, State};

use super::resources::Thing;
use super::suspend::Suspended;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dep {
    Unmet,
    Met,
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub state: State,
    pub reason: Option<Reason>,
    pub queue: String,
    pub lane: Option<String>,
    pub priority: i64,
    pub available_at: i64,
    pub due_seen: i64,
    pub expires_at: Option<i64>,
    pub unique: Option<String>,
    pub user_hold: bool,
    pub attempts: u32,
    pub max_attempts: u32,
    pub deferrals: u32,
    pub failed_starts: u32,
    pub last_reason: Option<Reason>,
    pub run: Option<i64>,
    pub pid: Option<i32>,
    pub exit_code: Option<i32>,
    /// Of the latest run that has ended for a reason.
    pub latest_exit: Option<i32>,
    pub finished_at: Option<i64>,
    pub cancel_open: bool,
    pub policy: Policy,
    pub deps: BTreeMap<i64, (Need, Dep)>,
    pub events: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub job: i64,
    pub parent: Option<i64>,
    pub open: bool,
    /// When its end was recorded.
    pub closed_at: Option<i64>,
}

impl Run {
    pub fn close(&mut self, now: i64) {
        (self.open, self.closed_at) = (false, Some(now));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    pub slots: Option<i64>,
    pub paused: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct World {
    pub now: i64,
    pub jobs: BTreeMap<i64, Job>,
    pub runs: BTreeMap<i64, Run>,
    /// By run.
    pub suspended: BTreeMap<i64, Suspended>,
    pub queues: BTreeMap<String, Queue>,
    /// How many may run.
    pub lanes: BTreeMap<String, i64>,
    /// The highest job id ever given.
    pub last_id: i64,
    /// The external resources.
    pub things: BTreeMap<i64, Thing>,
    /// The highest number of such a thing.
    pub last_thing: i64,
    /// The auxiliary runs that are under way for them.
    pub auxiliaries: BTreeMap<i64, RunKind>,
}

impl World {
    pub fn add(&mut self, job: Job) -> i64 {
        self.last_id += 1;
        self.queues.entry(job.queue.clone()).or_default();
        if let Some(lane) = &job.lane {
            self.lanes.entry(lane.clone()).or_insert(1);
        }
        self.jobs.insert(self.last_id, job);
        self.last_id
    }

    pub fn depend(&mut self, child: i64, parent: i64, need: Need) {
        let state = self.truth(parent, need);
        self.job(child).deps.insert(parent, (need, state));
    }

    pub fn job(&mut self, id: i64) -> &mut Job {
        self.jobs.get_mut(&id).expect("the model knows the job")
    }

    fn truth(&self, parent: i64, need: Need) -> Dep {
        let state = self.jobs[&parent].state;
        match need {
            _ if !state.is_terminal() => Dep::Unmet,
            Need::Any => Dep::Met,
            _ if self.was_needless(parent) => Dep::Broken,
            Need::Done if state == State::Done => Dep::Met,
            Need::Failed if state != State::Done => Dep::Met,
            _ => Dep::Broken,
        }
    }

    fn was_needless(&self, id: i64) -> bool {
        let job = &self.jobs[&id];
        (job.state, job.reason) == (State::Cancelled, Some(Reason::Dependency))
    }

    /// One that is to be cancelled has its key no more.
    pub fn live_with_key(&self, key: &str) -> Option<i64> {
        let has = |j: &Job| !j.state.is_terminal() && !j.cancel_open && j.unique.as_deref() == Some(key);
        self.jobs.iter().find(|(_, j)| has(j)).map(|(id, _)| *id)
    }

    pub fn running_in_lane(&self, lane: &str) -> i64 {
        self.jobs.values().filter(|j| j.state == State::Running && j.lane.as_deref() == Some(lane)).count() as i64
    }

    /// What holds a job for reasons of its own, its lane aside.
    fn own_hold(&self, id: i64) -> Option<Hold> {
        let job = &self.jobs[&id];
        if job.user_hold {
            Some(Hold::User)
        } else if job.deps.values().any(|(_, dep)| *dep != Dep::Met) {
            Some(Hold::Dependency)
        } else if self.is_unreleased(id) {
            Some(Hold::Resource)
        } else if job.available_at > job.due_seen {
            Some(Hold::Time)
        } else {
            None
        }
    }

    pub fn hold(&self, id: i64) -> Option<Hold> {
        let job = &self.jobs[&id];
        if job.state != State::Queued {
            return None;
        }
        if let Some(hold) = self.own_hold(id) {
            return Some(hold);
        }
        let lane = job.lane.as_ref()?;
        let has_room = self.running_in_lane(lane) < self.lanes[lane];
        let first = self
            .jobs
            .iter()
            .filter(|(id, j)| {
                j.state == State::Queued && j.lane == job.lane && j.queue == job.queue && self.own_hold(**id).is_none()
            })
            .min_by_key(|(id, j)| (-j.priority, **id))
            .map(|(id, _)| *id);
        (!has_room || first != Some(id)).then_some(Hold::Lane)
    }

    fn is_open(&self, queue: &str) -> bool {
        let settings = self.queues[queue];
        let running = self.jobs.values().filter(|j| j.state == State::Running && j.queue == queue).count() as i64;
        !settings.paused && settings.slots.is_none_or(|slots| running < slots)
    }

    /// The job that a claim would look at next.
    pub fn next(&self, queues: &BTreeSet<String>, only: Option<i64>) -> Option<i64> {
        self.jobs
            .iter()
            .filter(|(id, j)| {
                j.state == State::Queued
                    && only.is_none_or(|only| only == **id)
                    && (queues.is_empty() || queues.contains(&j.queue))
                    && self.is_open(&j.queue)
                    && self.hold(**id).is_none()
            })
            .min_by_key(|(id, j)| (-j.priority, **id))
            .map(|(id, _)| *id)
    }

    pub fn is_expired(&self, id: i64) -> bool {
        let job = &self.jobs[&id];
        let fresh = job.attempts == 0 && job.deferrals == 0;
        job.state == State::Queued && fresh && job.expires_at.is_some_and(|at| at <= self.now)
    }

    /// Claims, and ends what stands at the head and may not start.
    pub fn claim(&mut self, queues: &BTreeSet<String>, only: Option<i64>, runs: &[i64]) -> Vec<i64> {
        let mut claimed = Vec::new();
        for run in runs {
            while let Some(id) = self.next(queues, only) {
                if self.jobs[&id].cancel_open {
                    self.end_queued(id, Reason::Cancelled);
                } else if self.is_expired(id) {
                    self.end_queued(id, Reason::Expired);
                } else {
                    let job = self.job(id);
                    job.state = State::Running;
                    job.run = Some(*run);
                    job.attempts += 1;
                    job.exit_code = None;
                    job.events.push("claimed");
                    self.runs.insert(*run, Run { job: id, parent: None, open: true, closed_at: None });
                    claimed.push(id);
                    break;
                }
            }
        }
        claimed
    }

    pub fn end_queued(&mut self, id: i64, reason: Reason) {
        let now = self.now;
        let broken = |(parent, (need, dep)): (&i64, &(Need, Dep))| {
            *dep == Dep::Broken && (*need == Need::Failed || self.jobs.contains_key(parent) && self.was_needless(*parent))
        };
        let needless = reason == Reason::Dependency && self.jobs[&id].deps.iter().any(broken);
        let job = self.job(id);
        if job.state != State::Queued {
            return;
        }
        let cancelled = job.cancel_open || reason == Reason::Cancelled;
        job.state = if cancelled || needless { State::Cancelled } else { State::Failed };
        job.reason = Some(if cancelled { Reason::Cancelled } else { reason });
        job.finished_at = Some(now);
        job.events.push(job.state.as_str());
        job.cancel_open = false;
        self.resolve(id);
    }

    /// Those who wait for a job that has ended.
    pub fn resolve(&mut self, parent: i64) {
        let children: Vec<i64> = self.jobs.iter().filter(|(_, j)| j.deps.contains_key(&parent)).map(|(id, _)| *id).collect();
        for child in &children {
            let (need, dep) = self.jobs[child].deps[&parent];
            if dep == Dep::Unmet {
                let truth = self.truth(parent, need);
                self.job(*child).deps.insert(parent, (need, truth));
            }
        }
        for child in children {
            let broken = self.jobs.get(&child).is_some_and(|j| j.deps[&parent].1 == Dep::Broken);
            if broken && self.jobs[&child].state == State::Queued {
                self.end_queued(child, Reason::Dependency);
            }
        }
    }

    pub fn settle(&mut self, id: i64, run: i64, end: &RunEnd, chance: f64) -> Option<Decision> {
        let now = self.now;
        let job = self.jobs.get_mut(&id).filter(|j| j.state == State::Running && j.run == Some(run))?;
        let facts = Facts {
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            deferrals: job.deferrals,
            failed_starts: job.failed_starts,
            policy: &job.policy,
            is_of_user: false,
            cancel_open: job.cancel_open,
        };
        let decision = decide(&facts, end, now, chance);
        job.last_reason = decision.reason.or(job.last_reason);
        job.latest_exit = if decision.reason.is_some() { decision.exit_code } else { job.latest_exit };
        job.pid = None;
        let (state, reason) = match decision.next {
            Next::Again { available_at, attempts, deferrals, failed_starts } => {
                (job.available_at, job.due_seen) = (available_at, 0);
                (job.attempts, job.deferrals, job.failed_starts) = (attempts, deferrals, failed_starts);
                job.run = None;
                job.exit_code = None;
                (State::Queued, None)
            }
            Next::Done => (State::Done, Some(Reason::Exit)),
            Next::Failed(reason) => (State::Failed, Some(reason)),
            Next::Cancelled => (State::Cancelled, Some(Reason::Cancelled)),
        };
        (job.state, job.reason) = (state, reason);
        job.events.push(if state == State::Queued { "requeued" } else { state.as_str() });
        // Every run of this game leaves a process behind.
        job.events.push("left_behind");
        let now = self.now;
        self.runs.get_mut(&run).expect("the model knows the run").close(now);
        if state.is_terminal() {
            let job = self.job(id);
            job.exit_code = decision.exit_code;
            job.finished_at = Some(now);
            job.cancel_open = false;
            if decision.outcome == tenure::job::Outcome::Unstarted {
                job.attempts -= 1;
            }
            self.resolve(id);
        }
        Some(decision)
    }

    pub fn process_due(&mut self) {
        let ids: Vec<i64> = self.jobs.keys().copied().collect();
        for id in &ids {
            if self.jobs[id].cancel_open {
                self.end_queued(*id, Reason::Cancelled);
            }
        }
        for id in &ids {
            if self.jobs[id].deps.values().any(|(_, dep)| *dep == Dep::Broken) {
                self.end_queued(*id, Reason::Dependency);
            }
        }
        let mut expired: Vec<i64> = ids.into_iter().filter(|id| self.is_expired(*id)).collect();
        expired.sort_by_key(|id| (self.jobs[id].expires_at, *id));
        for id in expired {
            self.end_queued(id, Reason::Expired);
        }
        let now = self.now;
        // Only a job that waits for its time is looked at, and only for that.
        let waits = |id: &i64| self.jobs[id].state == State::Queued && self.own_hold(*id) == Some(Hold::Time);
        let due: Vec<i64> = self.jobs.keys().copied().filter(waits).filter(|id| self.jobs[id].available_at <= now).collect();
        for id in due {
            let job = self.job(id);
            job.due_seen = job.available_at;
        }
    }

    /// Whether a person may put it back, given how things stand.
    pub fn may_retry(&self, id: i64) -> bool {
        let Some(job) = self.jobs.get(&id) else { return false };
        let is_free = job.unique.as_deref().is_none_or(|key| self.live_with_key(key).is_none());
        matches!(job.state, State::Failed | State::Cancelled) && is_free && !self.is_hopeless(id)
    }

    fn is_hopeless(&self, id: i64) -> bool {
        self.jobs[&id].deps.iter().any(|(parent, (need, dep))| {
            *dep == Dep::Broken && (!self.jobs.contains_key(parent) || self.truth(*parent, *need) == Dep::Broken)
        })
    }

    fn put_back(&mut self, id: i64) {
        let deps: Vec<_> = self.jobs[&id].deps.iter().map(|(parent, need)| (*parent, *need)).collect();
        for (parent, (need, dep)) in deps {
            if dep != Dep::Met && self.jobs.contains_key(&parent) {
                let truth = self.truth(parent, need);
                self.job(id).deps.insert(parent, (need, truth));
            }
        }
        let job = self.job(id);
        (job.state, job.reason, job.run, job.finished_at) = (State::Queued, None, None, None);
        (job.attempts, job.deferrals, job.failed_starts) = (0, 0, 0);
        (job.available_at, job.due_seen, job.expires_at, job.exit_code) = (0, 0, None, None);
        job.events.push("retried");
        for child in self.jobs.values_mut().filter(|j| j.state == State::Queued) {
            if let Some((_, dep)) = child.deps.get_mut(&id)
                && *dep == Dep::Broken
            {
                *dep = Dep::Unmet;
            }
        }
    }

    /// `None`: refused.
    pub fn retry(&mut self, id: i64, with_dependants: bool) -> Option<Vec<i64>> {
        if !self.may_retry(id) {
            return None;
        }
        self.put_back(id);
        let (mut back, mut at) = (vec![id], 0);
        while with_dependants && at < back.len() {
            let parent = back[at];
            at += 1;
            let children: Vec<i64> = self
                .jobs
                .iter()
                .filter(|(_, j)| j.state.is_terminal() && j.reason == Some(Reason::Dependency))
                .filter(|(_, j)| j.deps.get(&parent).is_some_and(|(_, dep)| *dep == Dep::Broken))
                .map(|(id, _)| *id)
                .collect();
            for child in children {
                if !self.may_retry(child) {
                    continue;
                }
                self.put_back(child);
                back.push(child);
            }
        }
        Some(back)
    }
}
