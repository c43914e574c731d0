//! How a job starts, what it sees, and what is said when it cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tenure::job::verdict::Progress;
use tenure::job::{Cause, Exit};
use tenure::run::stop;

use crate::run::harness::Bench;
use crate::support::{said, write_program};

#[test]
fn exit_codes_and_signals_are_recorded_as_they_were() {
    let bench = Bench::new();
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 42", Exit::Code(42)),
        ("exit 255", Exit::Code(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -TERM $$", Exit::Signal(15)),
    ] {
        let records = bench.run(&bench.shell(script));
        assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((exit, None)), "{script}");
        assert_eq!(records.progress(), Progress::Drained, "{script}");
        let drained = records.drained.unwrap();
        assert_eq!((drained.killed, drained.leftovers.as_str(), drained.memory_by), (0, "", None));
        assert!(drained.usage.max_rss_bytes > 100_000);
    }
}

fn failure(bench: &Bench, argv: &[&str]) -> (i32, String) {
    let records = bench.run(&bench.command(argv));
    assert_eq!(records.progress(), Progress::Failed, "{argv:?}");
    let failed = records.failed.unwrap();
    (failed.errno, failed.text)
}

#[test]
fn what_cannot_be_executed_says_why() {
    let bench = Bench::new();
    let text = |name: &str| bench.path(name).display().to_string();
    fs::write(bench.path("plain"), "no program\n").unwrap();
    write_program(bench.path("garbage"), "no program\n");

    let begins = |argv: &[&str], errno: i32, text: &str| {
        let failed = failure(&bench, argv);
        assert!(failed.0 == errno && failed.1.starts_with(&format!("{text}; ")), "{failed:?}");
    };
    begins(&["/bin/nope"], libc::ENOENT, "execve /bin/nope: No such file or directory");
    begins(&["no-such-command"], libc::ENOENT, "execve no-such-command (looked for in PATH): No such file or directory");
    let plain = text("plain");
    begins(&[&plain], libc::EACCES, &format!("execve {plain}: Permission denied"));
    let garbage = text("garbage");
    // No shell is asked.
    begins(&[&garbage], libc::ENOEXEC, &format!("execve {garbage}: Exec format error"));
    let long = "x".repeat(200_000);
    assert_eq!(failure(&bench, &["/bin/true", &long]).0, libc::E2BIG);
}

