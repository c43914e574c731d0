//! Each face names every obstacle of a job with the command that clears it, and no longer names one that is cleared.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::stopped::Stopped;
use crate::support::{Nest, Signal, Worker, children, kill, kill_child, lives, said, until};

/// The codes that `why` and `status` tell now.
fn codes(nest: &Nest, id: i64) -> [Vec<String>; 2] {
    let of = |list: &serde_json::Value| {
        list.as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // To a job the floor is the thing that it waits for.
    let floor = |code: String| if ["memory", "disk", "load"].contains(&code.as_str()) { code + "_floor" } else { code };
    let why = of(&nest.json(&["why", &id.to_string(), "--json"])["obstacles"]).into_iter().map(floor).collect();
    [why, of(&nest.json(&["status", "--json"])["problems"])]
}

/// Waits until each face tells `code`, with words and remedy.
fn told(nest: &Nest, id: i64, code: &str, words: &str, remedy: &str) {
    let id = id.to_string();
    until(&format!("{code} to be told"), || {
        codes(nest, id.parse().unwrap()).iter().all(|all| all.contains(&code.to_owned())).then_some(())
    });
    for (args, list) in [(["why", &id, "--json"].as_slice(), "obstacles"), (&["status", "--json"], "problems")] {
        let document = nest.json(args);
        let is_it = |one: &&serde_json::Value| one["code"] == code || one["code"] == code.trim_end_matches("_floor");
        let one = document[list].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{document}"));
        assert!(one["text"].as_str().unwrap().contains(words), "{args:?}: {one}");
        assert!(one["remedy"].as_str().unwrap().contains(remedy), "{args:?}: {one}");
    }
    let whys = nest.ok(&["why", &id]);
    assert!(!whys.contains("ready: it starts"), "{whys}");
    let doctor = nest.say(&["doctor"]);
    for (face, text) in [("why", whys), ("status", nest.ok(&["status"])), ("doctor", doctor.out)] {
        assert!(text.contains(words) && text.contains(remedy), "{face} does not tell {code}: {text}");
    }
    assert_eq!(doctor.code, 1);
}

fn cleared(nest: &Nest, id: i64, code: &str) {
    until(&format!("{code} to be cleared"), || codes(nest, id).iter().all(|all| !all.contains(&code.to_owned())).then_some(()));
    nest.until_state(id, "done");
}

/// A worker with a configuration of its own, which the other commands do not read.
fn work_with(nest: &Nest, config: &str) -> std::process::Child {
    if !nest.db().exists() {
        nest.sh(&["--hold"], "true");
    }
    let path = nest.file("worker.toml");
    std::fs::File::create(&path).unwrap().write_all(config.as_bytes()).unwrap();
    let mut command = nest.tenure(&["work"]);
    let child = command.env("TENURE_CONFIG", &path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the worker", || (nest.status()["worker"]["pid"] == child.id()).then_some(()));
    child
}

fn end(mut child: std::process::Child) {
    kill(child.id() as i32, Signal::TERM);
    child.wait().unwrap();
}

fn spawner_of(worker: &Worker) -> i32 {
    children(worker.pid())[0]
}

#[test]
fn a_queue_that_no_worker_serves_is_told() {
    let nest = Nest::new();
    let _worker = nest.work(&["--queue", "a"]);
    let id = nest.sh(&["-q", "b"], "true");
    told(&nest, id, "queue_not_served", "does not serve queue \"b\", only \"a\"", "--queue b");
    let remedy = crate::faces::obstacles::remedy(&nest, id, "queue_not_served");
    assert!(remedy.starts_with(&format!("tenure set {id} queue=a,")), "{remedy}");
    nest.ok(&["set", &id.to_string(), "queue=a"]);
    cleared(&nest, id, "queue_not_served");
}

#[test]
fn a_worker_that_drains_is_told() {
    let nest = Nest::new();
    let worker = nest.work(&["--drain"]);
    let long = nest.sh(&[], "until test -e go; do sleep 0.01; done");
    nest.until_pid(long);
    kill(worker.pid(), Signal::TERM);
    let id = nest.sh(&[], "true");
    told(&nest, id, "worker_draining", "claims nothing more", "tenure work");
    std::fs::write(nest.file("go"), "").unwrap();
    worker.wait();
    let _next = nest.work(&[]);
    cleared(&nest, id, "worker_draining");
}

#[test]
fn a_worker_or_a_spawner_that_is_stopped_is_told() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "200ms"]);
    nest.until_state(nest.sh(&[], "true"), "done");
    let spawner = spawner_of(&worker);
    for (pid, code) in [(worker.pid(), "worker_stopped"), (spawner, "spawner_stopped")] {
        let stopped = (code == "worker_stopped").then(|| Stopped::between_writes(&nest, pid));
        if code == "spawner_stopped" {
            kill(pid, Signal::STOP);
            until("the worker to see it", || {
                let status = nest.status();
                let conditions = status["worker"]["conditions"].as_array().unwrap();
                conditions.iter().any(|one| one["code"] == code).then_some(())
            });
        }
        let id = nest.sh(&[], "true");
        told(&nest, id, code, "stopped by a signal", &format!("kill -CONT {pid}"));
        // What is given to a stopped spawner is called running, and has not started.
        assert!(nest.show(id)["pid"].is_null());
        drop(stopped);
        kill(pid, Signal::CONT);
        cleared(&nest, id, code);
    }
    assert!(lives(worker.pid()));
}

