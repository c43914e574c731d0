//! Dead is what the kernel says is dead: processes of every odd kind, at every end of a run.
//!
//! In true uninterruptible sleep no process can be ended, and no test can make it without a broken device; the parent of a vfork
//! shows the same state (D), and waits for a child that must be found.

use std::path::PathBuf;

use crate::support::zoo::{self, KINDS, lives};
use crate::support::{Nest, Signal, children, kill, pid_in, until};

/// A worker, and for each kind a running job that has left a process of it.
struct Zoo {
    nest: Nest,
    worker: Option<crate::support::Worker>,
    cages: Vec<Cage>,
}

struct Cage {
    kind: &'static str,
    job: i64,
    run: i64,
    animal: i32,
}

/// How a job continues once its animal is out.
const GOES_ON: &str = "while [ ! -e go ]; do sleep 0.05; done; exit 7";

/// Whether a test that needs root can be made; says so where not.
pub fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        crate::support::untested::not_tested(what, "root");
    }
    is_root
}

impl Zoo {
    fn open() -> Option<Self> {
        if !is_root("other users and pid namespaces") {
            return None;
        }
        let nest = Nest::new();
        let program = zoo::build(nest.path());
        let worker = Some(nest.work(&["--slots", "24", "--tick", "200ms"]));
        let mut cages = Vec::new();
        for kind in KINDS {
            // A later attempt tells whether the process of an earlier one lives.
            let again = format!(
                "if [ -e {kind} ]; then grep -qs ') [RSDTtI] ' /proc/$(cat {kind})/task/*/stat && echo {kind} >>copies; exit 8; fi"
            );
            let line = format!("{again}; {} {kind} $PWD/{kind} & {GOES_ON}", program.display());
            let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s", "--retry-on", "lost", "--grace", "500ms"], &line);
            cages.push((kind, job));
        }
        let cages = cages
            .into_iter()
            .map(|(kind, job)| {
                let animal = pid_in(&nest.file(kind));
                nest.until_pid(job);
                assert!(lives(animal), "{kind}: it is there");
                Cage { kind, job, run: nest.show(job)["run_id"].as_i64().unwrap(), animal }
            })
            .collect();
        Some(Self { nest, worker, cages })
    }

    fn shims(&self) -> Vec<i32> {
        self.cages.iter().map(|cage| self.nest.shim(cage.run)).collect()
    }

    /// Every job ends, nothing of any of them lives then, and no second attempt has seen the first.
    fn is_empty_when(&self, state: &str, reason: &str, code: Option<i64>) {
        for cage in &self.cages {
            let job = self.nest.until_ended(cage.job);
            assert!(!lives(cage.animal), "{}: it lives, and its job has ended: {job}", cage.kind);
            let end = (job["state"].as_str().unwrap(), job["reason"].as_str().unwrap(), job["exit_code"].as_i64());
            assert_eq!(end, (state, reason, code), "{}: {job}", cage.kind);
        }
        let copies = std::fs::read_to_string(self.nest.file("copies")).unwrap_or_default();
        assert_eq!(copies, "", "a second copy was started beside the first");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.nest.file(name)
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        zoo::clear(self.nest.path());
    }
}

#[test]
fn every_kind_of_process_ends_with_its_job() {
    let Some(zoo) = Zoo::open() else { return };
    std::fs::write(zoo.file("go"), "").unwrap();
    zoo.is_empty_when("failed", "exit", Some(7));
}

#[test]
fn every_kind_of_process_ends_by_a_cancel() {
    let Some(zoo) = Zoo::open() else { return };
    for cage in &zoo.cages {
        zoo.nest.ok(&["cancel", &cage.job.to_string()]);
    }
    zoo.is_empty_when("cancelled", "cancelled", None);
}

#[test]
fn every_kind_of_process_ends_after_its_shim_was_killed() {
    let Some(zoo) = Zoo::open() else { return };
    for shim in zoo.shims() {
        kill(shim, Signal::KILL);
    }
    zoo.is_empty_when("failed", "exit", Some(8));
}

#[test]
fn every_kind_of_process_ends_after_spawner_and_shim() {
    let Some(zoo) = Zoo::open() else { return };
    let shims = zoo.shims();
    let spawner = zoo.nest.parent_of(shims[0]);
    kill(spawner, Signal::KILL);
    let worker = zoo.worker.as_ref().unwrap().pid();
    until("the shims to fall to the worker", || shims.iter().all(|shim| zoo.nest.parent_of(*shim) == worker).then_some(()));
    until("the dead spawner to be reaped by an idle worker", || {
        (!std::path::Path::new(&format!("/proc/{spawner}")).exists()).then_some(())
    });
    for shim in shims {
        kill(shim, Signal::KILL);
    }
    zoo.is_empty_when("failed", "exit", Some(8));
    until("the worker to reap what has fallen to it", || children(worker).iter().all(|child| lives(*child)).then_some(()));
}

#[test]
fn every_kind_of_process_ends_after_worker_spawner_and_shim() {
    let Some(mut zoo) = Zoo::open() else { return };
    let shims = zoo.shims();
    let spawner = zoo.nest.parent_of(shims[0]);
    // Stopped first, so that it sweeps nothing in the instant between two kills.
    kill(spawner, Signal::STOP);
    zoo.worker.take().unwrap().kill();
    kill(spawner, Signal::KILL);
    for shim in shims.iter() {
        kill(*shim, Signal::KILL);
    }
    until("the shims to go", || shims.iter().all(|shim| !lives(*shim)).then_some(()));
    for cage in &zoo.cages {
        assert!(lives(cage.animal), "{}: no process has ended it yet", cage.kind);
    }
    zoo.worker = Some(zoo.nest.work(&["--slots", "24", "--tick", "200ms"]));
    zoo.is_empty_when("failed", "exit", Some(8));
}

#[test]
fn a_lease_ends_with_a_process_whose_main_thread_has_ended() {
    let nest = Nest::new();
    let program = zoo::build(nest.path());
    for kind in ["zombie_leader", "zombie_leader_cleared", "non_dumpable", "stopped", "vfork_parent"] {
        let line =
            format!("{} {kind} {} & while [ ! -e {kind} ]; do sleep 0.02; done", program.display(), nest.file(kind).display());
        let said = nest.say(&["lease", "run", "gpu", "--", "sh", "-c", &line]);
        assert_eq!(said.code, 0, "{kind}: {said:?}");
        assert!(!lives(pid_in(&nest.file(kind))), "{kind}: it lives, and the lease is free");
    }
}
