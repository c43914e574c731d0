//! From selectors to existing jobs.

use crate::cli::parse::select::{Part, Selector};
use crate::cli::parse::values;
use crate::cli::view::escape::quote_text;
use crate::cli::view::table;
use crate::error::{Error, Result};
use crate::job::{JobId, State, nearest};
use crate::queue::{Filter, JobInfo, Queue};

/// Most jobs that one command takes.
pub const JOBS_MAX: usize = 100_000;

/// Most ended jobs that `wait` means by a queue, a state or a label: the newest.
pub const ENDED_MAX: usize = 10_000;

/// What becomes of a selection with too many jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    Refused,
    /// Of the ended jobs that a filter selects, the newest [`ENDED_MAX`] are taken.
    EndedCut,
    /// The newest are taken.
    Cut,
}

/// Jobs by number.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Named {
    /// Jobs: 7, 3-9, 1,4,8, last, '12[3]' or @label
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<Selector>,
}

/// Jobs by number, or by a filter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Many {
    /// Jobs: 7, 3-9, 1,4,8, last, '12[3]' or @label
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

    /// Returns the selected jobs, by id. `states` applies if no state was given.
    ///
    /// # Errors
    /// A named job does not exist; no job matches; nothing was named; there are more than one
    /// command takes.
    pub fn jobs(&self, queue: &Queue, states: &[State]) -> Result<Vec<JobInfo>> {
        self.jobs_within(queue, states, Excess::Refused)
    }

    /// As [`Many::jobs`], in any state: of the ended jobs that a filter selects the newest
    /// [`ENDED_MAX`].
    ///
    /// # Errors
    /// As [`Many::jobs`].
    pub fn jobs_to_wait_for(&self, queue: &Queue) -> Result<Vec<JobInfo>> {
        self.jobs_within(queue, &State::ALL, Excess::EndedCut)
    }

    /// As [`Many::jobs`], for a list: of a range with too many jobs the newest.
    ///
    /// # Errors
    /// As [`Many::jobs`].
    pub fn newest_jobs(&self, queue: &Queue, states: &[State]) -> Result<Vec<JobInfo>> {
        self.jobs_within(queue, states, Excess::Cut)
    }

    fn jobs_within(&self, queue: &Queue, states: &[State], excess: Excess) -> Result<Vec<JobInfo>> {
        let states = if self.state.is_empty() { states } else { &self.state };
        let found = self.find(queue, states, excess)?;
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
            let queues = queue.queue_names(nearest::NAMES_MAX)?;
            text += &nearest::question(meant, queues.iter().map(String::as_str).filter(|name| *name != meant));
        }
        Ok(text)
    }

    fn find(&self, queue: &Queue, states: &[State], excess: Excess) -> Result<Vec<JobInfo>> {
        if self.is_empty() {
            return Err(Error::Invalid(
                "name the jobs: 7, 3-9, 1,4,8, last, 12[3] or @label; or --queue, --state, --label".into(),
            ));
        }
        if !self.ids.is_empty() {
            return named(queue, &self.ids, self.is_filter().then_some((self, states)), states, excess);
        }
        let mut found = Vec::new();
        // In this order, so that one that ends meanwhile is not missed.
        let cuts_ended = excess == Excess::EndedCut;
        for (are_ended, limit) in [(false, JOBS_MAX), (true, if cuts_ended { ENDED_MAX } else { JOBS_MAX })] {
            let states: Vec<State> = states.iter().copied().filter(|state| state.is_terminal() == are_ended).collect();
            if !states.is_empty() {
                let (jobs, more) = queue.listing(&self.filter(states).limit(limit))?;
                if more && !(are_ended && cuts_ended) && excess != Excess::Cut {
                    return Err(too_many());
                }
                found.extend(jobs);
            }
        }
        found.sort_unstable_by_key(|job| job.id);
        // It is there twice then.
        found.dedup_by_key(|job| job.id);
        if found.len() > JOBS_MAX && excess != Excess::Cut { Err(too_many()) } else { Ok(found) }
    }

    /// Whether a job matches what was given, in these states. What counts is the state in the file,
    /// as for ranges and filters: a queued job that is being cancelled is shown as cancelled.
    fn matches(&self, job: &JobInfo, states: &[State]) -> bool {
        states.contains(&job.stored.state)
            && self.queue.as_ref().is_none_or(|queue| *queue == job.queue)
            && self.label.as_ref().is_none_or(|label| job.label.as_ref() == Some(label))
    }
}

/// What named jobs must match as well.
type Match<'a> = Option<(&'a Many, &'a [State])>;

/// Returns the named jobs, by id, each once.
///
/// # Errors
/// One does not exist; of a range, none exists; there are more than one command takes.
pub fn jobs(queue: &Queue, selectors: &[Selector]) -> Result<Vec<JobInfo>> {
    named(queue, selectors, None, &State::ALL, Excess::Refused)
}

/// As [`jobs`], where a label means jobs in these states.
///
/// # Errors
/// As [`jobs`].
pub fn jobs_in(queue: &Queue, selectors: &[Selector], states: &[State]) -> Result<Vec<JobInfo>> {
    named(queue, selectors, None, states, Excess::Refused)
}

