//! Builds the launch of a hook: its command, what it is told of the end in its environment and on
//! its standard input, and its limits.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::command::{inherited_for, variables};
use super::environment::{self, Environment};
use crate::clock::rfc3339;
use crate::error::said;
use crate::escape;
use crate::job::document::{JobDocument, SCHEMA, parsed};
use crate::job::limits::{ARGUMENT_BYTES_MAX, HOOK_LOG_LIMIT_BYTES, HOOK_TIMEOUT_MS};
use crate::job::{Argv, RunId, RunKey};
use crate::place::Place;
use crate::run::Launch;
use crate::store::hook::Hook;
use crate::store::job::rows::Job;
use crate::worker::context::Context;

/// Longest value of a variable, in bytes: a hostile command must not keep the hook from starting.
const VALUE_BYTES_MAX: usize = ARGUMENT_BYTES_MAX / 8;

/// Returns the launch of a hook. A job's own hook runs like the job: as its user, with its
/// variables, in its directory, or in `/` if that is gone. One of the configuration runs as the
/// worker, in `/`.
///
/// # Errors
/// Text for the owner of the hook.
pub fn of_hook(ctx: &Context, hook: &Hook, job: &Job, key: RunKey) -> Result<Launch, String> {
    let argv = Argv::from_json(&hook.command).map_err(|e| e.to_string())?;
    let is_own = hook.rule.is_none();
    // A policy that cannot be read any more has no user that could be forgotten: no hook was made.
    let policy = job.policy()?;
    if is_own && job.owner.is_some() {
        return Err("a job of another user has no hooks of its own, which root would run".into());
    }
    let asked = if is_own { variables(&job.env, job.task_id.is_some())? } else { BTreeMap::new() };
    let place = ctx.place();
    let user = policy.user.clone().filter(|_| is_own);
    let inherited = |name: &str| if is_own { inherited_for(&policy, name) } else { inherited_for(&Default::default(), name) };
    let log = hook.run.map(|run| place.log_file(run));
    let env = environment::of_hook(&asked, inherited, facts(hook, job, place.db(), key.run, log.as_deref()));
    let cwd = if is_own && Path::new(&job.cwd).is_dir() { job.cwd.clone().into_bytes() } else { b"/".to_vec() };
    let input = write_input(place, key.run, &document(hook, job)).map_err(|e| format!("its input: {}", said(&e)))?;
    Ok(Launch {
        timeout_ms: Some(HOOK_TIMEOUT_MS),
        log_limit_bytes: HOOK_LOG_LIMIT_BYTES,
        memory_kills: ctx.limiter.kills.clone(),
        stdin: Some(input),
        user,
        ..Launch::plain(key, argv.arguments().to_vec(), env, cwd, place.log_file(key.run))
    })
}

/// Returns the variables of tenure.
fn facts(hook: &Hook, job: &Job, db: &Path, run: RunId, log: Option<&Path>) -> Environment {
    use std::os::unix::ffi::OsStrExt as _;
    let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let number = |n: Option<i32>| n.map(|n| n.to_string().into_bytes());
    let command = job.argv().map_or_else(|_| job.command.clone(), |argv| escape::quote_whole(&argv));
    let text = |text: &str| limited(&escape::line(text)).into_bytes();
    let all = [
        ("TENURE_DB", Some(path(db))),
        ("TENURE_RUN", Some(run.to_string().into_bytes())),
        ("TENURE_HOOK", Some(hook.id.to_string().into_bytes())),
        ("TENURE_HOOK_ATTEMPT", Some(hook.attempts.saturating_add(1).to_string().into_bytes())),
        ("TENURE_JOB", Some(hook.job.to_string().into_bytes())),
        ("TENURE_EVENT", Some(hook.event.as_str().into())),
        ("TENURE_STATE", Some(hook.state.as_str().into())),
        ("TENURE_REASON", hook.reason.map(|reason| reason.as_str().into())),
        ("TENURE_EXIT_CODE", number(hook.exit_code)),
        ("TENURE_SIGNAL", number(hook.signal)),
        ("TENURE_ERROR", hook.error.as_deref().map(text)),
        ("TENURE_LOG", log.map(path)),
        ("TENURE_QUEUE", Some(text(&job.queue))),
        ("TENURE_LABEL", job.label.as_deref().map(text)),
        ("TENURE_COMMAND", Some(text(&command))),
        ("TENURE_TASK", job.task_id.map(|task| task.to_string().into_bytes())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.as_bytes().to_vec(), value?))).collect()
}

fn limited(text: &str) -> String {
    let mut end = text.len().min(VALUE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Returns the job as it ended: since then it may have been retried.
fn document(hook: &Hook, job: &Job) -> String {
    let is_latest = job.run_id == hook.run && job.state == hook.state;
    let document = JobDocument {
        schema: SCHEMA,
        id: job.id,
        state: hook.state,
        reason: hook.reason,
        hold: None,
        queue: job.queue.clone(),
        lane: job.lane.clone(),
        label: job.label.clone(),
        command: parsed(&job.command),
        cwd: job.cwd.clone(),
        priority: job.priority,
        slots: job.slots,
        uses: job.uses(),
        unique: job.unique_key.clone(),
        attempts: job.attempts,
        max_attempts: job.max_attempts,
        deferrals: job.deferrals,
        available_at: rfc3339(job.available_at.max(job.created_at)),
        created_at: rfc3339(job.created_at),
        run_id: hook.run,
        pid: None,
        started_at: job.started_at.filter(|_| is_latest).map(rfc3339),
        finished_at: Some(rfc3339(hook.ended_at)),
        exit_code: hook.exit_code,
        signal: hook.signal,
        error: hook.error.clone(),
        progress: None,
        result: job.result.clone().filter(|_| is_latest),
        task: job.task_id,
        suspension: None,
        owner: job.owner,
    };
    format!("{}\n", document.to_value())
}

/// Writes the standard input of a hook. A leftover is removed with the results of ended runs.
fn write_input(place: &Place, run: RunId, text: &str) -> std::io::Result<PathBuf> {
    use std::io::Write as _;
    let path = place.hook_input(run);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}
