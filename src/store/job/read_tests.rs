use super::*;
use crate::store::fixture;

#[test]
fn ended_jobs_since_an_instant_are_found_by_their_end() {
    let conn = fixture::fresh();
    let filter = Filter { all: true, queue: Some("q".into()), label: Some("l".into()), since_ms: Some(7), ..Filter::default() };
    for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
        let (sql, values) = statement_of(&filter, state, 10);
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        assert!(steps[0].starts_with("SEARCH job USING INDEX job_ended"), "{state}: {steps:?}");
    }
}
