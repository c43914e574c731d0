use jiff::tz::TimeZone;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;

fn hourly() -> Calendar {
    Calendar::new("0 * * * *", TimeZone::UTC).unwrap()
}

fn standing(catch_up: CatchUp) -> Standing {
    Standing { decided_until: START, catch_up, catch_up_max: 3, paused: None }
}

fn decided(standing: &Standing, now: i64) -> Decision {
    decide(&hourly(), standing, now, &BTreeSet::new())
}

fn hours(occurrences: &[i64]) -> Vec<i64> {
    occurrences.iter().map(|at| (at - START) / HOUR).collect()
}

fn skipped(decision: &Decision) -> Vec<(i64, i64, i64, Skip)> {
    decision.skip.iter().map(|s| ((s.first - START) / HOUR, (s.last - START) / HOUR, s.n, s.why)).collect()
}

#[test]
fn an_occurrence_on_time_is_fired_under_any_catch_up() {
    for catch_up in CatchUp::ALL {
        for late in [0, 1, LATE_MS] {
            let decision = decided(&standing(catch_up), START + HOUR + late);
            assert_eq!((hours(&decision.fire), decision.skip.len()), (vec![1], 0), "{catch_up:?} {late}");
            assert_eq!((decision.next, decision.decided_until), (Some(START + 2 * HOUR), START + HOUR + late));
        }
        assert_eq!(decided(&standing(catch_up), START + HOUR - 1).fire, [0_i64; 0]);
    }
}

#[test]
fn missed_occurrences_are_caught_up_as_requested() {
    let now = START + 10 * HOUR + 2 * MINUTE;
    let of = |catch_up| decided(&standing(catch_up), now);
    assert_eq!((hours(&of(CatchUp::None).fire), skipped(&of(CatchUp::None))), (vec![], vec![(1, 10, 10, Skip::Missed)]));
    assert_eq!((hours(&of(CatchUp::Latest).fire), skipped(&of(CatchUp::Latest))), (vec![10], vec![(1, 9, 9, Skip::Missed)]));
    assert_eq!((hours(&of(CatchUp::All).fire), skipped(&of(CatchUp::All))), (vec![8, 9, 10], vec![(1, 7, 7, Skip::Missed)]));
}

#[test]
fn where_one_is_on_time_the_latest_needs_no_other() {
    let decision = decided(&standing(CatchUp::Latest), START + 3 * HOUR + 1);
    assert_eq!((hours(&decision.fire), skipped(&decision)), (vec![3], vec![(1, 2, 2, Skip::Missed)]));
    let all = decided(&standing(CatchUp::All), START + 3 * HOUR + 1);
    assert_eq!((hours(&all.fire), all.skip.len()), (vec![1, 2, 3], 0));
}

#[test]
fn what_passed_in_a_pause_is_skipped_and_not_caught_up() {
    let paused = Standing { paused: Some((START + 3 * HOUR, START + 6 * HOUR)), ..standing(CatchUp::All) };
    let decision = decided(&paused, START + 7 * HOUR + 5 * MINUTE);
    assert_eq!(
        (hours(&decision.fire), skipped(&decision)),
        (vec![2, 6, 7], vec![(1, 1, 1, Skip::Missed), (3, 5, 3, Skip::Paused)])
    );
    let still = Standing { paused: Some((START, i64::MAX)), ..standing(CatchUp::All) };
    let decision = decided(&still, START + 2 * HOUR);
    assert_eq!((decision.fire.len(), skipped(&decision)), (0, vec![(1, 2, 2, Skip::Paused)]));
    let long_ago = Standing { paused: Some((START - 9 * HOUR, START - HOUR)), ..standing(CatchUp::Latest) };
    assert_eq!(hours(&decided(&long_ago, START + HOUR).fire), [1]);
}

#[test]
fn ten_years_of_minutes_are_decided_at_once() {
    let minutely = Calendar::new("* * * * *", TimeZone::get("Europe/Berlin").unwrap()).unwrap();
    let now = START + 10 * 366 * 24 * HOUR + 1;
    for (catch_up, fired) in [(CatchUp::None, 1), (CatchUp::Latest, 1), (CatchUp::All, 1 + 3)] {
        let decision = decide(&minutely, &standing(catch_up), now, &BTreeSet::new());
        assert_eq!(decision.fire.len(), fired, "{catch_up:?}");
        assert_eq!((decision.skip.len(), decision.skip[0].n, decision.skip[0].first), (1, COUNTED_MAX + 1, START + MINUTE));
        assert_eq!(decision.skip[0].last + MINUTE, decision.fire[0]);
    }
}

#[test]
fn a_clock_set_forward_and_back_neither_skips_nor_repeats() {
    let mut standing = standing(CatchUp::Latest);
    let mut fired = BTreeSet::new();
    let mut plan_at = |standing: &mut Standing, now: i64| {
        let decision = decide(&hourly(), standing, now, &fired);
        standing.decided_until = decision.decided_until;
        assert!(decision.fire.iter().all(|at| fired.insert(*at)), "fired twice: {decision:?}");
        decision
    };
    plan_at(&mut standing, START + HOUR);
    let forward = plan_at(&mut standing, START + 24 * HOUR + 5 * MINUTE);
    assert_eq!((hours(&forward.fire), skipped(&forward)), (vec![24], vec![(2, 23, 22, Skip::Missed)]));
    let back = plan_at(&mut standing, START + HOUR + 5 * MINUTE);
    assert!(back.set_back && back.fire.is_empty() && back.next == Some(START + 2 * HOUR));
    for hour in 2..=25 {
        let decision = plan_at(&mut standing, START + hour * HOUR);
        assert_eq!(hours(&decision.fire), if hour == 24 { vec![] } else { vec![hour] }, "hour {hour}");
    }
}

#[test]
fn a_clock_that_is_a_little_behind_changes_nothing() {
    let decision = decided(&standing(CatchUp::All), START - SET_BACK_MS);
    assert_eq!(
        decision,
        Decision { fire: vec![], skip: vec![], decided_until: START, next: Some(START + HOUR), set_back: false }
    );
    assert!(decided(&standing(CatchUp::All), START - SET_BACK_MS - 1).set_back);
}

#[test]
fn a_fired_occurrence_is_enough_for_the_latest() {
    let fired = BTreeSet::from([START + 5 * HOUR]);
    let now = START + 5 * HOUR + 5 * MINUTE;
    let latest = decide(&hourly(), &standing(CatchUp::Latest), now, &fired);
    assert_eq!((hours(&latest.fire), skipped(&latest)), (vec![], vec![(1, 4, 4, Skip::Missed)]));
    let all = decide(&hourly(), &standing(CatchUp::All), now, &fired);
    assert_eq!((hours(&all.fire), skipped(&all)), (vec![2, 3, 4], vec![(1, 1, 1, Skip::Missed)]));
}

#[test]
fn extreme_clocks_break_nothing() {
    for decided_until in [0, START, i64::MAX] {
        for now in [i64::MIN, 0, START, i64::MAX] {
            let standing = Standing { decided_until, paused: Some((i64::MIN, i64::MAX)), ..standing(CatchUp::All) };
            let _no_panic = decided(&standing, now);
        }
    }
}
