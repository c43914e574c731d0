//! `tenure status`, the default command: an overview, and problems. The file maintains the counts,
//! so this counts nothing.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::time;
use crate::cli::verbs::lease;
use crate::cli::verbs::{lane, pool, queue};
use crate::cli::view::escape;
use crate::cli::view::table::{count, held_text};
use crate::cli::worker_options;
use crate::document::picture::{Picture, Workspaces};
use crate::document::{problems, status};
use crate::error::{Result, exit};
use crate::job::Advice;
use crate::queue::why::worker_words;
use crate::store::Store;
use crate::store::job::counted::Counter;
use crate::store::schedule::Summary;
use crate::units::size_text;

/// The exit code of `--check` if no worker is running.
const NO_WORKER: u8 = 2;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Fail with exit code 5 if no worker is running
    #[arg(long)]
    pub need_worker: bool,
    /// Exit with 1 for a problem, with 2 without a worker
    #[arg(long, conflicts_with = "need_worker")]
    pub check: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.reader()?;
    if args.need_worker {
        face::need_worker(store.place())?;
    }
    let picture = Picture::take(&store, face.settings.workspace_max_size_bytes.value)?;
    let problems = problems::of(
        &picture,
        crate::queue::why::around::gate(&worker_options::floors(&face.settings), store.place(), picture.worker.as_ref()),
    );
    if face.json {
        face.document(status::document(&picture, &problems, store.place()))?;
    } else {
        face::print(&for_people(&picture, &problems, &store, face))?;
    }
    Ok(if args.check { health(&picture, &problems) } else { exit::OK })
}

/// The exit code for monitoring.
fn health(picture: &Picture, problems: &[Advice]) -> u8 {
    match (&picture.worker, problems) {
        (None, _) => NO_WORKER,
        (Some(_), []) => exit::OK,
        _ => exit::FAILED,
    }
}

fn for_people(picture: &Picture, problems: &[Advice], store: &Store, face: &Face) -> String {
    let (now, columns) = (&face.now(), face.columns);
    let counts = &picture.counts;
    let mut text = format!("file    {}\n", escape::line(&store.place().db().to_string_lossy()));
    text += &match &picture.worker {
        None => "worker  none\n".to_owned(),
        Some(worker) if worker.holder.pid == 0 => "worker  is starting, and has not identified itself yet\n".to_owned(),
        Some(worker) => format!(
            "worker  {} ({}) since {}, {} of {} slots busy{}{}\n",
            escape::line(&worker.holder.named()),
            escape::line(&worker.holder.kind),
            time::local(worker.holder.since_ms, now),
            counts.slots_taken,
            worker.slots(),
            worker.slots_from().map(slots_from).unwrap_or_default(),
            worker_words::state(worker)
        ),
    };
    let suspended = if picture.suspended > 0 { format!(" ({} suspended)", picture.suspended) } else { String::new() };
    text += &format!("jobs    {} running{suspended}, {} ready{}\n", counts.running, picture.ready(), held_text(counts));
    text += &format!("        {} done, {} failed, {} cancelled\n", counts.done, counts.failed, counts.cancelled);
    if picture.tasks.iter().any(|(_, n)| *n > 0) {
        let counts: Vec<String> = picture.tasks.iter().map(|(state, n)| format!("{n} {state}")).collect();
        text += &format!("tasks   {}\n", counts.join(", "));
    }
    if let Some(at) = picture.oldest_ready_ms {
        text += &format!("oldest  ready job waits for {}\n", time::between(at, picture.now_ms));
    }
    if picture.resources.held + picture.resources.releasing > 0 {
        text += &format!("outside {} held, {} being torn down\n", picture.resources.held, picture.resources.releasing);
    }
    if picture.schedules.count > 0 {
        text += &format!("cron    {}\n", schedules_text(&picture.schedules, now));
    }
    if let (Some(free), Some(total)) = (picture.machine.disk_free_bytes, picture.machine.disk_total_bytes) {
        text += &format!(
            "disk    {} of {} free; write-ahead log {}\n",
            size_text(free),
            size_text(total),
            size_text(picture.health.wal_bytes)
        );
    }
    if picture.workspaces.count > 0 {
        text += &workspaces_text(&picture.workspaces);
    }
    if let Some((by, why)) = &picture.memory {
        text += &format!("memory  --memory is kept by {by}: {}\n", escape::line(why));
    }
    text += &format!("reaper  {}\n", reaper_text(&picture.counters));
    text += &section(&queue::for_people(&picture.queues, columns), picture.queues.is_empty());
    // The lane of an array is of no interest once its jobs have ended.
    let lanes: Vec<_> = picture.lanes.iter().filter(|lane| !lane.of_array || lane.running + lane.waiting > 0).cloned().collect();
    text += &section(&lane::for_people(&lanes, columns), lanes.is_empty());
    text += &section(&pool::for_people(&picture.pools, columns), picture.pools.is_empty());
    text += &section(&lease::for_people(&picture.leases, now, columns), picture.leases.is_empty());
    for problem in problems {
        text += &format!("\nproblem: {}\n", escape::line(&problem.text));
        if let Some(remedy) = &problem.remedy {
            text += &format!("    {}\n", escape::line(remedy));
        }
    }
    text
}

fn workspaces_text(all: &Workspaces) -> String {
    let most = all.max_bytes.map(|most| format!(" of at most {}", size_text(most))).unwrap_or_default();
    let text = count(i64::try_from(all.count).unwrap_or(i64::MAX), "workspace", "", "");
    format!("spaces  {text}, {} in use, {}{most}\n", all.in_use, size_text(all.bytes))
}

/// The source of the number of slots, for a person who wonders why it is not that of the worker's
/// start.
fn slots_from(from: &str) -> String {
    match from {
        "default" => " (one for each CPU)".to_owned(),
        other => format!(" (set by {})", escape::line(other)),
    }
}

fn schedules_text(schedules: &Summary, now: &jiff::Zoned) -> String {
    let paused = if schedules.paused > 0 { format!(", {} paused", schedules.paused) } else { String::new() };
    let next = schedules.next.as_ref().map_or_else(
        || "no occurrence to come".to_owned(),
        |(at, name)| format!("next occurrence {}, of {}", time::local(*at, now), escape::line(name)),
    );
    format!("{}{paused}; {next}", count(schedules.count, "schedule", "", ""))
}

fn reaper_text(counters: &[Counter]) -> String {
    let acts: Vec<String> = counters.iter().map(|c| format!("{} {}", escape::line(&c.name), c.n)).collect();
    if acts.is_empty() { "had nothing to do yet".to_owned() } else { acts.join(", ") }
}

fn section(text: &str, is_empty: bool) -> String {
    if is_empty { String::new() } else { format!("\n{text}") }
}
