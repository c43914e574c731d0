//! The launcher for another machine: with a program in place of ssh whose host is a directory, and with a real sshd of this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::launchers::engine::came;
use crate::support::untested::left_out;
use crate::support::{Nest, Signal, Worker, kill, kill_child, said, until, write_program};

const SUBMIT: &str = include_str!("../../src/worker/attempt/launchers/ssh/submit.sh");
const STATUS: &str = include_str!("../../src/worker/attempt/launchers/ssh/status.sh");

/// Hands a command to the "host", whose processes are none of the caller's, and waits for its end.
const SSH: &str = r#"#!/bin/sh
host=$(dirname "$0")
[ -e "$host/unreachable" ] && { echo "no route to host" >&2; exit 255; }
while [ "$1" != -- ]; do shift; done
shift 2
call=$(mktemp -d -p "$host/new")
cat > "$call/in"
printf %s "$*" > "$call/command"
mv "$call" "$host/calls/"
call=$host/calls/$(basename "$call")
until [ -e "$call/code" ]; do sleep 0.02; done
cat "$call/err" >&2
cat "$call/out"
exit "$(cat "$call/code")"
"#;

/// A nest with a host, and the queue `far` that runs there.
struct Host {
    nest: Nest,
    is_over: Arc<AtomicBool>,
    serves: Option<JoinHandle<()>>,
}

impl Host {
    fn new() -> Self {
        let nest = Nest::new();
        for name in ["home", "new", "calls"] {
            std::fs::create_dir_all(nest.file("host").join(name)).unwrap();
        }
        write_program(nest.file("host/ssh"), SSH);
        nest.ok(&["queue", "set", "far", "--launcher", "ssh", "--slots", "10"]);
        nest.ok(&["queue", "set", "far", "--launcher-option", "host=there", "--launcher-option", "interval=100ms"]);
        let is_over = Arc::new(AtomicBool::new(false));
        let (dir, over) = (nest.file("host"), Arc::clone(&is_over));
        let serves = std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                for call in std::fs::read_dir(dir.join("calls")).unwrap() {
                    execute(&dir, &call.unwrap().path());
                }
                // A directory has no event that the standard library waits for.
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { nest, is_over, serves: Some(serves) }
    }

    fn path(&self) -> String {
        format!("{}:{}", self.nest.file("host").display(), std::env::var("PATH").unwrap())
    }

    fn work(&self) -> Worker {
        self.nest.work_with(&["--tick", "50ms"], &[("PATH", self.path().as_ref())])
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.nest.file("host/home/.tenure-runs"));
        runs.map_or_else(|_| Vec::new(), |runs| runs.map(|run| run.unwrap().path()).collect())
    }

    /// The first process of the only run.
    fn leader(&self) -> i32 {
        until("the run to begin", || {
            let run = self.runs().into_iter().next()?;
            std::fs::read_to_string(run.join("pid")).ok()?.trim().parse().ok()
        })
    }

    /// Calls a script of the launcher.
    fn call(&self, script: &str, args: &[&str]) -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "script"]).args(args).current_dir(self.nest.path());
        command.env("PATH", self.path()).env("TENURE_OPTION_HOST", "there").env_remove("TENURE_LAUNCH_VARIABLES");
        said(command.output().unwrap()).out
    }
}

