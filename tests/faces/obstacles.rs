//! `why`: each thing that keeps a job waiting is told, and the command that it prints clears it.

use serde_json::Value;

use crate::support::{Nest, Said, said, until};

pub fn obstacle(nest: &Nest, id: i64, code: &str) -> Option<Value> {
    let why = nest.json(&["why", &id.to_string(), "--json"]);
    why["obstacles"].as_array().expect("obstacles").iter().find(|one| one["code"] == code).cloned()
}

pub fn codes(nest: &Nest, id: i64) -> Vec<String> {
    let why = nest.json(&["why", &id.to_string(), "--json"]);
    why["obstacles"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

/// Without the words that begin with a digit: between two looks a time has gone on.
fn timeless(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

pub fn remedy(nest: &Nest, id: i64, code: &str) -> String {
    let one = obstacle(nest, id, code).unwrap_or_else(|| panic!("no {code} in {:?}", codes(nest, id)));
    let text = timeless(one["text"].as_str().unwrap());
    let shown = nest.ok(&["why", &id.to_string()]);
    assert!(timeless(&shown).contains(&text), "people read the same: {shown}");
    let remedy = one["remedy"].as_str().unwrap_or_else(|| panic!("{code} has no remedy: {one}"));
    assert!(shown.contains(remedy), "{shown}");
    remedy.to_owned()
}

/// Does what was printed, through a shell, as a person would who copies it.
fn obey(nest: &Nest, command: &str) -> Said {
    assert!(command.starts_with("tenure "), "{command}");
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &command.replacen("tenure", tenure, 1)]).current_dir(nest.path()).env_clear();
    shell.env("PATH", "/usr/bin:/bin").env("TENURE_DB", nest.db()).env("HOME", nest.path());
    said(shell.stdin(std::process::Stdio::null()).output().unwrap())
}

/// The remedy that is printed clears the obstacle.
pub fn cleared(nest: &Nest, id: i64, code: &str) {
    let command = remedy(nest, id, code);
    let done = obey(nest, &command);
    assert_eq!(done.code, 0, "{command}: {done:?}");
    until(&format!("{code} to be cleared by {command}"), || obstacle(nest, id, code).is_none().then_some(()));
}

#[test]
fn a_hold_a_delay_and_a_pause_are_cleared_by_their_remedies() {
    let nest = Nest::new();
    let queue = "let's a $(queue) \u{1f680}";
    nest.ok(&["queue", "pause", queue]);
    let id = nest.sh(&["--hold", "--delay", "1h", "--queue", queue, "--expires", "2h"], "true");
    let found = codes(&nest, id);
    for code in ["user", "time", "queue_paused", "no_worker", "expires"] {
        assert!(found.contains(&code.to_owned()), "{code} in {found:?}");
    }
    let time = obstacle(&nest, id, "time").unwrap();
    assert!(time["text"].as_str().unwrap().contains("59m"), "with numbers: {time}");
    for code in ["user", "time", "queue_paused"] {
        cleared(&nest, id, code);
    }
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(id), "done");
}

#[test]
fn a_waiting_job_names_its_parent_and_a_broken_one_its_repair() {
    let nest = Nest::new();
    let parent = nest.sh(&["--hold"], "[ -e fixed ]");
    let child = nest.sh(&["--after", &parent.to_string()], "true");
    assert_eq!(remedy(&nest, child, "dependency"), format!("tenure why {parent}"));
    assert!(obey(&nest, &remedy(&nest, child, "dependency")).out.contains(&format!("tenure release {parent}")));
    cleared(&nest, parent, "user");
    nest.work_until_idle(&[]);
    let ended = nest.show(child);
    assert_eq!((&ended["state"], &ended["reason"]), (&"failed".into(), &"dependency".into()));
    std::fs::write(nest.file("fixed"), "").unwrap();
    let said = nest.say(&["retry", &child.to_string()]);
    assert_eq!(said.code, 6, "its parent is still failed: {said:?}");
    assert!(said.err.contains("--with-dependants"), "the remedy: {said:?}");
    let with_its_parent = format!("tenure retry {parent} --with-dependants");
    assert_eq!(remedy(&nest, child, "ended"), with_its_parent, "not one that would be refused");
    let repair = remedy(&nest, child, "dependency_broken");
    assert_eq!(obey(&nest, &repair).code, 0, "{repair}");
    nest.work_until_idle(&[]);
    assert_eq!((nest.state(parent), nest.state(child)), ("done".into(), "done".into()));
    let done = obstacle(&nest, child, "ended").expect("why it ended");
    assert!(done["remedy"].is_null());
}

