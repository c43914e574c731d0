//! `tenure run`, after its job was added: follows the job to its end, and is its worker if there is
//! none.
//!
//! Each round does four things: reads new output, ensures that there is a worker, obeys signals,
//! and says once what the job waits for. When a `tenure work` asks for the lock, this worker
//! releases it, and following continues. If another `tenure run` is the worker, it is asked to
//! serve this job too, repeatedly while a client follows it.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::stop;
use crate::cli::view::output::Output;
use crate::cli::watch::waits::{By, Waits};
use crate::cli::worker_options;
use crate::error::{Error, Result, exit};
use crate::host::lock::{Holder, Kind};
use crate::host::waker;
use crate::job::JobId;
use crate::queue::follow::{Follower, Seen};
use crate::queue::why::resource_words as words;
use crate::run::signal;
use crate::store::Role;
use crate::store::job::claim::Scope;
use crate::store::job::rows::Job;
use crate::store::{Store, engine::locks, job::control, job::why, resource};
use crate::worker::{Ended, Worker};
use crate::worker::{Options, Started, Until};

/// Interval between two checks for a worker, in milliseconds. A `work` that asked for the lock
/// takes it well within this.
const CHECK_MS: u64 = 1_000;

/// Interval between two checks whether everything is torn down, in milliseconds.
const TEARDOWN_POLL_MS: u64 = 20;

/// The number of the signal of a closed pipe.
const SIGPIPE: u8 = 13;

/// How following a job ended.
pub enum Outcome {
    Ended(Box<Job>),
    /// A person left the job running; the exit code.
    Detached(u8),
}

/// Follows a job to its end; without a worker, is one for that job only.
///
/// # Errors
/// The file cannot be used, or the reader of the output has gone.
pub fn follow(face: &Face, store: &Store, id: JobId, output: Output) -> Result<Outcome> {
    let signals = listen()?;
    let mut run_follower =
        RunFollower { face, store, id, worker: None, checked: None, interrupts: 0, waits: Waits::of(id, By::Run) };
    let mut follower = Follower::new(store, id);
    let mut output = output;
    let outcome = loop {
        match run_follower.round(&mut follower, &mut output, &signals) {
            Ok(None) => follower.rest(),
            Ok(Some(outcome)) => break Ok(outcome),
            Err(error) if face::is_broken_pipe(&error) => break Ok(run_follower.reader_gone()),
            Err(error) => break Err(error),
        }
    };
    if matches!(outcome, Ok(Outcome::Ended(_))) {
        run_follower.tear_down(&signals)?;
    }
    run_follower.end_served();
    run_follower.stop_worker(Ended::Asked)?;
    let outcome = outcome?;
    if matches!(outcome, Outcome::Ended(_)) {
        store.flush_now()?;
        output.finish()?;
    }
    Ok(outcome)
}

struct RunFollower<'a> {
    face: &'a Face,
    store: &'a Store,
    id: JobId,
    worker: Option<Worker>,
    checked: Option<Instant>,
    interrupts: u32,
    waits: Waits,
}

