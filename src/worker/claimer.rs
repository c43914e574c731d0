//! Claims jobs: the one path from run files and free slots to claimed jobs, for the claim loop and
//! for a slot that takes its next job.
//!
//! Run files are taken from the pool before the claim, as a run file must exist, locked, before any
//! row names its run. Unused ones return to the pool when the claimer is dropped, also after an
//! error.

use rusqlite::Connection;

use super::context::Context;
use super::run_files::ReadyRun;
use crate::error::Result;
use crate::job::RunKey;
use crate::run::RunFile;
use crate::store::Ticket;
use crate::store::job::claim::{self, Claim, Scope};

/// A claimed job, with what its start needs.
pub(super) struct Claimed {
    pub claim: Claim,
    /// Its run file, locked.
    pub file: RunFile,
    /// The flush that makes the claim durable.
    pub ticket: Ticket,
}

/// Run files for jobs that are about to be claimed.
pub(super) struct Claimer<'a> {
    ctx: &'a Context,
    ready: Vec<ReadyRun>,
}

/// A claim, as the store's thread executes it.
pub(super) struct Request {
    scope: Scope,
    keys: Vec<RunKey>,
    instance: String,
    boot_id: String,
    now_ms: i64,
}

impl<'a> Claimer<'a> {
    /// Takes run files for at most this many jobs, and for at least one.
    ///
    /// # Errors
    /// The first run file cannot be created.
    pub fn prepare(ctx: &'a Context, jobs_max: usize) -> Result<Self> {
        ctx.keep_home();
        Ok(Self { ctx, ready: ctx.run_files.take_up_to(jobs_max, &ctx.store, &ctx.roster)? })
    }

    pub fn request(&self, scope: &Scope) -> Request {
        Request {
            scope: scope.clone(),
            keys: self.ready.iter().map(ReadyRun::key).collect(),
            instance: self.ctx.instance.clone(),
            boot_id: self.ctx.boot_id.clone(),
            now_ms: self.ctx.now_ms(),
        }
    }

    /// Returns the jobs that the request has claimed, each with its run file.
    pub fn claimed(mut self, claims: Vec<Claim>, ticket: Ticket) -> Vec<Claimed> {
        let used = self.ready.drain(..claims.len().min(self.ready.len()));
        let claimed = claims.into_iter().zip(used).map(|(claim, ready)| {
            self.ctx.run_files.begun(claim.run);
            self.ctx.shortage.under(claim.run);
            Claimed { claim, file: ready.file, ticket }
        });
        claimed.collect()
    }
}

impl Drop for Claimer<'_> {
    fn drop(&mut self) {
        self.ctx.run_files.return_unused(self.ready.drain(..));
    }
}

impl Request {
    /// Claims as many jobs as there are run files, best first.
    ///
    /// # Errors
    /// The file refuses it.
    pub fn claim(&self, conn: &Connection) -> Result<Vec<Claim>> {
        claim::claim(conn, &self.scope, &self.keys, &self.instance, &self.boot_id, self.now_ms)
    }

    /// Claims one job in a transaction that also does other work, which must not be undone because
    /// the claim fails.
    ///
    /// # Errors
    /// The transaction cannot continue.
    pub fn claim_beside(&self, conn: &Connection) -> Result<Option<Claim>> {
        let Some(key) = self.keys.first() else { return Ok(None) };
        claim::claim_beside(conn, &self.scope, *key, &self.instance, &self.boot_id, self.now_ms)
    }
}
