//! Reads the state of pueue: `state.json` of versions 3 and 4.
//!
//! Pure. What becomes of a task is decided by [`crate::cli::pueue`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Largest state that is read, in bytes.
pub const BYTES_MAX: usize = 256 << 20;

/// What pueue has.
#[derive(Debug, Deserialize)]
pub struct State {
    tasks: BTreeMap<String, Task>,
    #[serde(default)]
    pub groups: BTreeMap<String, Group>,
}

/// A task, as pueue keeps it.
#[derive(Debug, Deserialize)]
pub struct Task {
    pub id: u64,
    /// Tells a task from another one that had its number.
    #[serde(default)]
    pub created_at: String,
    /// For the shell, with the aliases of pueue replaced.
    pub command: String,
    pub path: String,
    #[serde(default)]
    pub envs: BTreeMap<String, String>,
    pub group: String,
    #[serde(default)]
    pub dependencies: Vec<u64>,
    #[serde(default)]
    pub priority: i64,
    #[serde(default)]
    pub label: Option<String>,
    status: Value,
}

/// A group, which is a queue here.
#[derive(Debug, Deserialize)]
pub struct Group {
    status: String,
    parallel_tasks: i64,
}

impl Group {
    pub fn is_paused(&self) -> bool {
        self.status == "Paused"
    }

    /// How many of its tasks run at once; `None`: any number.
    pub fn slots(&self) -> Option<i64> {
        Some(self.parallel_tasks).filter(|n| *n > 0)
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Queued,
    /// Until a person queues it, or until an instant in milliseconds UTC.
    Stashed(Option<i64>),
    /// Running, or stopped while it runs.
    Running,
    Done {
        succeeded: bool,
    },
}

impl Task {
    /// # Errors
    /// A status that this program does not know.
    pub fn status(&self) -> Result<Status, String> {
        status(&self.status)
    }
}

/// A status is a word, or an object with that word as its only key.
fn status(value: &Value) -> Result<Status, String> {
    let (word, more) = match value {
        Value::String(word) => (word.as_str(), &Value::Null),
        Value::Object(one) if one.len() == 1 => one.iter().next().map(|(word, more)| (word.as_str(), more)).unwrap_or_default(),
        _ => ("", &Value::Null),
    };
    match word {
        "Queued" => Ok(Status::Queued),
        "Running" | "Paused" => Ok(Status::Running),
        "Stashed" => match &more["enqueue_at"] {
            Value::Null => Ok(Status::Stashed(None)),
            Value::String(at) => instant(at).map(|at| Status::Stashed(Some(at))),
            other => Err(format!("enqueue_at is not a time: {other}")),
        },
        // While a person edits it; the status before is that of the task.
        "Locked" => match &more["previous_status"] {
            Value::Null => Ok(Status::Stashed(None)),
            before @ (Value::String(_) | Value::Object(_)) if before.get("Locked").is_none() => status(before),
            other => Err(format!("its status is not known: {other}")),
        },
        "Done" => Ok(Status::Done { succeeded: more == "Success" || more["result"] == "Success" }),
        _ => Err(format!("its status is not known: {value}")),
    }
}

fn instant(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| format!("{text:?} is not a time"))
}

/// Reads the state; the tasks are in the order of their numbers.
///
/// # Errors
/// It is not the state of pueue, with the remedy.
pub fn read(text: &[u8]) -> Result<(Vec<Task>, BTreeMap<String, Group>), String> {
    if text.starts_with(&[0x1f, 0x8b]) {
        return Err("it is compressed; decompress it first: gzip -dc state.json.gz | tenure import pueue -".into());
    }
    let state: State = serde_json::from_slice(text).map_err(|e| {
        format!("it is not the state of pueue ({e}); that is state.json in the directory that pueue's settings name")
    })?;
    let mut tasks: Vec<Task> = state.tasks.into_values().collect();
    tasks.sort_by_key(|task| task.id);
    match tasks.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(format!("two tasks have the number {}", pair[0].id)),
        None => Ok((tasks, state.groups)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_versions_3_and_4_write_it() {
        let of = |text: &str| status(&serde_json::from_str(text).unwrap());
        assert_eq!(of("\"Queued\""), Ok(Status::Queued), "version 3");
        assert_eq!(of(r#"{"Queued": {"enqueued_at": "2024-07-18T14:56:35.9+02:00"}}"#), Ok(Status::Queued), "version 4");
        assert_eq!(of(r#"{"Stashed": {"enqueue_at": null}}"#), Ok(Status::Stashed(None)));
        let later = r#"{"Stashed": {"enqueue_at": "1970-01-01T01:00:01+01:00"}}"#;
        assert_eq!(of(later), Ok(Status::Stashed(Some(1_000))));
        assert_eq!(of(r#"{"Paused": {"start": "x"}}"#), Ok(Status::Running));
        assert_eq!(of(r#"{"Done": "Success"}"#), Ok(Status::Done { succeeded: true }), "version 3");
        assert_eq!(of(r#"{"Done": {"result": "Success"}}"#), Ok(Status::Done { succeeded: true }), "version 4");
        assert_eq!(of(r#"{"Done": {"result": {"Failed": 2}}}"#), Ok(Status::Done { succeeded: false }));
        assert_eq!(of(r#"{"Locked": {"previous_status": {"Queued": {}}}}"#), Ok(Status::Queued));
        for wrong in [
            "null",
            "7",
            "[]",
            "{}",
            "\"\"",
            r#"{"Stashed": {"enqueue_at": "soon"}}"#,
            r#"{"Stashed": {"enqueue_at": 7}}"#,
            r#"{"Locked": {"previous_status": {"Locked": {}}}}"#,
            r#"{"Queued": 1, "Done": 2}"#,
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_state_is_refused_with_the_remedy() {
        assert!(read(b"\x1f\x8b\x08").unwrap_err().contains("gzip -dc"));
        for wrong in ["", "{}", "[]", "\"tasks\"", r#"{"tasks": {"0": {}}}"#, "\0"] {
            assert!(read(wrong.as_bytes()).unwrap_err().contains("state.json"), "{wrong}");
        }
        let task = r#"{"id": 4, "command": "a", "path": "/", "group": "g", "status": "Queued"}"#;
        assert!(read(format!(r#"{{"tasks": {{"1": {task}, "2": {task}}}}}"#).as_bytes()).unwrap_err().contains("number 4"));
    }
}
