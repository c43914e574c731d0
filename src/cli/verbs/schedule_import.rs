//! `tenure schedule import`: what a crontab would be as schedules, line by line, and with --apply
//! these schedules, all or none. `importing` decides what becomes of a line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::importing::{Fate, Given, Plan, Row};
use crate::cli::parse::crontab::{self, BYTES_MAX};
use crate::cli::parse::time;
use crate::cli::verbs::schedule_edit::Due;
use crate::cli::view::escape;
use crate::clock;
use crate::error::{Error, Result};
use crate::host::{users, waker};
use crate::store::schedule::{self, NewSchedule, Schedule};
use crate::units::count;

#[derive(Debug, clap::Args)]
pub struct Import {
    /// The crontab, or - for standard input
    #[arg(value_name = "CRONTAB")]
    pub file: OsString,
    /// Add the schedules; otherwise they are only shown
    #[arg(long)]
    pub apply: bool,
    /// With --apply: leave out lines that cannot be done
    #[arg(long)]
    pub skip_unsupported: bool,
    /// Read a user before each command, as in /etc/crontab
    #[arg(long)]
    pub system_crontab: bool,
    #[command(flatten)]
    pub due: Due,
    /// Add the jobs to this queue (default: `default`)
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = crate::cli::parse::values::parse_name)]
    pub queue: Option<String>,
}

pub(super) fn import(face: &Face, args: Import) -> Result<()> {
    let text = read(&args.file)?;
    let zone = args.due.tz.clone().map_or_else(clock::zone_name_here, Ok).map_err(Error::Invalid)?;
    clock::zone(&zone).map_err(Error::Invalid)?;
    let existing = existing(face)?;
    let around = adding::surroundings_without(face.now())?;
    let given = Given {
        make: &|name, cron, zone, template| args.due.schedule(name, cron, zone, template),
        queue: args.queue.clone(),
        existing,
        around: &around,
        now_ms: face.now_ms(),
        users: users::all(),
        uid: users::own_uid(),
    };
    let mut plan = Plan::new(given, zone, args.due.jitter.unwrap_or(0));
    let rows: Vec<Row> = crontab::read(&text, args.system_crontab).into_iter().map(|entry| plan.row(entry)).collect();
    let unsupported = rows.iter().filter(|row| matches!(row.fate, Fate::Unsupported(_))).count();
    let new: Vec<NewSchedule> = rows
        .iter()
        .filter_map(|row| match &row.fate {
            Fate::Add(new) => Some((**new).clone()),
            _ => None,
        })
        .collect();
    let is_refused = args.apply && unsupported > 0 && !args.skip_unsupported;
    if args.apply && !is_refused && !new.is_empty() {
        let (store, now_ms, new) = (face.client()?, face.now_ms(), new.clone());
        store.write(move |conn| new.iter().try_for_each(|one| schedule::add(conn, one, now_ms).map(drop)))?;
        waker::send(store.place());
    }
    let is_applied = args.apply && !is_refused;
    if face.json {
        let lines: Vec<Value> = rows.iter().map(document).collect();
        face.document(json!({"applied": is_applied, "added": if is_applied { new.len() } else { 0 }, "unsupported": unsupported, "lines": lines}))?;
    } else {
        face::print(&rows.iter().map(for_people).collect::<String>())?;
        say_result(&args, new.len(), unsupported, is_applied);
    }
    if is_refused {
        return Err(Error::Refused(format!(
            "{}; nothing was added: change the crontab, or leave them out with --skip-unsupported",
            lines_that_cannot(unsupported)
        )));
    }
    Ok(())
}

fn lines_that_cannot(n: usize) -> String {
    format!("{} cannot be done", count(n as i64, "line", "", ""))
}

fn say_result(args: &Import, new: usize, unsupported: usize, is_applied: bool) {
    let schedules = count(new as i64, "schedule", "", "");
    if is_applied {
        face::say(&format!("{schedules} added"));
    } else if !args.apply {
        let left_out = match unsupported {
            0 => String::new(),
            n => format!(", and {}: --apply needs --skip-unsupported too", lines_that_cannot(n)),
        };
        face::say(&format!("{schedules} to add{left_out}; nothing is changed without --apply"));
    }
}

fn read(file: &OsString) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    let shown = PathBuf::from(file);
    let done = match file == "-" {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut text),
        false => std::fs::File::open(&shown).and_then(|file| file.take(limit).read_to_end(&mut text)),
    };
    done.map_err(|error| Error::Invalid(format!("reading {}: {error}", shown.display())))?;
    match text.len() > BYTES_MAX {
        true => Err(Error::Invalid(format!("the crontab has more than {BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

/// Returns the schedules that there are; none, if the file does not exist yet.
fn existing(face: &Face) -> Result<BTreeMap<String, Schedule>> {
    if !face.settings.db.value.exists() {
        return Ok(BTreeMap::new());
    }
    let all = face.reader()?.read(schedule::all)?;
    Ok(all.into_iter().map(|one| (one.name.clone(), one)).collect())
}

fn document(row: &Row) -> Value {
    let new = match &row.fate {
        Fate::Add(new) => Some(new),
        _ => None,
    };
    json!({
        "line": row.entry.line,
        "text": row.entry.text,
        "action": row.action(),
        "name": row.name(),
        "cron": new.map(|new| &new.cron),
        "zone": new.map(|new| &new.zone),
        "command": new.map(|new| &new.template.command),
        "user": new.and_then(|new| new.template.policy.user.as_ref()),
        "next_at": row.next.as_ref().map(|(at, _)| time::utc(*at)),
        "detail": row.detail(),
        "notes": row.notes,
    })
}

fn for_people(row: &Row) -> String {
    let mut text = format!("line {}: {}\n", row.entry.line, escape::line(row.entry.text.trim()));
    let next = match &row.next {
        Some((_, next)) => format!("next {next}"),
        None => "no time that is known".to_owned(),
    };
    let more = match &row.fate {
        Fate::Add(new) => {
            let user = new.template.policy.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
            format!("schedule {} ({}), {next}{user}\n  {}", new.name, new.zone, escape::quote_whole(&new.template.command))
        }
        Fate::Unchanged(name) => format!("schedule {name} exists already, {next}"),
        Fate::Differs(name) => {
            format!("schedule {name} exists, and is changed since; it stays as it is (tenure schedule rm {name} removes it)")
        }
        Fate::Variable(what) => what.clone(),
        Fate::Unsupported(why) => format!("cannot be done: {why}"),
    };
    for line in more.lines() {
        text += &format!("  {}\n", escape::line(line));
    }
    row.notes.iter().for_each(|note| text += &format!("  note: {}\n", escape::line(note)));
    text
}
