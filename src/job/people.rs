//! Several users of one worker: who may do what, and which jobs are accepted of a user.
//!
//! As `at`, `cron` and Slurm do it, only the system worker, which is root's, opens the file. Other
//! users of the machine are clients of its socket:
//!
//! ```text
//! tenure --system add       as a user: host::people (socket, its worker is root's) ── one packet ──┐
//!                                                                                                  ▼
//! worker::loops::people     as root: who asks (the kernel says), how often, how much; an answer is sent
//!   └─ queue::people        what is asked; asks `may` and `admit` here, then the verbs of the facade
//! run::shim                 the job, as its owner: uid, groups, home, no new privileges
//! ```
//!
//! # What is defended
//!
//! A user is hostile, and is known by `SO_PEERCRED` alone. Nothing that a user sends is believed
//! but what it asks for. Four attacks, and what stops each:
//!
//! | attack | defence |
//! | --- | --- |
//! | read what another user's job is | [`may`]; what any user may see of a job is a list of fields ([`Sight`]), so a new field is hidden |
//! | cancel or change it | [`may`], by the owner in its row, which never changes |
//! | become root, or another user | [`admit`]: a list of what a job may ask for, without `..`, so that a new option does not compile until it is decided; nothing that a user names is opened by root |
//! | starve or fill: requests, slots, rows, logs | [`Limits`], of each user |
//!
//! A path that a user names (the command, the directory) is resolved only in the process that has
//! become that user. The worker reads no such path, not even to explain an error.
//!
//! Root's own programs can use a file with jobs of users as before. What would run a user's words
//! as root is refused when it is launched ([`safe`]), in whichever way it got there.
//!
//! Deliberately absent: an identity in a request; a verb or an option that is not in these lists;
//! trust in the client, which is the same program and may be another one.

use super::limits::{DEFERRALS_MAX_DEFAULT, GRACE_MS_DEFAULT, LOG_LIMIT_BYTES_DEFAULT};
use super::{NewJob, Placement, Policy};

/// Most attempts of a job of a user.
pub const ATTEMPTS_MAX: u32 = 100;
/// Longest time between TERM and KILL of a job of a user, in milliseconds: others wait for it.
pub const GRACE_MS_MAX: u64 = 600_000;
/// How often such a job may exit with 75, "not now".
pub const DEFERRALS_MAX: u32 = 100;
/// Shortest first wait before such a job is tried again, in milliseconds.
pub const BACKOFF_MS_MIN: u64 = 1_000;
const _: () = assert!(DEFERRALS_MAX >= DEFERRALS_MAX_DEFAULT && GRACE_MS_MAX >= GRACE_MS_DEFAULT);

/// The user who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub uid: u32,
    /// A member of the group that may end and hold the jobs of users.
    pub is_operator: bool,
}

/// What is asked about one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// That it exists: its owner, queue, label and state.
    See,
    /// Everything else that is recorded of it.
    Read,
    /// Its output.
    Log,
    Cancel,
    Retry,
    Hold,
    Release,
    /// Remove it, with its logs.
    Remove,
}

impl Act {
    pub const ALL: [Self; 8] =
        [Self::See, Self::Read, Self::Log, Self::Cancel, Self::Retry, Self::Hold, Self::Release, Self::Remove];
}

/// How much of a job a user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    Whole,
    /// Its number, owner, queue, label, state and times.
    Outline,
}

/// Whether a user may do this to a job. `owner` is `None` for a job of root.
pub fn may(asker: Asker, owner: Option<u32>, act: Act) -> bool {
    if asker.uid == 0 || owner == Some(asker.uid) {
        return true;
    }
    match act {
        Act::See => true,
        Act::Cancel | Act::Retry | Act::Hold | Act::Release => asker.is_operator && owner.is_some(),
        Act::Read | Act::Log | Act::Remove => false,
    }
}

/// Returns how much of a job a user sees.
pub fn sight(asker: Asker, owner: Option<u32>) -> Sight {
    if may(asker, owner, Act::Read) { Sight::Whole } else { Sight::Outline }
}

/// What each user may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The queues whose jobs users may add.
    pub queues: Vec<String>,
    /// Most queued jobs of one user.
    pub queued: u32,
    /// Most jobs of one user that run at once.
    pub running: u32,
    /// Most jobs of one user in the file, with those that have ended.
    pub kept: u32,
    /// Space of the logs of one user, in bytes. Above it each further log is cut to the shortest
    /// limit, and no job is added.
    pub log_bytes: u64,
    /// Log limit of a job without one, and the highest, in bytes.
    pub log_limit_bytes: u64,
}

/// What `[people]` of the configuration has as defaults.
impl Default for Limits {
    fn default() -> Self {
        Self {
            queues: vec!["default".into()],
            queued: 1_000,
            running: 4,
            kept: 10_000,
            log_bytes: 1 << 30,
            log_limit_bytes: LOG_LIMIT_BYTES_DEFAULT,
        }
    }
}

/// What a user asks for, and why it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub option: &'static str,
    pub why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--{}: {}", self.option, self.why)
    }
}

fn refused<T>(option: &'static str, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { option, why: why.into() })
}

/// The words for an option that a user cannot give.
const OF_ROOT: &str = "only jobs that root adds have it; omit it";

