//! From STARTED to DRAINED: waits for the job, enforces deadlines, suspends and stops the run,
//! records its end, and ends leftover processes.

use std::collections::HashSet;

use rustix::process::getpid;

use crate::job::{Cause, Exit};
use crate::run::descendants::{self, kill_round, kill_tracer};
use crate::run::footprint::give_back_heap;
use crate::run::journal::Journal;
use crate::run::machine::{boottime_ms, now_ms};
use crate::run::process::Stat;
use crate::run::record::{Drained, Exited, Record};
use crate::run::signal::{self, Heard};
use crate::run::wait::{self, Children, Used};

use super::logfile::LogFile;
use super::memory::Memory;
use super::stop_signal::{Request, ends_like_a_shutdown, request_of};
use super::suspend::Suspensions;
use super::watch::{Due, Limits};

/// Longest wait between two readings of the clock, in milliseconds: a wait does not count while the
/// machine is suspended, but deadlines do.
const WAIT_MS_MAX: u64 = 30_000;
/// Interval between two rounds of killing processes that do not die, in milliseconds: first and
/// longest.
const KILL_MS_MIN: u64 = 5;
const KILL_MS_MAX: u64 = 1_000;
/// How often a stopped tree is polled during its grace, in milliseconds.
const LINGER_MS: u64 = 20;
/// A run that lives this long reports its start separately, in milliseconds; a shorter one reports
/// start and end together.
const TELL_START_MS: u64 = 10;
/// How long the shim waits for a signal to itself after its job was ended by a signal, in
/// milliseconds.
const SHUTDOWN_WINDOW_MS: u64 = 500;
/// Most leftover processes that are named.
const LEFTOVERS_NAMED_MAX: usize = 8;

/// What a run has left in its shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Neither a process nor a file, a signal or a limit: the next run finds a shim as new.
    Nothing,
    /// The tree is empty, and something was unusual.
    Doubt,
}

/// Runs a job to its end; nothing of it is left then, and no descriptor of the run is open.
pub fn see_to_the_end(journal: Journal, job: i32, limits: &Limits, nonce_bits: u64, log: LogFile, memory: Memory) -> Left {
    let now = boottime_ms();
    let me = getpid().as_raw_nonzero().get();
    let watched = Watched {
        journal,
        me,
        job,
        limits,
        nonce_bits,
        log,
        memory,
        suspensions: Suspensions::of(me, job),
        started_ms: now,
        warned: false,
        stop: None,
        asked_too_late: false,
        killed: HashSet::new(),
        used: Used::default(),
    };
    watched.see_through()
}

struct Watched<'a> {
    journal: Journal,
    me: i32,
    job: i32,
    limits: &'a Limits,
    nonce_bits: u64,
    log: LogFile,
    memory: Memory,
    suspensions: Suspensions,
    /// The start, later by the time for which the run was suspended.
    started_ms: u64,
    warned: bool,
    stop: Option<Stop>,
    /// A request to stop this run came after the end of its job.
    asked_too_late: bool,
    killed: HashSet<i32>,
    used: Used,
}

/// The job was asked to stop.
#[derive(Clone, Copy)]
struct Stop {
    cause: Cause,
    kill_at_ms: u64,
    kill_every_ms: u64,
}

