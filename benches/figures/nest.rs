//! A file of its own for a figure, and a worker on it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tenure::store::{Options, Role, Store};

/// How long a worker may take to end, in seconds.
const ENDING_S: u64 = 60;

/// A directory with a file in it.
///
/// Keep those of earlier rounds to the end of a row: a file system may be slow for a while in
/// creating files where many were removed.
pub struct Nest(pub tempfile::TempDir);

impl Nest {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn db(&self) -> PathBuf {
        self.0.path().join("q.db")
    }

    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.0.path().join("q.db-wal")).map_or(0, |meta| meta.len())
    }

    pub fn store(&self, role: Role) -> Store {
        Store::open(&self.db(), Options::new(role)).expect("a store")
    }

    pub fn tenure<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command
            .args(args)
            .env("TENURE_DB", self.db())
            .env("XDG_CONFIG_HOME", self.0.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.tenure(args).output().expect("the program runs");
        assert!(output.status.success(), "tenure {args:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// `add -- COMMAND`.
    pub fn add(&self, command: &[String]) {
        let args: Vec<&str> = ["add", "--"].into_iter().chain(command.iter().map(String::as_str)).collect();
        let status = self.tenure(&args).stdout(Stdio::null()).status().expect("the program runs");
        assert!(status.success(), "tenure {args:?}");
    }

    /// Adds so many jobs of `/bin/true` by one command.
    pub fn add_no_ops(&self, n: usize) {
        let from = self.lines("jobs", n, |_| r#"{"command": ["/bin/true"], "cwd": "/"}"#.into());
        self.ok(&["add", "--from", from.to_str().expect("utf-8")]);
    }

    /// Starts a worker, which ends its runs when it is dropped, and waits until it serves.
    pub fn work(&self, args: &[&str]) -> Working {
        let all = [&["work", "--on-term", "end"], args].concat();
        let child = self.tenure(&all).stdout(Stdio::null()).spawn().expect("the worker starts");
        let mut working = Working(child);
        loop {
            assert!(working.0.try_wait().expect("a status").is_none(), "the worker has ended");
            let output = self.tenure(&["status", "--json"]).output().expect("the program runs");
            // The file may not be there yet.
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["worker"]["pid"].as_u64() == Some(u64::from(working.pid())) {
                return working;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a worker whose only slot is taken, so that what is added stays queued.
    pub fn work_at_nothing(&self) -> Working {
        let working = self.work(&["--slots", "1"]);
        self.add(&["/bin/sleep", "3600"].map(String::from));
        self.wait_for("running", 1);
        working
    }

    /// Jobs in a state, in all queues.
    pub fn count(&self, store: &Store, state: &'static str) -> u64 {
        let sql = "SELECT coalesce(sum(n), 0) FROM tally WHERE state = ?1";
        let n: i64 = store.read(|conn| Ok(conn.query_row(sql, [state], |row| row.get(0))?)).expect("it can be read");
        n.cast_unsigned()
    }

    /// Waits until at least so many jobs are in a state; returns how many are.
    pub fn wait_for(&self, state: &'static str, n: u64) -> u64 {
        let store = self.store(Role::Reader);
        loop {
            let count = self.count(&store, state);
            if count >= n {
                return count;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn lines(&self, name: &str, n: usize, line: impl Fn(usize) -> String) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
        for i in 0..n {
            writeln!(file, "{}", line(i)).expect("written");
        }
        path
    }
}

pub struct Working(Child);

impl Working {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Ends a child by TERM, and by KILL where that does not help.
pub fn end(child: &mut Child) {
    let begun = Instant::now();
    let _gone = kill_process(Pid::from_child(child), Signal::TERM);
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if begun.elapsed() > Duration::from_secs(ENDING_S) {
            eprintln!("process {} did not end within {ENDING_S} s of TERM, and is killed", child.id());
            let _gone = child.kill();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
