//! Which runs a client follows now: a file for each, which the client touches while it does.
//!
//! The worker fetches their output from other engines as it comes. A mark is a hint: where it
//! cannot be made, the output comes when the run has ended.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::job::RunId;
use crate::place::Place;

/// How often a client touches its mark, and how long one counts, in milliseconds.
pub const AGAIN: Duration = Duration::from_secs(2);
const COUNTS_MS: u64 = 10_000;

/// Says that a client follows a run now.
pub fn touch(place: &Place, run: RunId) {
    let _hint = std::fs::create_dir(place.followed());
    let _hint = std::fs::write(place.followed().join(run.to_string()), "");
}

/// Says that a client follows a run no longer. Another one that does says so again.
pub fn forget(place: &Place, run: RunId) {
    let _removed_when_it_is_old = std::fs::remove_file(place.followed().join(run.to_string()));
}

/// Returns the runs that clients follow now, in milliseconds UTC, and removes the marks of the
/// others.
pub fn at(place: &Place, now_ms: i64) -> BTreeSet<RunId> {
    let Ok(marks) = std::fs::read_dir(place.followed()) else { return BTreeSet::new() };
    let mut now = BTreeSet::new();
    for mark in marks.flatten() {
        let touched = mark.metadata().map_or(0, |mark| mark.mtime().saturating_mul(1_000));
        let run = mark.file_name().to_str().and_then(|name| name.parse().ok()).map(RunId);
        match run.filter(|_| now_ms.abs_diff(touched) < COUNTS_MS) {
            Some(run) => _ = now.insert(run),
            None => _ = std::fs::remove_file(mark.path()),
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_while_it_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("q.db"));
        assert!(at(&place, 0).is_empty(), "there is no directory of the file yet");
        std::fs::create_dir(place.dir()).unwrap();
        touch(&place, RunId(7));
        std::fs::write(place.followed().join("x"), "").unwrap();
        let touched_ms = std::fs::metadata(place.followed().join("7")).unwrap().mtime() * 1_000;
        assert_eq!(at(&place, touched_ms + 9_000), BTreeSet::from([RunId(7)]));
        assert_eq!(std::fs::read_dir(place.followed()).unwrap().count(), 1, "the other is removed");
        assert!(at(&place, touched_ms + 10_000).is_empty() && at(&place, touched_ms).is_empty(), "it is removed");
    }
}
