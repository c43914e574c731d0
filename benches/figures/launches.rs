//! What it costs to start a run and to see its end.

use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tenure::run::{Record, Status, runfile};

use crate::ROUNDS;
use crate::numbers::median;
use crate::processes::cpu_with_children_ms;
use crate::runs::{Running, Runs};

/// Runs of `/bin/true`, two at a time, each until its last record, against `xargs -P2 -n1 /bin/true`.
pub fn launches() {
    const LAUNCHES: usize = 1_000;
    let runs = Runs::new();
    let per_second = |took: Duration| LAUNCHES as f64 / took.as_secs_f64();
    let us_each = |ms: f64| ms * 1_000.0 / LAUNCHES as f64;
    let (me, spawner) = (std::process::id(), runs.spawner.pid());
    let (mut ours, mut xargs, mut our_cpu, mut xargs_cpu) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let cpu = || cpu_with_children_ms(me) + cpu_with_children_ms(spawner);
        let (before, begun) = (cpu(), Instant::now());
        two_at_a_time(&runs, LAUNCHES);
        ours.push(per_second(begun.elapsed()));
        our_cpu.push(us_each(cpu() - before));
        let (before, begun) = (cpu(), Instant::now());
        let line = format!("seq {LAUNCHES} | xargs -P2 -n1 /bin/true");
        assert!(Command::new("sh").args(["-c", &line]).status().expect("sh").success());
        xargs.push(per_second(begun.elapsed()));
        xargs_cpu.push(us_each(cpu() - before));
    }
    println!(
        "launches: 2 in flight, without a file: {:.0} runs/s, {:.0} us of CPU each; xargs -P2 -n1: {:.0}/s, {:.0} us of CPU each",
        median(ours),
        median(our_cpu),
        median(xargs),
        median(xargs_cpu)
    );
}

fn two_at_a_time(runs: &Runs, count: usize) {
    let mut in_flight: Vec<Running> = Vec::new();
    let mut started = 0;
    while started < count || !in_flight.is_empty() {
        while started < count && in_flight.len() < 2 {
            in_flight.push(runs.start(&["/bin/true"]));
            started += 1;
        }
        let mut fds: Vec<_> = in_flight.iter().map(|run| PollFd::from_borrowed_fd(run.pipe.as_fd(), PollFlags::IN)).collect();
        poll(&mut fds, None).expect("a poll");
        drop(fds);
        in_flight.retain_mut(|run| {
            loop {
                match run.pipe.next().expect("a status") {
                    Status::Record(Record::Drained(_)) => {
                        runfile::unlink(&runs.place, run.launch.run).expect("unlinked");
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
