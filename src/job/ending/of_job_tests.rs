use super::*;

fn facts(policy: &Policy, attempts: u32, max_attempts: u32) -> Facts<'_> {
    Facts { attempts, max_attempts, deferrals: 0, failed_starts: 0, policy, is_of_user: false, cancel_open: false }
}

fn ended(exit: Exit, cause: Option<Cause>) -> RunEnd {
    RunEnd::Ended { exit, cause, out_of_memory: false }
}

#[test]
fn only_exit_zero_without_a_cause_is_done() {
    let policy = Policy::default();
    let f = facts(&policy, 1, 1);
    for code in 0..=255 {
        let d = decide(&f, &ended(Exit::Code(code), None), 0, 0.0);
        assert_eq!(d.next == Next::Done, code == 0);
        for cause in Cause::ALL {
            assert_ne!(decide(&f, &ended(Exit::Code(code), Some(*cause)), 0, 0.0).next, Next::Done);
        }
    }
    for end in [RunEnd::Lost, RunEnd::NeverStarted, RunEnd::CheckFailed { error: "no".into() }, ended(Exit::Signal(9), None)] {
        assert_ne!(decide(&f, &end, 0, 0.0).next, Next::Done, "{end:?}");
    }
}

#[test]
fn one_attempt_is_one_attempt_but_for_what_never_started() {
    let policy = Policy::default();
    let f = facts(&policy, 1, 1);
    assert_eq!(decide(&f, &RunEnd::Lost, 0, 0.0).next, Next::Failed(Reason::Lost));
    assert_eq!(decide(&f, &ended(Exit::Code(3), None), 0, 0.0).next, Next::Failed(Reason::Exit));
    assert_eq!(
        decide(&f, &RunEnd::NeverStarted, 7, 0.0).next,
        Next::Again { available_at: 0, attempts: 0, deferrals: 0, failed_starts: 1 }
    );
    let eagain = RunEnd::NotExecuted { errno: 11, error: "fork".into() };
    assert!(matches!(decide(&f, &eagain, 7, 0.0).next, Next::Again { attempts: 0, failed_starts: 0, available_at: 10_007, .. }));
    let enoent = RunEnd::NotExecuted { errno: 2, error: "no such file".into() };
    assert_eq!(decide(&f, &enoent, 7, 0.0).next, Next::Failed(Reason::Spawn));
}

#[test]
fn five_starts_that_came_to_nothing_end_as_spawn() {
    let policy = Policy::default();
    let f = Facts { failed_starts: 4, ..facts(&policy, 1, 1) };
    assert_eq!(decide(&f, &RunEnd::NeverStarted, 0, 0.0).next, Next::Failed(Reason::Spawn));
}

#[test]
fn want_of_means_never_ends_a_job_and_burns_nothing() {
    let policy = Policy::default();
    for errno in [5, 11, 12, 23, 24, 28, 30, 105, 109, 122] {
        for failed_starts in [0, 4, 1_000] {
            let f = Facts { failed_starts, deferrals: 3, ..facts(&policy, 1, 1) };
            let end = RunEnd::NoMeans { errno, error: "words".into() };
            let d = decide(&f, &end, 7, 0.5);
            assert_eq!(d.next, Next::Again { available_at: 0, attempts: 0, deferrals: 3, failed_starts }, "{errno}");
            assert_eq!((d.outcome, d.error.as_deref()), (Outcome::Unstarted, Some("words")));
            let cancelled = Facts { cancel_open: true, ..f };
            assert_eq!(decide(&cancelled, &end, 7, 0.5).next, Next::Cancelled);
            if errno == WANT_OF_ITS_USER {
                let of_its_user = RunEnd::NotExecuted { errno, error: "words".into() };
                let next = decide(&f, &of_its_user, 7, 0.5).next;
                assert!(
                    matches!(next, Next::Again { attempts: 0, deferrals: 3, failed_starts: u, .. } if u == failed_starts),
                    "{next:?}"
                );
            }
        }
    }
}

#[test]
fn not_now_uses_no_attempt_and_has_a_limit() {
    let policy = Policy::default();
    let end = ended(Exit::Code(75), None);
    let d = decide(&facts(&policy, 1, 1), &end, 1_000, 0.0);
    assert_eq!(d.outcome, Outcome::Deferred);
    assert_eq!(d.next, Next::Again { available_at: 11_000, attempts: 0, deferrals: 1, failed_starts: 0 });
    let often = Facts { deferrals: 20, ..facts(&policy, 1, 5) };
    assert_eq!(decide(&often, &end, 0, 0.0).next, Next::Failed(Reason::Exit));
    let refused = Policy::from_json(r#"{"no_retry_on": [75]}"#).unwrap();
    assert_eq!(decide(&facts(&refused, 1, 5), &end, 0, 0.0).next, Next::Failed(Reason::Exit));
}

#[test]
fn each_not_now_waits_longer_up_to_the_longest() {
    let policy = Policy::from_json(r#"{"backoff_ms": [100, 1000]}"#).unwrap();
    for end in [ended(Exit::Code(75), None), RunEnd::PrepareFailed { error: "no room".into() }] {
        let waits = [0, 1, 2, 3, 4, 5].map(|deferrals| {
            // Neither the attempts nor the failed starts count.
            let f = Facts { deferrals, failed_starts: 3, ..facts(&policy, 5, 9) };
            match decide(&f, &end, 7_000, 0.0).next {
                Next::Again { available_at, .. } => available_at - 7_000,
                other => panic!("{end:?} after {deferrals} deferrals: {other:?}"),
            }
        });
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000], "{end:?}");
    }
}

