//! The settings of a worker that are numbers, and the range of each.
//!
//! The configuration and the worker itself use the same rules: a worker that could never start a
//! job does not start.

use super::limits::{DURATION_MS_MAX, LOG_LIMIT_BYTES_MIN};

/// Most jobs that run at once.
pub const SLOTS_MAX: usize = 10_000;

/// Checks how many jobs may run at once.
///
/// # Errors
/// The range, and the value.
pub fn check_slots(slots: usize) -> Result<(), String> {
    match slots {
        1..=SLOTS_MAX => Ok(()),
        other => Err(format!("slots go from 1 to {SLOTS_MAX}; it is {other}")),
    }
}

/// Checks the highest load average at which jobs are started.
///
/// # Errors
/// The range, and the value.
pub fn check_load(load: f64) -> Result<(), String> {
    match load.is_finite() && load > 0.0 {
        true => Ok(()),
        false => Err(format!("{load} is not a load average such as 8.0")),
    }
}

/// Checks the size of a log above which its middle is dropped.
///
/// # Errors
/// The smallest one, and the value.
pub fn check_log_limit(bytes: u64) -> Result<(), String> {
    match bytes >= LOG_LIMIT_BYTES_MIN {
        true => Ok(()),
        false => Err(format!("a log limit is 64K at least; it is {bytes} bytes")),
    }
}

/// Checks how much must be left of `what` before a job is started.
///
/// # Errors
/// No machine has so much.
pub fn check_floor(what: &str, bytes: u64) -> Result<(), String> {
    match i64::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{bytes} bytes of {what} is more than any machine has")),
    }
}

/// Checks how long ended jobs are kept.
///
/// # Errors
/// It is longer than any duration.
pub fn check_keep(ms: u64) -> Result<(), String> {
    match ms <= DURATION_MS_MAX {
        true => Ok(()),
        false => Err("jobs are kept for at most 100 years; omit it to keep them forever".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_has_two_ends() {
        assert!([1, SLOTS_MAX].map(check_slots).iter().all(Result::is_ok));
        assert!([0, SLOTS_MAX + 1].map(check_slots).iter().all(Result::is_err));
        assert!([0.01, 8.0].map(check_load).iter().all(Result::is_ok));
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY].map(check_load).iter().all(Result::is_err));
        assert!(check_log_limit(LOG_LIMIT_BYTES_MIN).is_ok() && check_log_limit(LOG_LIMIT_BYTES_MIN - 1).is_err());
        assert!(check_floor("memory", i64::MAX as u64).is_ok() && check_floor("memory", u64::MAX).is_err());
        assert!(check_keep(DURATION_MS_MAX).is_ok() && check_keep(DURATION_MS_MAX + 1).is_err());
    }
}
