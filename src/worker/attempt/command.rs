//! Builds a launch: from a job, or a resource, to the message for the spawner.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde_json::Value;

use super::environment::{self, Circumstances};
use super::own_user;
use crate::error::said;
use crate::host::log_space;
use crate::job::limits::{
    ARGUMENT_BYTES_MAX, CHECK_TIMEOUT_MS_DEFAULT, PREPARE_TIMEOUT_MS, PROBE_TIMEOUT_MS, TEARDOWN_TIMEOUT_MS_DEFAULT,
};
use crate::job::policy::Stdin;
use crate::job::resource::Step;
use crate::job::{Argv, Policy, Reason, RunEnd, RunKey, people, workspace};
use crate::run::Launch;
use crate::run::unexecutable::{self, PATH_DEFAULT, Refused};
use crate::store::job::rows::Job;
use crate::store::resource::Resource;
use crate::worker::context::Context;
use crate::worker::job_run::JobRun;

/// Largest secret, in bytes: it becomes an environment variable.
const SECRET_BYTES_MAX: u64 = ARGUMENT_BYTES_MAX as u64;

/// A command of a job that can be run: its row is valid, and its variables and secrets can be read.
pub struct Command<'a> {
    ctx: &'a Context,
    job: &'a JobRun,
    argv: Argv,
    asked: BTreeMap<String, String>,
    secrets: BTreeMap<String, Vec<u8>>,
}

impl<'a> Command<'a> {
    /// Returns the command of the job itself.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn of_job(ctx: &'a Context, job: &'a JobRun) -> Result<Self, String> {
        job.is_runnable()?;
        another_log(ctx, job)?;
        Self::around(ctx, job, job.row.argv().map_err(|e| e.to_string())?)
    }

    /// Returns an auxiliary command of the job, in its environment.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn around(ctx: &'a Context, job: &'a JobRun, argv: Argv) -> Result<Self, String> {
        if let Some(fault) = &job.row.unreadable {
            return Err(format!(
                "{fault}, so it cannot be run; add it again, with arguments that are not UTF-8 as {{\"hex\": \"...\"}}"
            ));
        }
        if job.row.owner.is_some() {
            people::safe(&job.policy).map_err(|refused| refused.to_string())?;
        }
        let asked = variables(&job.row.env, job.row.task_id.is_some())?;
        Ok(Self { ctx, job, argv, asked, secrets: secrets(ctx, &job.policy)? })
    }

    /// Returns the launch of the job's own run. `workspace`: the directory that it is in.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn launch(self, workspace: Option<&Path>) -> Result<Launch, String> {
        let (ctx, job) = (self.ctx, self.job);
        let policy = &job.policy;
        let result = ctx.place().result_file(job.key.run);
        let mut launch = self.skeleton(job.key, job.previous_reason, &result, policy.timeout_ms);
        launch.result = Some(result);
        launch.stdin = policy.stdin.as_ref().map(|stdin| match stdin {
            Stdin::File(path) => PathBuf::from(path),
            Stdin::Kept(token) => ctx.place().secret_file(token),
        });
        launch.warn = policy.warn.map(|warn| (warn.signal, warn.before_ms));
        launch.idle_timeout_ms = policy.idle_timeout_ms;
        launch.max_runtime_ms = job.max_runtime_ms;
        if let Some(workspace) = workspace {
            inside(&mut launch, &job.row.cwd, workspace)?;
        }
        Ok(launch)
    }

    /// Returns the launch of a check of the job: with access to its result, and with a timeout.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn launch_check(self, key: RunKey, workspace: Option<&Path>) -> Result<Launch, String> {
        let job = self.job;
        let result = self.ctx.place().result_file(job.key.run);
        let timeout_ms = job.policy.timeout_ms.unwrap_or(CHECK_TIMEOUT_MS_DEFAULT);
        let mut launch = self.skeleton(key, None, &result, Some(timeout_ms));
        if let Some(workspace) = workspace {
            inside(&mut launch, &job.row.cwd, workspace)?;
        }
        Ok(launch)
    }

    /// Returns the launch of a preparation of the job's workspace: like that of the job, but in the
    /// new directory, and with its own timeout.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn launch_prepare(self, key: RunKey, new: &Path, workspace: &Path) -> Result<Launch, String> {
        let result = self.ctx.place().result_file(key.run);
        let previous_reason = self.job.previous_reason;
        let mut launch = self.skeleton(key, previous_reason, &result, Some(PREPARE_TIMEOUT_MS));
        inside(&mut launch, "", workspace)?;
        launch.cwd = new.as_os_str().as_bytes().to_vec();
        Ok(launch)
    }

    fn skeleton(self, key: RunKey, previous_reason: Option<Reason>, result: &Path, timeout_ms: Option<u64>) -> Launch {
        let Self { ctx, job, argv, asked, secrets } = self;
        let (row, policy) = (&job.row, &job.policy);
        let deadline_ms = timeout_ms.map(|ms| ctx.now_ms().saturating_add_unsigned(ms));
        let around =
            Circumstances { db: ctx.place().db(), key, slot: job.slot, units: &job.units, previous_reason, result, deadline_ms };
        let inherited = |name: &str| inherited_by(row, policy, name);
        let (cwd, log) = (row.cwd.clone().into_bytes(), ctx.place().log_file(key.run));
        let env = environment::assemble(row, &asked, secrets, &around, inherited);
        Launch {
            timeout_ms,
            grace_ms: policy.grace_ms(),
            log_limit_bytes: log_limit(ctx, job),
            memory_bytes: policy.memory_bytes,
            memory_group: policy.memory_bytes.and_then(|_| ctx.limiter.group(key)),
            memory_kills: ctx.limiter.kills.clone(),
            nice: policy.nice,
            user: policy.user.clone(),
            owner: row.owner,
            ..Launch::plain(key, argv.arguments().to_vec(), env, cwd, log)
        }
    }

    fn path(&self) -> Vec<u8> {
        let asked = || self.asked.get("PATH").map(|path| path.clone().into_bytes());
        let secret = self.secrets.get("PATH").cloned();
        secret
            .or_else(asked)
            .or_else(|| inherited_by(&self.job.row, &self.job.policy, "PATH"))
            .unwrap_or_else(|| PATH_DEFAULT.into())
    }

    /// Checks that the command can be found, as far as that is known before its directory exists;
    /// the error is that of the shim.
    ///
    /// # Errors
    /// It cannot be executed.
    pub fn is_findable(&self) -> Result<(), RunEnd> {
        let argv = self.argv.arguments();
        let (name, path) = (&argv[0], self.path());
        let candidates = unexecutable::candidates(name, &path);
        // Relative to a directory that does not exist yet.
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
            argv,
            candidates: &candidates.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
            cwd: Path::new("/"),
            path: &path,
            may: &unexecutable::we_may,
        });
        let why = why.map(|why| format!("; {why}")).unwrap_or_default();
        Err(RunEnd::NotExecuted { errno: errno.raw_os_error(), error: format!("execve {what}: {}{why}", said(&errno.into())) })
    }
}

