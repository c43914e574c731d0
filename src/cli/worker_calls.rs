//! Everything that the faces need of the worker's room, in one place.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::verbs::work;
use crate::cli::view::lease::Seen;
use crate::cli::view::table::{count, held_text};
use crate::cli::watch::idle;
use crate::config::{self, Settings};
use crate::error::{Error, Result, exit};
use crate::host::gates::Floors;
use crate::host::lock::Kind;
use crate::host::stop::{self, Direct};
use crate::host::{lease as leases, surroundings, waker};
use crate::job::JobId;
use crate::place::Place;
use crate::run::shutdown::EndRuns;
use crate::store::claim::Scope;
use crate::store::lease::{self, Lease};
use crate::store::standing::{self, Advice};
use crate::store::{Role, Store, read, resource};
use crate::worker::{Ended, OnTerm, Options, Started, Until, Worker, signals};

pub use crate::host::gates::Machine;
pub use crate::host::lease::{Answer, Holding, Wanted};
pub use crate::host::lock::Holder;
pub use crate::host::report::{Condition, Phase, Report};
pub use crate::host::sight::{Process, Sight};

/// A job that there is not: a worker that may claim nothing else claims nothing.
const NO_JOB: JobId = JobId(0);
/// Between two looks at runs that are being ended, in milliseconds.
const END_LOOK_MS: u64 = 20;

/// The worker of this file, or `None`. Asks the kernel; makes nothing.
///
/// # Errors
/// When the lock file cannot be looked at.
pub fn look(place: &Place) -> Result<Option<Holder>> {
    Holder::look(place)
}

/// The worker of this file with what it says of itself, or `None`.
///
/// # Errors
/// When the lock file cannot be looked at.
pub fn sight(place: &Place) -> Result<Option<Sight>> {
    Sight::look(place)
}

/// # Errors
/// When there is no worker.
pub fn need(place: &Place) -> Result<()> {
    match look(place)? {
        Some(_) => Ok(()),
        None => Err(Error::NoWorker("there is no worker, and --need-worker asks for one; start it: tenure work".into())),
    }
}

/// What keeps `--memory` (`cgroup` or `rlimit`) and why, as the worker says; `None` without a worker that says so.
///
/// # Errors
/// When the lock file cannot be looked at.
pub fn memory_limiter(place: &Place) -> Result<Option<(String, String)>> {
    let report = look(place)?.and_then(|holder| Report::read(place, &holder));
    Ok(report.map(|report| report.memory).filter(|(by, _)| !by.is_empty()))
}

/// What the machine has left, and the disk that holds the file.
pub fn machine(place: &Place) -> Machine {
    Machine::look(place.dir())
}

/// Tells the worker, if there is one, that something was written.
pub fn wake(place: &Place) {
    waker::send(place);
}

/// Asks the shim of a running job to stop it, whatever the worker does, and says what a person must know: empty where the job is being
/// stopped and a worker records its end.
///
/// # Errors
/// When the file cannot be read.
pub fn ask_directly(store: &Store, job: JobId) -> Result<String> {
    let asked = stop::ask_directly(store, job)?;
    let sight = Sight::look(store.place())?;
    let stopped = sight.as_ref().filter(|sight| matches!(sight.process, Process::Stopped | Process::Traced));
    let records_later = match (&sight, stopped) {
        (_, Some(sight)) => {
            let pid = sight.holder.pid;
            format!("; the worker (pid {pid}) is stopped: the end is recorded when it goes on (kill -CONT {pid})")
        }
        (Some(_), None) => String::new(),
        (None, _) => "; there is no worker: its end is written down when there is one (tenure work)".to_owned(),
    };
    let works = sight.is_some() && stopped.is_none();
    let sent = match asked {
        Direct::Asked if !works => "; it was asked to stop".to_owned(),
        Direct::Cannot(why) if works => format!("; this command cannot signal it ({why}), so the worker is asked to"),
        Direct::Cannot(why) => format!("; this command cannot signal it ({why})"),
        Direct::Asked | Direct::NoShim => String::new(),
    };
    Ok(sent + &records_later)
}

/// What the configuration asks of the machine.
pub fn floors(settings: &Settings) -> Floors {
    Floors {
        memory_bytes: settings.floor_memory_bytes.value,
        disk_bytes: settings.floor_disk_bytes.value,
        load_max: settings.floor_load.value,
    }
}

