//! What becomes of due occurrences of a schedule: which are fired, which are skipped, and why.
//!
//! Each occurrence is decided once: the schedule stores until when it has decided, and the file
//! stores which occurrences were fired. So it does not matter whether an occurrence passed while
//! the worker was running, while it was dead, while the machine was suspended, or because the clock
//! was set forward: one that is later than [`LATE_MS`] was missed, and the schedule's [`CatchUp`]
//! says what to do about it. If the clock is set back, skipped occurrences that are in the future
//! again are open again; fired ones are not.
//!
//! The cost is bounded by the number of fired occurrences and by [`COUNTED_MAX`], not by how many
//! have passed.

use std::collections::BTreeSet;

use super::calendar::Calendar;
use super::cron_line::mix;

/// How late an occurrence may be found and still be on time, in milliseconds: a busy worker, a
/// short restart.
pub const LATE_MS: i64 = 60_000;
/// How far the clock may be behind the latest decision before that decision is reverted, in
/// milliseconds.
pub const SET_BACK_MS: i64 = 60_000;
/// Most missed occurrences that `all` fires, unless the schedule says otherwise.
pub const CATCH_UP_DEFAULT: i64 = 100;
/// Highest limit of a schedule.
pub const CATCH_UP_MAX: i64 = 1_000;
/// Most earlier jobs for which a queued one waits; an occurrence beyond them is skipped.
pub const QUEUED_MAX: usize = 100;
/// Longest delay by a jitter, in milliseconds: a day.
pub const JITTER_MS_MAX: i64 = 86_400_000;
/// Skipped occurrences are counted up to this number.
pub const COUNTED_MAX: i64 = 1_000;

/// What to do about missed occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// Nothing.
    None,
    /// The newest is fired, unless an occurrence is due on time anyway.
    #[default]
    Latest,
    /// All are fired, the newest so many.
    All,
}

impl CatchUp {
    pub const ALL: [Self; 3] = [Self::None, Self::Latest, Self::All];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Latest => "latest",
            Self::All => "all",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// What becomes of an occurrence while an earlier job of the schedule is queued or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// Its job waits until all earlier ones have ended.
    Queue,
    /// Its job is independent of them.
    Allow,
}

impl Overlap {
    pub const ALL: [Self; 3] = [Self::Skip, Self::Queue, Self::Allow];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// Returns by how much an occurrence is delayed, in milliseconds, whole seconds below `jitter_ms`:
/// always the same for the same schedule.
pub fn delay_ms(seed: u64, at: i64, jitter_ms: i64) -> i64 {
    let seconds = u64::try_from(jitter_ms / 1_000).unwrap_or(0);
    if seconds == 0 { 0 } else { (mix(seed, at.unsigned_abs()) % seconds) as i64 * 1_000 }
}

/// Why an occurrence was not fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It had passed before a worker found it, and is not caught up.
    Missed,
    /// The schedule was paused at that time.
    Paused,
    /// An earlier job of the schedule had not ended.
    Overlap,
    /// A live job had the unique key.
    Unique,
    /// The job could not be added.
    Error,
}

impl Skip {
    pub const ALL: [Self; 5] = [Self::Missed, Self::Paused, Self::Overlap, Self::Unique, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Paused => "paused",
            Self::Overlap => "overlap",
            Self::Unique => "unique",
            Self::Error => "error",
        }
    }
}

/// Adjacent occurrences that were skipped for one reason; instants in milliseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    pub first: i64,
    pub last: i64,
    /// Their number; [`COUNTED_MAX`] + 1 = more than are counted.
    pub n: i64,
    pub why: Skip,
}

/// The decisions of a schedule so far, and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Every occurrence up to here is decided, in milliseconds UTC.
    pub decided_until: i64,
    pub catch_up: CatchUp,
    /// Most missed occurrences that `all` fires.
    pub catch_up_max: i64,
    /// From when until before when it was paused, in milliseconds UTC.
    pub paused: Option<(i64, i64)>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Occurrences to fire, oldest first.
    pub fire: Vec<i64>,
    /// Oldest first.
    pub skip: Vec<Skipped>,
    pub decided_until: i64,
    /// The next occurrence; `None`: there is none.
    pub next: Option<i64>,
    /// The clock was set back: skipped occurrences in the future are open again.
    pub set_back: bool,
}

