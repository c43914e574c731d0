//! `tenure queue`: named queues, each with its own slots.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::{time, values};
use crate::cli::view::{json, table};
use crate::error::{Error, Result, exit, said};
use crate::host::waker;
use crate::job::{launcher, nearest};
use crate::store::job::control::QueueSettings;
use crate::store::job::counted::QueueRow;
use crate::store::{job::control, job::pending, job::read};
use crate::units;

/// What `set` and `pause` do with a queue that does not exist.
const CREATED: &str = "and it is created";
/// Most slots of one queue.
const SLOTS_MAX: i64 = 1_000_000;
/// Longest value of an option for a launcher, in bytes.
const OPTION_VALUE_MAX: usize = 4_096;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// List queues
    Ls,
    /// Set the limits of a queue, and create it if it does not exist
    Set {
        /// The queue
        #[arg(value_parser = values::parse_name)]
        queue: String,
        /// Run up to N of its jobs at once
        ///
        /// none: no limit of its own.
        #[arg(long, value_name = "N|none", value_parser = parse_slots)]
        slots: Option<Limit<i64>>,
        /// Stop each of its jobs after DURATION
        ///
        /// none: no limit.
        #[arg(long, value_name = "DURATION|none", value_parser = parse_runtime)]
        max_runtime: Option<Limit<u64>>,
        /// Pause it when a job of it fails
        ///
        /// The default is none. A job that is tried again has not failed yet.
        #[arg(long, value_name = "pause|none", hide_possible_values = true, value_parser = PossibleValuesParser::new(["none", "pause"]))]
        on_failure: Option<String>,
        /// Give its jobs to another engine, such as Slurm
        ///
        /// A directory with the executables submit, status and cancel, or the name of a launcher
        /// that tenure has: slurm, ssh. The queue needs slots: how many runs the engine is given at
        /// a time. none: its jobs run on this machine.
        #[arg(long, value_name = "LAUNCHER|none", value_parser = parse_launcher)]
        launcher: Option<Launcher>,
        /// Tell the launcher something with each job, such as partition=main
        ///
        /// OPTION= removes it. interval=DURATION: how often the engine is asked for its runs; the
        /// default is 5s.
        #[arg(long, value_name = "OPTION=VALUE", value_parser = parse_option)]
        launcher_option: Vec<(String, Option<String>)>,
    },
    /// Keep the jobs of a queue from starting; it is created if it does not exist
    Pause {
        /// The queue
        #[arg(value_parser = values::parse_name)]
        queue: String,
    },
    /// Remove a queue and its limits; it must have no live job
    Rm {
        /// The queue
        #[arg(value_parser = values::parse_name)]
        queue: String,
    },
    /// Let the jobs of a queue start again
    Resume {
        /// The queue
        #[arg(value_parser = values::parse_name)]
        queue: String,
    },
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

fn parse_slots(text: &str) -> Result<Limit<i64>, String> {
    match text.parse::<i64>() {
        _ if text == "none" => Ok(Limit(None)),
        Ok(n) if (0..=SLOTS_MAX).contains(&n) => Ok(Limit(Some(n))),
        _ => Err(format!("{:?} is not a number of slots; write 4, or none", values::shorten(text))),
    }
}

/// A launcher, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher(Option<String>);

/// Reads the launcher of a queue. A directory is stored as an absolute path: the worker may have
/// started elsewhere.
fn parse_launcher(text: &str) -> Result<Launcher, String> {
    if text == "none" {
        return Ok(Launcher(None));
    }
    if launcher::is_built_in(text) {
        return Ok(Launcher(Some(text.to_owned())));
    }
    let shown = values::shorten(text);
    let dir = std::fs::canonicalize(text).map_err(|error| {
        format!("{shown:?}: {}; write the directory of a launcher, {} or none", said(&error), launcher::BUILT_IN.join(", "))
    })?;
    for name in ["submit", "status", "cancel"] {
        let file = dir.join(name);
        if !file.is_file() || rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_err() {
            return Err(format!("{shown:?} has no executable {name}; docs/launchers.md says what a launcher needs"));
        }
    }
    match dir.into_os_string().into_string() {
        Ok(dir) => Ok(Launcher(Some(dir))),
        Err(dir) => Err(format!("{} is not UTF-8; rename it", dir.display())),
    }
}

fn parse_option(text: &str) -> Result<(String, Option<String>), String> {
    let shown = values::shorten(text);
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("{shown:?} is not an option; write NAME=VALUE, such as partition=main"));
    };
    if !launcher::is_option(name) {
        return Err(format!(
            "{:?} is not the name of an option; it has a-z, 0-9 and -, such as cpus-per-task",
            values::shorten(name)
        ));
    }
    if value.contains(['\0', '\n']) || value.len() > OPTION_VALUE_MAX {
        return Err(format!("the value of {name} is one line of at most {OPTION_VALUE_MAX} bytes"));
    }
    if name == launcher::INTERVAL && !value.is_empty() {
        units::parse_duration(value)?;
    }
    Ok((name.to_owned(), (!value.is_empty()).then(|| value.to_owned())))
}

