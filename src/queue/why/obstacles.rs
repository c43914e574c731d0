//! From facts to words: the obstacles of a job, with numbers, and the command that clears each.
//!
//! Pure. The store provides what it knows of the file ([`WhyFacts`]); [`Around`] is what was read
//! of worker and machine.

use super::around::Around;
use super::{end_words, engine_words, holder, hook_words, keeper_words, pool_words, resource_words, worker_words};
use crate::clock as time;
use crate::escape::command_on;
use crate::job::Advice;
use crate::job::spec::was_needless;
use crate::job::{Hold, JobId, Need, Outcome, Reason, RunKind, State, limits};
use crate::store::job::retry::WayBack;
use crate::store::job::rows::{Dependency, Job, Run};
use crate::store::job::suspend::{Holder, Suspension};
use crate::store::job::why::{LastEnd, Obstacle as Fact, WhyFacts};
use crate::units::{count, duration_text};

/// Returns all obstacles of a queued job, the state of a running one, or why one has ended.
pub(crate) fn of(facts: &WhyFacts, around: &Around) -> Vec<Advice> {
    match facts.job.shown_state() {
        State::Queued => of_queued(facts, around),
        State::Running => of_running(facts, around),
        State::Cancelled if facts.job.state == State::Queued => of_queued(facts, around),
        _ => of_ended(facts, around),
    }
}

fn of_queued(facts: &WhyFacts, around: &Around) -> Vec<Advice> {
    let in_the_way = facts.obstacles.iter().filter(|fact| !is_open_lane(fact, facts.job.hold) && !has_room(fact, around));
    let mut all: Vec<Advice> = in_the_way.map(|fact| of_fact(facts, fact, around)).collect();
    match &around.worker {
        None => all.push(Advice::new("no_worker", "no worker is running", "tenure work".to_owned())),
        Some(worker) => {
            let now_ms = around.now.timestamp().as_millisecond();
            all.extend(worker_words::of_queued(worker, &facts.job, facts.has_launcher, (around.running, around.taken), now_ms));
        }
    }
    keeper_words::name_in(&mut all, facts);
    all.extend(around.gate.clone());
    // If its time has come and there are other findings, it waits for those.
    let is_due = facts.obstacles.iter().any(|fact| matches!(fact, Fact::Time { due: true, .. }));
    if is_due && all.len() > 1 {
        all.retain(|one| one.code != "time");
    }
    // A job waits for memory; the operator is interested in the floor.
    for one in &mut all {
        let code = match &*one.code {
            "memory_floor" => "memory",
            "disk_floor" => "disk",
            "load_floor" => "load",
            _ => continue,
        };
        one.code = code.into();
    }
    all.extend(last_run(facts, around));
    all.extend(facts.last.as_ref().and_then(|last| last.run.as_ref()).and_then(left_behind));
    all
}

/// Whether the lane has room: then it holds only the jobs that wait for nothing else.
fn is_open_lane(fact: &Fact, hold: Option<Hold>) -> bool {
    matches!(fact, Fact::Lane { max_running, running, .. } if running < max_running && hold != Some(Hold::Lane))
}

/// Whether the worker has room for the job that comes first, or there is no worker.
fn has_room(fact: &Fact, around: &Around) -> bool {
    let Fact::BehindWide { slots, .. } = fact else { return false };
    around.worker.as_ref().is_none_or(|worker| i64::try_from(worker.slots()).is_ok_and(|all| around.taken + slots <= all))
}

