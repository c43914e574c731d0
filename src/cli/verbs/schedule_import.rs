//! `tenure schedule import`: what a crontab would be as schedules, line by line, and with --apply
//! these schedules, all or none.
//!
//! The name of a schedule comes from its line, so the same crontab gives the same names, and a
//! second import changes nothing. A schedule that exists is never changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::crontab::{self, BYTES_MAX, CronJob, Entry, What};
use crate::cli::parse::options::{JobOptions, Surroundings};
use crate::cli::parse::time;
use crate::cli::parse::variables::Variables;
use crate::cli::verbs::schedule_edit::Due;
use crate::cli::view::escape;
use crate::clock;
use crate::error::{Error, Result};
use crate::host::waker;
use crate::job::calendar::Origin;
use crate::job::{Argv, Calendar, cron_line};
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

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    /// A schedule that does not exist yet.
    Add(Box<NewSchedule>),
    /// It exists, exactly so.
    Unchanged(String),
    /// A schedule of this name exists and is another one; it stays as it is.
    Differs(String),
    /// It holds for the lines below.
    Variable(String),
    Unsupported(String),
}

struct Row {
    entry: Entry,
    fate: Fate,
    /// When it is due first, in milliseconds UTC, and in words.
    next: Option<(i64, String)>,
    notes: Vec<String>,
}

pub(super) fn import(face: &Face, args: Import) -> Result<()> {
    let text = read(&args.file)?;
    let zone = args.due.tz.clone().map_or_else(clock::zone_name_here, Ok).map_err(Error::Invalid)?;
    clock::zone(&zone).map_err(Error::Invalid)?;
    let existing = existing(face)?;
    let around = adding::surroundings_without(face.now())?;
    let mut plan = Plan::new(&args, zone, existing, &around, face.now_ms());
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

/// A user as in `/etc/passwd`.
#[derive(Debug, Clone)]
struct User {
    name: String,
    home: String,
}

fn users() -> Vec<(u32, User)> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, ..] = fields[..] else { return None };
        Some((uid.parse().ok()?, User { name: name.to_owned(), home: home.to_owned() }))
    };
    text.lines().filter_map(user).collect()
}

/// The state of cron while it reads a crontab.
struct Plan<'a> {
    args: &'a Import,
    existing: BTreeMap<String, Schedule>,
    around: &'a Surroundings,
    now_ms: i64,
    users: Vec<(u32, User)>,
    uid: u32,
    zone: String,
    shell: String,
    home: Option<String>,
    jitter_ms: i64,
    env: BTreeMap<String, String>,
    /// The names of the lines above, with their numbers.
    named: BTreeMap<String, usize>,
}

impl<'a> Plan<'a> {
    fn new(args: &'a Import, zone: String, existing: BTreeMap<String, Schedule>, around: &'a Surroundings, now_ms: i64) -> Self {
        let (shell, jitter_ms) = ("/bin/sh".to_owned(), args.due.jitter.unwrap_or(0));
        let (users, uid) = (users(), rustix::process::geteuid().as_raw());
        let (env, named) = (BTreeMap::new(), BTreeMap::new());
        Self { args, existing, around, now_ms, users, uid, zone, shell, home: None, jitter_ms, env, named }
    }

    fn row(&mut self, entry: Entry) -> Row {
        let (fate, next, notes) = match &entry.what {
            What::Wrong(why) => (Fate::Unsupported(why.clone()), None, Vec::new()),
            What::Variable { name, value } => {
                (self.variable(name, value).map_or_else(Fate::Unsupported, Fate::Variable), None, Vec::new())
            }
            What::Job(job) => match self.job(job, entry.line) {
                Ok((fate, next)) => (fate, next, cron_line::surprises(&job.cron)),
                Err(why) => (Fate::Unsupported(why), None, Vec::new()),
            },
        };
        Row { entry, fate, next, notes }
    }