fn parse_runtime(text: &str) -> Result<Limit<u64>, String> {
    match units::parse_duration(text) {
        _ if text == "none" => Ok(Limit(None)),
        Ok(0) => Err("a max-runtime of 0 would stop each job at once; write none for no limit".into()),
        Ok(ms) => Ok(Limit(Some(ms))),
        Err(error) => Err(format!("{error}, or none")),
    }
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Ls => return ls(face),
        Verb::Set { slots: None, max_runtime: None, on_failure: None, launcher: None, launcher_option, .. }
            if launcher_option.is_empty() =>
        {
            return Err(Error::Invalid(
                "say what to set: --slots N, --max-runtime DURATION, --on-failure pause or --launcher DIR".into(),
            ));
        }
        Verb::Set { queue, slots, max_runtime, on_failure, launcher, launcher_option } => {
            let to = QueueSettings {
                slots: slots.map(|l| l.0),
                max_runtime_ms: max_runtime.map(|l| l.0),
                pauses_on_failure: on_failure.map(|word| word == "pause"),
                launcher: launcher.map(|launcher| launcher.0),
                launcher_options: launcher_option.into_iter().collect(),
            };
            say_if_new(face, &queue, CREATED)?;
            change(face, move |conn| control::queue_set(conn, &queue, &to))?;
        }
        Verb::Pause { queue } => {
            say_if_new(face, &queue, CREATED)?;
            change(face, move |conn| control::queue_pause(conn, &queue, true))?;
        }
        Verb::Rm { queue } => change(face, move |conn| control::queue_remove(conn, &queue))?,
        Verb::Resume { queue } => {
            say_if_new(face, &queue, "so nothing was paused")?;
            change(face, move |conn| control::queue_pause(conn, &queue, false))?;
        }
    }
    Ok(exit::OK)
}

/// Changes queues, and tells the worker.
///
/// # Errors
/// The file cannot be written, or refuses.
pub fn change(face: &Face, verb: impl FnMut(&rusqlite::Connection) -> Result<()> + Send + 'static) -> Result<()> {
    let store = face.client()?;
    store.write(verb)?;
    waker::send(store.place());
    Ok(())
}

/// A queue may be set up before its first job, and goes with its last one: a mistyped name looks
/// the same. `what` happens to a queue that does not exist.
fn say_if_new(face: &Face, queue: &str, what: &str) -> Result<()> {
    let store = face.client()?;
    if store.read(|conn| read::has_queue(conn, queue))? {
        return Ok(());
    }
    let names = store.read(|conn| read::queue_names(conn, nearest::NAMES_MAX))?;
    let meant = nearest::question(queue, names.iter().map(String::as_str));
    face::say(&format!("there was no queue {queue:?}, {what}{meant}"));
    Ok(())
}

fn ls(face: &Face) -> Result<u8> {
    let (queues, all_paused) = face.reader()?.read(|conn| Ok((read::queues(conn)?, pending::all_paused_at(conn)?)))?;
    if face.json {
        let mut document = json::list("queues", queues.iter().map(json::queue));
        document["all_paused_at"] = all_paused.map(time::utc).into();
        face.document(document)?;
    } else {
        if let Some(at) = all_paused {
            face::say(&format!("all queues are paused since {}; tenure resume ends that", time::local(at, &face.now())));
        }
        face::print(&for_people(&queues, face.columns))?;
    }
    Ok(exit::OK)
}

/// Queues, one a line.
pub fn for_people(queues: &[QueueRow], columns: Option<usize>) -> String {
    let row = |queue: &QueueRow| {
        vec![
            queue.name.clone(),
            queue.slots.map_or_else(|| "-".into(), |n| n.to_string()),
            queue.running.to_string(),
            queue.ready.to_string(),
            queue.waiting.to_string(),
            queue.max_runtime_ms.map_or_else(|| "-".into(), units::duration_text),
            condition(queue),
        ]
    };
    let rows: Vec<_> = queues.iter().map(row).collect();
    table::table(&["queue", "slots", "running", "ready", "held", "max runtime", ""], &[1, 2, 3, 4, 5], &rows, columns)
}

fn condition(queue: &QueueRow) -> String {
    let pause = match (queue.paused, queue.paused_by, queue.pauses_on_failure) {
        (true, Some(job), _) => Some(format!("paused: job {job} failed")),
        (true, None, _) => Some("paused".into()),
        (false, _, true) => Some("pauses on failure".into()),
        (false, _, false) => None,
    };
    let launcher = queue.launcher.as_ref().map(|launcher| format!("launcher {launcher}"));
    pause.into_iter().chain(launcher).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(parse_slots("4"), Ok(Limit(Some(4))));
        assert_eq!(parse_slots("none"), Ok(Limit(None)));
        assert_eq!(parse_runtime("1h"), Ok(Limit(Some(3_600_000))));
        assert_eq!(parse_runtime("none"), Ok(Limit(None)));
        for text in ["", "-1", "x", "1000001", "99999999999999999999"] {
            assert!(parse_slots(text).is_err(), "{text:?}");
        }
        assert!(parse_runtime("0s").is_err() && parse_runtime("5").is_err());
    }
}
