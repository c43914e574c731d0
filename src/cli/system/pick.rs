//! From selectors to jobs that the system worker knows.

use crate::cli::parse::pick::Many;
use crate::cli::parse::select::{Part, Selector};
use crate::cli::view::escape::quote_text;
use crate::error::{Error, Result};
use crate::job::{JobId, State};
use crate::queue::JobInfo;
use crate::queue::people::{Ask, LISTED_MAX, Reply, System, Which};

/// A job, as far as this user may see it.
pub struct Shown {
    pub is_whole: bool,
    pub job: JobInfo,
}

/// Asks for jobs. Also returns whether there are more.
pub fn jobs(system: &System, which: Which) -> Result<(Vec<Shown>, bool)> {
    match system.ask(&Ask::Jobs(which))? {
        (Reply::Jobs(seen, more), _) => {
            let shown = seen.into_iter().map(|one| Shown { is_whole: one.is_whole, job: JobInfo::of(one.job) });
            Ok((shown.collect(), more))
        }
        _ => Err(unexpected()),
    }
}

/// The answer is not one to this question.
pub fn unexpected() -> Error {
    Error::Refused("the system worker has answered something else; use the same version of tenure".into())
}

/// Returns the jobs that were named, each once, in their order; of a label, only this user's.
///
/// # Errors
/// One does not exist.
pub fn named(system: &System, selectors: &[Selector], states: &[State]) -> Result<Vec<Shown>> {
    let mut found: Vec<Shown> = Vec::new();
    for part in selectors.iter().flat_map(|selector| &selector.0) {
        found.extend(of_part(system, part, states)?);
    }
    found.sort_by_key(|one| one.job.id);
    found.dedup_by_key(|one| one.job.id);
    Ok(found)
}

fn of_part(system: &System, part: &Part, states: &[State]) -> Result<Vec<Shown>> {
    let every = Which { all: true, limit: LISTED_MAX, ..Which::default() };
    let (which, none) = match part {
        Part::One(id) => (Which { ids: vec![(id.0, id.0)], ..every }, format!("there is no job {id}")),
        Part::Range(first, last) => {
            (Which { ids: vec![(first.0, last.0)], ..every }, format!("there is no job from {first} to {last}"))
        }
        Part::Last => (Which { mine: true, ..every }, "you have added no job yet".to_owned()),
        Part::Label(label) => (
            Which { label: Some(label.clone()), mine: true, states: states.to_vec(), ..every },
            format!("you have no such job with the label {}", quote_text(label)),
        ),
        Part::Element(..) => {
            return Err(Error::Invalid("name the elements of an array by their own numbers to the system worker".into()));
        }
    };
    let (mut shown, more) = jobs(system, which)?;
    if more && !matches!(part, Part::Last) {
        return Err(Error::Invalid(format!("these are more than {LISTED_MAX} jobs; name fewer")));
    }
    if matches!(part, Part::Last) {
        let newest = shown.iter().map(|one| one.job.id).max();
        shown.retain(|one| Some(one.job.id) == newest);
    }
    if shown.is_empty() { Err(Error::NotFound(format!("{none}; tenure --system ls -a lists the jobs"))) } else { Ok(shown) }
}

/// Returns the numbers of the selected jobs: those that are named, or this user's that match.
///
/// # Errors
/// None matches; nothing was named.
pub fn many(system: &System, which: &Many, states: &[State]) -> Result<Vec<JobId>> {
    let states = if which.state.is_empty() { states } else { &which.state };
    let shown = match (which.ids.is_empty(), which.is_filter()) {
        (true, false) => {
            return Err(Error::Invalid("name the jobs: 7, 3-9, 1,4,8, last or @label; or --queue, --state, --label".into()));
        }
        (true, true) => {
            let (queue, label) = (which.queue.clone(), which.label.clone());
            let (shown, more) =
                jobs(system, Which { queue, label, states: states.to_vec(), mine: true, limit: LISTED_MAX, ..Which::default() })?;
            if more {
                return Err(Error::Invalid(format!("these are more than {LISTED_MAX} jobs; select fewer")));
            }
            shown
        }
        (false, is_filter) => {
            let mut shown = named(system, &which.ids, states)?;
            let is_match = |job: &JobInfo| {
                states.contains(&job.state)
                    && which.queue.as_ref().is_none_or(|queue| *queue == job.queue)
                    && which.label.as_ref().is_none_or(|label| job.label.as_ref() == Some(label))
            };
            shown.retain(|one| !is_filter || is_match(&one.job));
            shown
        }
    };
    match shown.is_empty() {
        true => Err(Error::NotFound("no job of yours matches; tenure --system ls -a lists the jobs".into())),
        false => Ok(shown.into_iter().map(|one| one.job.id).collect()),
    }
}
