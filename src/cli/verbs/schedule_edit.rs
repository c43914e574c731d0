//! `tenure schedule add` and `set`: what a schedule runs and when, given by options.

use clap::builder::PossibleValuesParser;
use serde_json::json;

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::options::{Command, JobOptions};
use crate::cli::parse::{overlay, time};
use crate::cli::warn::path_warning::{ShellBy, Warnings};
use crate::clock;
use crate::error::{Error, Result};
use crate::host::{secrets, waker};
use crate::job::calendar::Origin;
use crate::job::schedule::{CATCH_UP_DEFAULT, CATCH_UP_MAX, JITTER_MS_MAX};
use crate::job::{Calendar, CatchUp, Overlap, Template, cron_line};
use crate::run::machine;
use crate::store::schedule::{self, NewSchedule, Schedule};
use crate::units;

/// Heading of its own options in the help.
const DUE: &str = "When it is due";

/// What `add` and `set` have in common: when it is due.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct Due {
    /// Read CRON in this time zone, such as Europe/Berlin
    ///
    /// The default is the local one.
    #[arg(long, value_name = "ZONE", help_heading = DUE)]
    pub tz: Option<String>,
    /// Set which missed occurrences still add a job
    ///
    /// WHICH is none, latest or all (default: latest) of those that passed without a worker.
    #[arg(long, value_name = "WHICH", hide_possible_values = true, help_heading = DUE,
          value_parser = PossibleValuesParser::new(CatchUp::ALL.map(CatchUp::as_str)))]
    pub catch_up: Option<String>,
    /// With --catch-up all: only the newest N (default: 100)
    #[arg(long, value_name = "N", help_heading = DUE, value_parser = clap::value_parser!(i64).range(1..=CATCH_UP_MAX))]
    pub catch_up_max: Option<i64>,
    /// Set what happens while an earlier job lives
    ///
    /// HOW is skip (it is skipped), queue (its job waits for the end of the earlier ones) or allow
    /// (default: skip; queue with --catch-up all, allow with --replace).
    #[arg(long, value_name = "HOW", hide_possible_values = true, help_heading = DUE,
          value_parser = PossibleValuesParser::new(Overlap::ALL.map(Overlap::as_str)))]
    pub overlap: Option<String>,
    /// Delay each job by a stable random time below DURATION
    #[arg(long, value_name = "DURATION", value_parser = parse_jitter, help_heading = DUE)]
    pub jitter: Option<i64>,
}

impl Due {
    /// Returns the schedule that these options describe.
    pub fn schedule(&self, name: &str, cron: &str, zone: &str, template: Template) -> NewSchedule {
        let catch_up = self.catch_up.as_deref().and_then(CatchUp::parse).unwrap_or_default();
        let overlap = self.overlap.as_deref().and_then(Overlap::parse).unwrap_or(match catch_up {
            _ if template.placement.replace => Overlap::Allow,
            CatchUp::All => Overlap::Queue,
            _ => Overlap::Skip,
        });
        NewSchedule {
            name: name.to_owned(),
            cron: cron.to_owned(),
            zone: zone.to_owned(),
            catch_up,
            catch_up_max: self.catch_up_max.unwrap_or(CATCH_UP_DEFAULT),
            overlap,
            jitter_ms: self.jitter.unwrap_or(0),
            boot_id: machine::boot_id(),
            template,
        }
    }
}

fn parse_jitter(text: &str) -> Result<i64, String> {
    let ms = i64::try_from(units::parse_duration(text)?).ok().filter(|ms| *ms <= JITTER_MS_MAX);
    ms.ok_or_else(|| format!("{:?} is longer than 24h; give a shorter one", units::shorten(text)))
}

/// A schedule refuses what is tied to one moment or to one job, and says why; it does not show it.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("at", hidden),
    mut_arg("after", hidden),
    mut_arg("after_any", hidden),
    mut_arg("after_failed", hidden),
    mut_arg("array", hidden),
    mut_arg("stop_on_failure", hidden),
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
    /// Or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, '@every 90m', @reboot; 0~30 is a
    /// random minute that stays.
    #[arg(value_name = "CRON")]
    pub cron: String,
    #[command(flatten)]
    pub due: Due,
    #[command(flatten)]
    pub options: JobOptions,
    #[command(flatten)]
    pub command: Command,
}

/// As `add`, it refuses what is tied to one moment or to one job.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("at", hidden),
    mut_arg("after", hidden),
    mut_arg("after_any", hidden),
    mut_arg("after_failed", hidden),
    mut_arg("array", hidden),
    mut_arg("stop_on_failure", hidden),
    mut_arg("secret", hidden),
    mut_arg("expires", |arg| arg.value_name("DURATION")),
    mut_arg("stdin", |arg| arg.value_name("FILE").long_help("Read standard input from FILE\n\nFILE is opened when the job starts."))
)]
pub struct Set {
    /// The schedule
    #[arg(value_name = "NAME", value_parser = parse_name)]
    pub name: String,
    /// Be due by this line from now on
    #[arg(long, value_name = "CRON", help_heading = DUE)]
    pub cron: Option<String>,
    #[command(flatten)]
    pub due: Due,
    /// Set this option back to its default
    ///
    /// May be given several times.
    #[arg(long, value_name = "OPTION", hide_possible_values = true, value_parser = PossibleValuesParser::new(overlay::UNSET))]
    pub unset: Vec<String>,
    #[command(flatten)]
    pub options: JobOptions,
    #[command(flatten)]
    pub command: Command,
}

