//! `add --from`: many jobs, one JSON object a line.
//!
//! Pure over a reader. A line overrides the options of the command line, so
//! `add --from FILE -q slow` gives each line without a queue the queue `slow`. The same functions
//! as for options interpret a line. Deliberately absent: adding; [`crate::cli::verbs::add`] passes
//! the result to the store, in one transaction or in chunks.

use std::collections::HashSet;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::parse::options::{Endings, JobOptions, Surroundings};
use crate::cli::parse::select::{Part, Selector};
use crate::cli::parse::{library_words, values};
use crate::error;
use crate::job::limits::{ATTEMPTS_MAX, JOB_LINE_BYTES_MAX};
use crate::job::{Argv, JobId, Need, NewJob, Template};
use crate::units;

/// Most lines of one file that have a `ref`.
pub const REFS_MAX: usize = 1_000_000;

/// The jobs of one line, with its name and its dependencies within the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Number of the line, from 1.
    pub line: usize,
    pub jobs: Vec<NewJob>,
    /// The name by which later lines may refer to it.
    pub name: Option<String>,
    /// Earlier lines that it depends on.
    pub after: Vec<(String, Need)>,
    /// Variables to be kept as secrets.
    pub secrets: Vec<String>,
}

/// Reads a file of jobs, line by line.
pub struct Lines<'a, R> {
    reader: R,
    options: &'a JobOptions,
    around: &'a Surroundings,
    line: usize,
    buffer: Vec<u8>,
    names: HashSet<String>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub fn new(reader: R, options: &'a JobOptions, around: &'a Surroundings) -> Self {
        Self { reader, options, around, line: 0, buffer: Vec::new(), names: HashSet::new() }
    }

    /// Returns the jobs of the next line; `None` at the end. Empty lines are skipped.
    ///
    /// # Errors
    /// What is wrong with the line, with its number.
    pub fn next_line(&mut self) -> Result<Option<Asked>, String> {
        while self.read_line().map_err(|e| format!("line {}: {e}", self.line))? {
            if self.buffer.iter().any(|b| !b.is_ascii_whitespace()) {
                return self.asked().map(Some).map_err(|e| format!("line {}: {e}", self.line));
            }
        }
        Ok(None)
    }

    /// Length of the line that was read last.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    fn read_line(&mut self) -> Result<bool, String> {
        self.buffer.clear();
        self.line += 1;
        // No more than the limit is kept in memory, however long the line is.
        let mut limited = std::io::Read::take(&mut self.reader, JOB_LINE_BYTES_MAX as u64 + 2);
        let read = limited.read_until(b'\n', &mut self.buffer).map_err(|e| format!("cannot be read: {}", error::words(&e)))?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.len() > JOB_LINE_BYTES_MAX {
            return Err(format!("it is longer than {}; put data in files", units::size_text(JOB_LINE_BYTES_MAX as u64)));
        }
        Ok(read > 0)
    }

    fn asked(&mut self) -> Result<Asked, String> {
        let text = std::str::from_utf8(&self.buffer).map_err(|_| "it is not UTF-8".to_owned())?;
        // serde would also accept an array for a struct, with its elements in the order of the
        // fields.
        if !text.trim_start().starts_with('{') {
            return Err("a line is a JSON object, such as {\"command\": [\"echo\", \"hi\"]}".into());
        }
        let line: Line = serde_json::from_str(text).map_err(|e| library_words::json(&e, text, &[]))?;
        let command = line.argv()?;
        let (name, mut after) = (line.name.as_ref().map(name_of).transpose()?, Vec::new());
        let options = line.over(self.options, &mut after)?;
        if let Some((unknown, _)) = after.iter().find(|(earlier, _)| !self.names.contains(earlier)) {
            return Err(format!("after: no earlier line has the ref {unknown:?}; a line waits only for lines above it"));
        }
        let jobs = options.new_jobs(command, self.around)?;
        self.learn(name.as_deref())?;
        Ok(Asked { line: self.line, jobs, name, after, secrets: options.secret })
    }

    fn learn(&mut self, name: Option<&str>) -> Result<(), String> {
        let Some(name) = name else {
            return Ok(());
        };
        if self.names.len() >= REFS_MAX {
            return Err(format!("a file has at most {REFS_MAX} refs"));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(format!("the ref {name:?} is taken by an earlier line; choose another"));
        }
        Ok(())
    }
}