#[test]
fn a_running_job_tells_that_its_worker_is_stopped() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&[], "exec sleep 600");
    nest.until_pid(id);
    assert_eq!(codes(&nest, id)[0], ["running"]);
    let stopped = Stopped::between_writes(&nest, worker.pid());
    assert_eq!(codes(&nest, id)[0], ["running", "worker_stopped"]);
    drop(stopped);
    assert_eq!(codes(&nest, id)[0], ["running"]);
}

#[test]
fn every_floor_of_the_worker_alone_is_told() {
    let nest = Nest::new();
    for (name, value, code, words) in [
        ("memory", "\"900T\"", "memory_floor", "the floor is 900T"),
        ("disk", "\"900T\"", "disk_floor", "the floor is 900T"),
        ("load", "0.0001", "load_floor", "load average is"),
    ] {
        let worker = work_with(&nest, &format!("[floor]\n{name} = {value}\n"));
        let id = nest.sh(&[], "true");
        told(&nest, id, code, words, "restart the worker");
        end(worker);
        let _next = nest.work(&[]);
        cleared(&nest, id, code);
    }
}

#[test]
fn a_floor_that_the_worker_does_not_have_is_not_told() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "1"]);
    let id = nest.sh(&["--hold"], "true");
    let path = nest.file("mine.toml");
    std::fs::write(&path, "[floor]\nmemory = \"900T\"\n").unwrap();
    let said = said(nest.tenure(&["why", &id.to_string(), "--json"]).env("TENURE_CONFIG", &path).output().unwrap());
    assert!(!said.out.contains("memory_floor"), "{said:?}");
}

#[test]
fn a_write_lock_that_another_program_keeps_is_told() {
    let nest = Nest::new();
    let worker = nest.work(&["--tick", "200ms"]);
    let id = nest.sh(&["--delay", "2s"], "true");
    let other = nest.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    told(&nest, id, "writer_blocked", "the write lock", "end that program's transaction");
    other.execute_batch("COMMIT").unwrap();
    cleared(&nest, id, "writer_blocked");
    assert!(lives(worker.pid()));
}

#[test]
fn a_worker_that_is_a_run_for_its_own_job_alone_is_told() {
    let nest = Nest::new();
    nest.sh(&["--hold"], "true");
    let mut run = nest.tenure(&["run", "--", "/bin/sh", "-c", "until test -e go; do sleep 0.01; done"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the run to be the worker", || (nest.status()["worker"]["kind"] == "run").then_some(()));
    until("its own job to run", || (nest.status()["counts"]["running"] == 1).then_some(()));
    assert_eq!(codes(&nest, 2)[0], ["running"], "nothing is the matter with its own job");
    let id = nest.sh(&[], "true");
    told(&nest, id, "no_worker", "its own job", "tenure work");
    let _worker = nest.work(&[]);
    cleared(&nest, id, "no_worker");
    std::fs::write(nest.file("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
}

#[test]
fn ready_is_said_only_by_a_worker_that_serves() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "1"]);
    nest.until_state(nest.sh(&[], "true"), "done");
    let other = nest.sql();
    until("it to be said", || {
        // Between the commit and the claim it is true: the write lock prolongs that for a moment.
        other.execute_batch("INSERT INTO job (command) VALUES ('[\"true\"]'); BEGIN IMMEDIATE").unwrap();
        let id: i64 = other.query_row("SELECT max(id) FROM job", [], |row| row.get(0)).unwrap();
        let text = nest.ok(&["why", &id.to_string()]);
        other.execute_batch("ROLLBACK").unwrap();
        nest.until_state(id, "done");
        text.contains("ready: it starts in the next free slot").then_some(())
    });
}

#[test]
fn a_report_of_a_dead_worker_counts_for_nothing() {
    let nest = Nest::new();
    let worker = nest.work(&["--queue", "a"]);
    until("its report", || nest.beside().join("worker.json").exists().then_some(()));
    worker.kill();
    let id = nest.sh(&["-q", "b"], "true");
    assert_eq!(codes(&nest, id)[0], ["no_worker"]);
    let status = nest.status();
    assert!(status["worker"].is_null(), "{status}");
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15), ("QUIT", 3)] {
        for ignored in [true, false] {
            let nest = Nest::new();
            nest.sh(&["--hold"], "true");
            let trap = if ignored { format!("trap '' {signal}; ") } else { String::new() };
            let mut shell = Command::new("/bin/bash");
            shell.args(["-c", &format!("{trap}exec {} work", env!("CARGO_BIN_EXE_tenure"))]).current_dir(nest.path());
            shell.env("TENURE_DB", nest.db()).env("HOME", nest.path()).stdin(Stdio::null()).stdout(Stdio::null());
            let mut worker = shell.stderr(Stdio::null()).spawn().unwrap();
            until("the worker", || (nest.status()["worker"]["pid"] == worker.id()).then_some(()));
            let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
            let mask = u64::from_str_radix(&mask, 16).unwrap();
            assert_eq!(mask >> (number - 1) & 1 == 1, ignored, "{signal} {ignored}");
            // SIGKILL cannot be ignored; every other end is by the signal under test.
            send(worker.id(), signal);
            if ignored {
                nest.until_state(nest.sh(&[], "true"), "done");
                assert!(worker.try_wait().unwrap().is_none(), "{signal}");
                kill_child(&mut worker);
            } else {
                until(&format!("{signal} to end the worker"), || worker.try_wait().unwrap());
            }
        }
    }
}

fn send(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success());
}
