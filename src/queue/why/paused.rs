//! Queues that are paused, for a list of jobs: one that waits in such a queue looks there like any
//! other.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::escape::command_on;
use crate::job::{Advice, State};
use crate::queue::info::JobInfo;
use crate::store::Store;
use crate::store::job::pending;
use crate::units::count;

/// Paused queues that are named.
const NAMED_MAX: usize = 3;

/// Returns what is paused of the queues in which listed jobs wait.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn of(store: &Store, queues: BTreeSet<String>) -> Result<Vec<Advice>> {
    if queues.is_empty() {
        return Ok(Vec::new());
    }
    store.read(move |conn| {
        if pending::all_paused_at(conn)?.is_some() {
            return Ok(all());
        }
        let mut paused = Vec::new();
        for queue in queues {
            if pending::is_paused(conn, &queue)? {
                paused.push(queue);
            }
        }
        Ok(each(&paused))
    })
}

/// As [`of`], of these jobs. What is held waits for something else.
///
/// # Errors
/// As [`of`].
pub(crate) fn among<'a>(store: &Store, jobs: impl IntoIterator<Item = &'a JobInfo>) -> Result<Vec<Advice>> {
    let waiting = jobs.into_iter().filter(|job| job.state == State::Queued && job.hold.is_none());
    of(store, waiting.map(|job| job.queue.clone()).collect())
}

fn all() -> Vec<Advice> {
    vec![Advice::new("all_paused", "all queues are paused".to_owned(), "tenure resume".to_owned())]
}

/// Pure: names the first ones, and counts the others.
fn each(paused: &[String]) -> Vec<Advice> {
    let named = paused.iter().take(NAMED_MAX);
    let one = |queue: &String| {
        Advice::new("queue_paused", format!("queue {queue:?} is paused"), command_on("tenure queue resume", queue, ""))
    };
    let mut told: Vec<Advice> = named.map(one).collect();
    if let Some(more) = paused.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        let text = count(more, "queue of these jobs", "is paused too", "are paused too");
        told.push(Advice::new("queue_paused", text, "tenure queue ls".to_owned()));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paused_queues_are_counted() {
        let names = |n: usize| (0..n).map(|i| format!("q{i}")).collect::<Vec<_>>();
        assert!(each(&names(0)).is_empty());
        for (n, told) in [(1, 1), (3, 3), (4, 4), (9, 4)] {
            assert_eq!(each(&names(n)).len(), told, "{n}");
        }
        assert_eq!(each(&names(4))[3].text, "1 queue of these jobs is paused too");
        assert_eq!(each(&names(9))[3].text, "6 queues of these jobs are paused too");
        assert_eq!(each(&["-q".to_owned()])[0].remedy.as_deref(), Some("tenure queue resume -- -q"));
        assert_eq!(each(&["a b".to_owned()])[0].remedy.as_deref(), Some("tenure queue resume 'a b'"));
    }
}