/// Executes a command as the host does: in its home, and with nothing of the caller's environment.
fn execute(host: &Path, call: &Path) {
    if call.join("code").exists() {
        return;
    }
    let file = |name: &str| std::fs::File::create(call.join(name)).unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(std::fs::read_to_string(call.join("command")).unwrap());
    command.stdin(std::fs::File::open(call.join("in")).unwrap()).stdout(file("out")).stderr(file("err"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", host.join("home"))
        .current_dir(host.join("home"));
    let code = command.status().unwrap().code().unwrap_or(255);
    std::fs::write(call.join("code.new"), code.to_string()).unwrap();
    std::fs::rename(call.join("code.new"), call.join("code")).unwrap();
}

impl Drop for Host {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _panicked_already = self.serves.take().map(JoinHandle::join);
        for run in self.runs() {
            let leader = std::fs::read_to_string(run.join("pid")).unwrap_or_default();
            let Ok(leader) = leader.trim().parse() else { continue };
            session(leader).iter().for_each(|pid| _ = kill(*pid, Signal::KILL));
        }
    }
}

#[test]
fn a_job_runs_on_the_host_with_its_arguments_and_variables() {
    let host = Host::new();
    let nest = &host.nest;
    let _worker = host.work();
    let show = r#"pwd; printf '<%s>' "$@" "$COLOUR" "$TENURE_ATTEMPT" "${TENURE_COOKIE-none}"; exit 3"#;
    let hostile = ["a b", "it\u{27}s", "x\ny", "$HOME `id` \\ \" *", ""];
    let args = ["-q", "far", "-e", "COLOUR=sea 'green'\nblue", "--", "/bin/sh", "-c", show, "sh"];
    let job = nest.add(&[&args[..], &hostile].concat());
    let ended = nest.until_ended(job);
    assert_eq!((came(&ended), ended["exit_code"].as_i64()), (("failed".into(), "exit".into()), Some(3)), "{ended}");
    let wanted = format!("{}\n<{}><sea 'green'\nblue><1><none>", nest.path().display(), hostile.join("><"));
    assert!(nest.log(job).contains(&wanted), "{}", nest.log(job));
    let missing = nest.add(&["-q", "far", "--", "no-such-program"]);
    assert_eq!(nest.until_ended(missing)["exit_code"], 127);
}

#[test]
fn a_cancel_ends_the_processes_on_the_host() {
    let host = Host::new();
    let _worker = host.work();
    let job = host.nest.sh(&["-q", "far"], "sleep 600 & sleep 600");
    let leader = host.leader();
    host.nest.ok(&["cancel", &job.to_string()]);
    assert_eq!(came(&host.nest.until_ended(job)).0, "cancelled");
    until("its processes to be gone", || session(leader).is_empty().then_some(()));
}

#[test]
fn a_run_whose_processes_are_gone_is_lost() {
    let host = Host::new();
    let _worker = host.work();
    let job = host.nest.sh(&["-q", "far"], "sleep 600");
    let leader = host.leader();
    until("all its processes to be killed", || {
        let alive = session(leader);
        alive.iter().for_each(|pid| _ = kill(*pid, Signal::KILL));
        alive.is_empty().then_some(())
    });
    assert_eq!(came(&host.nest.until_ended(job)), ("failed".into(), "lost".into()));
}

#[test]
fn a_host_that_cannot_be_reached_ends_nothing() {
    let host = Host::new();
    let worker = host.work();
    let job = host.nest.sh(&["-q", "far"], "until [ -e go ]; do sleep 0.02; done");
    host.leader();
    std::fs::write(host.nest.file("host/unreachable"), "").unwrap();
    let waits = host.nest.add(&["-q", "far", "--", "true"]);
    until("the problem", || host.nest.status()["problems"].to_string().contains("no route to host").then_some(()));
    std::fs::write(host.nest.file("go"), "").unwrap();
    worker.kill();
    let _next = host.work();
    assert_eq!(host.nest.state(job), "running");
    std::fs::remove_file(host.nest.file("host/unreachable")).unwrap();
    assert_eq!([job, waits].map(|job| came(&host.nest.until_ended(job)).0), ["done", "done"]);
}

#[test]
fn what_was_said_to_be_gone_never_begins() {
    let host = Host::new();
    let name = "tenure-00000000000000000000000000000000";
    assert_eq!(host.call(STATUS, &[name]), format!("{name} gone\n"));
    host.call(SUBMIT, &[name, "touch", "begun"]);
    assert_eq!(host.call(STATUS, &[name]), format!("{name} gone\n"));
    assert!(!host.nest.file("begun").exists());
    // And what was submitted once is not begun again.
    let other = "tenure-11111111111111111111111111111111";
    for _ in 0..2 {
        host.call(SUBMIT, &[other, "sh", "-c", "echo begun >> ledger"]);
        until("its end", || host.call(STATUS, &[other]).contains("ended 0").then_some(()));
    }
    assert_eq!(std::fs::read_to_string(host.nest.file("ledger")).unwrap(), "begun\n");
}

/// The processes of a session.
fn session(leader: i32) -> Vec<i32> {
    let of = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<String> = stat.rsplit(") ").next()?.split(' ').map(str::to_owned).collect();
        (fields[3] == leader.to_string() && fields[0] != "Z").then_some(())
    };
    crate::support::process::pids().filter(|pid| of(pid).is_some()).collect()
}

