//! `tenure resource`: external resources, and their teardown.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::select::{Part, Selector};
use crate::cli::parse::variables::{Variables, WHERE};
use crate::cli::parse::{time, values};
use crate::cli::verbs::show;
use crate::cli::view::{json, policy_shown, table};
use crate::error::{Error, Result, exit};
use crate::host::lock::Holder;
use crate::host::waker;
use crate::job::{Argv, JobId, ResourceId, ResourceState, RunId};
use crate::queue::RunInfo;
use crate::queue::why::resource_words as words;
use crate::store::resource::{self, NewResource, Owner, RESOURCES_MAX, Resource, Written};
use crate::store::{Store, job::read};
use crate::units;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Record a resource and its teardown, and print its id
    Add(Box<AddArgs>),
    /// List resources that are not torn down yet
    Ls {
        /// List resources that are gone too
        #[arg(short = 'a', long)]
        all: bool,
    },
    /// Show a resource with its teardowns and their logs
    Show {
        /// Resources: 7, 3-9, 1,4,8
        #[arg(value_name = "ID", required = true, value_parser = parse_ids)]
        ids: Vec<Selector>,
    },
    /// Tear resources down now
    Release {
        /// Resources: 7, 3-9, 1,4,8
        #[arg(value_name = "ID", required = true, value_parser = parse_ids)]
        ids: Vec<Selector>,
        /// Run no teardown; a person has removed it
        #[arg(long)]
        force: bool,
    },
    /// Try every pending teardown again now
    Sweep,
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// The name of the resource, unique for its owner
    #[arg(value_name = "NAME", value_parser = values::parse_name)]
    pub name: String,
    /// Remove it with this shell command
    ///
    /// Exit 0: it is gone. It has the variables of the owner's job too.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell)]
    pub teardown: Argv,
    /// Look for it with this shell command
    ///
    /// Exit 0: it exists, 1: it is gone, else: not known.
    #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell)]
    pub probe: Option<Argv>,
    /// Tear it down when this job has ended for good
    ///
    /// The default, inside a job, is: when the present run has ended.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..), conflicts_with = "task")]
    pub job: Option<i64>,
    /// Tear it down when this task has ended
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub task: Option<i64>,
    /// Run teardown and probe in this directory
    ///
    /// The default is the current one, or / if that is gone by then.
    #[arg(short = 'w', long, value_name = "DIR", help_heading = WHERE)]
    pub cwd: Option<PathBuf>,
    #[command(flatten)]
    pub variables: Variables,
    /// Stop a teardown after DURATION (default: 10m)
    ///
    /// It is tried again later.
    #[arg(short = 't', long, value_name = "DURATION", value_parser = parse_timeout)]
    pub timeout: Option<u64>,
}

fn parse_ids(text: &str) -> Result<Selector, String> {
    let wrong = || format!("{:?} is not a resource; write 7, 3-9 or 1,4,8", values::shorten(text));
    let selector: Selector = text.parse().map_err(|_| wrong())?;
    let is_of_jobs = |part: &Part| matches!(part, Part::Element(..) | Part::Label(_));
    if selector.0.iter().any(is_of_jobs) { Err(wrong()) } else { Ok(selector) }
}

fn parse_timeout(text: &str) -> Result<u64, String> {
    match units::parse_duration(text)? {
        0 => Err("a timeout of 0 would stop each teardown at once; leave the option out".into()),
        ms => Ok(ms),
    }
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Add(args) => add(face, *args),
        Verb::Ls { all } => ls(face, all),
        Verb::Show { ids } => show_all(face, &ids),
        Verb::Release { ids, force } => release(face, &ids, force),
        Verb::Sweep => sweep(face),
    }
}

fn add(face: &Face, args: AddArgs) -> Result<u8> {
    let store = face.editor()?;
    let owner = owner(&args, &store)?;
    let new = NewResource {
        name: args.name,
        owner,
        teardown: args.teardown,
        probe: args.probe,
        cwd: cwd(args.cwd.as_deref())?,
        env: args.variables.read(&std::env::vars_os().collect()).map_err(Error::Invalid)?,
        timeout_ms: args.timeout,
    };
    let written = store.write(move |conn| resource::add(conn, &new))?;
    waker::send(store.place());
    if face.json {
        face.document(json!({"id": written.id, "state": written.state, "replaced": written.replaced}))?;
    } else {
        face::print(&format!("{}\n", written.id))?;
    }
    tell_added(&written, &store)?;
    Ok(exit::OK)
}

