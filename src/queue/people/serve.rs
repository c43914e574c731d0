//! The worker's side: one request of one user, answered.
//!
//! The user is known by the kernel; everything else is what a stranger says. Each branch asks
//! [`people::may`] for each job before anything of that job is read or changed. The owner of a job
//! never changes and no number is used twice, so what was allowed stays allowed.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::words;
use super::{Ask, CHANGED_MAX, Came, Change, Kind, LISTED_MAX, Overview, Reply, Seen, Which};
use crate::clock;
use crate::error::{Error, Result};
use crate::host::gates::Floors;
use crate::host::log_space::{self, LogSpace};
use crate::host::people::{ANSWER_BYTES_MAX, Answer, Asked, Told};
use crate::job::people::{self, Act, Asker, Limits, Sight};
use crate::job::{JobId, NewJob, RunId, RunKind, check, names};
use crate::queue::why::Explainer;
use crate::queue::{Filter, Queue};
use crate::run::machine::boottime_ms;
use crate::run::output;
use crate::store::Store;
use crate::store::job::control::Cancelled;
use crate::store::job::{owned, read, rows, suspend};
use crate::store::receipt::{self, Key};
use crate::store::upkeep::remove;

/// How old a request to add jobs may be, in milliseconds: its receipt is kept for longer.
const ADD_MS: u64 = 60_000;
const _: () = assert!(ADD_MS < receipt::CLIENT_MS);
/// Most ranges of numbers of one list.
const RANGES_MAX: usize = 100;
/// Most bytes of the jobs of one list; the rest of an answer is short.
const LIST_BYTES_MAX: usize = ANSWER_BYTES_MAX / 2;
/// Most runs and events of one answer, the newest.
const HISTORY_MAX: usize = 2_000;

/// Returns what a worker with these limits answers.
pub(crate) fn answer(limits: Limits) -> Answer {
    let people = People { limits, log_space: LogSpace::default() };
    Arc::new(move |store, asked| people.told(store, asked))
}

struct People {
    limits: Limits,
    log_space: LogSpace,
}

impl People {
    fn told(&self, store: &Store, asked: &Asked<'_>) -> Told {
        let (reply, file) = self.reply(store, asked).unwrap_or_else(|error| {
            let (kind, text) = Kind::of(error);
            (Reply::Refused(kind, text), None)
        });
        let bytes = serde_json::to_vec(&reply).unwrap_or_default();
        if bytes.len() <= ANSWER_BYTES_MAX && !bytes.is_empty() {
            return Told { bytes, file };
        }
        let long = Reply::Refused(Kind::Refused, "the answer is too long; ask for less".into());
        Told { bytes: serde_json::to_vec(&long).unwrap_or_default(), file: None }
    }

    fn reply(&self, store: &Store, asked: &Asked<'_>) -> Result<(Reply, Option<OwnedFd>)> {
        if !asked.is_known {
            return Err(Error::Refused(format!("user {} is not in /etc/passwd, and is not served", asked.uid)));
        }
        let asker = Asker { uid: asked.uid, is_operator: asked.is_operator };
        let queue = Queue::of(store);
        let reply = match Ask::decode(asked.request)? {
            Ask::Add { key, jobs } => self.add(&queue, asker, key, jobs)?,
            Ask::Jobs(which) => jobs(&queue, asker, &which)?,
            Ask::Record { id } => record(&queue, asker, id)?,
            Ask::Why { id } => why(&queue, asker, id)?,
            Ask::Log { id, run } => return log(&queue, asker, id, run),
            Ask::Change { verb, ids, why } => self.change(&queue, asker, verb, &ids, why)?,
            Ask::Remove { ids } => remove(&queue, asker, &ids)?,
            Ask::Status => self.status(&queue, asker)?,
        };
        Ok((reply, None))
    }

    fn add(&self, queue: &Queue, asker: Asker, key: Key, mut jobs: Vec<NewJob>) -> Result<Reply> {
        let age_ms = boottime_ms().checked_sub(key.sent_ms);
        if age_ms.is_none_or(|ms| ms > ADD_MS) {
            return Err(Error::Refused("the request is too old; nothing is added by it now; do it again".into()));
        }
        if jobs.is_empty() {
            return Err(Error::Invalid("there is no job in the request".into()));
        }
        // Root's jobs are added to the file.
        if asker.uid == 0 {
            return Err(Error::Refused("root adds its jobs without --system".into()));
        }
        let now_ms = queue.now_ms();
        for job in &mut jobs {
            people::admit(job, &self.limits).map_err(|refused| Error::Refused(refused.to_string()))?;
            check::of_description(job, [], now_ms).map_err(|refusal| Error::Invalid(refusal.to_string()))?;
            own(job, asker.uid);
        }
        self.has_log_space(queue, asker.uid)?;
        let Limits { queued, kept, running, .. } = self.limits;
        let (_, answer) = queue.adding().commit(move |conn, now_ms| {
            if let Some(answer) = receipt::find(conn, &key)? {
                return Ok((Vec::new(), answer));
            }
            owned::refuse_more(conn, asker.uid, jobs.len(), queued, kept)?;
            owned::refuse_dependencies_of_others(conn, asker.uid, &jobs)?;
            owned::make_lane(conn, &people::lane(asker.uid), running)?;
            let done = receipt::add_by_worker(conn, &key, &jobs, now_ms)?;
            Ok((done.added, done.answer))
        })?;
        Ok(Reply::Added(answer))
    }

