//! Supervises one run until it is over: the same for a launched and for an adopted one.
//!
//! The shim enforces the limits of its run and determines how it ended. The supervisor passes stop
//! requests and suspensions on, enforces the limits itself if the shim is stopped, and reports why
//! the run does not end. It knows the run by the records, from the pipe or from the run file.

use std::time::{Duration, Instant};

use super::handle::{Attempt, START_MS};
use super::stop_request::{StopRequest, has_ended};
use super::suspension::Suspending;
use crate::error::Result;
use crate::job::Cause;
use crate::job::verdict::Progress;
use crate::run::machine::boottime_ms;
use crate::run::record::{Records, Started, Suspension};
use crate::run::runfile::{self, Inspection};
use crate::run::stop::{self, OutOfReach};
use crate::run::trouble::{self, Shim};
use crate::store::{job::settle, upkeep::open_runs};

/// If a shim has not enforced a limit this long after it, in milliseconds, the worker asks it to.
const LATE_MS: u64 = 1_000;
/// Interval between two checks of the output of a run with an idle-timeout, in milliseconds:
/// shortest and longest.
const OUTPUT_LOOK_MS: (u64, u64) = (250, 2_000);
/// Interval between two checks for the reason why a run does not end, in milliseconds.
const TROUBLE_LOOK_MS: u64 = 3_000;
/// Processes that outlive the job's own process for this long, in milliseconds, are reported.
const LEFT_MS: u64 = 2_000;
/// Longest wait without reading the clock of the boot, in milliseconds: a wait does not count while
/// the machine is suspended, but limits do.
const WAIT_MS_MAX: u64 = 30_000;

/// Supervision of one run.
pub struct Supervisor {
    stop: StopRequest,
    suspending: Suspending,
    /// The limit that the shim has not enforced.
    overdue: Option<Cause>,
    output: Option<Output>,
    start_is_told: bool,
    exit_seen: Option<Instant>,
    /// When to read the run file for a start that was not reported.
    file_look: Option<Instant>,
    started_in_file: Option<Started>,
    start_is_late: bool,
    /// The content of the run's row; the outer `None`: it is not known.
    told: Option<Option<String>>,
    next_look: Option<Instant>,
    next_limit: Option<Instant>,
    /// When the start of a job of a user is ended that has begun and not come to an end.
    starts_by: Option<Instant>,
}

/// The log of a run with an idle-timeout, as of the last check.
#[derive(Clone, Copy)]
struct Output {
    bytes: u64,
    changed_ms: u64,
    /// How long the run was suspended before, in milliseconds.
    suspended_ms: u64,
}

impl Supervisor {
    pub fn of_launched() -> Self {
        Self { told: Some(None), suspending: Suspending::of_launched(), ..Self::of_adopted() }
    }

    /// An earlier worker may have recorded a problem in the run's row.
    pub fn of_adopted() -> Self {
        Self {
            stop: StopRequest::default(),
            suspending: Suspending::default(),
            overdue: None,
            output: None,
            start_is_told: false,
            exit_seen: None,
            // A start that is not reported by then is looked up.
            file_look: Some(Instant::now() + Duration::from_millis(LATE_MS)),
            started_in_file: None,
            start_is_late: false,
            told: None,
            next_look: None,
            next_limit: None,
            starts_by: None,
        }
    }

    /// Returns when to act again, if nothing happens before.
    pub fn next_act(&self) -> Option<Instant> {
        [self.stop.next_act(), self.suspending.next_act(), self.next_look, self.next_limit, self.file_look]
            .into_iter()
            .flatten()
            .min()
    }

    pub fn seen_in(&self, records: Records) -> Records {
        self.stop.seen_in(records)
    }

    /// Does what is due, by the present state of the run.
    pub fn act(&mut self, attempt: &Attempt<'_>, told: &Records) {
        let records = &self.with_what_is_recorded(attempt, told);
        self.tell_start(attempt, records);
        self.next_limit = None;
        if !has_exited(records) {
            self.keep_limits(attempt, records);
        }
        let cause = attempt.waker.cause().or(self.overdue);
        if cause.is_none() && !has_exited(records) && self.suspending.act(attempt, records) {
            self.next_look.get_or_insert_with(Instant::now);
        }
        if let Some(cause) = cause {
            let late_ms = if attempt.waker.cause().is_some() { 0 } else { LATE_MS };
            let hindered_before = self.stop.hindrance().is_some();
            self.stop.act(attempt, cause, late_ms, records);
            if self.stop.hindrance().is_some() != hindered_before {
                self.next_look = Some(Instant::now());
            }
        }
        self.check_for_trouble(attempt, records, cause);
    }

