//! The checks of `doctor`, each with a name. A check that fails to run says so, and the others
//! still run.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::run_checks;
use crate::cli::face::Face;
use crate::cli::parse::time;
use crate::cli::view::table::count;
use crate::cli::view::table::{NAMED_MAX, named};
use crate::cli::view::{escape, problems};
use crate::cli::worker_options;
use crate::document::picture;
use crate::error::{Error, Result};
use crate::host::gates::Machine;
use crate::host::lock::Holder;
use crate::host::sight::Sight;
use crate::job::JobId;
use crate::queue::why::around;
use crate::queue::why::worker_words;
use crate::store::file::standing;
use crate::store::{self, Store, engine::locks, job::read, schedule, upkeep::unreadable};
use crate::units::size_text;

/// Free space below which a finding is reported, in bytes.
const DISK_LOW_BYTES: u64 = 512 << 20;
/// Size of the write-ahead log above which a finding is reported, in bytes.
const WAL_LARGE_BYTES: u64 = 64 << 20;
/// How far the clock may be behind the times in the file, in milliseconds.
const CLOCK_BEHIND_MS: i64 = 60_000;

type Check = fn(&Face, &Store) -> Result<Vec<Finding>>;

/// In the order of importance for a person.
const CHECKS: &[(&str, Check)] = &[
    ("system", run_checks::system),
    ("integrity", integrity),
    ("schema", schema),
    ("values", values),
    ("permissions", permissions),
    ("home", home),
    ("worker", worker),
    ("memory", memory),
    ("writer", writer),
    ("readers", readers),
    ("wal", wal),
    ("disk", disk),
    ("floors", floors),
    ("clock", clock),
    ("runs", run_checks::runs),
    ("files", run_checks::files),
    ("secrets", run_checks::secrets),
    ("leases", run_checks::leases),
    ("workspaces", run_checks::workspaces),
    ("resources", run_checks::resources),
    ("schedules", schedules),
];

/// Runs all checks.
pub fn all(face: &Face, store: &Store) -> Vec<Finding> {
    let one = |(name, check): &(&'static str, Check)| {
        check(face, store).unwrap_or_else(|error| vec![Finding::unhelped(name, format!("this check could not be run: {error}"))])
    };
    CHECKS.iter().flat_map(one).collect()
}

fn integrity(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let mut complaints = Vec::new();
    let looked = store.read(|conn| {
        let each = |row: &rusqlite::Row<'_>| {
            complaints.push(row.get::<_, String>(0)?);
            Ok(())
        };
        Ok(conn.pragma_query(None, "integrity_check", each)?)
    });
    match looked {
        // Too damaged to be read.
        Err(Error::File(what)) => complaints.push(what),
        other => other?,
    }
    complaints.retain(|line| line != "ok");
    let is_of_a_row = |line: &String| line.starts_with("CHECK constraint failed") || line.starts_with("NULL value in");
    Ok(vec![match (complaints.is_empty(), complaints.iter().all(is_of_a_row)) {
        (true, _) => Finding::fine("integrity", "every page and every index of the file is whole"),
        (false, true) => Finding::wrong("integrity", named(&complaints), "tenure doctor --fix repairs rows that break a rule"),
        (false, false) => Finding::wrong("integrity", named(&complaints), "stop the worker; tenure restore BACKUP").keeping_fix(),
    }])
}

fn schema(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let (altered, differences) = store.read(|conn| Ok((store::altered_tables(conn)?, store::schema_differences(conn)?)))?;
    if !altered.is_empty() {
        let one = |altered: store::Altered| Finding::wrong("schema", altered.text, altered.remedy).keeping_fix();
        return Ok(altered.into_iter().map(one).collect());
    }
    if !differences.is_empty() {
        let remedy = "tenure doctor --fix makes guards and indexes again, and removes those that are not tenure's";
        return Ok(vec![Finding::wrong("schema", named(&differences), remedy)]);
    }
    let foreign = store.read(store::foreign_columns)?;
    let more = if foreign.is_empty() { String::new() } else { format!("; columns of other programs: {}", named(&foreign)) };
    Ok(vec![Finding::fine("schema", format!("tables, guards and indexes are as they were made{more}"))])
}

