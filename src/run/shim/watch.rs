//! When a shim must act on its run: pure functions of instants, in milliseconds since the boot.

use crate::job::Cause;
use crate::run::launch::Launch;
use crate::run::record::Kept;

/// The limits of a run, as durations in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    pub timeout_ms: Option<u64>,
    pub max_runtime_ms: Option<u64>,
    pub idle_timeout_ms: Option<u64>,
    pub grace_ms: u64,
    pub warn: Option<(i32, u64)>,
    pub log_limit_bytes: u64,
}

impl Limits {
    pub fn of(launch: &Launch) -> Self {
        Self {
            timeout_ms: launch.timeout_ms,
            max_runtime_ms: launch.max_runtime_ms,
            idle_timeout_ms: launch.idle_timeout_ms,
            grace_ms: launch.grace_ms,
            warn: launch.warn,
            log_limit_bytes: launch.log_limit_bytes,
        }
    }

    /// The part that is recorded for a worker that adopts the run.
    pub fn kept_from(&self, boot_ms: u64) -> Kept {
        Kept {
            boot_ms,
            timeout_ms: self.timeout_ms,
            max_runtime_ms: self.max_runtime_ms,
            idle_timeout_ms: self.idle_timeout_ms,
            grace_ms: self.grace_ms,
        }
    }

    /// The first deadline that stops the run while it keeps writing output. On a tie the user's
    /// timeout counts.
    fn deadline(&self, started_ms: u64) -> Option<(u64, Cause)> {
        let at = |after: Option<u64>, cause| after.map(|ms| (started_ms.saturating_add(ms), cause));
        [at(self.timeout_ms, Cause::Timeout), at(self.max_runtime_ms, Cause::Backstop)]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// What to do with a run that has no stop request.
    pub fn due(&self, now_ms: u64, started_ms: u64, last_output_ms: u64, warned: bool) -> Due {
        let deadline = self.deadline(started_ms);
        let silence = self.idle_timeout_ms.map(|ms| (last_output_ms.saturating_add(ms), Cause::Silence));
        let stop = [deadline, silence].into_iter().flatten().min_by_key(|(at, _)| *at);
        if let Some((at, cause)) = stop
            && at <= now_ms
        {
            return Due::Stop(cause);
        }
        let warn = self.warn.filter(|_| !warned).zip(deadline);
        let warn = warn.map(|((signal, before), (at, _))| (at.saturating_sub(before), signal));
        match warn {
            Some((at, signal)) if at <= now_ms => Due::Warn(signal),
            _ => Due::Nothing { until_ms: [stop.map(|(at, _)| at), warn.map(|(at, _)| at)].into_iter().flatten().min() },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this instant; `None`: nothing at all.
    Nothing {
        until_ms: Option<u64>,
    },
    Warn(i32),
    Stop(Cause),
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000;

    #[test]
    fn the_earliest_deadline_counts() {
        let limits = Limits { timeout_ms: Some(500), max_runtime_ms: Some(300), idle_timeout_ms: Some(100), ..Limits::default() };
        assert_eq!(limits.due(1_099, START, START, false), Due::Nothing { until_ms: Some(1_100) });
        assert_eq!(limits.due(1_100, START, START, false), Due::Stop(Cause::Silence));
        assert_eq!(limits.due(1_300, START, 1_290, false), Due::Stop(Cause::Backstop));
        let limits = Limits { max_runtime_ms: Some(500), ..limits };
        assert_eq!(limits.due(1_500, START, 1_490, false), Due::Stop(Cause::Timeout));
    }

    #[test]
    fn a_warning_comes_once_and_before_the_deadline() {
        let limits = Limits { timeout_ms: Some(500), warn: Some((10, 200)), ..Limits::default() };
        assert_eq!(limits.due(1_299, START, START, false), Due::Nothing { until_ms: Some(1_300) });
        assert_eq!(limits.due(1_300, START, START, false), Due::Warn(10));
        assert_eq!(limits.due(1_300, START, START, true), Due::Nothing { until_ms: Some(1_500) });
        assert_eq!(limits.due(1_500, START, START, false), Due::Stop(Cause::Timeout));
        let early = Limits { warn: Some((10, 9_999)), ..limits };
        assert_eq!(early.due(START, START, START, false), Due::Warn(10));
    }

    #[test]
    fn without_limits_nothing_is_ever_due() {
        let limits = Limits { warn: Some((10, 5)), ..Limits::default() };
        assert_eq!(limits.due(u64::MAX, START, START, false), Due::Nothing { until_ms: None });
        let endless = Limits { timeout_ms: Some(u64::MAX), ..Limits::default() };
        assert_eq!(endless.due(1 << 60, START, START, false), Due::Nothing { until_ms: Some(u64::MAX) });
    }
}