/// An sshd on a loopback port, which ends with the test.
struct Sshd {
    child: Child,
    config: PathBuf,
}

impl Sshd {
    /// `None`: there is none here.
    fn start(nest: &Nest) -> Option<Self> {
        let program = "/usr/sbin/sshd";
        if !std::path::Path::new(program).exists() || !rustix::process::geteuid().is_root() {
            left_out("the launcher over a real sshd", "openssh-server, and root");
            return None;
        }
        std::fs::create_dir_all("/run/sshd").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for key in ["host_key", "user_key"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(nest.file(key)).status().unwrap();
            assert!(made.success());
        }
        let file = |name: &str| nest.file(name).display().to_string();
        std::fs::copy(nest.file("user_key.pub"), nest.file("authorized")).unwrap();
        let settings = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            file("host_key"),
            file("authorized"),
        );
        std::fs::write(nest.file("sshd_config"), settings).unwrap();
        let client = format!(
            "Host there\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n",
            file("user_key"),
            file("known"),
        );
        std::fs::write(nest.file("ssh_config"), client).unwrap();
        let log = std::fs::File::create(nest.file("sshd.log")).unwrap();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(nest.file("sshd_config")).stdin(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        until("sshd", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { child, config: nest.file("ssh_config") })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        kill_child(&mut self.child);
    }
}

#[test]
fn a_job_runs_over_a_real_sshd() {
    let nest = Nest::new();
    let Some(sshd) = Sshd::start(&nest) else { return };
    let config = format!("config={}", sshd.config.display());
    nest.ok(&["queue", "set", "far", "--launcher", "ssh", "--slots", "10", "--launcher-option", "host=there"]);
    nest.ok(&["queue", "set", "far", "--launcher-option", &config, "--launcher-option", "interval=200ms"]);
    let worker = nest.work(&["--tick", "50ms"]);
    let job = nest.sh(&["-q", "far"], "echo begun; until [ -e go ]; do sleep 0.02; done; echo over; exit 4");
    let cancelled = nest.sh(&["-q", "far"], "sleep 600");
    for job in [job, cancelled] {
        until("the host to run it", || nest.ok(&["why", &job.to_string()]).contains(": running").then_some(()));
    }
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let names: Vec<String> = {
        let conn = nest.sql();
        let mut nonces = conn.prepare("SELECT nonce FROM run").unwrap();
        nonces.query_map([], |row| row.get::<_, String>(0)).unwrap().map(|nonce| format!("tenure-{}", nonce.unwrap())).collect()
    };
    worker.kill();
    let _next = nest.work(&["--tick", "50ms"]);
    nest.ok(&["cancel", &cancelled.to_string()]);
    assert_eq!(came(&nest.until_ended(cancelled)).0, "cancelled");
    std::fs::write(nest.file("go"), "").unwrap();
    let ended = nest.until_ended(job);
    assert_eq!((came(&ended).0.as_str(), ended["exit_code"].as_i64()), ("failed", Some(4)), "{ended}");
    for name in names {
        std::fs::remove_dir_all(format!("{home}/.tenure-runs/{name}")).unwrap();
    }
    assert!(nest.log(job).contains("begun\nover"), "{}", nest.log(job));
}
