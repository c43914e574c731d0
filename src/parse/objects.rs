//! Jobs that come as JSON objects from another program: the keys of a line of `tenure add --from`.
//!
//! Such a job inherits nothing from the place where it is added: no directory and no variables of
//! the process that adds it ([`Surroundings::nothing`]).

use std::fmt::{self, Formatter};

use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::job::limits::ADD_BATCH_MAX;
use crate::parse::lines::{Asked, Entries, Lines};
use crate::parse::options::{JobOptions, Surroundings};
use crate::parse::values;
use crate::units;

/// Most bytes of objects in one request; an array counts its object for each of its jobs.
const BYTES_MAX: usize = 64 << 20;
/// Keys whose values are those of the process that adds a job.
pub const OF_A_COMMAND: [&str; 2] = ["pass_env", "secret"];

/// One object, or an array of them.
#[cfg_attr(not(feature = "web"), allow(dead_code))] // the other face has one object
#[derive(Debug)]
pub struct Objects {
    pub all: Vec<Entries>,
    pub is_one: bool,
}

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Objects;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or an array of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Objects, A::Error> {
                Ok(Objects { all: vec![Entries::deserialize(MapAccessDeserializer::new(map))?], is_one: true })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Objects, A::Error> {
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

/// Reads the objects, over these options; no more than one transaction takes is in memory.
///
/// # Errors
/// What is wrong with one of them.
pub fn read(all: Vec<Entries>, options: &JobOptions, around: &Surroundings) -> Result<Vec<Asked>, String> {
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    let mut lines = Lines::new(std::io::empty(), options, around);
    let (mut count, is_one) = (0, all.len() == 1);
    for (at, entries) in all.into_iter().enumerate() {
        let told = |why: String| if is_one { why } else { format!("job {at} of the array: {why}") };
        let n = how_many(&entries).map_err(told)?;
        count += n;
        bytes += n.saturating_mul(weight(&entries));
        if count > ADD_BATCH_MAX || bytes > BYTES_MAX {
            return Err(told(format!(
                "more than {ADD_BATCH_MAX} jobs or {} in one request; send several",
                units::size_text(BYTES_MAX as u64)
            )));
        }
        inherits_nothing(&entries).map_err(told)?;
        jobs.push(lines.of_entries(entries).map_err(told)?);
    }
    Ok(jobs)
}

/// Returns how many jobs an object makes, before they are made.
fn how_many(Entries(entries): &Entries) -> Result<usize, String> {
    let array = entries.iter().find(|(key, _)| key == "array").and_then(|(_, value)| value.as_str());
    let Some(text) = array else { return Ok(1) };
    let array = values::parse_array(text).map_err(|why| format!("array: {why}"))?;
    Ok(usize::try_from(array.last - array.first + 1).unwrap_or(usize::MAX))
}

fn weight(Entries(entries): &Entries) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.to_string().len()).sum()
}

/// Refuses what a command would take from the place where it is typed.
fn inherits_nothing(Entries(entries): &Entries) -> Result<(), String> {
    let is_in_workspace = entries.iter().any(|(key, value)| key == "workspace" && !value.is_null());
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        let is_relative = value.as_str().is_some_and(|path| !path.starts_with('/'));
        match key.as_str() {
            known if OF_A_COMMAND.contains(&known) => {
                return Err(format!(
                    "{known}: the job inherits no variable of the process that adds it; give the values with env"
                ));
            }
            "cwd" if is_relative && !is_in_workspace => return Err("cwd: it is relative; write a path that begins with /".into()),
            "stdin" if is_relative => return Err("stdin: it is relative; write a path that begins with /".into()),
            _ => {}
        }
    }
    Ok(())
}
