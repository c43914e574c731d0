//! Deadlines and sizes, which the shim keeps by itself.

use std::os::unix::fs::MetadataExt;
use std::{fs, io};

use tenure::job::{Cause, Exit};
use tenure::run::{Launch, Records, output, stop};

use crate::run::harness::Bench;
use crate::support::until;

/// From STARTED to EXITED.
fn lasted_ms(records: &Records) -> i64 {
    records.exited.unwrap().at_ms - records.started.unwrap().at_ms
}

fn end(bench: &Bench, launch: &Launch) -> (Exit, Option<Cause>, i64) {
    let records = bench.run(launch);
    let exited = records.exited.expect("it ended");
    (exited.exit, exited.cause, lasted_ms(&records))
}

#[test]
fn a_job_that_ignores_term_is_killed_after_its_grace() {
    let bench = Bench::new();
    let mut launch = bench.shell("trap '' TERM; while :; do sleep 0.05; done");
    (launch.timeout_ms, launch.grace_ms) = (Some(300), 200);
    let (exit, cause, lasted) = end(&bench, &launch);
    assert_eq!((exit, cause), (Exit::Signal(9), Some(Cause::Timeout)));
    assert!(lasted >= 490, "{lasted}");
}

#[test]
fn a_job_that_heeds_term_ends_as_it_likes() {
    let bench = Bench::new();
    let mut launch = bench.shell("trap 'exit 3' TERM; echo on; while :; do sleep 0.05; done");
    launch.timeout_ms = Some(300);
    let (exit, cause, lasted) = end(&bench, &launch);
    assert_eq!((exit, cause), (Exit::Code(3), Some(Cause::Timeout)));
    assert!(lasted >= 290, "{lasted}");
}

/// The grace begins when the limit is reached, and takes nothing from the limit and adds nothing to it.
#[test]
fn a_limit_is_not_late_by_the_grace() {
    const GRACE_MS: u64 = 40_000;
    for name in ["timeout", "max-runtime", "idle-timeout"] {
        let bench = Bench::new();
        let mut launch = bench.shell("exec sleep 600");
        launch.grace_ms = GRACE_MS;
        let limit = match name {
            "timeout" => &mut launch.timeout_ms,
            "max-runtime" => &mut launch.max_runtime_ms,
            _ => &mut launch.idle_timeout_ms,
        };
        *limit = Some(200);
        let (exit, _, lasted) = end(&bench, &launch);
        assert_eq!(exit, Exit::Signal(15), "{name}");
        assert!((190..GRACE_MS as i64).contains(&lasted), "{name}: {lasted}");
    }
}

#[test]
fn a_stopped_process_is_woken_to_hear_term() {
    let bench = Bench::new();
    let mut launch = bench.shell("trap 'exit 4' TERM; kill -STOP $$; sleep 600");
    launch.timeout_ms = Some(200);
    assert_eq!(end(&bench, &launch).0, Exit::Code(4));
}

#[test]
fn the_others_of_a_stopped_group_have_their_grace_too() {
    let bench = Bench::new();
    let script = "(trap 'sleep 0.3; echo saved; exit' TERM; echo on; while :; do sleep 0.05; done) & exec sleep 600";
    let mut launch = bench.shell(script);
    launch.timeout_ms = Some(500);
    let run = launch.run;
    assert_eq!(end(&bench, &launch).0, Exit::Signal(15));
    assert!(bench.log(run).ends_with("saved\n"), "{}", bench.log(run));
}

#[test]
fn the_backstop_is_told_from_the_timeout() {
    let bench = Bench::new();
    let mut launch = bench.shell("sleep 600");
    (launch.timeout_ms, launch.max_runtime_ms) = (Some(60_000), Some(200));
    assert_eq!(end(&bench, &launch).1, Some(Cause::Backstop));
}

#[test]
fn a_warning_comes_once_before_the_timeout() {
    let bench = Bench::new();
    let mut launch = bench.shell("trap 'echo warned' USR1; trap 'echo told; exit 0' TERM; while :; do sleep 0.05; done");
    (launch.timeout_ms, launch.warn) = (Some(900), Some((libc::SIGUSR1, 600)));
    let run = launch.run;
    assert_eq!(end(&bench, &launch).1, Some(Cause::Timeout));
    // The shell tells about the death of its sleep as well.
    let log = bench.log(run);
    let ours: Vec<&str> = log.lines().filter(|line| ["warned", "told"].contains(line)).collect();
    assert_eq!(ours, ["warned", "told"], "{log}");
}

#[test]
fn silence_counts_from_the_last_output() {
    let bench = Bench::new();
    let mut launch = bench.shell("sleep 0.5; echo here; sleep 600");
    launch.idle_timeout_ms = Some(2_000);
    let run = launch.run;
    let (_, cause, lasted) = end(&bench, &launch);
    assert_eq!(cause, Some(Cause::Silence));
    assert!(lasted >= 2_400, "{lasted}");
    assert_eq!(bench.log(run), "here\n");
}

#[test]
fn a_log_above_its_limit_keeps_head_and_tail() {
    let bench = Bench::new();
    let mut launch = bench.shell("echo head; seq 1 200000; echo tail");
    launch.log_limit_bytes = 64 << 10;
    let (run, path) = (launch.run, launch.log.clone());
    assert_eq!(bench.run(&launch).exited.unwrap().exit, Exit::Code(0));
    let meta = fs::metadata(&path).unwrap();
    assert!(meta.len() > 1_000_000, "the file keeps its length");
    assert!(meta.blocks() * 512 <= (64 << 10) + 3 * 4096, "run {run}: {} blocks", meta.blocks());

    let (mut text, mut dropped) = (Vec::new(), 0);
    let end = output::tail(&path, None, &mut |piece| {
        match piece {
            output::Piece::Bytes(bytes) => text.extend_from_slice(bytes),
            output::Piece::Dropped(bytes) => dropped += bytes,
        }
        io::Result::Ok(())
    });
    assert_eq!(end.unwrap(), meta.len());
    assert_eq!(text.len() as u64 + dropped, meta.len());
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("head\n1\n2\n3\n") && text.ends_with("\n199999\n200000\ntail\n"));
    assert!(!text.contains('\0'));
}

#[test]
fn a_log_is_cut_while_the_job_still_writes() {
    let bench = Bench::new();
    let mut launch = bench.shell("exec yes");
    launch.log_limit_bytes = 1 << 20;
    let path = launch.log.clone();
    let mut running = bench.start(&launch);
    running.started();
    until("a log of 20 MB with a hole", || {
        let meta = fs::metadata(&path).unwrap();
        (meta.len() > 20 << 20 && meta.blocks() * 512 < meta.len() / 2).then_some(())
    });
    stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
    assert_eq!(running.finish().exited.unwrap().cause, Some(Cause::Cancel));
    assert!(fs::metadata(&path).unwrap().blocks() * 512 <= (1 << 20) + 64 * 1024);
}