/// Finds rows of clients that cannot be read completely, each with the command that removes it.
fn values(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let found = store.read(|conn| unreadable::find(conn, NAMED_MAX))?;
    if found.is_empty() {
        return Ok(vec![Finding::fine("values", "every text in the file can be read")]);
    }
    let one = |value: unreadable::Unreadable| -> Result<Finding> {
        let remedy = remedy_of(store, &value)?;
        let of = value.job.filter(|_| value.table != "job").map(|job| format!(" of job {job}")).unwrap_or_default();
        let text = format!("{} of {} {:?}{of} {}", value.column, value.table, value.row, value.what);
        Ok(Finding::wrong("values", text, remedy))
    };
    found.into_iter().map(one).collect()
}

fn remedy_of(store: &Store, value: &unreadable::Unreadable) -> Result<String> {
    let rm = |verb| Ok(escape::command_on(verb, &value.row, ""));
    match value.table.as_str() {
        "queue" => return rm("tenure queue rm"),
        "lane" => return rm("tenure lane rm"),
        "resource" => return Ok(format!("tenure resource release --force {}", value.row)),
        "schedule" => return rm("tenure schedule rm"),
        "tally" => return Ok("tenure doctor --fix counts again".into()),
        _ => {}
    }
    let job = value.job.map(|id| store.read(|conn| read::job(conn, id))).transpose()?.flatten();
    Ok(match job {
        Some(job) if !job.state.is_terminal() => format!("tenure cancel {}", job.id),
        _ => "tenure prune --older-than 0s removes what has ended".into(),
    })
}

/// Root may do everything; what counts is whether the file is safe for its user.
fn permissions(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let place = store.place();
    let me = rustix::process::geteuid().as_raw();
    let user = if me == 0 { std::fs::metadata(place.db()).map_or(me, |meta| meta.uid()) } else { me };
    let around = place.db().parent().unwrap_or(Path::new("/"));
    if let Some(text) = store::read_only(place) {
        return Ok(vec![Finding::wrong("permissions", text, "dmesg says which error it was; after fsck, mount it for writing")]);
    }
    let (mut open, mut fixes) = (Vec::new(), Vec::new());
    for path in [place.db(), place.dir(), &place.wal(), &place.secrets(), &place.runs(), &place.logs(), around] {
        if let Ok(meta) = std::fs::metadata(path)
            && let Some((what, fix)) = too_open(path, meta.mode(), meta.uid(), user)
        {
            open.push(what);
            fixes.push(fix);
        }
    }
    if open.is_empty() {
        let as_user = if user == me {
            String::new()
        } else {
            format!(
                "; the file belongs to user {user}, so start its worker as that user: runuser -u \"$(id -un {user})\" -- tenure work"
            )
        };
        return Ok(vec![Finding::fine(
            "permissions",
            format!("no other user may write the file or what belongs to it{as_user}"),
        )]);
    }
    let remedy = format!("{} (a user who may write there may run commands as user {user})", fixes.join("; "));
    Ok(vec![Finding::wrong("permissions", named(&open), remedy)])
}

/// Returns who may write there besides the user of the file, and the command that ends it. A
/// directory like /tmp, where every user may create files but not remove those of others, is as
/// safe as the file in it.
fn too_open(path: &Path, mode: u32, owner: u32, user: u32) -> Option<(String, String)> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    let quoted = escape::quote_text(&path.to_string_lossy());
    if owner != user && owner != 0 {
        return Some((format!("{} belongs to user {owner}", path.display()), format!("chown {user} {quoted}")));
    }
    (mode & OTHERS_WRITE != 0 && mode & STICKY == 0)
        .then(|| (format!("{} may be written by others ({:o})", path.display(), mode & 0o7777), format!("chmod go-w {quoted}")))
}