fn hidden(arg: clap::Arg) -> clap::Arg {
    arg.hide(true)
}

fn parse_name(text: &str) -> Result<String, String> {
    schedule::check_name(text).map(|()| text.to_owned())
}

pub(super) fn add(face: &Face, args: Add) -> Result<()> {
    // Before the file is created: a mistyped line leaves nothing behind.
    let zone = args.due.tz.clone().map_or_else(clock::zone_name_here, Ok).map_err(Error::Invalid)?;
    let (now_ms, origin) = (face.now_ms(), Origin::new(&args.name, face.now_ms()));
    let calendar = Calendar::of(&args.cron, clock::zone(&zone).map_err(Error::Invalid)?, origin).map_err(Error::Invalid)?;
    let argv = args.command.argv().map_err(Error::Invalid)?;
    let store = face.client()?;
    let around = adding::surroundings(face, &store, &args.options)?;
    let mut template = args.options.template(argv, &around).map_err(Error::Invalid)?;
    template.placement.label.get_or_insert_with(|| args.name.clone());
    say_surprises(&args.cron);
    let mut warnings = Warnings::new(&store, &around, ShellBy::Option);
    warnings.check_template("", &template, false);
    warnings.end();
    let new = args.due.schedule(&args.name, &args.cron, &zone, template);
    let id = store.write(move |conn| schedule::add(conn, &new, now_ms))?;
    waker::send(store.place());
    let next = calendar.next(now_ms);
    if face.json {
        return face.document(json!({"id": id, "name": args.name, "zone": zone, "next_at": next.map(time::utc)}));
    }
    say_next(&args.name, &zone, &calendar, next, "first");
    Ok(())
}

/// Warns about steps that are not a distance.
fn say_surprises(cron: &str) {
    cron_line::surprises(cron).iter().for_each(|text| face::say(&format!("warning: {text}")));
}

fn say_next(name: &str, zone: &str, calendar: &Calendar, next: Option<i64>, which: &str) {
    match next {
        _ if calendar.is_of_boots() => {
            face::say(&format!("{name} is due once in each boot of this machine, from the next one on"))
        }
        Some(at) => face::say(&format!("the {which} occurrence of {name} is {} ({zone})", calendar.text(at))),
        None => face::say(&format!("{name} is never due: no day has this date; tenure schedule rm {name} removes it")),
    }
}

pub(super) fn set(face: &Face, args: Set) -> Result<()> {
    let argv = if args.command.is_empty() { None } else { Some(args.command.argv().map_err(Error::Invalid)?) };
    let due = args.due.clone();
    let Due { tz, catch_up, catch_up_max, overlap, jitter } = due.clone();
    let is_empty = args.options.given().is_empty() && args.unset.is_empty() && argv.is_none();
    if is_empty && args.cron.is_none() && due == Due::default() {
        return Err(Error::Invalid("nothing to change is given; tenure schedule set --help lists what can be".into()));
    }
    let store = face.editor()?;
    let around = adding::surroundings(face, &store, &args.options)?;
    let (name, now_ms, cron, new_cron) = (args.name.clone(), face.now_ms(), args.cron.clone(), args.cron.clone());
    let (changes_command, around_then) = (argv.is_some(), around.clone());
    let change = move |before: &Schedule| {
        let old = Template::from_json(&before.template).map_err(|error| {
            Error::Refused(format!("{error}; tenure schedule rm {0} removes the schedule, and add it again", before.name))
        })?;
        let mut template = overlay::overlay(&old, &args.options, &args.unset, argv.clone(), &around_then)?;
        template.placement.label.get_or_insert_with(|| before.name.clone());
        Ok(NewSchedule {
            name: before.name.clone(),
            cron: cron.clone().unwrap_or_else(|| before.cron.clone()),
            zone: tz.clone().unwrap_or_else(|| before.zone.clone()),
            catch_up: catch_up.as_deref().or(Some(&before.catch_up)).and_then(CatchUp::parse).unwrap_or_default(),
            catch_up_max: catch_up_max.unwrap_or(before.catch_up_max),
            overlap: overlap.as_deref().or(Some(&before.overlap)).and_then(Overlap::parse).unwrap_or_default(),
            jitter_ms: jitter.unwrap_or(before.jitter_ms),
            boot_id: machine::boot_id(),
            template,
        })
    };
    let (after, planned) = store.write(move |conn| schedule::set(conn, &name, now_ms, &change))?;
    waker::send(store.place());
    secrets::remove(store.place(), &planned.freed);
    if let Some(cron) = &new_cron {
        say_surprises(cron);
    }
    if changes_command && let Ok(template) = Template::from_json(&after.template) {
        let mut warnings = Warnings::new(&store, &around, ShellBy::Option);
        warnings.check_template("", &template, false);
        warnings.end();
    }
    if face.json {
        return face.document(json!({
            "id": after.id, "name": after.name, "zone": after.zone, "next_at": after.shown_next().map(time::utc), "jobs": planned.jobs,
        }));
    }
    let calendar = after.calendar().map_err(Error::Internal)?;
    match after.paused {
        true => face::say(&format!("changed; {} is paused: tenure schedule resume {0}", after.name)),
        false => say_next(&after.name, &after.zone, &calendar, after.next_at, "next"),
    }
    Ok(())
}
