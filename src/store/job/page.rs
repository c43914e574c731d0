//! One page of jobs, the newest first, for a reader that asks for the next page by the last number
//! of this one.

use rusqlite::Connection;

use crate::error::Result;
use crate::job::{JobId, State};
use crate::store::job::listing::{Filter, JOBS_MAX, are_few, jobs_in, states};
use crate::store::job::newest;
use crate::store::job::rows::Job;

/// Jobs that are looked at for those of a queue that are done, of which there is no index.
const LOOKED_MAX: i64 = 200_000;

/// Returns the newest jobs that match the filter, the newest first: about so many bytes at most,
/// but at least one job, if one is found. Also returns the number below which the next page begins;
/// `None`: there are no more. A page may be empty and have a next one.
pub fn jobs(conn: &Connection, filter: &Filter, bytes_max: usize) -> Result<(Vec<Job>, Option<JobId>)> {
    let limit = filter.limit.unwrap_or(JOBS_MAX).min(JOBS_MAX);
    let (mut found, mut floor) = (Vec::new(), i64::MIN);
    for state in states(filter) {
        let near = if state == State::Done { near(conn, filter)? } else { None };
        let mut is_cut = false;
        let of_state = jobs_in(conn, near.as_ref().unwrap_or(filter), state, limit.saturating_add(1), |job, bytes| {
            let is_first = *bytes == 0;
            *bytes = bytes.saturating_add(job.text_bytes().max(1));
            is_cut = *bytes > bytes_max && !is_first;
            (!is_cut).then_some(job)
        })?;
        // What is older than the last one that was read of a state is not known completely.
        if let (true, Some(last)) = (is_cut, of_state.last()) {
            floor = floor.max(last.id.0);
        }
        let looked_to = near.iter().flat_map(|near| &near.ids).map(|range| *range.start()).filter(|first| *first > 1);
        floor = looked_to.fold(floor, i64::max);
        found.extend(of_state);
    }
    found.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    let (known, mut bytes) = (found.len(), 0_usize);
    let above = found.iter().filter(|job| job.id.0 >= floor).count();
    let fits = |(at, job): &(usize, Job)| {
        bytes = bytes.saturating_add(job.text_bytes());
        *at < limit && job.id.0 >= floor && (*at == 0 || bytes <= bytes_max)
    };
    let page: Vec<Job> = found.into_iter().enumerate().take_while(fits).map(|(_, job)| job).collect();
    let next = if page.len() < above || (page.len() < known && floor == i64::MIN) {
        page.last().map(|job| job.id)
    } else {
        (floor > i64::MIN).then_some(JobId(floor))
    };
    Ok((page, next))
}

/// Returns the same filter for the newest jobs alone, if no index leads to what it selects.
fn near(conn: &Connection, filter: &Filter) -> Result<Option<Filter>> {
    let is_by_number = filter.since_ms.map(|since_ms| are_few(conn, since_ms)).transpose()? == Some(false);
    let is_indexed =
        filter.label.is_some() || filter.ids.len() > 1 || !is_by_number && (filter.queue.is_none() || filter.since_ms.is_some());
    if is_indexed {
        return Ok(None);
    }
    let last = newest::id(conn)?.map_or(0, |id| id.0);
    let given = filter.ids.first().cloned().unwrap_or(1..=i64::MAX);
    let last = last.min(*given.end());
    let first = (last - LOOKED_MAX + 1).max(*given.start());
    Ok((first > *given.start()).then(|| Filter { ids: vec![first..=last], ..filter.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn a_queue_without_an_index_is_read_in_bounded_pages() {
        let conn = fixture::fresh();
        conn.execute_batch(
            "INSERT INTO job (command, queue) VALUES ('[\"x\"]', 'a'), ('[\"x\"]', 'a');
             UPDATE sqlite_sequence SET seq = 299998 WHERE name = 'job';
             INSERT INTO job (command) VALUES ('[\"x\"]');
             INSERT INTO job (command, queue) VALUES ('[\"x\"]', 'a');
             UPDATE job SET state = 'failed', reason = 'expired', finished_at = 1;",
        )
        .unwrap();
        let mut filter = Filter { all: true, queue: Some("a".into()), limit: Some(10), ..Filter::default() };
        let read = |filter: &Filter| {
            let (page, next) = jobs(&conn, filter, 1 << 20).unwrap();
            (page.iter().map(|job| job.id.0).collect::<Vec<_>>(), next.map(|id| id.0))
        };
        assert_eq!(read(&filter), (vec![300_000], Some(100_001)));
        filter.ids = vec![1..=100_000];
        assert_eq!(read(&filter), (vec![2, 1], None));
        filter.limit = Some(1);
        assert_eq!(read(&filter), (vec![2], Some(2)));
        filter.ids = vec![1..=1];
        assert_eq!(read(&filter), (vec![1], None));
    }
}
