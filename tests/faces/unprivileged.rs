//! The same commands as a user who is not root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Nest, Signal, kill, kill_child, niceness, said, until};

/// A user who runs commands without privileges: `nobody` where this test is root's, otherwise the user of the test.
pub struct PlainUser {
    home: PathBuf,
    binary: PathBuf,
    drop: bool,
}

impl PlainUser {
    /// A home below the nest, with the program in it, so that it can be reached.
    pub fn new(nest: &Nest) -> Self {
        let drop = rustix::process::geteuid().is_root();
        let home = nest.file("home");
        std::fs::create_dir(&home).unwrap();
        let binary = home.join("tenure");
        crate::support::copy_program(env!("CARGO_BIN_EXE_tenure"), &binary);
        if drop {
            open(nest.path(), "a+rx");
            std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).unwrap();
        }
        Self { home, binary, drop }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn db(&self) -> PathBuf {
        self.home.join("q.db")
    }

    pub fn program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = if self.drop {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args).current_dir(&self.home).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.home).env("TENURE_DB", self.db()).env("TZ", "UTC");
        command
    }

    pub fn tenure(&self, args: &[&str]) -> Command {
        self.program(&self.binary, args)
    }

    pub fn say(&self, args: &[&str]) -> crate::support::Said {
        said(self.tenure(args).output().unwrap())
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    pub fn show(&self, id: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["show", id, "--json"])).unwrap()
    }
}

/// `chmod`
pub fn open(path: &Path, mode: &str) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

