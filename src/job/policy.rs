//! A policy: what the user requested besides the command, such as limits, deadlines, and retries.
//!
//! Stored as one JSON object in `job.policy`, so that any client can write it. Unknown keys are
//! refused: a misspelt limit that is silently ignored would not be enforced.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::argv::Argv;
use super::hook::Hooks;
use super::policy_rules::Broken;
use super::reason::Reason;
use super::workspace::Workspace;
use super::{limits, policy_rules};

/// Returns what a broken rule says in terms of the options; the rules that options cannot break
/// otherwise than the JSON does keep their own text.
fn in_terms_of_options(broken: &Broken) -> String {
    match broken {
        Broken::Value { key: "timeout_ms" | "idle_timeout_ms", value, .. } if *value == 0 => {
            "a timeout of 0 would end the job before it starts; omit it for none".into()
        }
        Broken::Value { key: "log_limit_bytes", .. } => "log-limit is 64K at least".into(),
        Broken::WarnAlone => "warn needs a timeout to come before".into(),
        Broken::WorkspaceAndUser => {
            "user and workspace: a workspace belongs to the worker's user, and no other user may enter it; omit one of them"
                .into()
        }
        other => other.to_string(),
    }
}

/// The policy of a job. Each field that is `None` takes the default of [`limits`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Ends as `timeout` after this long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Time between TERM and KILL, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// A signal that is sent some time before the timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<Warn>,
    /// Ends as `output` after this long without output, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// First and longest wait before another attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<(u64, u64)>,
    /// Replaces the set of ends that are retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<RetryOn>>,
    /// Removed from that set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_retry_on: Vec<RetryOn>,
    /// How often exit 75 may requeue it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deferrals: Option<u32>,
    /// Most memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Niceness, -20 to 19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Runs as this user (a worker that is root only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Size of the log above which its middle is dropped, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_limit_bytes: Option<u64>,
    /// The source of its standard input; `None`: it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stdin>,
    /// Run after exit 0 to decide whether the job has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Argv>,
    /// The directory that it shares with the other jobs of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// Commands that tell of its end.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Environment variable -> name of the file in `secrets/` that holds its value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// `--warn SIG@D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warn {
    /// Signal number.
    pub signal: i32,
    /// How long before the timeout, in milliseconds.
    pub before_ms: u64,
}

/// The source of a job's standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// A file, opened when the run starts.
    File(String),
    /// A copy that tenure keeps in `secrets/` until no live job needs it.
    Kept(String),
}

/// An element of `--retry-on`: an exit code, or a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryOn {
    Code(i32),
    Reason(Reason),
}

impl Policy {
    /// Parses the JSON of the file.
    ///
    /// # Errors
    /// What is wrong with it, with the key.
    pub fn from_json(text: &str) -> Result<Self, String> {
        if text == "{}" {
            return Ok(Self::default());
        }
        let policy = policy_rules::read(text).map_err(|broken| broken.to_string())?;
        serde_json::from_value(Value::Object(policy)).map_err(|e| format!("policy: {e}"))
    }

    /// Returns the JSON for the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a policy is always JSON")
    }

    /// Applies the rules of the JSON to the options.
    ///
    /// # Errors
    /// The rule, in terms of the options if there is such a text.
    pub fn check_ranges(&self) -> Result<(), String> {
        policy_rules::read(&self.to_json()).map(drop).map_err(|broken| in_terms_of_options(&broken))
    }

    pub fn grace_ms(&self) -> u64 {
        self.grace_ms.unwrap_or(limits::GRACE_MS_DEFAULT)
    }

    pub fn max_deferrals(&self) -> u32 {
        self.max_deferrals.unwrap_or(limits::DEFERRALS_MAX_DEFAULT)
    }

    pub fn log_limit_bytes(&self) -> u64 {
        self.log_limit_bytes.unwrap_or(limits::LOG_LIMIT_BYTES_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_is_all_defaults_and_unknown_keys_are_refused() {
        assert_eq!(Policy::from_json("{}"), Ok(Policy::default()));
        assert_eq!(Policy::default().to_json(), "{}");
        assert!(Policy::from_json(r#"{"timout_ms": 5}"#).unwrap_err().contains("timout_ms"));
        assert!(Policy::from_json(r#"{"timeout_ms": 0}"#).is_err());
        assert!(Policy::from_json(r#"{"nice": 20}"#).is_err());
        assert!(Policy::from_json(r#"{"backoff_ms": [2, 1]}"#).is_err());
    }

    #[test]
    fn a_rule_that_options_break_is_told_in_their_words() {
        let none = Policy::default();
        let workspace = Some(Workspace { key: "k".into(), prepare: None });
        let broken = [
            (Policy { timeout_ms: Some(0), ..none.clone() }, "a timeout of 0 would"),
            (Policy { idle_timeout_ms: Some(0), ..none.clone() }, "a timeout of 0 would"),
            (Policy { log_limit_bytes: Some(1), ..none.clone() }, "log-limit is 64K"),
            (Policy { warn: Some(Warn { signal: 10, before_ms: 1 }), ..none.clone() }, "warn needs a timeout"),
            (Policy { workspace, user: Some("nobody".into()), ..none.clone() }, "user and workspace: "),
            (Policy { timeout_ms: Some(u64::MAX), ..none.clone() }, "policy: timeout_ms must be"),
            (Policy { nice: Some(20), ..none }, "policy: nice must be"),
        ];
        for (policy, words) in broken {
            let error = policy.check_ranges().unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_policy_survives_its_json() {
        let text = r#"{"timeout_ms":5,"warn":{"signal":10,"before_ms":1},"retry_on":[3,"timeout"],"stdin":{"file":"/x"},"check":["true"],"workspace":{"key":"k","prepare":["make"]}}"#;
        let policy = Policy::from_json(text).unwrap();
        assert_eq!(policy.retry_on, Some(vec![RetryOn::Code(3), RetryOn::Reason(Reason::Timeout)]));
        assert_eq!(policy.to_json(), text);
    }

    #[test]
    fn a_workspace_has_a_key_and_belongs_to_the_workers_user() {
        assert!(Policy::from_json(r#"{"workspace": {"key": "k"}}"#).is_ok());
        assert!(Policy::from_json(r#"{"workspace": {"key": "k", "prepare": null}}"#).is_ok());
        for wrong in [
            r#"{"workspace": {}}"#,
            r#"{"workspace": {"key": ""}}"#,
            r#"{"workspace": {"key": "k", "prepare": "make"}}"#,
            r#"{"workspace": {"key": "k", "prepare": []}}"#,
            r#"{"workspace": {"key": "k", "prepared": ["x"]}}"#,
            r#"{"workspace": {"key": "k"}, "user": "nobody"}"#,
        ] {
            assert!(Policy::from_json(wrong).is_err(), "{wrong}");
        }
    }
}
