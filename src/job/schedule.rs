//! What becomes of the occurrences of a schedule whose time has come: which are fired, which are
//! skipped, and why.
//!
//! Each occurrence is decided once: the schedule remembers until when it has decided, and the file
//! remembers which occurrences were fired. So it does not matter whether an occurrence passed while
//! the worker looked, while it was dead, while the machine slept, or because the clock was set
//! forward: what is later than [`LATE_MS`] was missed, and the schedule's [`CatchUp`] says what to
//! do about it. Where the clock was set back, what was skipped in the future that now comes again
//! is open again; what was fired is not.
//!
//! The work is bounded by the number of occurrences that are fired and by [`COUNTED_MAX`], not by
//! how many have passed.

use std::collections::BTreeSet;

use super::calendar::Calendar;

/// How late an occurrence may be found and still be on time, in milliseconds: a busy worker, a
/// short restart.
pub const LATE_MS: i64 = 60_000;
/// How far the clock may be behind the latest decision before that decision is taken back, in
/// milliseconds.
pub const SET_BACK_MS: i64 = 60_000;
/// Most missed occurrences that `all` fires, unless the schedule says otherwise.
pub const CATCH_UP_DEFAULT: i64 = 100;
/// Most that a schedule may say.
pub const CATCH_UP_MAX: i64 = 1_000;
/// Up to so many skipped occurrences are counted; of more it is known that they are more.
pub const COUNTED_MAX: i64 = 1_000;

/// What is done about missed occurrences.
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

/// Why an occurrence was not fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It had passed before anybody looked, and is not caught up.
    Missed,
    /// The schedule was paused at that time.
    Paused,
    /// A live job had the unique key.
    Unique,
    /// The job could not be made.
    Error,
}

impl Skip {
    pub const ALL: [Self; 4] = [Self::Missed, Self::Paused, Self::Unique, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Paused => "paused",
            Self::Unique => "unique",
            Self::Error => "error",
        }
    }
}

/// Occurrences next to each other that were skipped for one reason; instants in milliseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    pub first: i64,
    pub last: i64,
    /// How many; [`COUNTED_MAX`] + 1 = more than are counted.
    pub n: i64,
    pub why: Skip,
}

/// What a schedule has decided so far, and how it wants to decide.
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

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Occurrences to fire, oldest first.
    pub fire: Vec<i64>,
    /// Oldest first.
    pub skip: Vec<Skipped>,
    pub decided_until: i64,
    /// The next occurrence; `None`: there is none any more.
    pub next: Option<i64>,
    /// The clock was set back: what was skipped after now is open again.
    pub set_back: bool,
}

/// Whether a decision until then must be taken back, because the clock was set back.
pub fn is_set_back(decided_until: i64, now_ms: i64) -> bool {
    decided_until > now_ms.saturating_add(SET_BACK_MS)
}

/// Decides the occurrences that have passed. `fired` are those of them that were fired already.
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
    // Newest first, as the newest of the missed are those that are caught up: after the pause, the
    // pause, before it.
    pass.open(from.max(pause_to.saturating_sub(1)), to, one_is_enough);
    pass.pass_over(from.max(pause_from.saturating_sub(1)), to.min(pause_to.saturating_sub(1)), Skip::Paused);
    pass.open(from, to.min(pause_from.saturating_sub(1)), one_is_enough);
    pass.fire.reverse();
    pass.skip.reverse();
    Decision { fire: pass.fire, skip: pass.skip, decided_until: to, next: calendar.next(to), set_back: false }
}

/// Backwards over the occurrences that have passed.
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
