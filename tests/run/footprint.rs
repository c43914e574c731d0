//! What a run costs while it only lives.

use rustix::process::Signal;

use crate::run::harness::Bench;
use crate::support::{kill, until};

/// More than a shim of an unoptimized program has beside what it shares with its spawner, in kB.
const OWN_KB_MAX: u64 = 128;

fn private_kb(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kb = |line: &str| line.strip_prefix("Private_Dirty:")?.trim().trim_end_matches(" kB").parse().ok();
    rollup.lines().find_map(kb).unwrap()
}

/// Small values for a packet, and so many that the launch comes as a file.
#[test]
fn a_shim_gives_back_what_a_long_start_took() {
    let bench = Bench::new();
    for (variables, bytes) in [(400, 100), (20_000, 50)] {
        let mut launch = bench.command(&["/bin/sleep", "1000"]);
        launch.env.extend((0..variables).map(|n| (format!("NAME_{n}").into_bytes(), vec![b'x'; bytes])));
        let mut running = bench.start(&launch);
        let shim = running.started().shim_pid;
        // It gives back after it has told of the start.
        until("the shim to be small", || (private_kb(shim) <= OWN_KB_MAX).then_some(()));
        kill(running.started_pid(), Signal::KILL);
        running.finish();
    }
}