/// Returns which limit `--memory` uses: both are correct, and they count differently.
fn memory(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let Some((by, why)) = picture::memory_limiter(store.place())? else { return Ok(Vec::new()) };
    let means = if by == "cgroup" { "of the whole tree, without swap" } else { "of each process by itself" };
    Ok(vec![Finding::fine("memory", format!("--memory is kept by {by}, {means}: {why}"))])
}

fn home(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    Ok(vec![match standing::advice(store)? {
        None => Finding::fine("home", "the file and the directory beside it belong together"),
        Some(place) => Finding::named("home", place.advice),
    }])
}

fn worker(face: &Face, store: &Store) -> Result<Vec<Finding>> {
    let counts = store.read(read::counts)?;
    let ready = counts.queued - counts.held.iter().map(|(_, n)| n).sum::<i64>();
    let queues = store.read(read::queues)?;
    Ok(vec![match Sight::read(store.place())? {
        Some(worker) => {
            let told = worker_words::of_file(&worker, ready, &queues);
            if !told.is_empty() {
                return Ok(told.into_iter().map(|one| Finding::named("worker", one)).collect());
            }
            let since = time::between(worker.holder.since_ms, face.now_ms());
            Finding::fine(
                "worker",
                format!("{} ({}) holds the worker lock for {since}", worker.holder.named(), worker.holder.kind),
            )
        }
        None if standing::advice(store)?.is_some_and(|advice| advice.is_refused) => {
            Finding::fine("worker", "there is none, and none may be started before it is clear which file this is")
        }
        None if ready > 0 || counts.running > 0 => {
            let (ready, running) = (count(ready, "job", "is ready", "are ready"), count(counts.running, "job", "runs", "run"));
            let text = format!("there is none; {ready}, and {running}; each end is recorded when a worker starts");
            Finding::wrong("worker", text, "tenure work")
        }
        None => match waiting_schedules(store)? {
            0 => Finding::fine("worker", "there is none, and nothing for it to do"),
            n => Finding::wrong("worker", format!("there is none; {}", count(n, "schedule", "waits", "wait")), "tenure work"),
        },
    }])
}

/// Schedules that are not paused.
fn waiting_schedules(store: &Store) -> Result<i64> {
    let summary = store.read(schedule::summary)?;
    Ok(summary.count - summary.paused)
}

fn schedules(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    const REMEDY: &str = "tenure schedule ls; tenure schedule rm NAME, and add it again";
    let summary = store.read(schedule::summary)?;
    if summary.errors.is_empty() {
        let good = format!("{}, each can make its jobs", count(summary.count, "schedule", "", ""));
        return Ok(vec![Finding::fine("schedules", good)]);
    }
    let wrong = summary.errors.iter().take(NAMED_MAX);
    Ok(wrong.map(|(name, error)| Finding::wrong("schedules", format!("{name}: {error}"), REMEDY)).collect())
}

fn writer(face: &Face, store: &Store) -> Result<Vec<Finding>> {
    let Some(blocked) = store::read_blocked(store.place()) else {
        let worker = Holder::read(store.place())?.map(|worker| worker.pid);
        return Ok(vec![match locks::lasting_writer(store.place(), worker) {
            None => Finding::fine("writer", "no process has to wait for the write lock"),
            Some(holder) => {
                let text = format!("{holder} holds the write lock: no other program can write");
                Finding::wrong("writer", text, problems::end_transaction(Some(&holder))).keeping_fix()
            }
        }]);
    };
    let since = time::between(blocked.since_ms, face.now_ms());
    let Some(holder) = locks::writer(store.place()) else {
        return Ok(vec![Finding::fine(
            "writer",
            format!("the write lock is free again; a writer had to wait for it {since} ago"),
        )]);
    };
    let text = format!("{holder} holds the write lock; a writer has waited for it for {since}");
    Ok(vec![Finding::wrong("writer", text, problems::end_transaction(Some(&holder))).keeping_fix()])
}