#[test]
fn what_is_missing_around_the_command_says_so_too() {
    let bench = Bench::new();
    let fails = |change: &dyn Fn(&mut tenure::run::Launch)| {
        let mut launch = bench.shell("exit 0");
        change(&mut launch);
        bench.run(&launch).failed.expect("it cannot start").text
    };
    assert_eq!(
        fails(&|l| l.cwd = b"/gone".to_vec()),
        "chdir /gone: No such file or directory; mkdir -p /gone, or name another with --cwd"
    );
    let stdin = fails(&|l| l.stdin = Some("/gone".into()));
    assert!(stdin.starts_with("opening stdin /gone: No such file or directory; /gone does not exist"), "{stdin}");
    assert_eq!(
        fails(&|l| l.stdin = Some("/".into())),
        "opening stdin /: it is neither a file nor a device; name a file, or give a copy with --stdin -"
    );
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.path("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let pipe = fails(&|l| l.stdin = Some(bench.path("pipe")));
    assert!(pipe.contains("it is neither a file nor a device"), "a pipe without a writer hangs nothing: {pipe}");
    assert_eq!(fails(&|l| l.log = "/gone/x.log".into()), "opening the log /gone/x.log: No such file or directory");
    assert_eq!(
        fails(&|l| l.user = Some("no-such-user".into())),
        "user no-such-user: there is no such user; getent passwd lists the users, add the job again with one of them"
    );
    assert_eq!(fails(&|l| l.argv = vec![b"a\0b".to_vec()]), "an argument contains a NUL byte");
    assert_eq!(fails(&|l| l.argv.clear()), "the command is empty");
}

#[test]
fn a_log_that_exists_is_never_written_to() {
    let bench = Bench::new();
    let launch = bench.shell("echo more");
    fs::create_dir_all(launch.log.parent().unwrap()).unwrap();
    fs::write(&launch.log, "another's\n").unwrap();
    assert!(bench.run(&launch).failed.unwrap().text.ends_with("File exists"));
    assert_eq!(fs::read_to_string(&launch.log).unwrap(), "another's\n");
}

#[test]
fn the_path_of_the_job_decides_what_is_found() {
    let bench = Bench::new();
    for dir in ["denied", "first", "second"] {
        fs::create_dir(bench.path(dir)).unwrap();
        write_program(bench.path(dir).join("thing"), &format!("#!/bin/sh\necho {dir}\n"));
    }
    fs::set_permissions(bench.path("denied/thing"), fs::Permissions::from_mode(0o644)).unwrap();
    let path =
        |dirs: &[&str]| dirs.iter().map(|d| bench.path(d).display().to_string()).collect::<Vec<_>>().join(":").into_bytes();
    let mut launch = bench.command(&["thing"]);
    launch.env = vec![(b"PATH".to_vec(), path(&["denied", "first", "second"]))];
    let run = launch.run;
    assert_eq!(bench.run(&launch).exited.unwrap().exit, Exit::Code(0));
    assert_eq!(bench.log(run), "first\n");
    let mut launch = bench.command(&["thing"]);
    launch.env = vec![(b"PATH".to_vec(), path(&["denied", "none"]))];
    assert_eq!(bench.run(&launch).failed.unwrap().errno, libc::EACCES);
}

/// What the limit of open files of a program is before it raises it, where it can: the hard one is higher.
const FILES_GIVEN: &str = "256";

#[test]
fn a_job_has_the_limit_of_files_that_its_worker_was_given() {
    const IS_INSIDE: &str = "TENURE_TEST_IS_LIMITED";
    if std::env::var_os(IS_INSIDE).is_none() {
        // This program again, below such a limit.
        let name = "run::starting::a_job_has_the_limit_of_files_that_its_worker_was_given";
        let line = format!("ulimit -S -n {FILES_GIVEN} && exec \"$0\" --exact {name} --nocapture");
        let mut shell = std::process::Command::new("sh");
        let inside = said(shell.args(["-c", &line]).arg(std::env::current_exe().unwrap()).env(IS_INSIDE, "1").output().unwrap());
        assert!(inside.code == 0 && inside.out.contains("1 passed"), "{inside:?}");
        return;
    }
    let raised = tenure::run::open_files::raise();
    assert_ne!(raised.map(|files| files.to_string()), Some(FILES_GIVEN.to_owned()), "it was raised, or this shows nothing");
    let bench = Bench::new();
    let launch = bench.shell("ulimit -S -n");
    let run = launch.run;
    assert_eq!(bench.run(&launch).exited.unwrap().exit, Exit::Code(0));
    assert_eq!(bench.log(run).trim(), FILES_GIVEN, "the worker's limit, not the spawner's");
}

#[test]
fn a_job_has_three_descriptors_default_signals_and_a_group() {
    let bench = Bench::new();
    let launch = bench.shell(
        "ls /proc/self/fd | tr '\\n' ' '; echo; grep -E '^Sig(Blk|Ign)' /proc/self/status; \
         cut -d' ' -f1,5 /proc/self/stat; readlink /proc/self/fd/0; env | sort",
    );
    let (run, nonce) = (launch.run, launch.nonce);
    let records = bench.run(&launch);
    assert_eq!(records.exited.unwrap().exit, Exit::Code(0));
    let log = bench.log(run);
    let lines: Vec<&str> = log.lines().collect();
    // The fourth is that of the directory which ls itself reads.
    assert_eq!(lines[0].trim(), "0 1 2 3");
    for line in &lines[1..3] {
        assert_eq!(line.split_whitespace().nth(1), Some("0000000000000000"), "{line}");
    }
    // cut is a child of the shell, in its group.
    assert_eq!(lines[3].split(' ').nth(1), Some(records.started.unwrap().pid.to_string().as_str()));
    assert_eq!(lines[4], "/dev/null");
    let env: Vec<&str> = lines[5..].iter().copied().filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=")).collect();
    assert!(env.contains(&format!("TENURE_COOKIE={nonce}").as_str()));
    assert!(env.contains(&"PATH=/usr/local/bin:/usr/bin:/bin"));
    assert!(env.iter().all(|line| ["TENURE_COOKIE=", "PATH=", "SHLVL=", "OLDPWD="].iter().any(|known| line.starts_with(known))));
}

#[test]
fn a_shim_is_shown_with_its_run() {
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("sleep 600"));
    let started = running.started();
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", started.shim_pid)).unwrap();
    assert_eq!(read("cmdline").trim_end_matches('\0'), format!("tenure-shim {}", running.run));
    assert_eq!(read("comm"), "tenure-shim\n");
    let environ = read("environ");
    let own = ["TENURE_OPEN_FILES", "GLIBC_TUNABLES"];
    let is_own = |entry: &str| entry.split_once('=').is_some_and(|(name, _)| own.contains(&name));
    let strange = environ.split('\0').find(|entry| !entry.is_empty() && !is_own(entry));
    assert_eq!(strange, None, "no cookie of another run, and nothing of the environment of the worker");
    stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
    running.finish();
}

