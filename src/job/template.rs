//! A description of later jobs: of a schedule, or of a stage of a pipeline.
//!
//! It holds everything of a [`NewJob`] except what is tied to one moment (a delay is stored as a
//! duration) or to one use (dependencies, secrets, a kept standard input). It is stored as one JSON
//! object, so that the worker can add the job without the client that described it.
//!
//! `{name}` in the arguments of its command is replaced by a parameter; `{{` and `}}` are braces.
//! Nothing is inserted into a shell line, because a value must not become part of a program. Such a
//! line finds the values in its environment, as `TENURE_PARAM_name`.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::argv::Argv;
use super::placement::Placement;
use super::policy::{Policy, Stdin};
use super::spec::NewJob;

/// Prefix of the variables that hold the parameters.
pub const PARAM_PREFIX: &str = "TENURE_PARAM_";
/// The variable that tells a job which occurrence of its schedule it is for.
pub const SCHEDULED_FOR: &str = "TENURE_SCHEDULED_FOR";

/// The variable that names the job inside which `tenure run` follows this one.
pub const PARENT: &str = "TENURE_PARENT";

/// Whether a variable that begins with `TENURE_` may be in the row of a job: it is written when the
/// job is added.
pub fn is_given_at_making(name: &str) -> bool {
    [SCHEDULED_FOR, PARENT].contains(&name) || name.strip_prefix(PARAM_PREFIX).is_some_and(is_param_name)
}

/// A description from which jobs are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Template {
    pub command: Argv,
    /// The command has parameters; otherwise it is used byte for byte.
    #[serde(skip_serializing_if = "is_false")]
    pub has_places: bool,
    /// Time from its creation to its earliest start, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Time from its creation to its expiry, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    #[serde(flatten)]
    pub placement: Placement,
    pub policy: Policy,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Takes its own keys out; what remains must be a placement. (`flatten` alone would accept a
/// misspelt key.)
impl TryFrom<Map<String, Value>> for Template {
    type Error = String;

    fn try_from(mut map: Map<String, Value>) -> Result<Self, String> {
        fn take<T: DeserializeOwned>(map: &mut Map<String, Value>, key: &str) -> Result<Option<T>, String> {
            map.remove(key).map(serde_json::from_value).transpose().map_err(|e| format!("{key}: {e}"))
        }
        Ok(Self {
            command: take(&mut map, "command")?.ok_or("command is missing")?,
            has_places: take(&mut map, "has_places")?.unwrap_or_default(),
            delay_ms: take(&mut map, "delay_ms")?.flatten(),
            expires_in_ms: take(&mut map, "expires_in_ms")?.flatten(),
            policy: take(&mut map, "policy")?.unwrap_or_default(),
            placement: serde_json::from_value(Value::Object(map)).map_err(|e| e.to_string())?,
        })
    }
}

impl Template {
    /// Returns the description of `job`, whose start and expiry are given as durations.
    ///
    /// # Errors
    /// An option that is tied to one job, with the remedy.
    pub fn of(job: NewJob, delay_ms: Option<u64>, expires_in_ms: Option<u64>) -> Result<Self, String> {
        if !job.after.is_empty() {
            return Err("after: jobs that are made later cannot wait for a job that is there now; omit it".into());
        }
        if job.array_index.is_some() {
            return Err("array: add the array from a job of its own (tenure add --array ...)".into());
        }
        if !job.policy.secrets.is_empty() {
            return Err("secret: a secret is removed once no live job needs it, so a later job has none; \
                        let the command read it from a file that only its user can read"
                .into());
        }
        if matches!(job.policy.stdin, Some(Stdin::Kept(_))) {
            return Err("stdin: a copy of this value is removed once no live job needs it; name a file instead".into());
        }
        if expires_in_ms == Some(0) {
            return Err("expires: each job would expire before it starts; give a longer time, or omit it".into());
        }
        Ok(Self {
            command: job.command,
            has_places: false,
            delay_ms,
            expires_in_ms,
            placement: job.placement,
            policy: job.policy,
        })
    }

    /// Parses the JSON of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let template: Self = serde_json::from_str(text).map_err(|e| format!("template: {e}"))?;
        template.policy.check_ranges()?;
        Ok(template)
    }

    /// Returns the JSON for the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a template is always JSON")
    }

    /// Returns the parameters that its command names.
    ///
    /// # Errors
    /// A brace that is neither doubled nor around a name.
    pub fn places(&self) -> Result<BTreeSet<String>, String> {
        let mut names = BTreeSet::new();
        if self.has_places {
            for argument in self.command.arguments() {
                parts(argument)?.into_iter().for_each(|part| {
                    if let Part::Place(name) = part {
                        names.insert(name);
                    }
                });
            }
        }
        Ok(names)
    }

    /// Returns a job at `now_ms` (milliseconds UTC), with these parameters.
    ///
    /// # Errors
    /// A parameter that is named and not given, or a command that could never be executed with
    /// these values.
    pub fn fill(&self, params: &BTreeMap<String, String>, now_ms: i64) -> Result<NewJob, String> {
        let command = if self.has_places { self.filled(params)? } else { self.command.clone() };
        let mut placement = self.placement.clone();
        placement.env.extend(params.iter().map(|(name, value)| (format!("{PARAM_PREFIX}{name}"), value.clone())));
        Ok(NewJob {
            placement,
            available_at: self.delay_ms.filter(|ms| *ms > 0).map_or(0, |ms| now_ms.saturating_add_unsigned(ms)),
            expires_at: self.expires_in_ms.map(|ms| now_ms.saturating_add_unsigned(ms)),
            policy: self.policy.clone(),
            ..NewJob::new(command)
        })
    }

    fn filled(&self, params: &BTreeMap<String, String>) -> Result<Argv, String> {
        let fill = |argument: &Vec<u8>| {
            let mut bytes = Vec::with_capacity(argument.len());
            for part in parts(argument)? {
                match part {
                    Part::Text(text) => bytes.extend(text),
                    Part::Place(name) => {
                        let value = params.get(&name).ok_or_else(|| format!("the parameter {name:?} is not given"))?;
                        bytes.extend(value.as_bytes());
                    }
                }
            }
            Ok::<_, String>(bytes)
        };
        let arguments = self.command.arguments().iter().map(fill).collect::<Result<Vec<_>, _>>()?;
        Argv::new(arguments).map_err(|e| e.to_string())
    }
}