#[test]
fn without_privileges_jobs_run_and_end_as_they_should() {
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    let ran = me.say(&["run", "-c", "id -u; exit 3"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_ne!(ran.out.trim(), "0");
    assert_eq!(me.say(&["run", "--", "/no/such/program"]).code, 127);
    assert_eq!(me.say(&["run", "-t", "300ms", "--grace", "200ms", "-c", "trap '' TERM; sleep 600"]).code, 124);
    assert_eq!(me.say(&["run", "--check", "false", "--", "true"]).code, 1);
    let left = me.say(&["run", "-c", "setsid sleep 600 & env -i setsid sleep 600 & sleep 0.2; exit 0"]);
    assert_eq!(left.code, 0, "{left:?}");
    assert!(me.ok(&["history", "last"]).contains("left_behind"));
    let memory = me.say(&["run", "--memory", "64M", "-t", "60s", "-c", "x=0123456789abcdef; while :; do x=$x$x; done"]);
    assert!(memory.code != 0 && memory.code != 124, "{memory:?}");
    assert!(me.ok(&["doctor"]).contains("integrity"));
}

#[test]
fn without_privileges_no_other_user_and_no_higher_priority() {
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    let root = me.say(&["run", "--user", "root", "--", "id", "-u"]);
    assert_eq!((root.code, root.out.as_str()), (126, ""), "{root:?}");
    assert!(root.err.contains("root"), "{root:?}");
    // This test may itself run under `nice`, of either sign.
    let higher = (niceness() - 5).max(-20).to_string();
    let nice = me.say(&["run", "--nice", &higher, "--", "nice"]);
    assert!(nice.code == 126 && nice.err.contains("nice"), "it is told and not silently left out: {nice:?}");
    let lower = (niceness() + 5).min(19).to_string();
    assert_eq!(me.ok(&["run", "--nice", &lower, "--", "nice"]), lower);
}

#[test]
fn without_privileges_the_next_worker_adopts_the_jobs() {
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    let mut first = me.tenure(&["work"]).stderr(Stdio::null()).spawn().unwrap();
    until("the file", || me.db().exists().then_some(()));
    let id = until("a job", || {
        Some(me.say(&["add", "-c", "while [ ! -e go ]; do sleep 0.02; done; exit 5"])).filter(|said| said.code == 0)
    })
    .out;
    let id = id.trim();
    until("it to run", || me.show(id)["pid"].as_i64());
    let stubborn = me.ok(&[
        "add",
        "--grace",
        "1s",
        "-c",
        "trap '' TERM; setsid sh -c 'env -i sleep 600 & env -i setsid sleep 600 &' & echo up; sleep 600",
    ]);
    until("the other to run", || me.ok(&["logs", &stubborn]).contains("up").then_some(()));
    kill(first.id() as i32, Signal::KILL);
    first.wait().unwrap();
    assert!(me.say(&["cancel", &stubborn]).err.contains("asked to stop"));
    std::fs::write(me.home().join("go"), "").unwrap();
    until("all of it to end", || nest.of_runs().is_empty().then_some(()));
    me.ok(&["work", "--until-idle"]);
    assert_eq!(me.show(id)["exit_code"], 5);
    assert_eq!(me.show(&stubborn)["state"], "cancelled");
}

#[test]
fn another_users_file_is_refused_and_not_touched() {
    if !crate::faces::said::is_root("files of others") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    nest.sh(&[], "true");
    let at = nest.db().to_string_lossy().into_owned();
    for args in [&["ls"][..], &["add", "--", "true"], &["work", "--until-idle"], &["cancel", "1"], &["backup", "copy.db"]] {
        let said = me.say(&[&["--db", &at], args].concat());
        assert_eq!(said.code, 4, "{args:?}: {said:?}");
        assert!(said.err.contains("ermission") || said.err.contains("ermitted"), "{args:?}: {said:?}");
    }
    assert_eq!(nest.state(1), "queued");
}

#[test]
fn what_may_not_be_ended_keeps_its_run_and_is_told_as_a_problem() {
    if !crate::faces::said::is_root("processes of others") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    let id = me.ok(&["add", "--", "sleep", "600"]);
    let mut first = me.tenure(&["work"]).stderr(Stdio::null()).spawn().unwrap();
    until("it to run", || me.show(&id)["pid"].as_i64());
    let run = me.show(&id)["run_id"].as_i64().unwrap();
    // A process of root has the log open and holds its lock, as a setuid program of the job would.
    let pid = me.show(&id)["pid"].as_i64().unwrap();
    let taken = std::fs::OpenOptions::new().append(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    let mut of_root = Command::new("sleep").arg("600").stdin(Stdio::null()).stdout(taken.try_clone().unwrap()).spawn().unwrap();
    let records = me.db().with_extension("db.d").join("runs").join(run.to_string());
    let shim = std::fs::read_to_string(&records).unwrap();
    let shim: i32 = shim.split("shim=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let spawner = nest.parent_of(shim);
    for pid in [spawner, shim, first.id() as i32] {
        kill(pid, Signal::KILL);
    }
    first.wait().unwrap();
    // Once only root's process is left, its lock is the obstacle.
    until("the job to die with its shim", || (!crate::support::lives(pid as i32)).then_some(()));
    taken.lock().unwrap();
    drop(taken);
    let mut second = me.tenure(&["work", "--tick", "50ms"]).stderr(Stdio::null()).spawn().unwrap();
    let status = until("the problem to be told", || {
        let status: serde_json::Value = serde_json::from_str(&me.ok(&["status", "--json"])).unwrap();
        status["problems"].as_array()?.iter().find(|problem| problem["code"] == "stuck").cloned()
    });
    assert!(status["text"].as_str().unwrap().contains(&format!("run {run} of job {id}")), "{status}");
    assert!(me.ok(&["why", &id]).contains("cannot be settled"), "why says the same");
    assert_eq!(me.show(&id)["state"], "running", "nothing is started twice meanwhile");
    kill_child(&mut of_root);
    until("the run to be settled", || (me.show(&id)["state"] == "failed").then_some(()));
    let status: serde_json::Value = serde_json::from_str(&me.ok(&["status", "--json"])).unwrap();
    assert!(status["problems"].as_array().unwrap().iter().all(|problem| problem["code"] != "stuck"), "{status}");
    assert_eq!(me.show(&id)["reason"], "lost");
    kill(second.id() as i32, Signal::TERM);
    second.wait().unwrap();
}

/// What sudo, su or a setuid program starts: a process of root below a job of another user. `setpriv` as a setuid program makes one.
#[test]
fn processes_of_another_user_that_outlive_a_command_are_told() {
    if !crate::faces::said::is_root("setuid programs") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    let as_root = me.home().join("as-root");
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).exists());
    let Some(setpriv) = setpriv else {
        return crate::support::untested::not_tested("setuid programs", "setpriv: apt-get install util-linux");
    };
    crate::support::copy_program(setpriv, &as_root);
    open(&as_root, "u+s,a+rx");
    let mut worker = me.tenure(&["work", "--tick", "100ms"]).stderr(Stdio::null()).spawn().unwrap();
    let leaves = format!(
        "{} --reuid 0 --regid 0 --clear-groups setsid sleep 600.93 </dev/null >/dev/null 2>&1 & echo $! >left.$TENURE_JOB; sleep 0.5",
        as_root.display()
    );
    let cases = [
        ("ends", "", ("done", "exit")),
        ("is cancelled", "; sleep 600", ("cancelled", "cancelled")),
        ("loses its shim", "; sleep 600", ("failed", "lost")),
    ];
    for (what, then, expected) in cases {
        let id = me.ok(&["add", "--grace", "1s", "-c", &format!("{leaves}{then}")]);
        let left: i32 = until("the process of root", || {
            let pid = std::fs::read_to_string(me.home().join(format!("left.{id}"))).ok()?.trim().parse().ok()?;
            (std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()? == "sleep\n").then_some(pid)
        });
        until("it to run", || me.show(&id)["pid"].as_i64());
        match what {
            "is cancelled" => drop(me.ok(&["cancel", &id])),
            "loses its shim" => {
                let file = me.db().with_extension("db.d").join("runs").join(me.show(&id)["run_id"].to_string());
                let records = std::fs::read_to_string(file).unwrap();
                kill(records.split("shim=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap(), Signal::KILL);
            }
            _ => {}
        }
        let why = until("it to be told", || {
            let why = me.ok(&["why", &id]);
            why.contains("cannot be ended").then_some(why)
        });
        assert!(why.contains(&format!("{left} sleep (root)")), "{what}: {why}");
        let status: serde_json::Value = serde_json::from_str(&me.ok(&["status", "--json"])).unwrap();
        assert!(status["problems"].to_string().contains("cannot be ended"), "{what}: {status}");
        assert!(me.say(&["doctor"]).out.contains("cannot be ended"), "{what}");
        assert_eq!(me.show(&id)["state"], "running", "{what}: it stays until they are gone");
        kill(left, Signal::KILL);
        let ended = until("it to end", || Some(me.show(&id)).filter(|job| job["state"] != "running"));
        assert_eq!((ended["state"].as_str(), ended["reason"].as_str()), (Some(expected.0), Some(expected.1)), "{what}: {ended}");
    }
    kill(worker.id() as i32, Signal::TERM);
    worker.wait().unwrap();
}
