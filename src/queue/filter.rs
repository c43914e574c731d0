//! Selects the jobs to list.

use super::Queue;
use super::info::JobInfo;
use crate::error::Result;
use crate::job::State;
use crate::store::read;

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
        Ok(jobs.iter().map(JobInfo::of).collect())
    }
}
