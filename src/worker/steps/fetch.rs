//! Fetches the output of a run from another engine, where that does not write the log itself.
//!
//! The log has the output of the launcher, and then, from an offset that the file has, that of the
//! job. So how much of it was fetched is the length of the log, also after a crash.

use std::io::Write as _;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::job::{RunKey, launcher};
use crate::store::job::launched::Launched;
use crate::worker::attempt::{self, Attempt, Halt, Verb, program};
use crate::worker::context::Context;
use crate::worker::engines::Group;
use crate::worker::job_run::JobRun;
use crate::worker::steps::submit::group_of;

/// Most bytes that one call fetches.
const FETCH_BYTES: u64 = 1 << 20;

/// Appends what the job has written to the log of its run, when it has ended. A launcher without
/// `logs` writes it itself. Output that cannot be fetched is said so in the log, and keeps no run
/// from its end.
///
/// # Errors
/// [`Halt`]: the worker detaches, and the next one fetches it.
pub fn rest(attempt: &Attempt<'_>, job: &JobRun, launched: &Launched) -> Result<(), Halt> {
    let (ctx, key) = (attempt.ctx, job.key);
    if program(&launched.launcher, Verb::Logs).is_none() {
        return Ok(());
    }
    let log_at = launched.log_at.unwrap_or(0).cast_unsigned();
    if let Err(why) = more(ctx, &group_of(launched), key, log_at)? {
        append(ctx, key, format!("tenure: the output could not be fetched: {why}\n").as_bytes())?;
    }
    Ok(())
}

/// Appends what the job has written since the last time, up to the limit of a log.
///
/// # Errors
/// [`Halt`]; the inner one says, in words, why there is no output.
pub fn more(ctx: &Arc<Context>, group: &Group, key: RunKey, log_at: u64) -> Result<Result<(), String>, Halt> {
    let limit = ctx.options.log_limit_bytes;
    loop {
        let has = std::fs::metadata(ctx.place().log_file(key.run)).map_or(log_at, |log| log.len()).saturating_sub(log_at);
        if limit > 0 && has >= limit {
            return Ok(Ok(()));
        }
        let args = [launcher::name(key.nonce), has.to_string(), FETCH_BYTES.to_string()];
        let bytes = match attempt::call(ctx, group, Verb::Logs, &args)? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        append(ctx, key, &bytes)?;
        if (bytes.len() as u64) < FETCH_BYTES {
            return Ok(Ok(()));
        }
    }
}

fn append(ctx: &Context, key: RunKey, bytes: &[u8]) -> Result<()> {
    let path = ctx.place().log_file(key.run);
    let appended = std::fs::OpenOptions::new().create(true).append(true).open(&path).and_then(|mut log| log.write_all(bytes));
    appended.map_err(|error| Error::io(format!("appending to {}", path.display()), error))
}
