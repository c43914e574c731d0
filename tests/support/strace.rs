//! Reading what strace recorded.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::support::untested::not_tested;
use crate::support::{Nest, Started, Worker, until};

/// Whether strace is here.
pub fn has_strace() -> bool {
    let here = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !here {
        not_tested("the order of system calls", "strace: apt-get install strace");
    }
    here
}

/// strace of a program and its children. Only the calls that are traced stop them, not every call.
pub fn strace() -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf"]);
    strace
}

/// A system call. `entered` and `returned` are line numbers of the log.
pub struct Call<'a> {
    pub entered: usize,
    pub returned: usize,
    pub name: &'a str,
    /// Arguments, result and what follows the result.
    pub text: String,
}

/// Joins `<unfinished ...>` with `<... resumed>`. A call that never returned is left out.
pub fn calls(log: &str) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    let mut begun: HashMap<&str, (usize, &str, &str)> = HashMap::new();
    for (i, line) in log.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (Some((_, tail)), Some((entered, name, head))) = (resumed.split_once(" resumed>"), begun.remove(pid)) else {
                continue;
            };
            calls.push(Call { entered, returned: i, name, text: format!("{head}{tail}") });
        } else if let Some((name, args)) = rest.split_once('(') {
            match args.strip_suffix(" <unfinished ...>").or_else(|| args.strip_suffix("<unfinished ...>")) {
                Some(head) => drop(begun.insert(pid, (i, name, head))),
                None => calls.push(Call { entered: i, returned: i, name, text: args.to_owned() }),
            }
        }
    }
    calls.sort_by_key(|call| call.entered);
    calls
}

/// The first thing in quotes.
pub fn bytes(args: &str) -> Vec<u8> {
    unescape(args.split('"').nth(1).unwrap_or_default())
}

pub fn quoted(args: &str) -> String {
    String::from_utf8_lossy(&bytes(args)).into_owned()
}

/// `\x61\x62`, and each character that is not escaped.
pub fn unescape(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    let mut out = Vec::with_capacity(text.len() / 4);
    let mut i = 0;
    while i < text.len() {
        if text[i..].starts_with(b"\\x") {
            out.push(digit(text[i + 2]) << 4 | digit(text[i + 3]));
            i += 4;
        } else {
            out.push(text[i]);
            i += 1;
        }
    }
    out
}

/// Kills a process as it enters the n-th call of a kind, from now on. Returns when it is watched.
pub fn killed_at(worker: &Worker, call: &str, n: usize, nest: &Nest) -> Started {
    let mut strace = Command::new("strace");
    let inject = format!("inject={call}:signal=KILL:when={n}");
    strace.args(["-f", "-p", &worker.pid().to_string(), "-e", &format!("trace={call}"), "-e", &inject, "-o"]);
    strace.arg(nest.file("trace")).stdin(Stdio::null()).stderr(Stdio::null());
    let tracer = Started(strace.spawn().unwrap());
    let is_traced = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() == tracer.0.id().to_string()))
    };
    // A call that it makes for no request may be the n-th one.
    let has_ended = || tenure::run::trouble::is_dead(worker.pid());
    until("each thread to be traced", || {
        let mut tasks = std::fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap();
        (has_ended() || tasks.all(|task| is_traced(task.unwrap()))).then_some(())
    });
    tracer
}
