//! What a job, or any process of its user, does to its shim stays with its run.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tenure::job::Exit;

use crate::run::again::{run, until_idle, until_retired};
use crate::run::harness::Bench;
use crate::support::strace::has_strace;
use crate::support::{kill, lives, until};

/// A change of a shim, by its pid.
type Change = Box<dyn Fn(i32)>;

/// What a process of the same user can change of a shim, such as its job.
fn changes() -> Vec<(String, Change)> {
    let file = |name: &'static str, value: &'static str| -> (String, Change) {
        (name.to_owned(), Box::new(move |shim| fs::write(format!("/proc/{shim}/{name}"), value).unwrap()))
    };
    let mut all = vec![file("oom_score_adj", "500"), file("coredump_filter", "0x1"), file("timerslack_ns", "60000")];
    let limits =
        [Resource::As, Resource::Data, Resource::Fsize, Resource::Nofile, Resource::Nproc, Resource::Stack, Resource::Cpu];
    all.extend(limits.map(|limit| -> (String, Change) {
        let lower = move |shim| {
            // It has them from this process.
            let was = getrlimit(limit);
            let lower = Some(was.current.map_or(1 << 40, |most| most - 1));
            prlimit(Pid::from_raw(shim), limit, Rlimit { current: lower, maximum: was.maximum }).unwrap();
        };
        (format!("{limit:?}"), Box::new(lower))
    }));
    let call = |name: &str, call: fn(i32) -> i64| -> (String, Change) {
        (name.to_owned(), Box::new(move |shim| assert_eq!(call(shim), 0, "{}", std::io::Error::last_os_error())))
    };
    // SAFETY: each reads a value that lives until it returns, and writes nothing.
    all.push(call("niceness", |shim| unsafe { libc::setpriority(libc::PRIO_PROCESS, shim.cast_unsigned(), 5) }.into()));
    // SAFETY: as above.
    all.push(call("CPUs", |shim| unsafe { libc::syscall(libc::SYS_sched_setaffinity, shim, 8, &FIRST_CPU) }));
    all.push(call("policy", |shim| {
        // SAFETY: as above.
        unsafe { libc::sched_setscheduler(shim, libc::SCHED_BATCH, &libc::sched_param { sched_priority: 0 }) }.into()
    }));
    // SAFETY: as above. Class 3: idle.
    all.push(call("I/O priority", |shim| unsafe { libc::syscall(libc::SYS_ioprio_set, 1, shim, 3 << 13) }));
    all
}

static FIRST_CPU: u64 = 1;

#[test]
fn a_job_that_changes_its_shim_changes_no_other_job() {
    let bench = Bench::new();
    for (what, change) in changes() {
        if what == "CPUs" && std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
            continue;
        }
        let mut running = bench.start(&bench.shell("while [ ! -e go ]; do sleep 0.01; done"));
        let shim = running.started().shim_pid;
        change(shim);
        fs::write(bench.path("go"), "").unwrap();
        assert_eq!(running.finish().exited.unwrap().exit, Exit::Code(0), "{what}");
        until_retired(&bench, shim, &format!("after a change of its {what}"));
        fs::remove_file(bench.path("go")).unwrap();
    }
}

#[test]
fn a_shim_that_is_stopped_while_it_waits_takes_no_launch() {
    let bench = Bench::new();
    let (_, first) = run(&bench, "exit 0");
    until_idle(&bench, first.shim_pid);
    assert!(kill(first.shim_pid, Signal::STOP));
    until("it to be ended", || (!lives(first.shim_pid)).then_some(()));
    let (records, second) = run(&bench, "exit 8");
    assert_eq!(records.exited.unwrap().exit, Exit::Code(8));
    assert_ne!(first.shim_pid, second.shim_pid);
}

/// To stop the tracer would stop the shim that stops it.
#[test]
fn a_job_cannot_hold_its_shim_by_tracing_it() {
    if !has_strace() {
        return;
    }
    let bench = Bench::new();
    for start in ["", "setsid "] {
        let wait = "until grep -q 'TracerPid:.*[1-9]' /proc/$PPID/status; do sleep 0.01; done";
        let records = bench.run(&bench.shell(&format!("{start}strace -p $PPID -o /dev/null 2>/dev/null & {wait}; exit 3")));
        assert_eq!(records.exited.unwrap().exit, Exit::Code(3), "{start}strace");
        assert!(records.drained.unwrap().killed > 0, "{start}strace was killed");
    }
}
