//! What a run costs that does nothing: its shim, and the spawner.

use std::time::{Duration, Instant};

use tenure::job::Cause;
use tenure::run::{Record, stop};

use crate::plan::Plan;
use crate::processes::{cpu_ms, rollup_kb};
use crate::row::{Found, Row, Unit};
use crate::runs::{Running, Runs};

/// Runs that sleep: memory of a shim and of the spawner, the CPU of all shims, and the time to
/// cancel all.
pub fn shims(plan: &Plan) -> Found {
    let (idle, seconds) = (plan.of(30, 300, 300), plan.of(1, 10, 10));
    let runs = Runs::new();
    let mut all: Vec<Running> = (0..idle).map(|_| runs.start(&["sleep", "3600"])).collect();
    let pids: Vec<u32> = all.iter_mut().map(shim_of).collect();
    // A measurement of rest: the pages of a start are given back only after some time, and no event
    // tells.
    std::thread::sleep(Duration::from_secs(5));
    let mean = |key| pids.iter().filter_map(|pid| rollup_kb(*pid, key)).sum::<u64>() as f64 / idle as f64;
    let (pss, dirty) = (mean("Pss:"), mean("Private_Dirty:"));
    let of_spawner = |key| rollup_kb(runs.spawner.pid(), key).unwrap_or_default();
    let cpu = || pids.iter().map(|pid| cpu_ms(*pid)).sum::<f64>();
    let before = cpu();
    std::thread::sleep(Duration::from_secs(seconds));
    let used = cpu() - before;
    let begun = Instant::now();
    for run in &all {
        stop::ask(&runs.place, run.launch.key(), Cause::Cancel).expect("it is asked");
    }
    all.iter_mut().for_each(|run| while run.next().is_some() {});
    let how = format!(
        "PSS of a shim beside {idle} others, of which {dirty:.0} kB are private and dirty; all use {used:.0} ms of \
         CPU in {seconds} s; the spawner has {} kB PSS and {} kB RSS; all were cancelled in {:.1} s",
        of_spawner("Pss:"),
        of_spawner("Rss:"),
        begun.elapsed().as_secs_f64()
    );
    Found::rows(vec![Row::alone("shim of an idle run, memory", pss, Unit::Kilobytes).how(how)])
}

fn shim_of(run: &mut Running) -> u32 {
    loop {
        if let Record::Started(started) = run.next().expect("it starts") {
            return started.shim_pid.cast_unsigned();
        }
    }
}
