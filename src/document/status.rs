//! The overview of a file: `tenure status --json`.

use serde_json::{Value, json};

use super::picture::Picture;
use super::{lease, shapes};
use crate::clock::rfc3339 as utc;
use crate::host::sight::Sight;
use crate::job::Advice;
use crate::place::Place;
use crate::store::job::counted::Counter;
use crate::store::job::read::Counts;
use crate::store::schedule::Summary;

/// Everything that `status` shows, without its `schema`.
pub fn document(picture: &Picture, problems: &[Advice], place: &Place) -> Value {
    let counts = &picture.counts;
    let held: serde_json::Map<String, Value> =
        crate::job::Hold::ALL.iter().map(|hold| (hold.to_string(), held_by(counts, *hold).into())).collect();
    json!({
        "counts": {"queued": counts.queued, "running": counts.running, "suspended": picture.suspended, "done": counts.done, "failed": counts.failed,
                   "cancelled": counts.cancelled, "ready": picture.ready(), "held": held,
                   "resources": {"held": picture.resources.held, "releasing": picture.resources.releasing}},
        "oldest_ready_at": picture.oldest_ready_ms.map(utc),
        "queues": picture.queues.iter().map(shapes::queue).collect::<Vec<_>>(),
        "all_paused_at": picture.all_paused_at.map(utc),
        "lanes": picture.lanes.iter().map(shapes::lane).collect::<Vec<_>>(),
        "pools": picture.pools.iter().map(shapes::pool).collect::<Vec<_>>(),
        "schedules": schedules(&picture.schedules),
        "tasks": picture.tasks.iter().map(|(state, n)| (state.to_string(), (*n).into())).collect::<serde_json::Map<_, Value>>(),
        "worker": picture.worker.as_ref().map(|worker| worker_json(worker, counts.slots_taken)),
        "reaper": reaper(&picture.counters),
        "failures": {"jobs": picture.failures.jobs, "latest": picture.failures.latest, "hooks": picture.failures.hooks},
        "hooks": {"open": picture.hooks.open, "failing": picture.hooks.failing},
        "leases": picture.leases.iter().map(lease::document).collect::<Vec<_>>(),
        "workspaces": {"count": picture.workspaces.count, "in_use": picture.workspaces.in_use, "bytes": picture.workspaces.bytes,
                       "max_bytes": picture.workspaces.max_bytes},
        "resources": picture.live.iter().map(|one| shapes::resource(one, place)).collect::<Vec<_>>(),
        "disk": {"free_bytes": picture.machine.disk_free_bytes, "total_bytes": picture.machine.disk_total_bytes},
        "memory": picture.memory.as_ref().map(|(by, why)| json!({"by": by, "why": why})),
        "wal_bytes": picture.health.wal_bytes,
        "problems": problems.iter().map(shapes::advice).collect::<Vec<_>>(),
    })
}

fn schedules(schedules: &Summary) -> Value {
    let (at, name) = schedules.next.clone().unzip();
    json!({"count": schedules.count, "paused": schedules.paused, "next_at": at.map(utc), "next": name})
}

fn held_by(counts: &Counts, by: crate::job::Hold) -> i64 {
    counts.held.iter().filter(|(hold, _)| *hold == by).map(|(_, n)| n).sum()
}

fn worker_json(worker: &Sight, busy: i64) -> Value {
    let (holder, report) = (&worker.holder, worker.report.as_ref());
    json!({"pid": holder.pid, "instance": holder.instance, "kind": holder.kind, "since": utc(holder.since_ms),
           "slots": worker.slots(), "slots_from": worker.slots_from(), "busy": busy, "host": holder.host, "here": holder.is_here(),
           "stopped": matches!(worker.process, crate::host::sight::Process::Stopped),
           "phase": report.map(|report| report.phase), "queues": report.map(|report| &report.queues),
           "only": report.and_then(|report| report.only), "open_files_max": report.map(|report| report.open_files_max),
           "claims_ago_ms": worker.claims_ago_ms, "reaper_ago_ms": worker.reaper_ago_ms,
           "conditions": report.map(|report| report.conditions.iter().map(condition).collect::<Vec<_>>())})
}

fn condition(one: &crate::host::report::Condition) -> Value {
    json!({"code": one.advice.code, "text": one.advice.text, "remedy": one.advice.remedy, "holds_claims": one.holds_claims,
           "since": utc(one.since_ms)})
}

/// The counters of the reaper: the totals that are always present, and each tier and sweep that has
/// acted.
pub fn reaper(counters: &[Counter]) -> Value {
    let mut reaper = serde_json::Map::new();
    for name in ["impossible_total", "adopted_total", "lost_total"] {
        reaper.insert(name.to_owned(), 0.into());
    }
    for counter in counters {
        reaper.insert(counter.name.clone(), counter.n.into());
    }
    let acts = counters.iter().map(|counter| {
        let act = json!({"n": counter.n, "last_at": counter.last_at.map(utc), "note": counter.note});
        (counter.name.clone(), act)
    });
    reaper.insert("acts".to_owned(), Value::Object(acts.collect()));
    Value::Object(reaper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture::picture;

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