/// Returns the run in which this command runs, unless an owner is named.
fn owner(args: &AddArgs, store: &Store) -> Result<Owner> {
    if let Some(job) = args.job {
        return Ok(Owner::Job(JobId(job)));
    }
    if let Some(task) = args.task {
        return Ok(Owner::Task(task));
    }
    let outside = || {
        Error::Invalid(
            "whose is it? Inside a job of this file it is the run's; here name its owner: --job ID or --task ID".into(),
        )
    };
    let run = std::env::var("TENURE_RUN").ok().and_then(|text| text.parse().ok()).ok_or_else(outside)?;
    // A run of another file may have the same number as one of this.
    let is_of_this_file =
        std::env::var_os("TENURE_DB").is_some_and(|db| std::fs::canonicalize(db).is_ok_and(|db| db == store.place().db()));
    if is_of_this_file { Ok(Owner::Run(RunId(run))) } else { Err(outside()) }
}

fn cwd(asked: Option<&Path>) -> Result<String> {
    let here = || std::env::current_dir().map_err(|e| Error::io_with("finding the working directory", "name one with --cwd", e));
    let path = match asked {
        Some(path) if path.is_absolute() => path.to_owned(),
        Some(path) => here()?.join(path),
        None => here()?,
    };
    match path.into_os_string().into_string() {
        Ok(path) if path.contains('\0') => Err(Error::Invalid("--cwd contains a NUL byte".into())),
        Ok(path) => Ok(path),
        Err(path) => {
            Err(Error::Invalid(format!("{:?} is not UTF-8; name a directory that is, with --cwd", path.to_string_lossy())))
        }
    }
}

fn tell_added(written: &Written, store: &Store) -> Result<()> {
    let id = written.id;
    match (written.state, written.replaced) {
        (ResourceState::Held, false) => Ok(()),
        (ResourceState::Held, true) => {
            face::say(&format!("its owner had it already: resource {id} has the new teardown"));
            Ok(())
        }
        (_, true) => {
            face::say(&format!("resource {id} is being torn down; it continues with the new teardown"));
            tell_no_worker(store)
        }
        (_, false) => {
            face::say(&format!("its owner has ended already, so resource {id} is torn down at once"));
            tell_no_worker(store)
        }
    }
}

fn tell_no_worker(store: &Store) -> Result<()> {
    if Holder::read(store.place())?.is_none() {
        face::say("there is no worker, so nothing is torn down yet (start one: tenure work)");
    }
    Ok(())
}

fn ls(face: &Face, all: bool) -> Result<u8> {
    let store = face.reader()?;
    let resources = store.read(|conn| if all { resource::all(conn) } else { resource::live(conn, RESOURCES_MAX) })?;
    if face.json {
        face.document(json::list("resources", resources.iter().map(|one| json::resource(one, store.place()))))?;
    } else if resources.is_empty() {
        face::say(match all {
            true => "there are no resources; tenure resource add NAME --teardown COMMAND makes one",
            false => "there are no resources that are not torn down; tenure resource ls -a lists all",
        });
    } else {
        face::print(&for_people(&resources, face.now_ms(), face.columns))?;
    }
    Ok(exit::OK)
}

