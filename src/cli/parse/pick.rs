//! From selectors to existing jobs.

use crate::cli::parse::select::{Part, Selector};
use crate::cli::parse::values;
use crate::cli::view::escape::quote_text;
use crate::cli::view::table;
use crate::error::{Error, Result};
use crate::job::{JobId, State, nearest};
use crate::queue::{Filter, JobInfo, Queue};

/// Most jobs that one command changes.
pub const JOBS_MAX: usize = 100_000;

/// Most ended jobs that a queue, a state or a label selects: the newest.
pub const ENDED_MAX: usize = 10_000;

/// Jobs by number.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Named {
    /// Jobs: 7, 3-9, 1,4,8 or last
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<Selector>,
}

/// Jobs by number, or by a filter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Many {
    /// Jobs: 7, 3-9, 1,4,8 or last
    #[arg(value_name = "ID")]
    pub ids: Vec<Selector>,
    /// Select jobs of this queue
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Option<String>,
    /// Select jobs in this state
    ///
    /// May be given several times.
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Select jobs with this label
    #[arg(short = 'l', long, value_name = "LABEL", value_parser = values::parse_label)]
    pub label: Option<String>,
}

impl Many {
    /// Nothing was named.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.is_filter()
    }

    /// Whether jobs are selected by a filter, not only by number.
    pub fn is_filter(&self) -> bool {
        self.queue.is_some() || !self.state.is_empty() || self.label.is_some()
    }

    /// Returns the selected jobs, by id. `states` applies if no state was given. Of ended jobs the
    /// newest [`ENDED_MAX`] are selected.
    ///
    /// # Errors
    /// A named job does not exist; no job matches; nothing was named.
    pub fn jobs(&self, queue: &Queue, states: &[State]) -> Result<Vec<JobInfo>> {
        let states = if self.state.is_empty() { states } else { &self.state };
        let found = self.find(queue, states)?;
        if found.is_empty() { Err(self.no_match(queue, states)?) } else { Ok(found) }
    }

    /// Says which jobs were not found: that there are others, or the name that was most likely
    /// meant.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn no_match(&self, queue: &Queue, states: &[State]) -> Result<Error> {
        let mut which: Vec<String> = self.label.iter().map(|label| format!("--label {}", quote_text(label))).collect();
        which.extend(self.queue.iter().map(|queue| format!("--queue {}", quote_text(queue))));
        which.extend(self.state.iter().map(|state| format!("--state {state}")));
        let all_states = State::ALL.iter().all(|state| states.contains(state));
        let kind = match states {
            _ if all_states || !self.state.is_empty() => String::new(),
            states => states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" or ") + " ",
        };
        let named = if self.ids.is_empty() { "" } else { " of those that were named" };
        let which = which.join(" ");
        let vain = format!("no {kind}job{named} matches {which}");
        let others = if self.ids.is_empty() && !kind.is_empty() { self.in_other_states(queue, states)? } else { 0 };
        if others > 0 {
            let others = table::count(others, "job", "in another state does", "in other states do");
            return Ok(Error::NotFound(format!("{vain}; {others}: tenure ls -a {which}")));
        }
        Ok(Error::NotFound(format!("no job{named} matches {which}; tenure ls -a lists all{}", self.question(queue)?)))
    }

    /// Counts the jobs that match apart from their state; [`ENDED_MAX`] means at least that many.
    fn in_other_states(&self, queue: &Queue, states: &[State]) -> Result<i64> {
        let states: Vec<State> = State::ALL.into_iter().filter(|state| !states.contains(state)).collect();
        Ok(i64::try_from(queue.list(&self.filter(states).limit(ENDED_MAX))?.len()).unwrap_or(i64::MAX))
    }

    /// Returns the filter for what was given, in these states.
    pub fn filter(&self, states: impl IntoIterator<Item = State>) -> Filter {
        let mut filter = Filter::live().states(states);
        if let Some(queue) = &self.queue {
            filter = filter.queue(queue);
        }
        if let Some(label) = &self.label {
            filter = filter.label(label);
        }
        filter
    }

    /// Suggests the queue or the label that was most likely meant.
    fn question(&self, queue: &Queue) -> Result<String> {
        let mut text = String::new();
        if let Some(label) = &self.label {
            let labels = queue.labels(nearest::NAMES_MAX)?;
            text += &nearest::question(label, labels.iter().map(String::as_str).filter(|name| *name != label));
        }
        if let Some(meant) = &self.queue {
            let queues = queue.queue_names()?;
            text += &nearest::question(meant, queues.iter().map(String::as_str).filter(|name| *name != meant));
        }
        Ok(text)
    }

    fn find(&self, queue: &Queue, states: &[State]) -> Result<Vec<JobInfo>> {
        if self.is_empty() {
            return Err(Error::Invalid("name the jobs: 7, 3-9, 1,4,8 or last; or --queue, --state, --label".into()));
        }
        if !self.is_filter() {
            return jobs(queue, &self.ids);
        }
        let mut found = Vec::new();
        // In this order, so that one that ends meanwhile is not missed.
        for (are_ended, limit) in [(false, JOBS_MAX), (true, ENDED_MAX)] {
            let states: Vec<State> = states.iter().copied().filter(|state| state.is_terminal() == are_ended).collect();
            if !states.is_empty() {
                found.extend(queue.list(&self.filter(states).limit(limit))?);
            }
        }
        found.sort_unstable_by_key(|job| job.id);
        // It is there twice then.
        found.dedup_by_key(|job| job.id);
        if !self.ids.is_empty() {
            let named: std::collections::HashSet<JobId> = jobs(queue, &self.ids)?.into_iter().map(|job| job.id).collect();
            found.retain(|job| named.contains(&job.id));
        }
        Ok(found)
    }
}

/// Returns the named jobs, by id, each once.
///
/// # Errors
/// One does not exist; of a range, none exists.
pub fn jobs(queue: &Queue, selectors: &[Selector]) -> Result<Vec<JobInfo>> {
    let mut found = std::collections::BTreeMap::new();
    for part in selectors.iter().flat_map(|selector| &selector.0) {
        for job in of_part(queue, *part)? {
            found.insert(job.id, job);
        }
        if found.len() > JOBS_MAX {
            return Err(Error::Invalid(format!("that names more than {JOBS_MAX} jobs; name fewer at a time")));
        }
    }
    Ok(found.into_values().collect())
}

fn of_part(queue: &Queue, part: Part) -> Result<Vec<JobInfo>> {
    match part {
        Part::One(id) => {
            let found = queue.find(id)?;
            found.map(|job| vec![job]).ok_or_else(|| Error::NotFound(format!("there is no job {id}; tenure ls -a lists them")))
        }
        Part::Last => {
            let last = queue.last()?;
            last.map(|job| vec![job]).ok_or_else(|| Error::NotFound("there is no job yet; tenure add makes one".into()))
        }
        Part::Range(first, last) => {
            let filter = Filter::all().between(first, last).limit(JOBS_MAX + 1);
            match queue.list(&filter)? {
                none if none.is_empty() => {
                    Err(Error::NotFound(format!("there is no job from {first} to {last}; tenure ls -a lists them")))
                }
                jobs => Ok(jobs),
            }
        }
    }
}
