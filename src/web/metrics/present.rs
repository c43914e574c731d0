//! What is so now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::label::{Labels, OTHER, QUEUES_MAX, labels};
use crate::document::picture::Picture;
use crate::job::Advice;
use crate::store::job::measure::Tally;
use crate::web::app::App;
use crate::web::limits::FOLLOWERS_MAX;

type Gauges = Family<Labels, Gauge<i64, AtomicI64>>;

fn one(registry: &mut Registry, name: &str, help: &str, value: impl TryInto<i64>) {
    registry.register(name, help, ConstGauge::new(value.try_into().unwrap_or(i64::MAX)));
}

fn total(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

/// Jobs by queue, state and hold.
pub fn jobs(registry: &mut Registry, tallies: &[Tally]) {
    let mut queues: Vec<&str> = tallies.iter().map(|one| one.queue.as_str()).collect();
    queues.dedup();
    let mut sums: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
    for one in tallies {
        let is_named = queues.iter().take(QUEUES_MAX).any(|queue| *queue == one.queue);
        let queue = if is_named { one.queue.as_str() } else { OTHER };
        *sums.entry((queue, &one.state, &one.hold)).or_insert(0) += one.n;
    }
    let family = Gauges::default();
    for ((queue, state, hold), n) in sums {
        family.get_or_create(&labels(&[("queue", queue), ("state", state), ("hold", hold)])).set(n);
    }
    registry.register("jobs", "Jobs by queue, state and what holds them", family);
}

/// What `tenure status` shows.
pub fn picture(registry: &mut Registry, picture: &Picture, problems: &[Advice]) {
    let acts = Family::<Labels, Counter<u64, AtomicU64>>::default();
    for counter in &picture.counters {
        let n = u64::try_from(counter.n).unwrap_or(0);
        acts.get_or_create(&labels(&[("act", counter.name.trim_end_matches("_total"))])).inc_by(n);
    }
    registry.register("reaper_acts", "What the reaper has done with this file: adopted, lost, impossible and more", acts);
    let told = Gauges::default();
    problems.iter().for_each(|one| _ = told.get_or_create(&labels(&[("code", &one.code)])).inc());
    registry.register("problems", "Problems that tenure status shows, by code", told);
    let tasks = Gauges::default();
    picture.tasks.iter().for_each(|(state, n)| _ = tasks.get_or_create(&labels(&[("state", &state.to_string())])).set(*n));
    registry.register("tasks", "Tasks of pipelines, by state", tasks);
    let resources = Gauges::default();
    for (state, n) in [("held", picture.resources.held), ("releasing", picture.resources.releasing)] {
        resources.get_or_create(&labels(&[("state", state)])).set(n);
    }
    registry.register("resources", "External resources that are not torn down", resources);
    let hooks = Gauges::default();
    for (state, n) in [("open", picture.hooks.open), ("failing", picture.hooks.failing)] {
        hooks.get_or_create(&labels(&[("state", state)])).set(n);
    }
    registry.register("hooks", "Hooks that are to run, and those of them that have failed", hooks);
    one(registry, "teardowns_failing", "Resources whose teardown fails again and again", picture.resources.failing.len());
    one(registry, "suspended_jobs", "Running jobs that are suspended", picture.suspended);
    one(registry, "leases", "Leases that are held", picture.leases.len());
    one(registry, "schedules", "Schedules", picture.schedules.count);
    one(registry, "stuck_runs", "Runs that are over and cannot be settled", picture.stuck.len());
    one(registry, "workspaces_bytes", "Size of all workspaces", picture.workspaces.bytes);
    one(registry, "wal_bytes", "Size of the write-ahead log", picture.health.wal_bytes);
    if let (Some(free), Some(all)) = (picture.machine.disk_free_bytes, picture.machine.disk_total_bytes) {
        one(registry, "disk_free_bytes", "Free space of the file's disk", free);
        one(registry, "disk_bytes", "Size of the file's disk", all);
    }
    let oldest_ms = picture.oldest_ready_ms.map_or(0, |at| picture.now_ms.saturating_sub(at).max(0));
    one(registry, "oldest_ready_seconds", "Age of the oldest job that is ready; 0: none is", oldest_ms / 1_000);
}

/// The worker, and this process.
pub fn processes(registry: &mut Registry, app: &App, picture: &Picture) {
    one(registry, "worker_up", "1: the file has a worker", i64::from(picture.worker.is_some()));
    one(registry, "slots_busy", "Slots that running jobs take", picture.counts.slots_taken);
    if let Some(worker) = &picture.worker {
        one(registry, "slots", "Slots of the worker", worker.slots());
        let seconds = |ms: Option<u64>| ms.map(|ms| ms / 1_000);
        for (name, help, ago) in [
            ("claims_ago_seconds", "Time since the worker last looked for jobs", seconds(worker.claims_ago_ms)),
            ("reaper_ago_seconds", "Time since the last round of the reaper", seconds(worker.reaper_ago_ms)),
        ] {
            ago.into_iter().for_each(|seconds| one(registry, name, help, seconds));
        }
        if worker.holder.is_here() {
            let open = std::fs::read_dir(format!("/proc/{}/fd", worker.holder.pid)).map(Iterator::count);
            open.into_iter().for_each(|n| one(registry, "worker_open_files", "Descriptors of the worker", n));
        }
        if let Some(report) = &worker.report {
            one(registry, "worker_open_files_max", "Descriptors that the worker may have", report.open_files_max);
        }
    }
    let tally = &app.tally;
    one(registry, "web_connections", "Connections of the web server", tally.connections.load(Ordering::Relaxed));
    one(registry, "web_followers", "Clients that follow the events", FOLLOWERS_MAX - app.followers.available_permits());
    total(registry, "web_requests", "Requests to the web server", tally.requests.load(Ordering::Relaxed));
    total(
        registry,
        "web_turned_away",
        "Connections and requests that were turned away",
        tally.turned_away.load(Ordering::Relaxed),
    );
    let own = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    own.into_iter().for_each(|n| one(registry, "web_open_files", "Descriptors of the process of the web server", n));
}
