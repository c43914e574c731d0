//! Says what a job waits for where a person waits for it: when nothing has happened for a second, and once for each change.

use std::time::{Duration, Instant};

use super::escape::line;
use super::face::{self, Face};
use super::obstacles::{self, Around, Obstacle};
use super::run_over;
use super::why::around;
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::store::{Store, why};

/// How long it may wait before something is said, and the time between two looks, in milliseconds.
const QUIET_MS: u64 = 1_000;

/// Codes of what `why` tells that holds nothing up.
const NOT_WAITED_FOR: &[&str] = &["running", "latest_run", "expires", "ended", "not_retried"];
/// What is said first where there is more, as it keeps everything else from being cleared; and what is said last, as it clears itself.
const FIRST: &[&str] = &["writer_blocked", "worker_stopped", "worker_hangs"];
const LAST: &[&str] = &["position"];

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A client that looks on.
    Watcher,
    /// A `tenure run`: it is the worker where there is none, and asks another `tenure run` to serve its job.
    Run,
}

/// What was said of one job.
#[derive(Debug)]
pub struct Waits {
    by: By,
    job: JobId,
    looked: Instant,
    said: Vec<Told>,
}

/// An obstacle, without what changes with time alone: a teardown that is tried again and again is one.
type Told = (&'static str, Option<String>);

fn told(one: &Obstacle) -> Told {
    let remedy = one.remedy.as_deref().map(|remedy| remedy.split(" --force").next().unwrap_or_default().to_owned());
    (one.code, remedy)
}

impl Waits {
    /// Nothing has been said yet.
    pub fn of(job: JobId, by: By) -> Self {
        Self { by, job, looked: Instant::now(), said: Vec::new() }
    }

    /// Looks at this job from now on, and says what is new.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look_at(&mut self, job: JobId, face: &Face, store: &Store) -> Result<()> {
        if self.job != job {
            (self.job, self.said) = (job, Vec::new());
        }
        self.look(face, store)
    }

    /// Looks, now and then, and says what is new.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look(&mut self, face: &Face, store: &Store) -> Result<()> {
        if self.looked.elapsed() < Duration::from_millis(QUIET_MS) {
            return Ok(());
        }
        self.looked = Instant::now();
        let (id, now_ms) = (self.job, face.now_ms());
        let facts = match store.read(|conn| why::why(conn, id, now_ms)) {
            // It was pruned: the follower says so.
            Err(Error::NoSuch(_)) => return Ok(()),
            facts => facts?,
        };
        if facts.job.shown_state().is_terminal() {
            return Ok(());
        }
        let around = Around { over: run_over::of(store, id)?, ..around(face, store)? };
        let mut all = obstacles::of(&facts, &around);
        all.retain(|one| !NOT_WAITED_FOR.contains(&one.code) && (one.code != "no_worker" || self.by == By::Watcher));
        all.sort_by_key(|one| (!FIRST.contains(&one.code), LAST.contains(&one.code)));
        let told: Vec<Told> = all.iter().map(told).collect();
        if let Some(words) = words(id, &all).filter(|_| self.said != told) {
            face::say(&words);
        }
        self.said = told;
        Ok(())
    }
}

/// `None`: nothing keeps it from starting or from running.
fn words(id: JobId, all: &[Obstacle]) -> Option<String> {
    let first = all.first()?;
    let all_of_it = match (all.len(), &first.remedy) {
        (1, Some(remedy)) => line(remedy).into_owned(),
        (1, None) => format!("tenure why {id}"),
        (n, _) => format!("and {} more: tenure why {id}", n - 1),
    };
    Some(format!("job {id} waits: {} ({all_of_it})", line(&first.text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_obstacle_is_said_with_its_remedy_and_many_with_the_verb() {
        let one = |text: &str, remedy: Option<&str>| Obstacle::new("code", text, remedy.map(str::to_owned));
        let paused = one("its queue \"q\" is paused", Some("tenure queue resume q"));
        assert_eq!(words(JobId(7), &[]), None);
        let said = words(JobId(7), std::slice::from_ref(&paused)).unwrap();
        assert_eq!(said, "job 7 waits: its queue \"q\" is paused (tenure queue resume q)");
        assert_eq!(words(JobId(7), &[one("a\x1b", None)]).unwrap(), "job 7 waits: a\\x1b (tenure why 7)");
        let said = words(JobId(7), &[paused.clone(), paused]).unwrap();
        assert_eq!(said, "job 7 waits: its queue \"q\" is paused (and 1 more: tenure why 7)");
    }
}
