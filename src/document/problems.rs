//! Problems, as far as a quick check finds them. Pure; `doctor` checks more.

use super::picture::{Picture, Workspaces};
use crate::clock as time;
use crate::escape;
use crate::job::{Advice, Hold, JobId, RunId};
use crate::queue::why::over as run_over;
use crate::queue::why::{resource_words as words, worker_words};
use crate::store::engine::locks::Holder;
use crate::store::job::counted::QueueRow;
use crate::store::job::failures::COUNTED_MAX;
use crate::store::job::read::Counts;
use crate::units::{count, size_text};

/// Size of the write-ahead log above which a problem is reported, in bytes.
const WAL_LARGE_BYTES: u64 = 64 << 20;
/// Free space below which a problem is reported, in bytes.
const DISK_LOW_BYTES: u64 = 512 << 20;

/// Returns the problems in this picture.
pub fn of(picture: &Picture, gate: Option<Advice>) -> Vec<Advice> {
    let mut all = Vec::new();
    match &picture.standing {
        Some(place) if place.is_refused => {}
        _ => {
            all.extend(no_worker(picture));
            all.extend((picture.over > 0).then(|| Advice::with_remedy("run_over", run_over::words(picture.over), "tenure work")));
        }
    }
    all.extend(picture.standing.as_ref().map(|place| place.advice.clone()));
    all.extend(of_failures(picture));
    all.extend(of_resources(picture));
    all.extend(of_the_file(picture));
    all.extend(of_the_disk(picture));
    all.extend(gate);
    let of_worker = picture.worker.iter().flat_map(|worker| worker_words::of_file(worker, picture.ready(), &picture.queues));
    all.extend(of_worker);
    all.extend(picture.stuck.iter().map(|(run, job, why)| stuck(*run, *job, why)));
    all.extend(too_large(&picture.workspaces));
    all.extend(too_wide(&picture.counts));
    if let Some(at) = picture.all_paused_at {
        let text = format!("all queues are paused for {}: no job starts", time::between(at, picture.now_ms));
        all.push(Advice::with_remedy("all_paused", text, "tenure resume"));
    }
    all.extend(picture.queues.iter().filter_map(paused));
    for (name, error) in &picture.schedules.errors {
        let [history, rm] = ["tenure schedule history", "tenure schedule rm"].map(|verb| escape::command_on(verb, name, ""));
        let remedy = format!("{history}; {rm}, and add it again");
        all.push(Advice::with_remedy("schedule_failed", format!("schedule {name:?} could not make its job: {error}"), &remedy));
    }
    all
}

/// A queue that a person paused is a problem if jobs wait in it; one that a failure has paused, in
/// any case.
fn paused(queue: &QueueRow) -> Option<Advice> {
    let waiting = queue.ready + queue.waiting;
    if !queue.paused || (waiting == 0 && queue.paused_by.is_none()) {
        return None;
    }
    let remedy = escape::command_on("tenure queue resume", &queue.name, "");
    let because = queue.paused_by.map(|job| format!(" because job {job} failed")).unwrap_or_default();
    let text = format!("queue {:?} is paused{because}, and {} in it", queue.name, count(waiting, "job", "waits", "wait"));
    Some(Advice::with_remedy("queue_paused", text, &remedy))
}

/// Describes a run that cannot end.
pub fn stuck(run: RunId, job: Option<JobId>, noted: &str) -> Advice {
    let whose = job.map_or_else(String::new, |job| format!(" of job {job}"));
    let (what, remedy) = crate::queue::why::obstacles::trouble(noted);
    Advice::new("stuck", format!("run {run}{whose}: {what}"), remedy)
}

/// The worker evicts those that no run is in; a total above the limit for long means that they are
/// in use.
fn too_large(workspaces: &Workspaces) -> Option<Advice> {
    let most = workspaces.max_bytes.filter(|most| workspaces.bytes > *most)?;
    let (takes, in_use) = (size_text(workspaces.bytes), workspaces.in_use);
    let text =
        format!("workspaces take {takes}, and the limit is {}; {in_use} of {} are in use", size_text(most), workspaces.count);
    Some(Advice::with_remedy("workspaces_large", text, "tenure workspace ls; raise max_size in [workspace] of the configuration"))
}