/// Parses the description of later jobs: one JSON object with the keys of a line, such as the stage
/// of a pipeline. So each key has one meaning everywhere. `own`: keys that were removed before.
///
/// # Errors
/// What is wrong with it, with the key.
pub fn template(object: Map<String, Value>, around: &Surroundings, own: &[&str]) -> Result<Template, String> {
    let text = Value::Object(object).to_string();
    let line: Line = serde_json::from_str(&text).map_err(|e| library_words::json(&e, &text, own))?;
    let command = line.argv()?;
    if line.name.is_some() {
        return Err("ref: stages go by their names; omit it".into());
    }
    let mut refs = Vec::new();
    let options = line.over(&JobOptions::default(), &mut refs)?;
    if let Some((name, _)) = refs.first() {
        return Err(format!("after: {:?}: a stage follows another by on_success and on_failure", values::shorten(name)));
    }
    // A shell line finds the parameters in its environment: a value must not become part of a
    // program.
    Ok(Template { has_places: line.shell.is_none(), ..options.template(command, around)? })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    command: Option<Value>,
    shell: Option<String>,
    #[serde(rename = "ref")]
    name: Option<Value>,
    queue: Option<String>,
    priority: Option<i64>,
    label: Option<String>,
    delay: Option<String>,
    at: Option<String>,
    expires: Option<String>,
    hold: Option<bool>,
    retries: Option<u32>,
    backoff: Option<String>,
    retry_on: Option<Value>,
    no_retry_on: Option<Value>,
    max_deferrals: Option<u32>,
    timeout: Option<String>,
    grace: Option<String>,
    warn: Option<String>,
    idle_timeout: Option<String>,
    after: Option<Value>,
    after_any: Option<Value>,
    after_failed: Option<Value>,
    lane: Option<String>,
    unique: Option<String>,
    replace: Option<bool>,
    cwd: Option<String>,
    env: Option<Map<String, Value>>,
    pass_env: Option<Value>,
    secret: Option<Value>,
    stdin: Option<String>,
    check: Option<Value>,
    workspace: Option<String>,
    prepare: Option<Value>,
    array: Option<String>,
    memory: Option<Value>,
    nice: Option<i32>,
    user: Option<String>,
    log_limit: Option<Value>,
}

impl Line {
    fn argv(&self) -> Result<Argv, String> {
        match (&self.command, &self.shell) {
            (Some(_), Some(_)) => Err("give \"command\" or \"shell\", not both".into()),
            (None, None) => {
                Err("a \"command\" is missing, such as [\"echo\", \"hi\"]; or a line for the shell as \"shell\"".into())
            }
            (None, Some(line)) => values::parse_shell(line).map_err(|e| format!("shell: {e}")),
            (Some(command), None) => argv_of(command).map_err(|e| format!("command: {e}")),
        }
    }

    /// Applies this line over the options of the command line; dependencies on lines of the same
    /// file go into `refs`.
    fn over(&self, base: &JobOptions, refs: &mut Vec<(String, Need)>) -> Result<JobOptions, String> {
        let mut o = base.clone();
        put(&mut o.queue, "queue", &self.queue, |t| values::parse_name(t))?;
        put(&mut o.label, "label", &self.label, |t| values::parse_label(t))?;
        put(&mut o.lane, "lane", &self.lane, |t| values::parse_name(t))?;
        put(&mut o.unique, "unique", &self.unique, |t| values::parse_label(t))?;
        put(&mut o.backoff, "backoff", &self.backoff, |t| values::parse_backoff(t))?;
        put(&mut o.timeout, "timeout", &self.timeout, |t| units::parse_duration(t))?;
        put(&mut o.grace, "grace", &self.grace, |t| units::parse_duration(t))?;
        put(&mut o.idle_timeout, "idle_timeout", &self.idle_timeout, |t| units::parse_duration(t))?;
        put(&mut o.warn, "warn", &self.warn, |t| values::parse_warn(t))?;
        put(&mut o.array, "array", &self.array, |t| values::parse_array(t))?;
        put(&mut o.check, "check", &self.check, command_of)?;
        put(&mut o.workspace, "workspace", &self.workspace, |t| values::parse_workspace(t))?;
        put(&mut o.prepare, "prepare", &self.prepare, command_of)?;
        put(&mut o.retry_on, "retry_on", &self.retry_on, endings)?;
        put(&mut o.no_retry_on, "no_retry_on", &self.no_retry_on, endings)?;
        put(&mut o.memory, "memory", &self.memory, memory)?;
        put(&mut o.log_limit, "log_limit", &self.log_limit, size)?;
        put(&mut o.expires, "expires", &self.expires, |t| Ok(t.clone()))?;
        put(&mut o.cwd, "cwd", &self.cwd, |t| Ok(t.into()))?;
        put(&mut o.user, "user", &self.user, |t| values::parse_label(t))?;
        self.times_over(&mut o)?;
        self.numbers_over(&mut o)?;
        self.environment_over(&mut o)?;
        for (value, key, need) in [
            (&self.after, "after", Need::Done),
            (&self.after_any, "after_any", Need::Any),
            (&self.after_failed, "after_failed", Need::Failed),
        ] {
            let Some(value) = value else { continue };
            let ids = ids(value, need, refs).map_err(|e| format!("{key}: {e}"))?;
            match need {
                Need::Done => o.after = ids,
                Need::Any => o.after_any = ids,
                Need::Failed => o.after_failed = ids,
            }
        }
        Ok(o)
    }

