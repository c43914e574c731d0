//! Receipts: jobs that a client hands to the worker are added once, also if the answer is lost.
//!
//! The worker adds them in [`add_by_worker`]. A client that has sent a request and got no answer
//! calls [`add_by_client`]. Each looks for the receipt first and writes it in the transaction that
//! adds the jobs, and transactions come one after the other: the first of the two adds the jobs,
//! and the other finds them. A refusal by the client is a receipt without jobs, so that the worker
//! adds nothing after the client has told a person that nothing was added.
//!
//! A receipt may be removed when neither of them can look for it any more. All times are those of
//! the clock of the boot, which is one for the whole machine and never jumps:
//!
//! * the worker refuses a request that was sent more than [`WORKER_MS`] ago, in its transaction;
//! * the client adds nothing if it sent its request more than [`CLIENT_MS`] ago, in its
//!   transaction: it says that the jobs may have been added;
//! * a client that cannot even write a refusal looks again after [`WORKER_MS`], as a writer;
//! * [`prune`] removes, in a transaction, what was sent more than [`KEEP_MS`] ago, which is longer
//!   than both. So a transaction of either that still may add is before that one.
//!
//! What is from a later instant than now is from an earlier boot, whose clients are gone.
//!
//! Clients that name their requests themselves have receipts of another kind ([`request`]).

pub mod request;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::job::{JobId, NewJob};
use crate::store::job::enqueue::{self, Added};
use crate::store::job::read;
use crate::units::duration_text;

/// How old a request may be that the worker accepts, in milliseconds. The client waits for a
/// shorter time.
pub const WORKER_MS: u64 = 250;
/// How old a request may be whose jobs the client adds itself, in milliseconds: longer than it
/// waits for the write lock.
pub const CLIENT_MS: u64 = 120_000;
/// How old a receipt may be, in milliseconds.
pub const KEEP_MS: u64 = 300_000;
/// Most receipts that one transaction removes.
const PRUNE_MAX: i64 = 1_000;

/// The name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// When the client sent it, on the clock of the boot, in milliseconds.
    pub sent_ms: u64,
    /// 128 random bits.
    pub token: [u8; 16],
}

impl Key {
    fn columns(&self) -> (i64, [u8; 16]) {
        (to_i64(self.sent_ms), self.token)
    }
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<OneJob>,
    /// The queue of the jobs was new, and a queue with a similar name was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar_queue: Option<String>,
}

/// What a client is told of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneJob {
    pub id: JobId,
    /// A live job has its unique key: this is that job, and none was added.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
    /// The live job that was cancelled in its favour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<JobId>,
}

impl From<&Added> for OneJob {
    fn from(added: &Added) -> Self {
        Self { id: added.id, existing: added.existing, replaced: added.replaced }
    }
}

/// Result of adding the jobs of a request.
#[derive(Debug)]
pub struct Done {
    pub answer: Answer,
    /// The jobs, if this transaction has added them.
    pub added: Vec<Added>,
    /// An earlier transaction has: it may not be durable yet.
    pub was_there: bool,
}

/// Adds the jobs of a request, or finds them.
///
/// # Errors
/// As [`enqueue::add`]; the caller rolls back.
pub fn add_by_worker(conn: &Connection, key: &Key, jobs: &[NewJob], now_ms: i64) -> Result<Done> {
    if let Some(answer) = find(conn, key)? {
        return Ok(Done { answer, added: Vec::new(), was_there: true });
    }
    let (answer, added) = add(conn, jobs, now_ms)?;
    keep(conn, key, &answer)?;
    Ok(Done { answer, added, was_there: false })
}

