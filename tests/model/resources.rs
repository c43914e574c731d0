//! Steps of external resources: recorded, torn down by one auxiliary run at a time, given up.

use std::collections::BTreeMap;

use tenure::job::chore::backoff_ms;
use tenure::job::resource::{After, Ended, Step, after};
use tenure::job::{Argv, Exit, JobId, Outcome, Reason, ReleasedBy, ResourceId, ResourceState, RunId};
use tenure::store::job::auxiliary::{self, Closed, Opening};
use tenure::store::job::settle::RunRecord;
use tenure::store::resource::{self, NewResource, Owner};
use tenure::store::{resource::teardown, upkeep::open_runs};

use super::play::{LIMIT, Play};
use super::world::World;

/// Longer than any wait: what is due later was put off by a wrong clock.
const WAIT_MOST_MS: i64 = 300_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    pub name: String,
    pub run: Option<i64>,
    pub job: Option<i64>,
    pub state: ResourceState,
    pub has_probe: bool,
    pub torn: bool,
    pub again: bool,
    pub auxiliary: Option<i64>,
    pub attempts: u32,
    pub next_at: i64,
    pub released: Option<(i64, ReleasedBy)>,
}

impl World {
    /// The job whose next attempt has to wait for it.
    pub fn job_of(&self, thing: &Thing) -> Option<i64> {
        thing.job.or_else(|| Some(self.runs.get(&thing.run?)?.job))
    }

    pub fn is_unreleased(&self, job: i64) -> bool {
        self.things.values().any(|thing| thing.state == ResourceState::Releasing && self.job_of(thing) == Some(job))
    }

    fn has_ended(&self, thing: &Thing) -> bool {
        match (thing.run, thing.job) {
            (Some(run), _) => self.runs.get(&run).is_none_or(|run| !run.open),
            (_, Some(job)) => self.jobs.get(&job).is_none_or(|job| job.state.is_terminal()),
            _ => true,
        }
    }

    /// Ends the resources whose owner has ended, after any step.
    pub fn let_go(&mut self) {
        let ended: Vec<i64> = self
            .things
            .iter()
            .filter(|(_, thing)| thing.state == ResourceState::Held && self.has_ended(thing))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let thing = self.things.get_mut(&id).unwrap();
            (thing.state, thing.next_at) = (ResourceState::Releasing, 0);
        }
    }

    fn is_due(&self, thing: &Thing) -> bool {
        thing.state == ResourceState::Releasing
            && thing.auxiliary.is_none()
            && (thing.next_at <= self.now || thing.next_at > self.now + WAIT_MOST_MS)
    }

    pub fn forget_things(&mut self, before: i64, gone: &std::collections::BTreeSet<i64>) {
        let of_gone: Vec<i64> = self
            .things
            .iter()
            .filter(|(_, thing)| {
                thing.released.is_some_and(|(at, _)| at < before)
                    || thing.released.is_some() && self.job_of(thing).is_some_and(|job| gone.contains(&job))
            })
            .map(|(id, _)| *id)
            .collect();
        of_gone.iter().for_each(|id| drop(self.things.remove(id)));
    }
}

impl Play {
    pub(super) fn resource(&mut self, a: u8, b: u8, c: u8) {
        match a % 8 {
            0..=2 => self.make(b, c),
            3 => self.begin_auxiliary(b, c),
            4 | 5 => self.right_auxiliary(b, c),
            6 => self.let_go_of(b, c),
            _ => self.sweep(),
        }
    }

    fn some_thing(&self, a: u8) -> Option<i64> {
        let live: Vec<i64> =
            self.world.things.iter().filter(|(_, t)| t.state == ResourceState::Releasing).map(|(id, _)| *id).collect();
        if a.is_multiple_of(2) && !live.is_empty() {
            return Some(live[usize::from(a / 2) % live.len()]);
        }
        let n = self.world.things.len();
        (n > 0).then(|| *self.world.things.keys().nth(usize::from(a) % n).unwrap())
    }

