use super::*;
use crate::store::fixture;

#[test]
fn ended_jobs_since_an_instant_are_found_by_their_end() {
    let conn = fixture::fresh();
    let filter = Filter { all: true, queue: Some("q".into()), label: Some("l".into()), since_ms: Some(7), ..Filter::default() };
    for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
        let steps = |by_time| {
            let (sql, values) = statement_of(&filter, state, 10, by_time);
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
            steps.collect::<rusqlite::Result<Vec<_>>>().unwrap()
        };
        assert!(steps(true)[0].starts_with("SEARCH job USING INDEX job_ended"), "{state}: {:?}", steps(true));
        // Many have ended since: the newest are found by number, and nothing is sorted.
        let by_number = steps(false).join("; ");
        assert!(by_number.contains("USING INDEX job_label") && !by_number.contains("B-TREE"), "{state}: {by_number}");
    }
    assert!(are_few(&conn, 0).unwrap());
}
