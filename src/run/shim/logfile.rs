//! The log of a run, as its shim sees it: how long it has been silent, and when its middle must be
//! removed.
//!
//! The job has the file itself as stdout and stderr. Its size can be read from the kernel, so
//! nothing is copied and no pipe can fill. Above the limit the middle is punched out: the file
//! keeps its length, and head and tail stay where they are.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, Stat, fallocate, fstat, ftruncate};

use crate::job::limits::RESULT_BYTES_MAX;
use crate::run::machine::{boottime_ms, now_ms};

/// Shortest and longest interval between two checks of the size, in milliseconds.
const LOOK_MS_MIN: u64 = 100;
const LOOK_MS_MAX: u64 = 2_000;
/// Most of a result that stays, in bytes: a little more than is read of it.
const RESULT_KEPT_BYTES: u64 = RESULT_BYTES_MAX as u64 + 4_096;
/// Holes begin and end at multiples of this, in bytes.
const BLOCK_BYTES: u64 = 4096;
/// What a file may take more than its bytes: blocks are kept in groups, and files have an index.
const SPACE_SLACK_BYTES: u64 = 1 << 20;
/// While the job runs, the log may exceed its limit by this fraction, so that not every check
/// punches a hole.
const SLACK_PART: u64 = 8;

pub struct LogFile {
    file: OwnedFd,
    /// Where a user's job writes its result: no more of it is kept than will be read.
    result: Option<OwnedFd>,
    /// The job belongs to a user, who must not fill the disk in any way.
    is_strict: bool,
    limit_bytes: u64,
    size: u64,
    /// End of the punched range.
    hole_end: u64,
    /// Milliseconds since the boot.
    looked_ms: u64,
    last_output_ms: u64,
    look_every_ms: u64,
    /// The file system cannot punch holes.
    gave_up: bool,
}

impl LogFile {
    /// A log that is empty now. `limit_bytes` of 0 means no limit.
    pub fn new(file: OwnedFd, result: Option<OwnedFd>, is_strict: bool, limit_bytes: u64) -> Self {
        let now = boottime_ms();
        let look_every_ms = LOOK_MS_MIN;
        Self {
            file,
            result,
            is_strict,
            limit_bytes,
            size: 0,
            hole_end: 0,
            looked_ms: now,
            last_output_ms: now,
            look_every_ms,
            gave_up: false,
        }
    }

    /// When the job last wrote output, in milliseconds since the boot, as of the last check.
    pub fn last_output_ms(&self) -> u64 {
        self.last_output_ms
    }

    /// The run was suspended for so long since the last check, in milliseconds: that is not
    /// silence, also if it has written something after that check and before it stood still.
    pub fn was_suspended(&mut self, ms: u64) {
        self.last_output_ms += ms;
        self.looked_ms += ms;
    }

    /// When the size must be checked next.
    pub fn next_look_ms(&self) -> Option<u64> {
        (self.limit_bytes > 0 && !self.gave_up).then(|| self.looked_ms + self.look_every_ms)
    }

    /// Checks the size, and enforces the limit.
    pub fn check(&mut self) {
        let Ok(stat) = fstat(&self.file) else { return };
        let now = boottime_ms();
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size != self.size {
            // The modification time is on another clock, which may jump: it counts only as far as
            // it lies between the two checks.
            let changed_ms =
                stat.st_mtime.saturating_mul(1000).saturating_add(i64::try_from(stat.st_mtime_nsec / 1_000_000).unwrap_or(0));
            let ago = u64::try_from(now_ms().saturating_sub(changed_ms)).unwrap_or(0);
            self.last_output_ms = now.saturating_sub(ago).clamp(self.looked_ms.min(now), now);
        }
        let grown = size.saturating_sub(self.size);
        self.look_every_ms = if self.is_strict {
            LOOK_MS_MIN
        } else {
            next_interval_ms(self.look_every_ms, grown, now.saturating_sub(self.looked_ms), self.limit_bytes)
        };
        (self.size, self.looked_ms) = (size, now);
        self.release_hidden_space(space_of(&stat));
        self.punch(self.limit_bytes / SLACK_PART);
        self.cut_result();
    }

    /// A user can reserve space after the end of a file, which its size does not show, and fill
    /// the dropped part again. Output that comes in this instant may be lost with it.
    fn release_hidden_space(&mut self, space: u64) {
        let most = self.limit_bytes.saturating_add(self.limit_bytes / SLACK_PART).saturating_add(SPACE_SLACK_BYTES);
        if !self.is_strict || self.limit_bytes == 0 || space <= most {
            return;
        }
        if ftruncate(&self.file, self.size).is_ok() {
            self.hole_end = 0;
        }
    }

    fn cut_result(&self) {
        let Some(result) = self.result.as_ref().filter(|_| self.is_strict) else { return };
        let Ok(stat) = fstat(result) else { return };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > RESULT_KEPT_BYTES || space_of(&stat) > RESULT_KEPT_BYTES + SPACE_SLACK_BYTES {
            // It would be refused only by a disk that has failed.
            let _checked_again = ftruncate(result, size.min(RESULT_KEPT_BYTES));
        }
    }

    /// Makes the last check: from here on the limit is exact.
    pub fn close(&mut self) {
        self.check();
        self.punch(0);
    }

