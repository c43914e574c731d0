//! Supervising one run until it is over: the same for one that this worker launched and for one that it has taken over.
//!
//! The shim keeps the limits of its run and judges how it ended. The supervisor passes stop requests on, keeps the limits itself where the shim
//! stands still, and tells what keeps the run from ending. What it knows of the run are the records, from the pipe or from the run file.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::context::Context;
use super::run_waker::RunWaker;
use super::wish::{Wish, has_ended};
use crate::error::{Error, Result};
use crate::job::verdict::Progress;
use crate::job::{Cause, Exit, Nonce, RunEnd, RunId};
use crate::run::Launch;
use crate::run::machine::boottime_ms;
use crate::run::record::{Record, Records, Started};
use crate::run::runfile::{self, Look, RunFile};
use crate::run::spawner::{Status, StatusPipe};
use crate::run::stop::{self, OutOfReach};
use crate::run::trouble::{self, Shim};
use crate::store::{reap, settle};

/// A shim that has not kept a limit itself this long after it, in milliseconds, is asked to by the worker.
const LATE_MS: u64 = 1_000;
/// Between two looks at the output of a run with an idle-timeout, in milliseconds: shortest and longest.
const OUTPUT_LOOK_MS: (u64, u64) = (250, 2_000);
/// Between two looks for what keeps a run from ending, in milliseconds.
const TROUBLE_LOOK_MS: u64 = 3_000;
/// What outlives the job's own process for this long, in milliseconds, is told.
const LEFT_MS: u64 = 2_000;
/// Longest wait without a look at the clock of the boot, in milliseconds: waits do not count the sleep of a machine, limits do.
const WAIT_MS_MAX: u64 = 30_000;

/// A run under watch.
pub(super) struct Watched<'a> {
    pub ctx: &'a Arc<Context>,
    pub run: RunId,
    pub nonce: Nonce,
    pub waker: Arc<RunWaker>,
    pub grace_ms: u64,
    /// It is a job's own run, whose pid and start are told in the job's row.
    pub of_job: bool,
    /// The worker has ended the run for this cause, with its shim, while it was running: there is no record of its end.
    pub forced: Cell<Option<Cause>>,
}

/// How watching a run came to its end.
#[allow(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub(super) enum Watch {
    /// Its shim is gone; this is what it recorded.
    Over(Records),
    /// The worker lets go of its runs.
    Left,
}

impl<'a> Watched<'a> {
    pub fn new(ctx: &'a Arc<Context>, run: RunId, nonce: Nonce, waker: Arc<RunWaker>, grace_ms: u64) -> Self {
        Self { ctx, run, nonce, waker, grace_ms, of_job: false, forced: Cell::new(None) }
    }

    /// What the records say about the end; what this worker has done to the run where they say nothing.
    pub fn end_of(&self, records: &Records) -> RunEnd {
        if let Some(failed) = &records.failed {
            let (errno, error) = (failed.errno, failed.text.clone());
            return if failed.ours { RunEnd::NoMeans { errno, error } } else { RunEnd::NotExecuted { errno, error } };
        }
        match (&records.exited, self.forced.get()) {
            (Some(exited), _) => RunEnd::Ended {
                exit: exited.exit,
                cause: exited.cause,
                out_of_memory: records.drained.as_ref().is_some_and(|drained| drained.out_of_memory),
            },
            (None, Some(cause)) => RunEnd::Ended { exit: Exit::Signal(libc::SIGKILL), cause: Some(cause), out_of_memory: false },
            (None, None) => RunEnd::Lost,
        }
    }

    /// Launches a command around a job and watches it.
    pub fn launch(&self, launch: &Launch, file: RunFile) -> Result<Watch> {
        let pipe = self.ctx.spawner().and_then(|spawner| spawner.launch(launch, file))?;
        self.follow(pipe)
    }

    /// Reads the shim's records until they say that the run is over, or until its end of the pipe is closed. (The shim tells of a start
    /// some milliseconds later, together with the end of a run that was shorter.)
    pub fn follow(&self, mut pipe: StatusPipe) -> Result<Watch> {
        let mut records = Records::default();
        let mut supervisor = Supervisor::of_launched();
        let mut is_withdrawn = false;
        loop {
            let mut fds = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(&*self.waker, PollFlags::IN)];
            wait_for(&mut fds, supervisor.next_act())?;
            if self.ctx.is_detaching() {
                return Ok(Watch::Left);
            }
            loop {
                match pipe.next()? {
                    Status::Record(record) => {
                        if matches!(record, Record::Started(_) | Record::Exited(_)) {
                            self.ctx.has_started(self.run);
                        }
                        let is_last = matches!(record, Record::Drained(_) | Record::Failed(_));
                        records.add(record);
                        if is_last {
                            return Ok(Watch::Over(supervisor.seen_in(records)));
                        }
                    }
                    Status::NothingYet => break,
                    Status::Closed => return Ok(Watch::Over(supervisor.seen_in(records))),
                }
            }
            // The spawner may stand still with the run in its socket. What was cancelled must not begin when it goes on.
            if !is_withdrawn && self.waker.cause() == Some(Cause::Cancel) && records.progress() == Progress::Nothing {
                is_withdrawn = true;
                pipe.go().withdraw();
                log::debug!("run {} was cancelled before it began, and is withdrawn", self.run);
            }
            supervisor.act(self, &records);
        }
    }
}

