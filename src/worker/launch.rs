//! From a claimed job to what the spawner is sent.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde_json::Value;

use super::context::Context;
use super::environment::{self, Circumstances};
use crate::error::said;
use crate::job::limits::{GRACE_MS_DEFAULT, PROBE_TIMEOUT_MS, TEARDOWN_TIMEOUT_MS_DEFAULT};
use crate::job::policy::Stdin;
use crate::job::resource::Step;
use crate::job::{Argv, Nonce, Policy, Reason, RunEnd, RunId, limits, workspace};
use crate::run::Launch;
use crate::run::unexecutable::{self, PATH_DEFAULT, Refused};
use crate::store::resource::Resource;
use crate::store::rows::Job;

/// Largest secret, in bytes: it becomes an environment variable.
const SECRET_BYTES_MAX: u64 = crate::job::limits::ARGUMENT_BYTES_MAX as u64;

/// A run that is to be started for a job.
pub(super) struct Start<'a> {
    pub job: &'a Job,
    pub policy: &'a Policy,
    pub run: RunId,
    pub nonce: Nonce,
    pub slot: usize,
    pub previous_reason: Option<Reason>,
    /// The queue's backstop, in milliseconds.
    pub max_runtime_ms: Option<u64>,
}

/// Everything that the shim needs, or why the job cannot be run, in words for its owner.
pub(super) fn of_job(ctx: &Context, start: &Start<'_>) -> Result<Launch, String> {
    let argv = start.job.argv().map_err(|e| e.to_string())?;
    let policy = start.policy;
    let mut launch = skeleton(ctx, start, &argv, policy.timeout_ms)?;
    launch.stdin = policy.stdin.as_ref().map(|stdin| match stdin {
        Stdin::File(path) => PathBuf::from(path),
        Stdin::Kept(token) => ctx.place().secret_file(token),
    });
    launch.warn = policy.warn.map(|warn| (warn.signal, warn.before_ms));
    launch.idle_timeout_ms = policy.idle_timeout_ms;
    launch.max_runtime_ms = start.max_runtime_ms;
    Ok(launch)
}

/// The check of a job: in the job's directory and environment, with its result at hand, and a timeout.
pub(super) fn of_check(ctx: &Context, start: &Start<'_>, check: &Argv, parent: RunId) -> Result<Launch, String> {
    let timeout_ms = start.policy.timeout_ms.unwrap_or(super::check::TIMEOUT_MS_DEFAULT);
    let mut launch = skeleton(ctx, start, check, Some(timeout_ms))?;
    let result = ctx.place().result_file(parent);
    for (name, value) in &mut launch.env {
        if name == b"TENURE_RESULT" {
            *value = std::os::unix::ffi::OsStrExt::as_bytes(result.as_os_str()).to_vec();
        }
    }
    launch.result = None;
    Ok(launch)
}

/// The making of a job's workspace: as the job would be run, but in the new directory, and with a timeout of its own.
pub(super) fn of_prepare(
    ctx: &Context,
    start: &Start<'_>,
    recipe: &Argv,
    new: &Path,
    workspace: &Path,
) -> Result<Launch, String> {
    let mut launch = skeleton(ctx, start, recipe, Some(limits::PREPARE_TIMEOUT_MS))?;
    launch.result = None;
    inside(&mut launch, "", workspace)?;
    launch.cwd = new.as_os_str().as_bytes().to_vec();
    Ok(launch)
}

/// As [`of_job`], in its workspace. Made anew, as a deadline counts from now.
pub(super) fn of_job_in(ctx: &Context, start: &Start<'_>, workspace: &Path) -> Result<Launch, String> {
    let mut launch = of_job(ctx, start)?;
    inside(&mut launch, &start.job.cwd, workspace)?;
    Ok(launch)
}

