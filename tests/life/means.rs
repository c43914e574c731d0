//! Want of tenure's own means ends no job and burns nothing, is told, and clears by itself.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::strace::{has_strace, strace};
use crate::support::{Nest, Signal, children, each, kill, lives, until};

/// Where a fault is injected.
struct Fault {
    place: &'static str,
    call: &'static str,
    errnos: &'static [&'static str],
    /// Which of a thread's or process's calls.
    when: &'static str,
    /// Only calls about these files, below the directory beside the file.
    paths: &'static [&'static str],
    /// The worker is expected to say it.
    is_told: bool,
}

const FAULTS: &[Fault] = &[
    Fault {
        place: "log",
        call: "openat",
        errnos: &["ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOMEM"],
        when: "1+",
        paths: &["logs/000/1.log", "logs/000/2.log", "logs/000/3.log"],
        is_told: true,
    },
    Fault {
        place: "run file",
        call: "renameat2",
        errnos: &["ENOSPC", "EDQUOT", "EROFS", "EIO", "ENOMEM"],
        when: "1..2",
        paths: &[],
        is_told: true,
    },
    Fault {
        place: "pair of sockets",
        call: "socketpair",
        errnos: &["EMFILE", "ENFILE", "ENOMEM"],
        when: "3..4",
        paths: &[],
        is_told: true,
    },
    Fault { place: "fork", call: "clone", errnos: &["EAGAIN", "ENOMEM"], when: "2..3", paths: &[], is_told: true },
    Fault { place: "packet", call: "recvmsg", errnos: &["ENOMEM", "ENOBUFS"], when: "2..3", paths: &[], is_told: false },
    Fault { place: "sending", call: "sendmsg", errnos: &["ENOMEM"], when: "1..2", paths: &[], is_told: true },
    // The first one is of the worker itself: it is for all runs of other engines.
    Fault { place: "waker", call: "eventfd2", errnos: &["EMFILE", "ENFILE", "ENOMEM"], when: "2..3", paths: &[], is_told: true },
    Fault {
        place: "result",
        call: "openat",
        errnos: &["EMFILE", "ENFILE", "ENOMEM"],
        when: "1..2",
        paths: &["results/1", "results/2"],
        is_told: true,
    },
];