enum Part {
    Text(Vec<u8>),
    Place(String),
}

/// Whether a name is valid between braces and in a variable's name.
pub fn is_param_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn parts(argument: &[u8]) -> Result<Vec<Part>, String> {
    let shown = || String::from_utf8_lossy(&argument[..argument.len().min(60)]).into_owned();
    let (mut parts, mut text, mut rest) = (Vec::new(), Vec::new(), argument);
    while let [first, tail @ ..] = rest {
        match (first, tail.first()) {
            (b'{', Some(b'{')) | (b'}', Some(b'}')) => {
                text.push(*first);
                rest = &tail[1..];
            }
            (b'{', _) => {
                let end = tail.iter().position(|b| *b == b'}');
                let name = end.and_then(|end| std::str::from_utf8(&tail[..end]).ok()).filter(|name| is_param_name(name));
                let (Some(end), Some(name)) = (end, name) else {
                    return Err(format!("{:?}: a brace that is meant as one is written {{{{, and a parameter {{name}}", shown()));
                };
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Place(name.to_owned()));
                rest = &tail[end + 1..];
            }
            (b'}', _) => return Err(format!("{:?}: a brace that is meant as one is written }}}}", shown())),
            _ => {
                text.push(*first);
                rest = tail;
            }
        }
    }
    parts.push(Part::Text(text));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(arguments: &[&str]) -> Template {
        let job = NewJob::new(Argv::from_strs(arguments).unwrap());
        Template { has_places: true, ..Template::of(job, Some(5), Some(9)).unwrap() }
    }

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_place_takes_its_value_and_a_doubled_brace_is_a_brace() {
        let template = template(&["make", "V={version}", "{{{version}}}", "$(id)"]);
        assert_eq!(template.places().unwrap(), BTreeSet::from(["version".to_owned()]));
        let job = template.fill(&params(&[("version", "{x} $(id)")]), 1_000).unwrap();
        assert_eq!(job.command, Argv::from_strs(&["make", "V={x} $(id)", "{{x} $(id)}", "$(id)"]).unwrap());
        assert_eq!((job.available_at, job.expires_at), (1_005, Some(1_009)));
        assert_eq!(job.placement.env["TENURE_PARAM_version"], "{x} $(id)");
    }

    #[test]
    fn an_invalid_place_is_told_and_other_text_stays() {
        for bad in ["{", "}", "{a b}", "{}", "{1}", "x{y"] {
            assert!(template(&["x", bad]).places().is_err(), "{bad}");
            let plain = Template { has_places: false, ..template(&["x", bad]) };
            assert_eq!(plain.places().unwrap(), BTreeSet::new());
            assert_eq!(plain.fill(&params(&[]), 0).unwrap().command.arguments()[1], bad.as_bytes());
        }
        assert!(template(&["x", "{y}"]).fill(&params(&[]), 0).unwrap_err().contains("\"y\""));
    }

    #[test]
    fn a_template_survives_its_json_and_a_misspelt_key_is_refused() {
        let template = template(&["make", "{a}"]);
        assert_eq!(Template::from_json(&template.to_json()), Ok(template.clone()));
        assert!(Template::from_json(&template.to_json().replace("\"queue\"", "\"qeueu\"")).is_err());
    }

    #[test]
    fn options_of_one_job_are_refused() {
        let job = NewJob::new(Argv::from_strs(&["x"]).unwrap());
        let secret = Policy { secrets: params(&[("A", "t")]), ..Policy::default() };
        let kept = Policy { stdin: Some(Stdin::Kept("t".into())), ..Policy::default() };
        for wrong in [
            NewJob { after: vec![(crate::job::JobId(1), crate::job::Need::Done)], ..job.clone() },
            NewJob { array_index: Some(1), ..job.clone() },
            NewJob { policy: secret, ..job.clone() },
            NewJob { policy: kept, ..job.clone() },
        ] {
            assert!(Template::of(wrong, None, None).is_err());
        }
        assert!(Template::of(job.clone(), None, Some(0)).is_err());
        assert!(Template::of(job, None, None).is_ok());
    }
}
