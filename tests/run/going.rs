//! A run that waits for "go": all is ready, and nothing exists.

use tenure::job::verdict::Progress;
use tenure::run::stop;

use crate::run::harness::Bench;
use crate::support::until;

#[test]
fn nothing_of_a_run_begins_before_go() {
    let bench = Bench::new();
    let launch = tenure::run::Launch { waits_for_go: true, ..bench.shell("echo here") };
    let running = bench.start(&launch);
    until("the shim to be ready", || bench.place.log_file(launch.run).exists().then_some(()));
    let (records, locked) = bench.inspect(launch.run);
    assert!(locked && records.progress() == Progress::Nothing, "{records:?}");
    running.pipe.go().say();
    assert_eq!(running.finish().progress(), Progress::Drained);
    assert_eq!(bench.log(launch.run), "here\n");
}

#[test]
fn a_run_whose_worker_goes_before_it_said_go_was_never_started() {
    let bench = Bench::new();
    let launch = tenure::run::Launch { waits_for_go: true, ..bench.shell("echo here") };
    let running = bench.start(&launch);
    until("the shim to be ready", || bench.place.log_file(launch.run).exists().then_some(()));
    drop(running);
    let records = until("the lock to be free", || {
        let (records, locked) = bench.inspect(launch.run);
        (!locked).then_some(records)
    });
    assert_eq!(records.progress(), Progress::Nothing, "{records:?}");
    assert_eq!(bench.log(launch.run), "");
}

#[test]
fn a_word_without_a_listener_does_no_harm() {
    let bench = Bench::new();
    let launch = tenure::run::Launch { waits_for_go: true, ..bench.shell("echo here") };
    let running = bench.start(&launch);
    until("the shim to be ready", || bench.place.log_file(launch.run).exists().then_some(()));
    let go = running.pipe.go();
    assert_eq!(stop::kill_shim(&bench.place, launch.key()).unwrap(), stop::Asked::Sent);
    assert_eq!(running.finish().progress(), Progress::Nothing, "the end comes down the pipe");
    go.say();

    // It is not made to wait, and ends with the word unheard.
    let launch = bench.shell("exit 3");
    let running = bench.start(&launch);
    running.pipe.go().say();
    assert_eq!(running.finish().progress(), Progress::Drained);
}
