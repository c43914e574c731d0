//! Turns the records of a run into the values of its row.

use rustix::io::Errno;

use super::handle::Attempt;
use crate::error::Error;
use crate::job::{RunEnd, RunId};
use crate::run::record::{MemoryBy, Records};
use crate::store::job::settle::{self, RunRecord};
use crate::worker::clock_steps::CLOCK_STEP_MS;
use crate::worker::context::Context;

/// Interval between two attempts to open a result for which there was no descriptor, in
/// milliseconds.
const RESULT_AGAIN_MS: u64 = 200;
/// How often it is attempted again while a process has a lease on the result.
const LEASED_TRIES_MAX: u32 = 5;

/// How a job's run ended, with the values of its row and its run file.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub end: RunEnd,
    pub record: RunRecord,
    /// Its run file is removed with it. Not if the file of that name belongs to another run, which
    /// recovery handles.
    pub has_its_file: bool,
}

impl Ending {
    /// For a run without records.
    pub fn unrecorded(end: RunEnd) -> Self {
        Self { end, record: RunRecord::default(), has_its_file: true }
    }

    /// For a run whose records say how it ended.
    pub fn recorded(attempt: &Attempt<'_>, records: &Records) -> Self {
        Self { end: attempt.end_of(records), record: record_of(attempt.ctx, attempt.key.run, records), has_its_file: true }
    }
}

/// Returns the values of the run's row from its records.
pub fn record_of(ctx: &Context, run: RunId, records: &Records) -> RunRecord {
    let usage = records.drained.as_ref().map(|drained| &drained.usage);
    RunRecord {
        pid: records.started.as_ref().map(|s| s.pid),
        started_at: started_at(records),
        exited_at: records.exited.as_ref().map(|e| e.at_ms),
        checked_at: None,
        max_rss_bytes: usage.and_then(|u| i64::try_from(u.max_rss_bytes).ok()),
        user_ms: usage.and_then(|u| i64::try_from(u.user_ms).ok()),
        system_ms: usage.and_then(|u| i64::try_from(u.system_ms).ok()),
        suspended_ms: records.suspension.as_ref().map(|suspension| suspension.last_ms),
        leftovers: records.drained.as_ref().map(|d| d.leftovers.clone()).filter(|text| !text.is_empty()),
        memory_by: records.drained.as_ref().and_then(|d| d.memory_by).map(MemoryBy::as_str),
        result: result_of(ctx, run),
    }
}

/// Returns when the run started, by the wall clock at its end: if that clock was set meanwhile, the
/// difference of end and start is still the duration by the clock of the boot.
fn started_at(records: &Records) -> Option<i64> {
    let started = records.started.as_ref()?;
    let Some((exited, ran_ms)) = records.exited.as_ref().and_then(|exited| {
        let ran_ms = exited.boot_ms?.checked_sub(started.kept?.boot_ms)?;
        Some((exited, i64::try_from(ran_ms).ok()?))
    }) else {
        return Some(started.at_ms);
    };
    let apart_ms = exited.at_ms.saturating_sub(started.at_ms);
    let was_set = apart_ms.abs_diff(ran_ms) > CLOCK_STEP_MS;
    Some(if was_set { exited.at_ms.saturating_sub(ran_ms) } else { started.at_ms })
}

/// Returns the run's `TENURE_RESULT`, up to its limit.
pub fn result_of(ctx: &Context, run: RunId) -> Option<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    // A character that is cut at the limit is dropped and not replaced, so slightly more is read.
    let most = crate::job::limits::RESULT_BYTES_MAX as u64 + 4;
    let mut bytes = Vec::new();
    // A job may have created anything there: a link is not followed, and a pipe is not waited for.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let path = ctx.place().result_file(run);
    let mut leased = 0;
    let file = loop {
        let error = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => break file,
            Err(_) if ctx.is_detaching() => return None,
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            // The result is not lost because of a shortage of descriptors.
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
                ctx.notes_want(&Error::io("opening a result", error));
            }
            // A process has a lease on the file, as the job's user may: that is not a shortage, and
            // is waited for only as long as a program may need that gives it back when asked.
            Some(Errno::AGAIN) if leased < LEASED_TRIES_MAX => leased += 1,
            Some(Errno::AGAIN) => {
                log::warn!("run {run}: its result is not recorded: a process has a lease on {}", path.display());
                return None;
            }
            _ => return None,
        }
        ctx.pause(RESULT_AGAIN_MS);
    };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    file.take(most).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| settle::kept_result(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Exit;
    use crate::run::record::{Exited, Kept, Started};

    #[test]
    fn a_step_of_the_clock_changes_no_duration() {
        const RAN_MS: i64 = 5_000;
        let started_at = |step_ms: i64, with_boot: bool| {
            let kept = with_boot.then(|| Kept { boot_ms: 70_000, ..Kept::default() });
            let started = Started { pid: 1, shim_pid: 1, shim_start_ticks: 1, at_ms: 20_000_000, kept };
            let (at_ms, boot_ms) = (20_000_000 + RAN_MS + step_ms, Some(70_000 + RAN_MS.unsigned_abs()));
            let exited = Exited { exit: Exit::Code(0), cause: None, at_ms, boot_ms };
            let records = Records { started: Some(started), exited: Some(exited), ..Records::default() };
            (super::started_at(&records).unwrap(), at_ms)
        };
        for step_ms in [-10_800_000, -3_000, 3_000, 10_800_000] {
            let (started_at, exited_at) = started_at(step_ms, true);
            assert_eq!(exited_at - started_at, RAN_MS, "a step of {step_ms} ms");
        }
        for step_ms in [-1_000, 0, 1_000] {
            assert_eq!(started_at(step_ms, true).0, 20_000_000, "a clock that is steered");
        }
        assert_eq!(started_at(10_800_000, false).0, 20_000_000, "a record of an earlier version");
    }
}
