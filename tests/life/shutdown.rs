//! The end of the worker together with its runs: in order, with an honest end of each on the disk.

use std::process::{Child, Command, Stdio};

use crate::support::frozen::Frozen;
use crate::support::{Dice, Nest, Signal, children, kill, lives, seed, until};

/// How the worker of a container is started. All need root, or a kernel that lets every user create namespaces.
#[derive(Debug, Clone, Copy)]
enum Container {
    /// The worker is process 1.
    Bare,
    /// Process 1 is a small init that passes TERM on and ends with the worker.
    Init,
}

/// A worker in a pid namespace of its own, with a `/proc` of its own.
struct Contained {
    unshare: Child,
    worker: i32,
}

impl Contained {
    /// `None`, said aloud, where this machine makes no namespaces.
    fn start(nest: &Nest, container: Container, args: &[&str]) -> Option<Self> {
        Self::start_verb(nest, container, &[&["work"], args].concat())
    }

    fn start_verb(nest: &Nest, container: Container, args: &[&str]) -> Option<Self> {
        let namespaces = ["-pf", "--mount-proc", "--kill-child"];
        let can = Command::new("unshare").args(namespaces).arg("true").stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            crate::support::untested::not_tested("the end of a container", "pid namespaces: unshare of util-linux, and root");
            return None;
        }
        let template = nest.tenure(&[]);
        let mut command = Command::new("unshare");
        command.args(namespaces).current_dir(nest.path()).env_clear();
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Container::Init = container {
            command.args(["sh", "-c", "\"$@\" & w=$!; trap 'kill -TERM $w' TERM; wait $w; wait $w; exit $?", "init"]);
        }
        command.arg(template.get_program()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::create(nest.file("worker.log")).expect("the log");
        let unshare = command.stderr(log).spawn().expect("unshare starts");
        until("the worker of the container", || {
            let said = nest.say(&["status", "--json"]);
            let status: serde_json::Value = serde_json::from_str(&said.out).ok()?;
            status["worker"]["pid"].as_u64()
        });
        let first = until("a child", || children(unshare.id() as i32).first().copied());
        Some(Self { unshare, worker: first })
    }

    /// TERM to process 1, as a container runtime sends it; the exit status.
    fn stop(mut self) -> i32 {
        kill(self.worker, Signal::TERM);
        self.unshare.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        if let Ok(None) = self.unshare.try_wait() {
            // With process 1 the kernel ends the namespace, before any process can wait for that one.
            kill(self.worker, Signal::KILL);
            let _reaped = self.unshare.wait();
        }
    }
}

fn log_of(nest: &Nest) -> String {
    std::fs::read_to_string(nest.file("worker.log")).unwrap_or_default()
}

fn reason(nest: &Nest, id: i64) -> String {
    nest.show(id)["reason"].as_str().unwrap_or_default().to_owned()
}

const HANDLER: &str = "trap 'sleep 0.2; echo saved > saved; exit 0' TERM; echo on; while :; do sleep 0.1; done";
const DEAF: &str = "trap '' TERM; echo on; while :; do sleep 0.1; done";

#[test]
fn where_nothing_survives_term_ends_the_runs_in_order() {
    for container in [Container::Bare, Container::Init] {
        let nest = Nest::new();
        let args = ["--slots", "9", "--stop-timeout", "1s"];
        let Some(contained) = Contained::start(&nest, container, &args) else { return };
        let saves = nest.sh(&[], HANDLER);
        let plain = nest.sh(&[], "echo on; sleep 600");
        let deaf = nest.sh(&["--grace", "1h"], DEAF);
        let again = ["--retries", "1", "--retry-on", "lost,shutdown", "--backoff", "1ms"];
        let retried = nest.sh(&again, "echo on; sleep 600");
        let forks = nest.sh(&[], "(setsid sleep 600 &) ; echo on; sleep 600");
        let waits = nest.sh(&["--delay", "1h"], "true");
        for id in [saves, plain, deaf, retried, forks] {
            nest.until_log(id, "on");
        }
        assert_eq!(contained.stop(), 0, "{container:?}: {}", log_of(&nest));
        for id in [saves, plain, deaf, forks] {
            assert_eq!((nest.state(id).as_str(), reason(&nest, id).as_str()), ("failed", "shutdown"), "{container:?} job {id}");
        }
        assert!(nest.file("saved").exists(), "the handler had its grace");
        assert_eq!(nest.state(retried), "queued", "its policy says so");
        assert_eq!(nest.state(waits), "queued");
        let said = log_of(&nest);
        assert!(said.contains("ending 5 jobs, because") && !said.contains("takes over"), "{said}");
        // The next container on the same volume.
        let id = nest.add(&["--", "true"]);
        let next = Contained::start(&nest, container, &args).expect("as before");
        nest.until_state(id, "done");
        nest.until_pid(retried);
        assert_eq!(next.stop(), 0);
        assert_eq!((nest.state(retried).as_str(), reason(&nest, retried).as_str()), ("failed", "shutdown"));
    }
}

