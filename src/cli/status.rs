//! `tenure status`, also with no verb: how things stand, and what is wrong. Counts are kept in the file, so this counts nothing.

use serde_json::{Value, json};

use super::face::{self, Face};
use super::problems::{self, Problem};
use super::worker_calls::{self, Holder, Machine};
use super::{escape, json, lane, queue, time};
use crate::error::{Result, exit};
use crate::job::TaskState;
use crate::store::read::{self, Counts};
use crate::store::rows::{Counter, LaneRow, QueueRow};
use crate::store::{Health, Store, task_rows};
use crate::units::size_text;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Refuse (exit code 5) when there is no worker
    #[arg(long)]
    pub need_worker: bool,
}

/// Everything that is told.
pub struct Picture {
    pub counts: Counts,
    pub queues: Vec<QueueRow>,
    pub lanes: Vec<LaneRow>,
    /// Tasks, by state.
    pub tasks: Vec<(TaskState, i64)>,
    pub counters: Vec<Counter>,
    /// When the oldest ready job was added, in milliseconds UTC.
    pub oldest_ready_ms: Option<i64>,
    pub worker: Option<Holder>,
    pub machine: Machine,
    pub health: Health,
    pub blocked: Option<crate::store::Blocked>,
    pub now_ms: i64,
}

impl Picture {
    /// Looks at the file, its worker and the machine.
    pub fn take(face: &Face, store: &Store) -> Result<Self> {
        let (counts, queues, lanes, counters, oldest_ready_ms) = store.read(|conn| {
            let counts = read::counts(conn)?;
            Ok((counts, read::queues(conn)?, read::lanes(conn)?, read::counters(conn)?, read::oldest_ready_ms(conn)?))
        })?;
        Ok(Self {
            counts,
            queues,
            lanes,
            tasks: store.read(task_rows::counts)?,
            counters,
            oldest_ready_ms,
            worker: worker_calls::look(store.place())?,
            machine: worker_calls::machine(store.place()),
            health: store.health(),
            blocked: crate::store::read_blocked(store.place()),
            now_ms: face.now_ms(),
        })
    }

    /// Queued jobs that nothing holds.
    pub fn ready(&self) -> i64 {
        self.counts.queued - self.counts.held.iter().map(|(_, n)| n).sum::<i64>()
    }
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.reader()?;
    if args.need_worker {
        worker_calls::need(store.place())?;
    }
    let picture = Picture::take(face, &store)?;
    let problems = problems::of(&picture, why_gate(face, &store));
    if face.json {
        face.document(document(&picture, &problems))?;
    } else {
        face::print(&for_people(&picture, &problems, &store, &face.now()))?;
    }
    Ok(exit::OK)
}

fn why_gate(face: &Face, store: &Store) -> Option<super::obstacles::Gate> {
    super::why::gate(&face.settings, store.place())
}

fn document(picture: &Picture, problems: &[Problem]) -> Value {
    let counts = &picture.counts;
    let held: serde_json::Map<String, Value> =
        crate::job::Hold::ALL.iter().map(|hold| (hold.to_string(), held_by(counts, *hold).into())).collect();
    json!({
        "counts": {"queued": counts.queued, "running": counts.running, "done": counts.done, "failed": counts.failed,
                   "cancelled": counts.cancelled, "ready": picture.ready(), "held": held},
        "oldest_ready_at": picture.oldest_ready_ms.map(time::utc),
        "queues": picture.queues.iter().map(json::queue).collect::<Vec<_>>(),
        "lanes": picture.lanes.iter().map(json::lane).collect::<Vec<_>>(),
        "tasks": picture.tasks.iter().map(|(state, n)| (state.to_string(), (*n).into())).collect::<serde_json::Map<_, Value>>(),
        "worker": picture.worker.as_ref().map(|worker| worker_json(worker, counts.running)),
        "reaper": reaper(&picture.counters),
        "leases": [],
        "resources": [],
        "disk": {"free_bytes": picture.machine.disk_free_bytes, "total_bytes": picture.machine.disk_total_bytes},
        "wal_bytes": picture.health.wal_bytes,
        "problems": problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
    })
}

