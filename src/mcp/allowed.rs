//! What the operator allows. Pure.
//!
//! A server that may change something has one queue: it adds to that queue alone, and shows and
//! cancels the jobs of that queue alone. So it knows its jobs again when it is started anew, and a
//! person sees and limits them with the verbs for queues.

use crate::job::NewJob;
use crate::job::limits::GRACE_MS_DEFAULT;
use crate::mcp::limits::GRACE_MS_MAX;
use crate::parse::options::JobOptions;
use crate::units::duration_text;

/// What a server may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// It shows jobs of this queue; `None`: of every queue.
    Reads(Option<String>),
    /// It adds jobs to a queue as well, and cancels them.
    Changes(Changes),
}

/// What a server may do to its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub queue: String,
    /// Most live jobs in the queue after it has added one.
    pub jobs_max: u64,
    pub timeout_ms_max: u64,
}

impl Allowed {
    /// Returns the queue whose jobs it shows; `None`: every queue.
    pub fn queue(&self) -> Option<&str> {
        match self {
            Self::Reads(queue) => queue.as_deref(),
            Self::Changes(changes) => Some(&changes.queue),
        }
    }

    /// Whether it shows a job of this queue.
    pub fn shows(&self, queue: &str) -> bool {
        self.queue().is_none_or(|own| own == queue)
    }

    /// Whether it shows the variables of a job. They are the secrets of others, where no queue is
    /// named whose jobs are for this client.
    pub fn shows_variables(&self) -> bool {
        self.queue().is_some()
    }

    /// Returns what it may change.
    ///
    /// # Errors
    /// Nothing.
    pub fn changes(&self) -> Result<&Changes, String> {
        match self {
            Self::Changes(changes) => Ok(changes),
            Self::Reads(_) => Err("this server only shows jobs; its operator has started it with --read-only".into()),
        }
    }
}

impl Changes {
    /// Returns the options that a job has unless it says others.
    pub fn options(&self) -> JobOptions {
        JobOptions { queue: Some(self.queue.clone()), timeout: Some(self.timeout_ms_max), ..JobOptions::default() }
    }

    /// Says what is too much about a job that is to be added.
    ///
    /// # Errors
    /// It is not allowed.
    pub fn admit(&self, job: &NewJob) -> Result<(), String> {
        if job.placement.queue != self.queue {
            return Err(format!("queue: this server adds to the queue {:?} alone; omit the key", self.queue));
        }
        let most = self.timeout_ms_max;
        if job.policy.timeout_ms.is_none_or(|timeout| timeout > most) {
            return Err(format!(
                "timeout: this server allows at most {}; give that or less, or omit the key",
                duration_text(most)
            ));
        }
        let grace = job.policy.grace_ms.unwrap_or(GRACE_MS_DEFAULT);
        if grace > GRACE_MS_MAX {
            return Err(format!("grace: this server allows at most {}; give that or less", duration_text(GRACE_MS_MAX)));
        }
        Ok(())
    }

    /// Says whether there is room for jobs that were added, with which the queue has so many live
    /// jobs.
    ///
    /// # Errors
    /// There is none.
    pub fn has_room(&self, live: u64) -> Result<(), String> {
        match live <= self.jobs_max {
            true => Ok(()),
            false => Err(format!(
                "the queue {:?} would have {live} live jobs, and this server allows {}; wait until jobs have ended, or cancel some",
                self.queue, self.jobs_max
            )),
        }
    }

    /// Whether a job of this queue may be waited for, replaced and cancelled.
    pub fn owns(&self, queue: &str) -> bool {
        queue == self.queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Argv;

    fn changes() -> Changes {
        Changes { queue: "agents".into(), jobs_max: 2, timeout_ms_max: 60_000 }
    }

    fn job() -> NewJob {
        let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        job.placement.queue = "agents".into();
        job.policy.timeout_ms = Some(60_000);
        job
    }

    #[test]
    fn only_the_queue_is_shown_and_changed() {
        let all = Allowed::Reads(None);
        let one = Allowed::Reads(Some("mail".into()));
        let own = Allowed::Changes(changes());
        let shows = |allowed: &Allowed| ["agents", "mail"].map(|queue| allowed.shows(queue));
        assert_eq!([shows(&all), shows(&one), shows(&own)], [[true, true], [false, true], [true, false]]);
        assert_eq!([&all, &one, &own].map(Allowed::shows_variables), [false, true, true]);
        assert!(all.changes().is_err() && one.changes().is_err() && own.changes().is_ok());
        assert!(changes().owns("agents") && !changes().owns("mail") && !changes().owns(""));
    }

    #[test]
    fn a_job_keeps_to_queue_and_time() {
        let refused = |change: fn(&mut NewJob)| {
            let mut job = job();
            change(&mut job);
            changes().admit(&job).err().unwrap_or_default()
        };
        assert_eq!(refused(|_| ()), "");
        assert_eq!(refused(|job| job.policy.timeout_ms = Some(1)), "");
        assert!(refused(|job| job.policy.timeout_ms = Some(60_001)).starts_with("timeout: "));
        assert!(refused(|job| job.policy.timeout_ms = None).starts_with("timeout: "));
        assert!(refused(|job| job.policy.grace_ms = Some(GRACE_MS_MAX + 1)).starts_with("grace: "));
        assert_eq!(refused(|job| job.policy.grace_ms = Some(GRACE_MS_MAX)), "");
        assert!(refused(|job| job.placement.queue = "default".into()).starts_with("queue: "));
        let options = changes().options();
        assert_eq!((options.queue.as_deref(), options.timeout), (Some("agents"), Some(60_000)));
    }

    #[test]
    fn the_last_place_is_taken_and_no_more() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(|live| changes().has_room(live).is_ok()), [true, true, true, false, false]);
    }
}
