//! `tenure schedule`: jobs that are added when a cron line is due.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::options::{Command, JobOptions};
use crate::cli::parse::{time, values};
use crate::cli::verbs::add;
use crate::cli::view::{json as shapes, schedule_shown as shown};
use crate::cli::warn::path_warning::{ShellBy, Warnings};
use crate::clock;
use crate::error::{Error, Result, exit};
use crate::host::waker;
use crate::job::schedule::{CATCH_UP_DEFAULT, CATCH_UP_MAX};
use crate::job::{Calendar, CatchUp};
use crate::store::schedule::{self, NewSchedule, SLOTS_MAX};

/// Occurrences that `next` and `history` show unless -n says otherwise.
const SHOWN_DEFAULT: u64 = 10;
/// Heading of its own options in the help.
const DUE: &str = "When it is due";

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
}

/// A schedule refuses what is tied to one moment or to one job, and says why; it does not show it.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("at", hidden),
    mut_arg("after", hidden),
    mut_arg("after_any", hidden),
    mut_arg("after_failed", hidden),
    mut_arg("array", hidden),
    mut_arg("secret", hidden),
    mut_arg("expires", |arg| arg.value_name("DURATION")),
    mut_arg("stdin", |arg| arg.value_name("FILE").long_help("Read standard input from FILE (default: empty)\n\nFILE is opened when the job starts."))
)]
pub struct Add {
    /// Its name: letters, digits, _ . -
    #[arg(value_name = "NAME", value_parser = parse_name)]
    pub name: String,
    /// Minute, hour, day, month, weekday, as in '30 3 * * 1-5'
    ///
    /// Or @hourly, @daily, @weekly, @monthly, @yearly.
    #[arg(value_name = "CRON")]
    pub cron: String,
    /// Read CRON in this time zone, such as Europe/Berlin
    ///
    /// The default is the local one.
    #[arg(long, value_name = "ZONE", help_heading = DUE)]
    pub tz: Option<String>,
    /// Set which missed occurrences still add a job
    ///
    /// WHICH is none, latest or all (default: latest) of those that passed without a worker.
    #[arg(long, value_name = "WHICH", default_value = "latest", hide_default_value = true, hide_possible_values = true, help_heading = DUE,
          value_parser = PossibleValuesParser::new(CatchUp::ALL.map(CatchUp::as_str)))]
    pub catch_up: String,
    /// With --catch-up all: only the newest N (default: 100)
    #[arg(long, value_name = "N", help_heading = DUE, value_parser = clap::value_parser!(i64).range(1..=CATCH_UP_MAX))]
    pub catch_up_max: Option<i64>,
    #[command(flatten)]
    pub options: JobOptions,
    #[command(flatten)]
    pub command: Command,
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

fn hidden(arg: clap::Arg) -> clap::Arg {
    arg.hide(true)
}

fn parse_name(text: &str) -> Result<String, String> {
    schedule::check_name(text).map(|()| text.to_owned())
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Add(args) => add(face, *args)?,
        Verb::Ls => ls(face)?,
        Verb::Rm { names } => rm(face, names)?,
        Verb::Pause { name } => pause(face, name, true)?,
        Verb::Resume { name } => pause(face, name, false)?,
        Verb::Next(which) => next(face, &which)?,
        Verb::History(which) => history(face, &which)?,
    }
    Ok(exit::OK)
}

fn add(face: &Face, args: Add) -> Result<()> {
    // Before the file is created: a mistyped line leaves nothing behind.
    let zone = args.tz.clone().map_or_else(clock::zone_name_here, Ok).map_err(Error::Invalid)?;
    let calendar = Calendar::new(&args.cron, clock::zone(&zone).map_err(Error::Invalid)?).map_err(Error::Invalid)?;
    let argv = args.command.argv().map_err(Error::Invalid)?;
    let store = face.client()?;
    let around = add::surroundings(face, &store, &args.options)?;
    let mut template = args.options.template(argv, &around).map_err(Error::Invalid)?;
    template.placement.label.get_or_insert_with(|| args.name.clone());
    let now_ms = face.now_ms();
    let mut warnings = Warnings::new(&store, &around, ShellBy::Option);
    warnings.check_template("", &template, false);
    warnings.end();
    let catch_up = CatchUp::parse(&args.catch_up).unwrap_or_default();
    let catch_up_max = args.catch_up_max.unwrap_or(CATCH_UP_DEFAULT);
    let new = NewSchedule { name: args.name.clone(), cron: args.cron, zone: zone.clone(), catch_up, catch_up_max, template };
    let id = store.write(move |conn| schedule::add(conn, &new, now_ms))?;
    waker::send(store.place());
    let next = calendar.next(now_ms);
    match next {
        _ if face.json => face.document(json!({"id": id, "name": args.name, "zone": zone, "next_at": next.map(time::utc)}))?,
        Some(at) => face::say(&format!("the first occurrence of {} is {} ({zone})", args.name, calendar.text(at))),
        None => face::say(&format!("{} is never due: no day has this date; tenure schedule rm {0} removes it", args.name)),
    }
    Ok(())
}

fn ls(face: &Face) -> Result<()> {
    let listed = face.reader()?.read(schedule::list)?;
    if face.json {
        return face.document(shapes::list("schedules", listed.iter().map(shown::schedule)));
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
    let first = calendar.next(face.now_ms());
    let n = usize::try_from(which.n).unwrap_or(usize::MAX);
    let occurrences: Vec<i64> = std::iter::successors(first, |at| calendar.next(*at)).take(n).collect();
    if occurrences.is_empty() {
        face::say(&format!("{} is never due: no day has the date of {:?}", found.name, found.cron));
    } else if found.paused {
        face::say(&format!("{} is paused: it adds no jobs; tenure schedule resume {0}", found.name));
    }
    if face.json {
        return face
            .document(shapes::list("occurrences", occurrences.iter().map(|at| shown::occurrence_to_come(&calendar, *at))));
    }
    face::print(&shown::occurrences_to_come(&occurrences, &calendar, face.now_ms(), face.columns))
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
        return face
            .document(shapes::list("occurrences", occurrences.iter().map(|occurrence| shown::occurrence(occurrence, &zone))));
    }
    if occurrences.is_empty() {
        face::say(&format!("no occurrence of {} has come yet", found.name));
        return Ok(());
    }
    face::print(&shown::occurrences_for_people(&occurrences, &zone, face.columns))
}
