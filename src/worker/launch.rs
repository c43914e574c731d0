//! From a claimed job to what the spawner is sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::{self, Circumstances};
use super::shared::Shared;
use crate::job::policy::Stdin;
use crate::job::{Argv, Nonce, Policy, Reason, RunId};
use crate::run::Launch;
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

/// Everything that the shim needs, or why the job can not be run, in words for its owner.
pub(super) fn of_job(shared: &Shared, start: &Start<'_>) -> Result<Launch, String> {
    let argv = start.job.argv().map_err(|e| e.to_string())?;
    let policy = start.policy;
    let mut launch = skeleton(shared, start, &argv, policy.timeout_ms)?;
    launch.stdin = policy.stdin.as_ref().map(|stdin| match stdin {
        Stdin::File(path) => PathBuf::from(path),
        Stdin::Kept(token) => shared.place().secret_file(token),
    });
    launch.warn = policy.warn.map(|warn| (warn.signal, warn.before_ms));
    launch.idle_timeout_ms = policy.idle_timeout_ms;
    launch.max_runtime_ms = start.max_runtime_ms;
    Ok(launch)
}

/// The check of a job: in the job's directory and environment, with its result at hand, and a timeout.
pub(super) fn of_check(shared: &Shared, start: &Start<'_>, check: &Argv, parent: RunId) -> Result<Launch, String> {
    let timeout_ms = start.policy.timeout_ms.unwrap_or(super::check::TIMEOUT_MS_DEFAULT);
    let mut launch = skeleton(shared, start, check, Some(timeout_ms))?;
    let result = shared.place().result_file(parent);
    for (name, value) in &mut launch.env {
        if name == b"TENURE_RESULT" {
            *value = std::os::unix::ffi::OsStrExt::as_bytes(result.as_os_str()).to_vec();
        }
    }
    launch.result = None;
    Ok(launch)
}

fn skeleton(shared: &Shared, start: &Start<'_>, argv: &Argv, timeout_ms: Option<u64>) -> Result<Launch, String> {
    let (job, policy) = (start.job, start.policy);
    let asked: BTreeMap<String, String> = serde_json::from_str(&job.env).map_err(|e| format!("env: {e}"))?;
    // The command line refuses the same; a row may come from anybody.
    if let Some(name) = asked.keys().find(|name| name.is_empty() || name.contains(['=', '\0']) || name.starts_with("TENURE_")) {
        return Err(format!("env: {name:?} is no name that a job can be given"));
    }
    if let Some((name, _)) = asked.iter().find(|(_, value)| value.contains('\0')) {
        return Err(format!("env: the value of {name:?} contains a NUL byte"));
    }
    let result = shared.place().result_file(start.run);
    let deadline_ms = timeout_ms.map(|ms| shared.now_ms().saturating_add_unsigned(ms));
    let around = Circumstances {
        db: shared.place().db(),
        run: start.run,
        nonce: start.nonce,
        slot: start.slot,
        previous_reason: start.previous_reason,
        result: &result,
        deadline_ms,
    };
    // What belongs to the worker's user is none of another user's; the shim gives that one its own.
    let personal = |name: &str| policy.user.is_some() && ["HOME", "USER", "SHELL"].contains(&name);
    let inherited =
        |name: &str| std::env::var_os(name).filter(|_| !personal(name)).map(std::os::unix::ffi::OsStringExt::into_vec);
    Ok(Launch {
        run: start.run,
        job: job.id,
        nonce: start.nonce,
        argv: argv.arguments().to_vec(),
        env: environment::assemble(job, &asked, secrets(shared, policy)?, &around, inherited),
        cwd: job.cwd.clone().into_bytes(),
        log: shared.place().log_file(start.run),
        result: Some(result),
        stdin: None,
        timeout_ms,
        max_runtime_ms: None,
        grace_ms: policy.grace_ms(),
        warn: None,
        idle_timeout_ms: None,
        log_limit_bytes: policy.log_limit_bytes.unwrap_or(shared.options.log_limit_bytes),
        memory_bytes: policy.memory_bytes,
        nice: policy.nice,
        user: policy.user.clone(),
        waits_for_go: false,
    })
}

fn secrets(shared: &Shared, policy: &Policy) -> Result<BTreeMap<String, Vec<u8>>, String> {
    policy.secrets.iter().map(|(name, token)| Ok((name.clone(), secret(shared, name, token)?))).collect()
}

fn secret(shared: &Shared, name: &str, token: &str) -> Result<Vec<u8>, String> {
    use std::io::Read;
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(format!("secret {name}: its token is none of ours"));
    }
    let mut value = Vec::new();
    std::fs::File::open(shared.place().secret_file(token))
        .and_then(|file| file.take(SECRET_BYTES_MAX).read_to_end(&mut value))
        .map_err(|e| format!("secret {name} is gone ({e}); add the job again"))?;
    Ok(value)
}
