//! Why a job waits, or ended as it did: every reason, with numbers, and the command that clears
//! each.
//!
//! The file contributes what it knows (`store::job::why`); the rest is read on demand ([`around`],
//! [`over`], [`stopped`], `paused`). The words for both are pure functions ([`obstacles`],
//! [`worker_words`], [`resource_words`], [`hook_words`]), and the same for every caller: one
//! [`Advice`] per finding.
//! Changes nothing.

pub(crate) mod around;
mod end_words;
mod engine_words;
mod holder;
pub(crate) mod hook_words;
mod keeper_words;
pub(crate) mod obstacles;
pub(crate) mod over;
#[cfg(feature = "cli")]
pub(crate) mod paused;
mod pool_words;
pub(crate) mod resource_words;
pub(crate) mod stopped;
pub(crate) mod worker_words;

use std::path::Path;

use super::Queue;
use crate::clock;
use crate::error::Result;
use crate::host::gates::Floors;
use crate::job::Advice;
use crate::job::JobId;
use crate::run::unexecutable::{self, PATH_DEFAULT};
use crate::store::Store;
use crate::store::file::standing;
use crate::store::job::rows::Job;
use crate::store::job::why::{self, WhyFacts};

impl Queue {
    /// Returns every reason why a job waits, the state of a running one, or why one has ended;
    /// nothing for a queued job that starts in the next free slot.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if no job has this number.
    pub fn why(&self, id: JobId) -> Result<Vec<Advice>> {
        self.row(id)?;
        let explainer = Explainer::new(&self.store, clock::here(self.now_ms()), &Floors::default())?;
        Ok(explainer.of(id)?.1)
    }
}

/// What is common to all jobs of one request.
pub(crate) struct Explainer<'a> {
    store: &'a Store,
    around: around::Around,
    standing: Option<standing::PlaceAdvice>,
}

impl<'a> Explainer<'a> {
    /// Reads worker and machine. `floors` are those of the configuration, which count if no worker
    /// reports its own.
    ///
    /// # Errors
    /// The file or the lock file cannot be read.
    pub fn new(store: &'a Store, now: jiff::Zoned, floors: &Floors) -> Result<Self> {
        Ok(Self { store, around: around::read(store, now, floors)?, standing: standing::advice(store)? })
    }

    /// Returns the facts of a job and all findings about it.
    ///
    /// # Errors
    /// The file, the lock file or the run file cannot be read.
    pub fn of(&self, id: JobId) -> Result<(WhyFacts, Vec<Advice>)> {
        let facts = self.facts(id)?;
        let (over, stopped) = (over::of(self.store, id)?, stopped::of(self.store, &facts.job)?);
        let around = around::Around { over, stopped, script: script(&facts.job), ..self.around.clone() };
        Ok(self.findings(facts, &around))
    }

    /// The same by the file alone: without a look at the processes of a job, of which its user may
    /// have made any number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_row(&self, id: JobId) -> Result<(WhyFacts, Vec<Advice>)> {
        Ok(self.findings(self.facts(id)?, &self.around))
    }

    fn facts(&self, id: JobId) -> Result<WhyFacts> {
        let now_ms = self.store.clock().now_ms();
        self.store.read(|conn| why::why(conn, id, now_ms))
    }

    fn findings(&self, facts: WhyFacts, around: &around::Around) -> (WhyFacts, Vec<Advice>) {
        let mut all = obstacles::of(&facts, around);
        if let Some(place) = self.standing.as_ref().filter(|_| !facts.job.state.is_terminal()) {
            all.retain(|one| one.code != "no_worker" || !place.is_refused);
            all.push(place.advice.clone());
        }
        (facts, all)
    }
}

/// Explains what is wrong with the script of a job, as it is now. Without a `PATH` of its own it is
/// searched in that of this process. A user may have named anything: root looks at no file of such
/// a job.
fn script(job: &Job) -> Option<String> {
    if job.owner.is_some() {
        return None;
    }
    let argv = job.argv().ok()?;
    let env: serde_json::Value = serde_json::from_str(&job.env).unwrap_or_default();
    let path =
        env["PATH"].as_str().map_or_else(|| std::env::var("PATH").unwrap_or_else(|_| PATH_DEFAULT.to_owned()), str::to_owned);
    let tried = unexecutable::candidates(&argv.arguments()[0], path.as_bytes());
    let cwd = Path::new(&job.cwd);
    tried.iter().find_map(|file| unexecutable::carriage_return(file, cwd))
}
