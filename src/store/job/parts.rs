//! Adds jobs in parts, of which one may wait for the jobs of earlier ones.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::{JobId, Need, NewJob};
use crate::store::job::enqueue::{self, Added};

/// Jobs with one description.
#[derive(Debug, Clone)]
pub struct Part {
    pub jobs: Vec<NewJob>,
    /// Later parts may wait for it: it has the next number.
    pub is_named: bool,
    /// Numbers of earlier parts that it waits for.
    pub after: Vec<(usize, Need)>,
}

/// Adds the jobs of all parts, or none.
///
/// # Errors
/// As [`enqueue::add`], with the number of the part if there are several.
pub fn add(conn: &Connection, parts: &[Part], now_ms: i64) -> Result<Vec<Added>> {
    let (mut added, mut named): (Vec<Added>, Vec<Vec<JobId>>) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let waits = part.after.iter().flat_map(|(number, need)| named.get(*number).into_iter().flatten().map(|id| (*id, *need)));
        let waits: Vec<_> = waits.collect();
        let with = |one: &NewJob| NewJob { after: [one.after.as_slice(), &waits].concat(), ..one.clone() };
        let of_part = match waits.is_empty() {
            true => enqueue::add(conn, &part.jobs, now_ms),
            false => enqueue::add(conn, &part.jobs.iter().map(with).collect::<Vec<_>>(), now_ms),
        };
        let of_part = of_part.map_err(|error| if parts.len() == 1 { error } else { of_element(error, at) })?;
        if part.is_named {
            named.push(of_part.iter().map(|one| one.id).collect());
        }
        added.extend(of_part);
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
