//! What would survive a power cut waits for a flush that began after the commit, for every caller.
//!
//! A worker and each command that answers a person are recorded with strace. In the worker's recording, the settle of a job is the commit whose
//! pages carry the job's result; a file that is removed because of that settle must be removed after a flush that began when this commit was written.
//! In a command's recording, the answer must come after a flush that began when the last page was written, or, for a reader, was read.

use std::process::{Command, Stdio};

use crate::life::left::{after_a_tick, claimed, settle, until_no_run_file, whole};
use crate::support::strace::{Call, bytes, calls, has_strace, strace, unescape};
use crate::support::{Nest, Signal, kill, said, until};

const JOBS: usize = 8;

/// A command of the program under strace, with this filter.
pub(in crate::life) fn recorded(nest: &Nest, args: &[&str], log: &str, filter: &str) -> Command {
    let program = nest.tenure(args);
    let mut strace = strace();
    strace.args(["-xx", "-y", "-s", "5000", "-e", "signal=none", "-e", filter, "-o"]).arg(nest.file(log));
    strace.arg(program.get_program()).args(program.get_args()).current_dir(nest.path()).env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            strace.env(name, value);
        }
    }
    strace.stdin(Stdio::null());
    strace
}

/// The path that stands behind the first descriptor of a call.
fn path_of(call: &Call<'_>) -> String {
    let inside = call.text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path);
    String::from_utf8_lossy(&unescape(inside)).into_owned()
}

/// The last path that a call names between quotes, or, for a rename, the first.
fn named(call: &Call<'_>) -> String {
    String::from_utf8_lossy(&bytes(&call.text)).into_owned()
}