fn options(face: &Face) -> Result<Options> {
    let settings = &face.settings;
    let defaults = Options::work();
    Ok(Options {
        slots: settings.slots.value.unwrap_or(defaults.slots),
        on_term: on_term(settings),
        stop_timeout_ms: settings.stop_timeout_ms.value,
        floors: floors(settings),
        repair: settings.repair.value,
        keep_ms: settings.keep_ms.value,
        log_limit_bytes: settings.log_limit_bytes.value,
        workspaces_bytes_max: settings.workspace_max_size_bytes.value,
        owns_process: true,
        ..defaults
    })
}

/// What TERM means to a worker; `drain` is the older name of one of the answers.
fn on_term(settings: &Settings) -> Option<OnTerm> {
    match settings.on_term.value {
        Some(config::OnTerm::Detach) => Some(OnTerm::Detach),
        Some(config::OnTerm::Drain) => Some(OnTerm::Drain),
        Some(config::OnTerm::End) => Some(OnTerm::End),
        None => settings.drain.value.then_some(OnTerm::Drain),
    }
}

/// Is the worker until it ends.
///
/// # Errors
/// When there is one already, or the file cannot be used.
pub fn work(face: &Face, args: &work::Args) -> Result<u8> {
    let until = match (args.until_idle, args.until_empty) {
        (true, _) => Until::Idle,
        (_, true) => Until::Empty,
        _ => Until::Stopped,
    };
    if idle::wait(face, args)? {
        return tell_who_waits(&face.reader()?);
    }
    let scope = Scope { queues: args.queue.clone(), only: None };
    let defaults = options(face)?;
    let options = Options { until, scope, tick_ms: args.tick.unwrap_or(defaults.tick_ms), ..defaults };
    let (orders, ordered) = unbounded();
    // Before the worker exists: a signal that comes while it starts must not end it half-way.
    let drains = options.on_term == Some(OnTerm::Drain);
    let _listening = signals::listen(drains, std::io::stdin().is_terminal(), orders)?;
    let client = face.before_worker()?;
    let (place, slots) = (client.place().clone(), options.slots);
    let Some(worker) = Worker::start_heeding(&client, face.options(Role::Worker), options, &ordered)? else {
        return Ok(exit::OK);
    };
    drop(client);
    let db = place.db().display();
    log::info!("the worker of {db} has started, {slots} slots");
    if std::io::stdin().is_terminal() && until == Until::Stopped {
        face::say(&format!("the worker of {db} runs, {slots} slots; interrupt to let the jobs end, and again to cancel them"));
    }
    let store = worker.store().clone();
    let summary = worker.wait(&ordered)?;
    if summary.left_running > 0 {
        let left = i64::try_from(summary.left_running).unwrap_or(i64::MAX);
        face::say(&match summary.nothing_survives {
            None => {
                format!("{}; the next worker takes over", count(left, "job", "is left to its shim", "are left to their shims"))
            }
            Some(why) => format!("{} with the worker, because {why}", count(left, "job", "ends", "end")),
        });
    }
    match summary.ended {
        Ended::Fatal(why) => Err(Error::File(why)),
        Ended::Idle => tell_who_waits(&store),
        Ended::Asked | Ended::Yielded => Ok(exit::OK),
    }
}

/// Whether the service manager that has started us is shutting down.
pub fn machine_is_stopping() -> bool {
    surroundings::is_stopping_now()
}

