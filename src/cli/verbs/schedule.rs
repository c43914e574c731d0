//! `tenure schedule`: jobs that are added when a cron line is due.

use clap::Subcommand;
use rusqlite::Connection;
use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::verbs::schedule_edit::{self as edit, Add, Set};
use crate::cli::verbs::schedule_import::{self, Import};
use crate::cli::view::{json as shapes, schedule_page as page, schedule_shown as shown};
use crate::clock;
use crate::document::schedule::{self as schedule_document, next_after};
use crate::error::{Error, Result, exit};
use crate::host::{secrets, waker};
use crate::queue::JobInfo;
use crate::store::job::{read, rows};
use crate::store::schedule::plan;
use crate::store::schedule::{self, Occurrence, SLOTS_MAX};

/// Occurrences that `next` and `history` show unless -n says otherwise.
const SHOWN_DEFAULT: u64 = 10;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Add a schedule, which adds a job for each occurrence of a cron line
    Add(Box<Add>),
    /// List schedules, with their next and their latest occurrences
    Ls,
    /// Remove schedules; the jobs that they made stay
    Rm {
        /// The schedules
        #[arg(required = true, value_name = "NAME", value_parser = values::parse_name)]
        names: Vec<String>,
    },
    /// Pause a schedule; occurrences that pass meanwhile are skipped
    Pause {
        /// The schedule
        #[arg(value_name = "NAME", value_parser = values::parse_name)]
        name: String,
    },
    /// Resume a schedule from now on
    Resume {
        /// The schedule
        #[arg(value_name = "NAME", value_parser = values::parse_name)]
        name: String,
    },
    /// Print the next occurrences
    Next(Which),
    /// Print the latest occurrences and what became of them
    History(Which),
    /// Show one schedule: what it runs, when, and how its latest jobs ended
    Show(Which),
    /// Change a schedule in place; only what is given changes
    Set(Box<Set>),
    /// Show what a crontab would be as schedules, and add them
    Import(Box<Import>),
    /// Add a job of a schedule now, also while it is paused
    Run {
        /// The schedule
        #[arg(value_name = "NAME", value_parser = values::parse_name)]
        name: String,
    },
}

/// A schedule, and how many of its occurrences.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The schedule
    #[arg(value_name = "NAME", value_parser = values::parse_name)]
    pub name: String,
    /// Print N occurrences
    #[arg(short = 'n', value_name = "N", default_value_t = SHOWN_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=SLOTS_MAX as u64))]
    pub n: u64,
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Add(args) => edit::add(face, *args)?,
        Verb::Ls => ls(face)?,
        Verb::Rm { names } => rm(face, names)?,
        Verb::Pause { name } => pause(face, name, true)?,
        Verb::Resume { name } => pause(face, name, false)?,
        Verb::Next(which) => next(face, &which)?,
        Verb::History(which) => history(face, &which)?,
        Verb::Show(which) => show(face, &which)?,
        Verb::Set(args) => edit::set(face, *args)?,
        Verb::Run { name } => run_now(face, name)?,
        Verb::Import(args) => schedule_import::import(face, *args)?,
    }
    Ok(exit::OK)
}

fn run_now(face: &Face, name: String) -> Result<()> {
    let store = face.editor()?;
    let (now_ms, shown) = (face.now_ms(), name.clone());
    let (id, freed, existing) = store.write(move |conn| plan::by_hand(conn, &name, now_ms))?;
    waker::send(store.place());
    secrets::remove(store.place(), &freed);
    if existing {
        face::say(&format!("job {id} has the unique key of {shown} and has not ended; no other job was added"));
    }
    match face.json {
        true => face.document(json!({"id": id, "existing": existing})),
        false => face::print(&format!("{id}\n")),
    }
}

