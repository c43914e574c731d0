//! Starting and stopping a worker, in a written order.
//!
//! Start: the lock; the file as its worker; is it the file that this directory knows; sequences above all that is on the disk;
//! one flush; the spawner; the reaper's first round; only then the claim loop. Stop: no more claims; the runs are left to their
//! shims (or waited for); what was committed is flushed; the lock is let go last.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::claims;
use super::context::Context;
use super::context::Parts;
use super::descriptors;
use super::high_water;
use super::notify;
use super::options::{OnTerm, Options};
use super::reaper::{self, Walks};
use super::reporter::Reporter;
use super::shutdown;
use super::signals::Order;
use super::starting::take_lock;
use super::stop_flag::Ended;
use super::stops;
use super::tidy;
use super::wake::{self, Listener};
use crate::error::{Error, Result};
use crate::host::lease;
use crate::host::lock::WorkerLock;
use crate::host::report::Phase;
use crate::host::surroundings::Surroundings;
use crate::host::waker;
use crate::job::verdict::Progress;
use crate::job::{Cause, RunId};
use crate::place::Place;
use crate::run::fitness;
use crate::run::groups::Limiter;
use crate::run::orphans::Orphans;
use crate::run::runfile::{self, Look};
use crate::run::spawner::Spawner;
use crate::run::{limits, machine, open_files};
use crate::store::belief::{self, Belief};
use crate::store::standing::{self, Standing};
use crate::store::{self, Store, home, ids, stamp, task};

/// How long the end of the threads is waited for, in milliseconds; then the process ends, which is as good as a crash.
const JOIN_MS: u64 = 5_000;
/// How long the monitors may take to let go of the file, in milliseconds.
const CLOSE_MS: u64 = 1_000;

/// Longest wait of the main thread, in milliseconds.
const WAIT_MS: u64 = 60_000;
/// Between two looks whether the runs have ended that a draining worker waits for, in milliseconds.
const DRAIN_LOOK_MS: u64 = 50;

/// What a worker leaves.
#[derive(Debug, Clone)]
pub struct Summary {
    pub ended: Ended,
    /// Runs that were left to their shims.
    pub left_running: usize,
    /// Why these do not go on without the worker, where they do not.
    pub nothing_survives: Option<&'static str>,
}

/// A worker that runs.
pub struct Worker {
    ctx: Arc<Context>,
    lock: Arc<WorkerLock>,
    threads: Vec<JoinHandle<()>>,
    surroundings: Surroundings,
}

