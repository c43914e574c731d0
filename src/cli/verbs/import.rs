//! `tenure import`: what the tasks of another queue would be as jobs, and with --apply these jobs
//! and the settings of their queues, all or none. `pueue` decides what becomes of a task.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pueue::{self as file, BYTES_MAX};
use crate::cli::parse::time;
use crate::cli::pueue::{self, Fate, QueueToSet, Row};
use crate::cli::view::escape;
use crate::error::{Error, Result, exit};
use crate::job::limits::ADD_BATCH_MAX;
use crate::job::{JobId, Need, NewJob};
use crate::queue::Queue;
use crate::store::job::control::QueueSettings;
use crate::store::job::enqueue::{self, Added};
use crate::store::job::{control, read};
use crate::units::count;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "QUEUE", subcommand_help_heading = "Queues")]
pub enum Verb {
    /// Show what the tasks of pueue would be as jobs
    Pueue(Pueue),
}

#[derive(Debug, clap::Args)]
pub struct Pueue {
    /// The state of pueue (state.json), or - for standard input
    #[arg(value_name = "FILE|-")]
    pub file: OsString,
    /// Add the jobs; otherwise they are only shown
    #[arg(long)]
    pub apply: bool,
    /// Leave out the environment that pueue keeps of each task
    ///
    /// It is the environment of the shell that added the task, with all secrets in it.
    #[arg(long)]
    pub without_env: bool,
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    let Verb::Pueue(args) = verb;
    let invalid = |why: String| Error::Invalid(format!("{}: {why}", PathBuf::from(&args.file).display()));
    let (tasks, groups) = file::read(&bytes(&args.file)?).map_err(invalid)?;
    let around = adding::surroundings_without(face.now())?;
    let rows = pueue::rows(tasks, !args.without_env, &around);
    let queues = to_set(face, pueue::queues(&groups).map_err(invalid)?)?;
    let ids = if args.apply { add(face, &rows, &queues)? } else { BTreeMap::new() };
    if face.json {
        face.document(json!({
            "applied": args.apply,
            "tasks": rows.iter().map(|row| document(row, &ids)).collect::<Vec<_>>(),
            "queues": queues.iter().map(|one| json!({"name": one.name, "slots": one.slots, "paused": one.paused})).collect::<Vec<_>>(),
        }))?;
        return Ok(exit::OK);
    }
    face::print(&rows.iter().map(|row| for_people(row, &ids)).chain(queues.iter().map(queue_for_people)).collect::<String>())?;
    say_result(&rows, args.apply);
    Ok(exit::OK)
}