/// Whether a decision until then must be reverted, because the clock was set back.
pub fn is_set_back(decided_until: i64, now_ms: i64) -> bool {
    decided_until > now_ms.saturating_add(SET_BACK_MS)
}

/// Decides the occurrences that have passed. `fired` are those that were fired already.
pub fn decide(calendar: &Calendar, standing: &Standing, now_ms: i64, fired: &BTreeSet<i64>) -> Decision {
    if is_set_back(standing.decided_until, now_ms) {
        let next = calendar.next(now_ms);
        return Decision { fire: Vec::new(), skip: Vec::new(), decided_until: now_ms, next, set_back: true };
    }
    let (from, to) = (standing.decided_until, now_ms.max(standing.decided_until));
    let (pause_from, pause_to) = standing.paused.unwrap_or((i64::MAX, i64::MAX));
    let mut pass =
        Pass { calendar, fired, late_before: now_ms.saturating_sub(LATE_MS), fire: Vec::new(), skip: Vec::new(), budget: 0 };
    pass.budget = match standing.catch_up {
        CatchUp::None => 0,
        CatchUp::Latest => 1,
        CatchUp::All => standing.catch_up_max,
    };
    let one_is_enough = standing.catch_up == CatchUp::Latest;
    // Newest first, since the newest missed ones are caught up: after the pause, the pause, before
    // it.
    pass.open(from.max(pause_to.saturating_sub(1)), to, one_is_enough);
    pass.pass_over(from.max(pause_from.saturating_sub(1)), to.min(pause_to.saturating_sub(1)), Skip::Paused);
    pass.open(from, to.min(pause_from.saturating_sub(1)), one_is_enough);
    pass.fire.reverse();
    pass.skip.reverse();
    Decision { fire: pass.fire, skip: pass.skip, decided_until: to, next: calendar.next(to), set_back: false }
}

/// A backward pass over the occurrences that have passed.
struct Pass<'a> {
    calendar: &'a Calendar,
    fired: &'a BTreeSet<i64>,
    /// An occurrence before this instant was missed.
    late_before: i64,
    fire: Vec<i64>,
    skip: Vec<Skipped>,
    /// Missed occurrences that may still be fired.
    budget: i64,
}

impl Pass<'_> {
    /// Decides the occurrences after `from`, up to `to`, in which the schedule was not paused.
    fn open(&mut self, from: i64, to: i64, one_is_enough: bool) {
        let mut up_to = to;
        while let Some(at) = self.occurrence(from, up_to) {
            let is_fired = self.fired.contains(&at);
            if one_is_enough && (is_fired || !self.fire.is_empty()) && at < self.late_before {
                self.budget = 0;
            }
            if at < self.late_before && self.budget == 0 {
                return self.pass_over(from, at, Skip::Missed);
            }
            if !is_fired {
                self.fire.push(at);
                self.budget -= i64::from(at < self.late_before);
            }
            up_to = at - 1;
        }
    }

    /// Skips the occurrences after `from`, up to `to`.
    fn pass_over(&mut self, from: i64, to: i64, why: Skip) {
        let (mut n, mut last, mut first, mut up_to) = (0, None, 0, to);
        while n <= COUNTED_MAX
            && let Some(at) = self.occurrence(from, up_to)
        {
            if !self.fired.contains(&at) {
                n += 1;
                last = last.or(Some(at));
                first = at;
            }
            up_to = at - 1;
        }
        if n > COUNTED_MAX {
            let mut forwards = std::iter::successors(self.calendar.next(from), |at| self.calendar.next(*at));
            first = forwards.find(|at| !self.fired.contains(at)).unwrap_or(first);
        }
        self.skip.extend(last.map(|last| Skipped { first, last, n, why }));
    }

    fn occurrence(&self, after: i64, up_to: i64) -> Option<i64> {
        if up_to <= after { None } else { self.calendar.last(up_to).filter(|at| *at > after) }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
