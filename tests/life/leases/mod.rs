//! A lease under kills: never two inside, held as long as anything of the owner's tree lives, and free at once when nothing does.

mod of_jobs;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::Value;
use tenure::run::machine;

use crate::life::left::lines;
use crate::support::{Dice, Nest, Said, Signal, kill, kill_child, lives, pid_in, seed, until};

const TENURE: &str = env!("CARGO_BIN_EXE_tenure");
const TICK: [&str; 4] = ["--tick", "20ms", "--slots", "2"];

/// `tenure lease run gpu -- bash -c LINE`, not waited for.
fn start(nest: &Nest, options: &[&str], line: &str) -> Child {
    let mut command = nest.tenure(&[&["lease", "run", "gpu"], options, &["--", "bash", "-c", line]].concat());
    command.stdout(Stdio::null()).stderr(std::fs::File::create(nest.file("said")).unwrap());
    command.spawn().unwrap()
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

/// Ways in which a tree may continue without the process that took the lease. `PIDFILE` is written by what lives longest.
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
    let longest = pid_in(&nest.file("longest"));
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
    const TRIES: usize = 20;
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
        // On a slow machine the wrappers write before each of its attempts, and it is refused.
        let refused = |said: &Said| said.code != 0 && said.err.contains("and try again");
        let restore = || (0..TRIES).map(|_| nest.say(&["restore", &copy])).find(|said| !refused(said));
        let restored: Vec<_> = (0..COPIES).map(|_| restore()).collect();
        over.store(1, Ordering::SeqCst);
        let is_done = |said: &Option<Said>| said.as_ref().is_some_and(|said| said.code == 0);
        assert!(restored.iter().all(is_done), "{restored:?}");
    });
    assert_eq!(lines(&nest, "overlaps"), [""; 0]);
    assert_eq!(nest.say(&["lease", "run", "gpu", "--wait", "1m", "--", "true"]).code, 0);
}

#[test]
fn two_are_never_inside_at_once_after_any_kill() {
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
    let inside = pid_in(&nest.file("longest"));
    let refused = nest.say(&["lease", "release", "gpu"]);
    assert!(refused.code == 6 && refused.err.contains("mine") && refused.err.contains("--force"), "{refused:?}");
    let mut waiter = start(&nest, &["--wait", "1h"], "exit 9");
    until_it_waits(&waiter);
    let forced = nest.say(&["lease", "release", "gpu", "--force"]);
    assert!(forced.code == 0 && forced.err.contains(&format!("{inside} sleep")), "{forced:?}");
    assert_eq!(waiter.wait().unwrap().code(), Some(9), "a command that waits for the owner's lock sees that the row is gone");
    assert!(lives(inside), "the owner continues");
    let note = nest.status()["reaper"]["acts"]["leases_forced_total"]["note"].as_str().unwrap().to_owned();
    assert!(note.contains(&format!("pid {}", holder.id())) && note.contains("by "), "{note}");
    kill(inside, Signal::TERM);
    let ended = holder.wait().unwrap();
    assert_eq!(ended.code(), Some(143), "128+N, as a shell says it: {:?}", ended.signal());
    assert_eq!(nest.say(&["lease", "release", "gpu", "--force"]).code, 3);
}

#[test]
fn a_signal_to_the_wrapper_reaches_the_command() {
    let nest = Nest::new();
    let line =
        "trap 'exit 5' TERM; setsid bash -c 'echo $$ > longest; exec sleep 600' & echo $$ > first; while :; do sleep 0.01; done";
    let mut wrapper = start(&nest, &[], line);
    let (left, _first) = (pid_in(&nest.file("longest")), pid_in(&nest.file("first")));
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
    let wrapper = pid_in(&nest.file("wrapper"));
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