/// The same for the client, in a transaction without any other request. A refusal is a result: its
/// receipt must be committed. `boot_ms`: now, on the clock of the boot.
///
/// # Errors
/// The transaction must be rolled back. [`Error::Busy`] if the receipt may have been removed.
pub fn add_by_client(
    conn: &Connection,
    key: &Key,
    jobs: &[NewJob],
    now_ms: i64,
    boot_ms: u64,
) -> Result<std::result::Result<Done, Error>> {
    if let Some(answer) = find(conn, key)? {
        return Ok(Ok(Done { answer, added: Vec::new(), was_there: true }));
    }
    if boot_ms.saturating_sub(key.sent_ms) > CLIENT_MS {
        return Err(Error::Busy(format!("it was tried for longer than {}", duration_text(CLIENT_MS))));
    }
    let done = in_savepoint(conn, || {
        let (answer, added) = add(conn, jobs, now_ms)?;
        Ok(Done { answer, added, was_there: false })
    })?;
    keep(conn, key, done.as_ref().map_or(&Answer::default(), |done| &done.answer))?;
    Ok(done)
}

/// Runs `act` in a savepoint. If the jobs are refused, which they would be in any process, only
/// that is undone, and the refusal is the result.
///
/// # Errors
/// Any other one: the transaction must be rolled back.
pub fn in_savepoint<T>(conn: &Connection, act: impl FnOnce() -> Result<T>) -> Result<std::result::Result<T, Error>> {
    let run = |sql: &str| conn.prepare_cached(sql)?.execute([]).map(drop);
    run("SAVEPOINT request")?;
    let done = match act() {
        Err(error @ (Error::Invalid(_) | Error::NotFound(_) | Error::Refused(_))) => {
            run("ROLLBACK TO request")?;
            Err(error)
        }
        done => Ok(done?),
    };
    run("RELEASE request")?;
    Ok(done)
}

/// Whether [`prune`] has something to remove.
pub fn has_old(conn: &Connection, boot_ms: u64) -> Result<bool> {
    Ok(conn.prepare_cached(sql!("receipt.sql", "has_old"))?.query_row(kept(boot_ms), |row| row.get(0))?)
}

/// Removes receipts that are not needed any more, at most `PRUNE_MAX`. `boot_ms` was read in this
/// transaction.
pub fn prune(conn: &Connection, boot_ms: u64) -> Result<()> {
    let (from, to) = kept(boot_ms);
    conn.prepare_cached(sql!("receipt.sql", "prune"))?.execute((from, to, PRUNE_MAX))?;
    Ok(())
}

/// The instants from which receipts are kept.
fn kept(boot_ms: u64) -> (i64, i64) {
    (to_i64(boot_ms.saturating_sub(KEEP_MS)), to_i64(boot_ms))
}

fn add(conn: &Connection, jobs: &[NewJob], now_ms: i64) -> Result<(Answer, Vec<Added>)> {
    let similar_queue = similar_queue(conn, jobs)?;
    let added = enqueue::add(conn, jobs, now_ms)?;
    Ok((Answer { jobs: added.iter().map(OneJob::from).collect(), similar_queue }, added))
}

/// Returns the queue that a new one of these jobs, which have one queue, may have been meant to be.
pub fn similar_queue(conn: &Connection, jobs: &[NewJob]) -> Result<Option<String>> {
    jobs.first().map_or(Ok(None), |job| read::similar_queue(conn, &job.placement.queue))
}

/// A receipt that cannot be read is an error: its jobs must not be added again.
pub fn find(conn: &Connection, key: &Key) -> Result<Option<Answer>> {
    let mut find = conn.prepare_cached(sql!("receipt.sql", "find"))?;
    let text: Option<String> = find.query_row(key.columns(), |row| row.get(0)).optional()?;
    let answer = text.map(|text| serde_json::from_str(&text));
    answer.transpose().map_err(|error| Error::Internal(format!("a receipt cannot be read: {error}")))
}

fn keep(conn: &Connection, key: &Key, answer: &Answer) -> Result<()> {
    let text = serde_json::to_string(answer).map_err(|error| Error::Internal(error.to_string()))?;
    let (sent_ms, token) = key.columns();
    conn.prepare_cached(sql!("receipt.sql", "keep"))?.execute((sent_ms, token, text))?;
    Ok(())
}

fn to_i64(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "receipt_tests.rs"]
mod tests;
