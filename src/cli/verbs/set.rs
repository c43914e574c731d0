//! `tenure set`: change a queued job.

use clap::Parser as _;

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::job_options::KEYS;
use crate::cli::parse::options::{Command, JobOptions, Surroundings};
use crate::cli::parse::pick;
use crate::cli::parse::select::Selector;
use crate::cli::parse::{like, time, values};
use crate::error::{Error, Result, exit};
use crate::host::secrets;
use crate::host::waker;
use crate::job::{Argv, JobId, NewJob, check, nearest};
use crate::queue::Queue;
use crate::store::job::control::{self, Change, Changed};
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Jobs: 7, 3-9, 1,4,8, last, '12[3]' or @label
    #[arg(value_name = "ID")]
    pub ids: Selector,
    /// What to change, such as priority=5 or delay=10m
    ///
    /// KEY is an option of `tenure add`, such as cwd=DIR, env=NAME=VALUE, after=3 or
    /// on_failure=LINE; VALUE none removes it. An empty label removes the label.
    #[arg(value_name = "KEY=VALUE", required_unless_present_any = ["shell", "command"])]
    pub changes: Vec<String>,
    #[command(flatten)]
    pub command: Command,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let simple = if args.command.is_empty() { parse_simple(&args.changes, &face.now()) } else { None };
    let simple = simple.transpose().map_err(Error::Invalid)?;
    let others = if simple.is_none() { Some(Changes::parse(args).map_err(Error::Invalid)?) } else { None };
    let queue = Queue::of(&face.editor()?);
    let ids: Vec<_> = pick::jobs(&queue, std::slice::from_ref(&args.ids))?.into_iter().map(|job| job.id).collect();
    let ended = match (simple, others) {
        (Some(change), _) => set_simple(&queue, ids, change, face.now_ms())?,
        (None, Some(changes)) => {
            let around = adding::surroundings(face, &queue.store, &changes.options)?;
            queue.change_each(&ids, move |was| changes.over(was, &around))?
        }
        (None, None) => Vec::new(),
    };
    if face.json {
        face.document(serde_json::json!({"changed": true, "ended": ended}))?;
    } else {
        face::say("changed");
        ended.iter().for_each(|id| face::say(&format!("job {id} has no attempt left, and has ended; tenure why {id} says how")));
    }
    Ok(exit::OK)
}

/// Changes what needs no description: also of a job whose other values another program wrote, and
/// that cannot be read. All of them or none.
fn set_simple(queue: &Queue, ids: Vec<JobId>, change: Change, now_ms: i64) -> Result<Vec<JobId>> {
    let store = &queue.store;
    let set = move |conn: &_| ids.iter().map(|id| Ok((*id, control::set(conn, *id, &change, now_ms)?))).collect();
    let changed: Vec<(JobId, Changed)> = store.write(set)?;
    waker::send(store.place());
    changed.iter().for_each(|(_, change)| secrets::remove(store.place(), &change.freed));
    Ok(changed.into_iter().filter(|(_, change)| change.ended).map(|(id, _)| id).collect())
}

/// Options of `add`, as `KEY=VALUE`.
#[derive(Debug)]
struct Changes {
    /// Options that are removed first.
    cleared: Vec<String>,
    options: JobOptions,
    command: Option<Argv>,
}

/// The options alone.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct Parsed {
    #[command(flatten)]
    options: JobOptions,
}

/// Options that describe how jobs are added, or that have a verb of their own.
const NOT_SET: [(&str, &str); 5] = [
    ("hold", "tenure hold and tenure release change it"),
    ("array", "add the array again: tenure add --like ID --array RANGE"),
    ("replace", "cancel the other job: tenure cancel ID"),
    ("secret", "add the job again: tenure add --like ID --secret NAME"),
    ("pass_env", "write env=NAME=VALUE"),
];

impl Changes {
    fn parse(args: &Args) -> Result<Self, String> {
        let (mut cleared, mut words, mut prepare) = (Vec::new(), Vec::new(), None);
        for text in &args.changes {
            let (key, value) = split(text)?;
            let shown = values::shorten(key);
            let key = if key == "use" { "uses".to_owned() } else { key.replace('-', "_") };
            if let Some((_, remedy)) = NOT_SET.iter().find(|(name, _)| *name == key) {
                return Err(format!("{shown}: it cannot be set; {remedy}"));
            }
            let names: Vec<&str> =
                KEYS.iter().map(|(name, _)| *name).filter(|name| !NOT_SET.iter().any(|(not, _)| not == name)).collect();
            if !names.contains(&key.as_str()) {
                return Err(format!(
                    "{shown}: it cannot be set; what can: {}{}",
                    names.join(", "),
                    nearest::question(&key, names)
                ));
            }
            if key == "stdin" && value == "-" {
                return Err("stdin: a copy is kept for a new job alone; name a file, or add the job again".into());
            }
            match value {
                "" if key == "label" => cleared.push(key),
                "none" if key != "label" => cleared.push(key),
                // On the command line it needs a workspace beside it; the job may have one.
                _ if key == "prepare" => prepare = Some(values::parse_shell(value).map_err(|e| format!("prepare: {e}"))?),
                _ => words.push(format!("--{}={value}", key.replace('_', "-"))),
            }
        }
        let options = Parsed::try_parse_from(&words).map_err(|error| first_line(&error.to_string()))?.options;
        let options = JobOptions { prepare, ..options };
        let command = if args.command.is_empty() { None } else { Some(args.command.argv()?) };
        Ok(Self { cleared, options, command })
    }