/// Returns the jobs of each part.
///
/// # Errors
/// As [`jobs`].
pub fn of_parts<'a>(queue: &Queue, parts: impl Iterator<Item = &'a Part>) -> Result<Vec<(Part, Vec<JobId>)>> {
    let ids = |part: &Part| -> Result<Vec<JobId>> {
        Ok(jobs(queue, &[Selector(vec![part.clone()])])?.into_iter().map(|job| job.id).collect())
    };
    parts.map(|part| Ok((part.clone(), ids(part)?))).collect()
}

fn named(queue: &Queue, selectors: &[Selector], matching: Match<'_>, states: &[State], excess: Excess) -> Result<Vec<JobInfo>> {
    let mut found = std::collections::BTreeMap::new();
    for part in selectors.iter().flat_map(|selector| &selector.0) {
        let of_part = match part {
            Part::Label(label) => of_label(queue, label, matching, states, excess)?,
            part => of_part(queue, part, matching, excess)?,
        };
        found.extend(of_part.into_iter().map(|job| (job.id, job)));
        if found.len() > JOBS_MAX && excess != Excess::Cut {
            return Err(too_many());
        }
    }
    Ok(found.into_values().collect())
}

/// Returns the jobs of a part that is not a label.
fn of_part(queue: &Queue, part: &Part, matching: Match<'_>, excess: Excess) -> Result<Vec<JobInfo>> {
    let job = match *part {
        Part::One(id) => of_number(queue, id)?,
        Part::Element(base, index) => of_array(queue, base, index)?,
        Part::Last => {
            let none = || Error::NotFound("no job was added by hand yet; tenure add makes one, tenure ls -a lists all".into());
            queue.last()?.ok_or_else(none)?
        }
        Part::Range(first, last) => return of_range(queue, first, last, matching, excess),
        Part::Label(_) => return Ok(Vec::new()),
    };
    let is_match = matching.is_none_or(|(many, states)| many.matches(&job, states));
    Ok(if is_match { vec![job] } else { Vec::new() })
}

fn of_number(queue: &Queue, id: JobId) -> Result<JobInfo> {
    queue.find(id)?.ok_or_else(|| Error::NotFound(format!("there is no job {id}; tenure ls -a lists them")))
}

/// Returns the job with an index of the array that `base` belongs to. The jobs of an array were
/// added at once, with adjacent numbers and indexes.
fn of_array(queue: &Queue, base: JobId, index: i64) -> Result<JobInfo> {
    let member = of_number(queue, base)?;
    let not_of_one = || Error::NotFound(format!("job {base} is not part of an array; tenure show {base}"));
    let first = member.array_index.ok_or_else(not_of_one)?;
    let id = index.checked_sub(first).and_then(|ahead| base.0.checked_add(ahead)).filter(|id| *id > 0);
    let same = |job: &JobInfo| {
        job.array_index == Some(index)
            && (job.created_at, &job.lane, &job.cwd) == (member.created_at, &member.lane, &member.cwd)
            && (&job.stored.command, &job.stored.env) == (&member.stored.command, &member.stored.env)
    };
    let found = id.map(|id| queue.find(JobId(id))).transpose()?.flatten().filter(same);
    found
        .ok_or_else(|| Error::NotFound(format!("the array of job {base} has no job with index {index}; tenure ls -a lists them")))
}

/// Returns the jobs with a label. Like the option, it means those in the states that the verb is
/// about.
fn of_label(queue: &Queue, label: &str, matching: Match<'_>, states: &[State], excess: Excess) -> Result<Vec<JobInfo>> {
    let none = Many::default();
    let (also, states) = matching.unwrap_or((&none, states));
    if also.label.as_ref().is_some_and(|other| other != label) {
        return Ok(Vec::new());
    }
    let wanted = Many { ids: Vec::new(), queue: also.queue.clone(), state: also.state.clone(), label: Some(label.to_owned()) };
    let found = wanted.find(queue, states, excess)?;
    if found.is_empty() && matching.is_none() { Err(wanted.no_match(queue, states)?) } else { Ok(found) }
}

fn of_range(queue: &Queue, first: JobId, last: JobId, matching: Match<'_>, excess: Excess) -> Result<Vec<JobInfo>> {
    let filter = matching.map_or_else(Filter::all, |(many, states)| many.filter(states.iter().copied()));
    let (found, more) = queue.listing(&filter.between(first, last).limit(JOBS_MAX))?;
    if more && excess != Excess::Cut {
        return Err(too_many());
    }
    // That none matches is another answer than that there is none.
    let is_there = |found: &[JobInfo]| -> Result<bool> {
        let any = Filter::all().between(first, last).limit(1);
        Ok(!found.is_empty() || (matching.is_some() && !queue.list(&any)?.is_empty()))
    };
    if is_there(&found)? {
        Ok(found)
    } else {
        Err(Error::NotFound(format!("there is no job from {first} to {last}; tenure ls -a lists them")))
    }
}

fn too_many() -> Error {
    Error::Invalid(format!(
        "that is more than {JOBS_MAX} jobs, the most that one command takes; give a smaller range, such as 1-{}, alone or together with \
         --label, --queue and --state",
        JOBS_MAX / 2
    ))
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
