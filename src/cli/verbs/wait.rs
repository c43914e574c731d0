//! `tenure wait`: wait until jobs have ended. For one job, exits with its code.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::{ENDED_MAX, Many};
use crate::cli::parse::time;
use crate::cli::view::{code, escape, json, table};
use crate::cli::watch::waits::{By, Waits};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::changes::Changes;
use crate::queue::wait::Waiting;
use crate::queue::{JobInfo, Queue};
use crate::store::Store;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Many,
    /// Select only jobs that were added within DURATION
    ///
    /// With --queue, --state and --label. The default is every live job and the newest 10000 ended
    /// ones.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub since: Option<u64>,
    /// Wait until one of them has ended
    #[arg(long)]
    pub any: bool,
    /// Give up after DURATION and exit with 124
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub timeout: Option<u64>,
    /// Fail with exit code 5 if no worker is running
    #[arg(long)]
    pub need_worker: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let queue = face.queue()?;
    let store = &queue.store;
    if args.need_worker {
        face::need_worker(store.place())?;
    }
    let jobs = meant(face, args, &queue)?;
    let mut waiting = Waited::new(&jobs, args.any);
    let until = args.timeout.map(|ms| Instant::now() + Duration::from_millis(ms));
    let bar = progress_bar(jobs.len());
    let mut changes = Changes::default();
    let mut waits = Waits::of(JobId(0), By::Watcher);
    loop {
        if changes.poll(store)? {
            changes.stir();
            waiting.poll(store, &bar)?;
        }
        if waiting.is_over() {
            break;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            bar.finish_and_clear();
            face::say(&format!("not all have ended within the timeout: {}", waiting.names_left()));
            return Ok(exit::TIMEOUT);
        }
        if let Some(oldest) = waiting.jobs.left().first() {
            bar.suspend(|| waits.poll_job(*oldest, face, store))?;
        }
        changes.rest(until);
    }
    bar.finish_and_clear();
    // What is printed from here on must still be true after a power cut.
    store.flush_now()?;
    waiting.tell(face, args.any)?;
    Ok(waiting.code())
}

/// Returns the jobs to wait for, including those that have ended before.
fn meant(face: &Face, args: &Args, queue: &Queue) -> Result<Vec<JobInfo>> {
    if args.since.is_some() && !args.which.is_filter() {
        return Err(Error::Invalid("--since narrows --queue, --state and --label; give one of them, or omit it".into()));
    }
    let mut jobs = args.which.jobs_to_wait_for(queue)?;
    if args.which.ids.is_empty() && jobs.iter().filter(|job| job.stored.state.is_terminal()).count() >= ENDED_MAX {
        face::say(&format!("of the ended jobs the newest {ENDED_MAX} are selected; --since narrows them"));
    }
    if let Some(since) = args.since {
        let from_ms = face.now_ms().saturating_sub_unsigned(since);
        jobs.retain(|job| time::ms_of(job.created_at) >= from_ms);
    }
    if jobs.is_empty() { Err(args.which.no_match(queue, &State::ALL)?) } else { Ok(jobs) }
}

/// Jobs that are not ended yet, and those that have ended.
struct Waited {
    jobs: Waiting,
    ended: Vec<JobInfo>,
    any: bool,
    several: bool,
}

impl Waited {
    fn new(jobs: &[JobInfo], any: bool) -> Self {
        Self { jobs: Waiting::new(jobs.iter().map(|job| job.id)), ended: Vec::new(), any, several: jobs.len() != 1 }
    }

    fn is_over(&self) -> bool {
        self.jobs.left().is_empty() || (self.any && !self.ended.is_empty())
    }

    fn poll(&mut self, store: &Store, bar: &ProgressBar) -> Result<()> {
        for job in self.jobs.poll(store)? {
            let (id, job) = (job.id, JobInfo::of(job));
            if job.has_ended() {
                self.ended.push(job);
            } else if !self.several {
                let progress = job.stored.progress.as_deref().map(table::progress).unwrap_or_default();
                bar.set_message(escape::line(&format!("job {id} {} {progress}", table::state(&job))).into_owned());
            }
        }
        bar.set_position(self.ended.len() as u64);
        bar.tick();
        Ok(())
    }

    fn names_left(&self) -> String {
        const NAMED_MAX: usize = 10;
        let mut names: Vec<String> = self.jobs.left().iter().take(NAMED_MAX).map(ToString::to_string).collect();
        if self.jobs.left().len() > NAMED_MAX {
            names.push(format!("and {} more", self.jobs.left().len() - NAMED_MAX));
        }
        names.join(", ")
    }

    fn tell(&self, face: &Face, any: bool) -> Result<()> {
        for job in &self.ended {
            if face.json {
                face::print(&format!("{}\n", json::job(job)))?;
            } else if any {
                face::print(&format!("{}\n", job.id))?;
            } else if job.state != State::Done {
                let error = job.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
                face::say(&format!("job {} {}{error}", job.id, table::state(job)));
            }
        }
        Ok(())
    }

    fn code(&self) -> u8 {
        match self.ended.as_slice() {
            [one] if !self.several => code::of_job(one),
            all if all.iter().all(|job| job.state == State::Done || job.was_needless()) => exit::OK,
            _ => exit::FAILED,
        }
    }
}

fn progress_bar(jobs: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    if jobs == 1 { ProgressBar::new_spinner() } else { ProgressBar::new(jobs as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture::job;
    use crate::job::Reason;

    fn ended(states: &[State], several: bool) -> u8 {
        let of = |state: &State| {
            let mut job = job(7, *state);
            (job.reason, job.exit_code) = (Some(Reason::Exit), Some(if *state == State::Done { 0 } else { 3 }));
            JobInfo::of(job)
        };
        Waited { jobs: Waiting::new([]), ended: states.iter().map(of).collect(), any: false, several }.code()
    }

    #[test]
    fn one_job_gives_its_code_and_several_whether_all_are_done() {
        assert_eq!(ended(&[State::Done], false), 0);
        assert_eq!(ended(&[State::Failed], false), 3);
        assert_eq!(ended(&[State::Failed], true), 1);
        assert_eq!(ended(&[State::Done, State::Done], true), 0);
        assert_eq!(ended(&[State::Done, State::Failed], true), 1);
        assert_eq!(ended(&[], true), 0);
    }
}