fn inject(fault: &Fault, errno: &str) {
    println!("{} {errno}", fault.place);
    let nest = Nest::new();
    // What is injected into the calls of the worker must not meet those of the job.
    let result = |n| match fault.place {
        "result" => format!("echo res {n} > t{n}; mv t{n} $TENURE_RESULT"),
        _ => format!("echo res {n} > $TENURE_RESULT"),
    };
    let jobs: Vec<i64> = (0..6).map(|n| nest.sh(&[], &format!("echo out {n}; {}", result(n)))).collect();
    let mut strace = strace();
    let trace = nest.file("strace");
    strace.args(["-q", "-o"]).arg(&trace).args(["-e", &format!("trace={}", fault.call)]);
    strace.args(["-e", &format!("inject={}:error={errno}:when={}", fault.call, fault.when)]);
    for path in fault.paths {
        strace.arg("-P").arg(nest.beside().join(path));
    }
    let work = nest.tenure(&["work", "--slots", "2", "--tick", "1s"]);
    strace.arg(work.get_program()).args(work.get_args()).current_dir(nest.path());
    strace.env("TENURE_DB", nest.db()).env("HOME", nest.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let log = std::fs::File::create(nest.file("worker.log")).unwrap();
    let mut child = strace.stderr(log).spawn().unwrap();
    let what = format!("{} {errno}", fault.place);
    for (n, id) in jobs.iter().enumerate() {
        let job = nest.until_ended(*id);
        let said = || std::fs::read_to_string(nest.file("worker.log")).unwrap_or_default();
        assert_eq!((&job["state"], &job["attempts"]), (&"done".into(), &1.into()), "{what}: {job} {}", said());
        assert_eq!(job["result"].as_str().map(str::trim), Some(format!("res {n}").as_str()), "{what}: {job}");
        assert_eq!(nest.log(*id).trim(), format!("out {n}"), "{what}");
        let failed_starts: i64 =
            nest.sql().query_row("SELECT failed_starts FROM job WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        assert_eq!(failed_starts, 0, "{what}");
    }
    until(&format!("{what} to be over"), || (nest.status()["worker"]["conditions"].as_array()?.is_empty()).then_some(()));
    let worker = nest.status()["worker"]["pid"].as_i64().unwrap() as i32;
    kill(worker, Signal::TERM);
    child.wait().unwrap();
    assert!(std::fs::read_to_string(&trace).unwrap().contains("(INJECTED)"), "{what}: nothing was injected");
    let said = std::fs::read_to_string(nest.file("worker.log")).unwrap();
    assert_eq!(said.contains("nothing is claimed: "), fault.is_told, "{what}: {said}");
}

#[test]
fn no_errno_at_any_place_of_a_start_ends_a_job() {
    if !has_strace() {
        return;
    }
    let cells: Vec<_> = FAULTS.iter().flat_map(|fault| fault.errnos.iter().map(move |errno| (fault, errno))).collect();
    each(&cells, |(fault, errno)| inject(fault, errno));
}

#[test]
fn a_descriptor_limit_holds_claims_back_and_clears_by_itself() {
    for of_spawner in [false, true] {
        let nest = Nest::new();
        let worker = nest.work(&["--slots", "2", "--tick", "1s"]);
        nest.until_state(nest.sh(&[], "true"), "done");
        let spawner = children(worker.pid())[0];
        // Below every number that may be free: what the worker has closed leaves holes, which depend on the
        // order in which its threads have begun.
        let (pid, low) = if of_spawner { (spawner, 5) } else { (worker.pid(), 3) };
        let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
        let set = |soft| {
            let limit = Rlimit { current: soft, maximum: hard };
            prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("the limit of our own process");
        };
        set(Some(low));
        let jobs: Vec<i64> = (0..4).map(|_| nest.sh(&["--retries", "3"], "echo ran")).collect();
        for _look in 0..2 {
            until("the want to be told", || {
                let status = nest.status();
                status["problems"].as_array().unwrap().iter().any(|one| one["code"] == "no_descriptors").then_some(())
            });
        }
        let last = jobs[3].to_string();
        let why = until("why to tell it", || Some(nest.ok(&["why", &last])).filter(|why| why.contains("descriptors")));
        assert!(why.contains("LimitNOFILE"), "the remedy: {why}");
        assert!(nest.say(&["doctor"]).out.contains("not enough file descriptors"));
        for id in &jobs {
            let job = nest.show(*id);
            assert_ne!(job["state"], "failed", "{job}");
        }
        set(hard);
        for id in &jobs {
            let job = nest.until_ended(*id);
            assert_eq!((&job["state"], &job["attempts"]), (&"done".into(), &1.into()), "{job}");
            let failed_starts: i64 =
                nest.sql().query_row("SELECT failed_starts FROM job WHERE id = ?1", [id], |row| row.get(0)).unwrap();
            assert_eq!(failed_starts, 0);
        }
        let is_over = || nest.status()["worker"]["conditions"].as_array().is_some_and(Vec::is_empty).then_some(());
        until("the want to be over", is_over);
        let lines = worker.said().lines().filter(|line| line.contains("nothing is claimed")).count();
        assert!(lines <= 12, "it is told at a change and not at each try: {}", worker.said());
        assert!(lives(worker.pid()));
    }
}

#[test]
fn a_want_is_over_when_its_trial_has_started() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "2", "--tick", "1s"]);
    nest.until_state(nest.sh(&[], "true"), "done");
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let set = |soft| {
        let limit = Rlimit { current: soft, maximum: hard };
        prlimit(Pid::from_raw(worker.pid()), Resource::Nofile, limit).expect("the limit of our own process");
    };
    set(Some(10));
    let jobs: Vec<i64> = (0..2).map(|_| nest.sh(&[], "until [ -e go ]; do sleep 0.1; done")).collect();
    until("the want to be told", || {
        let status = nest.status();
        status["problems"].as_array().unwrap().iter().any(|one| one["code"] == "no_descriptors").then_some(())
    });
    set(hard);
    // One of them is the trial, which continues.
    jobs.iter().for_each(|job| assert!(nest.until_pid(*job) > 0));
    let is_over = || nest.status()["worker"]["conditions"].as_array().is_some_and(Vec::is_empty).then_some(());
    until("the want to be over", is_over);
    std::fs::write(nest.file("go"), "").unwrap();
    jobs.iter().for_each(|job| assert_eq!(nest.until_ended(*job)["state"], "done"));
}

