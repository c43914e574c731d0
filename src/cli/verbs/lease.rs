//! `tenure lease`: named locks that are held by a command and its process tree.

use std::time::{Duration, Instant};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::leases;
use crate::cli::parse::options::Command;
use crate::cli::parse::{time, values};
use crate::cli::view::table::named;
use crate::cli::view::{code, escape, json, table};
use crate::document::lease::{self as lease_document, Seen};
use crate::error::{Error, Result, exit};
use crate::host;
use crate::host::lease::Answer;
use crate::host::lease::Holding;
use crate::job::{Argv, JobId, nearest};
use crate::run::foreground::{self, Ended};
use crate::store::Store;
use crate::store::lease::{self, Lease, WORKSPACE_PREFIX};
use crate::units;
use clap::Subcommand;

/// How long to wait silently, and the interval between two checks of the holder.
const QUIET: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Run a command under this lease and exit with its code
    Run(RunArgs),
    /// List leases with their holders
    Ls,
    /// Release a lease whose owner is gone; with --force, any lease
    Release {
        /// The lease
        #[arg(value_parser = values::parse_name)]
        name: String,
        /// Release it although its owner lives
        ///
        /// The next command then runs beside the one that has it now.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The lease
    #[arg(value_parser = parse_name)]
    pub name: String,
    /// Wait up to DURATION for it, then exit with 124
    ///
    /// Without it, a lease that is held is a failure at once.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub wait: Option<u64>,
    /// Record what it is for; `tenure lease ls` shows it
    #[arg(long, value_name = "TEXT", value_parser = values::parse_label)]
    pub why: Option<String>,
    #[command(flatten)]
    pub command: Command,
}

/// Parses a name that people may use.
fn parse_name(text: &str) -> Result<String, String> {
    if text.starts_with(WORKSPACE_PREFIX) {
        let name = values::shorten(text);
        return Err(format!("{name:?} begins with {WORKSPACE_PREFIX}, which is for workspaces; choose another name"));
    }
    values::parse_name(text)
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Run(args) => hold(face, &args),
        Verb::Ls => ls(face),
        Verb::Release { name, force } => release(face, &name, force),
    }
}

fn hold(face: &Face, args: &RunArgs) -> Result<u8> {
    foreground::stand_apart()?;
    let argv = args.command.argv().map_err(Error::Invalid)?;
    let store = face.client()?;
    let wanted =
        host::lease::Wanted { name: args.name.clone(), command: argv.to_json(), why: args.why.clone(), job: job_around(&store) };
    let until = args.wait.map(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    // A time beyond the range of the clock is equivalent to a year.
    let until = until.map(|until| until.unwrap_or_else(|| Instant::now() + Duration::from_secs(31_536_000)));
    let holding = match take(face, &store, &wanted, until)? {
        Answer::Yours(holding) => holding,
        Answer::Held(held) => return Ok(refuse(face, args, &lease_document::inspect(&store, *held))),
    };
    // The file is not kept open while the command runs.
    drop(store);
    let ended = foreground::run(&argv, &[holding.mark()], holding.lock());
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            free(face, args, holding);
            return Err(error);
        }
    };
    Ok(tell(face, args, &argv, holding, ended))
}

/// Waits for it, and reports the holder: after a second, and again when another process has
/// acquired it first.
fn take(face: &Face, store: &Store, wanted: &host::lease::Wanted, until: Option<Instant>) -> Result<Answer> {
    let Some(until) = until else { return host::lease::acquire(store, wanted, None) };
    let mut told = None;
    loop {
        let look = Instant::now() + if told.is_none() { QUIET } else { LOOK };
        match host::lease::acquire(store, wanted, Some(look.min(until)))? {
            Answer::Held(held) if Instant::now() < until => {
                if told.replace(held.nonce) != Some(held.nonce) {
                    let seen = lease_document::inspect(store, *held);
                    let owner = owner(&seen, face.now_ms());
                    face::say(&format!("waiting for the lease {:?}, which is held by {owner} (tenure lease ls)", wanted.name));
                }
            }
            answer => return Ok(answer),
        }
    }
}

/// Returns the job in which this command runs, if any.
fn job_around(store: &Store) -> Option<JobId> {
    let db = std::env::var_os("TENURE_DB").filter(|db| std::fs::canonicalize(db).is_ok_and(|db| db == store.place().db()));
    let job = std::env::var("TENURE_JOB").ok()?.parse().ok().map(JobId);
    db.and(job)
}

fn refuse(face: &Face, args: &RunArgs, held: &Seen) -> u8 {
    let owner = owner(held, face.now_ms());
    match args.wait {
        None => {
            face::complain(&format!("the lease {:?} is held by {owner}; --wait DURATION waits for it", args.name));
            exit::REFUSED
        }
        Some(_) => {
            face::complain(&format!("the lease {:?} was not free in time: it is held by {owner}", args.name));
            exit::TIMEOUT
        }
    }
}

fn tell(face: &Face, args: &RunArgs, argv: &Argv, holding: Holding, ended: Ended) -> u8 {
    match ended {
        Ended::NotExecuted(error) => {
            free(face, args, holding);
            code::complain_of(argv, &error)
        }
        Ended::Ended { exit, leftovers, emptied } => {
            if !leftovers.is_empty() {
                face::say(&format!("ended with the command, which had left them behind: {}", leftovers.join(", ")));
            }
            if emptied {
                free(face, args, holding);
            } else {
                let _reclaimed_when_they_are_gone = holding.leave();
                face::say(&format!("something of the command does not end; the lease {:?} is held until it has", args.name));
            }
            code::of_exit(exit)
        }
    }
}

