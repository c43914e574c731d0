//! A job as a person edits it: TOML with the keys of a line of `add --from`.
//!
//! Pure. The text is a whole description: what is removed from it has its default. What makes the
//! job this one (its task, its array index, its secrets) is not in it, and stays.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::cli::parse::lines;
use crate::cli::parse::options::Surroundings;
use crate::cli::parse::pipeline_file::object_of_toml;
use crate::cli::parse::values::signal_name;
use crate::job::check::RESERVED_PREFIX;
use crate::job::policy::{RetryOn, Stdin};
use crate::job::{Argv, JobId, Need, NewJob};
use crate::units::duration_exactly;

/// Returns the text for the editor.
///
/// # Errors
/// It has bytes that a text cannot have.
pub fn text(id: JobId, job: &NewJob) -> Result<String, String> {
    let mut text = format!(
        "# Job {id}. Save to change it; leave it as it is to change nothing. A line that is removed has its default.\n\
         # The keys are the options of tenure add, see: tenure help add\n"
    );
    let object = object(job)?;
    for (key, value) in object.iter().filter(|(_, value)| !value.is_object()) {
        _ = writeln!(text, "{key} = {}", toml(value));
    }
    for (key, table) in object.iter().filter_map(|(key, value)| Some((key, value.as_object()?))) {
        _ = write!(text, "\n[{key}]\n");
        for (name, value) in table {
            _ = writeln!(text, "{} = {}", toml(&json!(name)), toml(value));
        }
    }
    Ok(text)
}

/// Writes a value: strings, numbers, flags and lists of JSON are those of TOML, but for one
/// character.
fn toml(value: &Value) -> String {
    value.to_string().replace('\x7f', "\\u007F")
}

/// Parses the edited text. `was` is the description before.
///
/// # Errors
/// What is wrong, with the line or the key.
pub fn parse(text: &str, was: &NewJob, around: &Surroundings) -> Result<NewJob, String> {
    let job = lines::whole(object_of_toml(text)?, around)?;
    let mut wanted = NewJob { array_index: was.array_index, task: was.task, task_hold: was.task_hold, owner: was.owner, ..job };
    wanted.policy.secrets.clone_from(&was.policy.secrets);
    if wanted.policy.stdin.is_none() && matches!(was.policy.stdin, Some(Stdin::Kept(_))) {
        wanted.policy.stdin.clone_from(&was.policy.stdin);
    }
    let made_with = was.placement.env.iter().filter(|(name, _)| name.starts_with(RESERVED_PREFIX));
    wanted.placement.env.extend(made_with.map(|(name, value)| (name.clone(), value.clone())));
    Ok(wanted)
}

/// Returns the line of `add --from` that describes the job.
fn object(job: &NewJob) -> Result<Map<String, Value>, String> {
    let (placement, policy) = (&job.placement, &job.policy);
    let mut all = Map::new();
    let mut put = |key: &str, value: Option<Value>| all.extend(value.map(|value| (key.to_owned(), value)));
    let argv = |argv: &Argv| {
        let texts = argv.arguments().iter().map(|one| std::str::from_utf8(one).map(str::to_owned)).collect::<Result<Vec<_>, _>>();
        texts
            .map(|texts| json!(texts))
            .map_err(|_| "an argument is not UTF-8, and no editor can keep it; use tenure set".to_owned())
    };
    let maybe = |command: &Option<Argv>| command.as_ref().map(argv).transpose();
    let duration = |ms: Option<u64>| ms.map(|ms| json!(duration_exactly(ms)));
    let ids = |need: Need| {
        let ids: Vec<i64> = job.after.iter().filter(|(_, of)| *of == need).map(|(id, _)| id.0).collect();
        (!ids.is_empty()).then(|| json!(ids))
    };
    put("command", Some(argv(&job.command)?));
    put("queue", Some(json!(placement.queue)));
    put("priority", (placement.priority != 0).then(|| json!(placement.priority)));
    put("label", placement.label.as_ref().map(|label| json!(label)));
    put("lane", placement.lane.as_ref().map(|lane| json!(lane)));
    put("slots", (placement.slots != 1).then(|| json!(placement.slots)));
    put("uses", (!placement.uses.is_empty()).then(|| json!(placement.uses)));
    put("unique", placement.unique_key.as_ref().map(|key| json!(key)));
    put("cwd", (!placement.cwd.is_empty()).then(|| json!(placement.cwd)));
    put("hold", placement.user_hold.then(|| json!(true)));
    put("at", (job.available_at > 0).then(|| json!(crate::clock::rfc3339(job.available_at))));
    put("expires", job.expires_at.map(|at| json!(crate::clock::rfc3339(at))));
    put("after", ids(Need::Done));
    put("after_any", ids(Need::Any));
    put("after_failed", ids(Need::Failed));
    put("retries", (placement.max_attempts > 1).then(|| json!(placement.max_attempts - 1)));
    put(
        "backoff",
        policy.backoff_ms.map(|(first, most)| json!(format!("{}..{}", duration_exactly(first), duration_exactly(most)))),
    );
    put("retry_on", policy.retry_on.as_deref().map(endings));
    put("no_retry_on", (!policy.no_retry_on.is_empty()).then(|| endings(&policy.no_retry_on)));
    put("max_deferrals", policy.max_deferrals.map(|n| json!(n)));
    put("check", maybe(&policy.check)?);
    put("on_failure", maybe(&policy.hooks.on_failure)?);
    put("on_success", maybe(&policy.hooks.on_success)?);
    put("on_end", maybe(&policy.hooks.on_end)?);
    put("timeout", duration(policy.timeout_ms));
    put("grace", duration(policy.grace_ms));
    put("warn", policy.warn.map(|warn| json!(format!("{}@{}", signal_name(warn.signal), duration_exactly(warn.before_ms)))));
    put("idle_timeout", duration(policy.idle_timeout_ms));
    put("memory", policy.memory_bytes.map(|n| json!(n)));
    put("nice", policy.nice.map(|n| json!(n)));
    put("log_limit", policy.log_limit_bytes.map(|n| json!(n)));
    put("user", policy.user.as_ref().map(|user| json!(user)));
    put(
        "stdin",
        match &policy.stdin {
            Some(Stdin::File(path)) => Some(json!(path)),
            Some(Stdin::Kept(_)) | None => None,
        },
    );
    put("workspace", policy.workspace.as_ref().map(|workspace| json!(workspace.key)));
    put("prepare", policy.workspace.as_ref().map(|workspace| maybe(&workspace.prepare)).transpose()?.flatten());
    let env: Map<String, Value> = placement
        .env
        .iter()
        .filter(|(name, _)| !name.starts_with(RESERVED_PREFIX))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    put("env", (!env.is_empty()).then(|| Value::Object(env)));
    Ok(all)
}

fn endings(all: &[RetryOn]) -> Value {
    let one = |ending: &RetryOn| match ending {
        RetryOn::Code(code) => json!(code.to_string()),
        RetryOn::Reason(reason) => json!(reason.as_str()),
    };
    all.iter().map(one).collect()
}
