//! Adds jobs: one object, or an array of them, with the keys of a line of `tenure add --from`. All
//! or nothing.
//!
//! A job of the web inherits nothing from the place where it is added: no directory and no
//! variables of this process.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use rusqlite::Connection;
use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::document::shapes::versioned;
use crate::error::{Error, Result};
use crate::job::limits::ADD_BATCH_MAX;
use crate::job::{JobId, NewJob};
use crate::parse::library_words;
use crate::parse::lines::{Asked as Job, Entries, Lines};
use crate::parse::options::{JobOptions, Surroundings};
use crate::parse::values;
use crate::run::machine;
use crate::store::job::enqueue::{self, Added};
use crate::store::receipt::OneJob;
use crate::store::receipt::request::{self, Named};
use crate::web::app::App;
use crate::web::hash;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, post};

pub const ROUTES: &[Route] = &[Route { takes_key: true, ..post("/api/v1/jobs", &[], add) }];

/// Most bytes of objects in one request; an array counts its object for each of its jobs.
const BYTES_MAX: usize = 64 << 20;
/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 200;
/// Keys whose values are those of the process that adds a job.
const OF_A_COMMAND: [&str; 2] = ["pass_env", "secret"];
/// The directory of a job that names none.
const DIRECTORY: &str = "/";

/// The objects of a body.
struct Objects {
    all: Vec<Entries>,
    is_one: bool,
}

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Objects;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or an array of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Objects, A::Error> {
                Ok(Objects { all: vec![Entries::deserialize(MapAccessDeserializer::new(map))?], is_one: true })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Objects, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Objects { all, is_one: false })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

pub fn add(app: &App, asked: &Asked) -> Answered {
    let wrong = |error: serde_json::Error| Problem::usage(format!("the body: {}", library_words::json(&error)));
    let Objects { all, is_one } = serde_json::from_slice(&asked.body).map_err(wrong)?;
    if all.is_empty() {
        return Err(Problem::usage("the array has no job"));
    }
    let named = asked.key.as_deref().map(|key| named(key, &asked.body)).transpose()?;
    let around = Surroundings {
        now: app.now(),
        cwd: DIRECTORY.into(),
        env: BTreeMap::new(),
        found: Vec::new(),
        draw: || machine::nonce().to_string(),
    };
    let jobs = read(all, &around).map_err(|why| Problem::usage(format!("{why}; nothing was added")))?;
    let queue = app.client()?;
    let (_, done) = queue.adding().commit(move |conn, now_ms| once(conn, named.as_ref(), &jobs, now_ms))?;
    let document = |one: &OneJob| json!({"id": one.id, "existing": one.existing, "replaced": one.replaced});
    let value = match done.as_slice() {
        [one] if is_one => document(one),
        all => json!({"jobs": all.iter().map(document).collect::<Vec<Value>>()}),
    };
    // Nothing new: the live jobs with these unique keys.
    let is_old = done.iter().all(|one| one.existing);
    Ok(if is_old { Answer::Document(versioned(value)) } else { Answer::Created(versioned(value)) })
}

/// Reads the objects; no more than one transaction takes is in memory.
fn read(all: Vec<Entries>, around: &Surroundings) -> std::result::Result<Vec<Job>, String> {
    let (options, mut jobs, mut bytes) = (JobOptions::default(), Vec::new(), 0);
    let mut lines = Lines::new(std::io::empty(), &options, around);
    let (mut count, is_one) = (0, all.len() == 1);
    for (at, entries) in all.into_iter().enumerate() {
        let told = |why: String| if is_one { why } else { format!("job {at} of the array: {why}") };
        let n = how_many(&entries).map_err(told)?;
        count += n;
        bytes += n.saturating_mul(weight(&entries));
        if count > ADD_BATCH_MAX || bytes > BYTES_MAX {
            return Err(told(format!(
                "more than {ADD_BATCH_MAX} jobs or {} in one request; send several",
                crate::units::size_text(BYTES_MAX as u64)
            )));
        }
        inherits_nothing(&entries).map_err(told)?;
        jobs.push(lines.of_entries(entries).map_err(told)?);
    }
    Ok(jobs)
}

