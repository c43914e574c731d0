//! Says what a job waits for: after a second without progress, and once for each change.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::escape::line;
use crate::cli::worker_options;
use crate::error::{Error, Result};
use crate::job::{JobId, RunId};
use crate::queue::Advice;
use crate::queue::why::around::{self, Around};
use crate::queue::why::obstacles;
use crate::queue::why::over as run_over;
use crate::queue::why::stopped;
use crate::store::{Store, job::why};

/// How long it may wait silently, and the interval between two checks, in milliseconds.
const QUIET_MS: u64 = 1_000;

/// How long a printed line is not repeated, in milliseconds.
const AGAIN_MS: u64 = 60_000;

/// Codes of `why` that are not obstacles.
const NOT_WAITED_FOR: &[&str] = &["running", "latest_run", "expires", "ended", "not_retried"];
/// Printed first if there are several, as it prevents the others from being cleared; and printed
/// last, as it clears itself.
const FIRST: &[&str] = &["writer_blocked", "worker_stopped", "worker_hangs"];
const LAST: &[&str] = &["position"];

/// The waiting command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A client that only watches.
    Watcher,
    /// A `tenure run`: it is the worker if there is none, and asks another `tenure run` to serve
    /// its job.
    Run,
}

/// What was printed about one job.
#[derive(Debug)]
pub struct Waits {
    by: By,
    job: JobId,
    looked: Instant,
    said: Said,
}

/// An obstacle, without parts that only change with time: a teardown that is retried repeatedly is
/// one.
type Told = (Cow<'static, str>, Option<String>);

fn told(one: &Advice) -> Told {
    let remedy = one.remedy.as_deref().map(|remedy| remedy.split(" --force").next().unwrap_or_default().to_owned());
    (one.code.clone(), remedy)
}

/// How often the job has been started, and its run: a difference means progress.
type HasRun = (u32, Option<RunId>);

/// The lines that were printed. Obstacles that alternate are printed at most once a minute, while
/// the job is not started.
#[derive(Debug, Default)]
struct Said {
    last: Vec<Told>,
    recent: Vec<(Vec<Told>, Instant)>,
    has_run: HasRun,
}

impl Said {
    /// Whether to print this now. Empty: the job waits for nothing, and no line says that.
    fn is_news(&mut self, told: Vec<Told>, has_run: HasRun, now: Instant) -> bool {
        if self.has_run != has_run {
            *self = Self { has_run, ..Self::default() };
        }
        self.recent.retain(|(_, at)| now.saturating_duration_since(*at) < Duration::from_millis(AGAIN_MS));
        if told.is_empty() {
            self.last.clear();
            return false;
        }
        if self.last == told || self.recent.iter().any(|(said, _)| *said == told) {
            return false;
        }
        self.last.clone_from(&told);
        self.recent.push((told, now));
        true
    }
}

impl Waits {
    /// Nothing has been said yet.
    pub fn of(job: JobId, by: By) -> Self {
        Self { by, job, looked: Instant::now(), said: Said::default() }
    }

    /// Checks this job from now on, and prints news.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn poll_job(&mut self, job: JobId, face: &Face, store: &Store) -> Result<()> {
        if self.job != job {
            (self.job, self.said) = (job, Said::default());
        }
        self.poll(face, store)
    }

    /// Checks periodically, and prints news.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn poll(&mut self, face: &Face, store: &Store) -> Result<()> {
        if self.looked.elapsed() < Duration::from_millis(QUIET_MS) {
            return Ok(());
        }
        self.looked = Instant::now();
        let (id, now_ms) = (self.job, face.now_ms());
        let facts = match store.read(|conn| why::why(conn, id, now_ms)) {
            // It was pruned: the follower reports that.
            Err(Error::NotFound(_)) => return Ok(()),
            facts => facts?,
        };
        if facts.job.shown_state().is_terminal() {
            return Ok(());
        }
        let around = Around {
            over: run_over::of(store, id)?,
            stopped: stopped::at_a_glance(store, &facts.job)?,
            ..around::read(store, face.now(), &worker_options::floors(&face.settings))?
        };
        let mut all = obstacles::of(&facts, &around);
        all.retain(|one| !NOT_WAITED_FOR.contains(&&*one.code) && (one.code != "no_worker" || self.by == By::Watcher));
        all.sort_by_key(|one| (!FIRST.contains(&&*one.code), LAST.contains(&&*one.code)));
        let told: Vec<Told> = all.iter().map(told).collect();
        let has_run = (facts.job.attempts, facts.job.run_id);
        if self.said.is_news(told, has_run, self.looked)
            && let Some(words) = words(id, &all)
        {
            face::say(&words);
        }
        Ok(())
    }
}

/// `None`: nothing prevents it from starting or running.
fn words(id: JobId, all: &[Advice]) -> Option<String> {
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
    fn a_line_that_comes_and_goes_is_said_once_a_minute() {
        const A: &str = "a";
        const B: &str = "b";
        const NOTHING: &str = "";
        // After how many seconds the check is made, how often the job had been started, and whether
        // it is printed.
        type Case = (u64, &'static str, u32, bool);
        let cases: &[(&str, &[Case])] = &[
            ("the same", &[(0, A, 0, true), (1, A, 0, false), (100, A, 0, false)]),
            ("to and fro", &[(0, A, 0, true), (1, B, 0, true), (2, A, 0, false), (3, B, 0, false), (59, A, 0, false)]),
            ("after a minute", &[(0, A, 0, true), (1, B, 0, true), (60, A, 0, true), (62, B, 0, true)]),
            ("what is said last stays", &[(0, A, 0, true), (1, B, 0, true), (62, B, 0, false)]),
            ("started meanwhile", &[(0, A, 0, true), (1, B, 0, true), (2, A, 1, true), (3, B, 1, true), (4, A, 1, false)]),
            ("nothing between", &[(0, A, 0, true), (1, NOTHING, 0, false), (2, A, 0, false), (61, A, 0, true)]),
        ];
        for (what, looks) in cases {
            let (begin, mut said) = (Instant::now(), Said::default());
            for (after, code, starts, is_said) in *looks {
                let told = if code.is_empty() { Vec::new() } else { vec![((*code).into(), None)] };
                let is_news = said.is_news(told, (*starts, None), begin + Duration::from_secs(*after));
                assert_eq!(is_news, *is_said, "{what}: {code:?} after {after} s");
            }
        }
    }

    #[test]
    fn one_obstacle_is_said_with_its_remedy_and_many_with_the_verb() {
        let one = |text: &str, remedy: Option<&str>| Advice::new("code", text, remedy.map(str::to_owned));
        let paused = one("its queue \"q\" is paused", Some("tenure queue resume q"));
        assert_eq!(words(JobId(7), &[]), None);
        let said = words(JobId(7), std::slice::from_ref(&paused)).unwrap();
        assert_eq!(said, "job 7 waits: its queue \"q\" is paused (tenure queue resume q)");
        assert_eq!(words(JobId(7), &[one("a\x1b", None)]).unwrap(), "job 7 waits: a\\x1b (tenure why 7)");
        let said = words(JobId(7), &[paused.clone(), paused]).unwrap();
        assert_eq!(said, "job 7 waits: its queue \"q\" is paused (and 1 more: tenure why 7)");
    }
}
