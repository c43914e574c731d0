//! `tenure doctor --crash-test`: kills a worker and a shim on this machine, and shows that the
//! guarantees hold here.
//!
//! It uses its own file in a temporary directory, with workers of this program. The result depends
//! on the kernel and the file system, so an operator may want to run it on the target machine. It
//! leaves nothing behind.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::doctor::finding::Finding;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::host::lock::Holder;
use crate::host::waker;
use crate::job::{Argv, JobId, NewJob, Policy, Reason, RunId, State};
use crate::run::machine;
use crate::run::runfile::{self, Inspection};
use crate::store::job::rows::Job;
use crate::store::{Options, Role, Store, job::control, job::enqueue, job::read};

/// How long to wait for each event, in milliseconds. It occurs within a second on a healthy
/// machine.
const PATIENCE_MS: u64 = 30_000;
/// Interval between two polls, in milliseconds: the events happen in other processes.
const LOOK_MS: u64 = 5;

/// One guarantee; returns what was observed.
type Test = fn(&Bench) -> Result<String>;

/// Runs the test; returns a finding for each guarantee.
///
/// # Errors
/// The test could not run at all (no space, no permission).
pub fn run(within: &Path) -> Result<Vec<Finding>> {
    let bench = Bench::new(within)?;
    let tests: [(&'static str, Test); 3] = [("adopt", adopt), ("lost", lose_a_shim), ("cancel", cancel_a_tree)];
    Ok(tests
        .into_iter()
        .map(|(name, test)| match test(&bench) {
            Ok(text) => Finding::fine(name, text),
            Err(error) => Finding::wrong(name, error.to_string(), "report this, with the kernel's version and the file system"),
        })
        .collect())
}

/// Kills the worker while a job is running: the job continues, and the next worker adopts it.
fn adopt(bench: &Bench) -> Result<String> {
    let first = bench.work()?;
    let id = bench.add("while [ ! -e go ]; do sleep 0.02; done; exit 7")?;
    let run = bench.until_running(id)?;
    first.kill()?;
    match runfile::inspect(bench.store.place(), run)? {
        Inspection::Found { locked: true, .. } => {}
        other => return Err(broken(format!("the run's lock is not held after the worker was killed: {other:?}"))),
    }
    let _second = bench.work()?;
    std::fs::write(bench.dir.join("go"), "").map_err(|e| Error::io("making a file", e))?;
    let job = bench.until_ended(id)?;
    expect(&job, State::Failed, Reason::Exit)?;
    if job.exit_code != Some(7) || job.attempts != 1 {
        return Err(broken(format!("exit code {:?} after {} attempts, and it was 7 after one", job.exit_code, job.attempts)));
    }
    Ok("the worker was killed with -9: the job continued, and the next worker adopted it, with its exit code".into())
}

/// Kills a shim: the run is lost, never exit 0, and nothing of its tree is left.
fn lose_a_shim(bench: &Bench) -> Result<String> {
    let _worker = bench.work()?;
    let id = bench.add("setsid sleep 600 & sleep 600")?;
    let run = bench.until_running(id)?;
    let shim = bench.until("the shim", || match runfile::inspect(bench.store.place(), run)? {
        Inspection::Found { records, .. } => Ok(records.started.map(|started| started.shim_pid)),
        _ => Ok(None),
    })?;
    kill(shim)?;
    expect(&bench.until_ended(id)?, State::Failed, Reason::Lost)?;
    bench.expect_nothing_left()?;
    Ok("a shim was killed with -9: its run is lost, and nothing of its tree is left".into())
}

/// Cancels a tree that ignores TERM and leaves its session: nothing of it is left.
fn cancel_a_tree(bench: &Bench) -> Result<String> {
    let _worker = bench.work()?;
    let id = bench.add("trap '' TERM; setsid sh -c 'env -i sleep 600 & env -i setsid sleep 600 &' & sleep 600")?;
    bench.until_running(id)?;
    let now_ms = Clock::System.now_ms();
    bench.store.write(move |conn| control::cancel(conn, id, Some("crash test"), now_ms))?;
    waker::send(bench.store.place());
    expect(&bench.until_ended(id)?, State::Cancelled, Reason::Cancelled)?;
    bench.expect_nothing_left()?;
    Ok("a tree that ignores TERM and leaves its session was cancelled: nothing of it is left".into())
}

fn expect(job: &Job, state: State, reason: Reason) -> Result<()> {
    if job.state == state && job.reason == Some(reason) {
        return Ok(());
    }
    Err(broken(format!("the job ended as {} ({:?}), and it should be {state} ({reason})", job.state, job.reason)))
}

fn broken(what: String) -> Error {
    Error::Internal(what)
}

fn kill(pid: i32) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(|| broken("a process without a number".into()))?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(|e| Error::io("killing a shim", e))
}

/// A directory and a file for the test.
struct Bench {
    dir: PathBuf,
    store: Store,
}

impl Bench {
    fn new(within: &Path) -> Result<Self> {
        let dir = within.join(format!("crash-test-{}", machine::nonce()));
        std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|e| Error::io(format!("making {}", dir.display()), e))?;
        let store = Store::open(&dir.join("t.db"), Options::new(Role::Client))?;
        Ok(Self { dir, store })
    }

    fn work(&self) -> Result<Working> {
        let program = std::env::current_exe().map_err(|e| Error::io("finding this program", e))?;
        let child = Command::new(program)
            .args(["work", "--slots", "1", "--allow-shared", "--db"])
            .arg(self.store.place().db())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::io("starting a worker", e))?;
        let working = Working(child);
        let pid = working.0.id();
        self.until("the worker", || Ok(Holder::read(self.store.place())?.filter(|holder| holder.pid == pid)))?;
        Ok(working)
    }

    fn add(&self, line: &str) -> Result<JobId> {
        let command = Argv::shell(line).map_err(|e| broken(e.to_string()))?;
        let policy = Policy { grace_ms: Some(200), ..Policy::default() };
        let mut job = NewJob { policy, ..NewJob::new(command) };
        job.placement.cwd = self.dir.to_string_lossy().into_owned();
        let now_ms = Clock::System.now_ms();
        let added = self.store.write(move |conn| enqueue::add(conn, std::slice::from_ref(&job), now_ms))?;
        waker::send(self.store.place());
        added.first().map(|added| added.id).ok_or_else(|| broken("a job was added and none came back".into()))
    }

    fn until_running(&self, id: JobId) -> Result<RunId> {
        self.until("the job to run", || Ok(self.job(id)?.and_then(|job| job.pid.and(job.run_id))))
    }

    fn until_ended(&self, id: JobId) -> Result<Job> {
        self.until("the job to end", || Ok(self.job(id)?.filter(|job| job.state.is_terminal())))
    }

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.store.read(move |conn| read::job(conn, id))
    }

    fn until<T>(&self, what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let until = Instant::now() + Duration::from_millis(PATIENCE_MS);
        loop {
            if let Some(seen) = poll()? {
                return Ok(seen);
            }
            if Instant::now() > until {
                return Err(broken(format!("waited {PATIENCE_MS} ms for {what} without success")));
            }
            // The events happen in other processes, without a notification.
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }

    /// No process works in the test's directory any more, except this program and the worker, whose
    /// directory is another one.
    fn expect_nothing_left(&self) -> Result<()> {
        let left: Vec<String> = std::fs::read_dir("/proc")
            .map_err(|e| Error::io("reading /proc", e))?
            .flatten()
            .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == self.dir))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        if left.is_empty() { Ok(()) } else { Err(broken(format!("processes are left: {}", left.join(", ")))) }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            log::warn!("removing {}: {error}", self.dir.display());
        }
    }
}

/// A worker that ends with the test.
struct Working(Child);

impl Working {
    fn kill(mut self) -> Result<()> {
        self.0.kill().and_then(|()| self.0.wait()).map(drop).map_err(|e| Error::io("killing the worker", e))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}
