//! Says what a job waits for where somebody waits for it: when it has not started within a second, and once for each change.

use std::time::{Duration, Instant};

use super::escape::line;
use super::face::{self, Face};
use super::obstacles::{self, Obstacle};
use super::why::around;
use crate::error::{Error, Result};
use crate::job::{JobId, State};
use crate::store::{Store, why};

/// How long it may wait before something is said, and the time between two looks, in milliseconds.
const QUIET_MS: u64 = 1_000;

/// What was said of one job.
#[derive(Debug)]
pub struct Waits {
    job: JobId,
    looked: Instant,
    said: Option<Vec<Told>>,
}

/// An obstacle, without what changes with time alone.
type Told = (&'static str, Option<String>);

impl Waits {
    /// Nothing has been said yet.
    pub fn of(job: JobId) -> Self {
        Self { job, looked: Instant::now(), said: None }
    }

    /// Looks at this job from now on, and says what is new.
    ///
    /// # Errors
    /// When the file can not be read.
    pub fn look_at(&mut self, job: JobId, face: &Face, store: &Store) -> Result<()> {
        if self.job != job {
            (self.job, self.said) = (job, None);
        }
        self.look(face, store)
    }

    /// Looks, now and then, and says what is new.
    ///
    /// # Errors
    /// When the file can not be read.
    pub fn look(&mut self, face: &Face, store: &Store) -> Result<()> {
        if self.looked.elapsed() < Duration::from_millis(QUIET_MS) {
            return Ok(());
        }
        self.looked = Instant::now();
        let (id, now_ms) = (self.job, face.now_ms());
        let facts = match store.read(|conn| why::why(conn, id, now_ms)) {
            // It was pruned: whoever follows it says so.
            Err(Error::NoSuch(_)) => return Ok(()),
            facts => facts?,
        };
        if facts.job.shown_state() != State::Queued {
            self.said = None;
            return Ok(());
        }
        let around = around(face, store)?;
        let mut all = obstacles::of(&facts, &around);
        let has_no_worker = all.iter().any(|one| one.code == NO_WORKER) && around.worker.is_none();
        all.retain(|one| !NOT_WAITED_FOR.contains(&one.code));
        let told: Vec<Told> = all.iter().map(|one| (one.code, one.remedy.clone())).collect();
        if self.said.as_ref() != Some(&told) {
            // That there is no worker has been said once and for all.
            if !(all.is_empty() && has_no_worker) {
                face::say(&words(id, &all));
            }
            self.said = Some(told);
        }
        Ok(())
    }
}

const NO_WORKER: &str = "no_worker";
/// Codes of what `why` tells that holds nothing up, or is said elsewhere: a `tenure run` that is the worker serves the jobs that others follow.
const NOT_WAITED_FOR: &[&str] = &["latest_run", "expires", NO_WORKER];

fn words(id: JobId, all: &[Obstacle]) -> String {
    let more = if all.len() > 1 { format!(", and for {} more", all.len() - 1) } else { String::new() };
    match all.first() {
        Some(first) => format!("job {id} waits: {}{more} (tenure why {id})", line(&first.text)),
        None => format!("job {id} waits for the worker to start it (tenure why {id})"),
    }
}
