//! A user cannot make the worker believe that the machine lacks something, which would keep all jobs from starting, and cannot keep what
//! is root's by using up what is theirs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{ANN, BOB, Town, can_be_several, uid};
use crate::support::{Nest, until};

/// What a worker says of a shortage.
const SHORTAGES: [&str; 4] =
    ["no process or thread can be started", "not enough file descriptors", "no memory for a start", "no room or no inode"];

fn assert_no_shortage(log: &str) {
    assert!(!SHORTAGES.iter().any(|words| log.contains(words)), "{log}");
}

/// A program that has said that it is ready, and is ended with the test.
struct Helper(Child);

impl Helper {
    fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        println!("{line}");
        assert!(line.starts_with("ready"), "{line:?}");
        Self(child)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

/// Takes a lease on a file as soon as it is open nowhere else.
const LEASE: &str = r#"$| = 1; $SIG{IO} = "IGNORE"; open F, "<", $ARGV[0] or die; print "ready\n";
until (fcntl F, 1024, 1) { select undef, undef, undef, 0.002 } sleep 600"#;

#[test]
fn a_lease_on_a_result_is_not_a_shortage() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "1"]);
    let id: i64 = nest.ok(&["add", "-c", "echo kept >$TENURE_RESULT; while [ ! -e go ]; do sleep 0.02; done"]).parse().unwrap();
    let run = until("its run", || nest.show(id)["run_id"].as_i64());
    let result = nest.beside().join("results").join(run.to_string());
    until("the result", || std::fs::metadata(&result).is_ok_and(|meta| meta.len() > 0).then_some(()));
    let mut holder = Command::new("perl");
    holder.args(["-e", LEASE]).arg(&result);
    let _holder = Helper::new(holder);
    until("the lease", || std::fs::read_to_string("/proc/locks").unwrap().contains("LEASE").then_some(()));
    std::fs::write(nest.file("go"), "").unwrap();
    let after: i64 = nest.ok(&["add", "--", "true"]).parse().unwrap();
    until("the job after it", || (nest.show(after)["state"] == "done").then_some(()));
    assert_eq!(nest.show(id)["state"], "done");
    assert_no_shortage(&worker.said());
    assert!(worker.said().contains("lease"), "{}", worker.said());
}