/// Checks that a user may add a job like this. Every part of a job is named here.
///
/// # Errors
/// The first option that is refused.
pub fn admit(job: &NewJob, limits: &Limits) -> Result<(), Refused> {
    let NewJob {
        command: _,
        placement,
        policy,
        lane_limit,
        available_at: _,
        expires_at: _,
        array_index: _,
        stop_group,
        after: _, // Only the user's own jobs: checked where they are looked up.
        task,
        task_hold,
        owner: _, // The worker sets it.
    } = job;
    let Placement {
        queue,
        lane,
        priority,
        slots,
        uses,
        label: _,
        cwd: _, // Entered by the owner.
        max_attempts,
        unique_key: _, // Each user has keys of their own.
        replace: _,
        env: _, // Of a process that has no privileges any more.
        user_hold: _,
    } = placement;
    if !limits.queues.contains(queue) {
        return refused("queue", format!("users add jobs to {}, not to {queue:?}; name one of them", limits.queues.join(", ")));
    }
    if lane.is_some() {
        return refused("lane", "the jobs of a user share a lane of their own; omit it, or order them with --after");
    }
    if lane_limit.is_some() {
        return refused("array", "a limit of its own needs a lane, which users do not have; leave the % out");
    }
    if *priority > 0 {
        return refused("priority", format!("{priority} is above 0, which only root gives; use 0 or less"));
    }
    if *slots > 1 {
        return refused("slots", "what a user may have at once is counted in jobs; omit it");
    }
    // What a user uses of a pool has no limit of its own, and others wait for it.
    if !uses.is_empty() {
        return refused("use", OF_ROOT);
    }
    if *max_attempts > ATTEMPTS_MAX {
        return refused("retries", format!("a job of a user has at most {} retries", ATTEMPTS_MAX - 1));
    }
    // A number of another user's group would stop that user's jobs.
    if stop_group.is_some() {
        return refused("array", OF_ROOT.replacen("have it", "stop together", 1));
    }
    if task.is_some() || *task_hold {
        return refused("task", OF_ROOT);
    }
    bounded(policy, limits)?;
    safe(policy)
}

/// Checks the limits that a policy names.
fn bounded(policy: &Policy, limits: &Limits) -> Result<(), Refused> {
    if policy.grace_ms.is_some_and(|ms| ms > GRACE_MS_MAX) {
        return refused("grace", format!("a job of a user has at most {} s to end", GRACE_MS_MAX / 1_000));
    }
    if policy.max_deferrals.is_some_and(|most| most > DEFERRALS_MAX) {
        return refused("max-deferrals", format!("at most {DEFERRALS_MAX}"));
    }
    if policy.backoff_ms.is_some_and(|(first, _)| first < BACKOFF_MS_MIN) {
        return refused(
            "backoff",
            format!("a job of a user waits at least {} s before it is tried again", BACKOFF_MS_MIN / 1_000),
        );
    }
    if policy.nice.is_some_and(|nice| nice < 0) {
        return refused("nice", "only root goes below 0; use 0 or more");
    }
    match policy.log_limit_bytes {
        Some(bytes) if bytes > limits.log_limit_bytes => {
            refused("log-limit", format!("at most {} bytes on this machine", limits.log_limit_bytes))
        }
        _ => Ok(()),
    }
}

/// Checks that nothing in a policy makes root do what a user says. Asked when a job is added, and
/// again whenever a command of a job of a user is launched.
///
/// # Errors
/// The first option that is refused.
pub fn safe(policy: &Policy) -> Result<(), Refused> {
    let Policy {
        timeout_ms: _,
        grace_ms: _,
        warn: _,
        idle_timeout_ms: _,
        backoff_ms: _,
        retry_on: _,
        no_retry_on: _,
        max_deferrals: _,
        memory_bytes: _,
        nice: _,
        log_limit_bytes: _,
        user,
        stdin,
        check,
        workspace,
        hooks,
        secrets,
    } = policy;
    if user.is_some() {
        return refused("user", "a job runs as the user who adds it; omit it");
    }
    if stdin.is_some() {
        return refused("stdin", "root would open the file; let the command read it: -c 'COMMAND <FILE'");
    }
    for (option, is_given) in [
        ("check", check.is_some()),
        ("workspace", workspace.is_some()),
        ("on-end", *hooks != super::hook::Hooks::default()),
        ("secret", !secrets.is_empty()),
    ] {
        if is_given {
            return refused(option, OF_ROOT);
        }
    }
    Ok(())
}

/// The lane that all jobs of a user share: its limit is how many of them run at once.
pub fn lane(uid: u32) -> String {
    format!("user-{uid}")
}

/// The unique key of a user's job: keys of different users are different.
pub fn unique_key(uid: u32, key: &str) -> String {
    format!("user-{uid}/{key}")
}

/// Returns the log limit of a run whose user has so much left.
pub fn log_limit(wanted: Option<u64>, limits: &Limits, used_bytes: u64) -> u64 {
    let wanted = wanted.filter(|bytes| *bytes > 0).unwrap_or(limits.log_limit_bytes).min(limits.log_limit_bytes);
    let left = limits.log_bytes.saturating_sub(used_bytes);
    wanted.min(left).max(super::limits::LOG_LIMIT_BYTES_MIN)
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
