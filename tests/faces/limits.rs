//! Deadlines, memory, niceness, users and the size of a log: what was asked for holds, and is told.

use crate::faces::said::{end, is_root, of_runs, run, run_sh};
use crate::support::{Nest, niceness, until};

#[test]
fn a_timeout_is_124_and_kills_after_the_grace() {
    let nest = Nest::new();
    let begun = std::time::Instant::now();
    let ran = run_sh(&nest, &["--timeout", "1s", "--grace", "300ms"], "trap 'echo got TERM' TERM; while :; do sleep 0.05; done");
    assert_eq!((ran.code(), ran.end().as_str()), (124, "failed/timeout"), "{:?}", ran.said);
    assert_eq!(ran.job["signal"], 9, "{}", ran.job);
    assert!(ran.said.out.contains("got TERM"), "TERM came first: {:?}", ran.said);
    let took = begun.elapsed().as_millis();
    assert!((1_300..20_000).contains(&took), "1 s and its grace of 300 ms, not {took} ms");
    assert!(nest.of_runs().is_empty());
    let id = ran.job["id"].to_string();
    assert_eq!(nest.say(&["wait", &id]).code, 124);
    assert!(nest.ok(&["why", &id]).contains("timeout"));
}

#[test]
fn a_job_that_ends_well_at_its_timeout_has_timed_out() {
    let nest = Nest::new();
    let ran = run_sh(&nest, &["--timeout", "300ms"], "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    assert_eq!((ran.code(), ran.end().as_str()), (124, "failed/timeout"), "{}", ran.job);
}

#[test]
fn a_silent_job_ends_as_output_and_one_that_speaks_does_not() {
    let nest = Nest::new();
    let ran = run_sh(&nest, &["--idle-timeout", "400ms", "--grace", "5s"], "echo begin; exec sleep 600");
    assert_eq!((ran.code(), ran.end().as_str()), (143, "failed/output"), "{} {:?}", ran.job, ran.said);
    assert!(ran.error().contains("idle-timeout"), "{}", ran.job);
    let ran = run_sh(&nest, &["--idle-timeout", "2s"], "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.4; done");
    assert_eq!((ran.code(), ran.end().as_str()), (0, "done/exit"), "3 s of speaking: {}", ran.job);
}

#[test]
fn a_job_sees_the_signal_that_warns_it() {
    let nest = Nest::new();
    let ran = run_sh(
        &nest,
        &["--timeout", "60s", "--warn", "USR1@58s"],
        "trap 'echo warned; exit 0' USR1; while :; do sleep 0.05; done",
    );
    assert_eq!((ran.code(), ran.end().as_str()), (0, "done/exit"), "{}", ran.job);
    assert!(ran.said.out.contains("warned"), "{:?}", ran.said); // its `sleep` may have got the signal as well
}

#[test]
fn a_queue_stops_what_runs_past_its_max_runtime() {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "short", "--max-runtime", "300ms"]);
    let ran = run_sh(&nest, &["--queue", "short", "--timeout", "1h"], "exec sleep 600");
    assert_eq!((ran.code(), ran.end().as_str()), (124, "failed/timeout"), "{}", ran.job);
    assert!(ran.error().contains("max-runtime"), "{}", ran.error());
}