#[test]
fn unserviceable_slots_are_refused_with_the_possible_number() {
    let nest = Nest::new();
    // It makes the file.
    let first = nest.sh(&["--hold"], "true");
    nest.ok(&["cancel", &first.to_string()]);
    let work = |files: u64, slots: &str| {
        let mut shell = Command::new("/bin/sh");
        let line = format!("ulimit -n {files}; exec {} work --quiet --until-idle --slots {slots}", env!("CARGO_BIN_EXE_tenure"));
        shell.args(["-c", &line]).env("TENURE_DB", nest.db()).env("HOME", nest.path()).current_dir(nest.path());
        crate::support::said(shell.stdin(Stdio::null()).output().unwrap())
    };
    for files in [16, 32, 48, 64, 128, 256] {
        let said = work(files, "1000");
        assert_eq!(said.code, 6, "{said:?}");
        let can: Option<u64> = said.err.split("--slots ").nth(2).and_then(|rest| rest.split([',', ' ']).next()?.parse().ok());
        let Some(can) = can else {
            assert!(!said.err.contains("use at most") && files < 40, "{said:?}");
            continue;
        };
        let ids: Vec<i64> = (0..can.min(16) * 2).map(|_| nest.sh(&[], "sleep 0.05; ulimit -n")).collect();
        let said = work(files, &can.to_string());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{can} of {files}");
        for id in ids {
            assert_eq!(nest.state(id), "done");
            assert_eq!(nest.log(id).trim(), files.to_string(), "a job gets what the worker was given");
        }
    }
}

#[test]
fn a_stopped_spawner_costs_no_cpu() {
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "4", "--tick", "1s"]);
    nest.until_state(nest.sh(&[], "true"), "done");
    let spawner = children(worker.pid())[0];
    kill(spawner, Signal::STOP);
    let jobs: Vec<i64> = (0..4).map(|_| nest.sh(&[], "true")).collect();
    for id in &jobs {
        nest.ok(&["cancel", &id.to_string()]);
    }
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.pid())).unwrap();
        let fields: Vec<u64> = stat.rsplit(") ").next().unwrap().split(' ').filter_map(|field| field.parse().ok()).collect();
        fields[10] + fields[11]
    };
    let before = used();
    // A measure needs a time; nothing is waited for.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let ticks = used() - before;
    kill(spawner, Signal::CONT);
    assert!(ticks < 60, "{ticks} ticks of 10 ms in 3 s");
    for id in &jobs {
        nest.until_ended(*id);
    }
}

