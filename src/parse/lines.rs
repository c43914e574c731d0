//! `add --from`: many jobs, one JSON object a line.
//!
//! Pure over a reader. A line overrides the options of the command line, so
//! `add --from FILE -q slow` gives each line without a queue the queue `slow`. The keys and how
//! each is read are in [`crate::parse::job_options`]. Deliberately absent: adding;
//! the face passes the result to the store, in one transaction or in chunks.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Formatter};
use std::io::BufRead;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error;
use crate::job::limits::JOB_LINE_BYTES_MAX;
use crate::job::{Argv, Need, NewJob, Template, nearest};
use crate::parse::job_options::{KEYS, Set};
use crate::parse::options::{JobOptions, Surroundings};
use crate::parse::row_values::{self, Refs};
use crate::parse::{library_words, values};
use crate::units;

/// Most lines of one file that have a `ref`.
pub const REFS_MAX: usize = 1_000_000;

/// The jobs of one line, with its name and its dependencies within the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Number of the line, from 1.
    pub line: usize,
    pub jobs: Vec<NewJob>,
    /// Its number among the lines with a `ref`, by which later lines refer to it.
    pub name: Option<usize>,
    /// Numbers of earlier lines that it depends on.
    pub after: Vec<(usize, Need)>,
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
    /// The names of the lines, each with its number: all that is kept of a line once its jobs are
    /// added.
    names: HashMap<Box<str>, usize>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub fn new(reader: R, options: &'a JobOptions, around: &'a Surroundings) -> Self {
        Self { reader, options, around, line: 0, buffer: Vec::new(), names: HashMap::new() }
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
        let entries: Entries = serde_json::from_str(text).map_err(|e| library_words::json(&e))?;
        self.of_entries(entries)
    }

    /// Returns the jobs of an object that was read elsewhere, such as from the body of a request.
    /// It counts as the line that was read last.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_entries(&mut self, Entries(entries): Entries) -> Result<Asked, String> {
        let line = Line::of(entries, &[])?;
        let (name, mut after) = (line.name.as_ref().map(name_of).transpose()?, Vec::new());
        let options = line.over(self.options, &mut after)?;
        let after = after.iter().map(|(name, need)| Ok((self.earlier(name)?, *need))).collect::<Result<_, String>>()?;
        let jobs = options.new_jobs(line.command, self.around)?;
        let name = name.map(|name| self.learn(&name)).transpose()?;
        Ok(Asked { line: self.line, jobs, name, after, secrets: options.secret })
    }

    fn earlier(&self, name: &str) -> Result<usize, String> {
        let number = self.names.get(name).copied();
        number.ok_or_else(|| format!("after: no earlier line has the ref {name:?}; a line waits only for lines above it"))
    }

    fn learn(&mut self, name: &str) -> Result<usize, String> {
        if self.names.len() >= REFS_MAX {
            return Err(format!("a file has at most {REFS_MAX} refs"));
        }
        let number = self.names.len();
        match self.names.entry(name.into()) {
            Entry::Vacant(free) => Ok(*free.insert(number)),
            Entry::Occupied(_) => Err(format!("the ref {name:?} is taken by an earlier line; choose another")),
        }
    }
}

/// Parses the description of later jobs: one JSON object with the keys of a line, such as the stage
/// of a pipeline. So each key has one meaning everywhere. `own`: keys that were removed before.
///
/// # Errors
/// What is wrong with it, with the key.
pub fn template(object: Map<String, Value>, around: &Surroundings, own: &[&str]) -> Result<Template, String> {
    let line = Line::of(object, own)?;
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
    Ok(Template { has_places: !line.is_shell, ..options.template(line.command, around)? })
}