fn bytes(file: &OsString) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    let shown = PathBuf::from(file);
    let done = match file == "-" {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        false => std::fs::File::open(&shown).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    done.map_err(|error| Error::Invalid(format!("reading {}: {error}", shown.display())))?;
    match bytes.len() > BYTES_MAX {
        true => Err(Error::Invalid(format!("the state of pueue has more than {BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

/// A queue that exists keeps the settings that it has: only a new one, and one without any, is set.
fn to_set(face: &Face, queues: Vec<QueueToSet>) -> Result<Vec<QueueToSet>> {
    let existing = match face.settings.db.value.exists() {
        true => face.reader()?.read(read::queues)?,
        false => Vec::new(),
    };
    let is_set = |name: &str| {
        let mut named = existing.iter().filter(|row| row.name == name);
        named.any(|row| row.paused || row.slots.is_some() || row.running + row.ready + row.waiting > 0)
    };
    Ok(queues.into_iter().filter(|queue| !is_set(&queue.name)).collect())
}

/// Adds the jobs and sets the queues in one transaction. Returns the job of each task.
fn add(face: &Face, rows: &[Row], queues: &[QueueToSet]) -> Result<BTreeMap<u64, JobId>> {
    let jobs: Vec<(u64, NewJob, Vec<u64>)> = rows
        .iter()
        .filter_map(|row| match &row.fate {
            Fate::Add(job, after) => Some((row.task.id, (**job).clone(), after.clone())),
            Fate::Left(_) | Fate::Ended => None,
        })
        .collect();
    if jobs.len() > ADD_BATCH_MAX {
        return Err(Error::Invalid(format!("it has more than {ADD_BATCH_MAX} tasks that have not ended")));
    }
    let store = face.client()?;
    let queues = queues.to_vec();
    let (_, ids) = Queue::of(&store).adding().commit(move |conn, now_ms| {
        for queue in &queues {
            let to = QueueSettings { slots: Some(queue.slots), ..QueueSettings::default() };
            control::queue_set(conn, &queue.name, &to)?;
            if queue.paused {
                control::queue_pause(conn, &queue.name, true)?;
            }
        }
        let (mut ids, mut all): (BTreeMap<u64, JobId>, Vec<Added>) = (BTreeMap::new(), Vec::new());
        for (task, job, after) in &jobs {
            let after = after.iter().filter_map(|on| Some((*ids.get(on)?, Need::Done))).collect();
            let added = enqueue::add(conn, &[NewJob { after, ..job.clone() }], now_ms)?;
            ids.extend(added.first().map(|one| (*task, one.id)));
            all.extend(added);
        }
        Ok((all, ids))
    })?;
    Ok(ids)
}

fn document(row: &Row, ids: &BTreeMap<u64, JobId>) -> Value {
    let (job, after, why) = match &row.fate {
        Fate::Add(job, after) => (Some(job), after.as_slice(), None),
        Fate::Left(why) => (None, &[][..], Some(why)),
        Fate::Ended => (None, &[][..], None),
    };
    json!({
        "task": row.task.id,
        "action": row.action(),
        "job": ids.get(&row.task.id).map(|id| id.0),
        "command": job.map(|job| &job.command),
        "queue": job.map(|job| &job.placement.queue),
        "held": job.map(|job| job.placement.user_hold),
        "available_at": job.filter(|job| job.available_at > 0).map(|job| time::utc(job.available_at)),
        "after": after,
        "detail": why,
        "notes": row.notes,
    })
}

fn for_people(row: &Row, ids: &BTreeMap<u64, JobId>) -> String {
    let shown = |text: &str| escape::line(text).to_string();
    let more = match &row.fate {
        Fate::Ended => return String::new(),
        Fate::Left(why) => format!("left with pueue: {}", shown(why)),
        Fate::Add(job, after) => {
            let which = ids.get(&row.task.id).map_or_else(|| "a job".to_owned(), |id| format!("job {id}"));
            let waits: Vec<String> = after.iter().map(u64::to_string).collect();
            let waits = if waits.is_empty() { String::new() } else { format!(", after the job of task {}", waits.join(", ")) };
            let held = if job.placement.user_hold { ", held" } else { "" };
            let at = if job.available_at > 0 { format!(", not before {}", time::utc(job.available_at)) } else { String::new() };
            format!("{which} of queue {}{held}{at}{waits}", shown(&job.placement.queue))
        }
    };
    let mut text = format!("task {}: {}\n  {more}\n", row.task.id, shown(row.task.command.trim()));
    row.notes.iter().for_each(|note| text += &format!("  note: {}\n", shown(note)));
    text
}

fn queue_for_people(queue: &QueueToSet) -> String {
    let slots = queue.slots.map_or_else(|| "no limit of its own".to_owned(), |n| count(n, "slot", "", ""));
    let paused = if queue.paused { ", paused" } else { "" };
    format!("queue {}: {slots}{paused}\n", escape::line(&queue.name))
}

fn say_result(rows: &[Row], is_applied: bool) {
    let of = |action: &'static str| rows.iter().filter(move |row| row.action() == action);
    let jobs = count(of("add").count() as i64, "job", "", "");
    let ended = match of("ended").count() {
        0 => String::new(),
        n => format!("; {} with their output stay with pueue", count(n as i64, "ended task", "", "")),
    };
    if !is_applied {
        face::say(&format!("{jobs} to add{ended}; nothing is changed without --apply"));
        return;
    }
    face::say(&format!("{jobs} added, or found from an earlier import{ended}"));
    let tasks: Vec<String> = of("add").map(|row| row.task.id.to_string()).collect();
    if !tasks.is_empty() {
        face::say(&format!("pueue has them too, and would run them; remove them there: pueue remove {}", tasks.join(" ")));
    }
}
