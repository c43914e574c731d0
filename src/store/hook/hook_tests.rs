//! From the end of a job to the end of its hooks.

use super::delivery::{due as due_hooks, next_due_ms, not_made};
use super::*;
use crate::job::hook::{AfterHook, Hooks};
use crate::job::limits::HOOK_ATTEMPTS_MAX;
use crate::job::{Argv, Exit, NewJob, Nonce, Outcome, RunEnd};
use crate::store::fixture;
use crate::store::job::auxiliary::{self, Opening};
use crate::store::job::claim::{self, Scope};
use crate::store::job::close_run::{Closed, RunRecord};
use crate::store::job::ids::Prepared;
use crate::store::job::settle::{Settle, settle};
use crate::store::job::{control, enqueue, retry};
use crate::store::upkeep::{due, prune, recount};

fn argv(name: &str) -> Argv {
    Argv::from_strs(&[name]).unwrap()
}

fn job(conn: &Connection, change: impl FnOnce(&mut NewJob)) -> JobId {
    let mut new = NewJob::new(argv("true"));
    new.policy.hooks = Hooks { on_failure: Some(argv("f")), on_success: Some(argv("s")), on_end: Some(argv("e")) };
    change(&mut new);
    enqueue::add(conn, &[new], 1_000).unwrap()[0].id
}

fn end_job(conn: &Connection, run: i64, code: i32) {
    due::process(conn, 3_000, 10).unwrap();
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    let job = claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().pop().unwrap().job.id;
    let end = RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false };
    settle(conn, &Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 }, 3_000).unwrap();
}

fn begin(conn: &Connection, id: HookId, run: i64, now_ms: i64) -> bool {
    let prepared = Prepared { run: RunId(run), nonce: Nonce([9; 16]) };
    auxiliary::begin(conn, &Opening::of_hook(id), prepared, "w", "b", now_ms).unwrap()
}

fn end(conn: &Connection, run: i64, outcome: Outcome, now_ms: i64) -> bool {
    let error = (outcome != Outcome::Done).then(|| "why".to_owned());
    let closed = Closed { outcome, reason: Some(Reason::Exit), exit: None, error, record: RunRecord::default() };
    auxiliary::end(conn, RunId(run), &closed, now_ms).unwrap().was_open
}

fn told(conn: &Connection, job: JobId) -> Vec<(String, String)> {
    of_job(conn, job).unwrap().into_iter().map(|hook| (hook.event.to_string(), hook.command)).collect()
}

fn names(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(event, name)| ((*event).to_owned(), format!("[\"{name}\"]"))).collect()
}

#[test]
fn each_end_has_the_hooks_of_its_event_in_its_transaction() {
    let conn = fixture::fresh();
    let failed = job(&conn, |_| ());
    end_job(&conn, 1, 3);
    assert_eq!(told(&conn, failed), names(&[("on_failure", "f"), ("on_end", "e")]));
    let hook = &of_job(&conn, failed).unwrap()[0];
    assert_eq!((hook.state, hook.reason, hook.exit_code), (State::Failed, Some(Reason::Exit), Some(3)));
    assert_eq!((hook.run, hook.ended_at, hook.outcome), (Some(RunId(1)), 3_000, None));
    let done = job(&conn, |_| ());
    end_job(&conn, 2, 0);
    assert_eq!(told(&conn, done), names(&[("on_success", "s"), ("on_end", "e")]));
    let cancelled = job(&conn, |_| ());
    control::cancel(&conn, cancelled, None, 4_000).unwrap();
    assert_eq!(told(&conn, cancelled), names(&[("on_end", "e")]));
    assert_eq!(of_job(&conn, cancelled).unwrap()[0].run, None);
}

#[test]
fn a_job_that_is_tried_again_has_not_ended() {
    let conn = fixture::fresh();
    let id = job(&conn, |new| (new.placement.max_attempts, new.policy.backoff_ms) = (2, Some((0, 0))));
    end_job(&conn, 1, 1);
    assert_eq!(told(&conn, id), []);
    end_job(&conn, 2, 1);
    assert_eq!(told(&conn, id).len(), 2);
    // Each end is told, also after a retry by a person.
    retry::retry(&conn, id, false, 5_000).unwrap();
    end_job(&conn, 3, 0);
    assert_eq!(told(&conn, id), names(&[("on_failure", "f"), ("on_end", "e"), ("on_success", "s"), ("on_end", "e")]));
}

