//! The checks of `doctor` that compare the file with the directory beside it.

use crate::cli::doctor::finding::{Finding, shown};
use crate::cli::face::Face;
use crate::cli::view::problems;
use crate::cli::view::table::named;
use crate::document::lease;
use crate::error::{Error, Result};
use crate::host::lock::Holder;
use crate::job::verdict::{self, Leftover, Progress, Row};
use crate::job::{Advice, ResourceState, RunId};
use crate::queue::why::resource_words as words;
use crate::run::fitness::{self, Fitness};
use crate::run::removal;
use crate::run::runfile::{self, Inspection};
use crate::run::workspace::Work;
use crate::store::resource::{self, RESOURCES_MAX};
use crate::store::{Store, job::read, upkeep::open_runs, workspace};
use crate::units::size_text;

const FIX: &str = "a worker continues from the records: tenure work, or once: tenure doctor --fix";

/// Checks whether a worker could keep its guarantees here: `/proc` and the system calls that it
/// needs.
pub fn system(_: &Face, _: &Store) -> Result<Vec<Finding>> {
    let found = fitness::check_system().into_iter().filter_map(|found| match found {
        Fitness::Fine => None,
        Fitness::Restricted(text) => Some(Finding::fine("system", text)),
        Fitness::Unfit { text, remedy } => Some(Finding::wrong("system", text, remedy)),
    });
    let found: Vec<Finding> = found.collect();
    if found.is_empty() {
        return Ok(vec![Finding::fine("system", "/proc and the system calls that a worker needs are there")]);
    }
    Ok(found)
}

/// Finds running rows whose lock is free: no process owns them until a worker handles them.
pub fn runs(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let open = store.read(open_runs::open_runs)?;
    let has_worker = Holder::read(store.place())?.is_some();
    let mut orphans = Vec::new();
    for one in &open {
        // Its engine knows.
        let is_sent = one.launched.as_ref().is_some_and(|launched| launched.is_sent);
        let lives = is_sent || matches!(runfile::inspect(store.place(), one.run.id)?, Inspection::Found { locked: true, .. });
        if !lives {
            orphans.push(format!("job {} (run {})", one.job.id, one.run.id));
        }
    }
    let stuck: Vec<Advice> =
        store.read(read::stuck_runs)?.iter().map(|(run, job, noted)| problems::stuck(*run, *job, noted)).collect();
    if !stuck.is_empty() {
        let told = |advice: Advice| Finding::named("runs", advice);
        return Ok(stuck.into_iter().map(told).collect());
    }
    Ok(vec![match (orphans.is_empty(), has_worker) {
        (true, _) => Finding::fine("runs", format!("{} jobs run, and the lock of each is held", open.len())),
        // It may just be ending; the worker handles that.
        (false, true) => Finding::fine("runs", format!("the worker is settling {}", named(&orphans))),
        (false, false) => Finding::wrong("runs", format!("called running, and the lock is free: {}", named(&orphans)), FIX),
    }])
}

/// Finds run files that no row needs, and processes that have outlived their run.
pub fn files(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let ids = runfile::list(store.place())?;
    let rows = rows_of(store, &ids)?;
    let has_worker = Holder::read(store.place())?.is_some();
    let (mut stale, mut alive, mut stray, mut unreadable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, row) in rows {
        let (locked, progress) = match runfile::inspect(store.place(), id)? {
            Inspection::Missing => continue,
            Inspection::Unreadable(why) => {
                unreadable.push(format!("{id} ({why})"));
                continue;
            }
            // A worker asks another engine, or did so when it died.
            Inspection::Found { header, .. } if header.asks => {
                if !has_worker {
                    alive.push(id.to_string());
                }
                continue;
            }
            Inspection::Found { locked, records, .. } => (locked, records.progress()),
        };
        match verdict::of_run_file(row, locked, progress) {
            Leftover::Leave => {}
            Leftover::Unlink => stale.push(id.to_string()),
            Leftover::EmptyTreeThenUnlink => alive.push(id.to_string()),
            // A worker keeps some for its next jobs, and may have claimed one since the rows were
            // read.
            Leftover::Stray if has_worker && (progress == Progress::Nothing || is_known(store, id)?) => {}
            Leftover::Stray => stray.push(id.to_string()),
        }
    }
    let mut found = Vec::new();
    let mut tell = |all: &[String], what: &str| {
        if !all.is_empty() {
            found.push(Finding::wrong("files", format!("{what}: {}", named(all)), FIX));
        }
    };
    tell(&unreadable, "run files that cannot be read");
    tell(&alive, "runs that are settled, and something of them is left");
    tell(&stray, "runs that this file does not know (was an older copy restored?)");
    if !has_worker {
        tell(&stale, "run files that are not needed any more");
    }
    if found.is_empty() {
        found.push(Finding::fine("files", format!("{} run files in {}, each with its row", ids.len(), shown(store.place()))));
    }
    Ok(found)
}

