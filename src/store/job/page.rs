//! One page of jobs, the newest first, for a reader that asks for the next page by the last number
//! of this one.

use rusqlite::Connection;

use crate::error::Result;
use crate::store::job::read::{Filter, JOBS_MAX, jobs_in, states};
use crate::store::job::rows::Job;

/// Returns the newest jobs that match the filter, the newest first, and whether there are more:
/// about so many bytes at most, but at least one job.
pub fn jobs(conn: &Connection, filter: &Filter, bytes_max: usize) -> Result<(Vec<Job>, bool)> {
    let limit = filter.limit.unwrap_or(JOBS_MAX).min(JOBS_MAX);
    let (mut found, mut floor) = (Vec::new(), i64::MIN);
    for state in states(filter) {
        let mut is_cut = false;
        let of_state = jobs_in(conn, filter, state, limit.saturating_add(1), |job, bytes| {
            let is_first = *bytes == 0;
            *bytes = bytes.saturating_add(job.text_bytes().max(1));
            is_cut = *bytes > bytes_max && !is_first;
            (!is_cut).then_some(job)
        })?;
        // What is older than the last one that was read of a state is not known completely.
        if let (true, Some(last)) = (is_cut, of_state.last()) {
            floor = floor.max(last.id.0);
        }
        found.extend(of_state);
    }
    found.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    let (known, mut bytes) = (found.len(), 0_usize);
    let fits = |(at, job): &(usize, Job)| {
        bytes = bytes.saturating_add(job.text_bytes());
        *at < limit && job.id.0 >= floor && (*at == 0 || bytes <= bytes_max)
    };
    let page: Vec<Job> = found.into_iter().enumerate().take_while(fits).map(|(_, job)| job).collect();
    let more = page.len() < known || floor > i64::MIN;
    Ok((page, more))
}
