//! A lease under kills: never two inside, held as long as anything of the owner's tree lives, and free at once when nothing does.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::Value;
use tenure::job::RunId;
use tenure::run::machine;

use crate::life::left::{lines, spawner_of, store, until_killed};
use crate::support::{Dice, Nest, Signal, kill, kill_child, lives, said, seed, until};

const TENURE: &str = env!("CARGO_BIN_EXE_tenure");
const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

/// `tenure lease run gpu -- bash -c LINE`, not waited for.
fn start(nest: &Nest, options: &[&str], line: &str) -> Child {
    let mut command = nest.tenure(&[&["lease", "run", "gpu"], options, &["--", "bash", "-c", line]].concat());
    command.stdout(Stdio::null()).stderr(std::fs::File::create(nest.file("said")).unwrap());
    command.spawn().unwrap()
}

/// The pid that a command has written to a file.
fn pid_in(nest: &Nest, name: &str) -> i32 {
    until(&format!("a pid in {name}"), || std::fs::read_to_string(nest.file(name)).ok()?.strip_suffix('\n')?.parse().ok())
}

fn leases(nest: &Nest) -> Vec<Value> {
    nest.json(&["lease", "ls", "--json"])["leases"].as_array().unwrap().clone()
}

fn kill_wrapper(mut wrapper: Child) {
    kill_child(&mut wrapper);
}

/// Waits until a `lease run --wait` waits: for a lock, or for the end of a process that has closed it.
fn until_it_waits(waiter: &Child) {
    let of = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", waiter.id())).into_iter().flatten().flatten();
    until("a command to wait for the lease", || {
        let has_thread = of("task").any(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|n| n == "waiter\n"));
        let has_pidfd = of("fd").any(|fd| std::fs::read_link(fd.path()).is_ok_and(|l| l.to_string_lossy().contains("pidfd")));
        (has_thread || has_pidfd).then_some(())
    });
}

/// Ways in which a tree may go on without the process that took the lease. `PIDFILE` is written by what lives longest.
const TREES: &[(&str, &str)] = &[
    ("plain", "echo $$ > longest; exec sleep 600"),
    ("in a session of its own", "setsid bash -c 'echo $$ > longest; exec sleep 600' & sleep 600"),
    ("forked twice", "(setsid bash -c '(echo $BASHPID > longest; exec sleep 600) & exit' &) ; sleep 600"),
    ("without an environment", "echo $$ > longest; exec env -i sleep 600"),
    (
        "with all descriptors closed",
        "for fd in /proc/$$/fd/*; do n=${fd##*/}; [ $n -gt 2 ] && eval \"exec $n>&-\"; done; echo $$ > longest; exec sleep 600",
    ),
];

/// A tree whose wrapper was killed; the pid of what is left of it.
fn orphaned(nest: &Nest, line: &str) -> i32 {
    let _the_last_one_is_of_another_tree = std::fs::remove_file(nest.file("longest"));
    let wrapper = start(nest, &["--why", "an experiment"], line);
    let longest = pid_in(nest, "longest");
    until("it to be what lives longest", || {
        std::fs::read_to_string(format!("/proc/{longest}/comm")).is_ok_and(|name| name == "sleep\n").then_some(())
    });
    // What else is in the tree ends first: the last one alone must hold it. A shell that is not dead yet may start another one.
    kill_wrapper(wrapper);
    until("the rest of the tree to end", || {
        let rest: Vec<i32> = marked(nest).into_iter().filter(|pid| *pid != longest).collect();
        for pid in rest.iter() {
            kill(*pid, Signal::KILL);
        }
        rest.is_empty().then_some(())
    });
    longest
}

/// What was started under a lease of this nest, and lives.
fn marked(nest: &Nest) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let db = format!("TENURE_DB={}", nest.db().display());
    let is_marked = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |what: &[u8]| environ.split(|byte| *byte == 0).any(|entry| entry.starts_with(what));
        has(b"TENURE_LEASE_") && has(db.as_bytes()) && lives(*pid)
    };
    pids.filter(is_marked).collect()
}

