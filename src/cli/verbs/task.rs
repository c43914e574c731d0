//! `tenure task`: passes through a pipeline.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Subcommand;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde_json::json;

use crate::cli::face;
use crate::cli::face::{Face, versioned};
use crate::cli::parse::values;
use crate::cli::stop;
use crate::cli::verbs::task_follow;
use crate::cli::view::{json, task_shown};
use crate::cli::watch::waits::{By, Waits};
use crate::document::task::document as task_document;
use crate::error::{Error, Result, exit};
use crate::host::secrets;
use crate::host::waker;
use crate::job::template::is_param_name;
use crate::job::{JobId, TaskState};
use crate::queue::Queue;
use crate::queue::changes::Changes;
use crate::store::Store;
use crate::store::pipeline::task::{self, Advanced, Stopped};
use crate::store::pipeline::task_rows::{self, TaskFilter, TaskRow};
use crate::units;

/// Most tasks that are listed unless `-n` says otherwise.
const SHOWN_DEFAULT: usize = 1_000;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Start a task and print its id
    Start {
        /// The pipeline to go through
        #[arg(value_name = "PIPELINE")]
        pipeline: String,
        /// Return the running task with this key, if any
        ///
        /// Keys are those of tasks of this pipeline.
        #[arg(long, value_name = "KEY", value_parser = values::parse_label)]
        key: Option<String>,
        /// Set a parameter; may be given several times
        #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = OsStringValueParser::new().try_map(parse_param))]
        params: Vec<(String, String)>,
    },
    /// List tasks, newest last
    Ls {
        /// List ended tasks too
        #[arg(short = 'a', long)]
        all: bool,
        /// Select tasks in this state
        ///
        /// May be given several times.
        #[arg(long, value_name = "STATE", value_parser = parse_state)]
        state: Vec<TaskState>,
        /// Select tasks of this pipeline
        #[arg(long, value_name = "PIPELINE")]
        pipeline: Option<String>,
        /// Select tasks with this key
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// List the newest N (default: 1000)
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a task with the stages that it has entered
    Show {
        /// Tasks: 7 or last
        #[arg(value_name = "TASK", required = true, value_parser = parse_task)]
        tasks: Vec<Which>,
    },
    /// End a task: cancel its jobs, but wait for a critical stage
    Stop {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
        /// Record why, for its history
        #[arg(long, value_name = "TEXT", value_parser = values::parse_label)]
        why: Option<String>,
        /// Wait until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// Move a task by hand from the stage that you expect
    Advance {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
        /// Do nothing and exit with 6 if it is not in STAGE
        #[arg(long, value_name = "STAGE")]
        expect: String,
        /// Move it to this stage
        #[arg(long, value_name = "STAGE")]
        to: String,
    },
    /// Continue a failed or stopped task where it ended
    ///
    /// The stages that are done stay done. The stage that was not, or the one that would have come
    /// next, is entered with a new job.
    Retry {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
        /// Continue at this stage instead
        #[arg(long, value_name = "STAGE")]
        from: Option<String>,
    },
    /// Wait until tasks have ended
    ///
    /// For one task, exits with the code of its last job, or 0 if it is done.
    Wait {
        /// Tasks: 7 or last
        #[arg(value_name = "TASK", required = true, value_parser = parse_task)]
        tasks: Vec<Which>,
        /// Give up after DURATION and exit with 124
        #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
        timeout: Option<u64>,
    },
    /// Print what the jobs of a task wrote, stage by stage
    ///
    /// Each line begins with the number of its job.
    Logs {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
        #[command(flatten)]
        which: task_follow::Which,
    },
    /// Keep a task's jobs from starting, those of later stages too
    Hold {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
    },
    /// Let a held task continue
    Release {
        /// The task: 7 or last
        #[arg(value_name = "TASK", value_parser = parse_task)]
        task: Which,
    },
}

/// Selects a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    One(i64),
    Last,
}

fn parse_task(text: &str) -> Result<Which, String> {
    match text.parse() {
        _ if text == "last" => Ok(Which::Last),
        Ok(id) if id > 0 => Ok(Which::One(id)),
        _ => Err(format!("{:?} is not a number of a task; write 7, or last", values::shorten(text))),
    }
}

fn parse_state(text: &str) -> Result<TaskState, String> {
    TaskState::parse(text)
        .ok_or_else(|| format!("{:?} is not a state of a task: running, done, failed, cancelled", values::shorten(text)))
}

