//! A job like another one: the description of a job that is in the file, with changes.
//!
//! Pure. `add --like` and `rerun` make a new job of it, `set` and `edit` change a queued one, and
//! `cli::parse::overlay` changes what a template has in common with a job. Each change is an option
//! of `add`, read by the same parsers.

use std::path::Path;

use crate::job::check::RESERVED_PREFIX;
use crate::job::policy::Stdin;
use crate::job::{Argv, NewJob, Placement, Policy, check};
use crate::parse::options::{JobOptions, Surroundings, text_of};

impl JobOptions {
    /// Returns `base` with what these options and `command` change. Variables are added, or replace
    /// those of the same name; dependencies replace all of `base`.
    ///
    /// # Errors
    /// An invalid value, with the option's name and the remedy.
    pub fn over_job(&self, command: Option<Argv>, base: &NewJob, around: &Surroundings) -> Result<NewJob, String> {
        let mut job = base.clone();
        if let Some(command) = command {
            job.command = command;
        }
        self.change(&mut job.placement, &mut job.policy, around)?;
        if self.delay.is_some() || self.at.is_some() {
            job.available_at = self.available_at(&around.now)?;
        }
        if self.expires.is_some() {
            job.expires_at = self.expires_at(&around.now)?;
            if job.expires_at.is_some_and(|at| at <= around.now.timestamp().as_millisecond()) {
                return Err("--expires: it is in the past; give a time in the future, or omit it".into());
            }
        }
        if !(self.after.is_empty() && self.after_any.is_empty() && self.after_failed.is_empty()) {
            job.after = self.waits_for(&around.found)?;
        }
        let refusal = |refusal: check::Refusal| match refusal.option {
            Some(option) => format!("--{option}: {}", refusal.why),
            None => refusal.why,
        };
        check::of_row(&job).map_err(refusal)?;
        Ok(job)
    }

    /// Returns the jobs to add that are like `base`: one, or one for each index of an array.
    ///
    /// # Errors
    /// As [`JobOptions::over_job`].
    pub fn jobs_like(&self, command: Option<Argv>, base: NewJob, around: &Surroundings) -> Result<Vec<NewJob>, String> {
        let job = self.over_job(command, &for_a_new_job(base, self)?, around)?;
        self.each_index(job, around)
    }

    /// Changes what a job and a template have in common.
    pub(crate) fn change(&self, placement: &mut Placement, policy: &mut Policy, around: &Surroundings) -> Result<(), String> {
        self.over_placement(placement, policy.workspace.is_some(), around)?;
        self.over_policy(policy, &around.cwd)
    }

    fn over_placement(&self, placement: &mut Placement, had_workspace: bool, around: &Surroundings) -> Result<(), String> {
        set(&mut placement.queue, &self.queue);
        set(&mut placement.priority, &self.priority);
        set(&mut placement.slots, &self.slots);
        placement.uses.extend(self.uses.iter().cloned());
        set_some(&mut placement.lane, &self.lane);
        set_some(&mut placement.label, &self.label);
        set_some(&mut placement.unique_key, &self.unique);
        set(&mut placement.max_attempts, &self.retries.map(|retries| retries.saturating_add(1)));
        placement.replace |= self.replace;
        placement.user_hold |= self.hold;
        if self.cwd.is_some() || (self.workspace.is_some() && !had_workspace) {
            let inside = Self { workspace: self.workspace.clone().or(had_workspace.then(String::new)), ..self.clone() };
            placement.cwd = inside.directory(&around.cwd)?;
        }
        for (name, value) in self.environment(around)? {
            check::variable(&name, value.as_bytes()).map_err(|e| format!("--env: {e}"))?;
            placement.env.insert(name, value);
        }
        Ok(())
    }

    fn over_policy(&self, policy: &mut Policy, here: &Path) -> Result<(), String> {
        set_some(&mut policy.timeout_ms, &self.timeout);
        set_some(&mut policy.grace_ms, &self.grace);
        set_some(&mut policy.warn, &self.warn);
        set_some(&mut policy.idle_timeout_ms, &self.idle_timeout);
        set_some(&mut policy.backoff_ms, &self.backoff);
        set_some(&mut policy.retry_on, &self.retry_on.clone().map(|endings| endings.0));
        set(&mut policy.no_retry_on, &self.no_retry_on.clone().map(|endings| endings.0));
        set_some(&mut policy.max_deferrals, &self.max_deferrals);
        set_some(&mut policy.memory_bytes, &self.memory);
        set_some(&mut policy.nice, &self.nice);
        set_some(&mut policy.user, &self.user);
        set_some(&mut policy.log_limit_bytes, &self.log_limit);
        set_some(&mut policy.check, &self.check);
        set_some(&mut policy.hooks.on_failure, &self.on_failure);
        set_some(&mut policy.hooks.on_success, &self.on_success);
        set_some(&mut policy.hooks.on_end, &self.on_end);
        if let Some(file) = self.stdin.as_ref().filter(|file| *file != "-") {
            policy.stdin = Some(Stdin::File(text_of(&here.join(file)).map_err(|e| format!("--stdin: {e}"))?));
        }
        match (&self.workspace, &self.prepare, &mut policy.workspace) {
            (None, None, _) => {}
            (None, Some(prepare), Some(workspace)) => workspace.prepare = Some(prepare.clone()),
            (Some(key), None, Some(workspace)) => workspace.key.clone_from(key),
            _ => policy.workspace = self.wanted_workspace()?,
        }
        Ok(())
    }
}

