//! A run is stopped from where its shim is not: another time namespace, another pid namespace, or without the right to signal it. What can be
//! done is done as for any run, TERM first; what cannot is told at once.

use std::process::{Child, Command, Stdio};

use crate::life::containers::{Container, name};
use crate::life::zoo::is_root;
use crate::support::{Nest, Signal, children, kill, until};

/// Records TERM, and continues until KILL.
const STUBBORN: &str = "trap 'echo term >>term.$TENURE_JOB' TERM; setsid sleep 600 </dev/null >/dev/null 2>&1 & echo begin; \
                        while :; do sleep 0.1; done";

/// A worker below another program, which ends with the test.
struct Below(Child);

impl Below {
    fn start(nest: &Nest, program: &str, args: &[&str]) -> Self {
        let template = nest.tenure(&["work", "--tick", "100ms", "--slots", "9"]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(nest.file("worker.log")).unwrap();
        let mut command = Command::new(program);
        command.args(args).arg(template.get_program()).args(template.get_args()).current_dir(nest.path()).env_clear();
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn worker(&self) -> i32 {
        let me = self.0.id() as i32;
        until("the worker", || [vec![me], children(me)].concat().into_iter().find(|pid| name(*pid) == "tenure"))
    }

    fn kill_worker(mut self) {
        kill(self.worker(), Signal::KILL);
        let _it_ends_with_its_child = self.0.wait();
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            for pid in children(self.0.id() as i32) {
                kill(pid, Signal::KILL);
            }
            let _gone_already = self.0.kill();
            let _reaped_already = self.0.wait();
        }
    }
}

const TEN_DAYS_ON: [&str; 6] = ["-T", "--boottime", "864000", "--monotonic", "864000", "-f"];

/// Jobs that are to be ended by a cancel, by one in plain SQL, by a timeout of their own, and by no request.
fn begin(nest: &Nest) -> [i64; 4] {
    let short: [&str; 4] = ["--grace", "1s", "--timeout", "8s"];
    let long: [&str; 4] = ["--grace", "1s", "--timeout", "1h"];
    let jobs = [&long[..], &long[..], &short[..], &long[..]].map(|options| nest.sh(options, STUBBORN));
    for job in jobs {
        nest.until_pid(job);
        nest.until_log(job, "begin");
    }
    jobs
}

fn until_adopted(nest: &Nest) {
    let waits = "SELECT count(*) FROM run WHERE finished_at IS NULL AND kind = 'job' AND adopted = 0";
    until("the runs to be adopted", || {
        nest.sql().query_row(waits, [], |row| row.get::<_, i64>(0)).is_ok_and(|n| n == 0).then_some(())
    });
}

fn check(nest: &Nest, who: &str, [cancelled, by_sql, timeout, lives_on]: [i64; 4]) {
    nest.ok(&["cancel", &cancelled.to_string()]);
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [by_sql]).unwrap();
    for (job, reason) in [(cancelled, "cancelled"), (by_sql, "cancelled"), (timeout, "timeout")] {
        let ended = nest.until_ended(job);
        assert_eq!(ended["reason"], reason, "{who}: {ended}");
        assert!(nest.file(&format!("term.{job}")).exists(), "{who}: TERM comes before KILL: {ended}");
    }
    assert_eq!(nest.state(lives_on), "running", "{who}: an hour is an hour on every clock");
    nest.ok(&["cancel", &lives_on.to_string()]);
    assert_eq!(nest.until_ended(lives_on)["reason"], "cancelled", "{who}");
    until("whole trees to be gone", || nest.of_runs().is_empty().then_some(()));
}

fn has_time_namespaces() -> bool {
    let can = Command::new("unshare").args(TEN_DAYS_ON).arg("true").stderr(Stdio::null()).status();
    let can = can.is_ok_and(|status| status.success());
    if !can {
        crate::support::untested::not_tested("another clock", "time namespaces: unshare of util-linux, and root");
    }
    can
}

