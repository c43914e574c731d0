//! The rules for the JSON of a policy: one for each key, the same as in the guard
//! `job_insert_guard` of `schema.sql`, with the same texts.
//!
//! A broken rule is a value, `Broken`; what it says to a client of the file follows from it, and
//! [`super::policy`] says it in terms of the options.
//!
//! A key with the value `null` counts as omitted, so that a client can pass a column of its own
//! that may be NULL.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::argv::Argv;
use super::hook::HookEvent;
use super::limits::{ARGV_LEN_MAX, DURATION_MS_MAX, LOG_LIMIT_BYTES_MIN, NAME_CHARS_MAX};
use super::reason::Reason;

/// Most of a wrong value that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Each key with its rule; the message in `schema.sql` is `tenure: policy: ` and the rule.
pub const RULES: &[(&str, &str)] = &[
    ("timeout_ms", "timeout_ms must be a whole number of milliseconds from 1 to 3162240000000; omit it for no limit"),
    ("grace_ms", "grace_ms must be a whole number of milliseconds from 0 to 3162240000000; omit it for 10000"),
    (
        "warn",
        r#"warn must be a signal and a time before the timeout, such as {"signal": 10, "before_ms": 60000}; omit it for none"#,
    ),
    ("idle_timeout_ms", "idle_timeout_ms must be a whole number of milliseconds from 1 to 3162240000000; omit it for no limit"),
    (
        "backoff_ms",
        "backoff_ms must be the first and the longest wait in milliseconds, such as [10000, 3600000]; omit it for these",
    ),
    (
        "retry_on",
        r#"retry_on must be a list of exit codes (1 to 255) and end reasons, such as [1, "timeout"]; omit it for the default"#,
    ),
    (
        "no_retry_on",
        r#"no_retry_on must be a list of exit codes (1 to 255) and end reasons, such as [1, "timeout"]; omit it for none"#,
    ),
    ("max_deferrals", "max_deferrals must be a whole number from 0 to 4294967295; omit it for 20"),
    ("memory_bytes", "memory_bytes must be a whole number of bytes from 1 to 9223372036854775807; omit it for no limit"),
    ("nice", "nice must be a whole number from -20 to 19; omit it for that of the worker"),
    ("user", "user must be the name of a user; omit it for that of the worker"),
    (
        "log_limit_bytes",
        "log_limit_bytes must be a whole number of bytes from 65536 to 9223372036854775807; omit it for 67108864",
    ),
    ("stdin", r#"stdin must name a file, such as {"file": "/path"}; omit it for an empty one"#),
    ("check", r#"check must be an array of at least one string, such as ["test", "-s", "out"]; omit it for none"#),
    (
        "workspace",
        r#"workspace must have a key of 1 to 200 characters, such as {"key": "app", "prepare": ["make"]}; omit it for none"#,
    ),
    (
        "hooks",
        r#"hooks must be an object of on_failure, on_success and on_end, such as {"on_end": ["logger", "x"]}; omit it for none"#,
    ),
    ("secrets", "secrets must be an object of names and tokens, which tenure add --secret makes"),
];
/// The message for any other key.
pub const UNKNOWN: &str = "unknown key; docs/sql.md lists the keys";
/// The message for a key that is given twice.
pub const TWICE: &str = "a key is given twice; keep one of them";
/// The message for a NUL byte in any text.
pub const NUL: &str = "a text must not contain a NUL byte, which cannot be passed to a program; remove it";
/// The message for a warning without a timeout.
pub const WARN_ALONE: &str = "warn comes before the timeout; give timeout_ms as well";
/// The message for a workspace of another user.
pub const WORKSPACE_AND_USER: &str = "a workspace is accessible to the user of the worker only; omit workspace or user";

/// A rule that the JSON of a policy breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is not a JSON object; the text is that of the parser.
    NotAnObject(String),
    /// A key that is given twice.
    Twice(String),
    /// The value of this key contains a NUL byte.
    Nul(String),
    UnknownKey(String),
    /// The value of a key breaks its rule, which is in [`RULES`].
    Value {
        key: &'static str,
        rule: &'static str,
        value: Value,
    },
    /// A warning without a timeout.
    WarnAlone,
    /// A workspace of another user.
    WorkspaceAndUser,
    /// The kernel would refuse the argv of `check`, `prepare` or a hook.
    Argv(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("policy: ")?;
        match self {
            Self::NotAnObject(why) => write!(f, "it must be a JSON object, such as {{}}: {why}"),
            Self::Twice(key) => write!(f, "{TWICE} of {}", shortened(key)),
            Self::Nul(key) => write!(f, "{NUL}; {} has one", shortened(key)),
            Self::UnknownKey(key) => write!(f, "{UNKNOWN}; it is {}", shortened(key)),
            Self::Value { rule, value, .. } => write!(f, "{rule}; it is {}", shortened(&value.to_string())),
            Self::WarnAlone => f.write_str(WARN_ALONE),
            Self::WorkspaceAndUser => f.write_str(WORKSPACE_AND_USER),
            Self::Argv(why) => write!(f, "check, prepare or hooks: {why}"),
        }
    }
}

/// The keys of a JSON object in their order, including duplicates.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(Pairs(all))
            }
        }
        from.deserialize_map(All)
    }
}

