//! Adds jobs: what `add`, `run` and `rerun` have in common.

use std::collections::BTreeMap;

use jiff::Zoned;
use serde_json::json;

use crate::cli::face;
use crate::cli::face::{Face, versioned};
use crate::cli::parse::options::{Command, JobOptions, Surroundings};
use crate::cli::parse::pick;
use crate::cli::warn::path_warning::{ShellBy, Warnings};
use crate::error::{Error, Result};
use crate::job::policy::Stdin;
use crate::job::{JobId, NewJob};
use crate::queue::Queue;
use crate::queue::submit::Adding;
use crate::run::machine;
use crate::store::Store;
use crate::store::job::describe;
use crate::store::job::enqueue::{self, Added};
use crate::store::receipt::OneJob;

/// Returns the jobs for options and a command.
pub fn prepare(options: &JobOptions, command: &Command, around: &Surroundings) -> Result<Vec<NewJob>> {
    options.new_jobs(command.argv().map_err(Error::Invalid)?, around).map_err(Error::Invalid)
}

/// Returns what the jobs inherit from here.
pub fn surroundings(face: &Face, store: &Store, options: &JobOptions) -> Result<Surroundings> {
    let found = pick::of_parts(&Queue::of(store), options.parts_to_find())?;
    Ok(Surroundings { found, ..surroundings_without(face.now())? })
}

/// Returns what jobs inherit that name no other job.
pub fn surroundings_without(now: Zoned) -> Result<Surroundings> {
    Ok(Surroundings {
        now,
        cwd: std::env::current_dir().map_err(|e| Error::io_with("finding the working directory", "name one with --cwd", e))?,
        env: std::env::vars_os().collect(),
        found: Vec::new(),
        draw: || machine::nonce().to_string(),
    })
}

/// Warns about files that the worker will not find, if another process than this one is the worker,
/// and about what is never retried. The jobs of an array have one command.
pub fn warn(store: &Store, jobs: &[NewJob], around: &Surroundings, by_other: bool) {
    let mut warnings = Warnings::new(store, around, ShellBy::Option);
    if let Some(job) = jobs.first() {
        if by_other { warnings.check("", job) } else { warnings.check_retries("", job.placement.max_attempts, &job.policy) }
    }
    warnings.end();
}

/// Adds jobs in one transaction and wakes the worker. When this returns, they are durable.
/// `like`: the job that they are like.
pub fn add_jobs(
    store: &Store,
    mut jobs: Vec<NewJob>,
    options: &JobOptions,
    around: &Surroundings,
    like: Option<JobId>,
) -> Result<Vec<Added>> {
    let queue = Queue::of(store);
    let mut adding = queue.adding();
    keep_secrets(&mut adding, &mut jobs, &options.secret, around)?;
    if options.stdin.as_deref().is_some_and(|file| file == "-") {
        let token = adding.keep(&mut std::io::stdin().lock())?;
        jobs.iter_mut().for_each(|job| job.policy.stdin = Some(Stdin::Kept(token.clone())));
    }
    let (added, ()) = adding.commit(move |conn, now_ms| {
        let added = enqueue::add(conn, &jobs, now_ms)?;
        if let Some(like) = like {
            let mut new = added.iter().filter(|one| !one.existing);
            new.try_for_each(|one| describe::made_like(conn, one.id, like))?;
        }
        Ok((added, ()))
    })?;
    Ok(added)
}

/// Keeps the secrets of jobs, whose values are variables here.
pub fn keep_secrets(adding: &mut Adding<'_>, jobs: &mut [NewJob], names: &[String], around: &Surroundings) -> Result<()> {
    let value = |name: &String| Ok((name.clone(), around.variable(name)?.into_bytes()));
    let values: Result<BTreeMap<_, _>, String> = names.iter().map(value).collect();
    adding.keep_secrets(jobs, &values.map_err(|e| Error::Invalid(format!("--secret: {e}")))?)
}

/// Prints the numbers of the jobs.
pub fn tell(face: &Face, added: impl Iterator<Item = OneJob>) -> Result<()> {
    let mut text = String::new();
    for one in added {
        if one.existing {
            face::say(&format!("job {} is live and has this --unique key; nothing was added", one.id));
        }
        if let Some(replaced) = one.replaced {
            face::say(&format!("job {} takes the place of job {replaced}, which is cancelled or being stopped", one.id));
        }
        let document = || versioned(json!({"id": one.id, "existing": one.existing, "replaced": one.replaced})).to_string();
        text += &if face.json { document() } else { one.id.to_string() };
        text.push('\n');
    }
    face::print(&text)
}