    fn punch(&mut self, slack_bytes: u64) {
        if self.gave_up {
            return;
        }
        let Some((start, end)) = hole(self.size, self.limit_bytes) else { return };
        if end <= self.hole_end.max(start) + slack_bytes {
            return;
        }
        let from = self.hole_end.max(start);
        match punch_out(&self.file, from, end) {
            Ok(()) => self.hole_end = end,
            // The file system cannot drop the middle: the end goes.
            Err(_) if self.is_strict && ftruncate(&self.file, start).is_ok() => self.size = start,
            Err(_) => self.gave_up = !self.is_strict,
        }
    }
}

/// The space that a file takes on the disk, in bytes.
fn space_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512)
}

fn punch_out(file: &OwnedFd, start: u64, end: u64) -> io::Result<()> {
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, end - start)?)
}

/// The range of a log to drop: everything between the first and the last half of its limit, in
/// whole blocks.
fn hole(size: u64, limit: u64) -> Option<(u64, u64)> {
    if limit == 0 || size <= limit {
        return None;
    }
    let start = (limit / 2).next_multiple_of(BLOCK_BYTES);
    let end = (size - limit / 2) / BLOCK_BYTES * BLOCK_BYTES;
    (start < end).then_some((start, end))
}

/// Chosen so that a log grows by about an eighth of its limit between two checks.
fn next_interval_ms(interval_ms: u64, grown: u64, in_ms: u64, limit: u64) -> u64 {
    let wanted = (limit / SLACK_PART).saturating_mul(in_ms.max(1)).checked_div(grown);
    wanted.unwrap_or(interval_ms.saturating_mul(2)).clamp(LOOK_MS_MIN, LOOK_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_leaves_both_halves_of_the_limit() {
        for limit in [1, 4096, 65_536, 100_001, 64 << 20] {
            for size in [0, limit, limit + 1, 2 * limit, 10 * limit + 12_345, u64::MAX / 2] {
                let Some((start, end)) = hole(size, limit) else {
                    assert!(size <= limit + 2 * BLOCK_BYTES, "limit {limit} size {size}");
                    continue;
                };
                assert!(start >= limit / 2 && start < end && size - end >= limit / 2, "limit {limit} size {size}");
                assert!(start % BLOCK_BYTES == 0 && end % BLOCK_BYTES == 0);
                assert!(start + (size - end) <= limit + 2 * BLOCK_BYTES, "limit {limit} size {size}");
            }
        }
        assert_eq!(hole(1 << 40, 0), None);
    }

    #[test]
    fn output_just_before_a_suspension_is_not_dated_before_it() {
        const SUSPENDED_MS: u64 = 5_000;
        let file = tempfile::tempfile().unwrap();
        let mut log = LogFile::new(file.try_clone().unwrap().into(), None, false, 0);
        std::io::Write::write_all(&mut &file, b"begin").unwrap();
        file.set_modified(crate::clock::time_of(now_ms() - SUSPENDED_MS.cast_signed())).unwrap();
        // The last check was just before, and the suspension is over now.
        (log.looked_ms, log.last_output_ms) = (log.looked_ms - SUSPENDED_MS, log.last_output_ms - SUSPENDED_MS);
        let begun = log.looked_ms;
        log.was_suspended(SUSPENDED_MS);
        log.check();
        assert!(log.last_output_ms() >= begun + SUSPENDED_MS, "{} ms of silence", begun + SUSPENDED_MS - log.last_output_ms());
    }

    #[test]
    fn no_space_is_hidden_after_the_end_or_in_the_dropped_part() {
        const LIMIT: u64 = 64 << 10;
        let files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let [log_file, result] = &files;
        let mut log = LogFile::new(log_file.try_clone().unwrap().into(), Some(result.try_clone().unwrap().into()), true, LIMIT);
        let space = |file: &std::fs::File| space_of(&fstat(file).unwrap());
        for file in &files {
            std::io::Write::write_all(&mut &*file, b"written").unwrap();
            fallocate(file, FallocateFlags::KEEP_SIZE, 0, 50 << 20).unwrap();
            assert!(space(file) >= 50 << 20);
        }
        log.check();
        files.iter().for_each(|file| assert!(space(file) <= LIMIT + SPACE_SLACK_BYTES, "{}", space(file)));
        std::io::Write::write_all(&mut &*log_file, &vec![b'x'; 8 << 20]).unwrap();
        log.check();
        assert!(space(log_file) <= 2 * LIMIT && log.hole_end > 0, "{}", space(log_file));
        fallocate(log_file, FallocateFlags::KEEP_SIZE, 0, 8 << 20).unwrap();
        log.check();
        assert!(space(log_file) <= 2 * LIMIT, "{}", space(log_file));
        assert_eq!(log_file.metadata().unwrap().len(), (8 << 20) + 7);
    }

    #[test]
    fn the_interval_shrinks_the_faster_the_log_grows() {
        assert_eq!(next_interval_ms(100, 0, 100, 1 << 20), 200);
        assert_eq!(next_interval_ms(2_000, 0, 2_000, 1 << 20), LOOK_MS_MAX);
        assert_eq!(next_interval_ms(2_000, 1 << 30, 1, 1 << 20), LOOK_MS_MIN);
        assert_eq!(next_interval_ms(100, 1 << 10, 8, 1 << 20), 1024);
        assert_eq!(next_interval_ms(100, 1, u64::MAX, u64::MAX), LOOK_MS_MAX);
    }
}
