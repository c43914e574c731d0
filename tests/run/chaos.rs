//! Many runs, and kills at random: the laws hold for each order of deaths.

use std::collections::HashSet;
use std::fs;

use tenure::job::verdict::Progress;
use tenure::run::stop;

use crate::run::harness::{Bench, Running, idle_shims};
use crate::support::{Dice, children, lives, seed, until};

const RUNS: usize = 60;

/// What jobs do: end at once, late, badly, with daemons, with orphans, not at all.
const SCRIPTS: [&str; 7] = [
    "exit 0",
    "sleep 0.05; exit 3",
    "kill -9 $$",
    "setsid sleep 600 & exit 0",
    "(env -i setsid sleep 600 &); sleep 0.1; exit 1",
    "trap '' TERM; setsid sleep 600 & sleep 600 & wait",
    "for i in 1 2 3; do (sleep 0.01 &); done; sleep 600",
];

#[test]
fn no_kill_leaves_anything_or_makes_anything_up() {
    let mut dice = Dice::new(seed());
    let bench = Bench::new();
    let mut runs: Vec<Running<'_>> = (0..RUNS)
        .map(|_| {
            let mut launch = bench.shell(SCRIPTS[usize::try_from(dice.below(7)).unwrap()]);
            launch.timeout_ms = Some(100 + dice.below(1_000));
            launch.grace_ms = dice.below(200);
            bench.start(&launch)
        })
        .collect();
    for _ in 0..RUNS {
        let run = &runs[usize::try_from(dice.below(RUNS as u64)).unwrap()];
        stop::kill_shim(&bench.place, run.key()).unwrap();
        // The moment of the next kill is drawn; it is not a wait for an event.
        std::thread::sleep(std::time::Duration::from_millis(dice.below(15)));
    }
    let cookies: HashSet<String> = runs.iter().map(|run| format!("TENURE_COOKIE={}", run.nonce)).collect();
    for run in &mut runs {
        while run.next().is_some() {}
        let (records, locked) = bench.inspect(run.run);
        assert!(!locked, "run {}", run.run);
        // The file is the truth; of what a killed shim had not told yet the pipe knows nothing.
        let (told, kept) = (run.records.progress(), records.progress());
        assert!(
            told == kept && run.records == records || told < kept && kept < Progress::Drained,
            "run {}: {told:?}, {kept:?}",
            run.run
        );
        assert!(records.failed.is_none(), "run {}: {records:?}", run.run);
        if records.progress() == Progress::Nothing {
            assert!(!bench.place.log_file(run.run).exists() || bench.log(run.run).is_empty());
        }
    }
    let mine = |environ: &str| environ.split('\0').any(|entry| cookies.contains(entry));
    let left = fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter(|entry| fs::read(entry.path().join("environ")).is_ok_and(|environ| mine(&String::from_utf8_lossy(&environ))));
    assert_eq!(left.count(), 0, "processes with a cookie of these runs");
    let spawner = bench.spawner().pid() as i32;
    until("the spawner to have only shims that wait", || {
        (lives(spawner) && children(spawner) == idle_shims(spawner)).then_some(())
    });
}