fn of_fact(facts: &WhyFacts, fact: &Fact, around: &Around) -> Advice {
    let id = facts.job.id;
    let now_ms = around.now.timestamp().as_millisecond();
    match fact {
        Fact::Cancelled { why } => {
            let why = why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            Advice::new("cancelled", format!("it was cancelled{why}; it never starts"), format!("tenure cancel {id}"))
        }
        Fact::UserHold => Advice::new("user", "a person holds it", format!("tenure release {id}")),
        Fact::TaskHold { task } => {
            let name = task.map_or_else(|| "its task".to_owned(), |task| format!("task {task}"));
            Advice::new("task", format!("{name} is held, and so is it"), task.map(|task| format!("tenure task release {task}")))
        }
        Fact::Dependency { on, back } => dependency(facts, on, back.as_ref()),
        Fact::Resource(resource) => resource_words::obstacle(resource, now_ms),
        Fact::Time { available_at, due: true } => {
            let since = time::between(*available_at, now_ms);
            Advice::new("time", format!("its time came {since} ago; the worker looks for it next"), None)
        }
        Fact::Time { available_at, due: false } => {
            let (at, left) = (time::local(*available_at, &around.now), time::between(now_ms, *available_at));
            Advice::new("time", format!("it starts no sooner than {at}, in {left}"), format!("tenure set {id} delay=0s"))
        }
        Fact::Pool(used) => pool_words::obstacle(id, used),
        Fact::Lane { key, max_running, running, members } => lane(key, *max_running, *running, members),
        Fact::AllPaused { at } => {
            let since = time::local(*at, &around.now);
            Advice::new("all_paused", format!("all queues are paused since {since}"), "tenure resume".to_owned())
        }
        Fact::QueuePaused { queue, by } => {
            let remedy = command_on("tenure queue resume", queue, "");
            let because = by.map(|(job, at)| {
                let at = at.map(|at| format!(" at {}", time::local(at, &around.now))).unwrap_or_default();
                format!(", because job {job} failed{at}")
            });
            Advice::new("queue_paused", format!("its queue {queue:?} is paused{}", because.unwrap_or_default()), remedy)
        }
        Fact::QueueFull { queue, slots, running, wants } => {
            let slots_then = (*running).max(slots - wants + 1) + wants;
            let remedy = command_on("tenure queue set", queue, &format!("--slots {slots_then}"));
            let takes = if *wants > 1 { format!(", and it takes {wants}") } else { String::new() };
            let text = format!("its queue {queue:?} has {}, {running} of them taken{takes}", count(*slots, "slot", "", ""));
            Advice::new("queue_full", text, remedy)
        }
        Fact::TooWide { slots, queue, worker } => too_wide(id, *slots, queue.as_ref(), *worker),
        Fact::BehindWide { job, slots } => {
            let text = format!("job {job} comes first, and waits until {slots} slots are free; the others wait behind it");
            Advice::new("behind_wide", text, format!("tenure why {job}"))
        }
        Fact::Behind { queue, ahead, more } => {
            let least = if *more { "at least " } else { "" };
            let (jobs, come) = (count(*ahead, "ready job", "", ""), if *ahead == 1 { "comes" } else { "come" });
            let text = format!("{least}{jobs} of queue {queue:?} {come} before it");
            Advice::new("position", text, format!("tenure move {id} --first"))
        }
        Fact::Expires { at } => expires(id, *at, around),
        Fact::Workspace { key, by } => {
            let how = by.as_ref().map_or_else(|| "is not ready yet".to_owned(), |by| format!("is being prepared by {by}"));
            Advice::new("workspace", format!("it has not started: its workspace {key:?} {how}"), format!("tenure logs {id}"))
        }
    }
}

fn too_wide(id: JobId, slots: i64, queue: Option<&(String, i64)>, worker: Option<i64>) -> Advice {
    let fewer = |most: i64| format!(", or tenure set {id} slots={most}");
    match (queue, worker) {
        (Some((name, most)), _) => {
            let text = format!("it takes {slots} slots, and its queue {name:?} has {most}");
            Advice::new("too_wide", text, command_on("tenure queue set", name, &format!("--slots {slots}")) + &fewer(*most))
        }
        (None, Some(most)) => {
            let text = format!("it takes {slots} slots, and the worker has {most}");
            Advice::new("too_wide", text, format!("tenure slots {slots}{}", fewer(most)))
        }
        (None, None) => Advice::new("too_wide", format!("it takes {slots} slots; the worker looks for them next"), None),
    }
}