/// Ends every run of the file in order, with or without a worker, and without opening the file.
///
/// # Errors
/// When the run files cannot be listed, or a run does not end.
pub fn end_runs(face: &Face) -> Result<()> {
    let path = &face.settings.db.value;
    let place = Place::new(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
    let mut ending = EndRuns::new(&place, Duration::from_millis(face.settings.stop_timeout_ms.value));
    loop {
        let alive = ending.round()?;
        if alive == 0 {
            break;
        }
        if ending.is_over() {
            let left = count(i64::try_from(alive).unwrap_or(i64::MAX), "run", "does not end", "do not end");
            return Err(Error::Stuck(format!("{left}; tenure doctor names the processes")));
        }
        // The runs are not children of this process; each round looks at their locks and passes the signals on.
        std::thread::sleep(Duration::from_millis(END_LOOK_MS));
    }
    if ending.asked() > 0 {
        face::say(&count(i64::try_from(ending.asked()).unwrap_or(i64::MAX), "run", "was ended", "were ended"));
    }
    Ok(())
}

/// What could not be torn down yet, where a person might take it for gone.
fn tell_what_is_left(store: &Store) -> Result<()> {
    let resources = store.read(resource::counts)?;
    if resources.releasing > 0 {
        let left = count(resources.releasing, "resource", "is not torn down yet", "are not torn down yet");
        face::say(&format!("{left}; a worker goes on with that; tenure resource ls says more"));
    }
    Ok(())
}

/// How many wait and why, where nothing could be started.
fn tell_who_waits(store: &Store) -> Result<u8> {
    let counts = store.read(read::counts)?;
    if counts.queued > 0 {
        let held = held_text(&counts);
        face::say(&format!("{}{held}; tenure why ID says more", count(counts.queued, "job", "waits", "wait")));
    }
    tell_what_is_left(store)?;
    Ok(exit::OK)
}

/// What came of the try to be the worker for one job alone.
pub enum ForOne {
    Serves(Box<Worker>),
    /// There is a worker, or another process was quicker.
    NotNeeded,
    /// This signal came before it served. `is_blocked`: it waited for another program's write lock.
    Told {
        signal: i32,
        is_blocked: bool,
    },
}

/// A worker for one job alone, where there is none. One that is a `tenure run` is asked to serve this job too.
///
/// # Errors
/// When the file cannot be used.
pub fn start_for(face: &Face, client: &Store, job: JobId, signals: &Receiver<i32>) -> Result<ForOne> {
    if let Some(holder) = look(client.place())? {
        if holder.kind == Kind::Run.as_str() {
            waker::ask_to_serve(client.place(), job);
        }
        return Ok(ForOne::NotNeeded);
    }
    let scope = Scope { queues: Vec::new(), only: Some(job) };
    let options = Options { kind: Kind::Run, slots: 1, scope, until: Until::Stopped, ..options(face)? };
    match Worker::start_unless_told(client, face.options(Role::Worker), options, signals) {
        Ok(Started::Serves(worker)) => Ok(ForOne::Serves(worker)),
        Ok(Started::Told { order: signal, worker, is_blocked }) => {
            worker.map(|worker| worker.stop(Ended::Asked)).transpose()?;
            Ok(ForOne::Told { signal, is_blocked })
        }
        // Another process was quicker, and does it.
        Err(Error::Held(_)) => Ok(ForOne::NotNeeded),
        Err(error) => Err(error),
    }
}

/// Is a worker for one round: what a start repairs, settles and sweeps is done then. Claims nothing.
///
/// # Errors
/// When there is a worker, or the file cannot be used.
pub fn one_round(face: &Face) -> Result<Vec<String>> {
    let client = face.before_worker()?;
    let scope = Scope { queues: Vec::new(), only: Some(NO_JOB) };
    let options = Options { slots: 1, scope, until: Until::Stopped, ..options(face)? };
    let worker = Worker::start(&client, face.options(Role::Worker), options)?;
    let done = worker.store().opened().problems.clone();
    // What was adopted goes on, and what was settled in that round is settled.
    let _not_yet = worker.ended(Duration::ZERO);
    worker.stop(Ended::Asked)?;
    Ok(done)
}

/// Takes a lease for a command in the foreground, waiting for it until `until`.
///
/// # Errors
/// When the file or the lock file cannot be used.
pub fn take_lease(store: &Store, wanted: &Wanted, until: Option<Instant>) -> Result<Answer> {
    leases::acquire(store, wanted, until)
}

/// Lets go of it. False: it was taken away meanwhile.
///
/// # Errors
/// When the file cannot be written.
pub fn free_lease(store: &Store, holding: Holding) -> Result<bool> {
    holding.release(store)
}

/// Every lease, and whether its owner lives.
///
/// # Errors
/// When the file cannot be read.
pub fn leases(store: &Store) -> Result<Vec<Seen>> {
    Ok(store.read(lease::list)?.into_iter().map(|held| look_at_lease(store, held)).collect())
}

/// Whether the owner of a lease lives. One that cannot be looked at counts as alive.
pub fn look_at_lease(store: &Store, lease: Lease) -> Seen {
    let is_alive = leases::is_alive(store.place(), &lease).unwrap_or_else(|error| {
        log::warn!("the lease {:?}: {error}", lease.name);
        true
    });
    let survivors = if is_alive { leases::survivors(store.place(), &lease).unwrap_or_default() } else { Vec::new() };
    Seen { lease, is_alive, survivors }
}

/// Takes a lease away: by force from an owner that lives, or as the next process would from one that is gone. `None`: another process was first.
///
/// # Errors
/// When the file cannot be written.
pub fn force_lease(store: &Store, seen: &Seen, by: &str) -> Result<Option<Vec<String>>> {
    if seen.is_alive {
        return leases::force_release(store, &seen.lease, by);
    }
    leases::reclaim(store)?;
    Ok(Some(Vec::new()))
}

/// Whether this file, its path and its directory belong together, where something is to be told of it.
///
/// # Errors
/// When the file cannot be read.
pub fn standing(store: &Store) -> Result<Option<Advice>> {
    standing::advice(store)
}