    /// Refuses what would make more logs of a user who has as many as each may have.
    fn has_log_space(&self, queue: &Queue, uid: u32) -> Result<()> {
        let used = self.log_space.of(&queue.store, uid);
        match log_space::too_many_logs(&self.limits, used) {
            Some(why) => Err(Error::Refused(format!("{why}; remove ended jobs: tenure --system rm ID..."))),
            None => Ok(()),
        }
    }

    fn change(&self, queue: &Queue, asker: Asker, verb: Change, ids: &[JobId], why: Option<String>) -> Result<Reply> {
        few(ids)?;
        why.as_deref().map_or(Ok(()), names::label).map_err(|error| Error::Invalid(format!("why: {error}")))?;
        let act = match verb {
            Change::Cancel => Act::Cancel,
            Change::Retry => Act::Retry,
            Change::Hold => Act::Hold,
            Change::Release => Act::Release,
        };
        let mut done = Vec::new();
        let mut allowed = Vec::new();
        for id in ids {
            match self.may_change(queue, asker, *id, act, allowed.len() + 1) {
                Ok(()) => allowed.push(*id),
                Err(error) => done.push((*id, came_to_nothing(error)?)),
            }
        }
        let mut tell = |id, came: Result<Came>| {
            done.push((id, came.or_else(came_to_nothing)?));
            Ok(())
        };
        match verb {
            Change::Cancel => queue.cancel_each(&allowed, why, |id, result| {
                tell(
                    id,
                    result.map(|cancelled| match cancelled {
                        Cancelled::Ended { .. } => Came::Cancelled,
                        Cancelled::Asked { .. } => Came::Stopping,
                        Cancelled::AlreadyEnded => Came::AlreadyEnded,
                    }),
                )
            })?,
            Change::Retry => queue.retry_each(&allowed, false, |id, result| {
                let came = result.and_then(|back| if back.is_empty() { Err(queue.why_no_retry(id)?) } else { Ok(Came::Queued) });
                tell(id, came)
            })?,
            Change::Hold | Change::Release => queue.hold_each(&allowed, verb == Change::Hold, |id, result| {
                tell(id, result.map(|changed| if changed { Came::Changed } else { Came::Unchanged }))
            })?,
        }
        Ok(Reply::Changed(done))
    }

    /// Whether a job may be changed by this user, and has not been changed too often.
    /// `nth`: with how many other jobs of the request.
    fn may_change(&self, queue: &Queue, asker: Asker, id: JobId, act: Act, nth: usize) -> Result<()> {
        let owner = allowed(queue, asker, id, act)?;
        let Some(uid) = owner.filter(|_| act != Act::Cancel) else { return Ok(()) };
        let Limits { queued, .. } = self.limits;
        if act == Act::Retry {
            self.has_log_space(queue, uid)?;
        }
        queue.store.read(move |conn| {
            owned::refuse_endless(conn, id)?;
            // A retry adds no job that is kept.
            if act == Act::Retry { owned::refuse_more(conn, uid, nth, queued, u32::MAX) } else { Ok(()) }
        })
    }

    fn status(&self, queue: &Queue, asker: Asker) -> Result<Reply> {
        let (counts, yours) = queue.store.read(|conn| Ok((read::counts(conn)?, owned::counts(conn, asker.uid)?)))?;
        Ok(Reply::Status(Overview {
            queued: counts.queued,
            running: counts.running,
            yours,
            log_bytes: self.log_space.of(&queue.store, asker.uid),
            queued_max: self.limits.queued,
            running_max: self.limits.running,
            kept_max: self.limits.kept,
            log_bytes_max: self.limits.log_bytes,
            queues: self.limits.queues.clone(),
        }))
    }
}

/// Makes a job one of this user.
fn own(job: &mut NewJob, uid: u32) {
    job.owner = Some(uid);
    job.placement.lane = Some(people::lane(uid));
    job.placement.unique_key = job.placement.unique_key.take().map(|key| people::unique_key(uid, &key));
}

fn few(ids: &[JobId]) -> Result<()> {
    match ids.len() {
        n if n > CHANGED_MAX => Err(Error::Invalid(format!("{n} jobs in one request, {CHANGED_MAX} at most"))),
        _ => Ok(()),
    }
}

/// An error about one job is told with it; any other one ends the request.
fn came_to_nothing(error: Error) -> Result<Came> {
    match error {
        Error::Invalid(_) | Error::NotFound(_) | Error::Refused(_) => {
            let (kind, text) = Kind::of(error);
            Ok(Came::Refused(kind, text))
        }
        error => Err(error),
    }
}

/// Returns the owner of a job to which the user may do this.
fn allowed(queue: &Queue, asker: Asker, id: JobId, act: Act) -> Result<Option<u32>> {
    let owner = queue.store.read(move |conn| owned::owner(conn, id))?;
    if people::may(asker, owner, act) {
        return Ok(owner);
    }
    Err(Error::Refused(format!("job {id} belongs to another user; you see that it exists, and its queue, label and state")))
}