#[test]
fn a_lease_is_held_until_the_whole_tree_is_gone() {
    let nest = Nest::new();
    for (reclaimed, (how, line)) in TREES.iter().enumerate() {
        let longest = orphaned(&nest, line);
        let all = leases(&nest);
        assert_eq!((all.len(), &all[0]["state"], &all[0]["why"]), (1, &"held".into(), &"an experiment".into()), "{how}");
        let refused = nest.say(&["lease", "run", "gpu", "--", "true"]);
        assert!(
            refused.code == 6 && refused.err.contains("an experiment") && refused.err.contains("--wait"),
            "{how}: {refused:?}"
        );
        let late = nest.say(&["lease", "run", "gpu", "--wait", "50ms", "--", "true"]);
        assert_eq!(late.code, 124, "{how}: {late:?}");
        let mut waiter = start(&nest, &["--wait", "1h"], "exit 9");
        until_it_waits(&waiter);
        kill(longest, Signal::KILL);
        let ended = until("the waiting command to get in and out", || waiter.try_wait().unwrap());
        assert_eq!(ended.code(), Some(9), "{how}");
        assert_eq!(leases(&nest), [Value::Null; 0], "{how}");
        assert_eq!(nest.counter("leases_reclaimed_total"), reclaimed as i64 + 1, "{how}");
    }
}

#[test]
fn the_reaper_reclaims_a_lease_once_the_tree_is_gone() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    for (reclaimed, (how, line)) in TREES.iter().enumerate() {
        let longest = orphaned(&nest, line);
        crate::life::left::after_a_tick(&nest);
        assert_eq!(leases(&nest)[0]["state"], "held", "{how}");
        assert_eq!(nest.counter("leases_reclaimed_total"), reclaimed as i64, "{how}");
        kill(longest, Signal::KILL);
        until("the reaper to take it back", || leases(&nest).is_empty().then_some(()));
        assert_eq!(nest.counter("leases_reclaimed_total"), reclaimed as i64 + 1, "{how}");
    }
    until("the lock files to go", || std::fs::read_dir(nest.beside().join("leases")).unwrap().next().is_none().then_some(()));
}

/// A command that comes in makes a file that must not be there. It goes with the last of the tree, which has left its session.
const INSIDE: &str = "set -C; : 2>/dev/null > inside || echo overlap >> overlaps; echo in >> entered; \
                      setsid bash -c 'sleep 0.01; rm -f inside' & sleep 0.02; wait";

#[test]
fn two_are_never_inside_at_once_while_copies_come_back() {
    const COPIES: usize = 12;
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let copy = nest.file("copy").to_string_lossy().into_owned();
    nest.ok(&["backup", &copy]);
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while over.load(Ordering::SeqCst) == 0 {
                    let ended = start(&nest, &["--wait", "1h"], INSIDE).wait().unwrap();
                    assert_eq!(ended.code(), Some(0), "{}", lines(&nest, "said").join("\n"));
                }
            });
        }
        let restored: Vec<_> = (0..COPIES).map(|_| nest.say(&["restore", &copy])).collect();
        over.store(1, Ordering::SeqCst);
        assert!(restored.iter().all(|said| said.code == 0), "{restored:?}");
    });
    assert_eq!(lines(&nest, "overlaps"), [""; 0]);
    assert_eq!(nest.say(&["lease", "run", "gpu", "--wait", "1m", "--", "true"]).code, 0);
}

#[test]
fn two_are_never_inside_at_once_whatever_is_killed() {
    const ROUNDS: usize = 60;
    let nest = Nest::new();
    let (seed, round) = (seed(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (nest, round) = (&nest, &round);
            scope.spawn(move || {
                let mut dice = Dice::new(seed.wrapping_add(thread));
                while round.fetch_add(1, Ordering::SeqCst) < ROUNDS {
                    let mut wrapper = start(nest, &["--wait", "1h"], INSIDE);
                    if dice.below(3) > 0 {
                        assert_eq!(wrapper.wait().unwrap().code(), Some(0), "{}", lines(nest, "said").join("\n"));
                        continue;
                    }
                    // Some are killed while they wait, some while their command runs, some when it has ended.
                    std::thread::sleep(std::time::Duration::from_millis(dice.below(60)));
                    kill_wrapper(wrapper);
                }
            });
        }
    });
    assert_eq!(nest.say(&["lease", "run", "gpu", "--wait", "1h", "--", "true"]).code, 0);
    assert_eq!(lines(&nest, "overlaps"), [""; 0]);
    assert!(lines(&nest, "entered").len() >= ROUNDS / 3, "{}", lines(&nest, "entered").len());
}

