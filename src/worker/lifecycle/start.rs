//! Starts a worker in a fixed order: the lock; the file in the role of its worker; the check that
//! the file belongs to this directory; sequences above everything on the disk; one flush; the
//! spawner; the first round of recovery; then the claim loop.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::take_lock::take_lock;
use super::trust::make_trustworthy;
use crate::error::{Error, Result};
use crate::host::lock::WorkerLock;
use crate::host::report::Phase;
use crate::host::surroundings::Surroundings;
use crate::job::hook::HookRule;
use crate::run::fitness;
use crate::run::groups::Limiter;
use crate::run::orphans::Orphans;
use crate::run::spawner::Spawner;
use crate::run::{limits, machine, open_files};
use crate::store::job::pool::{self, Served};
use crate::store::{self, Store, hook};
use crate::worker::context::{Context, Parts};
use crate::worker::descriptors;
use crate::worker::engines::Engines;
use crate::worker::loops::handover::Door;
use crate::worker::loops::people::{self, People};
use crate::worker::loops::wake::Listener;
use crate::worker::loops::{claim, engines, handover, recover, service_manager, slots, stops, wake, workspaces};
use crate::worker::options::Options;
use crate::worker::reporter::Reporter;

/// A running worker.
pub struct Worker {
    pub(super) ctx: Arc<Context>,
    pub(super) lock: Arc<WorkerLock>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) surroundings: Surroundings,
}

impl Worker {
    /// Becomes the worker of a file. `client` is an open store of it, and provides the place.
    ///
    /// # Errors
    /// `Held` if there is a worker already; otherwise why the file or the threads could not be
    /// used.
    pub fn start(client: &Store, store_options: store::Options, options: Options) -> Result<Self> {
        Self::start_with(client, store_options, options, |_| ())
    }

    /// `opened` gets the store before anything is written to it.
    pub(super) fn start_with(
        client: &Store,
        store_options: store::Options,
        options: Options,
        opened: impl FnOnce(&Store),
    ) -> Result<Self> {
        options.check()?;
        fitness::check()?;
        limits::check_for_worker(client.place())?;
        let surroundings = if options.owns_process { Surroundings::detect() } else { Surroundings::detect_embedded() };
        let starting = options.owns_process.then(|| service_manager::Starting::begin(client.place()));
        // Recovery must complete a round before each sign of life.
        let tick_ms = service_manager::watchdog_ms()
            .filter(|_| options.owns_process)
            .map_or(options.tick_ms, |ms| options.tick_ms.min(ms / 4));
        let options = Options { tick_ms, ..options };
        let place = client.place().clone();
        descriptors::can_serve(options.slots, open_files::raise())?;
        let instance = machine::nonce().to_string();
        let now_ms = client.clock().now_ms();
        let lock = Arc::new(take_lock(client, &options, &instance, now_ms)?);
        let report = Reporter::start(&place, &instance, &options);
        let store = Store::open(place.db(), store::Options { role: store::Role::Worker, ..store_options })?;
        opened(&store);
        let belief = make_trustworthy(&store)?;
        store_hooks(&store, options.hooks.as_deref())?;
        slots::begin(&store, &options)?;
        store_pools(&store, &options)?;
        let boot_id = machine::boot_id();
        let orphans = options.owns_process.then(Orphans::adopt).transpose()?;
        let limiter = Limiter::prepare(&belief.file_id);
        report.memory(limiter.by(), &limiter.why);
        let spawner = Spawner::start(options.spawner.as_deref())?;
        let mut listener = Listener::bind(&place)?;
        let mut door = Door::open(&place)?;
        let people = options.door.clone().map(People::open).transpose()?;
        let ctx = Arc::new(Context::new(Parts {
            store,
            options,
            instance,
            boot_id,
            belief,
            lock: Arc::clone(&lock),
            spawner,
            report,
            orphans,
            limiter,
            handover: door.listener(),
            people: people.as_ref().map(People::listener),
            engines: Engines::new()?,
        }));
        slots::follow(&ctx)?;
        let mut cursors = recover::Cursors::default();
        recover::round(&ctx, &mut cursors)?;
        ctx.report.round_of_reaper();
        let mut threads = vec![
            thread("claims", &ctx, claim::run)?,
            thread("recovery", &ctx, move |ctx| recover::run(ctx, cursors))?,
            thread("workspaces", &ctx, workspaces::run)?,
            thread("wake", &ctx, move |ctx| wake::listen(ctx, &mut listener))?,
            thread("stops", &ctx, stops::run)?,
            thread("engines", &ctx, engines::run)?,
            thread("handover", &ctx, move |ctx| handover::serve(ctx, &mut door))?,
            thread("notify", &ctx, service_manager::run)?,
        ];
        if let Some(mut people) = people {
            threads.push(thread("people", &ctx, move |ctx| people::serve(ctx, &mut people))?);
        }
        ctx.report.phase(Phase::Serving);
        drop(starting);
        if ctx.options.owns_process {
            service_manager::ready();
        }
        Ok(Self { ctx, lock, threads, surroundings })
    }

    pub fn store(&self) -> &Store {
        &self.ctx.store
    }

    /// Returns how many jobs it runs at once now.
    pub fn slots(&self) -> usize {
        self.ctx.slots.limit()
    }
}

/// Stores the rules of the configuration, if they have changed.
fn store_hooks(store: &Store, rules: Option<&[HookRule]>) -> Result<()> {
    let Some(rules) = rules else { return Ok(()) };
    if store.read(|conn| hook::has_other_rules(conn, rules))? {
        let rules = rules.to_vec();
        store.write(move |conn| hook::set_rules(conn, &rules))?;
    }
    Ok(())
}

/// Stores the pools of the configuration, and which jobs may keep one, if that has changed. The
/// configuration of a worker for one job alone changes no pool.
fn store_pools(store: &Store, options: &Options) -> Result<()> {
    let (pools, served) = match options.scope.only {
        Some(job) => (Vec::new(), Served::Jobs(vec![job])),
        None => (options.pools.clone(), Served::Queues(options.scope.queues.clone())),
    };
    if store.read(|conn| Ok(pool::has(conn, &pools)? && pool::is_noted(conn, &served)?))? {
        return Ok(());
    }
    store.write(move |conn| {
        pools.iter().try_for_each(|(name, size)| pool::set(conn, name, (*size).into()))?;
        pool::note_served(conn, &served)
    })
}

fn thread(name: &str, ctx: &Arc<Context>, body: impl FnOnce(&Arc<Context>) + Send + 'static) -> Result<JoinHandle<()>> {
    let ctx = Arc::clone(ctx);
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || body(&ctx))
        .map_err(|e| Error::io(format!("starting the {name} thread"), e))
}