impl RunFollower<'_> {
    fn round(&mut self, follower: &mut Follower, output: &mut Output, signals: &Receiver<i32>) -> Result<Option<Outcome>> {
        if let Some(outcome) = self.ensure_worker(signals)? {
            return Ok(Some(outcome));
        }
        if let Seen::Ended(job) = follower.round(&mut |piece| output.piece(piece))? {
            return Ok(Some(Outcome::Ended(job)));
        }
        self.waits.poll(self.face, self.store)?;
        match signals.try_recv() {
            Ok(signal) => self.obey(signal),
            Err(_) => Ok(None),
        }
    }

    /// Becomes the worker if there is none; releases the lock if another process asked for it.
    fn ensure_worker(&mut self, signals: &Receiver<i32>) -> Result<Option<Outcome>> {
        if let Some(worker) = &self.worker {
            let Some(ended) = worker.ended(Duration::ZERO) else { return Ok(None) };
            self.checked = Some(Instant::now());
            let fatal = ended.fatal().map(str::to_owned);
            self.stop_worker(ended)?;
            return fatal.map_or(Ok(None), |why| Err(Error::File(why)));
        }
        if self.checked.is_some_and(|at| at.elapsed() < Duration::from_millis(CHECK_MS)) {
            return Ok(None);
        }
        self.checked = Some(Instant::now());
        match start_for(self.face, self.store, self.id, signals)? {
            ForOne::Serves(worker) => self.worker = Some(*worker),
            ForOne::NotNeeded => {}
            // A cancel would wait for that lock as well.
            ForOne::Signalled { signal, is_blocked: true } => return Ok(Some(self.leave_blocked(signal))),
            ForOne::Signalled { signal, is_blocked: false } => {
                self.checked = None;
                return self.obey(signal);
            }
        }
        Ok(None)
    }

    /// Ends following while another program holds the write lock: the job stays as it is.
    fn leave_blocked(&self, signal: i32) -> Outcome {
        let id = self.id;
        let holder = locks::writer(self.store.place()).map_or("another program".to_owned(), |holder| holder.to_string());
        face::say(&format!(
            "{holder} holds the write lock, so job {id} was not started and is not cancelled; \
             it is left queued (tenure cancel {id} ends it)"
        ));
        Outcome::Detached(code_of(signal))
    }

    /// Without another worker, the resources of the job are torn down before this one ends. A
    /// signal ends the wait, not the teardown; a failed teardown waits for the next worker.
    fn tear_down(&mut self, signals: &Receiver<i32>) -> Result<()> {
        let Some(worker) = &self.worker else { return Ok(()) };
        loop {
            let (id, now_ms) = (self.id, self.face.now_ms());
            let left = self.store.read(|conn| resource::left_by(conn, id, why::RESOURCES_NAMED_MAX))?;
            let goes_on = left.iter().any(|one| one.auxiliary.is_some() || one.next_at <= now_ms);
            let is_told = signals.recv_timeout(Duration::from_millis(if goes_on { TEARDOWN_POLL_MS } else { 0 })).is_ok();
            if !goes_on || is_told || worker.ended(Duration::ZERO).is_some() {
                left.iter().for_each(|one| face::say(&format!("{} (start a worker: tenure work)", words::why(one, now_ms))));
                return Ok(());
            }
        }
    }

    /// As process 1 of a container, or with its init, this process ends the jobs that it serves for
    /// others: they are ended cleanly.
    fn end_served(&self) {
        if let Some(worker) = &self.worker {
            worker.end_runs_if_namespace_ends(&never());
        }
    }

    fn stop_worker(&mut self, ended: Ended) -> Result<()> {
        match self.worker.take() {
            Some(worker) => worker.stop(ended).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The first INT cancels the job, the second leaves it to its shim; TERM and HUP leave it
    /// immediately.
    fn obey(&mut self, signal: i32) -> Result<Option<Outcome>> {
        let id = self.id;
        let code = code_of(signal);
        if signal == SIGINT {
            self.interrupts += 1;
        }
        if signal != SIGINT || self.interrupts > 1 {
            if self.worker.as_ref().is_some_and(|worker| worker.end_runs_if_nothing_survives(&never(), true)) {
                return Ok(Some(Outcome::Detached(code)));
            }
            face::say(&format!("job {id} is left to itself; tenure logs -f {id} follows it"));
            return Ok(Some(Outcome::Detached(code)));
        }
        face::say(&format!("cancelling job {id} (interrupt again to leave it to itself)"));
        let now_ms = self.face.now_ms();
        self.store.write(move |conn| control::cancel(conn, id, Some("interrupted"), now_ms))?;
        waker::send(self.store.place());
        stop::ask_directly(self.store, id)?;
        Ok(None)
    }

    /// The reader of the output has gone. As with any other program in a pipe that is the end, but
    /// only of following.
    fn reader_gone(&self) -> Outcome {
        face::say(&format!("the reader of the output is gone; job {0} continues (tenure cancel {0} ends it)", self.id));
        Outcome::Detached(exit::SIGNAL_BASE + SIGPIPE)
    }
}

fn code_of(signal: i32) -> u8 {
    exit::SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or(0))
}

/// Returns signals as they arrive.
fn listen() -> Result<Receiver<i32>> {
    let mut signals =
        Signals::new(signal::not_ignored(&[SIGINT, SIGTERM, SIGHUP])).map_err(|e| Error::io("installing signal handlers", e))?;
    let (sender, receiver) = unbounded();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().all(|signal| sender.send(signal).is_ok()))
        .map_err(|e| Error::io("starting the signal thread", e))?;
    Ok(receiver)
}

/// Result of trying to be the worker for one job.
enum ForOne {
    Serves(Box<Worker>),
    /// There is a worker, or another process was first.
    NotNeeded,
    /// This signal arrived before it served. `is_blocked`: it waited for another program's write
    /// lock.
    Signalled {
        signal: i32,
        is_blocked: bool,
    },
}

/// Starts a worker for one job, if there is none. A worker that is a `tenure run` is asked to serve
/// this job too.
///
/// # Errors
/// The file cannot be used.
fn start_for(face: &Face, client: &Store, job: JobId, signals: &Receiver<i32>) -> Result<ForOne> {
    if let Some(holder) = Holder::read(client.place())? {
        if holder.kind == Kind::Run.as_str() {
            waker::ask_to_serve(client.place(), job);
        }
        return Ok(ForOne::NotNeeded);
    }
    let scope = Scope { only: Some(job), ..Scope::default() };
    let options = Options { kind: Kind::Run, slots: 1, scope, until: Until::Stopped, ..worker_options::options(face) };
    match Worker::start_unless_told(client, face.options(Role::Worker), options, signals) {
        Ok(Started::Serves(worker)) => Ok(ForOne::Serves(worker)),
        Ok(Started::Told { order: signal, worker, is_blocked }) => {
            worker.map(|worker| worker.stop(Ended::Asked)).transpose()?;
            Ok(ForOne::Signalled { signal, is_blocked })
        }
        // Another process was first, and does it.
        Err(Error::Held(_)) => Ok(ForOne::NotNeeded),
        Err(error) => Err(error),
    }
}
