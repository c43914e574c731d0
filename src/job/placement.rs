//! Where a job belongs and what it is given: the part of its description that a job to be added and
//! a [`Template`](super::Template) have in common, beside its [`Policy`](super::Policy).
//!
//! A new option that is a property of a job, and not of one moment, is a field of one of the two.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a job belongs, what it is called and what it is given. As JSON it is part of the object of
/// a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    pub queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// What it uses of each pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uses: BTreeMap<String, u32>,
    /// Slots of the worker and of its queue that it takes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub slots: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub cwd: String,
    pub max_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    /// With a unique key: a live job that has it is cancelled and replaced, instead of returned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replace: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub user_hold: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Queue `default`, one attempt, in `/`.
impl Default for Placement {
    fn default() -> Self {
        Self {
            queue: "default".into(),
            lane: None,
            priority: 0,
            slots: 1,
            uses: BTreeMap::new(),
            label: None,
            cwd: "/".into(),
            max_attempts: 1,
            unique_key: None,
            replace: false,
            env: BTreeMap::new(),
            user_hold: false,
        }
    }
}