impl Worker {
    /// Becomes the worker of a file. `client` is an open store of it, and gives the place.
    ///
    /// # Errors
    /// `Held` when there is a worker already; otherwise what kept the file or the threads from being used.
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
        fitness::check()?;
        limits::check_for_worker(client.place())?;
        let surroundings = Surroundings::look();
        let starting = options.owns_process.then(|| notify::Starting::begin(client.place()));
        // The reaper must have been round before each sign of life.
        let tick_ms =
            notify::watchdog_ms().filter(|_| options.owns_process).map_or(options.tick_ms, |ms| options.tick_ms.min(ms / 4));
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
        let boot_id = machine::boot_id();
        let orphans = options.owns_process.then(Orphans::adopt).transpose()?;
        let limiter = Limiter::prepare(&belief.file_id);
        report.memory(limiter.by(), &limiter.why);
        let spawner = Spawner::start(options.spawner.as_deref())?;
        let mut listener = Listener::bind(&place)?;
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
        }));
        let mut walks = Walks::default();
        reaper::round(&ctx, &mut walks)?;
        ctx.report.round_of_reaper();
        let threads = vec![
            thread("claims", &ctx, claims::run)?,
            thread("reaper", &ctx, move |ctx| reaper::run(ctx, walks))?,
            thread("tidy", &ctx, tidy::run)?,
            thread("wake", &ctx, move |ctx| wake::listen(ctx, &mut listener))?,
            thread("stops", &ctx, stops::run)?,
            thread("notify", &ctx, notify::run)?,
        ];
        ctx.report.phase(Phase::Serving);
        drop(starting);
        if ctx.options.owns_process {
            notify::ready();
        }
        Ok(Self { ctx, lock, threads, surroundings })
    }

    pub fn store(&self) -> &Store {
        &self.ctx.store
    }

    /// Waits until it ends by itself, or is asked to by `orders`.
    pub fn wait(self, orders: &Receiver<Order>) -> Result<Summary> {
        let mut orders_seen = 0;
        let ended = loop {
            if self.ctx.is_stopping() && self.ctx.slots.busy() <= self.left_to_shims(orders_seen) {
                break Ended::Asked;
            }
            if let Some(why) = self.ctx.wait_for_end(Duration::ZERO) {
                break why;
            }
            // An order, the end, or, while the runs are waited for, a look whether they have ended.
            let at_most = if self.ctx.is_stopping() { DRAIN_LOOK_MS } else { WAIT_MS };
            select! {
                recv(orders) -> order => if let Ok(order) = order {
                    orders_seen += 1;
                    if order == Order::Leave {
                        self.end_runs_if_asked(orders);
                        break Ended::Asked;
                    }
                    self.drain(orders_seen);
                },
                recv(self.ctx.stop.end_waker()) -> _ => {}
                default(Duration::from_millis(at_most)) => {}
            }
        };
        if matches!(ended, Ended::Fatal(_)) && self.ctx.options.on_term != Some(OnTerm::Detach) {
            self.end_runs_if_nothing_survives(orders, false);
        }
        self.stop(ended)
    }

    /// The worker was told to leave its runs: ends them where `--on-term end` says so, or where they would not survive it.
    pub(super) fn end_runs_if_asked(&self, orders: &Receiver<Order>) {
        match self.ctx.options.on_term {
            Some(OnTerm::End) => shutdown::end_runs(&self.ctx, orders, None, true),
            Some(OnTerm::Detach) => {}
            Some(OnTerm::Drain) | None => drop(self.end_runs_if_nothing_survives(orders, true)),
        }
    }

    /// Ends the runs in order where the pid namespace ends with the worker, which ends by itself: no service manager has a say in that.
    pub fn end_runs_if_namespace_ends(&self, orders: &Receiver<Order>) {
        if self.ctx.slots.busy() > 0
            && let Some(why) = self.surroundings.why_namespace_ends()
        {
            shutdown::end_runs(&self.ctx, orders, Some(why), true);
        }
    }

    /// Ends the runs in order where they would not survive the worker; false where there is nothing to end.
    pub fn end_runs_if_nothing_survives(&self, orders: &Receiver<Order>, may_settle: bool) -> bool {
        if self.ctx.slots.busy() == 0 {
            return false;
        }
        let why = self.surroundings.why_nothing_survives();
        if why.is_some() {
            shutdown::end_runs(&self.ctx, orders, why, may_settle);
        }
        why.is_some()
    }

    /// Lets the worker end by itself or by this function's caller: true when it has.
    pub fn ended(&self, within: Duration) -> Option<Ended> {
        self.ctx.wait_for_end(within)
    }

    fn drain(&self, times: usize) {
        self.ctx.stop_claiming();
        let busy = self.ctx.slots.busy();
        let jobs = if busy == 1 { "1 job".to_owned() } else { format!("{busy} jobs") };
        if busy == 0 {
            self.ctx.say("no more jobs are claimed, and none runs");
        } else if times == 1 {
            self.ctx.say(&format!("no more jobs are claimed; waiting for {jobs} to end (interrupt again to cancel)"));
        } else {
            // What must not be interrupted goes on under its shim, and the next worker takes it over.
            let critical = self.critical_runs();
            let spared = match critical.len() {
                0 => String::new(),
                n => format!(", but for {n} in a critical stage, left to {}", if n == 1 { "its shim" } else { "their shims" }),
            };
            self.ctx.say(&format!("cancelling {jobs}{spared}"));
            self.ctx.roster.request_stop_of_all_but(&critical, Cause::Cancel);
        }
    }

    /// How many runs a worker that was told twice to end does not wait for.
    fn left_to_shims(&self, orders_seen: usize) -> usize {
        if orders_seen < 2 { 0 } else { self.critical_runs().len() }
    }

    fn critical_runs(&self) -> Vec<RunId> {
        let read = self.ctx.store.read(task::critical_runs);
        read.unwrap_or_else(|error| {
            log::error!("looking for critical stages: {error}");
            Vec::new()
        })
    }

    /// Ends the worker; its runs, if any, go on under their shims.
    ///
    /// # Errors
    /// When what was committed could not be flushed.
    pub fn stop(self, ended: Ended) -> Result<Summary> {
        let Self { ctx, lock, threads, surroundings } = self;
        if ctx.options.owns_process {
            notify::stopping("stopping");
        }
        ctx.end(ended.clone());
        ctx.stop_claiming();
        let left_running = ctx.slots.busy();
        ctx.detach();
        // Its wake thread waits for a hint.
        waker::send(ctx.place());
        // A write that another program's lock keeps waiting is not waited for: what it would settle is in the run files.
        ctx.store.stop_waiting();
        join(threads);
        ctx.run_files.clear(&ctx.store);
        let _no_next_worker_is_misled = std::fs::remove_file(ctx.place().wake_socket());
        let closed = ctx.store.flush_now();
        ctx.pool.close();
        ctx.report.remove();
        lock.release();
        let_go(ctx);
        if !matches!(ended, Ended::Fatal(_)) {
            closed?;
        }
        let nothing_survives = if left_running > 0 { surroundings.why_nothing_survives() } else { None };
        Ok(Summary { ended, left_running, nothing_survives })
    }
}
fn thread(name: &str, ctx: &Arc<Context>, body: impl FnOnce(&Arc<Context>) + Send + 'static) -> Result<JoinHandle<()>> {
    let ctx = Arc::clone(ctx);
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || body(&ctx))
        .map_err(|e| Error::io(format!("starting the {name} thread"), e))
}