fn expires(id: JobId, at: i64, around: &Around) -> Advice {
    let (now_ms, shown) = (around.now.timestamp().as_millisecond(), time::local(at, &around.now));
    if at > now_ms {
        let left = time::between(now_ms, at);
        return Advice::new("expires", format!("it ends as expired if it has not started by {shown}, in {left}"), None);
    }
    let text = format!("it expired at {shown}; the worker ends it");
    Advice::new("expired", text, format!("tenure set {id} expires=none"))
}

fn dependency(facts: &WhyFacts, on: &Dependency, back: Option<&WayBack>) -> Advice {
    let (id, parent, has_ended) = (facts.job.id, on.on, facts.job.state.is_terminal());
    let need = match on.need {
        Need::Done => "to be done",
        Need::Any => "to end",
        Need::Failed => "to end otherwise than done",
    };
    let state = match (on.parent_state, on.parent_reason) {
        (None, _) => "has been pruned".to_owned(),
        (Some(state), Some(reason)) if state == State::Failed => format!("is {state} ({reason})"),
        (Some(state), _) => format!("is {state}"),
    };
    if has_ended
        && let Some(State::Queued | State::Running | State::Done) = on.parent_state
        && on.need == Need::Done
    {
        return left_over(facts, parent, &state);
    }
    if on.state == "broken" {
        // A queued parent can at least be ended now; an ended one cannot.
        let cancel = (!has_ended).then(|| format!("tenure cancel {id}"));
        let (then, remedy) = match (on.parent_state, back) {
            (None, _) => ("so this one fails; add it again without that".to_owned(), cancel),
            _ if was_needless(on.parent_state, on.parent_reason) => ("so this one is not needed".to_owned(), cancel),
            (_, Some(WayBack::Retry)) => {
                ("so this one fails".to_owned(), Some(format!("tenure retry {parent} --with-dependants")))
            }
            // That parent lacks another job, and names it.
            (_, Some(WayBack::With { .. })) => ("so this one fails".to_owned(), Some(format!("tenure why {parent}"))),
            (_, Some(WayBack::Refused(why))) => (format!("so this one fails, and that one cannot be retried: {why}"), cancel),
            (_, None) => ("so this one is not needed".to_owned(), cancel),
        };
        let text = format!("it needs job {parent} {need}, and that job {state}; {then}");
        return Advice::new("dependency_broken", text, remedy);
    }
    // A running parent ends by itself, unless it is suspended; one that is not running yet has
    // obstacles of its own.
    let is_suspended = facts.suspended.iter().any(|keeper| keeper.job == parent);
    let (suspended, remedy) = match on.parent_state {
        Some(State::Running) if is_suspended => (" (suspended)", "resume"),
        Some(State::Running) => ("", "wait"),
        _ => ("", "why"),
    };
    let text = format!("it waits for job {parent} {need}; that job {state}{suspended}");
    Advice::new("dependency", text, format!("tenure {remedy} {parent}"))
}

/// A job that ended because of a dependency, whose parent was requeued without it.
fn left_over(facts: &WhyFacts, parent: JobId, state: &str) -> Advice {
    let id = facts.job.id;
    let text = format!(
        "it ended because job {parent} was not done; that job was returned to the queue since, without this one, and {state}"
    );
    let remedy = match &facts.back {
        Some(WayBack::Retry) => Some(format!("tenure retry {id} --with-dependants")),
        Some(WayBack::With { command, .. }) => Some(command.clone()),
        Some(WayBack::Refused(_)) | None => None,
    };
    Advice::new("dependency_broken", text, remedy)
}

fn lane(key: &str, max_running: i64, running: i64, members: &[Holder]) -> Advice {
    if running < max_running {
        let text =
            format!("another job of lane {key:?} in the same queue comes first ({running} of {max_running} places are taken)");
        // The command that puts it first in its queue is a separate finding.
        return Advice::new("lane", text, None);
    }
    let who = members.iter().map(|member| holder::text(*member)).collect::<Vec<_>>().join(", ");
    let text = format!("its lane {key:?} is full: {running} of {max_running} places are taken, by {who}");
    // To admit more jobs is not the remedy: one at a time is what a lane is for.
    let remedy = holder::remedy(members.iter().copied()).unwrap_or_else(|| "tenure ls".to_owned());
    Advice::new("lane", text, remedy)
}

