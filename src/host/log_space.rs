//! How much space the logs of a user take on the disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::job::people::Limits;
use crate::store::Store;
use crate::store::job::owned;
use crate::sync::lock;
use crate::units::size_text;

/// How long a measurement is used again, in milliseconds: one looks at each log of the user.
const FRESH_MS: u64 = 5_000;
/// Most logs that are looked at: a user with more has used up all space.
const LOGS_MAX: usize = 20_000;
/// `st_blocks` counts in these, in bytes.
const BLOCK_BYTES: u64 = 512;

/// The space of each user, as it was measured last.
#[derive(Debug, Default)]
pub struct LogSpace(Mutex<BTreeMap<u32, (Instant, u64)>>);

impl LogSpace {
    /// Returns the space of the logs of a user, in bytes; the most there can be, if it cannot be
    /// measured.
    pub fn of(&self, store: &Store, uid: u32) -> u64 {
        if let Some((at, bytes)) = lock(&self.0).get(&uid).copied()
            && at.elapsed() < Duration::from_millis(FRESH_MS)
        {
            return bytes;
        }
        let bytes = measure(store, uid).unwrap_or(u64::MAX);
        let mut seen = lock(&self.0);
        seen.retain(|_, (at, _)| at.elapsed() < Duration::from_millis(FRESH_MS));
        seen.insert(uid, (Instant::now(), bytes));
        bytes
    }
}

/// Returns why a user may have no more logs, if that is so. `used`: see [`LogSpace::of`].
pub fn too_many_logs(limits: &Limits, used: u64) -> Option<String> {
    if used == u64::MAX {
        return Some("the jobs of the user have too many logs to be measured".to_owned());
    }
    let (taken, most) = (size_text(used), size_text(limits.log_bytes));
    (used > limits.log_bytes).then(|| format!("the logs of the user take {taken}, above {most}, the limit of each user"))
}

/// The space that a file takes: less than its length where its middle was dropped, more where some
/// was reserved.
fn space(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |meta| meta.blocks().saturating_mul(BLOCK_BYTES))
}

fn measure(store: &Store, uid: u32) -> crate::error::Result<u64> {
    let runs = store.read(move |conn| owned::runs(conn, uid, LOGS_MAX + 1))?;
    if runs.len() > LOGS_MAX {
        return Ok(u64::MAX);
    }
    // Of a run that is over there is no result any more.
    let of_run = |run| space(&store.place().log_file(run)).saturating_add(space(&store.place().result_file(run)));
    Ok(runs.into_iter().map(of_run).fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FallocateFlags, fallocate};

    use super::*;

    #[test]
    fn what_a_file_takes_is_not_its_length() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        assert!(space(file.path()) < 1 << 20, "a hole takes nothing");
        file.as_file().set_len(0).unwrap();
        if fallocate(file.as_file(), FallocateFlags::KEEP_SIZE, 0, 1 << 20).is_ok() {
            assert!(space(file.path()) >= 1 << 20, "what is reserved is taken");
        }
        assert_eq!(space(Path::new("/nonexistent")), 0);
    }

    #[test]
    fn a_user_whose_logs_take_all_space_may_have_no_more() {
        let limits = Limits { log_bytes: 1 << 20, ..Limits::default() };
        assert_eq!(too_many_logs(&limits, 1 << 20), None);
        assert!(too_many_logs(&limits, (1 << 20) + 1).unwrap().contains("limit of each user"));
        assert!(too_many_logs(&limits, u64::MAX).unwrap().contains("too many logs"));
    }
}