/// Describes jobs that take more slots than there are.
fn too_wide(counts: &Counts) -> Option<Advice> {
    let n: i64 = counts.held.iter().filter(|(hold, _)| *hold == Hold::Slots).map(|(_, n)| n).sum();
    let text = format!("{} more slots than the queue or the worker has", count(n, "job", "takes", "take"));
    (n > 0).then(|| {
        Advice::with_remedy(
            "too_wide",
            text,
            "tenure slots N, tenure queue set QUEUE --slots N, or tenure set ID slots=N; tenure why ID says which",
        )
    })
}

fn no_worker(picture: &Picture) -> Option<Advice> {
    if picture.worker.is_some() {
        return None;
    }
    let (ready, running) = (picture.ready(), picture.counts.running - picture.over);
    let (are_ready, run) = (count(ready, "job", "is ready", "are ready"), count(running, "job", "runs", "run"));
    let text = match (ready, running) {
        (0, 0) if picture.over > 0 => return None,
        (0, 0) => {
            let waiting = picture.schedules.count - picture.schedules.paused;
            let wait = count(waiting, "schedule", "waits", "wait");
            return (waiting > 0)
                .then(|| Advice::with_remedy("no_worker", format!("{wait} for a worker, and there is none"), "tenure work"));
        }
        (_, 0) => format!("{are_ready}, and there is no worker"),
        (0, _) => format!("{run} without a worker; the end is recorded when a worker starts"),
        _ => format!("there is no worker: {are_ready}, and {run}; the end is recorded when a worker starts"),
    };
    Some(Advice::with_remedy("no_worker", text, "tenure work"))
}

/// Describes failures that no person has looked at, and hooks that fail.
fn of_failures(picture: &Picture) -> Vec<Advice> {
    let mut all = Vec::new();
    let failures = &picture.failures;
    if failures.jobs > 0 {
        let least = if failures.jobs >= COUNTED_MAX { "at least " } else { "" };
        let ids: Vec<String> = failures.latest.iter().map(ToString::to_string).collect();
        let more = if failures.jobs > i64::try_from(ids.len()).unwrap_or(i64::MAX) { ", the latest" } else { "" };
        let text =
            format!("{least}{} not marked as seen{more}: {}", count(failures.jobs, "failed job", "is", "are"), ids.join(", "));
        all.push(Advice::with_remedy("failures", text, &format!("tenure show {}; tenure seen", ids.join(","))));
    }
    if failures.hooks > 0 {
        let least = if failures.hooks >= COUNTED_MAX { "at least " } else { "" };
        let text = format!("{least}{} given up and not marked as seen", count(failures.hooks, "hook", "was", "were"));
        all.push(Advice::with_remedy("hooks_given_up", text, "tenure show names them and their errors; tenure seen"));
    }
    if picture.hooks.failing > 0 {
        let text = format!("{} again and again, and will be tried again", count(picture.hooks.failing, "hook", "fails", "fail"));
        all.push(Advice::with_remedy("hooks_fail", text, "the log of the worker, and tenure show, name the error"));
    }
    if picture.worker.is_none() && picture.hooks.open > 0 {
        let text = format!("{} to tell of an end, and there is no worker", count(picture.hooks.open, "hook", "waits", "wait"));
        all.push(Advice::with_remedy("hooks_wait", text, "tenure work"));
    }
    all
}

/// Describes resources whose owner has ended and which still exist.
fn of_resources(picture: &Picture) -> Vec<Advice> {
    let failing = picture.resources.failing.iter();
    let mut all: Vec<Advice> =
        failing.map(|one| Advice::with_remedy("resource", words::why(one, picture.now_ms), &words::remedy(one))).collect();
    if picture.worker.is_none() && picture.resources.releasing > 0 {
        let waiting = count(picture.resources.releasing, "resource", "waits", "wait");
        all.push(Advice::with_remedy(
            "resources_wait",
            format!("{waiting} to be torn down, and there is no worker"),
            "tenure work",
        ));
    }
    all
}