    /// A line's delay replaces the command line's `--at`, and the other way round.
    fn times_over(&self, o: &mut JobOptions) -> Result<(), String> {
        if self.delay.is_some() || self.at.is_some() {
            (o.delay, o.at) = (None, None);
        }
        put(&mut o.delay, "delay", &self.delay, |t| units::parse_duration(t))?;
        put(&mut o.at, "at", &self.at, |t| Ok(t.clone()))
    }

    fn numbers_over(&self, o: &mut JobOptions) -> Result<(), String> {
        if let Some(retries) = self.retries.filter(|n| *n >= ATTEMPTS_MAX) {
            return Err(format!("retries is {retries}; the limit is {}", ATTEMPTS_MAX - 1));
        }
        o.priority = self.priority.or(o.priority);
        o.retries = self.retries.or(o.retries);
        o.max_deferrals = self.max_deferrals.or(o.max_deferrals);
        o.nice = self.nice.or(o.nice);
        o.hold = self.hold.unwrap_or(o.hold);
        o.replace = self.replace.unwrap_or(o.replace);
        Ok(())
    }

    fn environment_over(&self, o: &mut JobOptions) -> Result<(), String> {
        for (name, value) in self.env.iter().flatten() {
            let text = value.as_str().ok_or_else(|| format!("env: the value of {name:?} must be a string"))?;
            values::check_env(name, text).map_err(|e| format!("env: {e}"))?;
            o.env.push((name.clone(), text.to_owned()));
        }
        for (key, value, list) in [("pass_env", &self.pass_env, &mut o.pass_env), ("secret", &self.secret, &mut o.secret)] {
            for name in value.as_ref().map(strings).transpose().map_err(|e| format!("{key}: {e}"))?.into_iter().flatten() {
                list.push(values::parse_passed_name(&name).map_err(|e| format!("{key}: {e}"))?);
            }
        }
        match self.stdin.as_deref() {
            Some("-") => return Err("stdin: a line cannot take it from the terminal; name a file".into()),
            Some(file) => o.stdin = Some(file.into()),
            None => {}
        }
        Ok(())
    }
}

/// Replaces the value of an option by that of the line, parsed in the same way.
fn put<V, T>(place: &mut Option<T>, key: &str, value: &Option<V>, parse: impl Fn(&V) -> Result<T, String>) -> Result<(), String> {
    if let Some(value) = value {
        *place = Some(parse(value).map_err(|e| format!("{key}: {e}"))?);
    }
    Ok(())
}

fn argv_of(value: &Value) -> Result<Argv, String> {
    match value {
        Value::String(line) => Err(format!(
            "a command is a JSON array of strings; for the shell write \"shell\": {}",
            Value::from(values::shorten(line))
        )),
        other => Argv::from_json(&other.to_string()).map_err(|e| e.to_string()),
    }
}

/// An option that takes a command: a string for the shell, or an argv.
pub fn command_of(value: &Value) -> Result<Argv, String> {
    match value {
        Value::String(line) => values::parse_shell(line),
        other => argv_of(other),
    }
}

fn endings(value: &Value) -> Result<Endings, String> {
    let one = |item: &Value| match item {
        Value::Number(number) => values::retry_on(&number.to_string()),
        Value::String(word) => values::retry_on(word),
        other => Err(format!("{other} is not an exit code or an end reason")),
    };
    match value {
        Value::String(list) => values::parse_retry_on(list).map(Endings),
        Value::Array(items) => items.iter().map(one).collect::<Result<_, _>>().map(Endings),
        other => one(other).map(|ending| Endings(vec![ending])),
    }
}

fn size(value: &Value) -> Result<u64, String> {
    match value {
        Value::Number(number) => number.as_u64().ok_or_else(|| format!("{number} is not a number of bytes")),
        Value::String(text) => units::parse_size(text),
        other => Err(format!("{other} is not a size; write it as \"2G\" or a number of bytes")),
    }
}

fn memory(value: &Value) -> Result<u64, String> {
    let bytes = size(value)?;
    values::check_memory(bytes, value.as_str().unwrap_or(&value.to_string()))
        .map_err(|e| e.trim_start_matches("memory: ").to_owned())
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| format!("{item} is not a string"))).collect()
        }
        other => Err(format!("{other} is not a list of strings")),
    }
}

fn name_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(name) => values::parse_label(name).map_err(|e| format!("ref: {e}")),
        other => Err(format!("ref: {other} is not a name; write it as a string, such as \"a\"")),
    }
}

/// Numbers are jobs of the file; strings are refs of earlier lines.
fn ids(value: &Value, need: Need, refs: &mut Vec<(String, Need)>) -> Result<Vec<Selector>, String> {
    let single = std::slice::from_ref(value);
    let mut parts = Vec::new();
    for item in value.as_array().map_or(single, Vec::as_slice) {
        match item {
            Value::Number(number) => match number.as_i64() {
                Some(id) if id > 0 => parts.push(Part::One(JobId(id))),
                _ => return Err(format!("{number} is not a job")),
            },
            Value::String(name) => refs.push((name.clone(), need)),
            other => return Err(format!("{other} is not a job or a ref; write [3] or [\"a\"]")),
        }
    }
    Ok(vec![Selector(parts)])
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
