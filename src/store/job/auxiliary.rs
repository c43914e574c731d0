//! Auxiliary runs: commands around jobs (a check, the preparation of a workspace, a teardown, a
//! probe, a hook), each a run of its own with a kind.
//!
//! An auxiliary run of a job is opened only while the job's run (`parent`) owns the job, one of
//! each kind at a time. One of a resource is opened only while the resource is being torn down and
//! has no other auxiliary run ([`crate::store::resource::teardown`]), and one of a hook likewise
//! ([`crate::store::hook::delivery`]). Its result is recorded once,
//! with all consequences in the same transaction. So a crash before that leaves an open run, which
//! is watched or resumed, and a crash after it leaves a result, which is used and not asked for
//! again.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::job::resource::{After, Step};
use crate::job::{HookId, JobId, ResourceId, RunId, RunKind};
use crate::store::hook::delivery;
pub use crate::store::job::close_run::Closed;
use crate::store::job::close_run::close_run;
use crate::store::job::ids::Prepared;
use crate::store::resource::teardown;
use crate::store::workspace;

/// The kind and the purpose of an auxiliary run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub kind: RunKind,
    /// The job and the job's run that it belongs to. `None`: it belongs to no job.
    pub of: Option<(JobId, RunId)>,
    /// The resource that it probes or tears down, and which step it is.
    pub resource: Option<(ResourceId, Step)>,
    /// The workspace that it prepares.
    pub workspace: Option<String>,
    /// The hook that it runs.
    pub hook: Option<HookId>,
}

impl Opening {
    /// An auxiliary run of a job's run.
    pub fn of(kind: RunKind, job: JobId, parent: RunId) -> Self {
        Self { kind, of: Some((job, parent)), resource: None, workspace: None, hook: None }
    }

    /// A step in the teardown of a resource.
    pub fn of_resource(id: ResourceId, step: Step) -> Self {
        Self { kind: step.kind(), of: None, resource: Some((id, step)), workspace: None, hook: None }
    }

    /// A run of a hook.
    pub fn of_hook(id: HookId) -> Self {
        Self { kind: RunKind::Hook, of: None, resource: None, workspace: None, hook: Some(id) }
    }
}

/// Effects of closing an auxiliary run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether this call closed it. If not, nothing was changed.
    pub was_open: bool,
    /// The consequence for its resource.
    pub after: Option<After>,
    /// Runs that were deleted; unlink their logs after the flush.
    pub forgotten: Vec<RunId>,
}

/// Opens an auxiliary run. False if it is not needed any more, or another one is open; then nothing
/// may be started.
pub fn begin(conn: &Connection, opening: &Opening, run: Prepared, instance: &str, boot_id: &str, now_ms: i64) -> Result<bool> {
    if let Some(key) = &opening.workspace
        && !workspace::is_free_to_make(conn, key)?
    {
        return Ok(false);
    }
    if let Some((resource, step)) = opening.resource
        && !teardown::take(conn, resource, step, run.run, now_ms)?
    {
        return Ok(false);
    }
    if let Some(hook) = opening.hook
        && !delivery::take(conn, hook, run.run, now_ms)?
    {
        return Ok(false);
    }
    let (job, parent) = opening.of.unzip();
    let mut begin = conn.prepare_cached(sql!("auxiliary.sql", "begin"))?;
    let begun = begin.execute(params![
        run.run.0,
        job.map(|job| job.0),
        opening.kind.as_str(),
        parent.map(|parent| parent.0),
        opening.resource.map(|(resource, _)| resource.0),
        opening.workspace,
        run.nonce.to_string(),
        instance,
        boot_id,
        now_ms,
        opening.hook.map(|hook| hook.0),
    ])? > 0;
    if let Some(key) = opening.workspace.as_ref().filter(|_| begun) {
        workspace::begin_making(conn, key, job, run.run, now_ms)?;
    }
    Ok(begun)
}

/// What an open auxiliary run is for, if that outlives it.
enum Purpose {
    Resource(ResourceId, RunKind),
    Hook(HookId),
    Other,
}

/// Closes an auxiliary run with its result, and applies the consequences to its resource or its
/// hook.
pub fn end(conn: &Connection, run: RunId, closed: &Closed, now_ms: i64) -> Result<Ended> {
    let Some(purpose) = purpose_of_open(conn, run)? else { return Ok(Ended::default()) };
    let after = match purpose {
        Purpose::Resource(id, kind) => teardown::ended(conn, id, run, kind, closed, now_ms)?,
        Purpose::Hook(id) => {
            delivery::ended(conn, id, run, closed, now_ms)?;
            None
        }
        Purpose::Other => None,
    };
    if !close_run(conn, run, closed.end(), now_ms)? {
        return Ok(Ended::default());
    }
    let forgotten = match purpose {
        Purpose::Resource(id, _) => teardown::forget_old_runs(conn, id)?,
        _ => Vec::new(),
    };
    Ok(Ended { was_open: true, after, forgotten })
}

/// Returns what an auxiliary run is for; `None`: it is not open.
fn purpose_of_open(conn: &Connection, run: RunId) -> Result<Option<Purpose>> {
    let mut of = conn
        .prepare_cached("SELECT resource_id, hook_id, kind FROM run WHERE id = ?1 AND kind <> 'job' AND finished_at IS NULL")?;
    let of = of.query_row([run.0], |row| {
        let (resource, hook) = (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?);
        let kind = crate::store::job::rows::word(row, 2, RunKind::parse)?;
        Ok(match (resource, hook, kind) {
            (Some(resource), _, Some(kind)) => Purpose::Resource(ResourceId(resource), kind),
            (None, Some(hook), _) => Purpose::Hook(HookId(hook)),
            _ => Purpose::Other,
        })
    });
    Ok(of.optional()?)
}
