//! A job with a single attempt begins at most once, over a power cut as well: nothing of it exists before its claim is on the disk, and it enters its
//! workspace only after its use of it is.

use crate::launchers::engine::Engine;
use crate::support::Nest;
use crate::support::strace::{Call, calls, has_strace, strace};

/// Each flush takes so long, in microseconds, that a shim which did not wait for it would be there first.
const FLUSH_US: u32 = 150_000;

/// Works until nothing is left, with slow flushes, and returns what strace saw.
fn recorded(nest: &Nest) -> String {
    let trace = nest.file("trace");
    let work = nest.tenure(&["work", "--until-idle"]);
    let mut traced = strace();
    traced
        .args(["-qq", "-y", "-e", "trace=fdatasync,pwrite64,sendmsg,write", "-e"])
        .arg(format!("inject=fdatasync:delay_enter={FLUSH_US}"))
        .arg("-o")
        .arg(&trace)
        .arg(work.get_program())
        .args(work.get_args())
        .current_dir(nest.path())
        .env_clear();
    traced.envs(work.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(traced.output().unwrap().status.success());
    String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned()
}

fn of_log(call: &&Call<'_>, name: &str) -> bool {
    call.name == name && call.text.contains("q.db-wal>")
}

/// The last commit before the launch is flushed before the run records PREPARE, by a flush that began after it; and the shim is made meanwhile
/// where `overlaps`.
fn begins_after_its_flush(text: &str, overlaps: bool) {
    let calls = calls(text);
    let launched = calls.iter().find(|call| call.name == "sendmsg").expect("a launch").entered;
    let written =
        calls.iter().filter(|call| of_log(call, "pwrite64") && call.returned < launched).map(|call| call.returned).max();
    let written = written.expect("a commit before the launch");
    let flush = calls.iter().find(|call| of_log(call, "fdatasync") && call.entered > written).expect("a flush of that commit");
    let prepared = calls.iter().find(|call| call.text.contains("\"PREPARE ")).expect("PREPARE").entered;
    assert!(flush.returned < prepared, "it began before what was committed for it was on the disk:\n{text}");
    assert!(!overlaps || launched < flush.returned, "its shim was not made meanwhile:\n{text}");
}

/// Also with more attempts: the name that the engine is given must not be forgotten.
#[test]
fn nothing_is_submitted_before_its_name_is_flushed() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let engine = Engine::new(&nest, "ended 0");
    engine.add(&["--retries", "3"]);
    begins_after_its_flush(&recorded(&nest), true);
    engine.has_accepted(1);
}

#[test]
fn a_single_attempt_begins_only_after_its_claim_is_flushed() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let job = nest.sh(&[], "echo here");
    let text = recorded(&nest);
    assert_eq!(nest.state(job), "done");
    begins_after_its_flush(&text, true);
}

#[test]
fn a_single_attempt_enters_its_workspace_after_the_flush() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let options = ["--workspace", "repo", "--prepare", "true"];
    nest.sh(&options, "true");
    nest.work_until_idle(&[]);
    let job = nest.sh(&options, "pwd");
    let text = recorded(&nest);
    assert_eq!(nest.state(job), "done");
    assert!(nest.log(job).contains("/work/"), "it ran in its workspace");
    begins_after_its_flush(&text, false);
}
