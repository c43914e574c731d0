//! A running job, a queued one behind it, and what the program answers.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::life::left::lines;
use crate::support::stopped::Stopped;
use crate::support::{Nest, Said, Signal, Started, Worker, kill, said, until};

/// A running job, a queued one behind it, and the worker of both.
pub(super) struct Scene {
    /// The first worker stands still.
    stopped: Option<Stopped>,
    pub(super) nest: Nest,
    pub(super) worker: Option<Worker>,
    /// The process of the job that runs.
    pub(super) pid: i32,
    pub(super) queued: i64,
    /// Where the file is looked at.
    pub(super) db: PathBuf,
    /// What the program is started through.
    pub(super) through: Vec<String>,
}

pub(super) const WORK: [&str; 5] = ["work", "--tick", "500ms", "--slots", "1"];

impl Scene {
    pub(super) fn new() -> Self {
        let nest = Nest::new();
        let worker = nest.work(&WORK[1..]);
        let running = nest.sh(&[], "echo running >>ledger; exec sleep 600");
        let pid = nest.until_pid(running);
        let queued = nest.sh(&[], "echo queued >>ledger");
        let db = nest.db();
        Self { stopped: None, nest, worker: Some(worker), pid, queued, db, through: Vec::new() }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.nest.file(name)
    }

    /// From here on the worker is dead, or lives and does nothing, so that what it would do itself is not taken for an answer.
    pub(super) fn kill_unless(&mut self, alive: bool) {
        if !alive {
            return self.worker.take().expect("a worker").kill();
        }
        let pid = self.worker.as_ref().expect("a worker").pid();
        self.stopped = Some(Stopped::between_writes(&self.nest, pid));
    }

    /// The worker does what it does.
    pub(super) fn let_go_on(&mut self) {
        self.stopped = None;
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.nest.tenure(args);
        if let Some((program, rest)) = self.through.split_first() {
            let mut outer = Command::new(program);
            outer.args(rest).arg(env!("CARGO_BIN_EXE_tenure")).args(args).current_dir(self.nest.path()).env_clear();
            outer.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            command = outer;
        }
        command.env("TENURE_DB", &self.db).stdin(Stdio::null());
        command
    }

    pub(super) fn say(&self, args: &[&str]) -> Said {
        said(self.command(args).output().expect("it runs"))
    }

    pub(super) fn json(&self, args: &[&str]) -> Option<Value> {
        serde_json::from_str(&self.say(args).out).ok()
    }

    /// The word of the table for what a verb came to.
    pub(super) fn word(&self, args: &[&str], done: &str) -> String {
        let told = self.say(args);
        match told.code {
            4 | 6 => {
                assert!(
                    told.err.contains("tenure: "),
                    "{args:?}: expected a refusal with its reason, found {told:?}{}",
                    self.place()
                );
                "refused".into()
            }
            0 | 1 => done.into(),
            _ => panic!("{args:?}: expected code 0, 1, 4 or 6, found {told:?}{}", self.place()),
        }
    }

    /// Starts a worker: does it serve, hold what had not ended, or refuse?
    pub(super) fn work(&self) -> String {
        let log = std::fs::File::create(self.file("second.log")).expect("a log");
        let mut child = Started(self.command(&WORK).stdout(Stdio::null()).stderr(log).spawn().expect("it starts"));
        until(&format!("the second worker to serve, hold or refuse{}", self.place()), || {
            if let Some(status) = child.0.try_wait().expect("a child") {
                let told = std::fs::read_to_string(self.file("second.log")).unwrap_or_default();
                let place = self.place();
                assert!(
                    matches!(status.code(), Some(4 | 6)),
                    "expected a refusal with code 4 or 6, found {status}: {told}{place}"
                );
                return Some("refused".to_owned());
            }
            let job = self.json(&["show", &self.queued.to_string(), "--json"])?;
            if job["hold"] == "user" {
                return Some("holds".into());
            }
            if job["state"] == "done" {
                return Some("serves".into());
            }
            // It waits behind the running job.
            if self.worker.is_none() && self.json(&["status", "--json"])?["worker"].is_object() {
                kill(self.pid, Signal::KILL);
            }
            None
        })
    }

    /// The running job ends: the worker continues with the queued one, or ends itself.
    pub(super) fn fate(&mut self) -> String {
        let place = self.place();
        let Some(worker) = &mut self.worker else { return "-".into() };
        kill(self.pid, Signal::KILL);
        let queued = self.queued;
        let nest = &self.nest;
        until(&format!("the first worker to end, or job {queued} to be done{place}"), || {
            if worker.has_ended() {
                return Some("ends".to_owned());
            }
            let conn = rusqlite::Connection::open_with_flags(nest.db(), rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
            let state: String = conn.query_row("SELECT state FROM job WHERE id = ?1", [queued], |row| row.get(0)).ok()?;
            (state == "done").then(|| "continues".into())
        })
    }

    /// Nothing has run twice.
    pub(super) fn check(&self, what: &str) {
        for job in ["running", "queued"] {
            let times = lines(&self.nest, "ledger").iter().filter(|line| *line == job).count();
            assert!(times <= 1, "{what}: {job} was expected to run once at most, and has run {times} times{}", self.place());
        }
    }

    /// For the message of a failure: where the files are, and what the workers say.
    fn place(&self) -> String {
        let said = |log: &str| std::fs::read_to_string(self.file(log)).unwrap_or_default();
        let (first, second) = (said("worker.log"), said("second.log"));
        format!(
            "\n{}, in {}; the worker says:\n{first}\nthe second worker:\n{second}",
            self.db.display(),
            self.nest.path().display()
        )
    }
}

impl Scene {
    /// Without anything of ours: the worker finds out at its next look.
    pub(super) fn fate_by_itself(&mut self) -> String {
        let what = format!("the worker to notice by itself{}", self.place());
        let worker = self.worker.as_mut().expect("a worker");
        until(&what, || worker.has_ended().then_some(()));
        self.worker = None;
        "ends".into()
    }
}