#[test]
fn an_unprepared_workspace_is_not_now_and_uses_no_attempt() {
    let policy = Policy::default();
    let end = RunEnd::PrepareFailed { error: "no room".into() };
    let d = decide(&facts(&policy, 1, 1), &end, 1_000, 0.0);
    assert_eq!((d.outcome, d.reason, d.exit_code), (Outcome::Deferred, Some(Reason::Workspace), None));
    assert_eq!(d.error.as_deref(), Some("no room"));
    assert_eq!(d.next, Next::Again { available_at: 11_000, attempts: 0, deferrals: 1, failed_starts: 0 });
    let often = Facts { deferrals: 20, ..facts(&policy, 1, 5) };
    assert_eq!(decide(&often, &end, 0, 0.0).next, Next::Failed(Reason::Workspace));
    let refused = Policy::from_json(r#"{"no_retry_on": ["workspace"]}"#).unwrap();
    assert_eq!(decide(&facts(&refused, 1, 5), &end, 0, 0.0).next, Next::Failed(Reason::Workspace));
    assert_eq!(decide(&facts(&refused, 1, 5), &RunEnd::Withdrawn, 0, 0.0).next, Next::Cancelled);
}

#[test]
fn a_worker_that_dies_during_a_prepare_costs_the_job_nothing() {
    let policy = Policy::default();
    let f = Facts { failed_starts: 4, deferrals: 3, ..facts(&policy, 1, 1) };
    let d = decide(&f, &RunEnd::Unprepared, 7, 0.0);
    assert_eq!((d.outcome, d.reason), (Outcome::Unstarted, None));
    assert_eq!(d.next, Next::Again { available_at: 0, attempts: 0, deferrals: 3, failed_starts: 4 });
    let cancelled = Facts { cancel_open: true, ..f };
    assert_eq!(decide(&cancelled, &RunEnd::Unprepared, 7, 0.0).next, Next::Cancelled);
}

#[test]
fn no_way_back_to_the_queue_passes_an_open_cancel() {
    let policy = Policy::default();
    for end in [RunEnd::NeverStarted, RunEnd::Lost, ended(Exit::Code(75), None), ended(Exit::Code(1), None)] {
        let f = Facts { cancel_open: true, ..facts(&policy, 1, 3) };
        assert_eq!(decide(&f, &end, 0, 0.0).next, Next::Cancelled, "{end:?}");
    }
    let last = Facts { cancel_open: true, ..facts(&policy, 1, 1) };
    assert_eq!(decide(&last, &RunEnd::Lost, 0, 0.0).next, Next::Cancelled);
    assert_eq!(decide(&last, &ended(Exit::Code(1), None), 0, 0.0).next, Next::Failed(Reason::Exit));
    let f = Facts { cancel_open: true, ..facts(&policy, 1, 3) };
    assert_eq!(decide(&f, &ended(Exit::Code(0), None), 0, 0.0).next, Next::Done);
}

#[test]
fn a_bare_signal_to_the_shim_is_a_loss_and_not_a_cancel() {
    let policy = Policy::default();
    let d = decide(&facts(&policy, 1, 2), &ended(Exit::Signal(15), Some(Cause::Shutdown)), 0, 0.0);
    assert_eq!((d.outcome, d.reason), (Outcome::Lost, Some(Reason::Shutdown)));
    assert!(matches!(d.next, Next::Again { attempts: 1, .. }));
}

/// A user can make each start of a job fail, by a path or by processes of its own.
#[test]
fn starts_of_a_user_that_fail_wait_and_have_an_end() {
    let policy = Policy::from_json(r#"{"backoff_ms": [0, 0]}"#).unwrap();
    for errno in [11, 12, 23, 24] {
        let end = RunEnd::NotExecuted { errno, error: "words".into() };
        let (mut failed_starts, mut now_ms) = (0, 0);
        loop {
            let f = Facts { failed_starts, is_of_user: true, ..facts(&policy, 1, 1) };
            let d = decide(&f, &end, now_ms, 0.0);
            assert_eq!((d.outcome, d.reason), (Outcome::Unstarted, Some(Reason::Spawn)));
            match d.next {
                Next::Again { available_at, attempts: 0, failed_starts: n, .. } if n == failed_starts + 1 && n < 100 => {
                    assert!((10_000..=60_000).contains(&(available_at - now_ms)), "{errno} {n}");
                    (failed_starts, now_ms) = (n, available_at);
                }
                Next::Failed(Reason::Spawn) => break,
                next => panic!("{errno}: {next:?}"),
            }
        }
        assert_eq!(failed_starts + 1, limits::FAILED_STARTS_OF_USER_MAX);
        let cancelled = Facts { cancel_open: true, is_of_user: true, ..facts(&policy, 1, 1) };
        assert_eq!(decide(&cancelled, &end, 0, 0.0).next, Next::Cancelled);
    }
    let own = Policy::from_json(r#"{"memory_bytes": 9000000}"#).unwrap();
    let f = Facts { is_of_user: true, ..facts(&own, 1, 1) };
    let end = RunEnd::NotExecuted { errno: ENOMEM, error: "its own limit".into() };
    assert_eq!(decide(&f, &end, 0, 0.0).next, Next::Failed(Reason::Spawn));
}