#[test]
fn a_row_whose_pid_is_another_process_now_holds_nothing() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let write = |conn: &Connection, name: &str, nonce: &str, boot_id: &str| {
        conn.execute(
            "INSERT INTO lease (name, nonce, pid, command, boot_id, since) VALUES (?1, ?2, ?3, '[\"x\"]', ?4, 1)",
            (name, nonce, std::process::id(), boot_id),
        )
        .unwrap();
    };
    let conn = nest.owner();
    write(&conn, "gpu", &machine::nonce().to_string(), &machine::boot_id());
    // Of another boot: nothing of it lives, even if a process has locked a file of that name.
    let nonce = machine::nonce().to_string();
    std::fs::create_dir_all(nest.beside().join("leases")).unwrap();
    let locked = std::fs::File::create(nest.beside().join("leases").join(&nonce)).unwrap();
    locked.lock().unwrap();
    write(&conn, "boot", &nonce, "another boot");
    for lease in leases(&nest) {
        assert_eq!(lease["state"], "dead", "{lease}");
    }
    let doctor = nest.say(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("\"gpu\"") && doctor.out.contains("\"boot\""), "{doctor:?}");
    assert_eq!(nest.say(&["lease", "run", "gpu", "--", "true"]).code, 0);
    nest.ok(&["doctor", "--fix"]);
    assert_eq!(leases(&nest), [Value::Null; 0]);
    assert_eq!(nest.counter("leases_reclaimed_total"), 2);
}

#[test]
fn a_forced_release_is_told_to_all_and_ends_no_process() {
    let nest = Nest::new();
    let mut holder = start(&nest, &["--why", "mine"], "echo $$ > longest; exec sleep 600");
    let inside = pid_in(&nest, "longest");
    let refused = nest.say(&["lease", "release", "gpu"]);
    assert!(refused.code == 6 && refused.err.contains("mine") && refused.err.contains("--force"), "{refused:?}");
    let mut waiter = start(&nest, &["--wait", "1h"], "exit 9");
    until_it_waits(&waiter);
    let forced = nest.say(&["lease", "release", "gpu", "--force"]);
    assert!(forced.code == 0 && forced.err.contains(&format!("{inside} sleep")), "{forced:?}");
    assert_eq!(waiter.wait().unwrap().code(), Some(9), "a command that waits for the owner's lock sees that the row is gone");
    assert!(lives(inside), "the owner goes on");
    let note = nest.status()["reaper"]["acts"]["leases_forced_total"]["note"].as_str().unwrap().to_owned();
    assert!(note.contains(&format!("pid {}", holder.id())) && note.contains("by "), "{note}");
    kill(inside, Signal::TERM);
    let ended = holder.wait().unwrap();
    assert_eq!(ended.code(), Some(143), "128+N, as a shell says it: {:?}", ended.signal());
    assert_eq!(nest.say(&["lease", "release", "gpu", "--force"]).code, 3);
}

#[test]
fn a_signal_to_the_wrapper_reaches_the_command_and_what_it_left_ends_with_it() {
    let nest = Nest::new();
    let line =
        "trap 'exit 5' TERM; setsid bash -c 'echo $$ > longest; exec sleep 600' & echo $$ > first; while :; do sleep 0.01; done";
    let mut wrapper = start(&nest, &[], line);
    let (left, _first) = (pid_in(&nest, "longest"), pid_in(&nest, "first"));
    kill(wrapper.id() as i32, Signal::TERM);
    assert_eq!(wrapper.wait().unwrap().code(), Some(5));
    assert!(!lives(left), "what it left behind ends with it");
    assert!(lines(&nest, "said").iter().any(|line| line.contains("left them behind")), "{:?}", lines(&nest, "said"));
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn an_interrupt_at_a_terminal_reaches_the_command_once() {
    // `script` gives it a terminal, and types what it reads.
    let Ok(version) = std::process::Command::new("script").arg("--version").output() else {
        return crate::support::untested::not_tested("an interrupt at a terminal", "script: apt-get install bsdutils");
    };
    assert!(version.status.success());
    let nest = Nest::new();
    let line = "trap 'echo heard >> ints' INT; trap 'echo heard >> users' USR1; echo $PPID > wrapper; \
                until test -e enough; do sleep 0.01; done; exit 5";
    std::fs::write(nest.file("line"), line).unwrap();
    // Not the wrapper itself: `script` stops when its own child does.
    let typed = format!("trap : INT; {TENURE} --db {} lease run gpu -- bash line; exit $?", nest.db().display());
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &typed, "/dev/null"]).current_dir(nest.path());
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wrapper = pid_in(&nest, "wrapper");
    kill(wrapper, Signal::STOP);
    let mut keyboard = terminal.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
    until("the command to hear it", || (!lines(&nest, "ints").is_empty()).then_some(()));
    // Only now does the wrapper see it. It takes signals in the order of their numbers: what comes of this one comes after.
    kill(wrapper, Signal::USR1);
    kill(wrapper, Signal::CONT);
    until("the command to hear the other", || (!lines(&nest, "users").is_empty()).then_some(()));
    std::fs::write(nest.file("enough"), "").unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(5), "the wrapper is not ended by it");
    assert_eq!(lines(&nest, "ints"), ["heard"], "the terminal told the command already");
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn a_cancelled_job_has_no_lease_any_more() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    for line in ["exec sleep 600", "trap '' TERM; while :; do sleep 0.01; done"] {
        let held = format!("exec {TENURE} lease run gpu -- bash -c \"echo \\$\\$ > inner; {line}\"");
        let _the_last_one_is_of_another_job = std::fs::remove_file(nest.file("inner"));
        let job = nest.sh(&["--grace", "100ms"], &held);
        pid_in(&nest, "inner");
        assert_eq!((&leases(&nest)[0]["job"], &leases(&nest)[0]["state"]), (&job.into(), &"held".into()));
        nest.ok(&["cancel", &job.to_string()]);
        nest.until_state(job, "cancelled");
        let next = nest.say(&["lease", "run", "gpu", "--", "true"]);
        assert_eq!(next.code, 0, "no waiting: a job is over when its tree is gone: {next:?}");
    }
}