fn is_known(store: &Store, id: RunId) -> Result<bool> {
    Ok(rows_of(store, &[id])?.iter().any(|(_, row)| *row != Row::Unknown))
}

fn rows_of(store: &Store, ids: &[RunId]) -> Result<Vec<(RunId, Row)>> {
    store.read(|conn| open_runs::run_rows(conn, ids))
}

/// Finds files of secrets that no live job needs.
pub fn secrets(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let live: std::collections::HashSet<String> = store.read(read::live_secrets)?.into_iter().collect();
    let dir = store.place().secrets();
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![Finding::fine("secrets", "there are none")]),
        Err(e) => return Err(Error::io(format!("reading {}", dir.display()), e)),
    };
    let (mut kept, mut spare) = (0, Vec::new());
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(format!("reading {}", dir.display()), e))?;
        match entry.file_name().into_string() {
            Ok(token) if live.contains(&token) => kept += 1,
            // One that is locked belongs to a job that is being added right now.
            Ok(token) if std::fs::File::open(entry.path()).is_ok_and(|f| f.try_lock_shared().is_ok()) => spare.push(token),
            _ => {}
        }
    }
    Ok(vec![match spare.is_empty() {
        true => Finding::fine("secrets", format!("{kept} are kept for live jobs, and no other")),
        false => Finding::wrong("secrets", format!("{} that no live job needs", spare.len()), FIX),
    }])
}

/// Finds leases whose owner is gone: the next process that wants one reclaims it.
pub fn leases(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let all = lease::all(store)?;
    let dead: Vec<String> = all.iter().filter(|seen| !seen.is_alive).map(|seen| format!("{:?}", seen.lease.name)).collect();
    Ok(vec![match dead.is_empty() {
        true => Finding::fine("leases", format!("{} are held, and the owner of each lives", all.len())),
        false => {
            let text = format!("no process of the owner lives, and the next command that needs it reclaims it: {}", named(&dead));
            Finding::wrong("leases", text, "a worker reclaims them as well: tenure work, or once: tenure doctor --fix")
        }
    }])
}

/// Lists `work/`, and which of its directories belong to no run.
pub fn workspaces(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let Some(work) = Work::find(store.place())? else {
        return Ok(vec![Finding::fine("workspaces", "there are none")]);
    };
    // In this order: a directory that was an orphan when it was listed stays one.
    let names = work.names()?;
    let (rows, in_hand) = store.read(|conn| Ok((workspace::list(conn)?, workspace::in_hand(conn)?)))?;
    let orphans: Vec<String> = names.into_iter().filter(|name| in_hand.is_orphan(name)).collect();
    let takes = size_text(rows.iter().filter_map(|row| row.bytes).sum());
    Ok(vec![match orphans.is_empty() {
        true => Finding::fine("workspaces", format!("{} in {}, which take {takes}", rows.len(), work.path_of("").display())),
        false => {
            let text = format!("directories in work/ that belong to no workspace: {}", named(&orphans));
            Finding::wrong("workspaces", text, removes_them(&work, &orphans))
        }
    }])
}

/// Returns what removes them: a worker, once nothing is mounted in them.
fn removes_them(work: &Work, orphans: &[String]) -> String {
    let mounts: Vec<_> = orphans.iter().flat_map(|name| removal::mounts_in(&work.path_of(name))).collect();
    match mounts.is_empty() {
        true => "a worker removes them: tenure work".to_owned(),
        false => format!("{}; then a worker removes them: tenure work", removal::unmount(&mounts)),
    }
}

/// Finds resources that must be torn down and still exist.
pub fn resources(face: &Face, store: &Store) -> Result<Vec<Finding>> {
    let releasing: Vec<_> = store.read(|conn| resource::live(conn, RESOURCES_MAX))?;
    let held = releasing.iter().filter(|one| one.state == ResourceState::Held).count();
    let releasing: Vec<_> = releasing.into_iter().filter(|one| one.state == ResourceState::Releasing).collect();
    let has_worker = Holder::read(store.place())?.is_some();
    let failing: Vec<_> = releasing.iter().filter(|one| one.attempts > 0).collect();
    if let Some(worst) = failing.iter().max_by_key(|one| one.attempts) {
        let more = if failing.len() > 1 { format!("; {} more failed as well", failing.len() - 1) } else { String::new() };
        let text = format!("{}{more}", words::why(worst, face.now_ms()));
        return Ok(vec![Finding::wrong("resources", text, words::remedy(worst))]);
    }
    Ok(vec![match (releasing.len(), has_worker) {
        (0, _) => Finding::fine("resources", format!("{held} are held, and nothing waits to be torn down")),
        (n, true) => Finding::fine("resources", format!("{held} are held, and the worker tears {n} down")),
        (n, false) => Finding::wrong("resources", format!("{n} wait to be torn down, and there is no worker"), "tenure work"),
    }])
}
