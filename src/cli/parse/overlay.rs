//! Options that change a template in place: only what is given changes.

use crate::cli::parse::options::{JobOptions, Surroundings};
use crate::error::{Error, Result};
use crate::job::{Argv, Template, Workspace, check};

/// Options that go back to their default with `--unset`.
pub const UNSET: &[&str] = &[
    "queue",
    "priority",
    "label",
    "lane",
    "unique",
    "delay",
    "expires",
    "hold",
    "retries",
    "backoff",
    "retry-on",
    "no-retry-on",
    "max-deferrals",
    "check",
    "on-failure",
    "on-success",
    "on-end",
    "timeout",
    "grace",
    "warn",
    "idle-timeout",
    "memory",
    "nice",
    "log-limit",
    "env",
    "stdin",
    "workspace",
    "prepare",
    "user",
];

/// Returns the template with the given options, and without those to unset. `command`: another one.
///
/// # Errors
/// [`Error::Invalid`]: an invalid value, or options that contradict each other in the result.
pub fn overlay(
    old: &Template,
    options: &JobOptions,
    unset: &[String],
    command: Option<Argv>,
    around: &Surroundings,
) -> Result<Template> {
    let given = options.given();
    let dropped: Vec<String> = unset.iter().map(|name| name.replace('-', "_")).collect();
    if let Some(both) = dropped.iter().find(|name| given.contains(&name.as_str())) {
        let both = both.replace('_', "-");
        return Err(Error::Invalid(format!("--{both} and --unset {both}: give one of them")));
    }
    let is_dropped = |name: &str| dropped.iter().any(|one| one == name);
    let mut wanted = options.clone();
    // A directory or a prepare command that is given belongs to the workspace that there is.
    if wanted.workspace.is_none() && !is_dropped("workspace") {
        wanted.workspace = old.policy.workspace.as_ref().map(|workspace| workspace.key.clone());
    }
    let new = wanted.template(command.clone().unwrap_or_else(|| old.command.clone()), around).map_err(Error::Invalid)?;
    let mut result = Template { command: new.command.clone(), ..old.clone() };
    for name in dropped.iter().map(String::as_str).chain(given.iter().copied()) {
        apply(&mut result, &new, name)?;
    }
    if result.policy.workspace.is_some() != old.policy.workspace.is_some() {
        result.placement.cwd.clone_from(&new.placement.cwd);
    }
    validated(result, around)
}

fn apply(result: &mut Template, new: &Template, name: &str) -> Result<()> {
    let (place, policy) = (&mut result.placement, &mut result.policy);
    match name {
        "queue" => place.queue.clone_from(&new.placement.queue),
        "priority" => place.priority = new.placement.priority,
        "label" => place.label.clone_from(&new.placement.label),
        "lane" => place.lane.clone_from(&new.placement.lane),
        "unique" => {
            place.unique_key.clone_from(&new.placement.unique_key);
            place.replace &= place.unique_key.is_some();
        }
        "replace" => place.replace = new.placement.replace,
        "delay" => result.delay_ms = new.delay_ms,
        "expires" => result.expires_in_ms = new.expires_in_ms,
        "hold" => place.user_hold = new.placement.user_hold,
        "retries" => place.max_attempts = new.placement.max_attempts,
        "backoff" => policy.backoff_ms = new.policy.backoff_ms,
        "retry_on" => policy.retry_on.clone_from(&new.policy.retry_on),
        "no_retry_on" => policy.no_retry_on.clone_from(&new.policy.no_retry_on),
        "max_deferrals" => policy.max_deferrals = new.policy.max_deferrals,
        "check" => policy.check.clone_from(&new.policy.check),
        "on_failure" => policy.hooks.on_failure.clone_from(&new.policy.hooks.on_failure),
        "on_success" => policy.hooks.on_success.clone_from(&new.policy.hooks.on_success),
        "on_end" => policy.hooks.on_end.clone_from(&new.policy.hooks.on_end),
        "timeout" => policy.timeout_ms = new.policy.timeout_ms,
        "grace" => policy.grace_ms = new.policy.grace_ms,
        "warn" => policy.warn = new.policy.warn,
        "idle_timeout" => policy.idle_timeout_ms = new.policy.idle_timeout_ms,
        "memory" => policy.memory_bytes = new.policy.memory_bytes,
        "nice" => policy.nice = new.policy.nice,
        "log_limit" => policy.log_limit_bytes = new.policy.log_limit_bytes,
        "user" => policy.user.clone_from(&new.policy.user),
        "stdin" => policy.stdin.clone_from(&new.policy.stdin),
        "cwd" => place.cwd.clone_from(&new.placement.cwd),
        "env" if new.placement.env.is_empty() => place.env.clear(),
        "env" | "pass_env" => place.env.extend(new.placement.env.clone()),
        "workspace" | "prepare" => {
            let prepare = |from: &Template| from.policy.workspace.as_ref().and_then(|one| one.prepare.clone());
            let kept = if name == "workspace" { prepare(new).or_else(|| prepare(result)) } else { prepare(new) };
            let key = new.policy.workspace.as_ref().map(|one| one.key.clone());
            result.policy.workspace = key.map(|key| Workspace { key, prepare: kept });
        }
        other => return Err(Error::Internal(format!("the option {other:?} of a template cannot be changed"))),
    }
    Ok(())
}