fn parse_param(text: OsString) -> Result<(String, String), String> {
    let text = text.into_string().map_err(|_| "a parameter must be UTF-8; put it in a file and give its path")?;
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{:?} has no value; write it as version=1.2", values::shorten(&text)))?;
    if !is_param_name(name) {
        return Err(format!("{:?} is not a name of a parameter; it has letters, digits and _", values::shorten(name)));
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Start { pipeline, key, params } => start(face, pipeline, key, params),
        Verb::Ls { all, state, pipeline, key, limit } => {
            let states = if all || !state.is_empty() { state } else { vec![TaskState::Running] };
            let filter = TaskFilter { states, pipeline, key, before: None, limit: Some(limit.unwrap_or(SHOWN_DEFAULT)) };
            ls(face, &filter)
        }
        Verb::Show { tasks } => show(face, &tasks),
        Verb::Stop { task, why, wait } => stop(face, task, why, wait),
        Verb::Advance { task, expect, to } => advance(face, task, expect, to),
        Verb::Retry { task, from } => {
            let queue = Queue::of(&face.editor()?);
            task_follow::retry(face, &queue, find(&queue.store, task)?.id, from)
        }
        Verb::Wait { tasks, timeout } => {
            let queue = face.queue()?;
            let tasks: Result<Vec<TaskRow>> = tasks.iter().map(|which| find(&queue.store, *which)).collect();
            task_follow::wait(face, &queue, &tasks?, timeout)
        }
        Verb::Logs { task, which } => {
            let queue = face.queue()?;
            task_follow::logs(face, &queue, &find(&queue.store, task)?, &which)
        }
        Verb::Hold { task } => hold(face, task, true),
        Verb::Release { task } => hold(face, task, false),
    }
}

fn start(face: &Face, pipeline: String, key: Option<String>, given: Vec<(String, String)>) -> Result<u8> {
    let mut params = BTreeMap::new();
    for (name, value) in given {
        if params.insert(name.clone(), value).is_some() {
            return Err(Error::Invalid(format!("the parameter {name} is given twice; omit one of them")));
        }
    }
    let store = face.editor()?;
    let now_ms = face.now_ms();
    let started = store.write(move |conn| task::start(conn, &pipeline, key.as_deref(), &params, now_ms))?;
    waker::send(store.place());
    if started.existing {
        face::say(&format!("task {} runs and has this --key; nothing was started", started.id));
    }
    if face.json {
        face.document(json!({"id": started.id, "existing": started.existing}))?;
    } else {
        face::print(&format!("{}\n", started.id))?;
    }
    Ok(exit::OK)
}

fn ls(face: &Face, filter: &TaskFilter) -> Result<u8> {
    let store = face.reader()?;
    let tasks = store.read(|conn| {
        let tasks = task_rows::tasks(conn, filter)?;
        tasks.into_iter().map(|task| Ok((task_rows::steps(conn, task.id)?, task))).collect::<Result<Vec<_>>>()
    })?;
    if face.json {
        face.document(json::list("tasks", tasks.iter().map(|(steps, task)| task_document(task, steps))))?;
    } else if tasks.is_empty() {
        face::say("there are no such tasks; tenure task ls -a lists ended ones too");
    } else {
        face::print(&task_shown::list(&tasks, &face.now(), face.columns))?;
    }
    Ok(exit::OK)
}

fn show(face: &Face, which: &[Which]) -> Result<u8> {
    let store = face.reader()?;
    for (at, which) in which.iter().enumerate() {
        let task = find(&store, *which)?;
        let steps = store.read(|conn| task_rows::steps(conn, task.id))?;
        if face.json {
            face.print_line(&versioned(task_document(&task, &steps)))?;
        } else {
            let gap = if at > 0 { "\n" } else { "" };
            face::print(&format!("{gap}{}", task_shown::for_people(&task, &steps, &face.now(), face.columns)))?;
        }
    }
    Ok(exit::OK)
}

/// # Errors
/// There is no such task.
fn find(store: &Store, which: Which) -> Result<TaskRow> {
    let found = store.read(|conn| {
        let id = match which {
            Which::One(id) => Some(id),
            Which::Last => task_rows::last(conn)?,
        };
        id.map(|id| task_rows::task(conn, id)).transpose().map(Option::flatten)
    })?;
    found.ok_or_else(|| {
        let which = match which {
            Which::One(id) => format!("there is no task {id}"),
            Which::Last => "there is no task yet".to_owned(),
        };
        Error::NotFound(format!("{which}; tenure task ls -a lists them"))
    })
}

