//! Children of the worker's process that it did not start: orphans below a worker are reparented to
//! the worker.
//!
//! While a spawner lives, orphans are reparented to it at most. But a spawner may be killed, and
//! hours later one of its shims: then the processes of that shim's job have only the worker above
//! them. And as the first process of a pid namespace, a worker is the parent of every orphan there.
//!
//! | child of this process | reaped here | ended here |
//! | --- | --- | --- |
//! | started here ([`spawn`]): a spawner | no: its end is read where it was started | no |
//! | a living shim (its name, and the run file at its fixed descriptor) | once it is dead | no |
//! | any other, if all orphans belong to tenure | once it is dead | yes, while a run is being settled |
//! | any other, if foreign orphans arrive as well | once it is dead | only by the marks of a run (`super::marks`) |
//!
//! Foreign orphans arrive at a process with pid 1, and at one that had children before it became a
//! worker (`server & exec tenure work`). A program that embeds a worker never calls
//! [`Orphans::adopt`]: its children and their orphans are its own, and orphans of a run are found
//! by its marks there.

use std::io;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::getpid;

use crate::error::{Error, Result};
use crate::job::Nonce;

use super::descendants::{all_children, kill_round};
use super::marks::is_of_another_run;
use super::process::{Stat, open_file_identity};
use super::protocol::{LOCK_FD, SHIM_NAME};
use super::{signal, wait};

/// Interval between two checks while there is no child at all, in milliseconds.
const NO_CHILD_MS: u64 = 1_000;

/// Children that were started here. While it is locked, none is started, and no pid of a dead one
/// is freed.
static OWN: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

fn own() -> MutexGuard<'static, Vec<Arc<Mutex<Child>>>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that was started here, and that no other thread waits for.
#[derive(Debug)]
pub struct OwnChild(Arc<Mutex<Child>>);

/// Starts a child that is known from its first instant.
///
/// # Errors
/// The system refuses it.
pub fn spawn(command: &mut Command) -> io::Result<OwnChild> {
    let mut own = own();
    let child = Arc::new(Mutex::new(command.spawn()?));
    own.push(Arc::clone(&child));
    Ok(OwnChild(child))
}

impl OwnChild {
    pub fn id(&self) -> u32 {
        lock(&self.0).id()
    }

    /// The read end of its output, where that was asked for; once.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        lock(&self.0).stdout.take()
    }

    /// Whether it has ended; it is reaped then. An error means that it was already waited for.
    pub fn has_ended(&self) -> bool {
        !matches!(lock(&self.0).try_wait(), Ok(None))
    }

    /// Ends it, and waits for its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn end(&self) -> io::Result<ExitStatus> {
        let mut child = lock(&self.0);
        let _gone_already = child.kill();
        child.wait()
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        own().retain(|child| !Arc::ptr_eq(child, &self.0));
    }
}

/// This process as the last reaper of its tree.
#[derive(Debug)]
pub struct Orphans {
    /// Only orphans of tenure's runs are reparented to this process.
    all_are_ours: bool,
}

impl Orphans {
    /// Becomes the reaper of orphans, from now on and until this process ends. Called before
    /// anything is started.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn adopt() -> Result<Self> {
        let told = |error: io::Error| Error::io("becoming the reaper of what runs leave behind", error);
        // While CHLD is ignored, children cannot be waited for.
        signal::hear_of_children();
        let me = getpid();
        rustix::process::set_child_subreaper(Some(me)).map_err(|e| told(e.into()))?;
        let me = me.as_raw_nonzero().get();
        let all_are_ours = me != 1 && all_children(me).is_empty();
        thread::Builder::new().name("orphans".into()).spawn(reap_for_ever).map_err(told)?;
        Ok(Self { all_are_ours })
    }

    /// One round: sends KILL to orphans that are not below a live shim. Returns those that are
    /// still there and may belong to this run; empty if there are none.
    pub fn sweep(&self, nonce: Nonce) -> Vec<String> {
        let me = getpid().as_raw_nonzero().get();
        // Held during the whole round: no pid of a child is reused meanwhile.
        let own = own();
        let ours: Vec<i32> = own.iter().map(|child| lock(child).id().cast_signed()).collect();
        let is_spared = |pid: i32| ours.contains(&pid) || is_living_shim(pid);
        let strays = || {
            let living = |pid: &i32| Stat::of(*pid).filter(|stat| !stat.is_dead());
            let strays = all_children(me).into_iter().filter(|pid| !is_spared(*pid));
            strays.filter_map(|pid| living(&pid)).collect::<Vec<_>>()
        };
        // A shim that is being killed has closed its run file, and the processes below it are
        // reparented in a moment.
        let counts = |stat: &Stat| self.all_are_ours || stat.comm == SHIM_NAME;
        let found: Vec<Stat> = strays().into_iter().filter(counts).collect();
        if !found.is_empty() && self.all_are_ours {
            kill_round(me, &is_spared);
        }
        let found = found.into_iter().filter(|stat| !is_of_another_run(stat.pid, nonce));
        found.map(|stat| format!("{} {}", stat.pid, stat.comm)).collect()
    }
}

fn is_living_shim(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.comm == SHIM_NAME) && open_file_identity(pid, LOCK_FD).is_ok()
}

/// The thread. It holds nothing of the worker, and ends with the process.
fn reap_for_ever() {
    // Signals are for the threads that wait for them.
    let _as_it_was = signal::block_all();
    loop {
        let Some(pid) = wait::next_dead() else {
            // The kernel has no wait for a first child.
            thread::sleep(Duration::from_millis(NO_CHILD_MS));
            continue;
        };
        let own = own();
        match own.iter().find(|child| lock(child).id().cast_signed() == pid) {
            // The status is kept for the thread that asks.
            Some(child) => drop(lock(child).try_wait()),
            None => drop(wait::reap(pid)),
        }
    }
}