    fn over(&self, was: &NewJob, around: &Surroundings) -> Result<NewJob, String> {
        let mut base = was.clone();
        for key in &self.cleared {
            like::clear(&mut base, key, around).map_err(|e| format!("{key}: {e}"))?;
        }
        self.options.over_job(self.command.clone(), &base, around)
    }
}

/// Returns what the library says, without its usage.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn split(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').ok_or_else(|| format!("{:?} lacks a value; write it as priority=5", values::shorten(text)))
}

/// Parses changes that [`Change`] has; `None`: there are others.
fn parse_simple(changes: &[String], now: &jiff::Zoned) -> Option<Result<Change, String>> {
    let is_simple = |text: &String| split(text).map_or(true, |(key, _)| SIMPLE.contains(&key));
    changes.iter().all(is_simple).then(|| parse_changes(changes, now))
}

/// The keys of [`Change`].
const SIMPLE: [&str; 8] = ["priority", "queue", "delay", "at", "expires", "timeout", "retries", "label"];

fn parse_changes(changes: &[String], now: &jiff::Zoned) -> Result<Change, String> {
    let mut change = Change::default();
    for text in changes {
        let (key, value) = split(text)?;
        apply(&mut change, key, value, now).map_err(|e| format!("{}: {e}", values::shorten(key)))?;
    }
    Ok(change)
}

fn apply(change: &mut Change, key: &str, value: &str, now: &jiff::Zoned) -> Result<(), String> {
    let number = |what: &str| format!("{:?} is not a {what}; write {key}=5", values::shorten(value));
    match key {
        "priority" => change.priority = Some(value.parse().map_err(|_| number("number"))?),
        "queue" => change.queue = Some(values::parse_name(value)?),
        "label" if value.is_empty() => change.label = Some(None),
        "label" => change.label = Some(Some(values::parse_label(value)?)),
        "delay" => change.available_at = Some(due(units::parse_duration(value)?, now)),
        "at" => change.available_at = Some(time::parse_instant(value, now)?),
        "expires" if value == "none" => change.expires_at = Some(None),
        "expires" => {
            let at = time::parse_deadline(value, now)?;
            if at <= now.timestamp().as_millisecond() {
                return Err(format!("{:?} is in the past; give a time in the future, or none", values::shorten(value)));
            }
            change.expires_at = Some(Some(at));
        }
        "timeout" if value == "none" => change.timeout_ms = Some(None),
        "timeout" => change.timeout_ms = Some(Some(units::parse_duration(value)?).filter(|ms| *ms > 0)),
        "retries" => {
            let retries: u32 = value.parse().map_err(|_| number("number of retries"))?;
            change.max_attempts = Some(check::attempts_of(retries)?);
        }
        other => return Err(format!("it cannot be set; what can: {}{}", SIMPLE.join(", "), nearest::question(other, SIMPLE))),
    }
    Ok(())
}

fn due(delay_ms: u64, now: &jiff::Zoned) -> i64 {
    if delay_ms == 0 { 0 } else { now.timestamp().as_millisecond().saturating_add_unsigned(delay_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(changes: &[&str]) -> Result<Change, String> {
        parse_changes(&changes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), &time::here(1_000))
    }

    #[test]
    fn each_key_changes_its_own() {
        let change = parse(&["priority=-5", "queue=q", "label=a=b", "delay=10s", "timeout=1h", "retries=2"]).unwrap();
        assert_eq!((change.priority, change.queue.as_deref(), change.available_at), (Some(-5), Some("q"), Some(11_000)));
        assert_eq!(
            (change.label, change.timeout_ms, change.max_attempts),
            (Some(Some("a=b".into())), Some(Some(3_600_000)), Some(3))
        );
        let change = parse(&["label=", "timeout=none", "delay=0s"]).unwrap();
        assert_eq!((change.label, change.timeout_ms, change.available_at), (Some(None), Some(None), Some(0)));
    }

    #[test]
    fn nonsense_is_refused_with_the_key() {
        for text in [
            "priority",
            "priority=x",
            "queue=",
            "colour=red",
            "delay=5",
            "timeout=",
            "retries=-1",
            "retries=4294967295",
            "=x",
            "\x1b=1",
        ] {
            let error = parse(&[text]).unwrap_err();
            assert!(!error.is_empty(), "{text}");
        }
    }
}
