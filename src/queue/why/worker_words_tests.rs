use super::*;
use crate::host::report::Condition as Of;
use crate::job::{Hold, State};
use crate::queue::fixture::{self, sight};
use crate::store::Blocked;

fn job() -> Job {
    Job { queue: "b".into(), ..fixture::job(7, State::Queued) }
}

fn with(change: impl FnOnce(&mut Sight)) -> Sight {
    let mut sight = sight(4);
    change(&mut sight);
    sight
}

fn reported(change: impl FnOnce(&mut Report)) -> Sight {
    with(|sight| change(sight.report.as_mut().unwrap()))
}

fn queues() -> Vec<QueueRow> {
    ["a", "b"]
        .map(|name| QueueRow {
            name: name.into(),
            slots: None,
            paused: false,
            pauses_on_failure: false,
            paused_by: None,
            paused_at: None,
            max_runtime_ms: None,
            launcher: None,
            launcher_options: Default::default(),
            running: 0,
            ready: 1,
            waiting: 0,
        })
        .into()
}

#[test]
fn a_worker_in_order_holds_nothing() {
    assert_eq!(of_queued(&sight(4), &job(), false, (3, 3), 10_000), []);
    assert_eq!(of_running(&sight(4), 10_000), []);
    assert_eq!(of_file(&sight(4), 2, &queues()), []);
}

#[test]
fn every_condition_is_told_by_each_face_with_a_remedy() {
    let cases: Vec<(&str, Sight, &str, &str)> = vec![
        ("worker_stopped", with(|s| s.process = Process::Stopped), "stopped", "kill -CONT 99"),
        ("worker_stopped", with(|s| (s.process, s.claims_ago_ms) = (Process::Traced, Some(6_000))), "debugger", "debugger"),
        ("worker_hangs", with(|s| s.claims_ago_ms = Some(45_000)), "45s", "kill -9 99"),
        ("worker_hangs", with(|s| s.reaper_ago_ms = Some(90_000)), "1m", "kill -9 99"),
        ("worker_silent", with(|s| s.report = None), "has not reported its state", "restart"),
        ("worker_draining", reported(|r| r.phase = Phase::Draining), "drains", "tenure work"),
        ("worker_leaving", reported(|r| r.phase = Phase::Leaving), "ending", "tenure work"),
        ("queue_not_served", reported(|r| r.queues = vec!["a".into()]), "\"a\"", "--queue b"),
        ("no_worker", with(|s| s.holder.kind = "run".into()), "that a `tenure run` follows", "tenure work"),
        ("no_worker", reported(|r| r.only = Some(3)), "its own job 3 alone", "tenure work"),
        ("no_worker", reported(|r| r.only = Some(0)), "only repairs", "tenure work"),
    ];
    for (code, sight, text, remedy) in cases {
        for told in [of_queued(&sight, &job(), false, (0, 0), 10_000), of_file(&sight, 2, &queues())] {
            let one = told.iter().find(|one| one.code == code).unwrap_or_else(|| panic!("{code} in {told:?}"));
            assert!(one.text.contains(text), "{code}: {}", one.text);
            assert!(one.remedy.as_deref().unwrap_or_default().contains(remedy), "{code}: {:?}", one.remedy);
        }
    }
}

#[test]
fn busy_slots_are_a_reason_and_unknown_ones_are_not() {
    for (slots, running, is_told) in [(4, 3, false), (4, 4, true), (4, 5, true)] {
        let told = of_queued(&sight(slots), &job(), false, (running, running), 10_000);
        assert_eq!(told.iter().any(|one| &*one.code == "slots"), is_told, "{told:?}");
    }
    assert_eq!(of_queued(&sight(4), &job(), true, (4, 4), 10_000), [], "another engine has its own slots");
    let told = of_queued(&sight(4), &job(), false, (4, 4), 10_000);
    assert!(told[0].text.contains("all 4 slots") && told[0].remedy.as_deref().unwrap().contains("tenure slots 5"), "{told:?}");
    let told = of_queued(&sight(1), &job(), false, (1, 1), 10_000);
    assert!(told[0].text.starts_with("the only slot of the worker (pid 99) is busy; 1 job runs"), "{told:?}");
    let wide = Job { slots: 3, ..job() };
    let told = of_queued(&sight(4), &wide, false, (1, 2), 10_000);
    assert!(
        told[0].text.contains("it takes 3 slots, and 2 of 4") && told[0].remedy.as_deref().unwrap().contains("tenure slots 5"),
        "{told:?}"
    );
    assert!(of_queued(&sight(4), &wide, false, (1, 1), 10_000).is_empty());
    let unknown = with(|sight| sight.holder = crate::host::lock::Holder::unknown());
    for running in [0, 5] {
        assert!(of_queued(&unknown, &job(), false, (running, running), 10_000).iter().all(|one| &*one.code != "slots"));
    }
}

#[test]
fn every_code_of_a_condition_is_told_as_it_is() {
    for code in CODES {
        for holds in [false, true] {
            let condition = Of { holds_claims: holds, ..Of::notice(code, "words", "do this") };
            let sight = reported(|report| report.conditions = vec![condition]);
            for told in [of_queued(&sight, &job(), false, (0, 0), 10_000), of_file(&sight, 0, &[])] {
                assert_eq!((told.len(), &*told[0].code), (1, *code));
                assert_eq!(told[0].text.contains("no job is claimed"), holds);
                assert_eq!(told[0].remedy.as_deref(), Some("do this"));
            }
        }
    }
}

#[test]
fn a_running_job_is_told_what_keeps_its_end_from_being_recorded() {
    for (code, is_felt) in [("disk_full", true), ("claim_error", true), ("load_floor", false), ("no_processes", false)] {
        let sight = reported(|report| report.conditions = vec![Of::notice(code, "words", None)]);
        assert_eq!(of_running(&sight, 10_000).len(), usize::from(is_felt), "{code}");
    }
    let stopped = with(|sight| sight.process = Process::Stopped);
    assert_eq!(of_running(&stopped, 10_000)[0].code, "worker_stopped");
    let blocked = with(|sight| sight.blocked = Some(Blocked { since_ms: 5_000, by: None }));
    assert_eq!(of_running(&blocked, 10_000)[0].code, "writer_blocked");
    assert_eq!(of_queued(&blocked, &job(), false, (0, 0), 10_000)[0].code, "writer_blocked");
}

#[test]
fn a_job_that_a_worker_should_have_seen_says_when_it_looked() {
    let slow = with(|sight| sight.claims_ago_ms = Some(12_000));
    assert_eq!(of_queued(&slow, &job(), false, (0, 0), 1_000), [], "it was added a moment ago");
    let told = of_queued(&slow, &job(), false, (0, 0), 10_000);
    assert_eq!((told.len(), &*told[0].code), (1, "worker_slow"));
    assert!(told[0].text.contains("12s ago"));
    let idle = with(|sight| sight.claims_ago_ms = Some(9_000));
    assert_eq!(of_queued(&idle, &job(), false, (0, 0), 20_000), [], "it has looked since");
    let held = Job { hold: Some(Hold::User), ..job() };
    assert_eq!(of_queued(&slow, &held, false, (0, 0), 10_000), [], "it need not look for it");
}

#[test]
fn a_list_of_queues_that_was_cut_blames_no_queue() {
    let cut = reported(|report| (report.queues, report.queues_cut) = (vec!["a".into()], true));
    assert_eq!(of_queued(&cut, &job(), false, (0, 0), 10_000), []);
}