/// The exit code is that of the command in any case.
fn free(face: &Face, args: &RunArgs, holding: Holding) {
    match face.editor().and_then(|store| holding.release(&store)) {
        Ok(true) => {}
        Ok(false) => face::say(&format!("the lease {:?} was released by force", args.name)),
        Err(error) => {
            face::say(&format!(
                "{error}; the lease {:?} is still recorded, and free to the next command that wants it",
                args.name
            ));
        }
    }
}

fn ls(face: &Face) -> Result<u8> {
    let seen = lease_document::all(&face.reader()?)?;
    if face.json {
        face.document(json::list("leases", seen.iter().map(lease_document::document)))?;
    } else if seen.is_empty() {
        face::say("there are no leases; tenure lease run NAME -- COMMAND holds one");
    } else {
        face::print(&for_people(&seen, &face.now(), face.columns))?;
    }
    Ok(exit::OK)
}

fn release(face: &Face, name: &str, by_force: bool) -> Result<u8> {
    let store = face.editor()?;
    let wanted = name.to_owned();
    let Some(held) = store.read(move |conn| lease::named(conn, &wanted))? else {
        let names: Vec<String> = store.read(lease::list)?.into_iter().map(|one| one.name).collect();
        let meant = nearest::question(name, names.iter().map(String::as_str));
        return Err(Error::NotFound(format!("no command has a lease {name:?}; tenure lease ls shows who has which{meant}")));
    };
    let seen = lease_document::inspect(&store, held);
    if seen.is_alive && !by_force {
        let owner = owner(&seen, face.now_ms());
        return Err(Error::Refused(format!(
            "the lease {name:?} is held by {owner}; end that, or release the lease with --force: the owner continues, and another command may \
             get in beside it"
        )));
    }
    let Some(living) = leases::force(&store, &seen, &whoami())? else {
        return Err(Error::Refused(format!("the lease {name:?} has another holder now; see tenure lease ls")));
    };
    if !living.is_empty() {
        face::say(&format!("lease released by force; processes of its owner still run: {}", living.join(", ")));
    } else if seen.lease.run.is_some() {
        face::say(&format!("lease released by force; its owner was {}", owner(&seen, face.now_ms())));
    }
    Ok(exit::OK)
}

fn whoami() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| format!("user {}", rustix::process::geteuid().as_raw()));
    format!("{user}, pid {}", std::process::id())
}

/// Describes the holder, since when and why.
fn owner(seen: &Seen, now_ms: i64) -> String {
    let held = &seen.lease;
    let mut text = match (held.run, held.pid) {
        (Some(run), _) => format!("run {run}"),
        (None, Some(pid)) => format!("pid {pid}"),
        (None, None) => "an unknown process".to_owned(),
    };
    if let Some(job) = held.job {
        text += &format!(" of job {job}");
    }
    text += &format!(" ({}) for {}", values::shorten(&command(held)), time::between(held.since, now_ms));
    if let Some(why) = &held.why {
        text += &format!(", because: {}", values::shorten(why));
    }
    if let Some(pid) = held.pid.filter(|_| !seen.survivors.is_empty()) {
        let living = named(&seen.survivors);
        text += &format!("; tenure lease run (pid {pid}) has ended, and what it started lives on: {living}");
    }
    text
}

fn command(held: &Lease) -> String {
    Argv::from_json(&held.command).map_or_else(|_| held.command.clone(), |argv| escape::quote_whole(&argv))
}

/// Leases, one a line.
pub fn for_people(all: &[Seen], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let row = |seen: &Seen| {
        let held = &seen.lease;
        let owner = match (held.run, held.job, held.pid) {
            (Some(run), Some(job), _) => format!("job {job}, run {run}"),
            (Some(run), None, _) => format!("run {run}"),
            (None, _, Some(pid)) if !seen.survivors.is_empty() => {
                format!("{} (pid {pid} has ended)", named(&seen.survivors))
            }
            (None, Some(job), Some(pid)) => format!("job {job}, pid {pid}"),
            (None, _, pid) => pid.map_or_else(|| "-".to_owned(), |pid| format!("pid {pid}")),
        };
        let why = held.why.clone().unwrap_or_default();
        vec![held.name.clone(), seen.state().to_owned(), owner, time::local(held.since, now), command(held), why]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table::table(&["lease", "state", "owner", "since", "command", "why"], &[], &rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn a_refusal_names_the_holder_since_when_and_why() {
        let seen = fixture::lease();
        assert_eq!(owner(&seen, 61_000), "pid 4711 of job 7 (make -j8) for 1m, because: the nightly build");
        let left = Seen { survivors: vec!["4712 sleep".into()], ..seen.clone() };
        assert!(owner(&left, 61_000).ends_with("(pid 4711) has ended, and what it started lives on: 4712 sleep"));
        assert!(for_people(&[left], &time::here(61_000), None).contains("4712 sleep (pid 4711 has ended)"));
        let lease = Lease { run: Some(crate::job::RunId(9)), why: None, ..seen.lease };
        assert_eq!(owner(&Seen { lease, ..seen }, 61_000), "run 9 of job 7 (make -j8) for 1m");
    }

    #[test]
    fn names_of_workspaces_are_not_for_people() {
        assert!(parse_name("workspace/x").unwrap_err().contains("workspaces"));
        assert!(parse_name("work").is_ok() && parse_name("").is_err() && parse_name(&"x".repeat(201)).is_err());
    }
}