/// Describes the latest run of a job that waits again.
fn last_run(facts: &WhyFacts, around: &Around) -> Option<Advice> {
    let run = facts.last.as_ref()?.run.as_ref()?;
    let at = run.finished_at.map(|at| time::local(at, &around.now)).unwrap_or_default();
    let error = run.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
    let outcome = run.outcome.map_or("ended", Outcome::as_str);
    let text = format!(
        "its latest run, {}, was {outcome} at {at}{error}; attempt {} of {} used",
        run.id, facts.job.attempts, facts.job.max_attempts
    );
    Some(Advice::new("latest_run", text, format!("tenure logs {}", facts.job.id)))
}

fn of_running(facts: &WhyFacts, around: &Around) -> Vec<Advice> {
    let job = &facts.job;
    let took = time::between(job.started_at.unwrap_or(job.created_at), around.now.timestamp().as_millisecond());
    let run = job.run_id.map(|run| format!("run {run}")).unwrap_or_default();
    let pid = job.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    if let Some(over) = &around.over {
        let text = format!("no worker is running, and {over}");
        return vec![Advice::new("run_over", text, "tenure work".to_owned())];
    }
    let mut all =
        vec![Advice::new("running", format!("it is running ({run}{pid}) for {took}"), format!("tenure logs -f {}", job.id))];
    all.extend(facts.obstacles.iter().map(|fact| of_fact(facts, fact, around)));
    all.extend(facts.launched.as_ref().map(|launched| engine_words::of(job.id, launched, &around.now)));
    if job.cancel_open {
        let grace = duration_text(job.policy().unwrap_or_default().grace_ms());
        let text = match facts.launched {
            None => format!("it was cancelled; its processes get {grace} between TERM and KILL"),
            Some(_) => "it was cancelled; its engine is asked to stop it, and says when it has".into(),
        };
        all.push(Advice::new("cancelling", text, None));
    }
    all.extend(job.suspension.map(|suspension| suspended(facts, suspension, around)));
    all.extend(around.stopped.clone());
    if let Some(why) = &facts.stuck {
        let (what, remedy) = trouble(why);
        all.push(Advice::new("stuck", what, remedy));
    }
    if around.worker.is_none() {
        let text = "no worker is running: it continues, and its end is recorded when a worker starts";
        all.push(Advice::new("no_worker", text, "tenure work".to_owned()));
    }
    let now_ms = around.now.timestamp().as_millisecond();
    all.extend(around.worker.iter().flat_map(|worker| worker_words::of_running(worker, now_ms)));
    all
}

/// Describes a suspension.
fn suspended(facts: &WhyFacts, suspension: Suspension, around: &Around) -> Advice {
    let id = facts.job.id;
    let why = facts.suspended_for.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let at = |ms: i64| time::local(ms, &around.now);
    match (suspension.is_resuming, suspension.suspended_at) {
        (false, Some(since)) => {
            let text = format!("it is suspended since {}{why}: its processes are stopped, and its limits stand still", at(since));
            Advice::new("suspended", text, format!("tenure resume {id}"))
        }
        (false, None) => {
            let text = format!("it is to be suspended, since {}{why}; its processes are being stopped", at(suspension.asked_at));
            Advice::new("suspended", text, format!("tenure resume {id}"))
        }
        (true, _) => Advice::new("resuming", "it is to be resumed; its processes are being continued", None),
    }
}

/// Splits the worker's note about a run: the first line says why it cannot end, the second what to
/// do.
pub(crate) fn trouble(noted: &str) -> (String, Option<String>) {
    match noted.split_once('\n') {
        Some((what, remedy)) => (what.to_owned(), Some(remedy.to_owned())),
        None => (noted.to_owned(), None),
    }
}