/// Puts a run into a workspace: `cwd` is relative to it.
pub(super) fn inside(launch: &mut Launch, cwd: &str, workspace: &Path) -> Result<(), String> {
    let inside = workspace::inside(cwd)?;
    let cwd = if inside.is_empty() { workspace.to_owned() } else { workspace.join(inside) };
    launch.cwd = cwd.as_os_str().as_bytes().to_vec();
    launch.env.push((b"TENURE_WORKSPACE".to_vec(), workspace.as_os_str().as_bytes().to_vec()));
    Ok(())
}

/// Whether a command can be found, as far as that can be told before its directory is there: what the shim would say.
///
/// # Errors
/// It cannot be executed.
pub(super) fn is_findable(launch: &Launch) -> Result<(), RunEnd> {
    let name = &launch.argv[0];
    let path = launch.env.iter().rev().find(|(key, _)| key == b"PATH").map_or(PATH_DEFAULT.as_bytes(), |(_, v)| v);
    let candidates = unexecutable::candidates(name, path);
    // Relative to a directory that is still to be made.
    if candidates.iter().any(|candidate| candidate.is_relative()) {
        return Ok(());
    }
    let (errno, what) = if name.starts_with(b"/") {
        match access(name.as_slice(), Access::EXEC_OK) {
            Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)) => (errno, String::from_utf8_lossy(name)),
            _ => return Ok(()),
        }
    } else {
        if candidates.iter().any(|candidate| access(candidate, Access::EXISTS).is_ok()) {
            return Ok(());
        }
        (Errno::NOENT, format!("{} (looked for in PATH)", String::from_utf8_lossy(name)).into())
    };
    let why = unexecutable::explain(&Refused {
        errno: errno.raw_os_error(),
        argv: &launch.argv,
        candidates: &candidates.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
        cwd: Path::new("/"),
        path,
        may: &unexecutable::we_may,
    });
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    Err(RunEnd::NotExecuted { errno: errno.raw_os_error(), error: format!("execve {what}: {}{why}", said(&errno.into())) })
}

/// A step in the end of a resource: its teardown or its probe, in its directory, or, where that is gone, in `/`.
pub(super) fn of_resource(ctx: &Context, resource: &Resource, step: Step, run: RunId, nonce: Nonce) -> Result<Launch, String> {
    let command = match step {
        Step::Teardown => &resource.teardown,
        Step::Probe | Step::Confirm => resource.probe.as_ref().ok_or("it has no probe")?,
    };
    if let Some(fault) = &resource.unreadable {
        return Err(format!(
            "{fault}, so it cannot be run; remove the thing by hand, then: tenure resource release --force {}",
            resource.id
        ));
    }
    let argv = Argv::from_json(command).map_err(|e| format!("{}: {e}", step.kind()))?;
    let asked = variables(&resource.env, true)?;
    let timeout_ms = resource.timeout_ms.unwrap_or(TEARDOWN_TIMEOUT_MS_DEFAULT);
    let is_there = std::path::Path::new(&resource.cwd).is_dir();
    Ok(Launch {
        run,
        nonce,
        argv: argv.arguments().to_vec(),
        env: environment::of_resource(resource, &asked, ctx.place().db(), run, inherited),
        cwd: if is_there { resource.cwd.clone().into_bytes() } else { b"/".to_vec() },
        log: ctx.place().log_file(run),
        result: None,
        stdin: None,
        timeout_ms: Some(if step == Step::Teardown { timeout_ms } else { timeout_ms.min(PROBE_TIMEOUT_MS) }),
        max_runtime_ms: None,
        grace_ms: GRACE_MS_DEFAULT,
        warn: None,
        idle_timeout_ms: None,
        log_limit_bytes: ctx.options.log_limit_bytes,
        memory_bytes: None,
        memory_group: None,
        memory_kills: ctx.limiter.kills.clone(),
        nice: None,
        user: None,
        waits_for_go: false,
    })
}

