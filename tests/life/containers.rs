//! Pid namespaces: a worker as the first process of one, and a file that workers of several have had.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::life::zoo::is_root;
use crate::support::zoo::lives;
use crate::support::{Nest, Signal, children, kill, until};

/// A container: `unshare` with a pid namespace of its own, which ends with it.
pub struct Container(Child);

impl Container {
    /// Runs this line of shell as its first process; with `exec` what is executed is the first process.
    pub fn start(nest: &Nest, line: &str) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(nest.file("worker.log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-pf", "--mount-proc", "--kill-child", "sh", "-c", line]).current_dir(nest.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", nest.path()).env("TENURE_DB", nest.db());
        command.env("TENURE", nest.tenure(&[]).get_program());
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Its first process, as seen from outside.
    fn first(&self) -> i32 {
        until("the first process of the container", || children(self.0.id() as i32).first().copied())
    }

    pub fn processes(&self) -> Vec<i32> {
        below(self.first())
    }

    /// KILL for all of it, as a container runtime does.
    fn end(&mut self) {
        let first = children(self.0.id() as i32).first().copied();
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
        // It dies with its parent, and all of its namespace with it; the next worker would still find its lock held.
        if let Some(first) = first {
            until("the first process of the container to go", || (!lives(first)).then_some(()));
            // Where another test has made this process a subreaper, it is ours to reap.
            let _not_ours = waitpid(Pid::from_raw(first), WaitOptions::NOHANG);
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.end();
    }
}

fn below(pid: i32) -> Vec<i32> {
    children(pid).into_iter().flat_map(|child| [vec![child], below(child)].concat()).collect()
}

pub fn name(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn is_tenure(pid: i32) -> bool {
    ["tenure", "tenure-spawner", "tenure-shim"].contains(&name(pid).as_str())
}

/// Leaves nothing by which the log could tell of it, and counts its starts and the copies of itself that it sees.
const QUIET: &str = "exec >/dev/null 2>&1; echo start >>ledger; setsid sleep 600.77 & sleep 600.77";

fn starts(nest: &Nest) -> usize {
    std::fs::read_to_string(nest.file("ledger")).unwrap_or_default().lines().count()
}

/// A running job of a worker in a container whose first process stays, and then neither worker, spawner nor shim.
fn abandoned(nest: &Nest) -> (Container, i64, i64, Vec<i32>) {
    let id = nest.sh(&["--retries", "1", "--backoff", "0s..0s", "--retry-on", "lost"], QUIET);
    let container = Container::start(nest, "$TENURE work --tick 100ms & sleep 900");
    nest.until_pid(id);
    until("its process", || container.processes().iter().any(|pid| name(*pid) == "sleep" && is_quiet(*pid)).then_some(()));
    let run = nest.show(id)["run_id"].as_i64().unwrap();
    for pid in container.processes().into_iter().filter(|pid| is_tenure(*pid)) {
        kill(pid, Signal::KILL);
    }
    until("tenure to be gone there", || {
        (!container.processes().into_iter().any(|pid| is_tenure(pid) && lives(pid))).then_some(())
    });
    let left: Vec<i32> = container.processes().into_iter().filter(|pid| is_quiet(*pid) && lives(*pid)).collect();
    assert!(!left.is_empty(), "something of the job lives");
    (container, id, run, left)
}

fn is_quiet(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00600.77\0")
}

fn until_stuck(nest: &Nest, id: i64, run: i64) {
    let problem = until("the problem to be told", || {
        let status = nest.status();
        status["problems"].as_array()?.iter().find(|problem| problem["code"] == "stuck").cloned()
    });
    let text = problem["text"].as_str().unwrap();
    assert!(text.contains("another pid namespace") && text.contains(&format!("--gone {run}")), "{problem}");
    assert!(nest.ok(&["why", &id.to_string()]).contains("another pid namespace"));
    assert_eq!((nest.state(id).as_str(), starts(nest)), ("running", 1), "no second copy");
}

#[test]
fn a_living_run_in_a_container_is_not_taken_for_gone_outside() {
    if !is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let (_first, id, run, left) = abandoned(&nest);
    let _second = Container::start(&nest, "exec $TENURE work --tick 100ms");
    until_stuck(&nest, id, run);
    // A person who has seen to it says so; no program can know.
    for pid in left.iter() {
        kill(*pid, Signal::KILL);
    }
    assert_eq!(nest.say(&["doctor", "--gone", "4711"]).code, 3);
    nest.ok(&["doctor", "--gone", &run.to_string()]);
    until("the second attempt", || (starts(&nest) == 2).then_some(()));
    let running = nest.show(id)["run_id"].as_i64().unwrap();
    let alive = nest.say(&["doctor", "--gone", &running.to_string()]);
    assert!(alive.code == 6 && alive.err.contains("alive"), "{alive:?}");
}

#[test]
fn a_run_of_a_container_is_gone_with_its_first_process() {
    if !is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let id = nest.sh(&["--retries", "1", "--backoff", "0s..0s", "--retry-on", "lost"], QUIET);
    let mut first = Container::start(&nest, "exec $TENURE work --tick 100ms");
    nest.until_pid(id);
    first.end();
    let _second = Container::start(&nest, "exec $TENURE work --tick 100ms");
    until("the second attempt", || (starts(&nest) == 2).then_some(()));
    assert_eq!(nest.show(id)["runs"][0]["reason"], "lost");
}

#[test]
fn a_worker_that_sees_all_processes_needs_no_word() {
    if !is_root("pid namespaces") {
        return;
    }
    if std::fs::read_link("/proc/self/ns/pid").unwrap().to_str() != Some("pid:[4026531836]") {
        return crate::support::untested::not_tested(
            "a worker that sees all processes",
            "the first pid namespace of the machine",
        );
    }
    for container_lives in [true, false] {
        let nest = Nest::new();
        let (mut container, id, _, left) = abandoned(&nest);
        if !container_lives {
            container.end();
        }
        let _second = nest.work(&["--tick", "100ms"]);
        if container_lives {
            // It is seen from here, and ended; but what the container may still start is another matter.
            until("what is seen to be ended", || (!left.iter().any(|pid| lives(*pid))).then_some(()));
            assert_eq!(starts(&nest), 1, "not before the container is gone");
            container.end();
        }
        until("the second attempt", || (starts(&nest) == 2).then_some(()));
        assert_eq!(nest.show(id)["runs"][0]["reason"], "lost", "container lives: {container_lives}");
    }
}

#[test]
fn process_1_leaves_no_zombies_and_ends_no_guests() {
    if !is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let id = nest.sh(&[], "while [ ! -e go ]; do sleep 0.05; done; exit 3");
    let container = Container::start(&nest, "exec $TENURE work --slots 2 --tick 100ms");
    nest.until_pid(id);
    let first = container.first();
    let enter = |line: &str| {
        let status = Command::new("nsenter")
            .args(["-t", &first.to_string(), "-p", "-m", "sh", "-c", line])
            .current_dir(nest.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    for _ in 0..20 {
        enter("sleep 0.05 & exit 0");
    }
    enter("setsid sleep 600.88 >/dev/null 2>&1 & exit 0");
    let zombies = || children(first).into_iter().filter(|pid| !lives(*pid)).count();
    let guest = || {
        children(first)
            .into_iter()
            .find(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00600.88\0"))
    };
    until("the orphans of others to be reaped", || (zombies() == 0 && children(first).len() == 2).then_some(()));
    let guest = guest().expect("a guest that stays");
    // The shim falls to the worker, and later its leftovers do.
    let spawner = children(first).into_iter().find(|pid| name(*pid) == "tenure-spawner").unwrap();
    kill(spawner, Signal::KILL);
    until("the spawner to be reaped", || (!std::path::Path::new(&format!("/proc/{spawner}")).exists()).then_some(()));
    let shim = children(first).into_iter().find(|pid| name(*pid) == "tenure-shim").unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.until_ended(id)["exit_code"], 3);
    until("the shim to be reaped", || (!std::path::Path::new(&format!("/proc/{shim}")).exists()).then_some(()));
    // A new spawner, and a run whose tree falls to the worker.
    let id = nest.sh(&[], "env -i setsid sleep 600.99 >/dev/null 2>&1 & sleep 600.99");
    nest.until_pid(id);
    let found: Vec<i32> =
        below(first).into_iter().filter(|pid| name(*pid) == "tenure-spawner" || name(*pid) == "tenure-shim").collect();
    for pid in found {
        kill(pid, Signal::KILL);
    }
    assert_eq!(nest.until_ended(id)["reason"], "lost");
    assert!(lives(guest), "who came in from outside is not ended");
    until("nothing else to be left", || (below(first) == [guest]).then_some(()));
}

#[test]
fn a_worker_that_was_left_to_an_init_does_not_end_its_container() {
    if !is_root("pid namespaces") {
        return;
    }
    // What is left by its parent (docker exec) falls to the init beside the child that it waits for.
    for (line, ends) in [
        ("exec ./tini -c '($TENURE work --tick 100ms &); sleep 900; true'", "no"),
        ("exec ./tini -c '$TENURE work --tick 100ms; true'", "yes"),
        ("exec $TENURE work --tick 100ms", "yes"),
    ] {
        let nest = Nest::new();
        crate::support::copy_program("/bin/sh", nest.file("tini"));
        let id = nest.sh(&[], "sleep 600.77");
        let _container = Container::start(&nest, line);
        nest.until_pid(id);
        let header = nest.run_file(nest.show(id)["run_id"].as_i64().unwrap());
        assert!(header.contains(&format!("pidns_ends={ends} ")), "{line}: {header}");
    }
}