/// Flushes of the log: when each was entered and when it had returned.
pub(in crate::life) fn syncs(calls: &[Call<'_>], wal: &str) -> Vec<(usize, usize)> {
    let is_sync = |call: &&Call<'_>| matches!(call.name, "fdatasync" | "fsync") && path_of(call) == wal;
    calls.iter().filter(is_sync).map(|call| (call.entered, call.returned)).collect()
}

/// Whether a flush that began after `committed` had ended before `then`.
fn is_covered(syncs: &[(usize, usize)], committed: usize, then: usize) -> bool {
    syncs.iter().any(|(entered, returned)| *entered > committed && *returned < then)
}

/// Where the commit ends whose pages carry this text: the page that follows the first header of a last frame.
fn commit_of(calls: &[Call<'_>], wal: &str, text: &[u8]) -> usize {
    let writes: Vec<_> = calls.iter().filter(|call| call.name == "pwrite64" && path_of(call) == wal).collect();
    let holds = |call: &&&Call<'_>| bytes(&call.text).windows(text.len()).any(|part| part == text);
    let first = writes.iter().position(|call| holds(&call)).expect("the result was written to the log");
    let is_last = |data: &[u8]| data.len() == 24 && data[4..8] != [0; 4];
    // The header of the frame that carries the text stands before it.
    let from = first.saturating_sub(1);
    let last = (from..writes.len()).find(|i| is_last(&bytes(&writes[*i].text))).expect("a commit ends with a last frame");
    writes[last + 1].returned
}

#[test]
fn a_worker_removes_files_after_the_flush_of_the_settle() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let jobs: Vec<i64> = (0..JOBS)
        .map(|n| {
            let line = format!("printf %s RESULT-{n}-$((7 * 11)) > $TENURE_RESULT");
            let mut add = nest.tenure(&["add", "--secret", "TOKEN", "--retries", "1", "--", "/bin/sh", "-c", &line]);
            said(add.env("TOKEN", "secret").output().expect("it runs")).out.trim().parse().expect("an id")
        })
        .collect();
    let policies: Vec<String> = {
        let sql = nest.sql();
        let one = |id: &i64| sql.query_row("SELECT policy FROM job WHERE id = ?1", [id], |row| row.get(0)).expect("a policy");
        jobs.iter().map(one).collect()
    };
    let filter = "trace=pwrite64,fdatasync,fsync,unlink,unlinkat,rename,renameat,renameat2";
    let worked =
        said(recorded(&nest, &["work", "--slots", "2", "--until-idle"], "worker.strace", filter).output().expect("strace"));
    assert_eq!(worked.code, 0, "{worked:?}");

    let log = String::from_utf8(std::fs::read(nest.file("worker.strace")).expect("a recording")).expect("text");
    let calls = calls(&log);
    let wal = format!("{}-wal", nest.db().display());
    let syncs = syncs(&calls, &wal);
    let mut seen = 0;
    for (n, id) in jobs.iter().enumerate() {
        let run = nest.show(*id)["run_id"].as_i64().expect("its run");
        let token = policies[n].split('"').rev().nth(1).expect("the token of its secret").to_owned();
        let committed = commit_of(&calls, &wal, format!("RESULT-{n}-77").as_bytes());
        for gone in [format!("runs/{run}"), format!("results/{run}"), format!("secrets/{token}")] {
            let path = nest.beside().join(&gone);
            let removed = calls.iter().find(|call| {
                matches!(call.name, "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2")
                    && call.entered > committed
                    && named(call) == path.to_string_lossy()
                    && call.text.contains("= 0")
            });
            let early = calls.iter().any(|call| {
                matches!(call.name, "unlink" | "unlinkat")
                    && call.entered <= committed
                    && named(call) == path.to_string_lossy()
                    && call.text.contains("= 0")
            });
            assert!(!early, "{gone} was removed before its settle was committed");
            let removed = removed.unwrap_or_else(|| panic!("{gone} was never removed"));
            assert!(
                is_covered(&syncs, committed, removed.entered),
                "{gone} was removed before a flush that began after its settle"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 3 * JOBS);
}

/// Also to a client that has handed its job over.
#[test]
fn a_worker_answers_a_client_after_the_flush_of_its_job() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let filter = "trace=pwrite64,fdatasync,fsync,sendto";
    let mut worker = recorded(&nest, &["work", "--queue", "of-no-job"], "worker.strace", filter)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace");
    let pid = until("the worker to serve", || nest.status()["worker"]["pid"].as_i64());
    until("the worker to take jobs", || crate::life::handover::connected(&nest));
    let jobs: Vec<i64> = (0..JOBS).map(|n| nest.add(&["-l", &format!("LABEL-{n}-OF-IT"), "--", "true"])).collect();
    kill(pid as i32, Signal::TERM);
    worker.wait().expect("strace ends");
    let log = String::from_utf8(std::fs::read(nest.file("worker.strace")).expect("a recording")).expect("text");
    let calls = calls(&log);
    let wal = format!("{}-wal", nest.db().display());
    let syncs = syncs(&calls, &wal);
    for (n, id) in jobs.iter().enumerate() {
        let committed = commit_of(&calls, &wal, format!("LABEL-{n}-OF-IT").as_bytes());
        let says = format!(r#"{{"Added":{{"jobs":[{{"id":{id}}}]}}}}"#);
        let answered = calls.iter().find(|call| call.name == "sendto" && bytes(&call.text) == says.as_bytes());
        let answered = answered.unwrap_or_else(|| panic!("the worker was not asked to add job {id}")).entered;
        assert!(is_covered(&syncs, committed, answered), "job {id} was acknowledged before its flush");
    }
}

/// The process that settled a run may have died before the flush: the run file is what tells of its end until then.
#[test]
fn the_reaper_removes_a_run_file_after_a_flush() {
    if !has_strace() {
        return;
    }
    for records in [whole(0), vec![]] {
        let nest = Nest::new();
        let job = nest.sh(&[], "true");
        let left = claimed(&nest, job, &records);
        let (run, file) = (left.run, nest.beside().join("runs").join(left.run.to_string()));
        let aside = nest.file("aside");
        std::fs::rename(&file, &aside).expect("a run file");
        settle(&nest, job, run);
        let filter = "trace=fdatasync,fsync,unlink,unlinkat";
        let mut strace = recorded(&nest, &["work", "--tick", "20ms"], "worker.strace", filter)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace");
        after_a_tick(&nest);
        // From here on no process commits anything, so that nothing else flushes.
        let before = std::fs::read_to_string(nest.file("worker.strace")).expect("a recording").lines().count();
        std::fs::rename(&aside, &file).expect("a run file");
        until_no_run_file(&nest, run);
        kill(nest.status()["worker"]["pid"].as_i64().expect("a worker") as i32, Signal::TERM);
        strace.wait().expect("strace ends");
        let log = std::fs::read_to_string(nest.file("worker.strace")).expect("a recording");
        let calls = calls(&log);
        let removed = calls.iter().find(|call| call.name.starts_with("unlink") && named(call) == file.to_string_lossy());
        let removed = removed.expect("the file was removed").entered;
        let syncs = syncs(&calls, &format!("{}-wal", nest.db().display()));
        assert!(is_covered(&syncs, before.saturating_sub(1), removed), "{records:?}: it was removed before a flush");
    }
}

/// Every command that changes the file and says so: its arguments, after `add` has made jobs 1 (held), 2 (failed) and 3 (done).
const WRITERS: &[&[&str]] = &[
    &["add", "--", "true"],
    &["add", "--array", "0-3", "--", "true"],
    &["add", "--unique", "k", "--", "true"],
    &["release", "1"],
    &["hold", "1"],
    &["set", "1", "priority=3"],
    &["retry", "2"],
    &["cancel", "1"],
    &["queue", "set", "q", "--slots", "3"],
    &["queue", "pause", "q"],
    &["queue", "resume", "q"],
    &["lane", "set", "l", "--limit", "2"],
    &["schedule", "add", "s", "0 3 * * *", "--", "true"],
    &["schedule", "pause", "s"],
    &["schedule", "resume", "s"],
    &["schedule", "rm", "s"],
    &["pipeline", "apply", "p.toml"],
    &["task", "start", "p", "--key", "a"],
    &["task", "hold", "1"],
    &["task", "release", "1"],
    &["task", "stop", "1"],
    &["resource", "add", "r", "--job", "1", "--teardown", "true"],
    &["resource", "release", "last", "--force"],
    &["prune", "--older-than", "1ms"],
];

#[test]
fn every_command_answers_after_the_flush_of_its_commit() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    std::fs::write(nest.file("p.toml"), "[pipeline.p]\nstart = \"one\"\n\n[pipeline.p.stage.one]\ncommand = [\"true\"]\n")
        .expect("a file");
    nest.add(&["--hold", "--", "true"]);
    nest.sh(&[], "exit 3");
    nest.add(&["--", "true"]);
    nest.work_until_idle(&[]);
    let wal = format!("{}-wal", nest.db().display());
    // Another process has the file open, so that no command checkpoints and removes the log as it leaves.
    let _keeps_the_log = nest.sql();
    let _opened: i64 = _keeps_the_log.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).expect("it can be read");
    for args in WRITERS {
        let filter = "trace=pwrite64,fdatasync,fsync,write,exit_group";
        let answer = said(recorded(&nest, args, "one.strace", filter).output().expect("strace"));
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        let log = String::from_utf8(std::fs::read(nest.file("one.strace")).expect("a recording")).expect("text");
        let calls = calls(&log);
        let wrote = calls.iter().filter(|call| call.name == "pwrite64" && path_of(call) == wal).map(|call| call.returned).max();
        let wrote = wrote.unwrap_or_else(|| panic!("{args:?} wrote nothing"));
        let spoke =
            calls.iter().filter(|call| call.name == "write" && (call.text.starts_with("1<") || call.text.starts_with("2<")));
        let spoke = spoke.map(|call| call.entered).chain([usize::MAX]).find(|at| *at > wrote).expect("its end at the latest");
        assert!(is_covered(&syncs(&calls, &wal), wrote, spoke), "{args:?} answered before a flush that began after its commit");
    }
}

/// What a reader says of an end must be on the disk: it flushes what the worker may only have committed.
#[test]
fn an_answer_about_an_end_comes_after_a_flush() {
    if !has_strace() {
        return;
    }
    for args in [&["wait", "1", "--json"][..], &["run", "--", "/bin/echo", "said"], &["logs", "-f", "1"], &["wait", "--any", "1"]]
    {
        let nest = Nest::new();
        let filter = "trace=pread64,fdatasync,fsync,write,exit_group";
        let gate = nest.file("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
        let id = nest.sh(&[], "read line < gate; echo said");
        let worker = nest.work(&["--slots", "2"]);
        nest.until_state(id, "running");
        let child =
            recorded(&nest, args, "one.strace", filter).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace");
        until("the command to look at the file", || {
            std::fs::read_to_string(nest.file("one.strace")).is_ok_and(|log| log.contains("pread64")).then_some(())
        });
        std::fs::write(&gate, "go\n").expect("the job continues");
        let answer = said(child.wait_with_output().expect("it ends"));
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        let log = String::from_utf8(std::fs::read(nest.file("one.strace")).expect("a recording")).expect("text");
        let calls = calls(&log);
        let (db, wal) = (nest.db().display().to_string(), format!("{}-wal", nest.db().display()));
        let end = calls.iter().find(|call| call.name == "exit_group").map_or(usize::MAX, |call| call.entered);
        let last_flush = syncs(&calls, &wal).into_iter().filter(|(_, returned)| *returned < end).max();
        let (entered, returned) = last_flush.unwrap_or_else(|| panic!("{args:?} flushed nothing"));
        // The look that saw the end came before that flush, and the answer after it.
        let looked =
            calls.iter().any(|call| call.name == "pread64" && call.returned < entered && [&db, &wal].contains(&&path_of(call)));
        assert!(looked, "{args:?} did not look before it flushed");
        if args[0] == "wait" {
            let spoke =
                calls.iter().filter(|call| call.name == "write" && call.text.starts_with("1<")).map(|call| call.entered).min();
            assert!(spoke.is_none_or(|spoke| spoke > returned), "{args:?} answered before its flush");
        }
        worker.stop();
    }
}
