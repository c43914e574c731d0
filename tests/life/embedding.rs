//! What the library promises to the program around it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use tenure::{Error, Filter, Job, JobId, Queue, State};

use crate::life::embedded::{example, helped, program, queue};
use crate::support::{Nest, Signal, kill, kill_child, lives, until};

#[test]
fn the_example_scales_no_image_twice_at_once_after_a_kill() {
    let nest = Nest::new();
    let image = [b"P5\n3000 3000\n255\n".to_vec(), vec![7; 9_000_000]].concat();
    std::fs::write(nest.file("grey.pgm"), image).unwrap();
    let start = || {
        let mut program = Command::new(example("thumbnails"));
        program.arg(nest.db()).arg("grey.pgm").current_dir(nest.path()).stdout(Stdio::null()).stderr(Stdio::null());
        program.spawn().unwrap()
    };
    let mut first = start();
    let queue = until("the file", || Queue::open_existing(nest.db()).ok());
    let pid = until("a copy to scale", || queue.job(JobId(1)).ok()?.pid);
    assert!(kill(pid, Signal::STOP), "it is still scaling");
    kill_child(&mut first);
    let mut second = start();
    until("it to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    until("each job to run or to have ended", || {
        let is_queued = |job: &tenure::JobInfo| job.state == State::Queued;
        (!queue.list(&Filter::all()).unwrap().iter().any(is_queued)).then_some(())
    });
    let copies = queue.list(&Filter::all()).unwrap();
    kill(pid, Signal::CONT);
    assert!(second.wait().unwrap().success());
    assert_eq!(copies.iter().map(|job| job.id).collect::<Vec<_>>(), [JobId(1)], "{copies:?}");
    assert_eq!(queue.job(JobId(1)).unwrap().state, State::Done);
    assert!(nest.file("grey.thumbnail").exists());
}

#[test]
fn a_worker_with_a_setting_out_of_range_is_refused() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let worker = || helped(&queue);
    let wrong = [
        ("slots", worker().slots(0)),
        ("slots", worker().slots(10_001)),
        ("load", worker().max_load(f64::NAN)),
        ("load", worker().max_load(f64::INFINITY)),
        ("load", worker().max_load(-1.0)),
        ("load", worker().max_load(0.0)),
        ("log limit", worker().log_limit(1)),
        ("memory", worker().min_memory(u64::MAX)),
        ("disk", worker().min_disk(u64::MAX)),
        ("queue", worker().queues([""])),
    ];
    for (word, worker) in wrong {
        match worker.start() {
            Err(Error::Invalid(text)) => assert!(text.contains(word), "{word}: {text}"),
            Err(other) => panic!("{word}: {other:?}"),
            Ok(_) => panic!("{word}: a worker that starts nothing has started"),
        }
    }
}

#[test]
fn a_stop_leaves_to_the_program_what_survives_it() {
    for (how, expected) in [("stop", State::Running), ("end", State::Queued)] {
        let nest = Nest::new();
        let queue = queue(&nest);
        let id = queue.add(Job::shell("exec sleep 600").grace(Duration::ZERO).retries(1)).unwrap();
        std::fs::create_dir(nest.file("bin")).unwrap();
        let asked = nest.file("asked");
        let script = format!("#!/bin/sh\necho asked >{}\necho stopping\n", asked.display());
        std::fs::write(nest.file("bin/systemctl"), script).unwrap();
        std::fs::set_permissions(nest.file("bin/systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", nest.file("bin").display(), std::env::var("PATH").unwrap());
        let mut program = Command::new(program());
        program.arg(nest.db()).arg(how).env("PATH", path).env("INVOCATION_ID", "1").stderr(Stdio::null());
        assert!(program.status().unwrap().success());
        assert!(!asked.exists(), "{how}: the service manager was asked");
        assert_eq!(queue.job(id).unwrap().state, expected, "{how}");
    }
}

/// Writes what tenure alone writes.
fn write_meta(nest: &Nest, (key, value): (&str, i64)) {
    let conn = nest.sql();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let guards = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'meta_update_guard'";
    let guard: String = conn.query_row(guards, [], |row| row.get(0)).unwrap();
    let change = format!("DROP TRIGGER meta_update_guard; UPDATE meta SET value = {value} WHERE key = '{key}'; {guard}; COMMIT");
    conn.execute_batch(&change).unwrap();
}

#[test]
fn a_worker_that_distrusts_its_file_ends_its_jobs_if_asked() {
    // Its reserved run ids went back, or another worker has started, which has its runs now.
    let (replaced, superseded) = (("run_id_limit", 0), ("generation", 99));
    for (ends, change, is_alive) in [(true, replaced, false), (false, replaced, true), (true, superseded, true)] {
        let nest = Nest::new();
        let queue = queue(&nest);
        let id = queue.add(Job::shell("echo $$; exec sleep 600").grace(Duration::ZERO)).unwrap();
        let worker = helped(&queue);
        let worker = if ends { worker.end_jobs_on_stop(Duration::from_secs(8)) } else { worker };
        let worker = worker.start().unwrap();
        let log = until("the job to begin", || Some(queue.logs(id).read().unwrap()).filter(|log| log.ends_with(b"\n")));
        write_meta(&nest, change);
        let Err(Error::File(why)) = worker.wait() else { panic!("{ends} {change:?}: it trusts the file") };
        let pid = String::from_utf8(log).unwrap().trim().parse().unwrap();
        assert_eq!(lives(pid), is_alive, "{ends} {change:?}: {why}");
    }
}

#[test]
fn a_program_sees_whether_its_worker_lives_and_what_is_left() {
    let nest = Nest::new();
    let queue = queue(&nest);
    queue.add(Job::command(["true"]).held()).unwrap();
    let id = queue.add(Job::command(["true"])).unwrap();
    let before = queue.status().unwrap();
    assert_eq!((before.queued, before.ready, before.running, before.has_worker), (2, 1, 0, false), "{before:?}");
    let worker = helped(&queue).start().unwrap();
    assert!(worker.is_running() && queue.status().unwrap().has_worker);
    assert!(!worker.has_ended_within(Duration::from_millis(1)));
    queue.wait(id).unwrap();
    worker.stop().unwrap();
    let after = queue.status().unwrap();
    assert_eq!((after.queued, after.ready, after.done, after.has_worker), (1, 0, 1, false), "{after:?}");
    let worker = helped(&queue).until_idle().start().unwrap();
    assert!(worker.has_ended_within(Duration::from_secs(60)) && !worker.is_running());
    worker.wait().unwrap();
}
