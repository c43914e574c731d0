//! A job's run under this worker: the facts of the job that it needs, whether it was just claimed
//! or is adopted.

use crate::job::{Policy, Reason, RunKey};
use crate::store::job::claim::Claim;
use crate::store::job::launched::Launched;
use crate::store::job::rows::Job;
use crate::store::upkeep::open_runs::OpenRun;

/// A job's run. The policy is read from its row here, and nowhere else.
pub(super) struct JobRun {
    pub row: Job,
    pub policy: Policy,
    /// Why the policy of the row cannot be read; then it is the default one.
    policy_fault: Option<String>,
    pub key: RunKey,
    /// Number of its slot.
    pub slot: usize,
    pub previous_reason: Option<Reason>,
    /// The units that it has of each pool.
    pub units: Vec<(String, Vec<i64>)>,
    /// The backstop of its queue, in milliseconds.
    pub max_runtime_ms: Option<u64>,
    /// How it is given to another engine, if it is.
    pub launched: Option<Launched>,
}

impl JobRun {
    pub fn of_claim(claim: Claim, slot: usize) -> Self {
        let key = claim.key();
        let run = Self::new(claim.job, key, slot);
        Self {
            units: claim.units,
            previous_reason: claim.previous_reason,
            max_runtime_ms: claim.max_runtime_ms,
            launched: claim.launched,
            ..run
        }
    }

    /// A run that an earlier worker claimed. Facts that only a start needs are not known any more.
    pub fn of_open(open: &OpenRun, slot: usize) -> Self {
        let units = open.units.clone();
        let run = Self { units, launched: open.launched.clone(), ..Self::new(open.job.clone(), open.run.key(), slot) };
        if let Some(error) = &run.policy_fault {
            log::warn!("job {}: {error}; continuing without it", run.row.id);
        }
        run
    }

    fn new(row: Job, key: RunKey, slot: usize) -> Self {
        let (policy, policy_fault) = match Policy::from_json(&row.policy) {
            Ok(policy) => (policy, None),
            Err(error) => (Policy::default(), Some(error)),
        };
        Self {
            row,
            policy,
            policy_fault,
            key,
            slot,
            previous_reason: None,
            units: Vec::new(),
            max_runtime_ms: None,
            launched: None,
        }
    }

    /// Checks that its policy can be read.
    ///
    /// # Errors
    /// Text for the owner of the job.
    pub fn is_runnable(&self) -> Result<(), String> {
        self.policy_fault.clone().map_or(Ok(()), Err)
    }
}
