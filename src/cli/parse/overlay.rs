//! Options that change a template in place: only what is given changes.

use crate::cli::parse::like::clear_common;
use crate::cli::parse::options::{JobOptions, Surroundings};
use crate::error::{Error, Result};
use crate::job::{Argv, Placement, Template, check};

/// Options that go back to their default with `--unset`.
pub const UNSET: &[&str] = &[
    "queue",
    "priority",
    "label",
    "lane",
    "slots",
    "uses",
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
    let mut wanted = options.clone();
    // A directory or a prepare command that is given belongs to the workspace that there is.
    if wanted.workspace.is_none() && !dropped.iter().any(|name| name == "workspace") {
        wanted.workspace = old.policy.workspace.as_ref().map(|workspace| workspace.key.clone());
    }
    let new = wanted.template(command.unwrap_or_else(|| old.command.clone()), around).map_err(Error::Invalid)?;
    let mut result = Template { command: new.command.clone(), ..old.clone() };
    for name in &dropped {
        clear(&mut result, name, around).map_err(Error::Invalid)?;
    }
    options.change(&mut result.placement, &mut result.policy, around).map_err(Error::Invalid)?;
    result.delay_ms = new.delay_ms.or(result.delay_ms);
    result.expires_in_ms = new.expires_in_ms.or(result.expires_in_ms);
    validated(result, around)
}

fn clear(result: &mut Template, name: &str, around: &Surroundings) -> std::result::Result<(), String> {
    match name {
        "queue" => result.placement.queue = Placement::default().queue,
        "hold" => result.placement.user_hold = false,
        "delay" => result.delay_ms = None,
        "expires" => result.expires_in_ms = None,
        _ => return clear_common(&mut result.placement, &mut result.policy, name, around),
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
            env: BTreeMap::from([("HERE".into(), "there".into())]),
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
    const NONE: [&str; 7] = ["at", "after", "after_any", "after_failed", "array", "stop_on_failure", "secret"];

    /// Each option that a template can have, in an order in which it may stand alone.
    const ALL: &[&str] = &[
        "--queue=q --priority=-1 --label=l --lane=k --slots=2 --uses=gpu=1 --unique=u --replace --delay=5s --expires=1h --hold --retries=2",
        "--backoff=1s..2s --retry-on=1 --no-retry-on=3 --max-deferrals=4 --check=x --on-failure=f --on-success=s --on-end=e",
        "--timeout=1h --grace=2s --warn=USR1@1m --idle-timeout=3m --memory=2G --nice=4 --log-limit=65536 --env=A=b",
        "--pass-env=HERE --stdin=in --workspace=w --prepare=p --cwd=sub --user=me",
    ];

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        options: JobOptions,
    }

    /// Returns what `ALL` gives, without the options that a test names.
    fn all_but(dropped: &[&str]) -> JobOptions {
        let words = ALL.iter().flat_map(|line| line.split(' '));
        let kept = words.filter(|word| !dropped.iter().any(|name| word.split('=').next() == Some(&format!("--{name}"))));
        <Parsed as clap::Parser>::try_parse_from(["x"].into_iter().chain(kept)).map_err(|e| e.to_string()).unwrap().options
    }

    fn made(options: &JobOptions) -> Template {
        options.template(Argv::from_strs(&["make"]).unwrap(), &around()).unwrap()
    }

    /// A job as another user has no workspace, so no template has all options.
    const APART: [&[&str]; 2] = [&["user"], &["workspace", "prepare"]];

    #[test]
    fn each_option_of_a_template_can_be_changed() {
        let given = APART.map(|apart| all_but(apart).given()).concat();
        for (key, _) in KEYS {
            assert_eq!(given.contains(key), !NONE.contains(key), "{key}");
        }
        for apart in APART {
            let changed = overlay(&made(&JobOptions::default()), &all_but(apart), &[], None, &around()).unwrap();
            assert_eq!(changed, made(&all_but(apart)));
        }
    }

    #[test]
    fn an_option_that_is_unset_is_as_if_never_given() {
        for name in UNSET {
            // What cannot stand without it goes with it.
            let with_it: &[&str] = match *name {
                "timeout" => &["warn"],
                "unique" => &["replace"],
                "env" => &["pass-env"],
                "workspace" => &["prepare", "cwd"],
                _ => &[],
            };
            let unset = if *name == "timeout" { vec!["warn".to_owned(), "timeout".to_owned()] } else { vec![(*name).to_owned()] };
            let apart = APART[usize::from(*name == "user")];
            let all = made(&all_but(apart));
            let left = overlay(&all, &JobOptions::default(), &unset, None, &around()).unwrap();
            assert_eq!(left, made(&all_but(&[apart, &[*name], with_it].concat())), "{name}");
            assert_ne!(left, all, "{name}");
        }
    }
}
