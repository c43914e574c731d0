//! A file of pipelines, in TOML.
//!
//! Pure. A stage is read with the keys of a line of `add --from`, after its own keys were removed,
//! so each option of `add` means the same here. Deliberately absent: applying;
//! `crate::cli::verbs::pipeline` passes the result to the store, all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::cli::parse::options::Surroundings;
use crate::cli::parse::{lines, row_values, values};
use crate::job::hook::{HookEvent, Hooks};
use crate::job::limits::PIPELINES_PER_FILE_MAX;
use crate::job::pipeline::Stage;
use crate::job::{Pipeline, names};

/// Longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Returns the pipelines of a file, by name.
///
/// # Errors
/// What is wrong, with the line or with the pipeline, the stage and the key.
pub fn parse(text: &str, around: &Surroundings) -> Result<BTreeMap<String, Pipeline>, String> {
    let mut whole = object_of_toml(text)?;
    let all = take_table(&mut whole, "pipeline")?;
    if let Some(unknown) = whole.keys().next() {
        return Err(format!("{:?} is not known here; a pipeline is a table [pipeline.NAME]", values::shorten(unknown)));
    }
    let Some(all) = all.filter(|all| !all.is_empty()) else {
        return Err("there is no pipeline in it; a pipeline is a table, such as [pipeline.ship]".into());
    };
    if all.len() > PIPELINES_PER_FILE_MAX {
        return Err(format!("the file has {} pipelines; the limit is {PIPELINES_PER_FILE_MAX}; use several files", all.len()));
    }
    let one = |(name, value): (String, Value)| {
        let pipeline = names::plain(&name).and_then(|()| pipeline(value, around));
        let pipeline = pipeline.map_err(|e| format!("pipeline {:?}: {e}", values::shorten(&name)))?;
        Ok((name, pipeline))
    };
    all.into_iter().map(one).collect()
}

/// Parses TOML, as the object that a line of `add --from` is.
///
/// # Errors
/// What is wrong, with the line.
pub fn object_of_toml(text: &str) -> Result<Map<String, Value>, String> {
    let whole: toml::Table = toml::from_str(text).map_err(|e| readable(text, &e))?;
    objects(toml::Value::Table(whole))
}

/// Returns the parser's text, with the number of the line; its excerpt is dropped, as it repeats
/// what was written.
fn readable(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let message = error.message().trim().replace('\n', "; ");
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

/// Converts the values to JSON, like a line of `add --from`.
fn objects(value: toml::Value) -> Result<Map<String, Value>, String> {
    match json(value)? {
        Value::Object(map) => Ok(map),
        _ => Err("it is not a table".into()),
    }
}

fn json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(|| format!("{number} is not a valid number"))?
        }
        toml::Value::Array(items) => items.into_iter().map(json).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| Ok((key, json(value)?))).collect::<Result<_, String>>()?)
        }
    })
}

fn pipeline(value: Value, around: &Surroundings) -> Result<Pipeline, String> {
    let Value::Object(mut table) = value else { return Err("it is not a table; write [pipeline.NAME]".into()) };
    let start = take_text(&mut table, "start")?;
    let max_rounds = match table.remove("max_rounds") {
        None => None,
        Some(value) => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
            Some(number.ok_or_else(|| format!("max_rounds: {} is not a number of rounds", shown(&value)))?)
        }
    };
    let params = match table.remove("params") {
        None => BTreeSet::new(),
        Some(Value::Array(names)) => {
            let name =
                |name: &Value| name.as_str().map(str::to_owned).ok_or_else(|| format!("params: {} is not a name", shown(name)));
            names.iter().map(name).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(format!("params: {} is not a list of names; write params = [\"version\"]", shown(&other))),
    };
    let hooks = take_hooks(&mut table)?;
    let stages = take_table(&mut table, "stage")?.unwrap_or_default();
    if let Some(unknown) = table.keys().next() {
        return Err(format!(
            "{:?} is not known; a pipeline has start, max_rounds, params, and tables hooks and stage.NAME",
            values::shorten(unknown)
        ));
    }
    let one = |(name, value): (String, Value)| {
        let stage = stage(value, around).map_err(|e| format!("stage {:?}: {e}", values::shorten(&name)))?;
        Ok::<_, String>((name, stage))
    };
    Ok(Pipeline::new(start, max_rounds, params, stages.into_iter().map(one).collect::<Result<_, _>>()?)?.with_hooks(hooks))
}

fn stage(value: Value, around: &Surroundings) -> Result<Stage, String> {
    let Value::Object(mut table) = value else { return Err("it is not a table; write [pipeline.NAME.stage.NAME]".into()) };
    let on_success = take_text(&mut table, "on_success")?;
    let on_failure = take_text(&mut table, "on_failure")?;
    let critical = match table.remove("critical") {
        None => false,
        Some(Value::Bool(critical)) => critical,
        Some(other) => return Err(format!("critical: {} is neither true nor false", shown(&other))),
    };
    let teardown =
        table.remove("teardown").map(|value| row_values::command_of(&value).map_err(|e| format!("teardown: {e}"))).transpose()?;
    if table.contains_key("on_end") {
        return Err("on_end: the hooks of a stage are in a table of their own: [pipeline.NAME.stage.NAME.hooks]".into());
    }
    let hooks = take_hooks(&mut table)?;
    let mut job = lines::template(table, around, &["on_success", "on_failure", "critical", "teardown", "hooks"])?;
    job.policy.hooks = hooks;
    Ok(Stage { job, on_success, on_failure, critical, teardown })
}

/// Returns the commands of a table `hooks`.
fn take_hooks(table: &mut Map<String, Value>) -> Result<Hooks, String> {
    let mut hooks = Hooks::default();
    for (event, value) in take_table(table, "hooks")?.unwrap_or_default() {
        let place = match HookEvent::parse(&event) {
            Some(HookEvent::OnFailure) => &mut hooks.on_failure,
            Some(HookEvent::OnSuccess) => &mut hooks.on_success,
            Some(HookEvent::OnEnd) => &mut hooks.on_end,
            None => {
                let shown = values::shorten(&event);
                return Err(format!("hooks: {shown:?} is not known; hooks are on_failure, on_success and on_end"));
            }
        };
        *place = Some(row_values::command_of(&value).map_err(|e| format!("hooks: {event}: {e}"))?);
    }
    Ok(hooks)
}

fn take_text(table: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key}: {} is not a name of a stage", shown(&other))),
    }
}

fn take_table(table: &mut Map<String, Value>, key: &str) -> Result<Option<Map<String, Value>>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::Object(inner)) => Ok(Some(inner)),
        Some(other) => {
            Err(format!("{key}: {} is not a table; write [pipeline.NAME] and [pipeline.NAME.stage.NAME]", shown(&other)))
        }
    }
}

fn shown(value: &Value) -> String {
    values::shorten(&value.to_string()).to_string()
}

#[cfg(test)]
#[path = "pipeline_file_tests.rs"]
mod tests;