    fn make(&mut self, b: u8, c: u8) {
        let (run, job) = match b % 8 {
            0..=4 => (self.some_run(c), None),
            5 | 6 => (None, self.some_job(c)),
            _ => (Some(1_000_000), None),
        };
        let owner = match (run, job) {
            (Some(run), _) => Owner::Run(RunId(run)),
            (_, Some(job)) => Owner::Job(JobId(job)),
            _ => return,
        };
        let (name, has_probe) = (["x", "y"][usize::from(b / 8 % 2)].to_owned(), b / 16 % 2 == 1);
        self.log.push(format!("make {name} of {owner:?}, probe {has_probe}"));
        let argv = || Argv::from_strs(&["true"]).unwrap();
        let there = self
            .world
            .things
            .iter()
            .find(|(_, t)| t.name == name && (t.run, t.job) == (run, job) && t.state != ResourceState::Released)
            .map(|(id, _)| *id);
        if b >= 224 {
            let sql =
                "INSERT OR REPLACE INTO resource (name, run_id, job_id, teardown, probe) VALUES (?1, ?2, ?3, '[\"true\"]', ?4)";
            let values = (name.clone(), run, job, has_probe.then_some("[\"true\"]"));
            let made = self.plain(|conn| conn.execute(sql, values));
            assert_eq!(made.is_ok(), there.is_none(), "{made:?}");
            if made.is_err() {
                return;
            }
        } else {
            let new = NewResource {
                name: name.clone(),
                owner,
                teardown: argv(),
                probe: has_probe.then(argv),
                cwd: "/".into(),
                env: BTreeMap::new(),
                timeout_ms: None,
            };
            let written = resource::add(&self.conn, &new).unwrap();
            assert_eq!((written.replaced, written.id.0), (there.is_some(), there.unwrap_or(self.world.last_thing + 1)));
        }
        if let Some(id) = there {
            let thing = self.world.things.get_mut(&id).unwrap();
            (thing.has_probe, thing.torn, thing.again, thing.next_at) = (has_probe, false, thing.auxiliary.is_some(), 0);
            return;
        }
        self.world.last_thing += 1;
        let thing = Thing {
            name,
            run,
            job,
            state: ResourceState::Held,
            has_probe,
            torn: false,
            again: false,
            auxiliary: None,
            attempts: 0,
            next_at: 0,
            released: None,
        };
        self.world.things.insert(self.world.last_thing, thing);
    }

    /// Any step, in its turn or not.
    fn begin_auxiliary(&mut self, b: u8, c: u8) {
        let Some(id) = self.some_thing(b) else { return };
        let step = [Step::Probe, Step::Teardown, Step::Confirm][usize::from(c % 3)];
        self.begin(id, step);
    }

    /// The step that is next; or the end of the one that is under way.
    fn right_auxiliary(&mut self, b: u8, c: u8) {
        let Some(id) = self.some_thing(b) else { return };
        let thing = self.world.things[&id].clone();
        match thing.auxiliary {
            None => self.begin(id, Step::first(thing.torn, thing.has_probe)),
            Some(run) => self.end_auxiliary(id, run, c),
        }
    }

    fn begin(&mut self, id: i64, step: Step) {
        let prepared = self.new_runs(1)[0];
        self.log.push(format!("begin {step:?} of thing {id} as {}", prepared.run));
        let thing = &self.world.things[&id];
        let may = self.world.is_due(thing) && thing.torn == (step == Step::Confirm);
        let opening = Opening::of_resource(ResourceId(id), step);
        assert_eq!(auxiliary::begin(&self.conn, &opening, prepared, "w", "b", self.world.now).unwrap(), may);
        if may {
            self.world.things.get_mut(&id).unwrap().auxiliary = Some(prepared.run.0);
            self.world.auxiliaries.insert(prepared.run.0, step.kind());
        }
    }

    fn end_auxiliary(&mut self, id: i64, run: i64, c: u8) {
        let code = i32::from(c % 3);
        let (outcome, reason, exit) = match c / 3 % 4 {
            0 => (Outcome::Lost, Reason::Lost, None),
            _ if code == 0 => (Outcome::Done, Reason::Exit, Some(Exit::Code(0))),
            _ => (Outcome::Failed, Reason::Exit, Some(Exit::Code(code))),
        };
        self.log.push(format!("end run {run} of thing {id}: {outcome} {exit:?}"));
        let closed = Closed { outcome, reason: Some(reason), exit, error: Some("why".into()), record: RunRecord::default() };
        let ended = auxiliary::end(&self.conn, RunId(run), &closed, self.world.now).unwrap();
        let (kind, now) = (self.world.auxiliaries.remove(&run).unwrap(), self.world.now);
        let thing = self.world.things.get_mut(&id).unwrap();
        let step = match kind {
            tenure::job::RunKind::Teardown => Step::Teardown,
            _ if thing.torn => Step::Confirm,
            _ => Step::Probe,
        };
        let how = Ended { outcome, reason: Some(reason), exit, error: Some("why") };
        let expected = match after(step, thing.has_probe, &how) {
            _ if thing.again => After::Next(Step::first(false, thing.has_probe)),
            expected => expected,
        };
        assert_eq!((ended.was_open, ended.after.as_ref()), (true, Some(&expected)));
        (thing.auxiliary, thing.again) = (None, false);
        match expected {
            After::Gone(by) => (thing.state, thing.torn, thing.released) = (ResourceState::Released, false, Some((now, by))),
            After::Next(step) => thing.torn = step == Step::Confirm,
            After::Failed(_) => {
                thing.torn = false;
                thing.attempts += 1;
                thing.next_at = now + backoff_ms(thing.attempts) as i64;
            }
        }
        assert!(!auxiliary::end(&self.conn, RunId(run), &closed, self.world.now).unwrap().was_open, "the same news once more");
    }