fn rule(name: &str, event: HookEvent) -> HookRule {
    HookRule { name: name.into(), event, command: argv(name), queue: None, label: None, reasons: Vec::new() }
}

#[test]
fn rules_of_the_configuration_select_by_queue_label_and_reason() {
    let conn = fixture::fresh();
    let rules = [
        rule("all", HookEvent::OnFailure),
        HookRule { queue: Some("n*".into()), ..rule("queue", HookEvent::OnEnd) },
        HookRule { label: Some("?x".into()), ..rule("label", HookEvent::OnFailure) },
        HookRule { reasons: vec![Reason::Timeout, Reason::Lost], ..rule("reason", HookEvent::OnFailure) },
        HookRule { reasons: vec![Reason::Lost, Reason::Exit], ..rule("exit", HookEvent::OnFailure) },
    ];
    assert!(set_rules(&conn, &rules).unwrap());
    assert!(!set_rules(&conn, &rules).unwrap() && !has_other_rules(&conn, &rules).unwrap());
    let of = |run, queue: &str, label: Option<&str>, code| {
        let id = job(&conn, |new| {
            (new.policy.hooks, new.placement.queue) = (Hooks::default(), queue.into());
            new.placement.label = label.map(str::to_owned);
        });
        end_job(&conn, run, code);
        of_job(&conn, id).unwrap().into_iter().filter_map(|hook| hook.rule).collect::<Vec<_>>()
    };
    assert_eq!(of(1, "default", None, 1), ["all", "exit"]);
    assert_eq!(of(2, "night", Some("ax"), 1), ["all", "exit", "label", "queue"]);
    assert_eq!(of(3, "night", Some("axx"), 0), ["queue"]);
    assert_eq!(of(4, "other", Some("[x"), 0), [""; 0]);
    assert!(set_rules(&conn, &rules[..1]).unwrap());
    assert_eq!(of(5, "night", Some("ax"), 1), ["all"]);
    assert!(set_rules(&conn, &[]).unwrap());
    assert_eq!(of(6, "night", Some("ax"), 1), [""; 0]);
}

#[test]
fn a_hook_runs_one_at_a_time_until_it_is_done() {
    let conn = fixture::fresh();
    let id = job(&conn, |new| new.policy.hooks.on_end = None);
    end_job(&conn, 1, 1);
    let hook = due_hooks(&conn, 3_000, 10).unwrap()[0].id;
    assert!(begin(&conn, hook, 10, 3_000));
    assert!(!begin(&conn, hook, 11, 3_000), "it runs");
    assert_eq!(due_hooks(&conn, 3_000, 10).unwrap(), []);
    assert!(end(&conn, 10, Outcome::Failed, 4_000));
    assert!(!end(&conn, 10, Outcome::Done, 4_000), "one result counts once");
    let row = one(&conn, hook).unwrap().unwrap();
    assert_eq!((row.attempts, row.next_at, row.last_error.as_deref()), (1, 5_000, Some("why")));
    assert_eq!((next_due_ms(&conn, 4_000).unwrap(), begin(&conn, hook, 12, 4_999)), (Some(5_000), false));
    assert!(begin(&conn, hook, 12, 5_000));
    assert!(end(&conn, 12, Outcome::Done, 6_000));
    let row = one(&conn, hook).unwrap().unwrap();
    assert_eq!((row.outcome, row.closed_at, row.attempts), (Some(HookOutcome::Done), Some(6_000), 1));
    assert!(!begin(&conn, hook, 13, i64::MAX), "it has ended");
    let kinds: Vec<String> = crate::store::job::read::events(&conn, id).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["added", "claimed", "failed", "hook_failed", "hook_done"]);
    assert_eq!(counts(&conn).unwrap(), Counts::default());
}

