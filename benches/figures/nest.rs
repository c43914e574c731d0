//! A file of its own for a figure, and a worker on it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A directory with a file in it.
pub struct Nest(pub tempfile::TempDir);

impl Nest {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn db(&self) -> PathBuf {
        self.0.path().join("q.db")
    }

    pub fn tenure(&self, args: &[&str]) -> Command {
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

    pub fn work(&self, args: &[&str]) -> Working {
        let mut all = vec!["work"];
        all.extend(args);
        #[expect(clippy::zombie_processes, reason = "Working waits for it")]
        let child = self.tenure(&all).stdout(Stdio::null()).spawn().expect("the worker starts");
        loop {
            let output = self.tenure(&["status", "--json"]).output().expect("the program runs");
            // The file may not be there yet.
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["worker"]["pid"].as_u64() == Some(u64::from(child.id())) {
                return Working(child);
            }
            std::thread::sleep(Duration::from_millis(5));
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
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).expect("a pid");
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _reaped = self.0.wait();
    }
}
