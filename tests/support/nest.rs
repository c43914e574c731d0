//! A directory with a file in it, and the program on that file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::process;

/// A directory with a file in it. Dropping it ends every process that was started through it.
pub struct Nest {
    dir: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Nest {
    pub fn new() -> Self {
        process::heed_the_keyboard();
        Self { dir: tempfile::Builder::new().prefix("tenure-nest-").tempdir().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.file("q.db")
    }

    pub fn beside(&self) -> PathBuf {
        self.file("q.db.d")
    }

    /// `tenure` on this nest's file, with nothing of the caller's settings.
    pub fn tenure(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command.args(args).current_dir(self.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path())
            .env("TENURE_DB", self.db())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC");
        command.stdin(Stdio::null());
        command
    }

    pub fn say(&self, args: &[&str]) -> Said {
        said(self.tenure(args).output().expect("the program runs"))
    }

    /// Its standard output, trimmed; the command must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert_eq!(said.code, 0, "tenure {args:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    pub fn add(&self, args: &[&str]) -> i64 {
        let mut all = vec!["add"];
        all.extend(args);
        let id = self.ok(&all);
        id.parse().unwrap_or_else(|_| panic!("add prints the id alone, not {id:?}"))
    }

    /// Adds `/bin/sh -c LINE`, with these options.
    pub fn sh(&self, options: &[&str], line: &str) -> i64 {
        let mut args = options.to_vec();
        args.extend(["--", "/bin/sh", "-c", line]);
        self.add(&args)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(args);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("tenure {args:?} printed no JSON ({e}): {out}"))
    }

    pub fn show(&self, id: i64) -> Value {
        self.json(&["show", &id.to_string(), "--json"])
    }

    pub fn state(&self, id: i64) -> String {
        self.show(id)["state"].as_str().expect("a state").to_owned()
    }

    pub fn log(&self, id: i64) -> String {
        self.ok(&["logs", &id.to_string()])
    }

    pub fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    pub fn counter(&self, name: &str) -> i64 {
        let status = self.status();
        let value = &status["reaper"][name];
        value.as_i64().or_else(|| value["n"].as_i64()).unwrap_or(0)
    }

    pub fn sql(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.db()).expect("the file opens");
        conn.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        conn
    }

    /// The file as one of tenure's own connections, for bending what only it may write.
    pub fn owner(&self) -> rusqlite::Connection {
        use rusqlite::functions::FunctionFlags;
        let conn = self.sql();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        conn.create_scalar_function("sqlite_compileoption_used", 1, flags, |_| Ok(1)).expect("a function");
        conn
    }

    /// Lets a schedule believe that it has decided nothing for so many minutes.
    pub fn sleep_through(&self, schedule: &str, minutes: i64) {
        let sql = "UPDATE schedule SET decided_until = decided_until - ?2 * 60000, next_at = decided_until - ?2 * 60000 WHERE name = ?1";
        assert_eq!(self.owner().execute(sql, (schedule, minutes)).expect("the owner may"), 1);
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("TENURE_TEST_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            println!("kept: {}", self.path().display());
        }
        for _ in 0..200 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for pid in left.iter() {
                process::kill(*pid, process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5)); // a killed process needs a moment, and some of them are not our children
        }
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