impl Watched<'_> {
    fn see_through(mut self) -> Left {
        let exit = loop {
            // Checked first: a request that arrives after the job has ended does not count.
            if let Some(exit) = self.reap_all_but_the_job() {
                self.heed_shutdown(exit);
                break exit;
            }
            let until_ms = self.act();
            self.hear(until_ms);
        };
        self.suspensions.job_has_ended(&mut self.journal);
        let cause = self.stop.map(|stop| stop.cause);
        // If the file cannot be written in all that time, the run is lost: only the worker has seen
        // its end, through the pipe.
        let _ = self.journal.insist(&Record::Exited(Exited { exit, cause, at_ms: now_ms(), boot_ms: Some(boottime_ms()) }));
        self.linger();
        // Nothing else is left, so no further event can arrive: the usual case.
        let mut leftovers = String::new();
        let was_alone = self.only_the_job_is_left();
        if !was_alone {
            if cause.is_none() {
                leftovers = name(&self.living().collect::<Vec<_>>());
            }
            self.kill_group();
        }
        self.empty_tree();
        self.log.close();
        let drained = self.drained(leftovers, exit);
        self.memory.remove();
        let is_recorded = self.journal.insist(&Record::Drained(drained)).is_ok();
        self.journal.tell();
        let was_asked = self.stop.is_some() || self.asked_too_late || self.suspensions.were();
        if was_alone && is_recorded && !was_asked && self.memory.kept_by().is_none() { Left::Nothing } else { Left::Doubt }
    }

    /// Reaps what the tree has left to the shim. The job's own process is peeked at but not reaped:
    /// until it is reaped, its pid and its process group belong to this run.
    fn reap_all_but_the_job(&mut self) -> Option<Exit> {
        loop {
            match wait::peek() {
                Children::Ended(ended) if ended.pid == self.job => return Some(ended.exit),
                Children::Ended(ended) => self.used.reap(ended.pid).ok()?,
                Children::Alive | Children::None => return None,
            }
        }
    }

    /// A shutdown signals the shim and its job at once, in any order. The order of a bare signal
    /// and the end of the job cannot be observed, so a signal that is pending when the end is seen
    /// counts. If the end looks like that of a shutdown, the shim waits for a signal that may still
    /// arrive.
    fn heed_shutdown(&mut self, exit: Exit) {
        let window_ms = if ends_like_a_shutdown(exit) && !self.memory.has_killed(exit) { SHUTDOWN_WINDOW_MS } else { 0 };
        if self.stop.is_none() && signal::bare_within(window_ms) {
            self.stop(Cause::Shutdown, self.limits.grace_ms);
        }
    }

    /// Does what is due; returns when to check again.
    fn act(&mut self) -> Option<u64> {
        let now = boottime_ms();
        let tell_at = self.tell_start(now);
        if self.suspensions.is_suspended() {
            return earliest(tell_at, self.suspensions.look(&mut self.journal));
        }
        if self.wants_a_look(now) {
            self.log.check();
        }
        earliest(tell_at, self.due(now))
    }

    /// Reports the start when it is time; otherwise returns when that is.
    fn tell_start(&mut self, now: u64) -> Option<u64> {
        let at = self.started_ms.saturating_add(TELL_START_MS);
        if now >= at && self.journal.has_unsent() {
            self.journal.tell();
            // It may live for days from here on.
            give_back_heap();
        }
        self.journal.has_unsent().then_some(at)
    }

    fn due(&mut self, now: u64) -> Option<u64> {
        if let Some(stop) = self.stop {
            return earliest(self.escalate(stop, now), self.log.next_look_ms());
        }
        match self.limits.due(now, self.started_ms, self.log.last_output_ms(), self.warned) {
            Due::Nothing { until_ms } => earliest(until_ms, self.log.next_look_ms()),
            Due::Warn(signal) => {
                self.warned = true;
                self.signal_group(signal);
                Some(now)
            }
            Due::Stop(cause) => {
                self.stop(cause, self.limits.grace_ms);
                Some(now)
            }
        }
    }

    fn wants_a_look(&self, now: u64) -> bool {
        let silence_ends = self.limits.idle_timeout_ms.map(|ms| self.log.last_output_ms().saturating_add(ms));
        [self.log.next_look_ms(), silence_ends].into_iter().flatten().any(|at| at <= now)
    }

    fn hear(&mut self, until_ms: Option<u64>) {
        let wait_ms = until_ms.map_or(WAIT_MS_MAX, |at| at.saturating_sub(boottime_ms()).min(WAIT_MS_MAX));
        match signal::wait(Some(wait_ms)) {
            Heard::Nothing => {}
            Heard::Child => self.suspensions.heard_of_a_child(),
            // Also when the job has ended meanwhile, see `heed_shutdown`.
            Heard::Bare => self.stop(Cause::Shutdown, self.limits.grace_ms),
            Heard::Stop(value) => match request_of(value, self.nonce_bits) {
                Some(Request::Stop(cause)) if self.reap_all_but_the_job().is_none() => self.stop(cause, self.limits.grace_ms),
                Some(Request::Suspend) if self.reap_all_but_the_job().is_none() => self.suspend(),
                Some(Request::KillNow) => self.hasten(),
                Some(Request::Resume) => self.resume(),
                Some(Request::Stop(_) | Request::Suspend) => self.asked_too_late = true,
                // Meant for another run or another version of tenure.
                None => {}
            },
        }
    }

    /// A run that is to end is not suspended any more.
    fn suspend(&mut self) {
        if self.stop.is_none() {
            self.log.check();
            self.suspensions.begin(&mut self.journal, self.memory.freezer());
        }
    }

    fn resume(&mut self) {
        if let Some(lasted_ms) = self.suspensions.end(&mut self.journal) {
            self.started_ms += lasted_ms;
            self.log.was_suspended(lasted_ms);
        }
    }

    /// Ends the grace period now.
    fn hasten(&mut self) {
        self.stop(Cause::Shutdown, 0);
        if let Some(stop) = &mut self.stop {
            stop.kill_at_ms = stop.kill_at_ms.min(boottime_ms());
        }
    }

    /// The first cause counts. A stopped process handles TERM once it is continued.
    fn stop(&mut self, cause: Cause, grace_ms: u64) {
        if self.stop.is_some() {
            return;
        }
        let kill_at_ms = boottime_ms().saturating_add(grace_ms);
        self.stop = Some(Stop { cause, kill_at_ms, kill_every_ms: KILL_MS_MIN });
        self.signal_group(libc::SIGTERM);
        self.resume();
        self.signal_group(libc::SIGCONT);
    }

    /// After the grace period: sends KILL to everything. Returns when to check again.
    fn escalate(&mut self, mut stop: Stop, now: u64) -> Option<u64> {
        if stop.kill_at_ms <= now {
            self.kill_group();
            self.kill_everything();
            stop.kill_at_ms = now + stop.kill_every_ms;
            stop.kill_every_ms = (stop.kill_every_ms * 2).min(KILL_MS_MAX);
            self.stop = Some(stop);
        }
        Some(stop.kill_at_ms)
    }

    /// Signals the job's group, or the job itself if it has left the group. Never after the job was
    /// reaped.
    fn signal_group(&self, signal: i32) {
        if signal::send_group(self.job, signal).is_err() {
            // The process is gone, or may not be signalled: the next round of killing handles that.
            let _ = signal::send_child(self.job, signal);
        }
    }

    fn kill_everything(&mut self) {
        let round = kill_round(self.me, &|_| false);
        self.killed.extend(round.killed);
    }

    /// A stopped tree keeps its grace period even if its first process ends before the others of
    /// its group.
    fn linger(&mut self) {
        while let Some(stop) = self.stop
            && boottime_ms() < stop.kill_at_ms
            && self.group_is_alive()
        {
            // The end of the job's own process is reported now: the others may use the whole grace
            // period.
            self.journal.tell();
            let left = stop.kill_at_ms.saturating_sub(boottime_ms());
            if let Heard::Stop(value) = signal::wait(Some(left.min(LINGER_MS)))
                && request_of(value, self.nonce_bits) == Some(Request::KillNow)
            {
                self.hasten();
            }
        }
    }

    fn group_is_alive(&self) -> bool {
        self.living().any(|(_, stat)| stat.group == self.job)
    }

    /// The live processes of the tree.
    fn living(&self) -> impl Iterator<Item = (i32, Stat)> {
        let found = descendants::below(self.me, &|_| false).into_iter();
        found.filter_map(|found| Some((found.pid, Stat::of(found.pid)?))).filter(|(_, stat)| !stat.is_dead())
    }

    /// Whether only the job's own process is left below the shim, and it has ended: the usual case.
    fn only_the_job_is_left(&self) -> bool {
        descendants::children(self.me).is_some_and(|children| children.iter().all(|pid| *pid == self.job))
    }

    /// Kills all of the job's group at once. Never after the job was reaped: until then the group
    /// belongs to this run.
    fn kill_group(&mut self) {
        self.killed.extend(kill_tracer(self.me));
        // Also stops them at once: a process that forks without end can be counted, and caught,
        // only while it is stopped.
        let _ = signal::send_group(self.job, libc::SIGSTOP);
        let members = self.living().filter(|(_, stat)| stat.group == self.job).map(|(pid, _)| pid).collect::<Vec<_>>();
        if signal::send_group(self.job, libc::SIGKILL).is_ok() {
            self.killed.extend(members);
        }
    }

    /// Ends all remaining processes, until the kernel reports no children. Waits for processes that
    /// may not be signalled: the run lives as long as they do.
    fn empty_tree(&mut self) {
        let mut wait_ms = KILL_MS_MIN;
        while !self.reap_everything() {
            // From here on the monitor knows that the job's own process has ended, and what is
            // left.
            if wait_ms > KILL_MS_MIN {
                self.journal.tell();
            }
            let before = self.killed.len();
            self.kill_everything();
            let until_ms = boottime_ms() + wait_ms;
            loop {
                if self.reap_everything() {
                    return;
                }
                let now = boottime_ms();
                if now >= until_ms {
                    break;
                }
                if let Heard::Stop(value) = signal::wait(Some(until_ms - now)) {
                    self.asked_too_late |= request_of(value, self.nonce_bits).is_some();
                }
            }
            wait_ms = if self.killed.len() > before { KILL_MS_MIN } else { (wait_ms * 2).min(KILL_MS_MAX) };
        }
    }

    /// Returns true when no child is left.
    fn reap_everything(&mut self) -> bool {
        loop {
            match wait::peek() {
                Children::None => return true,
                Children::Alive => return false,
                // An error would be ECHILD, which the next check sees.
                Children::Ended(ended) => drop(self.used.reap(ended.pid)),
            }
        }
    }

    fn drained(&self, leftovers: String, exit: Exit) -> Drained {
        Drained {
            usage: self.used.into(),
            killed: u32::try_from(self.killed.len()).unwrap_or(u32::MAX),
            leftovers,
            out_of_memory: self.memory.has_killed(exit),
            memory_by: self.memory.kept_by(),
            at_ms: now_ms(),
        }
    }
}

fn name(leftovers: &[(i32, Stat)]) -> String {
    let named = leftovers.iter().take(LEFTOVERS_NAMED_MAX).map(|(pid, stat)| format!("{pid} {}", stat.comm));
    let named = named.collect::<Vec<_>>().join(", ");
    match leftovers.len().saturating_sub(LEFTOVERS_NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn earliest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}