/// Parses the whole description of one job: an object with the keys of a line.
///
/// # Errors
/// What is wrong with it, with the key.
pub fn whole(object: Map<String, Value>, around: &Surroundings) -> Result<NewJob, String> {
    let line = Line::of(object, &[])?;
    if line.name.is_some() {
        return Err("ref: it is for the lines of a file; omit it".into());
    }
    let mut refs = Vec::new();
    let options = line.over(&JobOptions::default(), &mut refs)?;
    if let Some((name, _)) = refs.first() {
        return Err(format!("after: {:?} is not a job; write its number, as in after = [3]", values::shorten(name)));
    }
    if options.array.is_some() || options.stop_on_failure || !options.secret.is_empty() {
        return Err("array, stop_on_failure and secret are for a new job; omit them".into());
    }
    let mut jobs = options.new_jobs(line.command, around)?;
    jobs.pop().ok_or_else(|| "it describes no job".into())
}

/// The keys of a line that are not options of a job.
const OWN: [&str; 3] = ["command", "shell", "ref"];

/// A line: what is run, its name, and the keys that set options.
#[derive(Debug)]
struct Line {
    command: Argv,
    /// It is a line for the shell.
    is_shell: bool,
    name: Option<Value>,
    rest: Vec<(String, Value)>,
}

impl Line {
    /// `own`: keys that the caller has removed before, which a typo may have meant.
    fn of(entries: impl IntoIterator<Item = (String, Value)>, own: &[&str]) -> Result<Self, String> {
        let (mut command, mut shell, mut name, mut rest) = (None, None, None, Vec::new());
        let mut seen = HashSet::new();
        for (key, value) in entries {
            if seen.contains(&key) {
                return Err(format!("the key {:?} is given twice; omit one of them", values::shorten(&key)));
            }
            let place = match key.as_str() {
                "command" => Some(&mut command),
                "shell" => Some(&mut shell),
                "ref" => Some(&mut name),
                known if setter(known).is_some() => None,
                unknown => return Err(unknown_key(unknown, own)),
            };
            seen.insert(key.clone());
            // As if the key were absent.
            let value = Some(value).filter(|value| !value.is_null());
            match place {
                Some(place) => *place = value,
                None => rest.extend(value.map(|value| (key, value))),
            }
        }
        let is_shell = shell.is_some();
        Ok(Self { command: argv(command, shell)?, is_shell, name, rest })
    }

    /// Applies this line over the options of the command line; dependencies on lines of the same
    /// file go into `refs`.
    fn over(&self, base: &JobOptions, refs: &mut Refs) -> Result<JobOptions, String> {
        let mut options = base.clone();
        // A line's delay replaces the command line's `--at`, and the other way round.
        if self.rest.iter().any(|(key, _)| matches!(key.as_str(), "delay" | "at")) {
            (options.delay, options.at) = (None, None);
        }
        for (key, value) in &self.rest {
            if let Some(set) = setter(key) {
                set(&mut options, value, refs).map_err(|e| format!("{key}: {e}"))?;
            }
        }
        Ok(options)
    }
}

/// The keys of an object with their values, as they are written: one that is given twice is there
/// twice.
#[derive(Debug)]
pub struct Entries(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Entries(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn setter(key: &str) -> Option<Set> {
    let key = if key == "use" { "uses" } else { key };
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, set)| *set)
}

fn unknown_key(unknown: &str, own: &[&str]) -> String {
    let known = OWN.iter().chain(own).copied().chain(KEYS.iter().map(|(name, _)| *name));
    let near = nearest::question(unknown, known);
    let known = if near.is_empty() { "; the keys are the long options of tenure add, with _ for -" } else { near.as_str() };
    format!("the key {:?} is not known{known}", values::shorten(unknown))
}

fn argv(command: Option<Value>, shell: Option<Value>) -> Result<Argv, String> {
    match (command, shell) {
        (Some(_), Some(_)) => Err("give \"command\" or \"shell\", not both".into()),
        (None, None) => Err("a \"command\" is missing, such as [\"echo\", \"hi\"]; or a line for the shell as \"shell\"".into()),
        (None, Some(line)) => row_values::string(&line).and_then(values::parse_shell).map_err(|e| format!("shell: {e}")),
        (Some(command), None) => row_values::argv_of(&command).map_err(|e| format!("command: {e}")),
    }
}

fn name_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(name) => values::parse_label(name).map_err(|e| format!("ref: {e}")),
        other => Err(format!("ref: {other} is not a name; write it as a string, such as \"a\"")),
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
