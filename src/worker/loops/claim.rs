//! The claim loop: free slots become running jobs.
//!
//! One round: end jobs that can never start, make jobs of due occurrences of schedules, claim for
//! each free slot. It returns when it must be called next; the thread waits that long or is woken.
//! A busy worker rarely gets here, as each settle claims the next job for its slot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::NextCall;
use super::chores;
use super::held_back::HeldBack;
use super::slots;
use crate::error::{Error, Result};
use crate::host::condition::Condition;
use crate::job::JobId;
use crate::store::job::claim::{Engine, Scope};
use crate::store::job::pool::{self, Served};
use crate::store::{self, job::claim, job::pending, schedule, schedule::plan, upkeep::due};
use crate::worker::claimer::{Claimed, Claimer};
use crate::worker::context::Context;
use crate::worker::options::{Kind, Until};
use crate::worker::run_job;
use crate::worker::shortage::Admits;
use crate::worker::stop_flag::Ended;

/// Longest wait between two rounds, in milliseconds: a wall clock that is set forward is noticed
/// within it.
const WAIT_MOST_MS: u64 = 1_000;
/// Longest wait if no job waits for a time, in milliseconds: longer than the tick of recovery,
/// which wakes this loop too.
const WAIT_IDLE_MS: u64 = 15_000;
/// Wait if a ready job could not be claimed in this round, in milliseconds.
const WAIT_MORE_MS: u64 = 10;
/// Most jobs that one transaction claims.
const CLAIMS_MAX: usize = 64;
/// Most jobs that one round ends or promotes.
const DUE_MAX: usize = 500;
impl Context {
    /// A `run` is a worker for its own job only. A worker that ends when idle makes the due jobs,
    /// but does not wait for later occurrences: schedules never end.
    fn plans(&self) -> bool {
        self.options.kind == Kind::Work
    }
}

/// The thread.
pub fn run(ctx: &Arc<Context>) {
    let mut held_back = HeldBack::default();
    if ctx.plans() {
        let _logged = ctx
            .store
            .commit({
                let (boot_id, now_ms) = (ctx.boot_id.clone(), ctx.now_ms());
                move |conn| Ok((schedule::boot(conn, &boot_id, now_ms)?, schedule::recompute_next(conn)?))
            })
            .inspect_err(|error| log::error!("computing the next occurrences of schedules: {error}"));
    }
    while !ctx.is_stopping() {
        let next = round(ctx, &mut held_back).unwrap_or_else(|error| {
            failed(ctx, &mut held_back, &error);
            NextCall::after_ms(WAIT_MOST_MS)
        });
        ctx.report.round_of_claims(ctx.slots.busy(), &ctx.served());
        ctx.claims.wait(next.after);
    }
}

fn failed(ctx: &Context, held_back: &mut HeldBack, error: &Error) {
    if ctx.notes_want(error) {
        return;
    }
    // A problem of the file may be the cause, and says more.
    held_back.check(ctx);
    let text = format!("claiming fails: {error}");
    ctx.report.set(Condition::notice("claim_error", text, "tenure doctor says more; it is tried again each second"));
    if let Some(fatal) = ctx.store.health().fatal {
        ctx.end(Ended::Fatal(fatal));
    }
}

/// One round.
fn round(ctx: &Arc<Context>, held_back: &mut HeldBack) -> Result<NextCall> {
    ctx.check_file()?;
    slots::follow(ctx)?;
    end_and_release(ctx)?;
    chores::round(ctx)?;
    // A problem with schedules blocks no job.
    let _logged = plan_schedules(ctx).inspect_err(|error| log::error!("schedules: {error}"));
    held_back.check(ctx);
    ctx.probe_means();
    let Claims { jobs: claimed, more } = if ctx.may_claim() { claim_for_free_slots(ctx)? } else { Claims::default() };
    let now_ms = ctx.now_ms();
    let next_due = next_due_ms(ctx, now_ms)?;
    if claimed == 0 && !more && ctx.busy() == 0 && ctx.engines.have_none() {
        end_if_idle(ctx)?;
    }
    ctx.report.clear("claim_error");
    let wait_ms = match next_due {
        _ if more => WAIT_MORE_MS,
        _ if !ctx.may_claim() => WAIT_MOST_MS,
        Some(due) => u64::try_from(due.saturating_sub(now_ms)).unwrap_or(0).clamp(1, WAIT_MOST_MS),
        None => WAIT_IDLE_MS,
    };
    // An engine that takes nothing now is tried again then.
    let held = ctx.engines.held_for().unwrap_or(Duration::MAX);
    Ok(NextCall { after: Duration::from_millis(wait_ms).min(held) })
}