fn of_the_file(picture: &Picture) -> Vec<Advice> {
    let mut all = Vec::new();
    let health = &picture.health;
    if let Some(blocked) = &picture.blocked {
        let by = blocked.by.as_ref().map_or_else(|| "another program".to_owned(), ToString::to_string);
        let since = time::between(blocked.since_ms, picture.now_ms);
        all.push(Advice::with_remedy(
            "writer_blocked",
            format!("the worker waits for the write lock, held by {by}, for {since}"),
            &end_transaction(blocked.by.as_ref()),
        ));
    } else if let Some(holder) = &picture.writer {
        let text = format!("{holder} holds the write lock of the file: no other program can write, and no job can start");
        all.push(Advice::with_remedy("write_lock_held", text, &end_transaction(Some(holder))));
    }
    if let Some(what) = &picture.read_only {
        all.push(Advice::with_remedy(
            "read_only",
            what.clone(),
            "dmesg says which error it was; after fsck, mount it for writing",
        ));
    }
    if health.wal_bytes > WAL_LARGE_BYTES {
        let readers: Vec<String> = health.readers.iter().map(ToString::to_string).collect();
        let by = match readers.as_slice() {
            [] => String::new(),
            [one] => format!("; {one} keeps an old snapshot open"),
            several => format!("; {} keep an old snapshot open", several.join(", ")),
        };
        let text = format!("the write-ahead log has grown to {}{by}", size_text(health.wal_bytes));
        all.push(Advice::with_remedy("wal_large", text, "end the programs that read the file for long"));
    }
    if let Some(what) = &health.replaced {
        all.push(Advice::with_remedy("file_replaced", what.clone(), "stop the worker, and see which file is the right one"));
    }
    if let Some(what) = &health.fatal {
        all.push(Advice::with_remedy("flush_failed", what.clone(), "check the disk (dmesg), then restart the worker"));
    }
    all
}

/// Returns how a held write lock is released.
pub fn end_transaction(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("end that program's transaction, or the program: kill {}", holder.pid),
        None => "end that program's transaction".to_owned(),
    }
}

fn of_the_disk(picture: &Picture) -> Option<Advice> {
    let free = picture.machine.disk_free_bytes?;
    let full = picture.health.disk_full_since_ms.is_some();
    let text =
        format!("the disk has {} left{}", size_text(free), if full { ", and a write has failed for lack of space" } else { "" });
    (full || free < DISK_LOW_BYTES)
        .then(|| Advice::with_remedy("disk_low", text, "tenure prune --older-than 7d, or free some space otherwise"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fixture;

    #[test]
    fn a_healthy_picture_has_no_problems() {
        assert_eq!(of(&fixture::picture(), None), []);
    }

    #[test]
    fn each_trouble_has_a_code_and_a_remedy() {
        let mut picture = fixture::picture();
        picture.worker = None;
        picture.machine.disk_free_bytes = Some(1);
        picture.health.wal_bytes = 1 << 30;
        picture.read_only = Some("read-only".into());
        picture.health.replaced = Some("replaced".into());
        picture.health.fatal = Some("failed".into());
        picture.blocked = Some(crate::store::Blocked { since_ms: 1_000, by: None });
        picture.writer = Some(Holder { pid: 4_711, program: Some("python3".into()) });
        let queue = QueueRow {
            name: "q".into(),
            slots: None,
            paused: true,
            pauses_on_failure: true,
            paused_by: Some(crate::job::JobId(3)),
            paused_at: Some(0),
            max_runtime_ms: None,
            launcher: None,
            launcher_options: Default::default(),
            running: 0,
            ready: 1,
            waiting: 1,
        };
        picture.queues = vec![queue];
        picture.all_paused_at = Some(0);
        picture.workspaces = Workspaces { count: 2, in_use: 1, bytes: 5, max_bytes: Some(4) };
        picture.schedules.errors = vec![("nightly".into(), "no such zone".into())];
        let all = of(&picture, Some(Advice::new("load_floor", "9", "wait".to_owned())));
        let codes: Vec<_> = all.iter().map(|p| p.code.as_ref()).collect();
        let expected = [
            "no_worker",
            "writer_blocked",
            "read_only",
            "wal_large",
            "file_replaced",
            "flush_failed",
            "disk_low",
            "load_floor",
            "workspaces_large",
            "all_paused",
            "queue_paused",
            "schedule_failed",
        ];
        assert_eq!(codes, expected);
        assert!(all.iter().all(|p| p.remedy.is_some()));
        assert!(all[1].text.contains("1m"), "{}", all[1].text);
        picture.blocked = None;
        let held = of(&picture, None).into_iter().find(|problem| problem.code == "write_lock_held").expect("told");
        assert!(held.text.starts_with("pid 4711 (python3)") && held.remedy.unwrap().ends_with("kill 4711"), "{}", held.text);
    }
}
