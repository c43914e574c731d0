//! Processes of odd kinds, from a small C program that is compiled when a test needs it (a machine that builds Rust has a C compiler).

use std::path::{Path, PathBuf};
use std::process::Command;

/// What root can make of a process.
pub const KINDS: [&str; 14] = [
    "plain",
    "unlimited",
    "zombie_leader",
    "zombie_leader_cleared",
    // The cookie in the environment of its other thread is all that is left of it.
    "zombie_leader_unlimited",
    // The log, open in its other thread, is all that is left of it.
    "zombie_leader_cleared_unlimited_keeps_output",
    "cleared",
    "non_dumpable",
    "other_user",
    "other_namespace",
    "stopped",
    "traced",
    "renamed",
    "vfork_parent",
];

/// Compiles the program into a directory.
pub fn build(dir: &Path) -> PathBuf {
    let program = dir.join("zoo");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/zoo.c");
    let built = Command::new("cc").args(["-pthread", "-w", "-o"]).arg(&program).arg(source).status().expect("a C compiler");
    assert!(built.success(), "zoo.c compiles");
    program
}

/// Ends every process that runs the program in this directory: what a failed test has left.
pub fn clear(dir: &Path) {
    let program = dir.join("zoo");
    let runs_it = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(runs_it) {
        crate::support::kill(pid, crate::support::Signal::KILL);
    }
}

/// Whether any thread of a process lives: the state of its main thread says too little.
pub fn lives(pid: i32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    })
}
