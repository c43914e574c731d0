//! Watches a run until it is over.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::halt::Halt;
use super::handle::Attempt;
use super::observe::observe;
use super::supervise::Supervisor;
use crate::error::{Error, Result};
use crate::job::Cause;
use crate::job::verdict::{Progress, RunFile};
use crate::run::Launch;
use crate::run::record::{Record, Records};
use crate::run::runfile::RunFile as LockedFile;
use crate::run::spawner::{Status, StatusPipe};
use crate::run::stop;

/// Interval between two checks of a lock whose holder cannot be waited for, in milliseconds: first,
/// and longest.
const LOOK_FIRST_MS: u64 = 2;
const LOOK_MOST_MS: u64 = 1_000;

impl Attempt<'_> {
    /// Launches an auxiliary command and watches it.
    pub fn launch(&self, launch: &Launch, file: LockedFile) -> Result<Records, Halt> {
        let pipe = self.ctx.spawner().and_then(|spawner| spawner.launch(launch, file))?;
        self.follow(pipe)
    }

    /// Reads the shim's records until they say that the run is over, or until its end of the pipe
    /// is closed. (The shim reports a start some milliseconds later, or together with the end of a
    /// shorter run.)
    pub fn follow(&self, mut pipe: StatusPipe) -> Result<Records, Halt> {
        let mut records = Records::default();
        let mut supervisor = Supervisor::of_launched();
        let mut is_withdrawn = false;
        loop {
            let mut fds = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(&*self.waker, PollFlags::IN)];
            wait_for(&mut fds, supervisor.next_act())?;
            if self.ctx.is_detaching() {
                return Err(Halt::Detached);
            }
            loop {
                match pipe.next()? {
                    Status::Record(record) => {
                        if matches!(record, Record::Started(_) | Record::Exited(_)) {
                            self.ctx.has_started(self.key.run);
                        }
                        let is_last = matches!(record, Record::Drained(_) | Record::Failed(_));
                        records.add(record);
                        if is_last {
                            return Ok(supervisor.seen_in(records));
                        }
                    }
                    Status::NothingYet => break,
                    Status::Closed => return Ok(supervisor.seen_in(records)),
                }
            }
            // The spawner may be stopped with the run in its socket. A cancelled run must not begin
            // when it is continued.
            if !is_withdrawn && self.waker.cause() == Some(Cause::Cancel) && records.progress() == Progress::Nothing {
                is_withdrawn = true;
                pipe.go().withdraw();
                log::debug!("run {} was cancelled before it began, and is withdrawn", self.key.run);
            }
            supervisor.act(self, &records);
        }
    }

    /// Waits until no process holds the run's lock any more, and passes stop requests on meanwhile.
    pub fn wait_until_over(&self) -> Result<Records, Halt> {
        let ctx = self.ctx;
        let mut supervisor = Supervisor::of_adopted();
        let mut wait_ms = LOOK_FIRST_MS;
        loop {
            let seen = observe(self)?;
            if !matches!(seen.file, RunFile::Own { locked: true, .. }) {
                return Ok(supervisor.seen_in(seen.records));
            }
            if ctx.is_detaching() {
                return Err(Halt::Detached);
            }
            supervisor.act(self, &seen.records);
            // The shim's pidfd says when to check; the lock is authoritative. If the shim is gone
            // and its spawner is still sweeping, only time helps.
            let shim = stop::shim_pidfd(ctx.place(), self.key)?;
            wait_ms = if shim.is_some() { LOOK_MOST_MS } else { (wait_ms * 2).min(LOOK_MOST_MS) };
            let mut until = Instant::now() + Duration::from_millis(wait_ms);
            if let Some(next) = supervisor.next_act() {
                until = until.min(next);
            }
            match &shim {
                Some(shim) => {
                    wait_for(&mut [PollFd::new(shim, PollFlags::IN), PollFd::new(&*self.waker, PollFlags::IN)], Some(until))?
                }
                None => wait_for(&mut [PollFd::new(&*self.waker, PollFlags::IN)], Some(until))?,
            }
            if shim.is_some() {
                // It ended, or a stop request came: the lock is free a moment later.
                wait_ms = LOOK_FIRST_MS;
            }
        }
    }
}

/// Waits for any of the descriptors, or until then.
pub fn wait_for(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<()> {
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(500);
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(Error::io("waiting for a run", e)),
    }
}
