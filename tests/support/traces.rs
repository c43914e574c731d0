//! What the runs of a nest leave in files and among the processes.

use std::os::unix::ffi::OsStrExt;

use crate::support::process::{is_fork_of_this, pids};
use crate::support::{Nest, until};

impl Nest {
    /// The text of a run file, or "" where there is none.
    pub fn run_file(&self, run: i64) -> String {
        std::fs::read(self.beside().join("runs").join(run.to_string()))
            .map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }

    /// The value of `key=` in the run file's line of that kind.
    pub fn record(&self, run: i64, kind: &str, key: &str) -> Option<String> {
        let text = self.run_file(run);
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    }

    /// The pid of the shim of a run, once it has started its job.
    pub fn shim(&self, run: i64) -> i32 {
        until(&format!("the shim of run {run}"), || self.record(run, "STARTED", "shim")?.parse().ok())
    }

    /// The spawner that is the parent of a shim.
    pub fn parent_of(&self, pid: i32) -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).and_then(|ppid| ppid.parse().ok()).expect("a parent")
    }

    /// Every process whose environment names this nest's file and that belongs to a run.
    pub fn of_runs(&self) -> Vec<i32> {
        let ours = [b"TENURE_DB=", self.db().as_os_str().as_bytes()].concat();
        pids()
            .filter(|pid| {
                environ(*pid)
                    .is_some_and(|env| has(&env, &ours) && env.split(|b| *b == 0).any(|e| e.starts_with(b"TENURE_COOKIE=")))
            })
            .collect()
    }

    /// Every process that has anything of this nest open, or that belongs to one of its runs.
    pub fn processes(&self) -> Vec<i32> {
        let me = std::process::id() as i32;
        let root = self.path().as_os_str().as_bytes().to_vec();
        let ours = [b"TENURE_DB=", self.db().as_os_str().as_bytes()].concat();
        pids()
            .filter(|pid| *pid != me && !is_fork_of_this(*pid))
            .filter(|pid| environ(*pid).is_some_and(|env| has(&env, &ours)) || holds_below(*pid, &root))
            .collect()
    }
}

fn has(env: &[u8], entry: &[u8]) -> bool {
    env.split(|b| *b == 0).any(|e| e == entry)
}

fn environ(pid: i32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

fn holds_below(pid: i32, root: &[u8]) -> bool {
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(root));
    cwd || std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
        fds.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(root)))
    })
}
