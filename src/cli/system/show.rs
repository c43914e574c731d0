//! `tenure --system show`, `why`, `history` and `status`

use serde_json::{Value, json};

use super::not_here;
use super::pick::{self, unexpected};
use crate::cli::face::{self, Face};
use crate::cli::parse::pick::Named;
use crate::cli::verbs::{history, show, status, why};
use crate::cli::view::{json as documents, table};
use crate::error::{Result, exit};
use crate::job::State;
use crate::place::Place;
use crate::queue::people::{Ask, Overview, Reply, System};
use crate::queue::{Event, JobInfo, RunInfo};
use crate::units::size_text;

pub fn run(face: &Face, system: &System, which: &Named) -> Result<u8> {
    let now = face.now();
    for (at, shown) in pick::named(system, &which.ids, &State::ALL)?.into_iter().enumerate() {
        if !shown.is_whole && face.json {
            face.print_line(&documents::outline(&shown.job))?;
            continue;
        }
        if !shown.is_whole {
            face::print(&format!("{}{}", if at > 0 { "\n" } else { "" }, outline(&shown.job)))?;
            continue;
        }
        let Known { job, runs, events, suspended_ms } = record(system, &shown.job)?;
        if face.json {
            let mut document = documents::job_with_runs(&job, &runs);
            document["env"] = documents::parsed(&job.stored.env);
            document["policy"] = documents::parsed(&job.stored.policy);
            document["hooks"] = json!([]);
            document["suspended_ms"] = suspended_ms.into();
            // Users reach a log through the worker alone.
            document["runs"].as_array_mut().into_iter().flatten().for_each(|run| run["log"] = Value::Null);
            face.print_line(&document)?;
        } else {
            let around = show::Around {
                step: None,
                over: None,
                suspended_ms,
                hooks: &[],
                events: &events,
                now: &now,
                columns: face.columns,
            };
            let text = show::for_people(&job, &runs, &around);
            let text = text.split("\nlog of run ").next().unwrap_or_default();
            face::print(&format!("{}{text}", if at > 0 { "\n" } else { "" }))?;
        }
    }
    Ok(exit::OK)
}

/// What is known of another user's job.
fn outline(job: &JobInfo) -> String {
    table::pairs(&[
        ("id", Some(job.id.to_string())),
        ("state", Some(table::state(job))),
        ("owner", Some(job.owner.map_or_else(|| "root".to_owned(), table::owner))),
        ("queue", Some(job.queue.clone())),
        ("label", job.label.clone()),
    ])
}

/// What is known of a job to its owner.
struct Known {
    job: JobInfo,
    runs: Vec<RunInfo>,
    events: Vec<Event>,
    suspended_ms: u64,
}

fn record(system: &System, job: &JobInfo) -> Result<Known> {
    let (Reply::Record { job, runs, events, suspended_ms }, _) = system.ask(&Ask::Record { id: job.id })? else {
        return Err(unexpected());
    };
    let place = Place::new("/".into());
    let runs = runs.iter().map(|run| RunInfo::of(run, &place)).collect();
    Ok(Known { job: JobInfo::of(*job), runs, events: events.into_iter().map(Event::of).collect(), suspended_ms })
}

pub fn history(face: &Face, system: &System, which: &Named) -> Result<u8> {
    for shown in pick::named(system, &which.ids, &State::ALL)? {
        let Known { events, .. } = record(system, &shown.job)?;
        if face.json {
            face.document(documents::list("events", events.iter().map(documents::event)))?;
        } else {
            face::print(&history::for_people(&events, &face.now(), face.columns))?;
        }
    }
    Ok(exit::OK)
}

pub fn why(face: &Face, system: &System, which: &Named) -> Result<u8> {
    for shown in pick::named(system, &which.ids, &State::ALL)? {
        let (Reply::Why { job, all }, _) = system.ask(&Ask::Why { id: shown.job.id })? else { return Err(unexpected()) };
        let job = JobInfo::of(*job);
        if face.json {
            let listed: Vec<_> = all.iter().map(documents::advice).collect();
            face.document(json!({"id": job.id, "state": job.state, "obstacles": listed}))?;
        } else {
            face::print(&why::for_people(&job, None, &all))?;
        }
    }
    Ok(exit::OK)
}

pub fn status(face: &Face, system: &System, args: &status::Args) -> Result<u8> {
    if args.check {
        return not_here("--check");
    }
    let (Reply::Status(seen), _) = system.ask(&Ask::Status)? else { return Err(unexpected()) };
    if face.json {
        let yours: serde_json::Map<String, Value> =
            seen.yours.iter().map(|(state, n)| (state.to_string(), (*n).into())).collect();
        face.document(json!({
            "counts": {"queued": seen.queued, "running": seen.running},
            "yours": yours,
            "log_bytes": seen.log_bytes,
            "limits": {"queued": seen.queued_max, "running": seen.running_max, "kept": seen.kept_max,
                       "log_bytes": seen.log_bytes_max, "queues": seen.queues},
        }))?;
    } else {
        face::print(&for_people(&seen))?;
    }
    Ok(exit::OK)
}

fn for_people(seen: &Overview) -> String {
    let of = |state: State| seen.yours.iter().find(|(one, _)| *one == state).map_or(0, |(_, n)| *n);
    let kept: i64 = seen.yours.iter().map(|(_, n)| n).sum();
    let (used, most) = (size_text(seen.log_bytes), size_text(seen.log_bytes_max));
    table::pairs(&[
        ("all users", Some(format!("{} queued, {} running", seen.queued, seen.running))),
        (
            "yours",
            Some(format!(
                "{} queued of {}, {} running of {}",
                of(State::Queued),
                seen.queued_max,
                of(State::Running),
                seen.running_max
            )),
        ),
        ("recorded", Some(format!("{kept} of {} jobs, {used} of {most} of logs", seen.kept_max))),
        ("queues", Some(seen.queues.join(", "))),
    ])
}