/// The variables that were asked for. The command line refuses the same; a row may come from anybody.
fn variables(env: &str, of_task: bool) -> Result<BTreeMap<String, String>, String> {
    let asked: BTreeMap<String, Value> = serde_json::from_str(env)
        .map_err(|_| r#"env: it is not a JSON object; write it as json_object('NAME', 'value')"#.to_owned())?;
    let one = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        other => Err(format!("env: the value of {name:?} is {other}, not a string; write it in quotes")),
    };
    let asked: BTreeMap<String, String> = asked.into_iter().map(one).collect::<Result<_, _>>()?;
    if let Some(name) = asked.keys().find(|name| !environment::may_be_asked(name, of_task)) {
        return Err(format!("env: {name:?} is not a name that a job can be given"));
    }
    if let Some((name, _)) = asked.iter().find(|(_, value)| value.contains('\0')) {
        return Err(format!("env: the value of {name:?} contains a NUL byte"));
    }
    Ok(asked)
}

/// A variable of the worker's own. A service manager gives a worker of root no `HOME`; the user database has one.
fn inherited(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).or_else(|| super::home::of_own_user(name))
}

fn skeleton(ctx: &Context, start: &Start<'_>, argv: &Argv, timeout_ms: Option<u64>) -> Result<Launch, String> {
    let (job, policy) = (start.job, start.policy);
    if let Some(fault) = &job.unreadable {
        return Err(format!(
            "{fault}, so it cannot be run; add it again, with arguments that are not UTF-8 as {{\"hex\": \"...\"}}"
        ));
    }
    let asked = variables(&job.env, job.task_id.is_some())?;
    let result = ctx.place().result_file(start.run);
    let deadline_ms = timeout_ms.map(|ms| ctx.now_ms().saturating_add_unsigned(ms));
    let around = Circumstances {
        db: ctx.place().db(),
        run: start.run,
        nonce: start.nonce,
        slot: start.slot,
        previous_reason: start.previous_reason,
        result: &result,
        deadline_ms,
    };
    // What belongs to the worker's user is none of another user's; the shim gives that one its own.
    let personal = |name: &str| policy.user.is_some() && ["HOME", "USER", "SHELL"].contains(&name);
    let inherited = |name: &str| inherited(name).filter(|_| !personal(name));
    Ok(Launch {
        run: start.run,
        nonce: start.nonce,
        argv: argv.arguments().to_vec(),
        env: environment::assemble(job, &asked, secrets(ctx, policy)?, &around, inherited),
        cwd: job.cwd.clone().into_bytes(),
        log: ctx.place().log_file(start.run),
        result: Some(result),
        stdin: None,
        timeout_ms,
        max_runtime_ms: None,
        grace_ms: policy.grace_ms(),
        warn: None,
        idle_timeout_ms: None,
        log_limit_bytes: policy.log_limit_bytes.unwrap_or(ctx.options.log_limit_bytes),
        memory_bytes: policy.memory_bytes,
        memory_group: policy.memory_bytes.and_then(|_| ctx.limiter.group(start.run, start.nonce)),
        memory_kills: ctx.limiter.kills.clone(),
        nice: policy.nice,
        user: policy.user.clone(),
        waits_for_go: false,
    })
}

fn secrets(ctx: &Context, policy: &Policy) -> Result<BTreeMap<String, Vec<u8>>, String> {
    policy.secrets.iter().map(|(name, token)| Ok((name.clone(), secret(ctx, name, token)?))).collect()
}

fn secret(ctx: &Context, name: &str, token: &str) -> Result<Vec<u8>, String> {
    use std::io::Read;
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(format!("secret {name}: its token is none of ours"));
    }
    let mut value = Vec::new();
    std::fs::File::open(ctx.place().secret_file(token))
        .and_then(|file| file.take(SECRET_BYTES_MAX).read_to_end(&mut value))
        .map_err(|e| format!("secret {name} is gone ({}); add the job again", said(&e)))?;
    Ok(value)
}
