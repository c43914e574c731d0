//! The claim loop: free slots become running jobs.
//!
//! One round: end what can never start, make jobs of the slots of schedules that are due, claim for each free slot. It returns when it wants to be
//! called next; the thread waits that long or for a nudge. A busy worker hardly comes here, as each settle claims the next job
//! for its slot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use super::monitor::{self, Assignment};
use super::options::{Kind, Until};
use super::shortage::Admits;
use super::stop_flag::Ended;
use super::teardown;
use crate::error::Result;
use crate::host::condition::Condition;
use crate::host::gates::{Floors, Gate, Machine};
use crate::run::machine;
use crate::store::claim::Scope;
use crate::store::{self, claim, look, plan, schedule, tend};

/// Longest wait between two rounds, in milliseconds: a wall clock that is set forward is noticed within it.
const WAIT_MOST_MS: u64 = 1_000;
/// Longest wait where nothing waits for a time, in milliseconds.
const WAIT_IDLE_MS: u64 = 10_000;
/// Wait where something is ready and could not be claimed in this round, in milliseconds.
const WAIT_MORE_MS: u64 = 10;
/// Most jobs that one round ends or releases.
const TEND_MAX: usize = 500;
/// How long one look at the machine's state is good for.
const MACHINE_GOOD_FOR: Duration = Duration::from_secs(1);

impl Context {
    /// A `run` is a worker for its own job alone. A worker that is to end when there is nothing to do makes the jobs that are due, and
    /// waits for no slot to come: schedules never end.
    fn plans(&self) -> bool {
        self.options.kind == Kind::Work
    }
}

/// The thread.
pub(super) fn run(ctx: &Arc<Context>) {
    let mut obstacles = Obstacles::default();
    if ctx.plans() {
        let _logged =
            ctx.store.commit(schedule::look_again).inspect_err(|error| log::error!("looking at the schedules: {error}"));
    }
    while !ctx.is_stopping() {
        let wait_ms = match round(ctx, &mut obstacles) {
            Ok(wait_ms) => {
                ctx.report.clear("claim_error");
                wait_ms
            }
            Err(error) if ctx.notes_want(&error) => WAIT_MOST_MS,
            Err(error) => {
                // What is wrong with the file may be why, and says more.
                obstacles.look(ctx);
                let text = format!("claiming fails: {error}");
                ctx.report.set(Condition::notice("claim_error", text, "tenure doctor says more; it is tried again each second"));
                if let Some(fatal) = ctx.store.health().fatal {
                    ctx.end(Ended::Fatal(fatal));
                }
                WAIT_MOST_MS
            }
        };
        ctx.report.round_of_claims(ctx.slots.busy(), &ctx.served());
        ctx.claims.wait(Duration::from_millis(wait_ms));
    }
}

/// One round; returns the longest time until the next, in milliseconds.
fn round(ctx: &Arc<Context>, obstacles: &mut Obstacles) -> Result<u64> {
    ctx.look_at_the_file()?;
    tend(ctx)?;
    teardown::round(ctx)?;
    // Whatever is wrong with schedules keeps no job from starting.
    let _logged = plan_schedules(ctx).inspect_err(|error| log::error!("schedules: {error}"));
    obstacles.look(ctx);
    ctx.probe_means();
    let Claimed { jobs: claimed, more } = if ctx.may_claim() { claim_for_free_slots(ctx)? } else { Claimed::default() };
    let now_ms = ctx.now_ms();
    let next_due = next_due_ms(ctx, now_ms)?;
    if claimed == 0 && !more && ctx.slots.busy() == 0 {
        end_if_idle(ctx)?;
    }
    Ok(match next_due {
        _ if more => WAIT_MORE_MS,
        _ if !ctx.may_claim() => WAIT_MOST_MS,
        Some(due) => u64::try_from(due.saturating_sub(now_ms)).unwrap_or(0).clamp(1, WAIT_MOST_MS),
        None => WAIT_IDLE_MS,
    })
}

