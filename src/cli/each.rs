//! The same to many jobs: a transaction for each [`BATCH_JOBS`] of them, or for as many as [`BATCH_MS`] are enough for, in which each has a
//! savepoint of its own, so that one that is refused keeps no other from it; and one flush for each transaction, before anything is said of it.

use std::time::Instant;

use rusqlite::Connection;

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::Store;

/// Jobs that one transaction touches: others can write between two of them.
pub const BATCH_JOBS: usize = 1_000;
/// After so long a transaction takes no further job, in milliseconds: what others write waits no longer for it.
const BATCH_MS: u128 = 100;
/// Up to so many jobs are told of one by one; of more, one line tells all.
const LINES_MAX: usize = 10;
/// Most refusals that are told one by one where there are many jobs.
const REFUSALS_MAX: usize = 10;

/// Whether there is a line for each job.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Wordy {
    /// Print a line for each job, also of many
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

/// Does `verb` to each job and tells what came of it, when that is on the disk.
///
/// # Errors
/// What `tell` does not take: an error that it returns ends the whole.
pub fn each<T: Send + 'static>(
    store: &Store,
    ids: &[JobId],
    verb: impl Fn(&Connection, JobId) -> Result<T> + Clone + Send + 'static,
    tell: impl FnMut(JobId, Result<T>) -> Result<()>,
) -> Result<()> {
    each_with(store, ids, verb, |_| 1, tell)
}

/// As [`each`], where what is done to one job may touch others: `touched` says how many, so that a transaction ends when it has touched enough.
///
/// # Errors
/// As [`each`].
pub fn each_with<T: Send + 'static>(
    store: &Store,
    ids: &[JobId],
    verb: impl Fn(&Connection, JobId) -> Result<T> + Clone + Send + 'static,
    touched: fn(&T) -> usize,
    mut tell: impl FnMut(JobId, Result<T>) -> Result<()>,
) -> Result<()> {
    let mut ids = ids;
    while !ids.is_empty() {
        let (batch, verb) = (ids[..ids.len().min(BATCH_JOBS)].to_vec(), verb.clone());
        let done = store.write(move |conn| {
            let (began, mut done, mut n) = (Instant::now(), Vec::new(), 0);
            for id in &batch {
                let is_full = n >= BATCH_JOBS || began.elapsed().as_millis() >= BATCH_MS;
                if is_full && !done.is_empty() {
                    break;
                }
                let result = apart(conn, *id, &verb)?;
                n += result.as_ref().map_or(1, touched);
                done.push((*id, result));
            }
            Ok(done)
        })?;
        ids = &ids[done.len()..];
        done.into_iter().try_for_each(|(id, result)| tell(id, result))?;
    }
    Ok(())
}

/// Does it to one job; where that fails, nothing of it is left.
fn apart<T>(conn: &Connection, id: JobId, verb: &impl Fn(&Connection, JobId) -> Result<T>) -> Result<Result<T>> {
    conn.prepare_cached("SAVEPOINT each")?.execute([])?;
    let result = verb(conn, id);
    match &result {
        Ok(_) => {}
        // What is wrong with this one job is its own affair. Whatever else it is, the whole batch is undone.
        Err(Error::Refused(_) | Error::NotFound(_) | Error::Invalid(_)) => {
            conn.prepare_cached("ROLLBACK TO each")?.execute([])?;
        }
        Err(_) => return result.map(Ok),
    }
    conn.prepare_cached("RELEASE each")?.execute([])?;
    Ok(result)
}

/// What a command says of its jobs: a line for each of a few, and one line for many.
pub struct Report<'a> {
    face: &'a Face,
    is_each_told: bool,
    jobs: usize,
    counts: Vec<(&'static str, usize)>,
    refused: usize,
    note: Option<String>,
}

impl<'a> Report<'a> {
    pub fn new(face: &'a Face, jobs: usize, wordy: Wordy) -> Self {
        let is_each_told = face.json || wordy.verbose || jobs <= LINES_MAX;
        Self { face, is_each_told, jobs, counts: Vec::new(), refused: 0, note: None }
    }

    /// Tells of one job: `text` or `document` where each is told, and `word` to be counted.
    ///
    /// # Errors
    /// When the reader has gone.
    pub fn tell(&mut self, word: &'static str, text: impl FnOnce() -> String, document: impl FnOnce() -> String) -> Result<()> {
        match self.counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => self.counts.push((word, 1)),
        }
        if self.face.json {
            return face::print(&format!("{}\n", document()));
        }
        if self.is_each_told {
            face::say(&text());
        }
        Ok(())
    }

    /// Tells why nothing was done to one job.
    pub fn refuse(&mut self, error: &Error) {
        self.refused += 1;
        if self.is_each_told || self.refused <= REFUSALS_MAX {
            face::complain(&error.to_string());
        }
    }

    /// The same where it takes time to learn why: it is asked only if it is told.
    ///
    /// # Errors
    /// When it cannot be learned.
    pub fn refuse_with(&mut self, why: impl FnOnce() -> Result<Error>) -> Result<()> {
        self.refused += 1;
        if self.is_each_told || self.refused <= REFUSALS_MAX {
            match why() {
                Ok(error) | Err(error @ (Error::Refused(_) | Error::NotFound(_))) => face::complain(&error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is said once, after all: where each job is told, it stands in its line.
    pub fn note(&mut self, note: String) {
        if !self.is_each_told && !note.is_empty() {
            self.note = Some(note);
        }
    }

    /// The line for many. True: something was refused.
    pub fn end(self) -> bool {
        if !self.is_each_told {
            let refused = (self.refused > 0).then_some(("refused", self.refused));
            let counts: Vec<String> = self.counts.iter().copied().chain(refused).map(|(word, n)| format!("{n} {word}")).collect();
            face::say(&format!("{} jobs: {}{}", self.jobs, counts.join(", "), self.note.unwrap_or_default()));
        }
        self.refused > 0
    }
}

#[cfg(test)]
#[path = "each_tests.rs"]
mod tests;
