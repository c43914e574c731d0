//! File and model, side by side.

use std::collections::{BTreeMap, BTreeSet};

use tenure::store::job::read;

use super::play::Play;
use super::truths;
use super::world::{Dep, Job};

impl Play {
    pub(super) fn compare(&mut self) {
        truths::check(&self.conn);
        let all = read::Filter { all: true, ..read::Filter::default() };
        let jobs = read::jobs(&self.conn, &all).unwrap();
        let ids: Vec<i64> = jobs.iter().map(|job| job.id.0).collect();
        assert_eq!(ids, self.world.jobs.keys().copied().collect::<Vec<_>>(), "no job is lost, none appears");
        for job in jobs {
            self.compare_job(&job);
            self.compare_suspension(&job);
        }
        let open: BTreeSet<i64> = self.world.runs.iter().filter(|(_, run)| run.open).map(|(id, _)| *id).collect();
        let in_file = truths::table(&self.conn, "run", "finished_at IS NULL").len();
        assert_eq!(open.len() + self.world.auxiliaries.len(), in_file, "open runs {open:?}");
        self.compare_resources();
        self.compare_history();
    }

    pub(super) fn compare_job(&self, job: &tenure::store::job::rows::Job) {
        let id = job.id.0;
        let model = &self.world.jobs[&id];
        let deps = read::dependencies(&self.conn, job.id).unwrap();
        let deps: BTreeMap<_, _> = deps
            .into_iter()
            .map(|d| {
                let state = match d.state.as_str() {
                    "unmet" => Dep::Unmet,
                    "met" => Dep::Met,
                    _ => Dep::Broken,
                };
                (d.on.0, (d.need, state))
            })
            .collect();
        // What a thing outside goes through is compared by itself.
        let mut events = read::events(&self.conn, job.id).unwrap();
        events.retain(|event| !event.kind.starts_with("resource_"));
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
            failed_starts: job.failed_starts,
            last_reason: job.last_reason,
            // A terminal row keeps the run that ended it.
            run: job.run_id.map(|run| run.0).filter(|_| !job.state.is_terminal()),
            pid: job.pid,
            exit_code: job.exit_code,
            latest_exit: model.latest_exit,
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
    pub(super) fn compare_history(&mut self) {
        let ended = truths::table(&self.conn, "job", "state NOT IN ('queued', 'running')");
        for (id, row) in &self.ended {
            let number: i64 = id.trim_start_matches("Integer(").trim_end_matches(')').parse().unwrap();
            if !self.moved.contains(&number) {
                assert_eq!(ended.get(id), Some(row), "an ended row changed");
            }
        }
        let events = truths::table(&self.conn, "event", "1");
        let runs = truths::table(&self.conn, "run", "1");
        // The claim and the end of a run name no job, and are removed with the run.
        let run_of = |event: &str| {
            let fields: Vec<&str> = event.split('|').collect();
            let of_kind = |kind: &str| fields.get(4) == Some(&format!("Text({:?})", kind.as_bytes()).as_str());
            let is_of_run = fields.get(2) == Some(&"Null") && (of_kind("claimed") || of_kind("done"));
            is_of_run.then(|| fields[3].to_owned())
        };
        for event in events.values() {
            assert!(run_of(event).is_none_or(|run| runs.contains_key(&run)), "of a run that is gone: {event}");
        }
        for (id, event) in &self.events {
            let with_its_run = run_of(event).is_some_and(|run| !runs.contains_key(&run));
            let gone =
                self.moved.iter().any(|job| event.contains(&format!("|Integer({job})|")) && !self.world.jobs.contains_key(job));
            assert!(gone || with_its_run || events.get(id) == Some(event), "history changed: {event} {:?}", events.get(id));
        }
        (self.ended, self.events) = (ended, events);
    }
}
