//! `work --until-idle` beside a worker that is there already.

use std::process::{Child, Stdio};

use crate::support::{Nest, Signal, kill, until};

const UNTIL_GO: &str = "until test -e go; do sleep 0.02; done";

fn said(nest: &Nest) -> String {
    std::fs::read_to_string(nest.file("err")).unwrap_or_default()
}

/// One that is to end when there is nothing to do, with its messages in a file; back when it has said these words.
fn idle(nest: &Nest, args: &[&str], words: &str) -> Child {
    let err = std::fs::File::create(nest.file("err")).unwrap();
    let mut command = nest.tenure(&[&["work"], args].concat());
    let child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
    until(words, || said(nest).contains(words).then_some(()));
    child
}

#[test]
fn until_idle_beside_a_worker_waits_for_that_one() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&[], "until test -e go; do sleep 0.02; done");
    nest.sh(&["--after", &id.to_string()], "true");
    nest.sh(&["--hold"], "true");
    let mut idle = nest.tenure(&["work", "--until-idle"]);
    let err = std::fs::File::create(nest.file("err")).unwrap();
    let mut idle = idle.stderr(err).spawn().unwrap();
    until("it to say so", || said(&nest).contains("waiting until it has nothing to do").then_some(()));
    assert!(idle.try_wait().unwrap().is_none());
    std::fs::write(nest.file("go"), "").unwrap();
    assert!(idle.wait().unwrap().success(), "{}", said(&nest));
    assert_eq!((nest.state(1), nest.state(2), nest.state(3)), ("done".into(), "done".into(), "queued".into()));
    assert!(
        said(&nest).contains(&format!("pid {} runs what is queued", worker.pid())) && said(&nest).contains("1 job waits"),
        "{}",
        said(&nest)
    );
    // One that is to serve another queue is refused as before.
    drop(worker);
    let _worker = nest.work(&["--queue", "a"]);
    assert_eq!(nest.say(&["work", "--until-idle", "--queue", "b"]).code, 6);
}

#[test]
fn until_idle_beside_a_worker_that_ends_takes_its_place() {
    // What runs in another queue keeps the worker, and not this one from being idle.
    for args in [&["--until-idle"][..], &["--until-empty"], &["--until-idle", "--queue", "c"]] {
        let nest = Nest::new();
        let worker = nest.work(&["--drain", "--queue", "b"]);
        nest.until_pid(nest.sh(&["-q", "b"], UNTIL_GO));
        kill(worker.pid(), Signal::TERM);
        until("it to drain", || (nest.status()["worker"]["phase"] == "draining").then_some(()));
        let id = nest.sh(&["-q", "c"], "true");
        let mut idle = idle(&nest, args, "waiting until it has ended");
        assert!(idle.try_wait().unwrap().is_none(), "{}", said(&nest));
        std::fs::write(nest.file("go"), "").unwrap();
        assert!(idle.wait().unwrap().success(), "{args:?}: {}", said(&nest));
        assert_eq!(nest.state(id), "done", "{args:?}: {}", said(&nest));
        assert_eq!(worker.wait(), 0);
    }
}

#[test]
fn until_idle_of_a_queue_waits_for_no_other_queue() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    let other = nest.sh(&["-q", "b"], UNTIL_GO);
    nest.until_pid(other);
    nest.until_pid(nest.sh(&["-q", "a"], "until test -e ga; do sleep 0.02; done"));
    let mut idle = idle(&nest, &["--until-idle", "--queue", "a"], "waiting until it has nothing to do");
    assert!(idle.try_wait().unwrap().is_none(), "{}", said(&nest));
    std::fs::write(nest.file("ga"), "").unwrap();
    until("it to end", || idle.try_wait().unwrap());
    assert_eq!(nest.state(other), "running");
    std::fs::write(nest.file("go"), "").unwrap();
}