#[test]
fn a_run_of_another_time_namespace_is_stopped_as_any_other() {
    if !has_time_namespaces() {
        return;
    }
    for (who, first_is_there) in [("from the time namespace", true), ("into the time namespace", false)] {
        let nest = Nest::new();
        let ids;
        if first_is_there {
            let first = Below::start(&nest, "unshare", &TEN_DAYS_ON);
            ids = begin(&nest);
            first.kill_worker();
            let _second = nest.work(&["--tick", "100ms", "--slots", "9"]);
            until_adopted(&nest);
            check(&nest, who, ids);
        } else {
            let first = nest.work(&["--slots", "9"]);
            ids = begin(&nest);
            first.kill();
            let _second = Below::start(&nest, "unshare", &TEN_DAYS_ON);
            until_adopted(&nest);
            check(&nest, who, ids);
        }
    }
}

#[test]
fn a_run_of_a_pid_namespace_below_is_stopped_as_any_other() {
    if !is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let container = Container::start(&nest, "$TENURE work --slots 9 --on-term detach & sleep 900");
    let ids = begin(&nest);
    let worker = container.processes().into_iter().find(|pid| name(*pid) == "tenure").unwrap();
    kill(worker, Signal::KILL);
    until("the worker to be gone", || nest.status()["worker"].is_null().then_some(()));
    let _second = nest.work(&["--tick", "100ms", "--slots", "9"]);
    until_adopted(&nest);
    check(&nest, "from outside the pid namespace", ids);
}

#[test]
fn a_stop_request_that_cannot_be_carried_out_is_told_at_once() {
    if !is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let first = Container::start(&nest, "$TENURE work --slots 9 --on-term detach & sleep 900");
    let job = nest.sh(&["--grace", "1s"], STUBBORN);
    nest.until_pid(job);
    nest.until_log(job, "begin");
    let worker = first.processes().into_iter().find(|pid| name(*pid) == "tenure").unwrap();
    kill(worker, Signal::KILL);
    until("the worker to be gone", || nest.status()["worker"].is_null().then_some(()));
    let _second = Container::start(&nest, "$TENURE work --slots 9 --tick 100ms --on-term detach & sleep 900");
    until_adopted(&nest);
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap();
    let id = job.to_string();
    let why = until("it to be told", || {
        let why = nest.ok(&["why", &id]);
        why.contains("cannot be carried out").then_some(why)
    });
    assert!(why.contains("another pid namespace"), "{why}");
    assert!(nest.status()["problems"].to_string().contains("cannot be carried out"), "{}", nest.status());
    assert!(nest.say(&["doctor"]).out.contains("cannot be carried out"));
    assert_eq!(nest.state(job), "running");
    let log = std::fs::read_to_string(nest.file("worker.log")).unwrap();
    assert_eq!(log.matches("cannot be carried out").count(), 1, "told once, not each second: {log}");
    // From the namespace around both it can be done.
    nest.ok(&["cancel", &id]);
    assert_eq!(nest.until_ended(job)["reason"], "cancelled");
    assert!(nest.file(&format!("term.{job}")).exists(), "TERM comes before KILL");
}

#[test]
fn processes_that_may_not_be_signalled_are_told_at_once() {
    if !is_root("users") {
        return;
    }
    let nest = Nest::new();
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(nest.path());
    let without_kill = ["--bounding-set", "-kill", "--inh-caps", "-kill"];
    let can = Command::new("setpriv").args(without_kill).arg("true").stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return crate::support::untested::not_tested("a worker that may not signal", "setpriv: apt-get install util-linux");
    }
    let _worker = Below::start(&nest, "setpriv", &without_kill);
    let job = nest.sh(&["--user", "nobody", "-w", "/", "--grace", "200ms"], "echo begin; exec sleep 600.91");
    let pid = nest.until_pid(job);
    nest.until_log(job, "begin");
    nest.ok(&["cancel", &job.to_string()]);
    let why = until("it to be told", || {
        let why = nest.ok(&["why", &job.to_string()]);
        why.contains("cannot be ended").then_some(why)
    });
    assert!(why.contains(&format!("{pid} sleep")), "{why}");
    assert_eq!(nest.state(job), "running", "it lives");
    kill(pid, Signal::KILL);
    let ended = nest.until_ended(job);
    assert_eq!(ended["reason"], "cancelled", "{ended}");
}
