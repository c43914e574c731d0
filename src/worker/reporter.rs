//! The writing end of the worker's report ([`crate::host::report`]): `worker.json` beside its lock.
//!
//! It is written in place, into reserved blocks, so that it works on a full disk; at each change,
//! and at most once a second while only the times of the rounds change. It is never flushed: after
//! a power cut it is not needed.
//!
//! Any thread may set or clear a condition: [`Reporter::set`] and [`Reporter::clear`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::options::Options;
use crate::host::condition::{self, Condition};
use crate::host::report::{FILE_BYTES, Phase, Report};
use crate::place::Place;
use crate::run::machine;
use crate::sync::lock;

/// Most conditions that are reported.
const CONDITIONS_MAX: usize = 16;
/// Most followed jobs that are reported.
const SERVES_MAX: usize = 256;
/// Longest list of queues that is reported, in bytes.
const QUEUES_BYTES_MAX: usize = 4 << 10;
/// Time between two writes while only the times of the rounds change, in milliseconds.
const ROUNDS_EVERY_MS: u64 = 1_000;

/// The writing end, for the threads of one worker.
pub struct Reporter {
    path: PathBuf,
    inner: Mutex<Inner>,
    claims_at_ms: AtomicU64,
    reaper_at_ms: AtomicU64,
    /// The last step of a round of recovery, in the same unit; not reported.
    reaper_step_ms: AtomicU64,
    /// When it was written last, in milliseconds of the monotonic clock.
    written_ms: AtomicU64,
}

struct Inner {
    report: Report,
    file: Option<File>,
    /// By their codes.
    conditions: BTreeMap<String, Condition>,
}

impl Reporter {
    /// Starts the report of a worker that has just taken the lock. Never fails: a report that
    /// cannot be written is not read.
    pub(super) fn start(place: &Place, instance: &str, options: &Options) -> Self {
        let mut left = QUEUES_BYTES_MAX;
        let mut fits = |name: &&String| {
            left = left.saturating_sub(name.len() + 3);
            left > 0
        };
        let queues: Vec<String> = options.scope.queues.iter().take_while(|name| fits(name)).cloned().collect();
        let report = Report {
            instance: instance.to_owned(),
            queues_cut: queues.len() < options.scope.queues.len(),
            boot_id: machine::boot_id(),
            time_ns: machine::time_namespace(),
            queues,
            only: options.scope.only.map(|job| job.0),
            serves: Vec::new(),
            slots: options.slots,
            slots_from: options.slots_from.text().to_owned(),
            busy: 0,
            phase: Phase::Starting,
            open_files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
            claims_at_ms: 0,
            reaper_at_ms: 0,
            tick_ms: options.tick_ms,
            conditions: Vec::new(),
            memory: Default::default(),
        };
        let reporter = Self {
            path: place.worker_report(),
            inner: Mutex::new(Inner { report, file: None, conditions: BTreeMap::new() }),
            claims_at_ms: AtomicU64::new(0),
            reaper_at_ms: AtomicU64::new(0),
            reaper_step_ms: AtomicU64::new(0),
            written_ms: AtomicU64::new(0),
        };
        reporter.write(&mut lock(&reporter.inner));
        reporter
    }

    /// The directory was removed, and exists again.
    pub(super) fn write_again(&self) {
        lock(&self.inner).file = None;
        self.write(&mut lock(&self.inner));
    }

    /// Sets a condition until it is cleared. Logged once, even if its numbers change.
    pub fn set(&self, condition: Condition) {
        let mut inner = lock(&self.inner);
        let key = condition.advice.code.to_string();
        let mut now = condition;
        match inner.conditions.get(&key) {
            Some(before) => {
                now.since_ms = before.since_ms;
                if *before == now {
                    return;
                }
            }
            None => {
                now.since_ms = crate::clock::Clock::System.now_ms();
                let held = if now.holds_claims { "nothing is claimed: " } else { "" };
                log::warn!("{held}{}", now.advice.text);
            }
        }
        let is_new = inner.conditions.insert(key, now).is_none();
        // Numbers that change constantly can be a second late.
        if is_new || self.is_due() {
            self.write(&mut inner);
        }
    }

    /// Clears a condition.
    pub fn clear(&self, code: &str) {
        let mut inner = lock(&self.inner);
        if let Some(was) = inner.conditions.remove(code) {
            log::info!("no more: {}", was.advice.text);
            self.write(&mut inner);
        }
    }