fn stop(face: &Face, which: Which, why: Option<String>, wait: bool) -> Result<u8> {
    let store = face.editor()?;
    let id = find(&store, which)?.id;
    let now_ms = face.now_ms();
    let stopped = store.write(move |conn| task::stop(conn, id, why.as_deref(), now_ms))?;
    waker::send(store.place());
    let (word, text) = match &stopped {
        Stopped::Ended { freed } => {
            secrets::remove(store.place(), freed);
            ("ended", format!("task {id} is cancelled"))
        }
        Stopped::Asked { job, run } => {
            ("asked", format!("task {id} is being stopped: job {job} (run {run}){}", stop::ask_directly(&store, *job)?))
        }
        Stopped::Waits { job, stage } => (
            "waits",
            format!(
                "task {id} is in its critical stage {stage}: it ends as cancelled when job {job} has ended by itself (tenure wait {job})"
            ),
        ),
        Stopped::AlreadyEnded(state) => ("already_ended", format!("task {id} has ended already ({state})")),
    };
    if wait {
        face::say(&text);
        wait_for_end(face, &store, id)?;
    }
    if face.json {
        face.document(json!({"id": id, "stopped": word, "state": find(&store, Which::One(id))?.state}))?;
    } else if !wait {
        face::say(&text);
    }
    Ok(if matches!(stopped, Stopped::AlreadyEnded(_)) { exit::REFUSED } else { exit::OK })
}

fn wait_for_end(face: &Face, store: &Store, id: i64) -> Result<()> {
    let (mut changes, mut waits, mut job) = (Changes::default(), Waits::of(JobId(0), By::Watcher), None);
    loop {
        if changes.poll(store)? {
            changes.stir();
            let task = store.read(|conn| task_rows::task(conn, id))?;
            match task.filter(|task| task.state == TaskState::Running) {
                Some(task) => job = task.job,
                None => return store.flush_now(),
            }
        }
        if let Some(job) = job {
            waits.poll_job(job, face, store)?;
        }
        changes.rest(None);
    }
}

fn advance(face: &Face, which: Which, expect: String, to: String) -> Result<u8> {
    let store = face.editor()?;
    let id = find(&store, which)?.id;
    let now_ms = face.now_ms();
    let stage = to.clone();
    let Advanced { job, stopping, freed } = store.write(move |conn| task::advance(conn, id, &expect, &to, now_ms))?;
    secrets::remove(store.place(), &freed);
    waker::send(store.place());
    let left = match stopping {
        Some((old, run)) => format!("; job {old} is being stopped first (run {run}){}", stop::ask_directly(&store, old)?),
        None => String::new(),
    };
    if face.json {
        face.document(json!({"id": id, "stage": stage, "job": job, "stopping": stopping.map(|(old, _)| old)}))?;
    } else {
        face::say(&format!("task {id} is in stage {stage}, job {job}{left}"));
    }
    Ok(exit::OK)
}

fn hold(face: &Face, which: Which, held: bool) -> Result<u8> {
    let store = face.editor()?;
    let id = find(&store, which)?.id;
    store.write(move |conn| task::hold(conn, id, held))?;
    waker::send(store.place());
    let what = if held {
        format!("is held; its running job continues, and no other starts until tenure task release {id}")
    } else {
        "is released".into()
    };
    face::say(&format!("task {id} {what}"));
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_a_number_or_the_last() {
        assert_eq!(parse_task("7"), Ok(Which::One(7)));
        assert_eq!(parse_task("last"), Ok(Which::Last));
        for text in ["", "0", "-1", "x", "99999999999999999999", "\x1b"] {
            assert!(parse_task(text).is_err_and(|e| !e.contains('\x1b')), "{text:?}");
        }
    }

    #[test]
    fn a_parameter_is_a_name_and_a_value() {
        assert_eq!(parse_param("a=b=c".into()), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_param("a=".into()), Ok(("a".into(), String::new())));
        for text in ["", "a", "=b", "1=b", "a b=c", "a\x1b=c"] {
            assert!(parse_param(text.into()).is_err_and(|e| !e.contains('\x1b')), "{text:?}");
        }
    }
}
