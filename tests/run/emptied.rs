//! What of a run outlives its worker, its spawner and its shim is found and ended, and nothing else is.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs};

use rustix::process::Signal;
use tenure::job::{RunId, RunKey};
use tenure::place::Place;
use tenure::run::runfile::RunFile;
use tenure::run::tree::Emptied;
use tenure::run::{Header, Launch, Record, Started, machine, tree};

use crate::run::crashes::{PLACE, kill_spawner_and_shim};
use crate::run::harness::{Bench, adopt_orphans, header, reap};
use crate::support::{children, kill, kill_child, lives, untested, until};

#[test]
fn what_escaped_from_everybody_is_found_by_its_cookie() {
    adopt_orphans();
    let bench = Bench::new();
    let launch = bench.shell("setsid sh -c 'echo $$ >>pids; exec sleep 600' & sleep 600");
    let mut running = bench.start(&launch);
    let shim = running.started().shim_pid;
    let escaped = bench.pids("pids", 1)[0];
    kill_spawner_and_shim(&bench, running, shim);
    assert!(lives(escaped) && !bench.inspect(launch.run).1, "its lock is free, and it lives");
    assert!(tree::is_log_locked(&bench.place, launch.run).unwrap(), "what it could write to is locked");
    let mut other = launch.nonce;
    other.0[15] ^= 1;
    let another = RunId(launch.run.0 + 1_000);
    assert_eq!(tree::empty(&bench.place, RunKey { run: another, nonce: other }).unwrap().killed, Vec::<String>::new());
    let killed = tree::empty(&bench.place, launch.key()).unwrap().killed;
    assert!(killed.contains(&format!("{escaped} sleep")), "{killed:?}");
    until("it to be gone", || {
        let round = tree::empty(&bench.place, launch.key()).unwrap();
        (round.killed.is_empty() && !round.log_locked && !lives(escaped)).then_some(())
    });
    reap(escaped);
}

/// Each link starts the next one and ends, so that all that a walk through `/proc` has found is dead when it is looked at.
#[test]
fn a_chain_that_forks_without_a_pause_ends_without_its_shim() {
    adopt_orphans();
    for marks in ["", "env -i"] {
        let bench = Bench::new();
        let chain = r#"echo "sh link &" >link; for i in 1 2 3; do MARKS setsid sh -c 'trap "" TERM; echo $$ >>pids; sh link' & done; sleep 600"#;
        let launch = bench.shell(&chain.replace("MARKS", marks));
        let mut running = bench.start(&launch);
        let shim = running.started().shim_pid;
        let groups = bench.pids("pids", 3);
        kill_spawner_and_shim(&bench, running, shim);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over_in_any_case = Over(&is_over);
            groups.iter().for_each(|group| drop(scope.spawn(|| reap_group(*group, &is_over))));
            let (mut killed, mut in_a_row) = (0, 0);
            until("two rounds in a row to find nothing", || {
                let round = tree::empty(&bench.place, launch.key()).unwrap();
                killed += round.killed.len();
                in_a_row = if round.is_empty() { in_a_row + 1 } else { 0 };
                (in_a_row == 2).then_some(())
            });
            assert!(killed >= 3, "{killed}");
        });
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Not a test: a process that carries the mark of a run, as what was started in a job does, and ends what is left of that run.
#[test]
#[ignore = "a role that another test starts"]
fn the_marked_one() {
    let (Ok(place), Ok(nonce)) = (env::var(PLACE), env::var("TENURE_COOKIE")) else { return };
    let round = tree::empty(&Place::new(place.into()), RunKey { run: RunId(1), nonce: nonce.parse().unwrap() }).unwrap();
    println!("ENDED {:?}", round.killed.len());
}