/// Promotes due jobs and ends those that can never start; writes only if there is something to
/// write.
fn end_and_release(ctx: &Arc<Context>) -> Result<()> {
    // First, because a job that is due by a clock that was just set may be in a wait that is not
    // over.
    if ctx.clock_steps.check(&ctx.store)? {
        ctx.wake_claims();
    }
    let now_ms = ctx.now_ms();
    if !ctx.store.read(|conn| pending::has_due(conn, now_ms))? {
        return Ok(());
    }
    let (done, ticket) = ctx.store.commit(move |conn| due::process(conn, now_ms, DUE_MAX))?;
    ctx.remove_secrets_after_flush(ticket, done.freed);
    if done.more {
        ctx.wake_claims();
    }
    Ok(())
}

/// Makes jobs of the occurrences of schedules whose time has come.
fn plan_schedules(ctx: &Arc<Context>) -> Result<()> {
    let now_ms = ctx.now_ms();
    if !ctx.plans() || !ctx.store.read(|conn| plan::is_due(conn, now_ms))? {
        return Ok(());
    }
    let (planned, ticket) = ctx.store.commit(move |conn| plan::plan(conn, now_ms, plan::SCHEDULES_MAX))?;
    ctx.remove_secrets_after_flush(ticket, planned.freed);
    if planned.more {
        ctx.wake_claims();
    }
    // A job that replaces another one has requested its end.
    if !planned.jobs.is_empty() {
        ctx.stops.wake();
    }
    Ok(())
}

/// Returns the earliest instant at which time causes work, in milliseconds UTC.
fn next_due_ms(ctx: &Context, now_ms: i64) -> Result<Option<i64>> {
    let occurrence = if ctx.plans() { ctx.store.read(plan::next_due_ms)? } else { None };
    let chores = |conn: &_| {
        let teardown = store::resource::teardown::next_due_ms(conn, now_ms)?;
        Ok([due::next_due_ms(conn)?, teardown, store::hook::delivery::next_due_ms(conn, now_ms)?])
    };
    Ok(ctx.store.read(chores)?.into_iter().chain([occurrence]).flatten().min())
}

/// Result of one round of claims.
#[derive(Default)]
struct Claims {
    jobs: usize,
    /// A job is ready, but this claim spent its limit on removing heads that may not start.
    more: bool,
}

fn claim_for_free_slots(ctx: &Arc<Context>) -> Result<Claims> {
    let mut claimed = Claims::default();
    if ctx.options.kind == Kind::Work {
        let here = Scope { engine: Engine::Here, ..ctx.options.scope.clone() };
        let free = || ctx.slots.free();
        claim_in(ctx, &here, Room::Slots(&free), &mut claimed)?;
        // They take slots of their queue, and none of this machine.
        let launched = Scope { engine: Engine::Launched, ..ctx.options.scope.clone() };
        let room = || ctx.engines.room();
        claim_in(ctx, &launched, Room::Jobs(&room), &mut claimed)?;
        return Ok(claimed);
    }
    // A `run` has the slots of each job that a client follows in its own terminal, and none for
    // others.
    let served = ctx.served();
    note_served(ctx, &served)?;
    claim_in(ctx, &ctx.options.scope, Room::OneJob, &mut claimed)?;
    for job in served {
        claim_in(ctx, &Scope { only: Some(job), ..Scope::default() }, Room::OneJob, &mut claimed)?;
    }
    Ok(claimed)
}

