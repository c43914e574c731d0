//! `tenure status`, the default command: an overview, and problems. The file maintains the counts,
//! so this counts nothing.

use serde_json::{Value, json};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::time;
use crate::cli::picture::Picture;
use crate::cli::verbs::lease;
use crate::cli::verbs::{lane, pool, queue};
use crate::cli::view::problems;
use crate::cli::view::table::{count, held_text};
use crate::cli::view::{escape, json};
use crate::cli::worker_options;
use crate::error::{Result, exit};
use crate::host::sight::Sight;
use crate::job::Advice;
use crate::place::Place;
use crate::queue::why::worker_words;
use crate::store::Store;
use crate::store::job::counted::Counter;
use crate::store::job::read::Counts;
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
    let picture = Picture::take(face, &store)?;
    let problems = problems::of(
        &picture,
        crate::queue::why::around::gate(&worker_options::floors(&face.settings), store.place(), picture.worker.as_ref()),
    );
    if face.json {
        face.document(document(&picture, &problems, store.place()))?;
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

fn document(picture: &Picture, problems: &[Advice], place: &Place) -> Value {
    let counts = &picture.counts;
    let held: serde_json::Map<String, Value> =
        crate::job::Hold::ALL.iter().map(|hold| (hold.to_string(), held_by(counts, *hold).into())).collect();
    json!({
        "counts": {"queued": counts.queued, "running": counts.running, "suspended": picture.suspended, "done": counts.done, "failed": counts.failed,
                   "cancelled": counts.cancelled, "ready": picture.ready(), "held": held,
                   "resources": {"held": picture.resources.held, "releasing": picture.resources.releasing}},
        "oldest_ready_at": picture.oldest_ready_ms.map(time::utc),
        "queues": picture.queues.iter().map(json::queue).collect::<Vec<_>>(),
        "all_paused_at": picture.all_paused_at.map(time::utc),
        "lanes": picture.lanes.iter().map(json::lane).collect::<Vec<_>>(),
        "pools": picture.pools.iter().map(json::pool).collect::<Vec<_>>(),
        "schedules": schedules(&picture.schedules),
        "tasks": picture.tasks.iter().map(|(state, n)| (state.to_string(), (*n).into())).collect::<serde_json::Map<_, Value>>(),
        "worker": picture.worker.as_ref().map(|worker| worker_json(worker, counts.slots_taken)),
        "reaper": reaper(&picture.counters),
        "failures": {"jobs": picture.failures.jobs, "latest": picture.failures.latest, "hooks": picture.failures.hooks},
        "hooks": {"open": picture.hooks.open, "failing": picture.hooks.failing},
        "leases": picture.leases.iter().map(lease::to_json).collect::<Vec<_>>(),
        "workspaces": {"count": picture.workspaces.count, "in_use": picture.workspaces.in_use, "bytes": picture.workspaces.bytes,
                       "max_bytes": picture.workspaces.max_bytes},
        "resources": picture.live.iter().map(|one| json::resource(one, place)).collect::<Vec<_>>(),
        "disk": {"free_bytes": picture.machine.disk_free_bytes, "total_bytes": picture.machine.disk_total_bytes},
        "memory": picture.memory.as_ref().map(|(by, why)| json!({"by": by, "why": why})),
        "wal_bytes": picture.health.wal_bytes,
        "problems": problems.iter().map(json::advice).collect::<Vec<_>>(),
    })
}

fn schedules(schedules: &Summary) -> Value {
    let (at, name) = schedules.next.clone().unzip();
    json!({"count": schedules.count, "paused": schedules.paused, "next_at": at.map(time::utc), "next": name})
}

fn held_by(counts: &Counts, by: crate::job::Hold) -> i64 {
    counts.held.iter().filter(|(hold, _)| *hold == by).map(|(_, n)| n).sum()
}

fn worker_json(worker: &Sight, busy: i64) -> Value {
    let (holder, report) = (&worker.holder, worker.report.as_ref());
    json!({"pid": holder.pid, "instance": holder.instance, "kind": holder.kind, "since": time::utc(holder.since_ms),
           "slots": worker.slots(), "slots_from": worker.slots_from(), "busy": busy, "host": holder.host, "here": holder.is_here(),
           "stopped": matches!(worker.process, crate::host::sight::Process::Stopped),
           "phase": report.map(|report| report.phase), "queues": report.map(|report| &report.queues),
           "only": report.and_then(|report| report.only), "open_files_max": report.map(|report| report.open_files_max),
           "claims_ago_ms": worker.claims_ago_ms, "reaper_ago_ms": worker.reaper_ago_ms,
           "conditions": report.map(|report| report.conditions.iter().map(condition).collect::<Vec<_>>())})
}

fn condition(one: &crate::host::report::Condition) -> Value {
    json!({"code": one.advice.code, "text": one.advice.text, "remedy": one.advice.remedy, "holds_claims": one.holds_claims,
           "since": time::utc(one.since_ms)})
}

/// The totals that are always present, and each tier and sweep that has acted.
fn reaper(counters: &[Counter]) -> Value {
    let mut reaper = serde_json::Map::new();
    for name in ["impossible_total", "adopted_total", "lost_total"] {
        reaper.insert(name.to_owned(), 0.into());
    }
    for counter in counters {
        reaper.insert(counter.name.clone(), counter.n.into());
    }
    let acts = counters.iter().map(|counter| {
        let act = json!({"n": counter.n, "last_at": counter.last_at.map(time::utc), "note": counter.note});
        (counter.name.clone(), act)
    });
    reaper.insert("acts".to_owned(), Value::Object(acts.collect()));
    Value::Object(reaper)
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
        text += &picture.workspaces.for_people();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture::picture;

    #[test]
    fn the_document_has_the_keys_of_the_contract() {
        let document = document(&picture(), &[], &Place::new("/q.db".into()));
        let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        for key in
            ["counts", "queues", "lanes", "schedules", "worker", "reaper", "leases", "resources", "disk", "wal_bytes", "problems"]
        {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(
            document["counts"]["held"],
            json!({"user": 0, "task": 0, "dependency": 0, "resource": 0, "time": 0, "slots": 0, "pool": 0, "lane": 2})
        );
        assert_eq!(document["counts"]["ready"], 3);
        assert_eq!(document["worker"]["busy"], 1);
        assert_eq!(document["reaper"]["adopted_total"], 3);
        assert_eq!(document["reaper"]["lost_total"], 0);
        assert_eq!(document["reaper"]["acts"]["adopted_total"]["last_at"], "1970-01-01T00:00:01.000Z");
    }
}