    /// Returns what it does to the lines below.
    fn variable(&mut self, name: &str, value: &str) -> Result<String, String> {
        match name {
            "MAILTO" if value.is_empty() => return Ok("no mail is sent, as always".to_owned()),
            "MAILTO" => {
                return Err(
                    "tenure sends no mail; the output of each run is kept (tenure logs), and tenure status lists failed jobs"
                        .to_owned(),
                );
            }
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                return Ok("it is about mail, and none is sent".to_owned());
            }
            "LOGNAME" => return Ok("it is ignored, as by cron".to_owned()),
            "CRON_TZ" => {
                clock::zone(value)?;
                self.zone = value.to_owned();
                return Ok(format!("the lines below are read in the zone {value}"));
            }
            "RANDOM_DELAY" => {
                let minutes: i64 = value.parse().ok().filter(|n| (0..=1_440).contains(n)).ok_or("it is 0 to 1440 minutes")?;
                self.jitter_ms = minutes * 60_000;
                return Ok(format!("each job below starts up to {minutes} minutes later (--jitter {minutes}m)"));
            }
            "SHELL" => value.clone_into(&mut self.shell),
            "HOME" => self.home = Some(value.to_owned()),
            _ => {}
        }
        crate::job::check::variable(name, value.as_bytes())?;
        self.env.insert(name.to_owned(), value.to_owned());
        Ok("it is set for the jobs below".to_owned())
    }

    fn job(&mut self, job: &CronJob, line: usize) -> Result<(Fate, Option<(i64, String)>), String> {
        let name = job.name();
        if let Some(earlier) = self.named.insert(name.clone(), line) {
            return Err(format!("it is the same as line {earlier}, and would be the same schedule"));
        }
        let new = self.schedule(job, &name)?;
        let origin = Origin::new(&name, self.existing.get(&name).map_or(self.now_ms, |one| one.created_at));
        let calendar = Calendar::of(&new.cron, clock::zone(&new.zone)?, origin)?;
        let next = calendar.next(self.now_ms).map(|at| (at, calendar.text(at)));
        let fate = match self.existing.get(&name) {
            None => Fate::Add(Box::new(new)),
            Some(one) if (&one.cron, &one.zone, &one.template) == (&new.cron, &new.zone, &new.template.to_json()) => {
                Fate::Unchanged(name)
            }
            Some(_) => Fate::Differs(name),
        };
        Ok((fate, next))
    }

    fn schedule(&self, job: &CronJob, name: &str) -> Result<NewSchedule, String> {
        let user = self.user(job)?;
        let home = self.home.clone().or_else(|| user.as_ref().map(|user| user.home.clone()));
        let is_own = job.user.is_none() || self.own().is_some_and(|own| Some(&own.name) == job.user.as_ref());
        let options = JobOptions {
            label: Some(name.to_owned()),
            queue: self.args.queue.clone(),
            cwd: home.map(PathBuf::from),
            user: job.user.clone().filter(|_| !is_own),
            variables: Variables { env: self.env.clone().into_iter().collect(), pass_env: Vec::new() },
            ..JobOptions::default()
        };
        let template = options.template(self.command(job)?, self.around)?;
        let new = self.args.due.schedule(name, &job.cron, &self.zone, template);
        Ok(NewSchedule { jitter_ms: self.jitter_ms, ..new })
    }

    fn own(&self) -> Option<&User> {
        self.users.iter().find(|(uid, _)| *uid == self.uid).map(|(_, user)| user)
    }

    fn user(&self, job: &CronJob) -> Result<Option<User>, String> {
        let Some(name) = &job.user else { return Ok(self.own().cloned()) };
        let found = self.users.iter().find(|(_, user)| &user.name == name);
        let (uid, user) = found.ok_or_else(|| format!("there is no user {name:?} here; a line of a system crontab names one"))?;
        match self.uid == 0 || *uid == self.uid {
            true => Ok(Some(user.clone())),
            false => Err(format!("only a worker of root can run jobs as {name}; import it as root")),
        }
    }

    /// The shell of the crontab runs the line; standard input comes from a pipe.
    fn command(&self, job: &CronJob) -> Result<Argv, String> {
        let (shell, line) = (self.shell.as_str(), job.command.as_str());
        let words: Vec<&str> = match &job.stdin {
            None => vec![shell, "-c", line],
            Some(input) => vec!["/bin/sh", "-c", "printf %s \"$2\" | \"$0\" -c \"$1\"", shell, line, input],
        };
        Argv::new(words.into_iter().map(|word| word.as_bytes().to_vec()).collect()).map_err(|error| error.to_string())
    }
}

impl Row {
    fn action(&self) -> &'static str {
        match self.fate {
            Fate::Add(_) => "add",
            Fate::Unchanged(_) => "unchanged",
            Fate::Differs(_) => "differs",
            Fate::Variable(_) => "variable",
            Fate::Unsupported(_) => "unsupported",
        }
    }

    fn name(&self) -> Option<&str> {
        match &self.fate {
            Fate::Add(new) => Some(&new.name),
            Fate::Unchanged(name) | Fate::Differs(name) => Some(name),
            Fate::Variable(_) | Fate::Unsupported(_) => None,
        }
    }

    fn detail(&self) -> Option<&str> {
        match &self.fate {
            Fate::Variable(text) | Fate::Unsupported(text) => Some(text),
            _ => None,
        }
    }
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