fn for_people(resources: &[Resource], now_ms: i64, columns: Option<usize>) -> String {
    let row = |one: &Resource| {
        vec![
            one.id.to_string(),
            one.name.clone(),
            words::owner(one),
            words::state(one, now_ms),
            one.attempts.to_string(),
            one.last_error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = resources.iter().map(row).collect();
    table::table(&["id", "name", "owner", "state", "failed", "last error"], &[0, 4], &rows, columns)
}

fn show_all(face: &Face, ids: &[Selector]) -> Result<u8> {
    let store = face.reader()?;
    for (at, id) in named(&store, ids)?.into_iter().enumerate() {
        let (one, runs) = store.read(move |conn| Ok((resource::existing(conn, id)?, read::runs_of_resource(conn, id)?)))?;
        let runs: Vec<RunInfo> = runs.iter().map(|run| RunInfo::of(run, store.place())).collect();
        if face.json {
            face.document(json::resource_with_runs(&one, &runs, store.place()))?;
        } else {
            let gap = if at > 0 { "\n" } else { "" };
            face::print(&format!("{gap}{}", one_for_people(&one, &runs, face)))?;
        }
    }
    Ok(exit::OK)
}

fn one_for_people(one: &Resource, runs: &[RunInfo], face: &Face) -> String {
    let now = &face.now();
    let at = |ms: Option<i64>| ms.map(|ms| time::local(ms, now));
    let mut text = table::pairs(&[
        ("id", Some(one.id.to_string())),
        ("name", Some(one.name.clone())),
        ("owner", Some(words::owner(one))),
        ("state", Some(words::state(one, now.timestamp().as_millisecond()))),
        (
            "failed",
            (one.attempts > 0).then(|| if one.attempts == 1 { "once".to_owned() } else { format!("{} times", one.attempts) }),
        ),
        ("last error", one.last_error.clone()),
        ("teardown", Some(words::command(&one.teardown))),
        ("probe", one.probe.as_deref().map(words::command)),
        ("cwd", Some(one.cwd.clone())),
        ("environment", Some(policy_shown::environment(&one.env)).filter(|env| !env.is_empty())),
        ("timeout", one.timeout_ms.map(units::duration_text)),
        ("recorded", at(Some(one.created_at))),
        ("owner ended", at(one.releasing_since)),
        ("gone", at(one.released_at)),
    ]);
    if !runs.is_empty() {
        text += &format!("\n{}", show::runs_table(runs, now, face.columns));
    }
    if let Some(last) = runs.last() {
        text += &format!("\nlog of run {}: {}\n", last.id, crate::cli::view::escape::line(&last.log.to_string_lossy()));
    }
    text
}

fn release(face: &Face, ids: &[Selector], force: bool) -> Result<u8> {
    let store = face.editor()?;
    let (mut code, mut asked) = (exit::OK, false);
    for id in named(&store, ids)? {
        let now_ms = face.now_ms();
        let done = store.write(move |conn| match force {
            true => resource::give_up(conn, id, now_ms),
            false => resource::release(conn, id),
        });
        match done {
            Ok(before) if force => face::say(&given_up(&before)),
            Ok(_) => {
                asked = true;
                face::say(&format!("resource {id} is to be torn down at once"));
            }
            Err(error @ (Error::Refused(_) | Error::NotFound(_))) => {
                face::complain(&error.to_string());
                code = error.exit_code();
            }
            Err(error) => return Err(error),
        }
    }
    waker::send(store.place());
    if asked {
        tell_no_worker(&store)?;
    }
    Ok(code)
}

fn given_up(before: &Resource) -> String {
    let id = before.id;
    match before.auxiliary {
        Some(run) => {
            format!("resource {id} is recorded as gone; run {run}, which is in progress for it, continues and has no effect")
        }
        None => format!("resource {id} counts as gone; no teardown is run"),
    }
}

fn sweep(face: &Face) -> Result<u8> {
    let store = face.editor()?;
    let releasing = store.write(resource::sweep)?;
    waker::send(store.place());
    if face.json {
        face.document(json!({"releasing": releasing}))?;
    } else {
        let n = i64::try_from(releasing).unwrap_or(i64::MAX);
        face::say(&format!("{} now", table::count(n, "resource", "is to be torn down", "are to be torn down")));
    }
    if releasing > 0 {
        tell_no_worker(&store)?;
    }
    Ok(exit::OK)
}

/// Returns the named resources, each once.
fn named(store: &Store, selectors: &[Selector]) -> Result<Vec<ResourceId>> {
    let mut ids = std::collections::BTreeSet::new();
    for part in selectors.iter().flat_map(|selector| &selector.0) {
        match *part {
            // Refused when it was parsed.
            Part::Element(..) | Part::Label(_) => {}
            Part::One(JobId(id)) => {
                ids.insert(ResourceId(id));
            }
            Part::Last => ids.extend(store.read(resource::all)?.last().map(|one| one.id)),
            Part::Range(JobId(first), JobId(last)) => {
                let all = store.read(resource::all)?;
                ids.extend(all.iter().map(|one| one.id).filter(|id| (first..=last).contains(&id.0)));
            }
        }
    }
    match ids.is_empty() {
        true => Err(Error::NotFound("there is no such resource; tenure resource ls -a lists them".into())),
        false => Ok(ids.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_selectors_and_say_what_is_wrong_with_them() {
        assert!(parse_ids("7").is_ok() && parse_ids("1,3-9").is_ok() && parse_ids("last").is_ok());
        for text in ["", "x", "0", "-1", "9-3", "99999999999999999999", "\x1b", "@vm", "12[3]"] {
            assert!(!parse_ids(text).unwrap_err().contains('\x1b'), "{text:?}");
        }
        assert!(parse_ids("x").unwrap_err().contains("is not a resource"));
        assert!(parse_timeout("0s").is_err() && parse_timeout("5m").is_ok());
    }
}
