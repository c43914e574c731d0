//! `add`: a job by the keys of a line of `tenure add --from`, once for each `request`.
//!
//! What the operator allows is checked twice: before the transaction, what the description says
//! (`allowed::Changes::admit`), and in it, what the file says: the room in the queue, and the
//! queues of the jobs that it names, finds or replaces.

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::document::shapes::versioned;
use crate::error::{Error, Result};
use crate::job::{JobId, NewJob};
use crate::mcp::allowed::{Allowed, Changes};
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::file::{File, not_found};
use crate::mcp::text;
use crate::parse::lines::Entries;
use crate::parse::objects;
use crate::parse::options::Surroundings;
use crate::run::machine;
use crate::store::job::enqueue::Added;
use crate::store::job::parts::Part;
use crate::store::job::{counted, read};
use crate::store::receipt::OneJob;
use crate::store::receipt::request::{self, Named};

/// The argument that names the request.
pub const REQUEST: &str = "request";
/// A key of a line that is for files of many lines.
const REF: &str = "ref";

pub fn add(file: &File, mut keys: Map<String, Value>) -> Answered {
    let changes = file.setup.allowed.changes().map_err(Failure::refused)?.clone();
    let named = match keys.shift_remove(REQUEST) {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(name(&changes, &key, &keys)?),
        Some(_) => return Err(Failure::usage(format!("{REQUEST}: it is not a string"))),
    };
    let parts = describe(file, &changes, keys)?;
    let queue = file.client()?;
    let (_, done) = queue.adding().commit(move |conn, now_ms| {
        let (added, told) = request::once(conn, named.as_ref(), &parts, now_ms)?;
        let jobs = parts.iter().flat_map(|part| &part.jobs);
        check(conn, &changes, jobs, &added)?;
        Ok((added, told))
    })?;
    let document = |one: &OneJob| json!({"id": one.id, "existing": one.existing, "replaced": one.replaced});
    let value = match done.as_slice() {
        [one] => document(one),
        all => json!({"jobs": all.iter().map(document).collect::<Vec<Value>>()}),
    };
    Ok(Answer { document: versioned(value), text: text::added(&done) })
}

/// Returns the name of a request. The order of its keys does not matter.
fn name(changes: &Changes, key: &str, keys: &Map<String, Value>) -> std::result::Result<Named, Failure> {
    // No key of a client of the web contains these characters.
    let scope = format!("mcp\0{}\0", changes.queue);
    let mut content = Value::Object(keys.clone());
    content.sort_all_objects();
    Named::of(&scope, key, content.to_string().as_bytes()).map_err(|why| Failure::usage(format!("{REQUEST}: {why}")))
}

/// Returns the jobs that the keys describe, as far as they are allowed.
fn describe(file: &File, changes: &Changes, keys: Map<String, Value>) -> std::result::Result<Vec<Part>, Failure> {
    if keys.get(REF).is_some_and(|value| !value.is_null()) {
        return Err(Failure::usage("ref: it is for the lines of a file; omit it, and give the number of a job to after"));
    }
    let around = Surroundings::nothing(file.now(), || machine::nonce().to_string());
    let jobs = objects::read(vec![Entries(keys.into_iter().collect())], &changes.options(), &around);
    let jobs = jobs.map_err(|why| Failure::usage(format!("{why}; nothing was added")))?;
    let refused = |why| Failure::refused(format!("{why}; nothing was added"));
    jobs.iter().flat_map(|one| &one.jobs).try_for_each(|job| changes.admit(job)).map_err(refused)?;
    Ok(jobs.into_iter().map(|one| Part { jobs: one.jobs, is_named: false, after: Vec::new() }).collect())
}

/// Refuses an addition that touches jobs of other queues, or is too large. It is undone then.
fn check<'a>(conn: &Connection, changes: &Changes, jobs: impl Iterator<Item = &'a NewJob>, added: &[Added]) -> Result<()> {
    // Of jobs that were found by the name of the request, nothing is added.
    if added.is_empty() {
        return Ok(());
    }
    let is_ours = |id: JobId| Ok::<_, Error>(read::job(conn, id)?.is_some_and(|job| changes.owns(&job.queue)));
    for (id, _) in jobs.flat_map(|job| &job.after) {
        if !is_ours(*id)? {
            return Err(not_found(&Allowed::Changes(changes.clone()), *id));
        }
    }
    for one in added {
        let taken = if one.existing { Some(one.id) } else { one.replaced };
        if let Some(id) = taken
            && !is_ours(id)?
        {
            return Err(Error::Refused("unique: a live job of another queue has this key; choose another".into()));
        }
    }
    let is_new = added.iter().any(|one| !one.existing);
    match is_new {
        true => changes.has_room(counted::live(conn, &changes.queue)?).map_err(Error::Refused),
        false => Ok(()),
    }
}
