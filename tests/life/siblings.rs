//! A process that becomes `tenure` by `exec` keeps the children that it had: they are not its command's.

use std::process::{Command, Stdio};

use crate::support::zoo::lives;
use crate::support::{Nest, Said, Signal, kill, pid_in, said, until};

/// A shell with a background process, and one that this will leave behind as an orphan; then it becomes `tenure` with these words.
fn becoming(nest: &Nest, words: &str) -> Command {
    let line = format!(
        "sleep 600 & echo $! >sibling.new; mv sibling.new sibling
         sh -c 'sleep 600 & echo $! >orphan.new; mv orphan.new orphan; while [ ! -e orphan_now ]; do sleep 0.02; done' &
         while [ ! -e orphan ]; do sleep 0.02; done
         exec $TENURE {words}"
    );
    let mut command = Command::new("sh");
    let plain = nest.tenure(&[]);
    command.env("TENURE", plain.get_program()).env("TENURE_DB", nest.db()).env("HOME", nest.path());
    command.args(["-c", &line]).current_dir(nest.path()).stdin(Stdio::null());
    command
}

/// Output goes to files: what outlives the command would keep a pipe open.
fn ran(nest: &Nest, words: &str) -> Said {
    let (out, err) = (nest.file("out"), nest.file("err"));
    let mut command = becoming(nest, words);
    let status =
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&err).unwrap()).status().unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let mut said = said(std::process::Output { status, stdout: Vec::new(), stderr: Vec::new() });
    (said.out, said.err) = (read(&out), read(&err));
    said
}

#[test]
fn what_a_shell_had_started_before_it_became_tenure_lives_on() {
    // The command leaves something behind as well: that is ended.
    let leaves = "sh -c \"setsid sleep 600 & echo \\$! >left.new; mv left.new left; touch orphan_now; sleep 0.3; exit CODE\"";
    for (words, code) in [
        (format!("lease run gpu -- {}", leaves.replace("CODE", "0")), 0),
        (format!("lease run gpu -- {}", leaves.replace("CODE", "7")), 7),
        ("lease run gpu -- sh -c \"setsid sleep 600 & echo \\$! >left.new; mv left.new left; touch orphan_now; kill -9 \\$\\$\"".into(), 137),
        ("lease run gpu -- /no/such/program".into(), 127),
        (format!("workspace ensure key --prepare '{}'", leaves.replace("CODE", "0").replace("left.new", "../../../left.new").replace("left;", "../../../left;").replace("orphan_now", "../../../orphan_now")), 0),
    ] {
        let nest = Nest::new();
        let said = ran(&nest, &words);
        assert_eq!(said.code, code, "{words}: {said:?}");
        for name in ["sibling", "orphan"] {
            assert!(lives(pid_in(&nest.file(name))), "{words}: the {name} lives");
        }
        if nest.file("left").exists() {
            assert!(!lives(pid_in(&nest.file("left"))), "{words}: what the command has left is ended");
        }
    }
}

#[test]
fn a_signal_reaches_the_command_of_who_became_tenure() {
    let nest = Nest::new();
    let mut wrapper = becoming(&nest, "lease run gpu -- sh -c 'trap \"exit 9\" TERM; touch up; while :; do sleep 0.02; done'")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the command to be up", || nest.file("up").exists().then_some(()));
    kill(wrapper.id() as i32, Signal::TERM);
    assert_eq!(wrapper.wait().unwrap().code(), Some(9));
    assert!(lives(pid_in(&nest.file("sibling"))));
    assert_eq!(nest.ok(&["lease", "ls", "--json"]).matches("gpu").count(), 0, "the lease is free");
}

/// A worker too: what it had before is neither ended nor left as a zombie, for any end of its runs.
#[test]
fn a_worker_spares_what_its_shell_had_started() {
    let nest = Nest::new();
    let id = nest.sh(
        &["--retries", "1", "--backoff", "0s..0s", "--retry-on", "lost"],
        "[ -e left ] && exit 3; setsid sleep 600 & echo $! >left; sleep 600",
    );
    let mut worker = becoming(&nest, "work --slots 1 --tick 100ms").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    nest.until_pid(id);
    let left = pid_in(&nest.file("left"));
    std::fs::write(nest.file("orphan_now"), "").unwrap();
    let shim = nest.shim(nest.show(id)["run_id"].as_i64().unwrap());
    let (spawner, worker_pid) = (nest.parent_of(shim), worker.id() as i32);
    kill(spawner, Signal::KILL);
    until("the shim to fall to the worker", || (nest.parent_of(shim) == worker_pid).then_some(()));
    kill(shim, Signal::KILL);
    assert_eq!(nest.until_ended(id)["exit_code"], 3);
    assert!(!lives(left), "what the run has left is ended");
    let (sibling, orphan) = (pid_in(&nest.file("sibling")), pid_in(&nest.file("orphan")));
    assert!(lives(sibling) && lives(orphan), "what was there before is not");
    assert_eq!(nest.parent_of(orphan), worker_pid, "it has fallen to the worker");
    for pid in [sibling, orphan] {
        kill(pid, Signal::KILL);
        until("it to be reaped", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    }
    kill(worker_pid, Signal::TERM);
    worker.wait().unwrap();
}

/// A program that embeds a worker keeps its children to itself: they are neither ended nor reaped, and what a run leaves is found all the same.
#[test]
fn an_embedded_worker_lets_the_children_of_its_program_alone() {
    let nest = Nest::new();
    let program = crate::life::embedded::program();
    let again = "[ -e left ] && { grep -qs ') [RSDTtI] ' /proc/$(cat left)/task/*/stat && exit 5; exit 3; }";
    let hides = "env -i setsid sh -c 'exec sleep 600 >/dev/null 2>&1' & echo $! >left.new; mv left.new left; sleep 600";
    let id = nest.sh(&["--retries", "1", "--backoff", "0s..0s", "--retry-on", "lost"], &format!("{again}; {hides}"));
    let line = "sleep 600 & echo $! >living.new; mv living.new living
        sh -c 'while [ ! -e end_now ]; do sleep 0.02; done; exit 4' & echo $! >ending.new; mv ending.new ending
        exec $EMBED $TENURE_DB work";
    let mut embedding = Command::new("sh")
        .args(["-c", line])
        .env("EMBED", program)
        .env("TENURE_DB", nest.db())
        .current_dir(nest.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    nest.until_pid(id);
    let left = pid_in(&nest.file("left"));
    std::fs::write(nest.file("end_now"), "").unwrap();
    let (living, ending) = (pid_in(&nest.file("living")), pid_in(&nest.file("ending")));
    until("the program's child to end", || (!lives(ending)).then_some(()));
    let shim = nest.shim(nest.show(id)["run_id"].as_i64().unwrap());
    kill(nest.parent_of(shim), Signal::KILL);
    until("the spawner to go", || (nest.parent_of(shim) != embedding.id() as i32 && nest.parent_of(shim) != 0).then_some(()));
    // Looked at while the program lives: it ends soon after its job.
    let is_there = std::path::Path::new(&format!("/proc/{ending}")).exists();
    let is_its_own = is_there && nest.parent_of(ending) == embedding.id() as i32;
    kill(shim, Signal::KILL);
    assert_eq!(nest.until_ended(id)["exit_code"], 3, "no second copy");
    assert!(!lives(left), "what the run has left is ended");
    assert!(lives(living), "the program's child is not");
    embedding.wait().unwrap();
    assert!(is_its_own, "the end of the program's child is for the program to wait for");
    kill(living, Signal::KILL);
}
