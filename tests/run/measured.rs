//! Costs, measured by hand: `cargo test --release run::measured:: -- --ignored --nocapture --test-threads 1`.

use std::fs;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tenure::job::Cause;
use tenure::run::{Record, Status, stop};

use crate::run::harness::{Bench, Running};

/// Runs that do nothing, all at once.
const IDLE: usize = 300;
/// Launches in a round, and rounds.
const LAUNCHES: usize = 1_000;
const ROUNDS: usize = 5;

fn rollup_kb(pid: i32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement: cargo test --release run::measured -- --ignored --nocapture"]
fn memory_of_idle_runs() {
    let bench = Bench::new();
    let mut runs: Vec<Running<'_>> = (0..IDLE).map(|_| bench.start(&bench.command(&["sleep", "600"]))).collect();
    let shims: Vec<i32> = runs.iter_mut().map(|run| run.started().shim_pid).collect();
    // A measurement of rest: the pages of a start are given back only after some time, and no event tells.
    std::thread::sleep(Duration::from_secs(5));
    let mean = |key| shims.iter().map(|pid| rollup_kb(*pid, key)).sum::<u64>() / IDLE as u64;
    println!("{IDLE} idle shims: PSS {} kB, private dirty {} kB each", mean("Pss:"), mean("Private_Dirty:"));
    let spawner = i32::try_from(bench.spawner().pid()).unwrap();
    println!("spawner: PSS {} kB, RSS {} kB", rollup_kb(spawner, "Pss:"), rollup_kb(spawner, "Rss:"));
    let cpu = || shims.iter().map(|pid| cpu_ticks(*pid)).sum::<u64>();
    let before = cpu();
    // The time over which is measured.
    std::thread::sleep(Duration::from_secs(10));
    println!("CPU of all shims in 10 s: {} ms", (cpu() - before) * 10);
    let asked = Instant::now();
    for run in &runs {
        stop::ask(&bench.place, run.key(), Cause::Cancel).unwrap();
    }
    runs.into_iter().for_each(|run| drop(run.finish()));
    println!("{IDLE} cancels: {:?}", asked.elapsed());
}

/// CPU of a process and of the children that it has reaped, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(4).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Starts `count` runs of `/bin/true`, two at a time, each until its DRAINED.
fn launch_two_at_a_time(bench: &Bench, count: usize) {
    let mut in_flight: Vec<Running<'_>> = Vec::new();
    let mut started = 0;
    while started < count || !in_flight.is_empty() {
        while started < count && in_flight.len() < 2 {
            in_flight.push(bench.start(&bench.command(&["/bin/true"])));
            started += 1;
        }
        let mut fds: Vec<_> = in_flight.iter().map(|run| PollFd::from_borrowed_fd(run.pipe.as_fd(), PollFlags::IN)).collect();
        poll(&mut fds, None).unwrap();
        drop(fds);
        in_flight.retain_mut(|run| {
            loop {
                match run.pipe.next().unwrap() {
                    Status::Record(Record::Drained(_)) => {
                        tenure::run::runfile::unlink(&bench.place, run.run).unwrap();
                        return false;
                    }
                    Status::Record(_) => {}
                    Status::NothingYet => return true,
                    Status::Closed => panic!("a run ended without DRAINED"),
                }
            }
        });
    }
}

#[test]
#[ignore = "a measurement: cargo test --release run::measured -- --ignored --nocapture"]
fn launches_per_second() {
    let bench = Bench::new();
    let per_second = |took: Duration| (LAUNCHES as f64 / took.as_secs_f64()) as u64;
    let spawner = i32::try_from(bench.spawner().pid()).unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    let us_each = |ticks: u64| ticks * 10_000 / LAUNCHES as u64;
    for _ in 0..ROUNDS {
        let cpu = cpu_ticks(me) + cpu_ticks(spawner);
        let start = Instant::now();
        launch_two_at_a_time(&bench, LAUNCHES);
        let ours = start.elapsed();
        let our_cpu = cpu_ticks(me) + cpu_ticks(spawner) - cpu;
        let cpu = cpu_ticks(me);
        let start = Instant::now();
        let line = format!("seq {LAUNCHES} | xargs -P2 -n1 /bin/true");
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        let xargs = start.elapsed();
        let xargs_cpu = cpu_ticks(me) - cpu;
        println!(
            "2 in flight: {} runs/s, {} us CPU each; xargs -P2 -n1: {}/s, {} us CPU each",
            per_second(ours),
            us_each(our_cpu),
            per_second(xargs),
            us_each(xargs_cpu)
        );
    }
}
