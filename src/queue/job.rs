//! A job to add: a command, or a function of this program, with its options.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::handler;
use crate::error::{Error, Result};
use crate::job::hook::Hooks;
use crate::job::policy::{RetryOn, Stdin, Warn};
use crate::job::{Argv, JobId, Need, NewJob, Reason, Workspace};
use crate::units::duration_ms;

/// `n` minutes, as a [`Duration`].
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// A job to add: `queue.add(Job::command(["make", "test"]).retries(3))`.
///
/// [`Queue::add`](crate::Queue::add) reports a value that cannot be accepted, and nothing is added.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) spec: NewJob,
    pub(super) start: Start,
    pub(super) expires_in: Option<Duration>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) stdin: Option<Vec<u8>>,
    /// The first value that cannot be accepted.
    fault: Option<String>,
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    Now,
    After(Duration),
    At(SystemTime),
}

impl Job {
    /// A command and its arguments, passed byte for byte, without a shell.
    pub fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::of_argv(
            Argv::new(arguments.into_iter().map(|one| one.as_ref().as_bytes().to_vec()).collect()).map_err(|e| e.to_string()),
        )
    }

    /// A line for `/bin/sh -c`.
    pub fn shell(line: impl AsRef<OsStr>) -> Self {
        Self::of_argv(Argv::shell(line.as_ref().as_bytes()).map_err(|e| e.to_string()))
    }

    /// A function of the worker's program, by its name in [`init_with`](crate::init_with), and its
    /// arguments.
    ///
    /// That name is the label of the job unless [`Job::label`] sets another.
    pub fn call(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter().map(|one| one.as_ref().to_owned());
        let start = [handler::PROGRAM, handler::ARGUMENT, name].map(OsString::from);
        let mut job = Self::command(start.into_iter().chain(arguments)).label(name);
        if name.is_empty() {
            job.refuse("a handler has a name");
        }
        job
    }

    fn of_argv(argv: Result<Argv, String>) -> Self {
        let (argv, fault) = match argv {
            Ok(argv) => (argv, None),
            // Never added: the fault refuses it.
            Err(fault) => (Argv::from_strs(&["false"]).expect("one short word is a command"), Some(fault)),
        };
        Self {
            spec: NewJob::new(argv),
            start: Start::Now,
            expires_in: None,
            cwd: None,
            secrets: BTreeMap::new(),
            stdin: None,
            fault,
        }
    }

    fn refuse(&mut self, fault: impl Into<String>) {
        self.fault.get_or_insert_with(|| fault.into());
    }

    /// # Errors
    /// The first value that cannot be accepted.
    pub(super) fn is_sound(&self) -> Result<()> {
        match &self.fault {
            Some(fault) => Err(Error::Invalid(fault.clone())),
            None => Ok(()),
        }
    }

    /// Adds it to this queue instead of `default`.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.spec.placement.queue = name.into();
        self
    }

    /// Runs at most one job of this lane at once.
    pub fn lane(mut self, key: impl Into<String>) -> Self {
        self.spec.placement.lane = Some(key.into());
        self
    }

    /// Starts before jobs with a lower priority. The default is 0.
    pub fn priority(mut self, priority: i64) -> Self {
        self.spec.placement.priority = priority;
        self
    }

    /// Takes this many slots of the worker and of its queue while it runs, 1 to 10,000. The default
    /// is 1.
    pub fn slots(mut self, n: u32) -> Self {
        self.spec.placement.slots = n;
        self
    }

    /// Uses `amount` of a pool while it runs; it is not started before all that it uses is free.
    /// The pool must exist: [`Queue::set_pool`](crate::Queue::set_pool).
    pub fn uses(mut self, pool: impl Into<String>, amount: u32) -> Self {
        self.spec.placement.uses.insert(pool.into(), amount);
        self
    }

    /// A name that lists show and [`Filter`](crate::Filter) selects by.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.spec.placement.label = Some(label.into());
        self
    }

    /// Does not start before this time has passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Does not start before this instant.
    pub fn at(mut self, at: SystemTime) -> Self {
        self.start = Start::At(at);
        self
    }

    /// Fails as [`Reason::Expired`] if it has not started after this time.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// Does not start until [`Queue::release`](crate::Queue::release).
    pub fn held(mut self) -> Self {
        self.spec.placement.user_hold = true;
        self
    }

    /// Runs it again up to `n` times if it fails. By default, a job that was started is never
    /// started again.
    pub fn retries(mut self, n: u32) -> Self {
        self.spec.placement.max_attempts = n.saturating_add(1);
        self
    }

    /// Waits `first` before the second attempt, then longer, up to `most`. The defaults are 10
    /// seconds and one hour.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.spec.policy.backoff_ms = Some((duration_ms(first), duration_ms(most)));
        self
    }

    /// Retries only after this exit code, or other codes and reasons that are given.
    pub fn retry_on_exit(mut self, code: i32) -> Self {
        self.spec.policy.retry_on.get_or_insert_default().push(RetryOn::Code(code));
        self
    }

    /// Retries only after an end for this reason, or other codes and reasons that are given.
    pub fn retry_on(mut self, reason: Reason) -> Self {
        self.spec.policy.retry_on.get_or_insert_default().push(RetryOn::Reason(reason));
        self
    }

    /// Never retries after this exit code.
    pub fn no_retry_on_exit(mut self, code: i32) -> Self {
        self.spec.policy.no_retry_on.push(RetryOn::Code(code));
        self
    }

    /// Never retries after an end for this reason.
    pub fn no_retry_on(mut self, reason: Reason) -> Self {
        self.spec.policy.no_retry_on.push(RetryOn::Reason(reason));
        self
    }

    /// Requeues it up to `n` times when it exits with 75 ("not now"). The default is 20.
    pub fn max_deferrals(mut self, n: u32) -> Self {
        self.spec.policy.max_deferrals = Some(n);
        self
    }

    /// Stops the whole process tree of a run after this time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.policy.timeout_ms = Some(duration_ms(timeout));
        self
    }

    /// Waits this long between TERM and KILL. The default is 10 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.spec.policy.grace_ms = Some(duration_ms(grace));
        self
    }

    /// Sends the signal with this number this long before the timeout.
    pub fn warn(mut self, signal: i32, before: Duration) -> Self {
        self.spec.policy.warn = Some(Warn { signal, before_ms: duration_ms(before) });
        self
    }

    /// Stops it after this time without output.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.spec.policy.idle_timeout_ms = Some(duration_ms(timeout));
        self
    }

    /// Waits until this job is done; fails if it ends otherwise.
    pub fn after(self, id: JobId) -> Self {
        self.waits_for(id, Need::Done)
    }

    /// Waits until this job has ended in any way.
    pub fn after_any(self, id: JobId) -> Self {
        self.waits_for(id, Need::Any)
    }

    /// Waits until this job has ended but is not done; is cancelled if it is done.
    pub fn after_failed(self, id: JobId) -> Self {
        self.waits_for(id, Need::Failed)
    }

    fn waits_for(mut self, id: JobId, need: Need) -> Self {
        self.spec.after.push((id, need));
        self
    }

    /// Adds nothing if a job with this key is queued or running: [`Queue::add`](crate::Queue::add)
    /// returns that job.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.spec.placement.unique_key = Some(key.into());
        self
    }

    /// Cancels a queued or running job with this key, and takes its place.
    pub fn replace(mut self, key: impl Into<String>) -> Self {
        self.spec.placement.unique_key = Some(key.into());
        self.spec.placement.replace = true;
        self
    }

    /// Runs in this directory instead of the current directory of the process that adds it.
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.placement.env.insert(name.into(), value.into());
        self
    }

    /// Sets a variable whose value is kept in a private file until no live job needs it, and is
    /// never shown.
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.secrets.insert(name.into(), value.into());
        self
    }

    /// Sets its standard input, which is kept in a private file until no live job needs it.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Uses this file as its standard input, opened when a run starts.
    pub fn stdin_file(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match std::path::absolute(&path).map(|path| path.into_os_string().into_string()) {
            Ok(Ok(path)) => self.spec.policy.stdin = Some(Stdin::File(path)),
            Ok(Err(path)) => self.refuse(format!("the path {} is not UTF-8; rename the file", path.display())),
            Err(error) => self.refuse(format!("the path {}: {error}", path.display())),
        }
        self
    }

    /// Runs this command after exit 0; the job is done only if it exits with 0.
    pub fn check(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        match Argv::new(arguments.into_iter().map(|one| one.as_ref().as_bytes().to_vec()).collect()) {
            Ok(argv) => self.spec.policy.check = Some(argv),
            Err(error) => self.refuse(format!("check: {error}")),
        }
        self
    }

    /// Runs this command if the job fails and is not tried again.
    ///
    /// It runs at least once, until it exits with 0 or has failed 20 times, and takes no slot.
    /// `docs/notify.md` lists what it finds in its environment and on its standard input.
    pub fn on_failure(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.hook("on_failure", arguments, |hooks| &mut hooks.on_failure)
    }

    /// Runs this command when the job is done, as [`Job::on_failure`] does.
    pub fn on_success(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.hook("on_success", arguments, |hooks| &mut hooks.on_success)
    }

    /// Runs this command when the job has ended in any way, as [`Job::on_failure`] does.
    pub fn on_end(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.hook("on_end", arguments, |hooks| &mut hooks.on_end)
    }

    fn hook(
        mut self,
        name: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        of: impl FnOnce(&mut Hooks) -> &mut Option<Argv>,
    ) -> Self {
        match Argv::new(arguments.into_iter().map(|one| one.as_ref().as_bytes().to_vec()).collect()) {
            Ok(argv) => *of(&mut self.spec.policy.hooks) = Some(argv),
            Err(error) => self.refuse(format!("{name}: {error}")),
        }
        self
    }

    /// Runs in the directory that all jobs of this key share; a relative [`Job::cwd`] is inside it.
    pub fn workspace(mut self, key: impl Into<String>) -> Self {
        let prepare = self.spec.policy.workspace.take().and_then(|workspace| workspace.prepare);
        self.spec.policy.workspace = Some(Workspace { key: key.into(), prepare });
        self
    }

    /// Fills a missing workspace with this command, run in its new and empty directory.
    pub fn prepare(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let argv = Argv::new(arguments.into_iter().map(|one| one.as_ref().as_bytes().to_vec()).collect());
        match (argv, &mut self.spec.policy.workspace) {
            (Ok(argv), Some(workspace)) => workspace.prepare = Some(argv),
            (Ok(_), None) => self.refuse("prepare: name the workspace first"),
            (Err(error), _) => self.refuse(format!("prepare: {error}")),
        }
        self
    }

    /// Limits its memory, in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.spec.policy.memory_bytes = Some(bytes);
        self
    }

    /// Sets its niceness, -20 to 19.
    pub fn nice(mut self, nice: i32) -> Self {
        self.spec.policy.nice = Some(nice);
        self
    }

    /// Runs it as this user; only a worker of root can.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.spec.policy.user = Some(name.into());
        self
    }

    /// Drops the middle of its log above this size, in bytes.
    pub fn log_limit(mut self, bytes: u64) -> Self {
        self.spec.policy.log_limit_bytes = Some(bytes);
        self
    }
}