/// Releases what is due and ends what can never start; writes only where there is something to write.
fn tend(ctx: &Arc<Context>) -> Result<()> {
    // First: what is due by a clock that was just set may be a wait that is not over.
    if ctx.clock_steps.look(&ctx.store)? {
        ctx.wake_claims();
    }
    let now_ms = ctx.now_ms();
    if !ctx.store.read(|conn| look::needs_tending(conn, now_ms))? {
        return Ok(());
    }
    let (tended, ticket) = ctx.store.commit(move |conn| tend::tend(conn, now_ms, TEND_MAX))?;
    if !tended.freed.is_empty() {
        let then = Arc::clone(ctx);
        ctx.store
            .after_flush(ticket, move || tended.freed.iter().for_each(|token| super::sweep::remove_secret(then.place(), token)));
    }
    if tended.more {
        ctx.wake_claims();
    }
    Ok(())
}

/// Makes jobs of the slots of schedules whose time has come.
fn plan_schedules(ctx: &Arc<Context>) -> Result<()> {
    let now_ms = ctx.now_ms();
    if !ctx.plans() || !ctx.store.read(|conn| plan::is_due(conn, now_ms))? {
        return Ok(());
    }
    let (planned, ticket) = ctx.store.commit(move |conn| plan::plan(conn, now_ms, plan::SCHEDULES_MAX))?;
    if !planned.freed.is_empty() {
        let then = Arc::clone(ctx);
        let removed = move || planned.freed.iter().for_each(|token| super::sweep::remove_secret(then.place(), token));
        ctx.store.after_flush(ticket, removed);
    }
    if planned.more {
        ctx.wake_claims();
    }
    // A job that takes the place of another one has asked for that one's end.
    if !planned.jobs.is_empty() {
        ctx.stops.wake();
    }
    Ok(())
}

/// The earliest instant at which time alone brings something about, in milliseconds UTC.
fn next_due_ms(ctx: &Context, now_ms: i64) -> Result<Option<i64>> {
    let slot = if ctx.plans() { ctx.store.read(plan::next_due_ms)? } else { None };
    let (due, teardown) = ctx.store.read(|conn| Ok((tend::next_due_ms(conn)?, store::teardown::next_due_ms(conn, now_ms)?)))?;
    Ok([slot, due, teardown].into_iter().flatten().min())
}

/// What one round of claims came to.
#[derive(Default)]
struct Claimed {
    jobs: usize,
    /// Something is ready, and this claim was busy with putting heads out of the way that may not start.
    more: bool,
}

fn claim_for_free_slots(ctx: &Arc<Context>) -> Result<Claimed> {
    let mut claimed = Claimed::default();
    if ctx.options.kind == Kind::Work {
        let free = || ctx.options.slots.saturating_sub(ctx.slots.busy());
        claim_in(ctx, &ctx.options.scope, free, &mut claimed)?;
        return Ok(claimed);
    }
    // A `run` has a slot for each job that a client follows in a terminal of its own, and none for others.
    claim_in(ctx, &ctx.options.scope, || 1, &mut claimed)?;
    for job in ctx.served() {
        claim_in(ctx, &Scope { queues: Vec::new(), only: Some(job) }, || 1, &mut claimed)?;
    }
    Ok(claimed)
}

/// Claims what is ready in a scope, as long as slots are free.
fn claim_in(ctx: &Arc<Context>, scope: &Scope, free: impl Fn() -> usize, claimed: &mut Claimed) -> Result<()> {
    loop {
        let free = match ctx.admits() {
            Admits::All => free(),
            Admits::One => free().min(1),
            Admits::None => 0,
        };
        if free == 0 {
            return Ok(());
        }
        if !ctx.store.read(|conn| claim::has_ready(conn, scope))? {
            ctx.has_nothing_to_try();
            return Ok(());
        }
        ctx.keep_home();
        let mut ready = ctx.run_files.take_up_to(free.min(64), &ctx.store, &ctx.roster)?;
        let prepared: Vec<_> = ready.iter().map(super::run_files::Ready::prepared).collect();
        let (wanted, instance, boot_id) = (scope.clone(), ctx.instance.clone(), ctx.boot_id.clone());
        let now_ms = ctx.now_ms();
        let done = ctx.commit_believing(move |conn| claim::claim(conn, &wanted, &prepared, &instance, &boot_id, now_ms));
        let (claims, ticket) = match done {
            Ok(done) => done,
            Err(error) => {
                ctx.run_files.put_back(ready);
                return Err(error);
            }
        };
        let unused = ready.split_off(claims.len());
        ctx.run_files.put_back(unused);
        if claims.is_empty() {
            claimed.more |= ctx.store.read(|conn| claim::has_ready(conn, scope))?;
            return Ok(());
        }
        claimed.jobs += claims.len();
        let mut refused = Ok(());
        for (claim, ready) in claims.into_iter().zip(ready) {
            ctx.run_files.begun(claim.run);
            ctx.shortage.under(claim.run);
            let start = Assignment::Start { claim: Box::new(claim), ready, ticket, slot: ctx.slots.take() };
            // Each is claimed already: one that gets no thread keeps no other from getting one.
            match ctx.pool.reserve() {
                Ok(seat) => monitor::give(ctx, seat, start),
                Err(error) => refused = refused.and(monitor::put_back(ctx, start, &error)),
            }
        }
        refused?;
    }
}