/// Waits for any of the descriptors, or until then.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<()> {
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(500);
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(Error::io("waiting for a run", e)),
    }
}

/// What a worker does for one run until it is over.
pub(super) struct Supervisor {
    wish: Wish,
    /// The limit that the shim has not kept.
    overdue: Option<Cause>,
    output: Option<Output>,
    start_is_told: bool,
    exit_seen: Option<Instant>,
    /// When the run file is read for a start that was not told.
    file_look: Option<Instant>,
    started_in_file: Option<Started>,
    start_is_late: bool,
    /// What stands in the run's row; the outer `None`: it is not known.
    told: Option<Option<String>>,
    next_look: Option<Instant>,
    next_limit: Option<Instant>,
}

/// The log of a run with an idle-timeout, as of the last look.
struct Output {
    bytes: u64,
    changed_ms: u64,
}

impl Supervisor {
    pub fn of_launched() -> Self {
        Self { told: Some(None), ..Self::of_adopted() }
    }

    /// An earlier worker may have noted something in the run's row.
    pub fn of_adopted() -> Self {
        Self {
            wish: Wish::default(),
            overdue: None,
            output: None,
            start_is_told: false,
            exit_seen: None,
            // A start that is not told by then is looked for.
            file_look: Some(Instant::now() + Duration::from_millis(LATE_MS)),
            started_in_file: None,
            start_is_late: false,
            told: None,
            next_look: None,
            next_limit: None,
        }
    }

    /// When to act again, if nothing happens before.
    pub fn next_act(&self) -> Option<Instant> {
        [self.wish.next_act(), self.next_look, self.next_limit, self.file_look].into_iter().flatten().min()
    }

    pub fn seen_in(&self, records: Records) -> Records {
        self.wish.seen_in(records)
    }

    /// Does what is due, by what is known of the run now.
    pub fn act(&mut self, watched: &Watched<'_>, told: &Records) {
        let records = &self.with_what_is_recorded(watched, told);
        self.tell_start(watched, records);
        self.next_limit = None;
        if !has_exited(records) {
            self.keep_limits(watched, records);
        }
        let cause = watched.waker.cause().or(self.overdue);
        if let Some(cause) = cause {
            let late_ms = if watched.waker.cause().is_some() { 0 } else { LATE_MS };
            let hindered_before = self.wish.hindrance().is_some();
            self.wish.act(watched, cause, late_ms, records);
            if self.wish.hindrance().is_some() != hindered_before {
                self.next_look = Some(Instant::now());
            }
        }
        self.look_for_trouble(watched, records, cause);
    }

    /// A shim that was stopped as soon as it had started its job has not told that; its run file may say so.
    fn with_what_is_recorded(&mut self, watched: &Watched<'_>, told: &Records) -> Records {
        if told.started.is_some() || self.started_in_file.is_some() {
            self.file_look = None;
            return Records { started: told.started.or(self.started_in_file), ..told.clone() };
        }
        let now = Instant::now();
        if self.file_look.is_none_or(|at| now >= at) {
            self.file_look = Some(now + Duration::from_millis(TROUBLE_LOOK_MS));
            self.start_is_late = true;
            if let Ok(Look::Found { records, .. }) = runfile::look(watched.ctx.place(), watched.run) {
                self.started_in_file = records.started;
            }
            self.next_look.get_or_insert(now);
        }
        Records { started: self.started_in_file, ..told.clone() }
    }

    fn tell_start(&mut self, watched: &Watched<'_>, records: &Records) {
        let Some(started) = records.started.filter(|_| watched.of_job && !self.start_is_told) else { return };
        self.start_is_told = true;
        if let Some(kept) = started.kept {
            watched.waker.began(kept.boot_ms);
        }
        let (run, pid, at_ms) = (watched.run, started.pid, started.at_ms);
        // For showing only: a run whose pid could not be written is as much alive as any other.
        if let Err(error) = watched.ctx.store.commit_elsewhere(move |conn| settle::started(conn, run, pid, at_ms)) {
            log::warn!("run {run}: writing its pid: {error}");
        }
    }