#[test]
fn the_lease_of_a_run_is_waited_for_until_the_run_has_ended() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    let job = nest.sh(&[], "exec sleep 600");
    let pid = nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let wrapper = start(&nest, &[], "echo $$ > longest; exec sleep 600");
    let longest = pid_in(&nest, "longest");
    kill_wrapper(wrapper);
    let take = || tenure::host::lease::acquire_for_run(&store(&nest), "gpu", RunId(run), Some("making it")).unwrap();
    assert_eq!(take().map(|held| held.run), Some(None), "held by a tree that lives");
    kill(longest, Signal::KILL);
    until("it to be gone", || (!lives(longest)).then_some(()));
    assert_eq!(take(), None, "a dead owner does not count");
    assert_eq!(take(), None, "a second time is the same lease");
    let listed = leases(&nest);
    assert_eq!((&listed[0]["run"], &listed[0]["job"], &listed[0]["state"]), (&run.into(), &job.into(), &"held".into()));
    assert!(nest.say(&["lease", "run", "gpu", "--", "true"]).err.contains("making it"));
    // A worker that is killed lets go of nothing.
    worker.kill();
    assert_eq!(nest.say(&["lease", "run", "gpu", "--", "true"]).code, 6);
    let mut waiter = start(&nest, &["--wait", "1h"], "exit 9");
    until_it_waits(&waiter);
    kill(pid, Signal::KILL);
    let _worker = nest.work(&TICK);
    assert_eq!(waiter.wait().unwrap().code(), Some(9));
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn a_copy_that_comes_back_has_the_leases_of_now() {
    let nest = Nest::new();
    let held = |name: &str| {
        let line = format!("echo $$ > {name}.pid; exec sleep 600");
        let mut command = nest.tenure(&["lease", "run", name, "--", "bash", "-c", &line]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pid_in(&nest, &format!("{name}.pid"));
        child
    };
    let old = held("old");
    let copy = nest.file("copy").to_string_lossy().into_owned();
    nest.ok(&["backup", &copy]);
    let old_pid = pid_in(&nest, "old.pid");
    kill(old_pid, Signal::KILL);
    until_killed(old);
    let new = held("new");
    nest.ok(&["restore", &copy]);
    let all = leases(&nest);
    assert_eq!((all.len(), &all[0]["name"], &all[0]["state"]), (1, &"new".into(), &"held".into()), "{all:?}");
    assert_eq!(nest.say(&["lease", "run", "new", "--", "true"]).code, 6, "its owner lives");
    assert_eq!(nest.say(&["lease", "run", "old", "--", "true"]).code, 0);
    kill(pid_in(&nest, "new.pid"), Signal::KILL);
    until_killed(new);
    assert_eq!(leases(&nest), [Value::Null; 0]);
}

#[test]
fn a_fence_lets_only_the_owner_of_the_job_through() {
    let nest = Nest::new();
    let _worker = nest.work(&TICK);
    let job =
        nest.sh(&[], &format!("{TENURE} fence -- sh -c 'echo let through >> ledger; exit 7'; echo $? >> ledger; exec sleep 600"));
    let run = nest.until_state(job, "running")["run_id"].as_i64().unwrap();
    until("the fenced command", || (lines(&nest, "ledger") == ["let through", "7"]).then_some(()));
    let outside = |job: i64, run: i64, args: &[&str]| {
        let mut command = nest.tenure(&[&["fence"], args].concat());
        said(command.env("TENURE_JOB", job.to_string()).env("TENURE_RUN", run.to_string()).output().unwrap())
    };
    let live = outside(job, run, &["--", "sh", "-c", "echo $TENURE_COOKIE; exit 8"]);
    assert!(live.code == 8 && live.out.len() == 33, "it carries the cookie of its run: {live:?}");
    for (job, run) in [(job, run + 1), (job + 1, run)] {
        let stale = outside(job, run, &["--", "sh", "-c", "echo $TENURE_RUN >> stale"]);
        assert!(stale.code == 6 && stale.err.contains("does not own"), "{stale:?}");
    }
    nest.ok(&["cancel", &job.to_string()]);
    nest.until_state(job, "cancelled");
    assert_eq!(outside(job, run, &["--", "sh", "-c", "echo late >> stale"]).code, 6);
    assert!(!nest.file("stale").exists());
    let unset = nest.say(&["fence", "--", "true"]);
    assert!(unset.code == 2 && unset.err.contains("inside a job"), "{unset:?}");
    assert_eq!(nest.say(&["fence"]).code, 2);
    let other =
        nest.sh(&[], &format!("{TENURE} fence -- no-such-program; a=$?; {TENURE} fence -- /etc/passwd; echo $a $? >> codes"));
    nest.until_ended(other);
    assert_eq!(lines(&nest, "codes"), ["127 126"]);
}

#[test]
fn a_run_is_not_over_before_what_its_fence_let_through_is_gone() {
    let nest = Nest::new();
    let worker = nest.work(&TICK);
    // It redirects its output, leaves its session, and removes cookie and limit: nothing but the fence's descriptor tells whose it is.
    let hides = "echo $$ > fenced; exec env -i prlimit --rttime=unlimited:unlimited setsid sleep 600 </dev/null >/dev/null 2>&1";
    let line = format!(
        "if [ -e fenced ]; then grep -q sleep /proc/$(cat fenced)/cmdline 2>/dev/null && echo overlap >> overlaps; exit 0; fi; \
         {TENURE} fence -- bash -c '{hides}' & wait"
    );
    let job = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], &line);
    let fenced = pid_in(&nest, "fenced");
    until("it to hide", || std::fs::read_to_string(format!("/proc/{fenced}/comm")).is_ok_and(|n| n == "sleep\n").then_some(()));
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let (shim, spawner) = (nest.shim(run), spawner_of(&nest, worker.pid()));
    worker.kill();
    kill(spawner, Signal::KILL);
    kill(shim, Signal::KILL);
    until("the shim to be gone", || (!lives(shim)).then_some(()));
    assert!(lives(fenced), "nothing ends it by itself");
    let _worker = nest.work(&TICK);
    let ended = nest.until_ended(job);
    assert!(!lives(fenced), "{ended}");
    assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &2.into()), "{ended}");
    assert_eq!(lines(&nest, "overlaps"), [""; 0]);
}