/// Processes of a user below a program, whose limit of processes is changed meanwhile.
fn limit_processes(of: i32, most: u64) {
    let said = Command::new("prlimit").args(["--pid", &of.to_string(), &format!("--nproc={most}:")]).status().unwrap();
    assert!(said.success());
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.flat_map(|task| of_task(task).split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Failed starts of a job, and how long it waits at least after the last of them, in milliseconds.
fn waits(town: &Town, id: &str) -> Option<(i64, i64)> {
    let sql = "SELECT failed_starts, available_at - (SELECT max(finished_at) FROM run WHERE job_id = job.id) FROM job \
               WHERE id = ?1 AND state = 'queued' AND EXISTS (SELECT 1 FROM run WHERE job_id = job.id AND finished_at IS NOT NULL)";
    town.nest.sql().query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

#[test]
fn starts_without_a_process_wait_and_are_counted() {
    if !can_be_several("a limit of processes") {
        return;
    }
    let town = Town::new();
    let worker = town.work(&["--slots", "3"], &[]);
    let first = town.add(ANN, &["--", "sleep", "600"]);
    town.until_state(&first, "running");
    // The spawner, and shims that wait for their next run.
    for child in children(worker.pid()) {
        children(child).into_iter().chain([child]).for_each(|pid| limit_processes(pid, 0));
    }
    let id = town.add(ANN, &["--backoff", "1s", "--", "true"]);
    let (failed_starts, waits_ms) = until("a start that fails", || waits(&town, &id));
    assert_eq!(failed_starts, 1);
    assert!((10_000..=60_000).contains(&waits_ms), "{waits_ms} ms");
    let bob = town.add(BOB, &["--", "true"]);
    town.until_state(&bob, "done");
    assert_no_shortage(&worker.said());
    let said = town.say(ANN, &["add", "--backoff", "0s", "--", "true"]);
    assert!(said.code == 6 && said.err.contains("--backoff"), "{said:?}");
}

/// A file system of a user that answers ENFILE to each name that is looked for there.
const ANSWERS_ENFILE: &str = r#"$| = 1; $^F = 9; my ($dir, $uid) = @ARGV; sysopen F, "/dev/fuse", 2 or die "$!"; my $n = fileno F;
system("mount", "-i", "-t", "fuse", "tenure-test", $dir, "-o", "fd=$n,rootmode=40000,user_id=$uid,group_id=$uid") and die;
print "ready\n";
while (sysread F, my $in, 1 << 20) {
  my ($len, $op, $id) = unpack "L L Q", $in;
  next if $op == 2 || $op == 36 || $op == 42;
  my $out = $op == 26 ? pack("L L L L S S L L S S L x28", 7, 31, 4096, 0, 9, 9, 4096, 1, 0, 0, 0) : "";
  syswrite F, pack("L l Q", 16 + length $out, $op == 26 ? 0 : -23, $id) . $out;
}"#;

/// A mount that ends with the test.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _not_mounted = Command::new("umount").args(["-l"]).arg(self.0).stderr(Stdio::null()).status();
    }
}

#[test]
fn what_a_file_system_of_a_user_answers_is_not_a_shortage() {
    if !can_be_several("a file system of a user") || !Path::new("/dev/fuse").exists() {
        return;
    }
    let town = Town::new();
    let worker = town.work(&[], &[]);
    let dir = town.nest.file("mounted");
    std::fs::create_dir(&dir).unwrap();
    let _mounted = Mounted(&dir);
    let mut server = Command::new("perl");
    server.args(["-e", ANSWERS_ENFILE]).arg(&dir).arg(uid(ANN).to_string());
    let _server = Helper::new(server);
    let below = dir.join("x");
    let below = below.to_str().unwrap();
    let ids = [town.add(ANN, &["--cwd", below, "--", "true"]), town.add(ANN, &["--", &format!("{below}/command")])];
    for id in &ids {
        let (failed_starts, waits_ms) = until("a start that fails", || waits(&town, id));
        assert_eq!(failed_starts, 1, "{}", town.job(id));
        assert!((10_000..=60_000).contains(&waits_ms), "{waits_ms} ms");
        let why = town.ok(ANN, &["why", id]);
        assert!(why.contains("Too many open files"), "it was that: {why}");
    }
    let bob = town.add(BOB, &["--", "true"]);
    town.until_state(&bob, "done");
    assert_no_shortage(&worker.said());
}

/// Numbers of `add_key` and `keyctl`.
const ADD_KEY: i32 = if cfg!(target_arch = "x86_64") { 248 } else { 217 };
const KEYCTL: i32 = if cfg!(target_arch = "x86_64") { 250 } else { 219 };

#[test]
fn a_user_without_a_key_left_has_no_key_of_root() {
    if !can_be_several("keys") {
        return;
    }
    let town = Town::new();
    // A new session (1) with a key of root in it.
    let session = format!(
        r#"my @k = ("user", "of-root-{0}", "secret"); syscall({KEYCTL}, 1, 0) > 0 or die "$!"; syscall({ADD_KEY}, $k[0], $k[1], $k[2], 6, -3) > 0 or die "$!"; exec @ARGV"#,
        std::process::id()
    );
    let _worker = town.work_by(&["perl", "-e", &session], &[], &[]);
    let fill = format!(
        r#"$| = 1; syscall({KEYCTL}, 1, 0); my $n = 0; my ($t, $v) = ("user", "x");
        while (1) {{ my $d = "key $n"; last if syscall({ADD_KEY}, $t, $d, $v, 1, -3) < 0; $n++ }} print "ready with $n keys: $!\n"; sleep 600"#
    );
    let mut filling = town.command(ANN, "perl", &["-e", &fill]);
    filling.stderr(Stdio::inherit());
    let _filling = Helper::new(filling);
    // Search (10) the session (-3).
    let search = format!(
        r#"my @k = ("user", "of-root-{0}"); my $k = syscall({KEYCTL}, 10, -3, $k[0], $k[1], 0); print $k > 0 ? "found" : "none: $!", "\n""#,
        std::process::id()
    );
    let id = town.add(ANN, &["--", "perl", "-e", &search]);
    town.until_state(&id, "done");
    let log = town.ok(ANN, &["logs", &id]);
    assert!(log.starts_with("none"), "{log}");
}
