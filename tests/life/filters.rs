//! What the system refuses: a worker falls back, or does not start and says why. It never hangs, spins, leaks or is silently wrong.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Nest, Signal, Started, kill, lives, until};

const REFUSALS: [(&str, i32); 2] = [("EPERM", libc::EPERM), ("ENOSYS", libc::ENOSYS)];

/// Lets the kernel refuse a system call to the command and to everything that it starts.
fn without(command: &mut Command, call: i64, errno: i32) {
    let refuse = move || {
        const LOAD_NUMBER: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut program = [
            step(LOAD_NUMBER, 0, 0, 0),
            step(JUMP_IF_EQUAL, 0, 1, call as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: between fork and exec; two system calls, the second of which reads `program`.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: `refuse` allocates nothing and takes no lock.
    unsafe { command.pre_exec(refuse) };
}

fn work(nest: &Nest, call: i64, errno: i32) -> Started {
    let mut command = nest.tenure(&["work", "--slots", "4", "--tick", "200ms"]);
    without(&mut command, call, errno);
    Started(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Where a worker falls back, all of it works: descriptors are closed, a killed shim is noticed, a cancel ends a job.
#[test]
fn a_worker_falls_back_where_a_call_can_be_replaced() {
    for (name, call) in
        [("close_range", libc::SYS_close_range), ("getrandom", libc::SYS_getrandom), ("memfd_create", libc::SYS_memfd_create)]
    {
        for (refusal, errno) in REFUSALS {
            let case = format!("{name} {refusal}");
            let nest = Nest::new();
            let first = nest.sh(&["--grace", "1s"], "sleep 600");
            let second = nest.sh(&["--grace", "1s"], "sleep 600");
            let _worker = work(&nest, call, errno);
            let pids = [nest.until_pid(first), nest.until_pid(second)];
            let shims = [first, second].map(|job| nest.shim(nest.show(job)["run_id"].as_i64().unwrap()));
            for shim in shims {
                let open: Vec<i32> = std::fs::read_dir(format!("/proc/{shim}/fd"))
                    .unwrap()
                    .flatten()
                    .map(|fd| fd.file_name().to_str().unwrap().parse().unwrap())
                    .collect();
                assert!(open.len() <= 7, "{case}: a shim has {open:?} open");
            }
            kill(shims[0], Signal::KILL);
            let job = nest.until_ended(first);
            assert_eq!(job["reason"], "lost", "{case}: {job}");
            assert!(lives(pids[1]), "{case}: the other continues");
            nest.ok(&["cancel", &second.to_string()]);
            assert_eq!(nest.until_ended(second)["state"], "cancelled", "{case}");
            assert!(!pids.into_iter().any(lives), "{case}");
        }
    }
}

#[test]
fn a_worker_does_not_start_where_a_call_cannot_be_replaced() {
    for (name, call, told) in [
        ("pidfd_open", libc::SYS_pidfd_open, "pidfd_open"),
        ("pidfd_send_signal", libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
        ("prctl", libc::SYS_prctl, "prctl"),
        ("clone", libc::SYS_clone, "clone"),
        ("signalfd4", libc::SYS_signalfd4, "signalfd"),
        ("dup3", libc::SYS_dup3, "dup3"),
    ] {
        for (refusal, errno) in REFUSALS {
            let nest = Nest::new();
            let id = nest.sh(&[], "true");
            let mut command = nest.tenure(&["work", "--until-idle"]);
            without(&mut command, call, errno);
            let said = crate::support::said(command.output().unwrap());
            assert!(said.code != 0 && said.err.contains(told), "{name} {refusal}: {said:?}");
            assert_eq!(nest.state(id), "queued", "{name} {refusal}: nothing was tried");
            // The same at the front door: `run` starts a worker of its own.
            let mut command = nest.tenure(&["run", "--", "true"]);
            without(&mut command, call, errno);
            let said = crate::support::said(command.output().unwrap());
            assert!(said.code != 0 && said.err.contains(told), "run, {name} {refusal}: {said:?}");
        }
    }
}

#[test]
fn doctor_names_what_a_worker_would_miss() {
    for (call, ok, told) in [
        (libc::SYS_pidfd_open, false, "pidfd_open"),
        (libc::SYS_close_range, true, "close_range"),
        (libc::SYS_getrandom, true, "getrandom"),
    ] {
        let nest = Nest::new();
        nest.sh(&["--hold"], "true");
        let mut command = nest.tenure(&["doctor", "--json"]);
        without(&mut command, call, libc::EPERM);
        let output = command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let check = report["checks"].as_array().unwrap().iter().find(|check| check["code"] == "system").unwrap();
        assert_eq!(check["ok"], ok, "{check}");
        assert!(check["text"].as_str().unwrap().contains(told), "{check}");
    }
}

/// `unshare` with these options, and a shell line in which `$TENURE` is the program.
fn unshared(nest: &Nest, options: &[&str], line: &str) -> crate::support::Said {
    let program = nest.tenure(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", line]).env("TENURE", program).env("TENURE_DB", nest.db());
    crate::support::said(command.current_dir(nest.path()).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_worker_does_not_start_with_a_wrong_proc_or_without() {
    if !crate::life::zoo::is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let id = nest.sh(&[], "true");
    let wrong = unshared(&nest, &["-pf"], "timeout 60 $TENURE work --until-idle");
    assert!(wrong.code != 0 && wrong.err.contains("another pid namespace") && wrong.err.contains("mount"), "{wrong:?}");
    let none = unshared(&nest, &["-pfm"], "mount -t tmpfs none /proc && timeout 60 $TENURE work --until-idle");
    assert!(none.code != 0 && none.err.contains("/proc cannot be read") && none.err.contains("mount"), "{none:?}");
    assert_eq!(nest.state(id), "queued");
    let right = unshared(&nest, &["-pf", "--mount-proc"], "$TENURE work --until-idle");
    assert_eq!((right.code, nest.state(id).as_str()), (0, "done"), "{right:?}");
}

#[test]
fn a_proc_that_hides_processes_is_told_to_who_is_not_root() {
    if !crate::life::zoo::is_root("pid namespaces") {
        return;
    }
    let nest = Nest::new();
    let home = nest.file("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).unwrap();
    let program = home.join("tenure");
    crate::support::copy_program(nest.tenure(&[]).get_program(), &program);
    let open = |path: &Path| assert!(Command::new("chmod").arg("a+rx").arg(path).status().unwrap().success());
    [nest.path(), program.as_path()].into_iter().for_each(open);
    let as_nobody =
        "setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=$PWD/home TENURE_DB=$PWD/home/q.db $PWD/home/tenure";
    let line = format!("mount -t proc -o hidepid=2 proc /proc && {as_nobody} run -c 'exit 5'; echo code $?; {as_nobody} doctor");
    let said = unshared(&nest, &["-pfm"], &line);
    assert!(said.out.contains("code 5"), "{said:?}");
    assert!(said.out.contains("hidepid="), "{said:?}");
    until("nothing to be left", || nest.of_runs().is_empty().then_some(()));
}