    /// A shim that was stopped right after it had started its job has not reported that; its run
    /// file may say so.
    fn with_what_is_recorded(&mut self, attempt: &Attempt<'_>, told: &Records) -> Records {
        if told.started.is_some() || self.started_in_file.is_some() {
            self.file_look = None;
            return Records { started: told.started.or(self.started_in_file), ..told.clone() };
        }
        let now = Instant::now();
        if self.file_look.is_none_or(|at| now >= at) {
            self.file_look = Some(now + Duration::from_millis(TROUBLE_LOOK_MS));
            self.start_is_late = true;
            if let Ok(Inspection::Found { records, .. }) = runfile::inspect(attempt.ctx.place(), attempt.key.run) {
                self.started_in_file = records.started;
            }
            self.next_look.get_or_insert(now);
        }
        Records { started: self.started_in_file, ..told.clone() }
    }

    fn tell_start(&mut self, attempt: &Attempt<'_>, records: &Records) {
        let Some(started) = records.started.filter(|_| attempt.is_of_job) else { return };
        if let Some(kept) = started.kept {
            attempt.waker.began(kept.boot_ms.saturating_add(suspended_ms(records)));
        }
        if std::mem::replace(&mut self.start_is_told, true) {
            return;
        }
        let (run, pid, at_ms) = (attempt.key.run, started.pid, started.at_ms);
        // For display only: a run whose pid could not be written is alive as well.
        if let Err(error) = attempt.ctx.store.commit_elsewhere(move |conn| settle::started(conn, run, pid, at_ms)) {
            log::warn!("run {run}: writing its pid: {error}");
        }
    }

    /// Asks a shim that is past a limit to stop the run, since a stopped shim enforces none.
    fn keep_limits(&mut self, attempt: &Attempt<'_>, records: &Records) {
        if self.overdue.is_some() {
            return;
        }
        if records.started.is_none() && attempt.is_of_user {
            return self.keep_start(attempt);
        }
        let Some(kept) = records.started.and_then(|started| started.kept) else { return };
        if records.suspension.as_ref().is_some_and(Suspension::holds_limits) {
            return;
        }
        let (now_ms, suspended_ms) = (boottime_ms(), suspended_ms(records));
        let silent_until = kept.idle_timeout_ms.map(|idle_ms| self.silence(attempt, idle_ms, now_ms, suspended_ms));
        let at = |limit: Option<u64>| limit.map(|ms| kept.boot_ms.saturating_add(suspended_ms).saturating_add(ms));
        let limits =
            [(at(kept.timeout_ms), Cause::Timeout), (at(kept.max_runtime_ms), Cause::Backstop), (silent_until, Cause::Silence)];
        let first =
            limits.into_iter().filter_map(|(at, cause)| Some((at?.saturating_add(LATE_MS), cause))).min_by_key(|(at, _)| *at);
        let Some((at_ms, cause)) = first else { return };
        if at_ms <= now_ms {
            log::warn!("run {}: it is past a limit ({cause}), and its shim has not stopped it", attempt.key.run);
            self.overdue = Some(cause);
            return;
        }
        let looks = kept.idle_timeout_ms.map_or(WAIT_MS_MAX, |ms| (ms / 4).clamp(OUTPUT_LOOK_MS.0, OUTPUT_LOOK_MS.1));
        self.next_limit = Some(Instant::now() + Duration::from_millis((at_ms - now_ms).min(looks)));
    }

    /// A start that a user delays without an end is ended as a run past its limit is. The time
    /// counts from when the shim is about to create the process; before that the user has no part.
    fn keep_start(&mut self, attempt: &Attempt<'_>) {
        let now = Instant::now();
        let Some(starts_by) = self.starts_by else {
            let seen = runfile::inspect(attempt.ctx.place(), attempt.key.run);
            if let Ok(Inspection::Found { records, .. }) = seen
                && records.progress() != Progress::Nothing
            {
                self.starts_by = Some(now + Duration::from_millis(START_MS));
            }
            self.next_limit = Some(now + Duration::from_millis(TROUBLE_LOOK_MS));
            return;
        };
        if starts_by > now {
            self.next_limit = Some(starts_by);
            return;
        }
        log::warn!("run {}: its user keeps it from starting; it is ended", attempt.key.run);
        self.overdue = Some(Cause::Timeout);
    }