fn of_ended(facts: &WhyFacts, around: &Around) -> Vec<Advice> {
    let job = &facts.job;
    let at = job.finished_at.map(|at| format!(" at {}", time::local(at, &around.now))).unwrap_or_default();
    let reason = job.reason.map(|reason| format!(", reason {reason}")).unwrap_or_default();
    let error = job.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
    let request = facts.cancel.as_ref().and_then(Option::as_deref).filter(|_| job.state == State::Cancelled);
    let request = request.filter(|why| !job.error.as_deref().is_some_and(|error| error.contains(why)));
    let request = request.map(|why| format!(" ({why})")).unwrap_or_default();
    let remedy = match &facts.back {
        Some(WayBack::Retry) => Some(format!("tenure retry {}", job.id)),
        Some(WayBack::With { command, .. }) => Some(command.clone()),
        Some(WayBack::Refused(_)) | None => None,
    };
    let ended = match job.state {
        State::Failed => "failed",
        State::Cancelled => "was cancelled",
        _ => "was done",
    };
    let mut all = vec![Advice::new("ended", format!("it {ended}{at}{reason}{error}{request}"), remedy)];
    all.extend(facts.obstacles.iter().map(|fact| of_fact(facts, fact, around)));
    all.extend(end_words::ended_with_it(facts));
    all.extend(end_words::memory_limit(job));
    all.extend(around.script.as_deref().filter(|_| failed_by_itself(job)).map(end_words::script));
    all.extend(facts.last.as_ref().and_then(|last| another_attempt(facts, last)));
    all.extend(facts.last.as_ref().and_then(|last| last.run.as_ref()).and_then(left_behind));
    all.extend(facts.hooks.iter().map(|hook| hook_words::untold(hook, &around.now)));
    all
}

fn failed_by_itself(job: &Job) -> bool {
    job.state == State::Failed && job.reason == Some(Reason::Exit)
}

/// Names the processes that a run has left behind.
fn left_behind(run: &Run) -> Option<Advice> {
    let text = format!("run {} left processes behind, which were ended with it: {}", run.id, run.leftovers.as_ref()?);
    let remedy = "wait for them in the job, or start them outside of jobs, as with systemd-run --user";
    Some(Advice::new("left_behind", text, remedy.to_owned()))
}

/// Returns the lines of [`left_behind`] for each run of a job.
pub(crate) fn all_left_behind(runs: &[Run]) -> Vec<String> {
    let lines = runs.iter().filter(|run| run.kind == RunKind::Job).filter_map(left_behind);
    lines.map(|advice| advice.sentence()).collect()
}

/// Explains why an ended job was or was not retried.
fn another_attempt(facts: &WhyFacts, last: &LastEnd) -> Option<Advice> {
    let job = &facts.job;
    let (used, most) = (last.attempts, last.max_attempts);
    let text = match job.reason? {
        _ if job.state == State::Done => return None,
        Reason::Cancelled => "it was not tried again, because it was cancelled".to_owned(),
        Reason::Dependency | Reason::Expired => "it never started, so there was nothing to try again".to_owned(),
        Reason::Spawn if last.failed_starts > 0 => format!("it was requeued {} times without having started", last.failed_starts),
        reason if !last.kind_is_retried => {
            let code = job.exit_code.map(|code| format!(" with code {code}")).unwrap_or_default();
            format!(
                "it was not tried again: the reason {reason}{code} is not among those that are (--retry-on); {used} of {most} attempts used"
            )
        }
        Reason::Exit if job.exit_code == Some(limits::NOT_NOW) && last.deferrals >= last.max_deferrals => {
            "it was not tried again: it answered \"not now\" too often (--max-deferrals)".to_owned()
        }
        _ if used >= most => format!("it was not tried again: {used} of {most} attempts are used (--retries)"),
        _ => format!("{used} of {most} attempts are used"),
    };
    let deferred = if last.deferrals > 0 {
        format!("; it was deferred {} of {} times", last.deferrals, last.max_deferrals)
    } else {
        String::new()
    };
    let anew = match &facts.back {
        Some(WayBack::Refused(why)) => format!("; it cannot be retried: {why}"),
        _ => String::new(),
    };
    Some(Advice::new("not_retried", text + &deferred + &anew, None))
}

#[cfg(test)]
#[path = "obstacles_tests.rs"]
mod tests;
