use super::*;
use crate::job::hook::Hooks;
use crate::job::policy::Stdin;
use crate::job::{Argv, JobId, Need, Workspace};

const ANN: Asker = Asker { uid: 1_000, is_operator: false };
const BOB: Asker = Asker { uid: 1_001, is_operator: false };
const OPERATOR: Asker = Asker { uid: 1_002, is_operator: true };
const ROOT: Asker = Asker { uid: 0, is_operator: false };

/// What makes a job one that is refused.
type Change = Box<dyn Fn(&mut NewJob)>;

fn limits() -> Limits {
    let queues = vec!["default".to_owned(), "night".to_owned()];
    Limits { queues, queued: 10, running: 2, kept: 20, log_bytes: 1 << 20, log_limit_bytes: 512 << 10 }
}

fn job() -> NewJob {
    NewJob::new(Argv::from_strs(&["true"]).unwrap())
}

/// Every act, by the owner, another user, a member of the group and root, on a job of a user and on
/// one of root.
#[test]
fn every_act_of_every_user_is_decided() {
    let table = [
        // act, owner, other, operator, root; on a job of root: other, operator
        (Act::See, [true, true, true, true], [true, true]),
        (Act::Read, [true, false, false, true], [false, false]),
        (Act::Log, [true, false, false, true], [false, false]),
        (Act::Cancel, [true, false, true, true], [false, false]),
        (Act::Retry, [true, false, true, true], [false, false]),
        (Act::Hold, [true, false, true, true], [false, false]),
        (Act::Release, [true, false, true, true], [false, false]),
        (Act::Remove, [true, false, false, true], [false, false]),
    ];
    assert_eq!(table.map(|(act, ..)| act), Act::ALL);
    for (act, of_user, of_root) in table {
        assert_eq!([ANN, BOB, OPERATOR, ROOT].map(|asker| may(asker, Some(ANN.uid), act)), of_user, "{act:?}");
        assert_eq!([BOB, OPERATOR].map(|asker| may(asker, None, act)), of_root, "{act:?} of root's job");
        assert!(may(ROOT, None, act));
    }
    assert_eq!((sight(ANN, Some(1_000)), sight(BOB, Some(1_000))), (Sight::Whole, Sight::Outline));
    assert_eq!((sight(OPERATOR, Some(1_000)), sight(ANN, None)), (Sight::Outline, Sight::Outline));
}

#[test]
fn a_job_with_what_users_may_give_is_admitted() {
    let mut job = job();
    job.placement.queue = "night".into();
    job.placement.priority = -5;
    job.placement.label = Some("l".into());
    job.placement.cwd = "/root".into();
    job.placement.max_attempts = ATTEMPTS_MAX;
    job.placement.unique_key = Some("k".into());
    job.placement.env.insert("LD_PRELOAD".into(), "/tmp/x.so".into());
    job.placement.user_hold = true;
    (job.available_at, job.expires_at, job.array_index) = (5, Some(6), Some(3));
    job.after = vec![(JobId(1), Need::Any)];
    job.policy = Policy {
        timeout_ms: Some(5),
        grace_ms: Some(GRACE_MS_MAX),
        warn: Some(crate::job::policy::Warn { signal: 10, before_ms: 1 }),
        idle_timeout_ms: Some(5),
        backoff_ms: Some((BACKOFF_MS_MIN, BACKOFF_MS_MIN)),
        retry_on: Some(vec![]),
        max_deferrals: Some(DEFERRALS_MAX),
        memory_bytes: Some(1 << 30),
        nice: Some(19),
        log_limit_bytes: Some(512 << 10),
        ..Policy::default()
    };
    assert_eq!(admit(&job, &limits()), Ok(()));
}

#[test]
fn every_other_option_is_refused_by_its_name() {
    let argv = || Some(Argv::from_strs(&["true"]).unwrap());
    let changes: Vec<(&str, Change)> = vec![
        ("queue", Box::new(|job| job.placement.queue = "root".into())),
        ("lane", Box::new(|job| job.placement.lane = Some("user-1001".into()))),
        ("array", Box::new(|job| job.lane_limit = Some(1))),
        ("priority", Box::new(|job| job.placement.priority = 1)),
        ("array", Box::new(|job| job.stop_group = Some(7))),
        ("slots", Box::new(|job| job.placement.slots = 2)),
        ("use", Box::new(|job| job.placement.uses = [("gpu".to_owned(), 1)].into())),
        ("retries", Box::new(|job| job.placement.max_attempts = ATTEMPTS_MAX + 1)),
        ("task", Box::new(|job| job.task = Some(1))),
        ("task", Box::new(|job| job.task_hold = true)),
        ("grace", Box::new(|job| job.policy.grace_ms = Some(GRACE_MS_MAX + 1))),
        ("max-deferrals", Box::new(|job| job.policy.max_deferrals = Some(DEFERRALS_MAX + 1))),
        ("backoff", Box::new(|job| job.policy.backoff_ms = Some((BACKOFF_MS_MIN - 1, 60_000)))),
        ("nice", Box::new(|job| job.policy.nice = Some(-1))),
        ("log-limit", Box::new(|job| job.policy.log_limit_bytes = Some(1 << 40))),
        ("user", Box::new(|job| job.policy.user = Some("root".into()))),
        ("stdin", Box::new(|job| job.policy.stdin = Some(Stdin::File("/etc/shadow".into())))),
        ("stdin", Box::new(|job| job.policy.stdin = Some(Stdin::Kept("../q.db".into())))),
        ("check", Box::new(move |job| job.policy.check = argv())),
        ("workspace", Box::new(|job| job.policy.workspace = Some(Workspace { key: "k".into(), prepare: None }))),
        ("on-end", Box::new(move |job| job.policy.hooks = Hooks { on_success: argv(), ..Hooks::default() })),
        ("secret", Box::new(|job| drop(job.policy.secrets.insert("A".into(), "t".into())))),
    ];
    for (option, change) in changes {
        let mut job = job();
        change(&mut job);
        assert_eq!(admit(&job, &limits()).unwrap_err().option, option);
    }
}

#[test]
fn the_log_of_a_run_takes_what_its_user_has_left() {
    let limits = limits();
    assert_eq!(log_limit(None, &limits, 0), 512 << 10);
    assert_eq!(log_limit(Some(100 << 10), &limits, 0), 100 << 10);
    assert_eq!(log_limit(Some(0), &limits, 0), 512 << 10, "no limit is not given");
    assert_eq!(log_limit(Some(u64::MAX), &limits, 0), 512 << 10);
    assert_eq!(log_limit(None, &limits, (1 << 20) - (80 << 10)), 80 << 10);
    for used in [(1 << 20) - 1, 1 << 20, u64::MAX] {
        assert_eq!(log_limit(None, &limits, used), 64 << 10);
    }
}

#[test]
fn users_share_neither_lanes_nor_keys() {
    assert_ne!(lane(1), lane(11));
    assert_ne!(unique_key(1, "1/k"), unique_key(11, "k"));
    assert_ne!(unique_key(1, "k"), unique_key(2, "k"));
}