/// Returns how many jobs an object makes, before they are made.
fn how_many(Entries(entries): &Entries) -> std::result::Result<usize, String> {
    let array = entries.iter().find(|(key, _)| key == "array").and_then(|(_, value)| value.as_str());
    let Some(text) = array else { return Ok(1) };
    let array = values::parse_array(text).map_err(|why| format!("array: {why}"))?;
    Ok(usize::try_from(array.last - array.first + 1).unwrap_or(usize::MAX))
}

fn weight(Entries(entries): &Entries) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.to_string().len()).sum()
}

/// Refuses what a command would take from the place where it is typed.
fn inherits_nothing(Entries(entries): &Entries) -> std::result::Result<(), String> {
    let is_in_workspace = entries.iter().any(|(key, value)| key == "workspace" && !value.is_null());
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        let is_relative = value.as_str().is_some_and(|path| !path.starts_with('/'));
        match key.as_str() {
            known if OF_A_COMMAND.contains(&known) => {
                return Err(format!("{known}: a job of the web has no variables of a command; give their values with env"));
            }
            "cwd" if is_relative && !is_in_workspace => return Err("cwd: it is relative; write a path that begins with /".into()),
            "stdin" if is_relative => return Err("stdin: it is relative; write a path that begins with /".into()),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the name of a request.
fn named(key: &str, body: &[u8]) -> std::result::Result<Named, Problem> {
    let is_plain = !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(|b| b.is_ascii_graphic());
    if !is_plain {
        return Err(Problem::usage(format!("Idempotency-Key: it has 1 to {KEY_BYTES_MAX} characters from ! to ~")));
    }
    Ok(Named { token: hash::number(key.as_bytes()).to_be_bytes(), content: hash::of(body) })
}

/// Adds the jobs, or finds those of the same request.
fn once(conn: &Connection, named: Option<&Named>, jobs: &[Job], now_ms: i64) -> Result<(Vec<Added>, Vec<OneJob>)> {
    if let Some(found) = named.map_or(Ok(None), |named| request::find(conn, named, now_ms))? {
        return Ok((Vec::new(), found));
    }
    let added = insert(conn, jobs, now_ms)?;
    if let Some(named) = named {
        request::keep(conn, named, &added, now_ms)?;
    }
    let told = added.iter().map(OneJob::from).collect();
    Ok((added, told))
}

fn insert(conn: &Connection, jobs: &[Job], now_ms: i64) -> Result<Vec<Added>> {
    let (mut added, mut refs): (Vec<Added>, Vec<Vec<JobId>>) = (Vec::new(), Vec::new());
    for (at, job) in jobs.iter().enumerate() {
        let waits = job.after.iter().flat_map(|(number, need)| refs.get(*number).into_iter().flatten().map(|id| (*id, *need)));
        let waits: Vec<_> = waits.collect();
        let with = |one: &NewJob| NewJob { after: [one.after.as_slice(), &waits].concat(), ..one.clone() };
        let of_job = match waits.is_empty() {
            true => enqueue::add(conn, &job.jobs, now_ms),
            false => enqueue::add(conn, &job.jobs.iter().map(with).collect::<Vec<_>>(), now_ms),
        };
        let of_job = of_job.map_err(|error| if jobs.len() == 1 { error } else { of_element(error, at) })?;
        if job.name.is_some() {
            refs.push(of_job.iter().map(|one| one.id).collect());
        }
        added.extend(of_job);
    }
    Ok(added)
}

/// Names the element of the array that was refused.
fn of_element(error: Error, at: usize) -> Error {
    let words = |text: String| format!("job {at} of the array: {text}; nothing was added");
    match error {
        Error::Refused(text) => Error::Refused(words(text)),
        Error::NotFound(text) => Error::NotFound(words(text)),
        Error::Invalid(text) => Error::Invalid(words(text)),
        other => other,
    }
}
