//! Whichever process dies: jobs run on, or nothing of them is left.

use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

use rustix::process::Signal;
use tenure::job::verdict::Progress;
use tenure::job::{Cause, Exit, Nonce, RunId, RunKey};
use tenure::place::Place;
use tenure::run::runfile::{Inspection, RunFile, inspect};
use tenure::run::{Spawner, Status, StatusPipe, stop};

use crate::run::harness::{Bench, Running, adopt_orphans, header, launch_in, program, reap};
use crate::support::process::is_fork_of_this;
use crate::support::{children, kill, kill_child, lives, until};

/// Says to the role below where to work.
pub const PLACE: &str = "TENURE_TEST_PLACE";
/// What the runs of the role do; they wait for a file named `go`.
const SCRIPTS: [&str; 3] = [
    "until [ -e go ]; do sleep 0.02; done; echo late; exit 42",
    "until [ -e go ]; do sleep 0.02; done; kill -9 $$",
    "until [ -e go ]; do sleep 0.02; done; setsid sleep 600 & until [ -e go ]; do sleep 0.02; done; exit 7",
];

/// Not a test: a process that owns a spawner with runs, to be killed.
#[test]
#[ignore = "a role that other tests start"]
fn the_starter() {
    let Ok(place) = env::var(PLACE) else { return };
    let place = Place::new(place.into());
    let dir = place.db().parent().unwrap().to_owned();
    let spawner = Spawner::start_program(program()).unwrap();
    let mut told = format!("{}\n", spawner.pid());
    let mut pipes: Vec<StatusPipe> = Vec::new();
    for (run, script) in (1..).zip(SCRIPTS) {
        let launch = launch_in(&dir, &place, RunId(run), &["/bin/sh", "-c", script]);
        told += &format!("{} {}\n", launch.run, launch.nonce);
        pipes.push(spawner.launch(&launch, RunFile::create(&place, &header(&launch)).unwrap()).unwrap());
    }
    fs::write(dir.join("told.tmp"), told).unwrap();
    fs::rename(dir.join("told.tmp"), dir.join("told")).unwrap();
    thread::park();
}

struct Starter {
    process: Child,
    spawner: i32,
    runs: Vec<(RunId, Nonce)>,
}

fn start_starter(bench: &Bench) -> Starter {
    adopt_orphans();
    let process = Command::new(env::current_exe().unwrap())
        .args(["--exact", "run::crashes::the_starter", "--ignored"])
        .env(PLACE, bench.place.db())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let told = until("the starter", || fs::read_to_string(bench.path("told")).ok());
    let mut lines = told.lines();
    let spawner = lines.next().unwrap().parse().unwrap();
    let runs: Vec<(RunId, Nonce)> = lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(run, nonce)| (RunId(run.parse().unwrap()), nonce.parse().unwrap()))
        .collect();
    for (run, _) in &runs {
        until("STARTED", || {
            matches!(inspect(&bench.place, *run), Ok(Inspection::Found { records, .. }) if records.started.is_some())
                .then_some(())
        });
    }
    Starter { process, spawner, runs }
}

fn kill_spawner(bench: &Bench) {
    assert!(kill(i32::try_from(bench.spawner().pid()).unwrap(), Signal::KILL));
    until("the spawner to be dead", || bench.spawner().is_dead().then_some(()));
    // A child of another test that is still to execute its program may have the spawner's socket.
    let none_is_new = || !children(std::process::id().cast_signed()).into_iter().any(is_fork_of_this);
    until("its socket to be closed", || none_is_new().then_some(()));
}

/// Kills spawner and shim of a run. Nothing that it left ends by this.
pub fn kill_spawner_and_shim(bench: &Bench, mut running: Running<'_>, shim: i32) {
    kill_spawner(bench);
    assert!(kill(shim, Signal::KILL));
    while running.next().is_some() {}
    reap(shim);
    reap(running.started_pid());
}

fn let_them_end(bench: &Bench, starter: &Starter) {
    for (run, _) in &starter.runs {
        assert!(bench.inspect(*run).1, "run {run} is alive and its lock is held");
    }
    fs::write(bench.path("go"), "").unwrap();
    for ((run, _), exit) in starter.runs.iter().zip([Exit::Code(42), Exit::Signal(9), Exit::Code(7)]) {
        until("the lock", || (!bench.inspect(*run).1).then_some(()));
        let records = bench.inspect(*run).0;
        assert_eq!(records.progress(), Progress::Drained, "run {run}");
        assert_eq!(records.exited.map(|e| (e.exit, e.cause)), Some((exit, None)));
    }
    assert_eq!(bench.log(RunId(1)), "late\n");
}