#[test]
fn a_job_that_does_not_start_in_time_has_expired() {
    let nest = Nest::new();
    let id = nest.sh(&["--expires", "200ms", "--delay", "1h"], "true");
    let _worker = nest.work(&[]);
    let job = nest.until_ended(id);
    assert_eq!(end(&job), "failed/expired", "{job}");
    assert_eq!(job["attempts"], 0);
    assert_eq!(nest.say(&["wait", &id.to_string()]).code, 1);
    let said = nest.say(&["add", "--expires", "2001-01-01T00:00Z", "--", "true"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn a_job_gets_no_more_memory_than_it_may_have() {
    let nest = Nest::new();
    // `head` of a shell is small; what grows is a variable.
    let grow = "x=0123456789abcdef; while :; do x=$x$x; done";
    let ran = run_sh(&nest, &["--memory", "64M", "--timeout", "60s"], grow);
    assert_eq!(ran.job["state"], "failed", "{}", ran.job);
    assert_ne!(ran.job["reason"], "timeout", "{}", ran.job);
    let shown = nest.ok(&["show", "last"]);
    let by = shown.lines().find(|line| line.starts_with("memory ")).expect("its limit").to_owned();
    assert!(by.contains("64.0M") && (by.contains("rlimit") || by.contains("cgroup")), "and by whom it was kept: {by}");
    assert!(nest.ok(&["history", "last"]).contains("memory_limit"));
    let why = nest.ok(&["why", "last"]);
    assert!(ran.job["reason"] == "memory" || why.contains("limited to 64.0M"), "{why}");
    let rss = ran.job["runs"][0]["max_rss_bytes"].as_i64().unwrap();
    assert!(rss < 80 << 20, "{rss}");
    let free = run_sh(
        &nest,
        &["--timeout", "60s"],
        "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do x=$x$x; done; echo ${#x}",
    );
    assert_eq!(free.said.out.trim(), (16 << 22).to_string(), "without a limit it has what it needs: {:?}", free.said);
}

#[test]
fn niceness_is_what_was_asked_for() {
    let nest = Nest::new();
    // This test may itself run under `nice`.
    let own = niceness();
    let asked = (own + 7).min(19).to_string();
    assert_eq!(run(&nest, &["--nice", &asked, "--", "nice"]).said.out, format!("{asked}\n"));
    assert_eq!(run(&nest, &["--", "nice"]).said.out, format!("{own}\n"));
}

#[test]
fn a_job_of_another_user_is_that_user_and_nothing_more() {
    if !is_root("--user") {
        return;
    }
    let nest = Nest::new();
    let line = "id -u; id -g; id -G; echo $HOME $USER $SHELL; (touch /tenure-was-here) 2>/dev/null || echo may not";
    let ran = run(&nest, &["--user", "nobody", "--cwd", "/", "--", "/bin/sh", "-c", line]);
    let lines: Vec<&str> = ran.said.out.lines().collect();
    assert_eq!(lines[..3], ["65534", "65534", "65534"], "no group of root's is left: {:?} {}", ran.said, ran.job);
    let entry = std::fs::read_to_string("/etc/passwd").unwrap();
    let entry: Vec<&str> = entry.lines().find(|line| line.starts_with("nobody:")).unwrap().split(':').collect();
    assert_eq!(lines[3], format!("{} nobody {}", entry[5], entry[6]), "and nothing of root's in its environment");
    assert_eq!(lines[4], "may not");
    assert_eq!(run(&nest, &["--user", "nobody", "-e", "HOME=/x", "-w", "/", "-c", "echo $HOME"]).said.out, "/x\n");
    let ran = run(&nest, &["--user", "no-such-user", "--", "true"]);
    assert_eq!((ran.code(), ran.end().as_str()), (126, "failed/spawn"), "{}", ran.job);
    assert!(ran.error().contains("no-such-user"), "{}", ran.error());
}

#[test]
fn a_log_above_its_limit_keeps_head_and_tail_and_marks_the_gap() {
    let nest = Nest::new();
    // 2 MB in 100-byte lines.
    let line = "i=0; while [ $i -lt 20000 ]; do printf '%098d.\\n' $i; i=$((i+1)); done";
    let ran = run_sh(&nest, &["--log-limit", "256K"], line);
    assert_eq!(ran.end(), "done/exit");
    let said = nest.say(&["logs", "last"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].ends_with("0000."), "the head: {:?}", lines[0]);
    assert!(lines.last().unwrap().ends_with("19999."), "the tail: {:?}", lines.last());
    assert!(said.out.len() < 400 << 10, "{} bytes", said.out.len());
    assert!(said.err.contains("dropped"), "{}", said.err);
    let path = ran.job["runs"][0]["log"].as_str().unwrap();
    use std::os::unix::fs::MetadataExt;
    let blocks = std::fs::metadata(path).unwrap().blocks() * 512;
    assert!(blocks <= 512 << 10, "{blocks} bytes on the disk");
    assert!(nest.ok(&["logs", "last", "-n", "1"]).ends_with("19999."));
}

#[test]
fn a_worker_that_is_gone_takes_no_deadline_with_it() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(
        &["--timeout", "3s", "--grace", "1s", "--retries", "1", "--backoff", "0s..0s"],
        "trap '' TERM; [ $TENURE_ATTEMPT = 2 ] && exit 0; sleep 600",
    );
    let pid = nest.until_pid(id);
    worker.kill();
    until("its shim to keep the deadline", || (!crate::support::lives(pid)).then_some(()));
    nest.work_until_idle(&[]);
    let job = nest.show(id);
    assert_eq!(of_runs(&job, "reason"), ["timeout", "exit"], "{job}");
}

#[test]
fn a_limit_that_stops_a_command_is_named_with_its_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let nest = Nest::new();
    // A user of its own, whose processes no other test counts; where this is not root, the user of the test.
    let program = nest.file("tenure");
    crate::support::copy_program(env!("CARGO_BIN_EXE_tenure"), &program);
    for path in [nest.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let home = nest.file("home");
    std::fs::create_dir(&home).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&home, Some(64_243), Some(64_243)).unwrap();
    }
    let shell = |line: &str| {
        let user: &[&str] =
            if is_root { &["setpriv", "--reuid", "64243", "--regid", "64243", "--clear-groups"] } else { &["env"] };
        let mut command = std::process::Command::new(user[0]);
        command.args(&user[1..]).args(["/bin/sh", "-c", line]).env("HOME", &home).env("TENURE_DB", home.join("q.db"));
        command.env("TENURE", &program).current_dir(&home).stdin(std::process::Stdio::null());
        crate::support::said(command.output().unwrap())
    };
    let mut stopped = 0;
    let (files, processes) = ([4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20], [1, 2, 4, 5, 6, 8, 10, 12]);
    for (option, values) in [("n", &files[..]), ("u", &processes)] {
        for n in values {
            for words in ["add -- true", "ls", "work --until-idle"] {
                let said = shell(&format!("ulimit -{option} {n}; exec \"$TENURE\" {words}"));
                let what = format!("ulimit -{option} {n}; tenure {words}: {said:?}");
                assert!(said.code >= 0 && !said.err.contains("panicked") && !said.err.contains("internal error"), "{what}");
                assert!(!said.err.contains("permissions"), "{what}");
                if said.code != 0 && !said.err.contains("there is no file") && !said.err.contains("there is no queue") {
                    stopped += 1;
                    assert!(said.err.contains("ulimit -"), "{what}");
                }
            }
        }
    }
    println!("{stopped} commands were stopped by their limit");
    assert!(stopped >= 15, "{stopped}");
}