#[test]
fn an_array_with_a_limit_is_run_whole_and_never_more_than_that_at_once() {
    let nest = Nest::new();
    std::fs::create_dir(nest.file("inside")).unwrap();
    let line = "mkdir inside/$TENURE_ARRAY_INDEX; ls inside | wc -l >> seen; sleep 0.03; ls inside | wc -l >> seen; \
                rmdir inside/$TENURE_ARRAY_INDEX; echo $TENURE_ARRAY_INDEX >> ran";
    let ids = nest.ok(&["add", "--array", "0-39%8", "-c", line]);
    assert_eq!(ids.lines().count(), 40);
    let lane = nest.show(1)["lane"].as_str().unwrap().to_owned();
    assert!(lane.starts_with("array-"), "{lane}");
    nest.work_until_idle(&["--slots", "12"]);
    let mut seen: Vec<usize> = lines(&nest, "seen").iter().map(|n| n.trim().parse().unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.last().is_some_and(|most| (2..=8).contains(most)), "{seen:?}");
    let mut ran: Vec<i64> = lines(&nest, "ran").iter().map(|n| n.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..40).collect::<Vec<_>>());
    let limits = |nest: &Nest| nest.json(&["lane", "ls", "--json"])["lanes"].as_array().unwrap().len();
    assert_eq!(limits(&nest), 1);
    nest.ok(&["prune", "--older-than", "0s"]);
    assert_eq!(limits(&nest), 0, "its lane goes with its jobs");
}