#[test]
fn the_death_of_the_worker_is_nothing_to_its_jobs() {
    let bench = Bench::without_spawner();
    let mut starter = start_starter(&bench);
    kill_child(&mut starter.process);
    assert!(lives(starter.spawner), "it stays for its shims");
    let_them_end(&bench, &starter);
    reap(starter.spawner);
}

#[test]
fn the_death_of_worker_and_spawner_is_nothing_to_the_jobs() {
    let bench = Bench::without_spawner();
    let mut starter = start_starter(&bench);
    starter.process.kill().unwrap();
    assert!(kill(starter.spawner, Signal::KILL));
    starter.process.wait().unwrap();
    reap(starter.spawner);
    let shims = starter.runs.iter().map(|(run, _)| bench.inspect(*run).0.started.unwrap().shim_pid).collect::<Vec<_>>();
    let_them_end(&bench, &starter);
    shims.into_iter().for_each(reap);
}

#[test]
fn the_death_of_a_shim_after_that_of_the_worker_is_swept() {
    let bench = Bench::without_spawner();
    let mut starter = start_starter(&bench);
    kill_child(&mut starter.process);
    for (run, nonce) in &starter.runs {
        let job = bench.inspect(*run).0.started.unwrap().pid;
        stop::kill_shim(&bench.place, RunKey { run: *run, nonce: *nonce }).unwrap();
        until("the lock", || (!bench.inspect(*run).1).then_some(()));
        assert!(!lives(job));
        assert_eq!(bench.inspect(*run).0.progress(), Progress::Begun);
    }
    reap(starter.spawner);
}

#[test]
fn the_spawner_alone_may_die() {
    adopt_orphans();
    let bench = Bench::new();
    let mut running = bench.start(&bench.shell("sleep 600"));
    let shim = running.started().shim_pid;
    kill_spawner(&bench);
    stop::ask(&bench.place, running.key(), Cause::Cancel).unwrap();
    while running.next().is_some() {}
    assert_eq!(running.records.exited.unwrap().cause, Some(Cause::Cancel));
    assert_eq!(running.records.progress(), Progress::Drained);
    reap(shim);
}

#[test]
fn to_a_dead_spawner_nothing_can_be_given() {
    let bench = Bench::new();
    kill_spawner(&bench);
    let launch = bench.shell("exit 0");
    let error = bench.spawner().launch(&launch, bench.create(&launch)).unwrap_err().to_string();
    assert!(error.contains("the spawner is dead; nothing was started"), "{error}");
    let (records, locked) = bench.inspect(launch.run);
    assert_eq!((records.progress(), locked), (Progress::Nothing, false));
}

#[test]
fn what_a_spawner_had_not_read_was_never_started() {
    let bench = Bench::new();
    let spawner = i32::try_from(bench.spawner().pid()).unwrap();
    assert!(kill(spawner, Signal::STOP));
    let launch = bench.shell("exit 0");
    let mut running = bench.start(&launch);
    assert_eq!(running.pipe.next().unwrap(), Status::NothingYet);
    assert!(bench.inspect(launch.run).1, "the packet holds the lock");
    assert!(kill(spawner, Signal::KILL));
    while running.next().is_some() {}
    let (records, locked) = bench.inspect(launch.run);
    assert_eq!((records.progress(), locked), (Progress::Nothing, false));
}

#[test]
fn the_spawner_is_deaf_to_what_ends_others() {
    let mut bench = Bench::new();
    let spawner = i32::try_from(bench.spawner().pid()).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::PIPE, Signal::USR1] {
        assert!(kill(spawner, signal));
    }
    assert_eq!(bench.run(&bench.shell("exit 3")).exited.unwrap().exit, Exit::Code(3));
    assert_eq!(fs::read_to_string(format!("/proc/{spawner}/comm")).unwrap(), "tenure-spawner\n");
    bench.drop_spawner();
}

#[test]
fn another_program_is_not_taken_for_the_spawner() {
    let error = Spawner::start_program("/bin/true".as_ref()).unwrap_err().to_string();
    assert!(error.contains("did not get ready"), "{error}");
    assert!(Spawner::start_program("/no/such/program".as_ref()).is_err());
    let status = Command::new(program()).arg("__spawner").stdin(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2), "not for people");
}