    /// Returns until when the run may be silent, in milliseconds since the boot. By the size of its
    /// log: its modification time is on the wall clock.
    fn silence(&mut self, attempt: &Attempt<'_>, idle_ms: u64, now_ms: u64, suspended_ms: u64) -> u64 {
        let bytes = std::fs::metadata(attempt.ctx.place().log_file(attempt.key.run)).map_or(0, |meta| meta.len());
        let seen = Output { bytes, changed_ms: now_ms, suspended_ms };
        let output = self.output.get_or_insert(seen);
        if output.bytes != bytes {
            *output = seen;
        }
        output.changed_ms += suspended_ms.saturating_sub(output.suspended_ms);
        output.suspended_ms = suspended_ms;
        output.changed_ms.saturating_add(idle_ms)
    }

    fn check_for_trouble(&mut self, attempt: &Attempt<'_>, records: &Records, cause: Option<Cause>) {
        let now = Instant::now();
        if records.started.is_none() && self.stop.hindrance().is_none() && !self.start_is_late {
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
        match self.trouble(attempt, records, cause) {
            Ok(trouble) => self.tell(attempt, trouble),
            Err(error) => log::debug!("run {}: checking its shim: {error}", attempt.key.run),
        }
    }

    /// Returns why the run does not end, and on a second line the remedy.
    fn trouble(&self, attempt: &Attempt<'_>, records: &Records, cause: Option<Cause>) -> Result<Option<String>> {
        let place = attempt.ctx.place();
        Ok(match trouble::shim(place, attempt.key)? {
            Shim::Stopped(pid) => {
                // Only the shim can record a start, and reap ended processes.
                if records.started.is_none() || has_ended(records) {
                    stop::continue_shim(place, attempt.key)?;
                }
                if let Some((tracer, name)) = trouble::tracer(pid) {
                    return Ok(Some(format!(
                        "its shim (pid {pid}) is held by a process that traces it ({tracer} {name})\nkill {tracer}"
                    )));
                }
                Some(format!(
                    "its shim (pid {pid}) is stopped; the worker keeps the limits of the run until it continues\nkill -CONT {pid}"
                ))
            }
            Shim::Well(pid) => {
                let mut left = if has_exited(records) || cause.is_some() { trouble::below(pid) } else { Vec::new() };
                if has_exited(records) {
                    left_behind(&left, "its command has ended")
                } else if cause.is_none() {
                    self.suspending.trouble(records)
                } else {
                    left.retain(|left| !left.may_be_signalled);
                    left_behind(&left, "it is to be stopped")
                }
            }
            Shim::None if records.started.is_some() => {
                let (left, stopped_spawner) = trouble::below_spawner(place, attempt.key.run);
                match stopped_spawner {
                    Some(pid) => Some(format!("its shim is gone, and the spawner (pid {pid}) is stopped\nkill -CONT {pid}")),
                    None => left_behind(&left, "its shim is gone"),
                }
            }
            Shim::None => None,
            Shim::Hidden(hindrance) => cause.map(|_| hindered(hindrance)).or_else(|| self.suspending.trouble(records)),
        })
    }

    fn tell(&mut self, attempt: &Attempt<'_>, trouble: Option<String>) {
        if self.told.as_ref() == Some(&trouble) {
            return;
        }
        match &trouble {
            Some(what) => log::warn!("run {}: {}", attempt.key.run, what.replace('\n', "; ")),
            None if self.told.is_some() => log::info!("run {}: nothing keeps it from ending any more", attempt.key.run),
            None => {}
        }
        let (run, what) = (attempt.key.run, trouble.clone());
        match attempt.ctx.store.commit(move |conn| open_runs::note_trouble(conn, run, what.as_deref())) {
            Ok(_) => self.told = Some(trouble),
            Err(error) => log::warn!("run {run}: noting what keeps it: {error}"),
        }
    }
}

/// How long the suspensions that are over have lasted together, in milliseconds.
fn suspended_ms(records: &Records) -> u64 {
    records.suspension.as_ref().map_or(0, |suspension| suspension.total_ms)
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
