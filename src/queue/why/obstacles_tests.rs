use super::*;
use crate::job::RunId;
use crate::queue::fixture::{self, sight};
use crate::store::job::why::Keeper;

fn around() -> Around {
    Around {
        now: time::here(10_000),
        worker: Some(sight(4)),
        over: None,
        stopped: None,
        script: None,
        running: 0,
        taken: 0,
        gate: None,
    }
}

fn queued(obstacles: Vec<Fact>) -> WhyFacts {
    WhyFacts { obstacles, ..fixture::why_facts(fixture::job(7, State::Queued)) }
}

fn only(fact: Fact) -> Advice {
    let mut all = of(&queued(vec![fact]), &around());
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn on(state: &str, parent: Option<State>, need: Need) -> Fact {
    let on = Dependency { on: JobId(3), need, state: state.into(), parent_state: parent, parent_reason: None };
    let back = (state == "broken" && need == Need::Done && parent.is_some()).then_some(WayBack::Retry);
    Fact::Dependency { on, back }
}

fn holder(job: i64, is_suspended: bool) -> Holder {
    Holder { job: JobId(job), is_suspended }
}

#[test]
fn each_fact_has_a_code_numbers_and_the_command_that_clears_it() {
    let cases: Vec<(Fact, &str, &str, &str)> = vec![
        (Fact::Cancelled { why: Some("no".into()) }, "cancelled", "(no)", "tenure cancel 7"),
        (Fact::UserHold, "user", "person", "tenure release 7"),
        (on("unmet", Some(State::Running), Need::Done), "dependency", "job 3 to be done; that job is running", "tenure wait 3"),
        (on("unmet", Some(State::Queued), Need::Any), "dependency", "to end", "tenure why 3"),
        (on("broken", Some(State::Failed), Need::Done), "dependency_broken", "failed", "tenure retry 3 --with-dependants"),
        (on("broken", Some(State::Done), Need::Failed), "dependency_broken", "done", "tenure cancel 7"),
        (on("broken", None, Need::Done), "dependency_broken", "pruned", "tenure cancel 7"),
        (Fact::Time { available_at: 70_000, due: false }, "time", "in 1m", "tenure set 7 delay=0s"),
        (Fact::Time { available_at: 5_000, due: true }, "time", "5s ago", ""),
        (
            Fact::Lane { key: "db x".into(), max_running: 1, running: 1, members: vec![holder(5, false)] },
            "lane",
            "1 of 1 places are taken, by job 5",
            "tenure wait 5",
        ),
        (
            Fact::Lane { key: "db".into(), max_running: 2, running: 2, members: vec![holder(5, false), holder(6, true)] },
            "lane",
            "by job 5, job 6 (suspended)",
            "tenure resume 6",
        ),
        (Fact::AllPaused { at: 0 }, "all_paused", "all queues are paused since 00:00:00", "tenure resume"),
        (Fact::QueuePaused { queue: "q".into(), by: None }, "queue_paused", "paused", "tenure queue resume q"),
        (
            Fact::QueuePaused { queue: "q".into(), by: Some((JobId(3), Some(0))) },
            "queue_paused",
            "because job 3 failed at 00:00:00",
            "tenure queue resume q",
        ),
        (
            Fact::QueueFull { queue: "q".into(), slots: 2, running: 2, wants: 1 },
            "queue_full",
            "2 slots",
            "tenure queue set q --slots 3",
        ),
        (
            Fact::QueueFull { queue: "q".into(), slots: 0, running: 0, wants: 1 },
            "queue_full",
            "0 slots",
            "tenure queue set q --slots 1",
        ),
        (
            Fact::QueueFull { queue: "q".into(), slots: 3, running: 1, wants: 3 },
            "queue_full",
            "it takes 3",
            "tenure queue set q --slots 4",
        ),
        (
            Fact::TooWide { slots: 5, queue: Some(("q".into(), 2)), worker: Some(4) },
            "too_wide",
            "queue \"q\" has 2",
            "tenure queue set q --slots 5, or tenure set 7 slots=2",
        ),
        (
            Fact::TooWide { slots: 5, queue: None, worker: Some(4) },
            "too_wide",
            "the worker has 4",
            "tenure slots 5, or tenure set 7 slots=4",
        ),
        (Fact::Behind { queue: "q".into(), ahead: 3, more: false }, "position", "3 ready jobs", "tenure move 7 --first"),
        (Fact::Behind { queue: "q".into(), ahead: 9, more: true }, "position", "at least 9", "tenure move 7 --first"),
        (Fact::Expires { at: 5_000 }, "expired", "expired", "tenure set 7 expires=none"),
    ];
    for (fact, code, text, remedy) in cases {
        let obstacle = only(fact.clone());
        assert_eq!(obstacle.code, code, "{fact:?}");
        assert!(obstacle.text.contains(text), "{fact:?}: {}", obstacle.text);
        assert!(obstacle.remedy.as_deref().unwrap_or("").contains(remedy), "{fact:?}: {:?}", obstacle.remedy);
    }
    let behind = queued(vec![Fact::BehindWide { job: JobId(3), slots: 4 }]);
    assert!(of(&behind, &around()).iter().all(|one| one.code != "behind_wide"), "there is room for it");
    let all = of(&behind, &Around { running: 1, taken: 1, ..around() });
    assert!(all[0].code == "behind_wide" && all[0].text.contains("4 slots"), "{all:?}");
    assert_eq!(all[0].remedy.as_deref(), Some("tenure why 3"));
    let keeper = Keeper { job: JobId(3), is_of_queue: false };
    let waits = queued(vec![on("unmet", Some(State::Running), Need::Done)]);
    let all = of(&WhyFacts { suspended: vec![keeper], ..waits }, &around());
    assert!(
        all[0].text.ends_with("that job is running (suspended)") && all[0].remedy.as_deref() == Some("tenure resume 3"),
        "{all:?}"
    );
    let full = queued(vec![Fact::QueueFull { queue: "q".into(), slots: 1, running: 1, wants: 1 }]);
    let all = of(&WhyFacts { suspended: vec![Keeper { is_of_queue: true, ..keeper }], ..full }, &around());
    assert!(all[0].text.ends_with("job 3 is suspended and keeps its slots"), "{all:?}");
    let held = only(Fact::TaskHold { task: Some(2) });
    assert_eq!((&*held.code, held.remedy.as_deref()), ("task", Some("tenure task release 2")));
    assert_eq!(only(Fact::Expires { at: 70_000 }).remedy, None);
}

#[test]
fn a_lane_with_room_blocks_only_jobs_without_other_obstacles() {
    let lane = || Fact::Lane { key: "db".into(), max_running: 2, running: 1, members: vec![holder(5, false)] };
    let mut facts = queued(vec![lane()]);
    facts.job.hold = Some(Hold::Dependency);
    assert_eq!(of(&facts, &around()), []);
    facts.job.hold = Some(Hold::Lane);
    let all = of(&facts, &around());
    assert!(all[0].text.contains("comes first") && all[0].remedy.is_none());
}

#[test]
fn all_facts_are_told_not_only_the_first() {
    let facts = queued(vec![Fact::UserHold, Fact::QueuePaused { queue: "q".into(), by: None }]);
    let around = Around { worker: None, gate: Some(Advice::new("memory_floor", "1 of 2", None)), ..around() };
    let codes: Vec<_> = of(&facts, &around).iter().map(|o| o.code.clone()).collect();
    assert_eq!(codes, ["user", "queue_paused", "no_worker", "memory"]);
}

#[test]
fn a_full_worker_and_a_single_job_worker_are_reported() {
    let busy = Around { running: 4, taken: 4, ..around() };
    let all = of(&queued(vec![]), &busy);
    assert_eq!((&*all[0].code, all.len()), ("slots", 1));
    assert!(all[0].text.contains("4 slots") && all[0].remedy.as_deref().unwrap().contains("tenure slots 5"));
    let mut run = sight(1);
    run.holder.kind = "run".into();
    let alone = Around { worker: Some(run), ..around() };
    assert_eq!(of(&queued(vec![]), &alone)[0].code, "no_worker");
    assert_eq!(of(&queued(vec![]), &around()), []);
}

#[test]
fn a_running_job_says_so_and_that_no_worker_watches_it() {
    let mut job = fixture::job(7, State::Running);
    (job.pid, job.cancel_open) = (Some(4711), true);
    let facts = fixture::why_facts(job);
    let all = of(&facts, &Around { worker: None, ..around() });
    assert_eq!(all.iter().map(|o| o.code.clone()).collect::<Vec<_>>(), ["running", "cancelling", "no_worker"]);
    assert!(all[0].text.contains("pid 4711") && all[1].text.contains("10s"));
}

fn last(kind_is_retried: bool, attempts: u32, max_attempts: u32) -> LastEnd {
    LastEnd { run: None, kind_is_retried, attempts, max_attempts, deferrals: 0, max_deferrals: 20, failed_starts: 0 }
}

#[test]
fn an_ended_job_says_why_and_why_it_was_not_tried_again() {
    let ended = |reason: Reason, last: LastEnd| {
        let mut job = fixture::job(7, State::Failed);
        (job.reason, job.error, job.exit_code) = (Some(reason), Some("exit status 64".into()), Some(64));
        of(&WhyFacts { last: Some(last), back: Some(WayBack::Retry), ..fixture::why_facts(job) }, &around())
    };
    let all = ended(Reason::Exit, last(false, 1, 3));
    assert_eq!(all.iter().map(|o| o.code.clone()).collect::<Vec<_>>(), ["ended", "not_retried"]);
    assert!(all[0].text.contains("exit status 64") && all[0].remedy.as_deref() == Some("tenure retry 7"));
    assert!(all[1].text.contains("--retry-on") && all[1].text.contains("code 64"));
    assert!(ended(Reason::Exit, last(true, 3, 3))[1].text.contains("3 of 3 attempts"));
    assert!(ended(Reason::Dependency, last(false, 0, 1))[1].text.contains("never started"));
    let mut job = fixture::job(7, State::Done);
    job.reason = Some(Reason::Exit);
    assert_eq!(of(&fixture::why_facts(job), &around())[0].remedy, None);
}

#[test]
fn a_job_that_waits_again_says_how_its_latest_run_ended() {
    let mut run = fixture::run(11, 7);
    (run.outcome, run.error, run.finished_at) = (Some(Outcome::Failed), Some("exit status 3".into()), Some(9_000));
    let facts = WhyFacts { last: Some(LastEnd { run: Some(run), ..last(true, 1, 3) }), ..queued(vec![]) };
    let all = of(&facts, &around());
    assert_eq!(&*all[0].code, "latest_run");
    assert!(all[0].text.contains("exit status 3") && all[0].text.contains(&RunId(11).to_string()));
}