/// Parses the JSON of a policy, without `null` values.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, Broken> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|e| Broken::NotAnObject(e.to_string()))?;
    let mut map = Map::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(Broken::Twice(key));
        }
        if value.is_null() {
            map.insert(key, value);
            continue;
        }
        if has_nul(&value) {
            return Err(Broken::Nul(key));
        }
        let Some((known, rule)) = RULES.iter().find(|(known, _)| *known == key).filter(|_| !key.contains('\0')) else {
            return Err(Broken::UnknownKey(key));
        };
        if !is_right(&key, &value) {
            return Err(Broken::Value { key: known, rule, value });
        }
        map.insert(key, value);
    }
    map.retain(|_, value| !value.is_null());
    if map.contains_key("warn") && !map.contains_key("timeout_ms") {
        return Err(Broken::WarnAlone);
    }
    if map.contains_key("workspace") && map.contains_key("user") {
        return Err(Broken::WorkspaceAndUser);
    }
    // What SQL does not check: bytes in hexadecimal, and sizes that the kernel refuses.
    let hooks = map.get("hooks").and_then(Value::as_object).into_iter().flat_map(Map::values);
    for argv in [map.get("check"), map.get("workspace").and_then(|w| w.get("prepare"))].into_iter().flatten().chain(hooks) {
        if !argv.is_null() {
            Argv::from_json(&argv.to_string()).map_err(|e| Broken::Argv(e.to_string()))?;
        }
    }
    Ok(map)
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(all) => all.iter().any(has_nul),
        Value::Object(all) => all.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn is_right(key: &str, value: &Value) -> bool {
    let longest = i64::try_from(DURATION_MS_MAX).unwrap_or(i64::MAX);
    let shortest_log = i64::try_from(LOG_LIMIT_BYTES_MIN).unwrap_or(i64::MAX);
    match key {
        "timeout_ms" | "idle_timeout_ms" => is_within(value, 1, longest),
        "grace_ms" => is_within(value, 0, longest),
        "warn" => {
            let right = |name: &str, low, high| value.get(name).is_some_and(|value| is_within(value, low, high));
            has_keys(value, &["signal", "before_ms"]) && right("signal", 1, 64) && right("before_ms", 0, longest)
        }
        "backoff_ms" => {
            let waits = value.as_array().map(|all| all.iter().map(|one| one.as_i64().filter(|_| is_within(one, 0, longest))));
            matches!(waits.map(Iterator::collect::<Vec<_>>).as_deref(), Some([Some(first), Some(most)]) if first <= most)
        }
        "retry_on" | "no_retry_on" => value.as_array().is_some_and(|all| all.iter().all(is_ending)),
        "max_deferrals" => is_within(value, 0, i64::from(u32::MAX)),
        "memory_bytes" => is_within(value, 1, i64::MAX),
        "nice" => is_within(value, -20, 19),
        "user" => value.as_str().is_some_and(|name| !name.is_empty()),
        "log_limit_bytes" => is_within(value, shortest_log, i64::MAX),
        "stdin" => {
            let is_text = |name: &str| has_keys(value, &[name]) && value.get(name).is_some_and(Value::is_string);
            is_text("file") || is_text("kept")
        }
        "check" => is_argv(value),
        "workspace" => {
            let prepare = value.get("prepare");
            let keys = if prepare.is_some() { &["key", "prepare"][..] } else { &["key"] };
            let key = value.get("key").and_then(Value::as_str).map_or(0, |key| key.chars().count());
            has_keys(value, keys)
                && (1..=NAME_CHARS_MAX).contains(&key)
                && prepare.is_none_or(|argv| argv.is_null() || is_argv(argv))
        }
        "hooks" => value
            .as_object()
            .is_some_and(|all| all.iter().all(|(event, argv)| HookEvent::parse(event).is_some() && is_argv(argv))),
        "secrets" => value
            .as_object()
            .is_some_and(|all| all.iter().all(|(name, token)| !name.is_empty() && !name.contains('=') && token.is_string())),
        _ => false,
    }
}

fn is_within(value: &Value, low: i64, high: i64) -> bool {
    value.as_i64().is_some_and(|n| (low..=high).contains(&n))
}

fn has_keys(value: &Value, keys: &[&str]) -> bool {
    value.as_object().is_some_and(|all| all.len() == keys.len() && keys.iter().all(|key| all.contains_key(*key)))
}

fn is_ending(value: &Value) -> bool {
    is_within(value, 1, 255) || value.as_str().is_some_and(|word| Reason::parse(word).is_some())
}

fn is_argv(value: &Value) -> bool {
    let hex = |one: &Value| one.get("hex").and_then(Value::as_str).map(str::to_owned);
    let is_hex = |text: &str| text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_word = |one: &Value| one.is_string() || hex(one).is_some_and(|text| is_hex(&text));
    let is_empty = |one: &Value| one.as_str() == Some("") || hex(one).as_deref() == Some("");
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    (1..=ARGV_LEN_MAX).contains(&all.len()) && all.iter().all(is_word) && !is_empty(&all[0])
}
