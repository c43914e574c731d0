//! What a run costs that does nothing: its shim, and the spawner.

use std::time::{Duration, Instant};

use tenure::job::Cause;
use tenure::run::{Record, stop};

use crate::processes::{cpu_ms, rollup_kb};
use crate::runs::{Running, Runs};

/// 300 runs that sleep: memory of a shim and of the spawner, the CPU of all shims, and the time to cancel all.
pub fn shims() {
    const IDLE: usize = 300;
    const SECONDS: u64 = 10;
    let runs = Runs::new();
    let mut all: Vec<Running> = (0..IDLE).map(|_| runs.start(&["sleep", "600"])).collect();
    let pids: Vec<u32> = all.iter_mut().map(shim_of).collect();
    // A measurement of rest: the pages of a start are given back only after some time, and no event tells.
    std::thread::sleep(Duration::from_secs(5));
    let mean = |key| pids.iter().filter_map(|pid| rollup_kb(*pid, key)).sum::<u64>() / IDLE as u64;
    let (pss, dirty) = (mean("Pss:"), mean("Private_Dirty:"));
    let of_spawner = |key| rollup_kb(runs.spawner.pid(), key).unwrap_or_default();
    let cpu = || pids.iter().map(|pid| cpu_ms(*pid)).sum::<f64>();
    let before = cpu();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let used = cpu() - before;
    let begun = Instant::now();
    for run in &all {
        stop::ask(&runs.place, run.launch.key(), Cause::Cancel).expect("it is asked");
    }
    all.iter_mut().for_each(|run| while run.next().is_some() {});
    println!(
        "shims: {IDLE} idle runs: PSS {pss} kB, private dirty {dirty} kB each; {used:.0} ms of CPU together in {SECONDS} s; spawner: PSS {} kB, RSS {} kB; all cancelled in {:.1} s",
        of_spawner("Pss:"),
        of_spawner("Rss:"),
        begun.elapsed().as_secs_f64()
    );
}

fn shim_of(run: &mut Running) -> u32 {
    loop {
        if let Record::Started(started) = run.next().expect("it starts") {
            return started.shim_pid.cast_unsigned();
        }
    }
}
