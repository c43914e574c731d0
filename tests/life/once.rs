//! A job with a single attempt begins at most once, over a power cut as well: nothing of it exists before its claim is on the disk.

use std::process::Command;

use crate::support::Nest;

/// Each flush takes so long, in microseconds, that a shim which did not wait for it would be there first.
const FLUSH_US: u32 = 150_000;

#[test]
fn nothing_of_a_job_with_one_attempt_begins_before_its_claim_is_flushed() {
    let strace = Command::new("strace").arg("--version").output();
    if !strace.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("TENURE_TEST_ALL").is_none(), "this test needs strace: apt-get install strace");
        println!("NOT TESTED: strace is not here (apt-get install strace)");
        return;
    }
    let nest = Nest::new();
    let job = nest.sh(&[], "echo here");
    let trace = nest.file("trace");
    let work = nest.tenure(&["work", "--until-idle"]);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-qq", "-y", "-e", "trace=fdatasync,pwrite64,sendmsg", "-e"])
        .arg(format!("inject=fdatasync:delay_enter={FLUSH_US}"))
        .arg("-o")
        .arg(&trace)
        .arg(work.get_program())
        .args(work.get_args())
        .current_dir(nest.path())
        .env_clear();
    traced.envs(work.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(traced.output().unwrap().status.success());
    assert_eq!(nest.state(job), "done");

    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let at = |what: &str, found: Option<usize>| found.unwrap_or_else(|| panic!("no {what} in\n{text}"));
    let of_log = |call: &str, line: &str| line.contains(call) && line.contains("q.db-wal>");
    let launched = at("launch", lines.iter().position(|line| line.contains("sendmsg(")));
    let claimed = at("claim", lines[..launched].iter().rposition(|line| of_log("pwrite64(", line)));
    let flush = claimed + at("flush of the claim", lines[claimed..].iter().position(|line| of_log("fdatasync(", line)));
    let thread = lines[flush].split_whitespace().next().unwrap_or_default();
    let is_end = |line: &&str| line.starts_with(thread) && line.contains("fdatasync") && line.contains("= 0");
    let flushed = flush + at("end of that flush", lines[flush..].iter().position(is_end));
    let prepared = at("PREPARE", lines.iter().position(|line| line.contains("\"PREPARE ")));
    assert!(flushed < prepared, "it began before its claim was on the disk:\n{text}");
    assert!(launched < flushed, "its shim was not made meanwhile:\n{text}");
}