fn jobs(queue: &Queue, asker: Asker, which: &Which) -> Result<Reply> {
    if which.ids.len() > RANGES_MAX {
        return Err(Error::Invalid(format!("{} ranges of jobs, {RANGES_MAX} at most", which.ids.len())));
    }
    let filter = if which.all { Filter::all() } else { Filter::live() };
    let filter = which.ids.iter().fold(filter, |filter, (first, last)| filter.between(JobId(*first), JobId(*last)));
    let filter = which.queue.iter().fold(filter, |filter, name| filter.queue(name));
    let filter = which.label.iter().fold(filter, |filter, label| filter.label(label));
    let filter = which.since_ms.iter().fold(filter, |filter, ms| filter.since(clock::time_of(*ms)));
    let filter = if which.mine { filter.owner(asker.uid) } else { filter };
    let filter = filter.states(which.states.iter().copied()).limit(which.limit.clamp(1, LISTED_MAX));
    let (found, mut more) = queue.rows_within(&filter, LIST_BYTES_MAX, |job| seen_by(asker, job).job)?;
    let (mut seen, mut bytes) = (Vec::new(), 0_usize);
    // The end of the list is kept, and what runs is in front of it.
    for job in found.into_iter().rev() {
        let one = seen_by(asker, job);
        bytes = bytes.saturating_add(serde_json::to_vec(&one).map_or(LIST_BYTES_MAX, |json| json.len()));
        if bytes > LIST_BYTES_MAX {
            more = true;
            break;
        }
        seen.push(one);
    }
    seen.reverse();
    Ok(Reply::Jobs(seen, more))
}

/// Returns a job as this user may see it.
fn seen_by(asker: Asker, job: rows::Job) -> Seen {
    match people::sight(asker, job.owner) {
        Sight::Whole => Seen { is_whole: true, job },
        Sight::Outline => Seen { is_whole: false, job: owned::outline(job) },
    }
}

fn record(queue: &Queue, asker: Asker, id: JobId) -> Result<Reply> {
    allowed(queue, asker, id, Act::Read)?;
    let job = Box::new(queue.row(id)?);
    let read = move |conn: &_| Ok((read::runs(conn, id)?, read::events(conn, id)?, suspend::lasted_ms(conn, id)?));
    let (mut runs, mut events, suspended_ms) = queue.store.read(read)?;
    // Those of hooks are root's.
    runs.retain(|run| run.hook.is_none());
    runs.drain(..runs.len().saturating_sub(HISTORY_MAX));
    events.drain(..events.len().saturating_sub(HISTORY_MAX));
    Ok(Reply::Record { job, runs, events, suspended_ms })
}

fn why(queue: &Queue, asker: Asker, id: JobId) -> Result<Reply> {
    allowed(queue, asker, id, Act::Read)?;
    let explainer = Explainer::new(&queue.store, clock::here(queue.now_ms()), &Floors::default())?;
    let (facts, all) = explainer.of_row(id)?;
    Ok(Reply::Why { job: Box::new(facts.job), all: all.into_iter().map(words::for_user).collect() })
}

/// The log is opened here, below a directory of root alone, for reading; its user owns it.
fn log(queue: &Queue, asker: Asker, id: JobId, run: Option<RunId>) -> Result<(Reply, Option<OwnedFd>)> {
    allowed(queue, asker, id, Act::Log)?;
    let runs = queue.store.read(move |conn| read::runs(conn, id))?;
    let of_job = runs.iter().filter(|one| one.kind == RunKind::Job);
    let found = match run {
        None => of_job.map(|one| one.id).max(),
        Some(wanted) => Some(
            of_job
                .map(|one| one.id)
                .find(|id| *id == wanted)
                .ok_or_else(|| Error::NotFound(format!("job {id} has no run {wanted}; tenure --system show {id} lists them")))?,
        ),
    };
    let open = |run| output::open_log(&queue.store.place().log_file(run)).map_err(|e| Error::io("opening a log", e));
    let file = found.map(open).transpose()?.flatten();
    Ok((Reply::Log { run: found }, file.map(OwnedFd::from)))
}

fn remove(queue: &Queue, asker: Asker, ids: &[JobId]) -> Result<Reply> {
    few(ids)?;
    for id in ids {
        allowed(queue, asker, *id, Act::Remove)?;
    }
    let (mut jobs, mut runs, mut kept, mut from) = (0, 0, Vec::new(), 0);
    while from < ids.len() {
        let removed = remove::pass(&queue.store, &ids[from..], i64::MAX)?;
        for run in &removed.pruned.runs {
            let _swept_otherwise = std::fs::remove_file(queue.store.place().log_file(*run));
        }
        from += removed.handled;
        jobs += removed.pruned.jobs;
        runs += removed.pruned.runs.len();
        kept.extend(removed.kept.into_iter().map(|(id, why)| (id, why.word().to_owned())));
    }
    Ok(Reply::Removed { jobs, runs, kept })
}