fn show(face: &Face, which: &Which) -> Result<()> {
    let n = usize::try_from(which.n).unwrap_or(usize::MAX);
    let (listed, occurrences) = face.reader()?.read(|conn| {
        let listed = schedule::listed(conn, schedule::existing(conn, &which.name)?)?;
        let occurrences = schedule::occurrences(conn, listed.schedule.id, n)?;
        let with_jobs = occurrences.into_iter().map(|one| Ok((read_job(conn, &one)?, one)));
        Ok((listed, with_jobs.collect::<Result<Vec<_>>>()?))
    })?;
    let latest: Vec<page::Latest> =
        occurrences.into_iter().map(|(job, occurrence)| page::Latest { occurrence, job: job.map(JobInfo::of) }).collect();
    let calendar = listed.schedule.calendar();
    let next = calendar.as_ref().map(|calendar| next_after(calendar, face.now_ms(), n)).unwrap_or_default();
    let shown = page::Page { listed: &listed, calendar: calendar.as_ref(), next: &next, latest: &latest, now: &face.now() };
    if face.json { face.document(shown.json()) } else { face::print(&shown.for_people(face.columns)) }
}

fn read_job(conn: &Connection, occurrence: &Occurrence) -> Result<Option<rows::Job>> {
    occurrence.job.map_or(Ok(None), |id| read::job(conn, id))
}

fn ls(face: &Face) -> Result<()> {
    let listed = face.reader()?.read(schedule::list)?;
    if face.json {
        return face.document(shapes::list("schedules", listed.iter().map(schedule_document::schedule)));
    }
    if listed.is_empty() {
        face::say("there is no schedule; tenure schedule add makes one");
        return Ok(());
    }
    face::print(&shown::for_people(&listed, face.columns))
}

fn rm(face: &Face, names: Vec<String>) -> Result<()> {
    let store = face.editor()?;
    store.write(move |conn| names.iter().try_for_each(|name| schedule::remove(conn, name)))
}

fn pause(face: &Face, name: String, paused: bool) -> Result<()> {
    let store = face.editor()?;
    let (now_ms, shown) = (face.now_ms(), name.clone());
    if !store.write(move |conn| schedule::pause(conn, &name, paused, now_ms))? {
        face::say(&format!("{shown} {} already", if paused { "is paused" } else { "is not paused" }));
    }
    waker::send(store.place());
    Ok(())
}

fn next(face: &Face, which: &Which) -> Result<()> {
    let found = face.reader()?.read(|conn| schedule::existing(conn, &which.name))?;
    let calendar = found.calendar().map_err(|error| Error::Refused(format!("schedule {}: {error}", found.name)))?;
    let occurrences = next_after(&calendar, face.now_ms(), usize::try_from(which.n).unwrap_or(usize::MAX));
    if calendar.is_of_boots() {
        face::say(&format!("{} is due once in each boot of this machine; when that is, is not known", found.name));
    } else if occurrences.is_empty() {
        face::say(&format!("{} is never due: no day has the date of {:?}", found.name, found.cron));
    } else if found.paused {
        face::say(&format!("{} is paused: it adds no jobs; tenure schedule resume {0}", found.name));
    }
    if face.json {
        return face.document(shapes::list(
            "occurrences",
            occurrences.iter().map(|at| schedule_document::occurrence_to_come(&found, &calendar, *at)),
        ));
    }
    face::print(&shown::occurrences_to_come(&occurrences, &found, &calendar, face.now_ms(), face.columns))
}

fn history(face: &Face, which: &Which) -> Result<()> {
    let n = usize::try_from(which.n).unwrap_or(usize::MAX);
    let (found, occurrences) = face.reader()?.read(|conn| {
        let found = schedule::existing(conn, &which.name)?;
        let occurrences = schedule::occurrences(conn, found.id, n)?;
        Ok((found, occurrences))
    })?;
    let zone = clock::zone(&found.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    if face.json {
        return face.document(shapes::list(
            "occurrences",
            occurrences.iter().map(|occurrence| schedule_document::occurrence(occurrence, &zone)),
        ));
    }
    if occurrences.is_empty() {
        face::say(&format!("no occurrence of {} has come yet", found.name));
        return Ok(());
    }
    face::print(&shown::occurrences_for_people(&occurrences, &zone, face.columns))
}