#[test]
fn a_job_left_over_by_a_retry_says_so_and_can_be_retried() {
    for state in ["queued", "running", "done"] {
        let nest = Nest::new();
        let parent = nest.sh(&[], "test -e repaired || exit 1; test ! -e slow || exec sleep 600");
        let child = nest.sh(&["--after", &parent.to_string()], "true");
        let below = nest.sh(&["--after", &child.to_string()], "true");
        nest.work_until_idle(&[]);
        let told = obstacle(&nest, parent, "ended_with_it").expect("what a retry leaves");
        assert_eq!(told["remedy"], format!("tenure retry {parent} --with-dependants"), "{told}");
        // As if `retry --with-dependants` had been killed after the first job.
        let said = nest.say(&["retry", &parent.to_string()]);
        let left = format!("what ended because of it stays so: {child} (tenure why {child})");
        assert!(said.code == 0 && (said.err.contains(&left) || said.out.contains(&left)), "{said:?}");
        std::fs::write(nest.file("repaired"), "").unwrap();
        let _worker = match state {
            "running" => {
                std::fs::write(nest.file("slow"), "").unwrap();
                let worker = nest.work(&[]);
                nest.until_pid(parent);
                Some(worker)
            }
            "done" => {
                nest.work_until_idle(&[]);
                None
            }
            _ => None,
        };
        let told = obstacle(&nest, child, "dependency_broken").expect("why it ended");
        let text = told["text"].as_str().unwrap();
        assert!(text.contains("without this one") && text.ends_with(&format!(" is {state}")), "{told}");
        assert!(!text.contains("not needed"), "{told}");
        assert_eq!(obey(&nest, told["remedy"].as_str().expect("a remedy")).code, 0, "{told}");
        for id in [child, below] {
            assert_eq!(nest.state(id), "queued", "{state}");
        }
    }
}

#[test]
fn a_full_lane_a_full_queue_and_busy_slots_name_the_blockers() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "3"]);
    let member = crate::faces::reasons::waited_for(&nest, &["--lane", "a lane"]);
    let waiting = nest.sh(&["--lane", "a lane", "-q", "other"], "exec sleep 600");
    let lane = until("the lane to be told", || obstacle(&nest, waiting, "lane"));
    assert!(lane["text"].as_str().unwrap().contains(&format!("by job {member}")), "{lane}");
    cleared(&nest, waiting, "lane");
    let third = nest.sh(&[], "exec sleep 600");
    [waiting, third].iter().for_each(|id| _ = nest.until_pid(*id));

    nest.ok(&["queue", "set", "narrow", "--slots", "1"]);
    let one = nest.sh(&["-q", "narrow"], "exec sleep 600");
    nest.until_pid(one);
    let two = nest.sh(&["-q", "narrow"], "true");
    let full = until("the queue to be told", || obstacle(&nest, two, "queue_full"));
    assert!(full["text"].as_str().unwrap().contains("1 slot,"), "{full}");
    let slots = obstacle(&nest, two, "slots").expect("all slots are busy as well");
    assert!(slots["text"].as_str().unwrap().contains("all 3 slots"), "{slots}");
    cleared(&nest, two, "queue_full");
    nest.ok(&["cancel", &one.to_string()]);
    nest.until_state(two, "done");
    nest.ok(&["cancel", &format!("{waiting},{third}")]);
    nest.until_ended(waiting);
    nest.until_ended(third);
}