    /// Asks a shim that is past a limit to stop the run, as a shim that stands still keeps none.
    fn keep_limits(&mut self, watched: &Watched<'_>, records: &Records) {
        let Some(kept) = records.started.and_then(|started| started.kept) else { return };
        if self.overdue.is_some() {
            return;
        }
        let now_ms = boottime_ms();
        let silent_until = kept.idle_timeout_ms.map(|idle_ms| self.silence(watched, idle_ms, now_ms));
        let at = |limit: Option<u64>| limit.map(|ms| kept.boot_ms.saturating_add(ms));
        let limits =
            [(at(kept.timeout_ms), Cause::Timeout), (at(kept.max_runtime_ms), Cause::Backstop), (silent_until, Cause::Silence)];
        let first =
            limits.into_iter().filter_map(|(at, cause)| Some((at?.saturating_add(LATE_MS), cause))).min_by_key(|(at, _)| *at);
        let Some((at_ms, cause)) = first else { return };
        if at_ms <= now_ms {
            log::warn!("run {}: it is past a limit ({cause}), and its shim has not stopped it", watched.run);
            self.overdue = Some(cause);
            return;
        }
        let looks = kept.idle_timeout_ms.map_or(WAIT_MS_MAX, |ms| (ms / 4).clamp(OUTPUT_LOOK_MS.0, OUTPUT_LOOK_MS.1));
        self.next_limit = Some(Instant::now() + Duration::from_millis((at_ms - now_ms).min(looks)));
    }

    /// Until when the run may be silent, in milliseconds since the boot. By the size of its log: the time of its last change is on the wall clock.
    fn silence(&mut self, watched: &Watched<'_>, idle_ms: u64, now_ms: u64) -> u64 {
        let bytes = std::fs::metadata(watched.ctx.place().log_file(watched.run)).map_or(0, |meta| meta.len());
        let output = self.output.get_or_insert(Output { bytes, changed_ms: now_ms });
        if output.bytes != bytes {
            *output = Output { bytes, changed_ms: now_ms };
        }
        output.changed_ms.saturating_add(idle_ms)
    }

    fn look_for_trouble(&mut self, watched: &Watched<'_>, records: &Records, cause: Option<Cause>) {
        let now = Instant::now();
        if records.started.is_none() && self.wish.hindrance().is_none() && !self.start_is_late {
            return;
        }
        if has_exited(records) && self.exit_seen.is_none() {
            self.exit_seen = Some(now);
            self.next_look = Some(now + Duration::from_millis(LEFT_MS));
        }
        let every = Duration::from_millis(TROUBLE_LOOK_MS);
        if now < *self.next_look.get_or_insert(now + every) {
            return;
        }
        self.next_look = Some(now + every);
        match self.trouble(watched, records, cause) {
            Ok(trouble) => self.tell(watched, trouble),
            Err(error) => log::debug!("run {}: looking at its shim: {error}", watched.run),
        }
    }

    /// What keeps the run from ending, and on a second line what a person can do.
    fn trouble(&self, watched: &Watched<'_>, records: &Records, cause: Option<Cause>) -> Result<Option<String>> {
        let place = watched.ctx.place();
        Ok(match trouble::shim(place, watched.run, watched.nonce)? {
            Shim::Stopped(pid) => {
                // It alone can record a start, and reap what has ended.
                if records.started.is_none() || has_ended(records) {
                    stop::continue_shim(place, watched.run, watched.nonce)?;
                }
                Some(format!(
                    "its shim (pid {pid}) is stopped; the worker keeps the limits of the run meanwhile\nkill -CONT {pid}"
                ))
            }
            Shim::Well(pid) => {
                let mut left = if has_exited(records) || cause.is_some() { trouble::below(pid) } else { Vec::new() };
                if has_exited(records) {
                    left_behind(&left, "its command has ended")
                } else {
                    left.retain(|left| !left.may_be_signalled);
                    left_behind(&left, "it is to be stopped")
                }
            }
            Shim::None if records.started.is_some() => {
                let (left, stopped_spawner) = trouble::below_spawner(place, watched.run);
                match stopped_spawner {
                    Some(pid) => Some(format!("its shim is gone, and the spawner (pid {pid}) is stopped\nkill -CONT {pid}")),
                    None => left_behind(&left, "its shim is gone"),
                }
            }
            Shim::None => None,
            Shim::Hidden(hindrance) => cause.map(|_| hindered(hindrance)),
        })
    }

    fn tell(&mut self, watched: &Watched<'_>, trouble: Option<String>) {
        if self.told.as_ref() == Some(&trouble) {
            return;
        }
        match &trouble {
            Some(what) => log::warn!("run {}: {}", watched.run, what.replace('\n', "; ")),
            None if self.told.is_some() => log::info!("run {}: nothing keeps it from ending any more", watched.run),
            None => {}
        }
        let (run, what) = (watched.run, trouble.clone());
        match watched.ctx.store.commit(move |conn| reap::note_trouble(conn, run, what.as_deref())) {
            Ok(_) => self.told = Some(trouble),
            Err(error) => log::warn!("run {run}: noting what keeps it: {error}"),
        }
    }
}

fn has_exited(records: &Records) -> bool {
    records.exited.is_some()
}

fn left_behind(left: &[trouble::Left], what: &str) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let (words, numbers) = (trouble::words(left), trouble::numbers(left));
    Some(format!("{what}, and processes of it cannot be ended: {words}\nend them as their user or as root: kill -9 {numbers}"))
}

fn hindered(hindrance: OutOfReach) -> String {
    format!("the stop request cannot be carried out: {hindrance}\n{}", hindrance.remedy())
}