/// A worker that was asked to end when there is nothing left to do does so.
fn end_if_idle(ctx: &Arc<Context>) -> Result<()> {
    if ctx.options.until == Until::Stopped {
        return Ok(());
    }
    if teardown::is_busy(ctx)? {
        // A thread that has ended one nudges.
        return Ok(());
    }
    let now_ms = ctx.now_ms();
    let could_go_on = ctx.may_claim()
        && (ctx.store.read(|conn| claim::has_ready(conn, &ctx.options.scope))?
            || ctx.store.read(|conn| look::needs_tending(conn, now_ms))?
            || (ctx.plans() && ctx.store.read(|conn| plan::is_due(conn, now_ms))?));
    if could_go_on {
        ctx.wake_claims();
        return Ok(());
    }
    if ctx.options.until == Until::Empty && ctx.store.read(look::waits_for_time)? {
        return Ok(());
    }
    // A job that was added meanwhile is seen here or by the next worker: it is in the file.
    if ctx.slots.busy() == 0 {
        ctx.end(Ended::Idle);
    }
    Ok(())
}

/// Why nothing may be claimed: what the store says of itself, and the machine's state, looked at now and then.
#[derive(Default)]
struct Obstacles {
    looked: Option<(Instant, Option<Gate>)>,
}

impl Obstacles {
    fn look(&mut self, ctx: &Context) {
        let health = ctx.store.health();
        if let Some(fatal) = health.fatal {
            ctx.end(Ended::Fatal(fatal));
        }
        let report = &ctx.report;
        match health.replaced {
            Some(what) => {
                report.set(Condition::holding("file_replaced", what, "stop the worker, and see which file is the right one"))
            }
            None => report.clear("file_replaced"),
        }
        match health.schema {
            Some(altered) => {
                let text = format!("the schema of the file was changed: {}", altered.text);
                report.set(Condition::holding("schema_changed", text, None).with_remedy(altered.remedy));
            }
            None => report.clear("schema_changed"),
        }
        match health.disk_full_since_ms {
            Some(_) => {
                report.set(Condition::holding(
                    "disk_full",
                    "the disk is full",
                    "tenure prune --older-than 7d, or free some space",
                ));
            }
            None => report.clear("disk_full"),
        }
        watch_spawner(ctx);
        let closed = self.of_machine(ctx);
        for code in Gate::CODES {
            match closed {
                Some(gate) if gate.code() == code => report.set(Condition::holding(code, gate.to_string(), Gate::REMEDY)),
                _ => report.clear(code),
            }
        }
    }

    fn of_machine(&mut self, ctx: &Context) -> Option<Gate> {
        let floors = &ctx.options.floors;
        if *floors == Floors::default() {
            return None;
        }
        if let Some((when, closed)) = self.looked
            && when.elapsed() < MACHINE_GOOD_FOR
        {
            return closed;
        }
        let closed = Gate::closed(floors, &Machine::look(ctx.place().dir()));
        self.looked = Some((Instant::now(), closed));
        closed
    }
}

/// A spawner that was stopped starts nothing: what is claimed waits, and is called running. What it was sent begins when it is continued, and is
/// put back when it is killed.
fn watch_spawner(ctx: &Context) {
    let pid = ctx.spawner_pid();
    match machine::state_of(pid.cast_unsigned()) {
        // What a debugger stops for an instant ('t') goes on by itself.
        Some('T') => {
            let text = format!("the spawner (pid {pid}) is stopped by a signal: what is claimed starts when it is continued");
            ctx.report.set(Condition::notice("spawner_stopped", text, None).with_remedy(format!("kill -CONT {pid}")));
        }
        _ => ctx.report.clear("spawner_stopped"),
    }
}
