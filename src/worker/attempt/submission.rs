//! Builds the launch of a submission: what gives a job's run to another engine.
//!
//! It is the job's own run on this machine: it has the run file, the environment and the directory
//! of the job, and its end says whether the engine has the run.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::command::{Command, inherited};
use super::environment::{self, Environment};
use super::program::{Verb, program};
use crate::job::launcher;
use crate::run::Launch;
use crate::store::job::launched::Launched;
use crate::worker::context::Context;
use crate::worker::engines::Group;
use crate::worker::job_run::JobRun;

/// How long an engine may take to accept a run, in milliseconds.
const TIMEOUT_MS: u64 = 60_000;

/// Returns the launch of the submission of a job's run: `submit NAME COMMAND...`.
///
/// # Errors
/// Text for the owner of the job.
pub fn of_job(ctx: &Context, job: &JobRun, launched: &Launched) -> Result<Launch, String> {
    let queue = &job.row.queue;
    if job.policy.workspace.is_some() {
        return Err(format!(
            "the queue {queue} has a launcher, and a workspace is a directory of this machine; add it to another queue, or without --workspace"
        ));
    }
    if job.row.owner.is_some() {
        return Err(format!(
            "the queue {queue} has a launcher, which runs jobs of the owner of the file alone; use another queue"
        ));
    }
    let mut launch = Command::of_job(ctx, job)?.launch(None)?;
    let command = std::mem::take(&mut launch.argv);
    launch.argv = program(&launched.launcher, Verb::Submit).ok_or_else(|| {
        format!(
            "the queue {queue} has the launcher {:?}, which is neither a directory nor one that tenure has",
            launched.launcher
        )
    })?;
    launch.argv.push(launcher::name(job.key.nonce).into_bytes());
    launch.argv.extend(command);
    launch.env.extend(facts(job, &launch, &launched.options));
    launch.env.extend(options(&launched.options));
    Ok(Launch {
        // Its limits are those of the engine.
        timeout_ms: Some(TIMEOUT_MS),
        max_runtime_ms: None,
        idle_timeout_ms: None,
        warn: None,
        memory_bytes: None,
        memory_group: None,
        nice: None,
        stdin: None,
        ..launch
    })
}

/// What a launcher is told of a job beside its command.
fn facts(job: &JobRun, launch: &Launch, options: &BTreeMap<String, String>) -> Environment {
    let number = |n: u64| n.to_string().into_bytes();
    let path = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
    let mut facts = vec![
        ("TENURE_LAUNCH_SLOTS".to_owned(), number(job.row.slots.into())),
        ("TENURE_LAUNCH_LOG".to_owned(), path(&launch.log)),
    ];
    facts.extend(job.policy.timeout_ms.map(|ms| ("TENURE_LAUNCH_SECONDS".to_owned(), number(ms.div_ceil(1_000)))));
    facts.extend(job.policy.memory_bytes.map(|bytes| ("TENURE_LAUNCH_MEMORY_BYTES".to_owned(), number(bytes))));
    facts.extend(launch.stdin.as_ref().map(|stdin| ("TENURE_LAUNCH_STDIN".to_owned(), path(stdin))));
    let asked: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_str(&job.row.env).unwrap_or_default();
    let of_shell = |name: &String| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let ours = ["TENURE_JOB", "TENURE_RUN", "TENURE_ATTEMPT", "TENURE_QUEUE"].map(str::to_owned);
    let variables: Vec<String> =
        asked.into_keys().filter(of_shell).chain(job.policy.secrets.keys().cloned()).chain(ours).collect();
    facts.push(("TENURE_LAUNCH_VARIABLES".to_owned(), variables.join(" ").into_bytes()));
    let names: Vec<&str> = options.keys().map(String::as_str).filter(|name| launcher::is_option(name)).collect();
    facts.push(("TENURE_LAUNCH_OPTIONS".to_owned(), names.join(" ").into_bytes()));
    let uses = job.row.uses().into_iter();
    facts.extend(uses.map(|(pool, n)| (format!("TENURE_LAUNCH_USES_{}", pool.to_ascii_uppercase()), number(n.into()))));
    facts.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect()
}

/// Returns the environment of a call that asks an engine.
pub fn environment_of_call(ctx: &Context, group: &Group) -> Environment {
    let db = (b"TENURE_DB".to_vec(), ctx.place().db().as_os_str().as_bytes().to_vec());
    let facts = std::iter::once(db).chain(options(&group.options)).collect();
    environment::of_hook(&Default::default(), inherited, facts)
}

/// The options of a queue: `partition` is `TENURE_OPTION_PARTITION`.
fn options(options: &BTreeMap<String, String>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let valid = options.iter().filter(|(name, value)| launcher::is_option(name) && !value.contains('\0'));
    valid.map(|(name, value)| (launcher::variable(name).into_bytes(), value.clone().into_bytes()))
}