/// Moves a run into a workspace: `cwd` is relative to it.
fn inside(launch: &mut Launch, cwd: &str, workspace: &Path) -> Result<(), String> {
    let inside = workspace::inside(cwd)?;
    let cwd = if inside.is_empty() { workspace.to_owned() } else { workspace.join(inside) };
    launch.cwd = cwd.as_os_str().as_bytes().to_vec();
    launch.env.push((b"TENURE_WORKSPACE".to_vec(), workspace.as_os_str().as_bytes().to_vec()));
    Ok(())
}

/// Returns the launch of a step of a teardown: the teardown or the probe, in its directory, or in
/// `/` if that no longer exists.
pub fn of_resource(ctx: &Context, resource: &Resource, step: Step, key: RunKey) -> Result<Launch, String> {
    let command = match step {
        Step::Teardown => &resource.teardown,
        Step::Probe | Step::Confirm => resource.probe.as_ref().ok_or("it has no probe")?,
    };
    if let Some(fault) = &resource.unreadable {
        return Err(format!(
            "{fault}, so it cannot be run; remove the resource by hand, then: tenure resource release --force {}",
            resource.id
        ));
    }
    let argv = Argv::from_json(command).map_err(|e| format!("{}: {e}", step.kind()))?;
    let asked = variables(&resource.env, true)?;
    let timeout_ms = resource.timeout_ms.unwrap_or(TEARDOWN_TIMEOUT_MS_DEFAULT);
    let is_there = std::path::Path::new(&resource.cwd).is_dir();
    let env = environment::of_resource(resource, &asked, ctx.place().db(), key.run, inherited);
    let cwd = if is_there { resource.cwd.clone().into_bytes() } else { b"/".to_vec() };
    Ok(Launch {
        timeout_ms: Some(if step == Step::Teardown { timeout_ms } else { timeout_ms.min(PROBE_TIMEOUT_MS) }),
        log_limit_bytes: ctx.options.log_limit_bytes,
        memory_kills: ctx.limiter.kills.clone(),
        ..Launch::plain(key, argv.arguments().to_vec(), env, cwd, ctx.place().log_file(key.run))
    })
}

/// Parses the requested variables. The command line refuses the same; any client may have written
/// the row.
pub(super) fn variables(env: &str, of_task: bool) -> Result<BTreeMap<String, String>, String> {
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

/// Reads a variable of the worker. A service manager gives a worker of root no `HOME`; the user
/// database has it.
pub(super) fn inherited(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).or_else(|| own_user::variable(name))
}

/// Reads a variable of the worker for a job. Variables of the worker's user are not passed to
/// another user, for whom the shim sets them.
pub(super) fn inherited_for(policy: &Policy, name: &str) -> Option<Vec<u8>> {
    let is_personal = policy.user.is_some() && ["HOME", "USER", "SHELL"].contains(&name);
    inherited(name).filter(|_| !is_personal)
}

/// The same for a job that may belong to another user, to whom nothing of the worker is passed.
fn inherited_by(row: &Job, policy: &Policy, name: &str) -> Option<Vec<u8>> {
    match row.owner {
        None => inherited_for(policy, name),
        Some(_) => (name == "PATH").then(|| PATH_DEFAULT.into()),
    }
}

/// Checks that a job of a user may have one more log: the first one always, as no job is added
/// above the limit.
fn another_log(ctx: &Context, job: &JobRun) -> Result<(), String> {
    let Some(uid) = job.row.owner.filter(|_| job.previous_reason.is_some()) else { return Ok(()) };
    let why = log_space::too_many_logs(&ctx.options.people, ctx.log_space.of(&ctx.store, uid));
    why.map_or(Ok(()), |why| Err(format!("it is not tried again: {why}; remove ended jobs, then: tenure retry {}", job.row.id)))
}

/// Returns the log limit of a run, in bytes.
fn log_limit(ctx: &Context, job: &JobRun) -> u64 {
    let wanted = job.policy.log_limit_bytes;
    match job.row.owner {
        None => wanted.unwrap_or(ctx.options.log_limit_bytes),
        Some(uid) => people::log_limit(wanted, &ctx.options.people, ctx.log_space.of(&ctx.store, uid)),
    }
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
