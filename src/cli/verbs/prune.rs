//! `tenure prune`: remove ended jobs with their logs.
//!
//! By age alone it also removes tasks and occurrences of schedules; with a selector only jobs that
//! match all of it.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::view::table;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, RunId, State};
use crate::store::Store;
use crate::store::upkeep::prune::{self, Cursor, Pruned};
use crate::store::upkeep::remove::{self, Obstacle, Wanted};
use crate::units;

/// Most jobs of a dry run that are named in JSON, and jobs of one read.
const NAMED_MAX: usize = 10_000;
const READ_ROWS: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what ended longer ago than this, as 30d
    ///
    /// Without --state, --queue and --label also tasks and occurrences of schedules.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration,
          required_unless_present_any = ["state", "queue", "label"])]
    pub older_than: Option<u64>,
    /// Remove only jobs of this queue
    #[arg(short = 'q', long, value_name = "QUEUE", value_parser = values::parse_name)]
    pub queue: Option<String>,
    /// Remove only jobs in this state
    ///
    /// done, failed or cancelled. May be given several times.
    #[arg(long, value_name = "STATE")]
    pub state: Vec<State>,
    /// Remove only jobs with this label
    #[arg(short = 'l', long, value_name = "LABEL", value_parser = values::parse_label)]
    pub label: Option<String>,
    /// Say what would be removed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What would be removed.
#[derive(Debug, Default)]
struct Plan {
    jobs: usize,
    runs: usize,
    /// The first of the jobs.
    ids: Vec<i64>,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    if let Some(state) = args.state.iter().find(|state| !state.is_terminal()) {
        return Err(Error::Invalid(format!("a job that is {state} cannot be removed; --state is done, failed or cancelled")));
    }
    let before_ms = args.older_than.map(|age| face.now_ms().saturating_sub_unsigned(age));
    let is_selected = args.queue.is_some() || args.label.is_some() || !args.state.is_empty();
    match (is_selected, before_ms) {
        (false, Some(before_ms)) if args.dry_run => {
            tell_plan(face, &plan_by_age(&face.reader()?, before_ms)?, Kept::default(), true)
        }
        (false, Some(before_ms)) => by_age(face, before_ms),
        _ => selected(face, args, before_ms),
    }
}

/// Removes all history that is older.
fn by_age(face: &Face, before_ms: i64) -> Result<u8> {
    let store = face.editor()?;
    let (mut all, mut next) = (Pruned::default(), Some(Cursor::default()));
    while let Some(from) = next {
        let pruned;
        (pruned, next) = prune::pass(&store, before_ms, from)?;
        // The rows are durably gone; only now may the logs be removed.
        pruned.runs.iter().for_each(|run| unlink(&store, *run));
        all.add(pruned);
    }
    tell(face, &all, None)
}

fn plan_by_age(store: &Store, before_ms: i64) -> Result<Plan> {
    let (mut plan, mut next) = (Plan::default(), Some(Cursor::default()));
    while let Some(from) = next {
        next = store.read(|conn| {
            let found = prune::find(conn, before_ms, from, READ_ROWS)?;
            found.jobs().try_for_each(|job| plan.add(conn, job))?;
            Ok(found.next)
        })?;
    }
    Ok(plan)
}

impl Plan {
    fn add(&mut self, conn: &rusqlite::Connection, job: JobId) -> Result<()> {
        self.jobs += 1;
        self.runs += remove::count_runs(conn, job)?;
        if self.ids.len() < NAMED_MAX {
            self.ids.push(job.0);
        }
        Ok(())
    }
}