fn held_by(counts: &Counts, by: crate::job::Hold) -> i64 {
    counts.held.iter().filter(|(hold, _)| *hold == by).map(|(_, n)| n).sum()
}

fn worker_json(worker: &Holder, running: i64) -> Value {
    json!({"pid": worker.pid, "instance": worker.instance, "kind": worker.kind, "since": time::utc(worker.since_ms),
           "slots": worker.slots, "busy": running})
}

/// The totals that are always there, and each tier and sweep that has acted.
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

fn for_people(picture: &Picture, problems: &[Problem], store: &Store, now: &jiff::Zoned) -> String {
    let counts = &picture.counts;
    let mut text = format!("file    {}\n", escape::line(&store.place().db().to_string_lossy()));
    text += &match &picture.worker {
        None => "worker  none\n".to_owned(),
        Some(worker) => format!(
            "worker  pid {} ({}) since {}, {} of {} slots busy\n",
            worker.pid,
            escape::line(&worker.kind),
            time::local(worker.since_ms, now),
            counts.running,
            worker.slots
        ),
    };
    text += &format!("jobs    {} running, {} ready{}\n", counts.running, picture.ready(), held_text(counts));
    text += &format!("        {} done, {} failed, {} cancelled\n", counts.done, counts.failed, counts.cancelled);
    if picture.tasks.iter().any(|(_, n)| *n > 0) {
        let counts: Vec<String> = picture.tasks.iter().map(|(state, n)| format!("{n} {state}")).collect();
        text += &format!("tasks   {}\n", counts.join(", "));
    }
    if let Some(at) = picture.oldest_ready_ms {
        text += &format!("oldest  ready job waits for {}\n", time::between(at, picture.now_ms));
    }
    if let (Some(free), Some(total)) = (picture.machine.disk_free_bytes, picture.machine.disk_total_bytes) {
        text += &format!(
            "disk    {} of {} free; log of changes {}\n",
            size_text(free),
            size_text(total),
            size_text(picture.health.wal_bytes)
        );
    }
    text += &format!("reaper  {}\n", reaper_text(&picture.counters));
    text += &section(&queue::for_people(&picture.queues), picture.queues.is_empty());
    text += &section(&lane::for_people(&picture.lanes), picture.lanes.is_empty());
    for problem in problems {
        text += &format!("\nproblem: {}\n", escape::line(&problem.text));
        if let Some(remedy) = &problem.remedy {
            text += &format!("    {}\n", escape::line(remedy));
        }
    }
    text
}

pub fn held_text(counts: &Counts) -> String {
    let held: Vec<String> = counts.held.iter().filter(|(_, n)| *n > 0).map(|(hold, n)| format!("{n} by {hold}")).collect();
    if held.is_empty() { String::new() } else { format!(", held: {}", held.join(", ")) }
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
        let document = document(&picture(), &[]);
        let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["counts", "queues", "lanes", "worker", "reaper", "leases", "resources", "disk", "wal_bytes", "problems"] {
            assert!(keys.contains(&key), "{key}");
        }
        assert_eq!(
            document["counts"]["held"],
            json!({"user": 0, "task": 0, "dependency": 0, "resource": 0, "time": 0, "lane": 2})
        );
        assert_eq!(document["counts"]["ready"], 3);
        assert_eq!(document["worker"]["busy"], 1);
        assert_eq!(document["reaper"]["adopted_total"], 3);
        assert_eq!(document["reaper"]["lost_total"], 0);
        assert_eq!(document["reaper"]["acts"]["adopted_total"]["last_at"], "1970-01-01T00:00:01.000Z");
    }
}