#[test]
fn a_container_that_is_killed_loses_its_runs_and_says_so() {
    let nest = Nest::new();
    let Some(contained) = Contained::start(&nest, Container::Bare, &[]) else { return };
    let once = nest.sh(&[], "echo on; sleep 600");
    nest.until_log(once, "on");
    drop(contained);
    nest.work_until_idle(&[]);
    assert_eq!((nest.state(once).as_str(), reason(&nest, once).as_str()), ("failed", "lost"));
}

#[test]
fn term_to_a_container_with_tenure_run_ends_its_job() {
    let nest = Nest::new();
    let Some(contained) = Contained::start_verb(&nest, Container::Bare, &["run", "--", "sh", "-c", HANDLER]) else { return };
    nest.until_log(1, "on");
    assert_eq!(contained.stop(), 128 + 15);
    assert_eq!((nest.state(1).as_str(), reason(&nest, 1).as_str()), ("failed", "shutdown"));
    assert!(nest.file("saved").exists());
}

#[test]
fn a_container_with_tenure_run_ends_what_it_serves_for_others() {
    let nest = Nest::new();
    let own = ["run", "--", "sh", "-c", "while ! test -e go; do sleep 0.1; done"];
    let Some(mut contained) = Contained::start_verb(&nest, Container::Bare, &own) else { return };
    let other = nest.tenure(&["run", "--", "sh", "-c", HANDLER]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut other = other.expect("another tenure run");
    nest.until_log(2, "on");
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(contained.unshare.wait().expect("it ends").code(), Some(0), "{}", log_of(&nest));
    assert!(!other.wait().expect("it ends").success());
    assert_eq!((nest.state(2).as_str(), reason(&nest, 2).as_str()), ("failed", "shutdown"));
    assert!(nest.file("saved").exists());
}

#[test]
fn a_container_may_leave_its_runs_if_it_is_told_to() {
    let nest = Nest::new();
    let Some(contained) = Contained::start(&nest, Container::Bare, &["--on-term", "detach"]) else { return };
    let id = nest.sh(&[], "echo on; sleep 600");
    nest.until_log(id, "on");
    assert_eq!(contained.stop(), 0);
    let said = log_of(&nest);
    assert!(said.contains("1 job ends with the worker, because the worker is process 1"), "{said}");
}

#[test]
fn what_term_means_can_be_chosen() {
    let signals = [
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("ALRM", Signal::ALARM),
    ];
    for (on_term, expected) in [(None, "running"), (Some("detach"), "running"), (Some("end"), "failed")] {
        // Each of these means the same.
        for (name, signal) in if on_term.is_none() { &signals[..] } else { &signals[..2] } {
            let nest = Nest::new();
            let chosen = on_term.map_or(vec![], |on| vec!["--on-term", on]);
            let worker = nest.work(&chosen);
            let id = nest.sh(&[], "echo on; sleep 600");
            nest.until_log(id, "on");
            kill(worker.pid(), *signal);
            assert_eq!(worker.wait(), 0, "{on_term:?} {name}");
            assert_eq!(nest.state(id), expected, "{on_term:?} {name}");
            let said = log_of(&nest);
            match expected {
                "running" => assert!(said.contains("1 job is left to its shim; the next worker takes over"), "{said}"),
                _ => assert!(said.contains("ending 1 job: TERM now") && reason(&nest, id) == "shutdown", "{said}"),
            }
        }
    }
}

#[test]
fn on_term_drain_waits_for_the_jobs() {
    for args in [vec!["--on-term", "drain"], vec!["--drain"]] {
        let nest = Nest::new();
        let worker = nest.work(&args);
        let id = nest.sh(&[], "echo on; until [ -e go ]; do sleep 0.1; done");
        nest.until_log(id, "on");
        kill(worker.pid(), Signal::TERM);
        until("the worker to drain", || log_of(&nest).contains("waiting for 1 job").then_some(()));
        std::fs::write(nest.file("go"), "").expect("a file");
        assert_eq!(worker.wait(), 0);
        assert_eq!(nest.state(id), "done");
    }
}

#[test]
fn a_second_term_ends_the_grace() {
    let nest = Nest::new();
    let worker = nest.work(&["--on-term", "end", "--stop-timeout", "1h"]);
    let id = nest.sh(&["--grace", "1h"], DEAF);
    nest.until_log(id, "on");
    kill(worker.pid(), Signal::TERM);
    until("the worker to end its runs", || log_of(&nest).contains("ending 1 job").then_some(()));
    kill(worker.pid(), Signal::TERM);
    assert_eq!(worker.wait(), 0);
    assert_eq!(reason(&nest, id), "shutdown");
}

#[test]
fn what_belongs_to_a_job_ends_with_the_worker_and_is_repeated() {
    let nest = Nest::new();
    let worker = nest.work(&["--on-term", "end", "--slots", "4"]);
    let checked = nest.sh(&["--check", "echo asked >> asked; [ -e yes ] || sleep 600"], "echo ran >> ran");
    let prepared = nest.sh(
        &["--workspace", "k", "--prepare", &format!("echo made >> {0}/made; [ -e {0}/yes ] || sleep 600", nest.path().display())],
        "true",
    );
    until("the check and the prepare command", || (nest.file("asked").exists() && nest.file("made").exists()).then_some(()));
    assert_eq!(worker.stop(), 0);
    assert_eq!(nest.of_runs(), Vec::<i32>::new(), "nothing is left");
    std::fs::write(nest.file("yes"), "").expect("a file");
    let worker = nest.work(&[]);
    nest.until_state(checked, "done");
    nest.until_state(prepared, "done");
    assert_eq!(worker.stop(), 0);
    let lines = |name: &str| std::fs::read_to_string(nest.file(name)).expect("it was written").lines().count();
    assert_eq!(lines("ran"), 1, "the job itself was not run again");
    assert!(lines("asked") == 2 && lines("made") >= 2);
}

#[test]
fn runs_can_be_ended_without_a_worker() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "9"]);
    let saves = nest.sh(&[], HANDLER);
    let deaf = nest.sh(&["--grace", "1h"], DEAF);
    let stands = nest.sh(&[], "echo on; sleep 600");
    [saves, deaf, stands].iter().for_each(|id| nest.until_log(*id, "on"));
    let shim = nest.shim(nest.show(stands)["run_id"].as_i64().expect("a run"));
    worker.kill();
    kill(shim, Signal::STOP);
    assert_eq!(nest.ok(&["work", "--end-runs", "--at-shutdown"]), "", "this machine is not shutting down");
    assert!(lives(shim));
    let said = nest.say(&["work", "--end-runs", "--stop-timeout", "1s"]);
    assert_eq!((said.code, said.err.as_str()), (0, "tenure: 3 runs were ended\n"));
    assert_eq!(nest.of_runs(), Vec::<i32>::new());
    nest.work_until_idle(&[]);
    assert_eq!([saves, deaf, stands].map(|id| reason(&nest, id)), ["shutdown"; 3], "a shim that stands still is continued");
}

