//! Which ends are retried, and after how long.

use super::limits;
use super::policy::{Policy, RetryOn};
use super::reason::Reason;

/// Whether this kind of end is retried. Whether attempts are left is another question.
///
/// By default all are, except for the codes that mean that a retry will not help, and the reasons
/// that another attempt cannot change. `--retry-on` replaces that set, `--no-retry-on` removes from
/// it.
pub fn is_retried(policy: &Policy, reason: Reason, exit_code: Option<i32>) -> bool {
    let names = |list: &[RetryOn]| {
        list.iter().any(|on| match *on {
            RetryOn::Code(code) => reason == Reason::Exit && exit_code == Some(code),
            RetryOn::Reason(named) => named == reason,
        })
    };
    let in_set = match &policy.retry_on {
        Some(list) => names(list),
        None => match reason {
            Reason::Cancelled | Reason::Spawn | Reason::Dependency | Reason::Expired => false,
            Reason::Exit => !exit_code.is_some_and(|code| limits::NEVER_RETRIED.contains(&code)),
            _ => true,
        },
    };
    in_set && reason != Reason::Cancelled && !names(&policy.no_retry_on)
}

/// Returns the wait before the next attempt, in milliseconds: the first wait, doubled for each
/// earlier wait, up to the longest, plus up to a quarter at random, so that jobs that failed
/// together do not retry together.
///
/// `times` counts from 1; `chance` is in 0..1.
pub fn backoff_ms(policy: &Policy, times: u32, chance: f64) -> u64 {
    let (first, most) = policy.backoff_ms.unwrap_or((limits::BACKOFF_FIRST_MS_DEFAULT, limits::BACKOFF_MOST_MS_DEFAULT));
    let doubled = first.saturating_mul(1u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX)).min(most);
    let more = (doubled as f64 * 0.25 * chance.clamp(0.0, 1.0)) as u64;
    doubled.saturating_add(more).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Policy {
        Policy::from_json(json).unwrap()
    }

    #[test]
    fn by_default_all_but_hopeless_endings_are_tried_again() {
        let default = Policy::default();
        assert!(is_retried(&default, Reason::Exit, Some(1)));
        assert!(is_retried(&default, Reason::Lost, None));
        assert!(is_retried(&default, Reason::Timeout, None));
        for code in limits::NEVER_RETRIED {
            assert!(!is_retried(&default, Reason::Exit, Some(code)));
        }
        for reason in [Reason::Cancelled, Reason::Spawn, Reason::Dependency, Reason::Expired] {
            assert!(!is_retried(&default, reason, None));
        }
    }

    #[test]
    fn retry_on_replaces_the_set_and_no_retry_on_takes_out_of_it() {
        let only = policy(r#"{"retry_on": [64, "signal"]}"#);
        assert!(is_retried(&only, Reason::Exit, Some(64)));
        assert!(is_retried(&only, Reason::Signal, None));
        assert!(!is_retried(&only, Reason::Exit, Some(1)));
        let but = policy(r#"{"no_retry_on": [3, "lost"]}"#);
        assert!(!is_retried(&but, Reason::Exit, Some(3)));
        assert!(!is_retried(&but, Reason::Lost, None));
        assert!(is_retried(&but, Reason::Exit, Some(4)));
        let both = policy(r#"{"retry_on": [3, 4, "lost", "timeout"], "no_retry_on": [3, "lost"]}"#);
        assert!(!is_retried(&both, Reason::Exit, Some(3)) && is_retried(&both, Reason::Exit, Some(4)));
        assert!(!is_retried(&both, Reason::Lost, None) && is_retried(&both, Reason::Timeout, None));
        assert!(!is_retried(&policy(r#"{"retry_on": ["cancelled"]}"#), Reason::Cancelled, None));
    }

    #[test]
    fn waits_double_up_to_the_longest_and_never_overflow() {
        let p = policy(r#"{"backoff_ms": [100, 1000]}"#);
        assert_eq!([1, 2, 3, 4, 5].map(|n| backoff_ms(&p, n, 0.0)), [100, 200, 400, 800, 1000]);
        assert_eq!(backoff_ms(&p, 1, 1.0), 125);
        assert_eq!(backoff_ms(&p, u32::MAX, 1.0), 1000);
        assert_eq!(backoff_ms(&policy(r#"{"backoff_ms": [0, 0]}"#), 9, 1.0), 0);
    }
}