#[test]
fn argument_bytes_stdin_and_the_result_file_arrive() {
    let bench = Bench::new();
    fs::write(bench.path("in"), "from a file\n").unwrap();
    let mut launch = bench.shell("cat; printf '%s' \"$0\" | od -An -tx1; echo 42 > \"$OUT\"; echo err >&2");
    launch.argv.push(vec![0xff, 0xfe, b' ']);
    launch.stdin = Some(bench.path("in"));
    launch.result = Some(bench.path("result"));
    launch.env.push((b"OUT".to_vec(), bench.path("result").display().to_string().into_bytes()));
    let run = launch.run;
    assert_eq!(bench.run(&launch).exited.unwrap().exit, Exit::Code(0));
    assert_eq!(bench.log(run), "from a file\n ff fe 20\nerr\n");
    assert_eq!(fs::read_to_string(bench.path("result")).unwrap(), "42\n");
}

#[test]
fn a_spec_too_long_for_a_packet_arrives() {
    let bench = Bench::new();
    let mut launch = bench.shell("printf %s \"$BIG\" | wc -c; echo $#");
    launch.argv.push(b"sh".to_vec());
    launch.argv.extend((0..10_000).map(|i| format!("argument {i}").into_bytes()));
    launch.env.push((b"BIG".to_vec(), vec![b'x'; 100_000]));
    let run = launch.run;
    assert_eq!(bench.run(&launch).exited.unwrap().exit, Exit::Code(0));
    assert_eq!(bench.log(run), "100000\n10000\n");
}

#[test]
fn nice_and_memory_arrive() {
    let bench = Bench::new();
    let mut launch = bench.shell("nice; ulimit -d");
    launch.nice = Some(7);
    launch.memory_bytes = Some(512 << 20);
    let run = launch.run;
    let records = bench.run(&launch);
    let by = records.drained.unwrap().memory_by.expect("a limit was asked for");
    let expected = match by {
        tenure::run::MemoryBy::Rlimit => "7\n524288\n",
        tenure::run::MemoryBy::Cgroup => "7\nunlimited\n",
    };
    assert_eq!(bench.log(run), expected);
}

#[test]
fn another_user_gets_only_what_is_his() {
    let bench = Bench::new();
    let mut launch = bench.shell("id -un; id -Gn; cat /proc/self/status | grep NoNewPrivs; echo again > /dev/stderr; sleep 0.01");
    launch.user = Some("nobody".into());
    launch.cwd = b"/".to_vec();
    let run = launch.run;
    let records = bench.run(&launch);
    if rustix::process::geteuid().is_root() {
        assert_eq!(records.exited.unwrap().exit, Exit::Code(0), "{}", bench.log(run));
        let log = bench.log(run);
        // `>` cuts the log, which is the job's own affair.
        assert_eq!(log, "again\n");
    } else {
        assert_eq!(records.failed.unwrap().errno, libc::EPERM);
    }
}