/// Checks the whole: what was given alone was right, and may contradict what there was.
fn validated(template: Template, around: &Surroundings) -> Result<Template> {
    let now_ms = around.now.timestamp().as_millisecond();
    let job = template.fill(&Default::default(), now_ms).map_err(Error::Invalid)?;
    check::of_description(&job, [], now_ms).map_err(|refusal| {
        Error::Invalid(match refusal.option {
            Some(option) => format!("--{option}: {}", refusal.why),
            None => refusal.why,
        })
    })?;
    Template::from_json(&template.to_json()).map_err(Error::Invalid)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::cli::parse::job_options::KEYS;
    use crate::cli::parse::{time, values};

    fn around() -> Surroundings {
        Surroundings {
            now: time::here(1_000),
            cwd: PathBuf::from("/here"),
            env: BTreeMap::new(),
            found: Vec::new(),
            draw: || "x".into(),
        }
    }

    fn old() -> Template {
        let options = JobOptions {
            queue: Some("slow".into()),
            lane: Some("l".into()),
            retries: Some(3),
            timeout: Some(60_000),
            ..JobOptions::default()
        };
        options.template(Argv::from_strs(&["make"]).unwrap(), &Surroundings { cwd: "/there".into(), ..around() }).unwrap()
    }

    #[test]
    fn only_what_is_given_changes() {
        let same = overlay(&old(), &JobOptions::default(), &[], None, &around()).unwrap();
        assert_eq!(same, old());
        let options = JobOptions { retries: Some(0), queue: Some("default".into()), ..JobOptions::default() };
        let changed = overlay(&old(), &options, &["timeout".into()], Some(Argv::from_strs(&["true"]).unwrap()), &around());
        let mut expected = old();
        (expected.placement.max_attempts, expected.placement.queue) = (1, "default".into());
        (expected.policy.timeout_ms, expected.command) = (None, Argv::from_strs(&["true"]).unwrap());
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn a_workspace_comes_and_goes_with_its_directory() {
        let key = JobOptions { workspace: Some("k".into()), ..JobOptions::default() };
        let inside = overlay(&old(), &key, &[], None, &around()).unwrap();
        assert_eq!((inside.placement.cwd.as_str(), inside.policy.workspace.is_some()), ("", true));
        let sub = JobOptions { cwd: Some("sub".into()), ..JobOptions::default() };
        let inside = overlay(&inside, &sub, &[], None, &around()).unwrap();
        assert_eq!(inside.placement.cwd, "sub");
        let outside = overlay(&inside, &JobOptions::default(), &["workspace".into()], None, &around()).unwrap();
        assert_eq!((outside.placement.cwd.as_str(), outside.policy.workspace), ("/here", None));
    }

    #[test]
    fn a_contradiction_with_what_there_was_is_refused() {
        let warn = JobOptions { warn: values::parse_warn("USR1@2h").ok(), ..JobOptions::default() };
        assert!(overlay(&old(), &warn, &[], None, &around()).is_err(), "before a timeout of a minute");
        let both = JobOptions { lane: Some("x".into()), ..JobOptions::default() };
        assert!(overlay(&old(), &both, &["lane".into()], None, &around()).is_err());
    }

    /// Options of one moment or one job, which no template has.
    const NONE: [&str; 6] = ["at", "after", "after_any", "after_failed", "array", "secret"];

    #[test]
    fn each_option_of_a_template_can_be_changed() {
        for (key, _) in KEYS {
            let known = apply(&mut old(), &old(), key).is_ok();
            assert_eq!(known, !NONE.contains(key), "{key}");
        }
        for name in UNSET {
            assert!(KEYS.iter().any(|(key, _)| *key == name.replace('-', "_")), "{name}");
        }
    }
}