/// A command of ours under a limit, as a person starts it from a shell.
fn limited(nest: &Nest, limit: &str, command: &str) -> crate::support::Said {
    let mut shell = Command::new("/bin/sh");
    let line = format!("{limit}; exec {} {command}", env!("CARGO_BIN_EXE_tenure"));
    shell.args(["-c", &line]).env("TENURE_DB", nest.db()).env("HOME", nest.path()).current_dir(nest.path());
    crate::support::said(shell.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_limit_that_is_too_low_is_named_and_loses_no_job() {
    let commands = ["add -- true", "work --quiet --until-idle", "run -- true", "ls", "logs 1", "status"];
    // How much the loader needs depends on how the program is built.
    let version = |limit: &String| limited(&Nest::new(), limit, "--version").code;
    let least = (20..).map(|n| format!("ulimit -v {}", n * 1_000)).find(|limit| [0, 1].contains(&version(limit))).unwrap();
    let limits = [
        "ulimit -f 0",
        "ulimit -f 1",
        "ulimit -f 100",
        &least,
        "ulimit -v 100000",
        "ulimit -v 600000",
        "ulimit -s 64",
        "ulimit -s 512",
        "ulimit -d 6000",
        "ulimit -d 20000",
        "ulimit -n 6",
        "ulimit -n 12",
        "ulimit -n 20",
        "ulimit -n 32",
        "ulimit -n 39",
    ];
    for limit in limits {
        let by = limit.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let is_named = |text: &str| text.contains(&by) || text.contains(&by.replace('-', "-H"));
        let nest = Nest::new();
        // It begins to make the file, and the next command makes a whole one.
        let said = limited(&nest, limit, "add -- true");
        assert!(said.code == 0 || is_named(&said.err), "{limit}: {said:?}");
        let first = nest.sh(&[], "echo one; echo two >&2");
        let before = nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
        let mut added = 0;
        for command in commands {
            let what = format!("{limit}; tenure {command}");
            let said = limited(&nest, limit, command);
            assert!([0, 1, 4, 6, 125].contains(&said.code), "no signal ends it: {what}: {said:?}");
            if said.code != 0 {
                assert!(is_named(&said.err), "{what}: {said:?}");
                assert!(!said.err.contains("panicked") && !said.err.contains("code 7"), "{what}: {said:?}");
            }
            assert!(!command.starts_with("work") || said.code != 0, "it cannot serve: {what}: {said:?}");
            added += usize::from(command.starts_with("add") && said.code == 0);
        }
        let listed = nest.json(&["ls", "-a", "--json"]);
        let jobs = listed["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), before + added, "{limit}: {listed}");
        for job in jobs {
            assert_eq!((&job["state"], &job["hold"]), (&"queued".into(), &serde_json::Value::Null), "{limit}: {job}");
        }
        nest.work_until_idle(&[]);
        assert_eq!(nest.state(first), "done", "{limit}");
    }
}

#[test]
fn a_job_that_a_limit_ends_says_which_limit() {
    let spin = "while :; do :; done";
    let write = "head -c 100000 /dev/zero >file";
    let cases = [
        (format!("ulimit -f 1; exec {write}"), "signal", "killed by signal 25: a file grew", "ulimit -f"),
        (format!("ulimit -f 1; {write}"), "exit", "exit status 153, by which a shell tells of signal 25", "ulimit -f"),
        (format!("ulimit -St 1; {spin}"), "signal", "killed by signal 24: it used more CPU time", "ulimit -t"),
        (format!("ulimit -St 1; sh -c '{spin}'; exit $?"), "exit", "exit status 152, by which a shell tells", "ulimit -t"),
    ];
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    for (line, reason, words, option) in &cases {
        let id = nest.sh(&[], line);
        let job = nest.until_ended(id);
        assert_eq!(job["reason"], *reason, "{line}: {job}");
        let error = job["error"].as_str().unwrap();
        assert!(error.contains(words) && error.contains(option), "{line}: {error}");
        assert!(nest.ok(&["why", &id.to_string()]).contains(option), "{line}");
        assert!(nest.ok(&["show", &id.to_string()]).contains(option), "{line}");
    }
    // What our own processes do about the signal is not passed on.
    for line in ["grep SigIgn /proc/self/status", "grep SigCgt /proc/self/status"] {
        let id = nest.sh(&[], &format!("exec {line}"));
        nest.until_ended(id);
        let mask = u64::from_str_radix(nest.log(id).split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(mask & 1 << 24, 0, "{line}");
    }
}