#[test]
fn a_shim_that_does_not_answer_is_killed_at_the_end_of_the_runs() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&[], "setsid sleep 600 & echo on; sleep 600");
    nest.until_log(id, "on");
    let shim = nest.shim(nest.show(id)["run_id"].as_i64().expect("a run"));
    worker.kill();
    // One that is stopped is continued when it is asked, and may answer; this one does not.
    Frozen::until_killed(shim);
    let said = nest.say(&["work", "--end-runs", "--stop-timeout", "100ms"]);
    assert_eq!((said.code, said.err.as_str()), (0, "tenure: 1 run was ended\n"));
    until("its tree to be swept", || nest.of_runs().is_empty().then_some(()));
}

#[test]
fn runs_are_not_ended_under_a_worker_that_starts_the_next() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "1"]);
    let ids: Vec<i64> = (0..4).map(|_| nest.sh(&[], "echo on; sleep 600")).collect();
    nest.until_log(ids[0], "on");
    let refused = nest.say(&["work", "--end-runs"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains(&format!("end it first: kill {}", worker.pid())), "{refused:?}");
    assert_eq!(worker.stop(), 0);
    assert_eq!(nest.say(&["work", "--end-runs"]).err, "tenure: 1 run was ended\n");
    let states: Vec<_> = ids[1..].iter().map(|id| nest.show(*id)["state"].clone()).collect();
    assert_eq!(states, ["queued"; 3], "what has not started waits for the next worker");
}

/// Poweroff, `KillMode=control-group` and `systemctl kill` send TERM to all at once, in the order of some list.
#[test]
fn term_to_all_processes_is_a_shutdown_and_is_retried() {
    let mut dice = Dice::new(seed());
    for round in 0..8 {
        let nest = Nest::new();
        let worker = nest.work(&["--slots", "6"]);
        let plain: Vec<i64> = (0..3).map(|_| nest.sh(&[], "echo on; while :; do sleep 600; done")).collect();
        let retry = ["--retries", "1", "--retry-on", "lost,shutdown", "--backoff", "1ms"];
        let retried: Vec<i64> =
            (0..3).map(|_| nest.sh(&retry, "[ $TENURE_ATTEMPT = 2 ] && exit 0; echo on; while :; do sleep 600; done")).collect();
        plain.iter().chain(&retried).for_each(|id| nest.until_log(*id, "on"));
        let mut all = nest.processes();
        for at in (1..all.len()).rev() {
            all.swap(at, dice.index(at + 1));
        }
        assert!(all.contains(&worker.pid()) && all.len() > 12, "{all:?}");
        for pid in all.iter() {
            kill(*pid, Signal::TERM);
        }
        assert_eq!(worker.wait(), 0);
        nest.work_until_idle(&[]);
        for id in plain {
            assert_eq!((nest.state(id).as_str(), reason(&nest, id).as_str()), ("failed", "shutdown"), "round {round} job {id}");
        }
        for id in retried {
            assert_eq!(nest.state(id), "done", "round {round} job {id}: it is run again");
        }
    }
}
