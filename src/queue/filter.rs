//! Selects the jobs to list.

use super::Queue;
use super::info::JobInfo;
use crate::clock::ms_of;
use crate::error::Result;
use crate::job::{JobId, State};
#[cfg(feature = "cli")]
use crate::store::job::newest;
#[cfg(any(feature = "web", feature = "mcp"))]
use crate::store::job::page;
use crate::store::job::read;
#[cfg(feature = "cli")]
use crate::store::job::rows;

/// Selects jobs: `Filter::live().queue("mail")`. What is not given does not narrow the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(read::Filter);

impl Filter {
    /// Selects queued and running jobs.
    pub fn live() -> Self {
        Self::default()
    }

    /// Selects ended jobs as well.
    pub fn all() -> Self {
        Self(read::Filter { all: true, ..read::Filter::default() })
    }

    /// Selects jobs in this state, in addition to other states that are given.
    pub fn state(mut self, state: State) -> Self {
        self.0.states.push(state);
        self
    }

    /// Selects jobs in these states, in addition to other states that are given.
    pub fn states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        self.0.states.extend(states);
        self
    }

    /// Selects jobs with numbers in this range, in addition to other ranges that are given.
    pub fn between(mut self, first: JobId, last: JobId) -> Self {
        self.0.ids.push(first.0..=last.0);
        self
    }

    /// Selects jobs of this queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.0.queue = Some(name.into());
        self
    }

    /// Selects jobs with this label.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Selects jobs that ended at or after this instant, or if they have not ended, were started or
    /// added then.
    pub fn since(mut self, instant: std::time::SystemTime) -> Self {
        self.0.since_ms = Some(ms_of(instant));
        self
    }

    /// Selects jobs with each word of a text in their label or command. A text is in no index: give
    /// a range of numbers as well.
    #[cfg(feature = "web")]
    pub(crate) fn containing(mut self, text: &str) -> Self {
        self.0.words = text.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Selects jobs of this user, who does not own the file.
    #[cfg(feature = "cli")]
    pub(crate) fn owner(mut self, uid: u32) -> Self {
        self.0.owner = Some(uid);
        self
    }

    /// Selects at most the newest `n` jobs, up to 100,000.
    pub fn limit(mut self, n: usize) -> Self {
        self.0.limit = Some(n);
        self
    }
}

impl Queue {
    /// Returns the jobs that a filter selects, newest last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<JobInfo>> {
        let jobs = self.store.read(|conn| read::jobs(conn, &filter.0))?;
        Ok(jobs.into_iter().map(JobInfo::of).collect())
    }
}

/// What the command line needs to find jobs, and the names that a person may have meant.
#[cfg(feature = "cli")]
impl Queue {
    /// Returns the running jobs that a filter selects, then the newest others, and whether there
    /// are more.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn rows(&self, filter: &Filter) -> Result<(Vec<rows::Job>, bool)> {
        self.store.read(|conn| read::listing(conn, &filter.0))
    }

    /// The same, each as it is shown to a user, and not many more than so many bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn rows_within(
        &self,
        filter: &Filter,
        bytes_max: usize,
        shown: impl Fn(rows::Job) -> rows::Job,
    ) -> Result<(Vec<rows::Job>, bool)> {
        self.store.read(|conn| read::listing_within(conn, &filter.0, bytes_max, &shown))
    }

    /// The same, as a caller sees them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn listing(&self, filter: &Filter) -> Result<(Vec<JobInfo>, bool)> {
        let (jobs, more) = self.rows(filter)?;
        Ok((jobs.into_iter().map(JobInfo::of).collect(), more))
    }

    /// Returns the jobs that a filter selects, the newest first, not many more than so many bytes;
    /// and the number below which the next page begins, if there are more. A page may be empty and
    /// have a next one.
    ///
    /// # Errors
    /// The file cannot be read.
    #[cfg(any(feature = "web", feature = "mcp"))]
    pub(crate) fn page(&self, filter: &Filter, bytes_max: usize) -> Result<(Vec<JobInfo>, Option<JobId>)> {
        let (jobs, next) = self.store.read(|conn| page::jobs(conn, &filter.0, bytes_max))?;
        Ok((jobs.into_iter().map(JobInfo::of).collect(), next))
    }

    /// Returns the number of the newest job.
    ///
    /// # Errors
    /// The file cannot be read.
    #[cfg(feature = "web")]
    pub(crate) fn newest_job(&self) -> Result<Option<JobId>> {
        self.store.read(newest::id)
    }

    /// Returns the jobs that have ended last, the latest first, at most so many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn latest_ends(&self, most: usize) -> Result<Vec<JobInfo>> {
        let jobs = self.store.read(|conn| newest::latest_ends(conn, most))?;
        Ok(jobs.into_iter().map(JobInfo::of).collect())
    }

    /// Returns a job, if there is one with this number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn find(&self, id: JobId) -> Result<Option<JobInfo>> {
        Ok(self.store.read(|conn| read::job(conn, id))?.map(JobInfo::of))
    }

    /// Returns the newest job that was added by hand: not by a schedule and not by a pipeline.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn last(&self) -> Result<Option<JobInfo>> {
        let last = self.store.read(|conn| newest::by_hand(conn)?.map_or(Ok(None), |id| read::job(conn, id)))?;
        Ok(last.map(JobInfo::of))
    }

    /// Returns labels of jobs, each once, at most so many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn labels(&self, most: usize) -> Result<Vec<String>> {
        self.store.read(|conn| read::labels(conn, most))
    }

    /// Returns the names of queues, at most so many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn queue_names(&self, most: usize) -> Result<Vec<String>> {
        self.store.read(|conn| read::queue_names(conn, most))
    }
}