    fn let_go_of(&mut self, b: u8, c: u8) {
        let Some(id) = self.some_thing(b) else { return };
        let now = self.world.now;
        let may = self.world.things[&id].state != ResourceState::Released;
        let force = c.is_multiple_of(2);
        self.log.push(format!("release thing {id}, force {force}"));
        let done = match (force, c % 3) {
            (true, _) => resource::give_up(&self.conn, ResourceId(id), now).map(drop),
            (false, 1) => resource::release(&self.conn, ResourceId(id)).map(drop),
            _ => {
                let sql = "UPDATE resource SET state = 'releasing', next_at = 0 WHERE id = ?1";
                self.plain(|conn| conn.execute(sql, [id])).map(drop).map_err(Into::into)
            }
        };
        assert_eq!(done.is_ok(), may, "{done:?}");
        if !may {
            return;
        }
        let thing = self.world.things.get_mut(&id).unwrap();
        if !force {
            (thing.state, thing.next_at) = (ResourceState::Releasing, 0);
            return;
        }
        let auxiliary = thing.auxiliary.take();
        (thing.state, thing.torn, thing.again) = (ResourceState::Released, false, false);
        thing.released = Some((now, ReleasedBy::Force));
        if let Some(run) = auxiliary {
            // It continues, and its end changes nothing.
            let closed = Closed { outcome: Outcome::Done, reason: None, exit: None, error: None, record: RunRecord::default() };
            let ended = auxiliary::end(&self.conn, RunId(run), &closed, now).unwrap();
            assert_eq!((ended.was_open, ended.after), (true, None));
            self.world.auxiliaries.remove(&run);
        }
    }

    fn sweep(&mut self) {
        self.log.push("sweep".into());
        let releasing = self.world.things.values().filter(|t| t.state == ResourceState::Releasing).count();
        assert_eq!(resource::sweep(&self.conn).unwrap(), releasing);
        self.world.things.values_mut().filter(|t| t.state == ResourceState::Releasing).for_each(|t| t.next_at = 0);
    }

    pub(super) fn compare_resources(&self) {
        let seen: BTreeMap<i64, Thing> = resource::all(&self.conn)
            .unwrap()
            .into_iter()
            .map(|r| {
                let again = self.world.things.get(&r.id.0).is_some_and(|t| t.again);
                let thing = Thing {
                    name: r.name,
                    run: r.run.map(|run| run.0),
                    job: r.job.filter(|_| r.run.is_none()).map(|job| job.0),
                    state: r.state,
                    has_probe: r.probe.is_some(),
                    torn: r.was_torn_down,
                    again,
                    auxiliary: r.auxiliary.map(|run| run.0),
                    attempts: r.attempts,
                    next_at: r.next_at,
                    released: r.released_at.zip(r.released_by),
                };
                (r.id.0, thing)
            })
            .collect();
        assert_eq!(seen, self.world.things);
        let due: Vec<i64> = teardown::due(&self.conn, self.world.now, LIMIT).unwrap().iter().map(|due| due.id.0).collect();
        let mut expected: Vec<(i64, i64)> =
            self.world.things.iter().filter(|(_, t)| self.world.is_due(t)).map(|(id, t)| (t.next_at, *id)).collect();
        expected.sort_unstable();
        assert_eq!(due, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
        let open: Vec<i64> = open_runs::open_auxiliaries(&self.conn).unwrap().iter().map(|run| run.id.0).collect();
        assert_eq!(open, self.world.auxiliaries.keys().copied().collect::<Vec<_>>());
    }
}