    /// Whether a condition prevents claims, other than these codes.
    pub(super) fn holds_claims_beside(&self, codes: &[&str]) -> bool {
        lock(&self.inner).conditions.values().any(|one| one.holds_claims && !codes.contains(&&*one.advice.code))
    }

    /// Sets how memory limits are enforced; reported with the next write.
    pub(super) fn memory(&self, by: &str, why: &str) {
        lock(&self.inner).report.memory = (by.to_owned(), condition::cut(why.to_owned()));
    }

    /// Sets how many slots there are from now on, and where that number comes from.
    pub(super) fn slots(&self, slots: usize, from: &str) {
        let mut inner = lock(&self.inner);
        if (inner.report.slots, inner.report.slots_from.as_str()) != (slots, from) {
            (inner.report.slots, inner.report.slots_from) = (slots, from.to_owned());
            self.write(&mut inner);
        }
    }

    /// Sets what the worker does from now on.
    pub(super) fn phase(&self, phase: Phase) {
        let mut inner = lock(&self.inner);
        if inner.report.phase != phase {
            inner.report.phase = phase;
            self.write(&mut inner);
        }
    }

    /// Records a round of the claim loop.
    pub(super) fn round_of_claims(&self, busy: usize, serves: &[crate::job::JobId]) {
        self.claims_at_ms.store(machine::monotonic_ms(), Ordering::SeqCst);
        let mut inner = lock(&self.inner);
        inner.report.busy = busy;
        let serves: Vec<i64> = serves.iter().take(SERVES_MAX).map(|job| job.0).collect();
        let is_new = inner.report.serves != serves;
        inner.report.serves = serves;
        if is_new || self.is_due() {
            self.write(&mut inner);
        }
    }

    /// Records a round of recovery.
    pub(super) fn round_of_reaper(&self) {
        self.reaper_at_ms.store(machine::monotonic_ms(), Ordering::SeqCst);
        self.step_of_reaper();
        if self.is_due() {
            self.write(&mut lock(&self.inner));
        }
    }

    /// Records a step of a round of recovery, whose duration depends on what it finds.
    pub(super) fn step_of_reaper(&self) {
        self.reaper_step_ms.store(machine::monotonic_ms(), Ordering::SeqCst);
    }

    /// Returns the time since the last round of the claim loop, and since the last step of
    /// recovery.
    pub fn rounds(&self) -> (Duration, Duration) {
        let ago = |at: &AtomicU64| Duration::from_millis(machine::monotonic_ms().saturating_sub(at.load(Ordering::SeqCst)));
        (ago(&self.claims_at_ms), ago(&self.reaper_step_ms))
    }

    /// Returns the current report.
    pub fn now(&self) -> Report {
        lock(&self.inner).whole(self)
    }

    fn is_due(&self) -> bool {
        machine::monotonic_ms().saturating_sub(self.written_ms.load(Ordering::SeqCst)) >= ROUNDS_EVERY_MS
    }

    fn write(&self, inner: &mut Inner) {
        self.written_ms.store(machine::monotonic_ms(), Ordering::SeqCst);
        let Some(bytes) = inner.whole(self).to_bytes() else { return };
        if inner.file.is_none() {
            inner.file = open(&self.path).inspect_err(|e| log::debug!("opening {}: {e}", self.path.display())).ok();
        }
        if let Some(file) = &inner.file
            && let Err(error) = file.write_all_at(&bytes, 0)
        {
            log::debug!("writing {}: {error}", self.path.display());
        }
    }

    /// Removes the report: the worker has ended cleanly.
    pub(super) fn remove(&self) {
        let _a_stale_one_counts_for_nothing = std::fs::remove_file(&self.path);
    }
}

impl Inner {
    fn whole(&self, reporter: &Reporter) -> Report {
        Report {
            claims_at_ms: reporter.claims_at_ms.load(Ordering::SeqCst),
            reaper_at_ms: reporter.reaper_at_ms.load(Ordering::SeqCst),
            conditions: self.conditions.values().take(CONDITIONS_MAX).cloned().collect(),
            ..self.report.clone()
        }
    }
}

/// Under the worker lock: leftovers of an earlier worker are overwritten.
fn open(path: &std::path::Path) -> std::io::Result<File> {
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_links).open(path)?;
    // So that it works on a full disk. If it is refused, each write allocates its space.
    let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FILE_BYTES as u64);
    Ok(file)
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