#[test]
fn a_hook_is_given_up_after_so_many_failures() {
    let conn = fixture::fresh();
    job(&conn, |new| new.policy.hooks.on_end = None);
    end_job(&conn, 1, 1);
    let hook = due_hooks(&conn, 3_000, 1).unwrap()[0].id;
    let mut now_ms = 3_000;
    for attempt in 1..=HOOK_ATTEMPTS_MAX {
        let open = counts(&conn).unwrap();
        assert_eq!((open.open, open.failing > 0), (1, attempt > 3), "{attempt}");
        if attempt % 2 == 0 {
            assert!(begin(&conn, hook, 100 + i64::from(attempt), now_ms));
            assert!(end(&conn, 100 + i64::from(attempt), Outcome::Lost, now_ms));
        } else {
            assert!(not_made(&conn, hook, "no directory", now_ms).unwrap().is_some());
        }
        now_ms += 300_000;
    }
    let row = one(&conn, hook).unwrap().unwrap();
    assert_eq!((row.outcome, row.attempts), (Some(HookOutcome::GivenUp), HOOK_ATTEMPTS_MAX));
    assert_eq!(counts(&conn).unwrap(), Counts { open: 0, failing: 0 });
    assert_eq!(not_made(&conn, hook, "x", now_ms).unwrap(), None::<AfterHook>);
}

#[test]
fn a_job_stays_until_its_hooks_have_ended_and_goes_with_them() {
    let conn = fixture::fresh();
    job(&conn, |new| new.policy.hooks.on_end = None);
    end_job(&conn, 1, 1);
    let hook = due_hooks(&conn, 3_000, 1).unwrap()[0].id;
    assert_eq!(prune::prune(&conn, i64::MAX, 10).unwrap().jobs, 0);
    assert!(begin(&conn, hook, 10, 3_000));
    assert_eq!(prune::prune(&conn, i64::MAX, 10).unwrap().jobs, 0);
    end(&conn, 10, Outcome::Done, 4_000);
    assert_eq!(prune::prune(&conn, 4_000, 10).unwrap().jobs, 0, "it was told at that time");
    let pruned = prune::prune(&conn, 4_001, 10).unwrap();
    assert_eq!((pruned.jobs, pruned.runs), (1, vec![RunId(1), RunId(10)]));
    let left = "SELECT (SELECT count(*) FROM hook) + (SELECT count(*) FROM run)";
    assert_eq!(conn.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_hook_whose_run_is_over_is_due_again() {
    let conn = fixture::fresh();
    job(&conn, |new| new.policy.hooks.on_end = None);
    end_job(&conn, 1, 1);
    let hook = due_hooks(&conn, 3_000, 1).unwrap()[0].id;
    assert!(begin(&conn, hook, 10, 3_000));
    // As a restore does: the run ends, and no worker evaluates it.
    conn.execute("UPDATE run SET finished_at = 4000, outcome = 'lost' WHERE id = 10", []).unwrap();
    assert_eq!(due_hooks(&conn, 4_000, 1).unwrap()[0].id, hook);
    // A client without the triggers.
    conn.execute("UPDATE hook SET auxiliary_run_id = 10", []).unwrap();
    assert_eq!(due_hooks(&conn, 4_000, 1).unwrap(), []);
    assert_eq!(recount::all(&conn, 5_000).unwrap().hooks, 1);
    assert_eq!(due_hooks(&conn, 4_000, 1).unwrap()[0].id, hook);
}

#[test]
fn a_policy_that_is_not_json_has_no_hooks_and_its_job_ends() {
    let conn = fixture::fresh();
    set_rules(&conn, &[rule("all", HookEvent::OnEnd)]).unwrap();
    let id = job(&conn, |_| ());
    conn.execute_batch(
        "PRAGMA ignore_check_constraints = 1; DROP TRIGGER job_form_guard; DROP TRIGGER job_owner_guard;
         UPDATE job SET policy = '{\"hooks\"';",
    )
    .unwrap();
    control::cancel(&conn, id, None, 4_000).unwrap();
    assert_eq!(told(&conn, id), names(&[("on_end", "all")]));
}