/// Lets the jobs that a `run` serves have pools before the jobs that nothing starts now.
fn note_served(ctx: &Context, served: &[JobId]) -> Result<()> {
    let jobs = ctx.options.scope.only.iter().chain(served).copied().collect::<BTreeSet<_>>();
    let served = Served::Jobs(jobs.into_iter().collect());
    if ctx.store.read(|conn| pool::is_noted(conn, &served))? {
        return Ok(());
    }
    ctx.store.write(move |conn| pool::note_served(conn, &served))
}

/// What a round of claims has room for.
enum Room<'a> {
    /// As many slots as are free; each job takes its own number.
    Slots(&'a dyn Fn() -> usize),
    /// As many jobs; their slots do not count.
    Jobs(&'a dyn Fn() -> usize),
    /// One job, which has the slots that it takes.
    OneJob,
}

/// Claims ready jobs in a scope while there is room for them.
fn claim_in(ctx: &Arc<Context>, scope: &Scope, space: Room<'_>, claimed: &mut Claims) -> Result<()> {
    loop {
        let (jobs, room) = match &space {
            Room::Slots(free) => (free(), Some(free())),
            Room::Jobs(free) => (free(), None),
            Room::OneJob => (1, None),
        };
        let jobs_max = match ctx.admits() {
            Admits::All => jobs,
            Admits::One => jobs.min(1),
            Admits::None => 0,
        };
        if jobs_max == 0 {
            return Ok(());
        }
        let scope = &Scope { room, ..scope.clone() };
        if !ctx.store.read(|conn| claim::has_ready(conn, scope))? {
            ctx.has_nothing_to_try();
            return Ok(());
        }
        let claimer = Claimer::prepare(ctx, jobs_max.min(CLAIMS_MAX))?;
        let request = claimer.request(scope);
        let (claims, ticket) = ctx.commit_believing(move |conn| request.claim(conn))?;
        if claims.is_empty() {
            drop(claimer);
            claimed.more |= ctx.store.read(|conn| claim::has_ready(conn, scope))?;
            return Ok(());
        }
        claimed.jobs += claims.len();
        start_all(ctx, claimer.claimed(claims, ticket))?;
    }
}

/// All of them are claimed: one that gets no thread must not affect the others.
fn start_all(ctx: &Arc<Context>, all: Vec<Claimed>) -> Result<()> {
    let mut refused = Ok(());
    for claimed in all {
        let slot = match claimed.claim.launched {
            None => ctx.slots.take(claimed.claim.job.slots),
            Some(_) => ctx.engines.submitting.take(1),
        };
        match ctx.pool.reserve() {
            Ok(seat) => run_job::start(ctx, seat, claimed, slot),
            Err(error) => refused = refused.and(run_job::requeue(ctx, claimed, &slot, &error)),
        }
    }
    refused
}

/// Ends a worker that was started to end when nothing is left to do.
fn end_if_idle(ctx: &Arc<Context>) -> Result<()> {
    if ctx.options.until == Until::Stopped {
        return Ok(());
    }
    if chores::is_busy(ctx)? || !ctx.engines.may_submit() {
        // A thread that has ended one wakes this loop, and so does the end of a wait.
        return Ok(());
    }
    let now_ms = ctx.now_ms();
    let could_start = |conn: &_| pending::could_start(conn, &ctx.options.scope, ctx.plans(), now_ms);
    if ctx.may_claim() && ctx.store.read(could_start)? {
        ctx.wake_claims();
        return Ok(());
    }
    if ctx.options.until == Until::Empty && ctx.store.read(pending::waits_for_time)? {
        return Ok(());
    }
    // A job that was added meanwhile is found here or by the next worker: it is in the file.
    if ctx.busy() == 0 && ctx.engines.have_none() {
        ctx.end(Ended::Idle);
    }
    Ok(())
}