/// Jobs that match and stay, by what keeps them.
#[derive(Debug, Default)]
struct Kept(Vec<(&'static str, usize)>);

impl Kept {
    fn add(&mut self, why: Obstacle) {
        let word = why.word();
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => self.0.push((word, 1)),
        }
    }

    fn count(&self) -> usize {
        self.0.iter().map(|(_, n)| n).sum()
    }

    fn say(&self) {
        if self.count() > 0 {
            let each: Vec<String> = self.0.iter().map(|(word, n)| format!("{word}: {n}")).collect();
            let stay = counted(self.count(), "job that matches stays", "jobs that match stay");
            face::say(&format!("{stay} ({}); tenure rm ID says why", each.join(", ")));
        }
    }
}

/// Removes the jobs that match, or says which they are.
fn selected(face: &Face, args: &Args, before_ms: Option<i64>) -> Result<u8> {
    let store = if args.dry_run { face.reader()? } else { face.editor()? };
    let before_ms = before_ms.map_or_else(|| store.read(remove::after_all), Ok)?;
    let wanted = Wanted { before_ms, states: args.state.clone(), queue: args.queue.clone(), label: args.label.clone() };
    let (mut plan, mut all, mut kept) = (Plan::default(), Pruned::default(), Kept::default());
    let mut next = Some(remove::START);
    while let Some(from) = next {
        let jobs;
        (jobs, next) = store.read(|conn| remove::page(conn, &wanted, from))?;
        if args.dry_run {
            for job in jobs {
                store.read(|conn| match remove::obstacle(conn, job, before_ms)? {
                    Some(None) => plan.add(conn, job),
                    Some(Some(why)) => {
                        kept.add(why);
                        Ok(())
                    }
                    None => Ok(()),
                })?;
            }
            continue;
        }
        let mut handled = 0;
        while handled < jobs.len() {
            let removed = remove::pass(&store, &jobs[handled..], before_ms)?;
            // The rows are durably gone; only now may the logs be removed.
            removed.pruned.runs.iter().for_each(|run| unlink(&store, *run));
            handled += removed.handled;
            all.add(removed.pruned);
            removed.kept.iter().for_each(|(_, why)| kept.add(*why));
        }
    }
    if args.dry_run { tell_plan(face, &plan, kept, false) } else { tell(face, &all, Some(kept)) }
}

fn tell_plan(face: &Face, plan: &Plan, kept: Kept, is_by_age: bool) -> Result<u8> {
    if face.json {
        let document = json!({"dry_run": true, "jobs": plan.jobs, "runs": plan.runs, "kept": kept.count(), "ids": plan.ids});
        face.document(document)?;
        return Ok(exit::OK);
    }
    let also = if is_by_age { ", and tasks and occurrences of schedules that are as old" } else { "" };
    face::say(&format!("would remove {}{also}; nothing was changed", removed_text(plan.jobs, plan.runs)));
    if plan.jobs > 0 {
        let mut names: Vec<String> = plan.ids.iter().take(table::NAMED_MAX).map(ToString::to_string).collect();
        if plan.jobs > names.len() {
            names.push(format!("and {} more", plan.jobs - names.len()));
        }
        face::print(&format!("{}\n", names.join(" ")))?;
    }
    kept.say();
    Ok(exit::OK)
}

/// `kept`: jobs that match a selection, and stay.
fn tell(face: &Face, all: &Pruned, kept: Option<Kept>) -> Result<u8> {
    let (jobs, runs, occurrences, tasks) = (all.jobs, all.runs.len(), all.occurrences, all.tasks);
    if face.json {
        let mut document = json!({"jobs": jobs, "runs": runs, "occurrences": occurrences, "tasks": tasks});
        if let Some(kept) = &kept {
            document["kept"] = kept.count().into();
        }
        face.document(document)?;
        return Ok(exit::OK);
    }
    let also = |n, one, many| if n > 0 { format!(", and {}", counted(n, one, many)) } else { String::new() };
    let more = also(tasks, "task", "tasks") + &also(occurrences, "occurrence of a schedule", "occurrences of schedules");
    face::say(&format!("removed {}{more}", removed_text(jobs, runs)));
    kept.iter().for_each(Kept::say);
    Ok(exit::OK)
}

fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// `2 jobs with 3 runs and their logs`.
pub(super) fn removed_text(jobs: usize, runs: usize) -> String {
    format!("{} with {} and their logs", counted(jobs, "job", "jobs"), counted(runs, "run", "runs"))
}

/// A log that cannot be removed now belongs to no job any more; the worker's sweep finds it.
pub(super) fn unlink(store: &Store, run: RunId) {
    let path = store.place().log_file(run);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => log::warn!("{}: {error}", path.display()),
        _ => {}
    }
}