/// In a pid namespace of its own, in which its number is among the newest when the new ones are looked at.
#[test]
fn a_process_that_ends_the_rest_of_its_run_spares_itself() {
    let can = Command::new("unshare").args(["-p", "-f", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return crate::support::untested::not_tested(
            "a process among the newest",
            "pid namespaces: unshare of util-linux, and root",
        );
    }
    let bench = Bench::new();
    fs::create_dir_all(bench.place.logs()).unwrap();
    let mut role = Command::new("unshare");
    // Something that is found, so that there is a chase.
    role.args(["-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", r#"sleep 600 & "$@"; echo "CODE $?""#, "sh"]);
    role.arg(env::current_exe().unwrap());
    role.args(["run::emptied::the_marked_one", "--exact", "--ignored", "--nocapture", "--test-threads", "1"]);
    let said = role.env(PLACE, bench.place.db()).env("TENURE_COOKIE", machine::nonce().to_string()).output().unwrap();
    let told = String::from_utf8_lossy(&said.stdout);
    // The shell is marked as well, and is spared by the kernel as the first process.
    assert!(told.contains("ENDED ") && told.contains("CODE 0"), "{said:?}");
}

/// Waits for each process of a group that falls to us, until none is left or the test is over.
fn reap_group(group: i32, is_over: &AtomicBool) {
    let group = rustix::process::Pid::from_raw(group).unwrap();
    while let Ok(reaped) = rustix::process::waitpgid(group, rustix::process::WaitOptions::NOHANG) {
        match reaped {
            Some(_) => {}
            None if is_over.load(Ordering::Relaxed) => return,
            None => std::thread::sleep(std::time::Duration::from_millis(1)), // The next link has not ended yet.
        }
    }
}

/// What of a run outlives its spawner and shim is found by what it still carries: the cookie, the limit, or the log that it writes.
#[test]
fn what_removed_its_marks_is_found_by_those_that_are_left() {
    adopt_orphans();
    let unlimited = "prlimit --rttime=unlimited:unlimited";
    for (removes, keeps_log) in [
        ("setsid".to_owned(), false),
        ("env -i setsid".to_owned(), false),
        (format!("setsid {unlimited}"), false),
        (format!("env -i setsid {unlimited}"), true),
    ] {
        let bench = Bench::new();
        let output = if keeps_log { "" } else { ">/dev/null 2>&1" };
        let launch = bench.shell(&format!("{removes} sh -c 'echo $$ >>pids; exec sleep 600' {output} & sleep 600"));
        let mut running = bench.start(&launch);
        let shim = running.started().shim_pid;
        let escaped = bench.pids("pids", 1)[0];
        kill_spawner_and_shim(&bench, running, shim);
        // What is asked for the log comes when nothing is found by its marks any more.
        until(&format!("{removes}: it to be found"), || {
            let round = tree::empty(&bench.place, launch.key()).unwrap();
            round.killed.iter().any(|name| name.starts_with(&format!("{escaped} "))).then_some(())
        });
        reap(escaped);
        until(&format!("{removes}: all to be gone"), || {
            tree::empty(&bench.place, launch.key()).unwrap().is_empty().then_some(())
        });
    }
}

/// A job that root runs as another user can give its cookie and its log away, to a program that root starts and to a daemon that takes descriptors.
#[test]
fn what_another_users_job_gave_away_ends_no_process_of_root() {
    if !rustix::process::geteuid().is_root() {
        return untested::not_tested("jobs as another user", "root");
    }
    adopt_orphans();
    let bench = Bench::new();
    let mut launch = bench.shell("exec sleep 600");
    (launch.user, launch.cwd) = (Some("nobody".into()), b"/".to_vec());
    let mut running = bench.start(&launch);
    let started = running.started();
    let shim = started.shim_pid;
    let log = fs::OpenOptions::new().append(true).open(format!("/proc/{}/fd/1", started.pid)).unwrap();
    let sleep = || {
        let mut sleep = Command::new("sleep");
        sleep.arg("600").stdin(Stdio::null()).stdout(Stdio::null());
        sleep
    };
    let mut marked = sleep().env("TENURE_COOKIE", launch.nonce.to_string()).spawn().unwrap();
    let mut writer = sleep().stdout(log.try_clone().unwrap()).spawn().unwrap();
    kill_spawner_and_shim(&bench, running, shim);
    until("the job to die with its shim", || (!lives(started.pid)).then_some(()));
    log.lock().unwrap();
    drop(log);
    assert!(tree::is_log_locked(&bench.place, launch.run).unwrap(), "by the writer");
    let rounds = [(); 3].map(|()| tree::empty(&bench.place, launch.key()).unwrap());
    let (marked_lives, writer_lives) = (lives(marked.id() as i32), lives(writer.id() as i32));
    for child in [&mut marked, &mut writer] {
        kill_child(child);
    }
    assert!(marked_lives && writer_lives, "{rounds:?}");
    assert!(rounds.iter().all(Emptied::is_empty), "and neither keeps the run open: {rounds:?}");
}

/// The same job is ended where it is.
#[test]
fn what_another_users_job_left_is_ended_as_that_user() {
    if !rustix::process::geteuid().is_root() {
        return untested::not_tested("jobs as another user", "root");
    }
    adopt_orphans();
    for keeps_log in [false, true] {
        let bench = Bench::new();
        let output = if keeps_log { "" } else { ">/dev/null 2>&1" };
        let cleared = if keeps_log { "env -i setsid prlimit --rttime=unlimited:unlimited" } else { "setsid" };
        let line = format!("{cleared} sleep 600 {output} & echo $!; sleep 600");
        let mut launch = bench.shell(&line);
        (launch.user, launch.cwd) = (Some("nobody".into()), b"/".to_vec());
        let mut running = bench.start(&launch);
        let shim = running.started().shim_pid;
        let escaped: i32 = until("the process that will be left", || bench.log(launch.run).trim().parse().ok());
        until("its command", || fs::read_to_string(format!("/proc/{escaped}/comm")).ok().filter(|comm| comm == "sleep\n"));
        kill_spawner_and_shim(&bench, running, shim);
        until("it to be found", || {
            let round = tree::empty(&bench.place, launch.key()).unwrap();
            round.killed.iter().any(|name| name.starts_with(&format!("{escaped} "))).then_some(())
        });
        reap(escaped);
        until("all to be gone", || tree::empty(&bench.place, launch.key()).unwrap().is_empty().then_some(()));
    }
}

/// A process in a pid namespace of its own.
struct Elsewhere {
    unshare: Child,
    namespace: u64,
}

impl Elsewhere {
    fn new() -> Self {
        adopt_orphans();
        let unshare =
            Command::new("unshare").args(["-pf", "--kill-child", "sleep", "600"]).stdout(Stdio::null()).spawn().unwrap();
        let own = machine::pid_namespace();
        let path = format!("/proc/{}/ns/pid_for_children", unshare.id());
        let namespace = until("the namespace", || {
            let number = fs::metadata(&path).ok()?.ino();
            (number != own && !children(unshare.id() as i32).is_empty()).then_some(number)
        });
        Self { unshare, namespace }
    }

    fn first(&self) -> i32 {
        children(self.unshare.id() as i32)[0]
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let first = self.first();
        kill_child(&mut self.unshare);
        // It ends with its parent, and falls to us. Until it is reaped it is seen in its namespace.
        reap(first);
    }
}

/// A run whose lock is free, with this header, and these records.
fn left(bench: &Bench, changed: impl FnOnce(&mut Header), records: &[Record]) -> Launch {
    let launch = bench.shell("true");
    let mut header = header(&launch);
    changed(&mut header);
    drop(RunFile::create(&bench.place, &header).unwrap());
    let mut file = fs::OpenOptions::new().append(true).open(bench.place.run_file(launch.run)).unwrap();
    records.iter().for_each(|record| file.write_all(&record.to_line()).unwrap());
    launch
}

#[test]
fn a_run_of_another_pid_namespace_is_gone_only_with_that() {
    if !rustix::process::geteuid().is_root() {
        return untested::not_tested("a run of another pid namespace", "root");
    }
    let bench = Bench::without_spawner();
    let elsewhere = Elsewhere::new();
    let namespace = elsewhere.namespace;
    let rounds = |changed: &dyn Fn(&mut Header), records: &[Record]| {
        let run = left(&bench, changed, records);
        tree::empty(&bench.place, run.key()).unwrap()
    };
    let out_of_sight = Emptied { out_of_sight: true, ..Emptied::default() };
    assert_eq!(rounds(&|_| {}, &[]), Emptied::default(), "ours");
    assert_eq!(rounds(&|header| header.pid_ns = namespace, &[]), out_of_sight, "one that lives");
    assert_eq!(rounds(&|header| header.pid_ns = namespace, &[Record::Over { at_ms: 1 }]), Emptied::default(), "a person says so");
    let of_earlier_boot = |header: &mut Header| (header.pid_ns, header.boot_id) = (namespace, "an earlier boot".into());
    assert_eq!(rounds(&of_earlier_boot, &[]), Emptied::default(), "of an earlier boot");
    let ended_with_worker = |header: &mut Header| (header.pid_ns, header.pid_ns_ends) = (namespace, true);
    assert_eq!(rounds(&ended_with_worker, &[]), Emptied::default(), "it ended with its worker");
    drop(elsewhere);
    let is_seen_whole = fs::read_link("/proc/self/ns/pid").unwrap().to_str() == Some("pid:[4026531836]");
    let expected = if is_seen_whole { Emptied::default() } else { out_of_sight };
    assert_eq!(rounds(&|header| header.pid_ns = namespace, &[]), expected, "one that is gone");
}

/// A shim that ends frees its lock before its children have another parent.
#[test]
fn a_shim_that_is_dying_is_not_dead() {
    let bench = Bench::without_spawner();
    let mut shim = crate::support::Started(Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap());
    let pid = i32::try_from(shim.0.id()).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let started = |shim_start_ticks| Record::Started(Started { pid, shim_pid: pid, shim_start_ticks, at_ms: 1, kept: None });
    let run = left(&bench, |_| {}, &[started(ticks)]);
    let other = left(&bench, |_| {}, &[started(ticks - 1)]);
    let round = |run: &Launch| tree::empty(&bench.place, run.key()).unwrap();
    assert_eq!(round(&run), Emptied { shim_is_dying: true, ..Emptied::default() });
    assert!(!round(&run).is_empty());
    assert_eq!(round(&other), Emptied::default(), "its number is another process's by now");
    assert!(kill(pid, Signal::KILL));
    until("it to be dead", || (!lives(pid)).then_some(()));
    assert_eq!(round(&run), Emptied::default(), "dead, though no parent has waited for it");
    shim.0.wait().unwrap();
    assert_eq!(round(&run), Emptied::default());
}

/// A process that has a lease on a file delays each open of it. The user of a job owns its log.
#[test]
fn a_lease_on_a_log_is_no_error_and_of_another_user_no_writer() {
    const LEASE: &str =
        r#"$| = 1; $SIG{IO} = "IGNORE"; open F, "<", $ARGV[0] or die; fcntl F, 1024, 1 or die "$!"; print "ready\n"; sleep 600"#;
    let is_root = rustix::process::geteuid().is_root();
    let bench = Bench::new();
    for is_of_other in [false, true] {
        let launch = bench.shell("true");
        let log = bench.place.log_file(launch.run);
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        std::fs::write(&log, "").unwrap();
        if is_of_other && is_root {
            std::os::unix::fs::chown(&log, Some(1), Some(1)).unwrap();
        }
        let mut holder = std::process::Command::new("perl")
            .args(["-e", LEASE])
            .arg(&log)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let emptied = tree::empty(&bench.place, RunKey { run: launch.run, nonce: launch.nonce });
        holder.kill().unwrap();
        holder.wait().unwrap();
        // Root sees that no process writes there.
        assert_eq!(emptied.unwrap().log_locked, !(is_of_other && is_root));
    }
}