#[test]
fn who_stands_behind_others_can_be_put_in_front() {
    let nest = Nest::new();
    for _ in 0..3 {
        nest.sh(&["-o", "5"], "true");
    }
    let last = nest.sh(&[], "true");
    let position = obstacle(&nest, last, "position").expect("a position");
    assert!(position["text"].as_str().unwrap().starts_with("3 ready jobs of queue \"default\" come before it"), "{position}");
    cleared(&nest, last, "position");
    assert_eq!(nest.show(last)["priority"], 5);
    let worker = nest.work(&[]);
    nest.until_state(last, "done");
    assert!(obstacle(&nest, last, "no_worker").is_none());
    drop(worker);
}

#[test]
fn an_unmet_floor_of_the_machine_is_shown_with_its_numbers() {
    let nest = Nest::new();
    let id = nest.sh(&[], "true");
    let with = |floor: (&str, &str)| {
        let output = nest.tenure(&["why", "--json", &id.to_string()]).env(floor.0, floor.1).output().unwrap();
        serde_json::from_str::<Value>(&said(output).out).unwrap()["obstacles"].to_string()
    };
    assert!(with(("TENURE_FLOOR_MEMORY", "1000T")).contains("the floor is 1000T"));
    assert!(with(("TENURE_FLOOR_DISK", "1000T")).contains("\"disk\""));
    assert!(with(("TENURE_FLOOR_MEMORY", "1K")).contains("no_worker"));
    assert!(!with(("TENURE_FLOOR_MEMORY", "1K")).contains("\"memory\""));
    let mut idle = nest.tenure(&["work", "--until-idle"]);
    let closed = said(idle.env("TENURE_FLOOR_MEMORY", "1000T").output().unwrap());
    assert_eq!(closed.code, 0, "{closed:?}");
    assert!(closed.err.contains("1 job waits") || closed.err.contains("1 jobs wait"), "{closed:?}");
    assert_eq!(nest.state(id), "queued");
}

#[test]
fn a_cancel_by_sql_is_told_and_the_printed_command_settles_it() {
    let nest = Nest::new();
    let id = nest.sh(&[], "true");
    nest.sql().execute("INSERT INTO cancel (job_id, why) VALUES (?1, 'not needed')", [id]).unwrap();
    assert!(obstacle(&nest, id, "cancelled").unwrap()["text"].as_str().unwrap().contains("not needed"));
    cleared(&nest, id, "cancelled");
    assert_eq!(nest.show(id)["state"], "cancelled");
    assert!(nest.ok(&["why", &id.to_string()]).contains("not needed"));
}

#[test]
fn what_has_ended_says_why_and_whether_it_was_tried_again() {
    let nest = Nest::new();
    let id = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "exit 5");
    nest.work_until_idle(&[]);
    let text = nest.ok(&["why", &id.to_string()]);
    assert!(text.contains("exit status 5") && text.contains("2 of 2 attempts"), "{text}");
    let command = remedy(&nest, id, "ended");
    assert_eq!(obey(&nest, &command).code, 0);
    assert_eq!(nest.state(id), "queued");
    nest.work_until_idle(&[]);
    let worker = nest.work(&[]);
    let running = nest.sh(&["--grace", "30s"], "trap '' TERM; echo ready; while :; do sleep 0.1; done");
    let pid = nest.until_pid(running);
    nest.until_log(running, "ready");
    assert!(obstacle(&nest, running, "running").unwrap()["text"].as_str().unwrap().contains(&pid.to_string()));
    nest.ok(&["cancel", &running.to_string()]);
    assert!(obstacle(&nest, running, "cancelling").unwrap()["text"].as_str().unwrap().contains("30s"));
    worker.kill();
    assert!(obstacle(&nest, running, "no_worker").is_some());
}