fn join(threads: Vec<JoinHandle<()>>) {
    let until = Instant::now() + Duration::from_millis(JOIN_MS);
    for thread in threads {
        while !thread.is_finished() && Instant::now() < until {
            // There is no join with a deadline.
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() && thread.join().is_err() {
            log::error!("a thread of the worker panicked; please report it");
        }
    }
}

/// The last to close the file empties its log into it, so that the file alone is whole. Monitors hold it for a moment longer.
fn let_go(ctx: Arc<Context>) {
    let until = Instant::now() + Duration::from_millis(CLOSE_MS);
    while Arc::strong_count(&ctx) > 1 && Instant::now() < until {
        // There is no event for a count.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Is this the file that this directory knows, and are its sequences above everything that is on the disk?
fn make_trustworthy(store: &Store) -> Result<Belief> {
    let place = store.place();
    // Under the worker lock and before any run file is made: what has a temporary name now belongs to no process.
    runfile::sweep_temporaries(place)?;
    for name in ["home.new", "stamp.new"] {
        let _most_are_not_killed_over_it = std::fs::remove_file(place.dir().join(name));
    }
    let highest_log = runfile::highest_log(place)?.map_or(0, |run| run.0);
    let highest_run = runfile::list(place)?.into_iter().max().max(runfile::highest_log(place)?);
    let known = stamp::read(place)?;
    let now_ms = store.clock().now_ms();
    let above_run = highest_run.map_or(0, |run| run.0);
    let claimed = claimed_in_this_boot(place)?;
    let (found, is_older) = store.read(|conn| {
        let is_older =
            stamp::older_copy_was_put_back(conn, known.as_ref(), highest_run)? || stamp::has_forgotten(conn, &claimed)?;
        Ok((standing::judge(place, conn)?, is_older))
    })?;
    found.check(place)?;
    let why = match found {
        Standing::OlderCopy(why) => Some(why),
        _ => is_older.then(|| "its numbers are behind those of its directory".to_owned()),
    };
    if let Some(why) = why {
        log::warn!(
            "an older copy of the file was put in place ({why}); every job that had not ended is held, as after tenure restore"
        );
        let known = known.unwrap_or_default();
        let living = lease::living(place)?;
        let file_id = store::random_name()?;
        home::announce(place, &file_id)?;
        store.write(move |conn| store::restore::adopt_older_copy(conn, &file_id, Some(&known), above_run, 0, &living, now_ms))?;
        lease::add_living(store)?;
    }
    // The first act is a flush: what recovery finds in the file is on the disk before anything is done about it.
    let noted = home::noted(place)?;
    let belief = store.write(move |conn| {
        ids::raise_sequences(conn, above_run, 0)?;
        ids::start_generation(conn)?;
        home::note(conn, &noted)?;
        belief::read(conn)
    })?;
    if belief.file_id.is_empty() {
        return Err(Error::File("the file has no id; tenure doctor --fix".into()));
    }
    home::settle_in(place, &belief.file_id)?;
    home::begin_boot(place, &machine::boot_id(), highest_log)?;
    high_water::note(store)?;
    Ok(belief)
}

/// Runs that have begun since the machine was started: no power cut can have taken their claims out of the file.
fn claimed_in_this_boot(place: &Place) -> Result<Vec<RunId>> {
    let boot_id = machine::boot_id();
    let boot = home::load(place)?.and_then(|home| home.boot).filter(|boot| boot.id == boot_id);
    let mut claimed: Vec<RunId> = runfile::highest_log(place)?.into_iter().collect();
    claimed.retain(|run| boot.as_ref().is_some_and(|boot| run.0 > boot.logged));
    for run in runfile::list(place)? {
        if let Look::Found { header, records, .. } = runfile::look(place, run)?
            && header.boot_id == boot_id
            && records.progress() != Progress::Nothing
        {
            claimed.push(run);
        }
    }
    Ok(claimed)
}