fn readers(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let health = store.health();
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let others: Vec<String> = health.readers.iter().filter(|holder| holder.pid != me).map(ToString::to_string).collect();
    Ok(vec![match others.is_empty() {
        true => Finding::fine("readers", "no reader keeps the write-ahead log from being emptied"),
        false => {
            let keep = if others.len() == 1 { "keeps" } else { "keep" };
            Finding::wrong("readers", format!("{} {keep} an old snapshot open", named(&others)), "end what reads for long")
        }
    }])
}

fn wal(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let health = store.health();
    if let Some(replaced) = health.replaced {
        return Ok(vec![Finding::wrong("wal", replaced, "stop the worker, and see which file is the right one")]);
    }
    let size = size_text(health.wal_bytes);
    Ok(vec![match health.wal_bytes > WAL_LARGE_BYTES {
        false => Finding::fine("wal", format!("the write-ahead log has {size}")),
        true => {
            Finding::wrong("wal", format!("the write-ahead log has {size}"), "a worker empties it; end long readers: tenure work")
        }
    }])
}

/// Returns the kind of a file system that does not keep what `add` has accepted.
fn forgets(dir: &Path) -> Option<&'static str> {
    // From linux/magic.h.
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    const OVERLAYFS: i64 = 0x794c_7630;
    match rustix::fs::statfs(dir).ok()?.f_type {
        TMPFS | RAMFS => {
            Some("the file is in memory (tmpfs): it is gone when the machine or its container ends, and an id of add with it")
        }
        OVERLAYFS => Some("the file is on the layer of a container (overlay): it is gone with the container"),
        _ => None,
    }
}

fn disk(_: &Face, store: &Store) -> Result<Vec<Finding>> {
    let machine = Machine::sample(store.place().dir());
    let Some(free) = machine.disk_free_bytes else {
        return Ok(vec![Finding::unhelped("disk", "the disk does not say how much room it has")]);
    };
    // Reported, but not as a fault: a test, or a short-lived container, may intend just that.
    let kind = forgets(store.place().dir()).map(|why| format!("; {why}")).unwrap_or_default();
    let text = format!("{} are free{kind}", size_text(free));
    Ok(vec![match free < DISK_LOW_BYTES {
        false => Finding::fine("disk", text),
        true => Finding::wrong("disk", text, "tenure prune --older-than 7d, or free some space otherwise"),
    }])
}

fn floors(face: &Face, store: &Store) -> Result<Vec<Finding>> {
    let worker = Sight::read(store.place())?;
    Ok(vec![match around::gate(&worker_options::floors(&face.settings), store.place(), worker.as_ref()) {
        None if worker.is_some() => Finding::fine("floors", "the worker says whether its own are met"),
        None => Finding::fine("floors", "the machine has what the configuration asks for"),
        Some(told) => Finding::named("floors", told),
    }])
}

fn clock(face: &Face, store: &Store) -> Result<Vec<Finding>> {
    let last = store.read(|conn| match read::last_job(conn)? {
        Some(JobId(id)) => read::job(conn, JobId(id)),
        None => Ok(None),
    })?;
    let behind_ms = last.map_or(0, |job| job.created_at.saturating_sub(face.now_ms()));
    Ok(vec![match behind_ms > CLOCK_BEHIND_MS {
        false => Finding::fine("clock", "the clock is not behind the times in the file"),
        true => {
            let text = format!("the clock is {} behind the newest job: it was set back", time::between(0, behind_ms));
            Finding::wrong("clock", text, "set the clock; delays and schedules go by it, nothing else does")
        }
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_directory_is_reported_unless_it_is_sticky() {
        let me = rustix::process::geteuid().as_raw();
        assert_eq!(too_open(Path::new("/x"), 0o100600, me, me), None);
        assert_eq!(too_open(Path::new("/tmp"), 0o041777, 0, me), None);
        assert!(too_open(Path::new("/x"), 0o040770, me, me).unwrap().0.contains("770"));
        assert!(too_open(Path::new("/x"), 0o100600, me + 1, me).unwrap().0.contains("user"));
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(named(&all), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