fn set<T: Clone>(value: &mut T, change: &Option<T>) {
    if let Some(change) = change {
        value.clone_from(change);
    }
}

fn set_some<T: Clone>(value: &mut Option<T>, change: &Option<T>) {
    if change.is_some() {
        value.clone_from(change);
    }
}

/// Returns the description for a new job: without what belongs to that one job, to the task or the
/// schedule that made it, or is removed once it has ended.
///
/// # Errors
/// It needs a secret or a standard input that is not kept any more; the remedy is the option.
fn for_a_new_job(mut job: NewJob, options: &JobOptions) -> Result<NewJob, String> {
    if let Some(name) = job.policy.secrets.keys().find(|name| !options.secret.contains(name)) {
        return Err(format!("it has the secret {name}, which is never copied; give --secret {name} again"));
    }
    job.policy.secrets.clear();
    if matches!(job.policy.stdin, Some(Stdin::Kept(_))) && options.stdin.is_none() {
        return Err("its standard input was kept for that job alone; give --stdin again".into());
    }
    if matches!(job.policy.stdin, Some(Stdin::Kept(_))) {
        job.policy.stdin = None;
    }
    job.placement.env.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    (job.placement.user_hold, job.available_at, job.expires_at) = (false, 0, None);
    (job.after, job.task, job.task_hold, job.lane_limit) = (Vec::new(), None, false, None);
    Ok(job)
}

/// Removes the value of an option, so that the default counts.
///
/// # Errors
/// No option of that name has a value that can be removed.
pub fn clear(job: &mut NewJob, key: &str, around: &Surroundings) -> Result<(), String> {
    match key {
        "delay" | "at" => job.available_at = 0,
        "expires" => job.expires_at = None,
        "after" | "after_any" | "after_failed" => job.after.clear(),
        _ => return clear_common(&mut job.placement, &mut job.policy, key, around),
    }
    Ok(())
}

/// As [`clear`], of what a job and a template have in common.
pub(crate) fn clear_common(
    placement: &mut Placement,
    policy: &mut Policy,
    key: &str,
    around: &Surroundings,
) -> Result<(), String> {
    match key {
        "lane" => placement.lane = None,
        "label" => placement.label = None,
        "unique" => (placement.unique_key, placement.replace) = (None, false),
        "priority" => placement.priority = 0,
        "slots" => placement.slots = 1,
        "uses" => placement.uses.clear(),
        "retries" => placement.max_attempts = 1,
        "env" => placement.env.retain(|name, _| name.starts_with(RESERVED_PREFIX)),
        "timeout" => policy.timeout_ms = None,
        "grace" => policy.grace_ms = None,
        "warn" => policy.warn = None,
        "idle_timeout" => policy.idle_timeout_ms = None,
        "backoff" => policy.backoff_ms = None,
        "retry_on" => policy.retry_on = None,
        "no_retry_on" => policy.no_retry_on.clear(),
        "max_deferrals" => policy.max_deferrals = None,
        "memory" => policy.memory_bytes = None,
        "nice" => policy.nice = None,
        "user" => policy.user = None,
        "log_limit" => policy.log_limit_bytes = None,
        "stdin" => policy.stdin = None,
        "check" => policy.check = None,
        "workspace" => {
            policy.workspace = None;
            // It was inside the workspace.
            if !placement.cwd.starts_with('/') {
                placement.cwd = text_of(&around.cwd).map_err(|e| format!("--cwd: {e}"))?;
            }
        }
        "prepare" => policy.workspace.iter_mut().for_each(|workspace| workspace.prepare = None),
        "on_failure" => policy.hooks.on_failure = None,
        "on_success" => policy.hooks.on_success = None,
        "on_end" => policy.hooks.on_end = None,
        _ => return Err("it always has a value; give another one".into()),
    }
    Ok(())
}
