//! This test binary as another process: [`run`] starts it so that it runs one of the programs here instead of the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tenure::store::{Durability, Options, Role, Store};

use crate::store::harness::insert;

const PROGRAM: &str = "TENURE_TEST_PROGRAM";
const FILE: &str = "TENURE_TEST_FILE";
const ARGUMENT: &str = "TENURE_TEST_ARGUMENT";

/// The command that runs a program of this file. Its output comes without being held back.
pub fn command(program: &str, file: &Path, argument: &str) -> Command {
    command_of(&env::current_exe().unwrap(), program, file, argument)
}

/// The same of a copy of this test binary.
pub fn command_of(binary: &Path, program: &str, file: &Path, argument: &str) -> Command {
    let mut command = Command::new(binary);
    with_program(&mut command, program, file, argument);
    command.args(["--exact", "store::helper::a_program_for_other_tests", "--nocapture", "--test-threads=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

pub fn with_program(command: &mut Command, program: &str, file: &Path, argument: &str) {
    command.env(PROGRAM, program).env(FILE, file).env(ARGUMENT, argument);
}

#[test]
fn a_program_for_other_tests() {
    let Ok(program) = env::var(PROGRAM) else { return };
    let file = PathBuf::from(env::var_os(FILE).unwrap());
    let argument = env::var(ARGUMENT).unwrap();
    match program.as_str() {
        "share" => share(&file, &argument),
        "hold" => hold(&file),
        "try" => try_to_open(&file, &argument),
        "flush" => flush_fails(&file),
        "full" => full_disk(&file),
        "restore" => restore_and_say(&file, Path::new(&argument)),
        workload => power_loss_workload(workload, &file, &argument),
    }
    std::process::exit(0);
}

/// One line on stdout, at once.
pub fn say(line: &str) {
    rustix::io::write(std::io::stdout(), format!("{line}\n").as_bytes()).unwrap();
}

fn wait_for_a_line() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Opens, waits for a line, then writes as fast as it can until another line comes, and says how often. A greedy one does not even stop to flush.
fn share(file: &Path, manners: &str) {
    let store = Store::open(file, Options::new(Role::Client)).unwrap();
    say("READY");
    wait_for_a_line();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = stop.clone();
    thread::spawn(move || {
        wait_for_a_line();
        seen.store(true, Ordering::SeqCst);
    });
    let mut commits = 0;
    while !stop.load(Ordering::SeqCst) {
        let (_, ticket) = store.commit(|conn| insert(conn, "share")).unwrap();
        if manners != "greedy" {
            store.flushed(ticket).unwrap();
        }
        commits += 1;
    }
    say(&format!("COMMITS {commits}"));
}

/// A program that is not tenure and stays inside a transaction until a line comes.
fn hold(file: &Path) {
    let conn = Connection::open(file).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    say("HELD");
    wait_for_a_line();
    conn.execute_batch("COMMIT").unwrap();
}

/// Opens in a role, adds a job if it may, and says how that went.
fn try_to_open(file: &Path, role: &str) {
    let role = match role {
        "reader" => Role::Reader,
        "client" => Role::Client,
        _ => Role::Worker,
    };
    let answer = Store::open(file, Options::new(role)).and_then(|store| match role {
        Role::Reader => store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0))?)),
        _ => store.write(|conn| insert(conn, "try")),
    });
    match answer {
        Ok(number) => say(&format!("WELL {number}")),
        Err(error) => say(&format!("ERROR {error}")),
    }
}

/// Brings a backup back, and says how that went.
fn restore_and_say(file: &Path, copy: &Path) {
    match tenure::store::restore(file, copy, 0, 0, &[], 1_000) {
        Ok(_) => say("WELL"),
        Err(error) => say(&format!("ERROR {error}")),
    }
}

/// A worker whose flush is made to fail from outside.
fn flush_fails(file: &Path) {
    let store = Store::open(file, Options::new(Role::Worker)).unwrap();
    let first = store.write(|conn| insert(conn, "a"));
    let (tell, told) = std::sync::mpsc::channel();
    let second = store.commit(|conn| insert(conn, "b")).and_then(|(_, ticket)| {
        // Whichever comes first, the failure or the request: it is not granted.
        let _refused = store.as_soon_as_flushed(ticket, move || tell.send(()).unwrap_or_default());
        store.flushed(ticket)
    });
    say(&format!("UNGRANTED {}", told.recv().is_err()));
    say(&format!("FIRST {}", first.is_ok()));
    say(&format!("SECOND {}", second.is_ok()));
    say(&format!("FATAL {}", store.health().fatal.is_some() && !store.health().may_claim()));
}

/// A worker on a small disk that another process fills.
fn full_disk(file: &Path) {
    let store = Store::open(file, Options::new(Role::Worker)).unwrap();
    let ballast = store.place().ballast();
    let add = |bytes: usize| store.write(move |conn| insert(conn, &"x".repeat(bytes)));
    add(10).unwrap();
    assert!(ballast.exists() && store.health().may_claim());

    let filler = file.with_file_name("filler");
    fill(&filler);
    let mut written = 0;
    let error = loop {
        match add(1000) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    // What the log and the ballast had room for has gone through, and claims have stopped long before the end.
    // (A commit takes some 50 kB of log, and where the checkpoints fall decides about a few of them more or less.)
    say(&format!("COUNT {written}"));
    say(&format!("WRITTEN {}", written >= 10));
    say(&format!("REFUSED {}", matches!(&error, tenure::error::Error::DiskFull(text) if text.contains("free some space"))));
    say(&format!("SEEN {}", store.health().disk_full_since_ms.is_some() && !store.health().may_claim() && !ballast.exists()));
    say(&format!(
        "READ {}",
        store.read(|conn| Ok(conn.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0))?)).unwrap()
            == written + 1
    ));

    std::fs::remove_file(&filler).unwrap();
    say(&format!("AGAIN {}", add(10).is_ok()));
    say(&format!("OVER {}", store.health().may_claim() && ballast.exists()));
    drop(store);
    let whole: String = Connection::open(file).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    say(&format!("WHOLE {}", whole == "ok"));
}

/// Writes until there is no room for another byte.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for bytes in [65_536, 4_096, 1] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
}

/// How a workload of the power-loss test acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Full,
    Flush,
    /// Acknowledges what is only committed: the control that must lose.
    Normal,
}

struct Load {
    file: PathBuf,
    scheme: Scheme,
    next: Arc<AtomicI64>,
}

impl Load {
    fn open(&self, role: Role) -> Store {
        let durability = if self.scheme == Scheme::Full { Durability::Full } else { Durability::Flush };
        Store::open(&self.file, Options { durability, ..Options::new(role) }).unwrap()
    }

    fn tag(&self) -> i64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Adds a row of about so many bytes, calls `between` after the commit, and acknowledges.
    fn add(&self, store: &Store, bytes: usize, between: impl FnOnce()) {
        let tag = self.tag();
        let (_, ticket) = store.commit(move |conn| insert_tag(conn, tag, bytes)).unwrap();
        between();
        if self.scheme != Scheme::Normal {
            store.flushed(ticket).unwrap();
        }
        say(&format!("ACK {tag}"));
    }

    fn foreign(&self) -> Connection {
        let conn = Connection::open(&self.file).unwrap();
        conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0").unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        conn
    }
}

fn insert_tag(conn: &Connection, tag: i64, bytes: usize) -> tenure::error::Result<()> {
    conn.execute(
        "INSERT INTO job (command, label, env) VALUES ('[\"a\"]', ?1, json_object('X', ?2))",
        (tag.to_string(), "x".repeat(bytes)),
    )?;
    Ok(())
}

fn checkpoint(conn: &Connection, mode: &str) {
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
}

/// Each workload makes the file, and leaves it closed.
fn power_loss_workload(workload: &str, file: &Path, scheme: &str) {
    let (scheme, first) = scheme.split_once(',').unwrap_or((scheme, "1"));
    let scheme = match scheme {
        "full" => Scheme::Full,
        "flush" => Scheme::Flush,
        _ => Scheme::Normal,
    };
    let load = Load { file: file.to_owned(), scheme, next: Arc::new(AtomicI64::new(first.parse().unwrap())) };
    match workload {
        "checkpoints" => checkpoints(&load),
        "generations" => (0..4).for_each(|n| load.add(&load.open(Role::Client), 100 << n, || ())),
        "growth" => growth(&load),
        "foreign" => foreign(&load),
        "killed" => killed(&load),
        "killed-inside" => {
            let store = load.open(Role::Client);
            load.add(&store, 100, || ());
            load.add(&store, 3000, || {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap()
            });
        }
        "two" => two(&load),
        "two-inside" => (0..3).for_each(|_| load.add(&load.open(Role::Client), 700, || ())),
        "worker" => worker(&load),
        other => panic!("there is no program {other}"),
    }
}

fn checkpoints(load: &Load) {
    let (store, foreign) = (load.open(Role::Client), load.foreign());
    for mode in ["TRUNCATE", "RESTART", "PASSIVE", "FULL", "TRUNCATE"] {
        load.add(&store, 100, || ());
        load.add(&store, 2500, || ());
        checkpoint(&foreign, mode);
    }
    load.add(&store, 10, || ());
}

/// Large rows, and a reader that keeps a snapshot while the log is copied behind it and used again.
fn growth(load: &Load) {
    let (store, foreign, reader) = (load.open(Role::Client), load.foreign(), load.foreign());
    load.add(&store, 30_000, || ());
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM job", [], |_| Ok(())).unwrap();
    load.add(&store, 9_000, || ());
    checkpoint(&foreign, "PASSIVE");
    reader.execute_batch("COMMIT").unwrap();
    checkpoint(&foreign, "PASSIVE");
    load.add(&store, 20_000, || ());
    load.add(&store, 10, || ());
}

/// Another program writes and checkpoints between our commit and our flush.
fn foreign(load: &Load) {
    let (store, foreign) = (load.open(Role::Client), load.foreign());
    for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
        load.add(&store, 400, || checkpoint(&foreign, mode));
        load.add(&store, 400, || foreign.execute_batch("INSERT INTO job (command) VALUES ('[\"a\"]')").unwrap());
        foreign.execute_batch("INSERT INTO job (command) VALUES ('[\"a\"]')").unwrap();
        load.add(&store, 400, || ());
    }
}

fn child(load: &Load, program: &str) -> Command {
    let first = load.next.fetch_add(10, Ordering::SeqCst);
    let scheme = match load.scheme {
        Scheme::Full => "full",
        Scheme::Flush => "flush",
        Scheme::Normal => "normal",
    };
    let mut child = command(program, &load.file, &format!("{scheme},{first}"));
    child.stdout(Stdio::inherit()).stdin(Stdio::null());
    child
}

/// A process dies after its commit and before its flush; the next one finds the log as it was left.
fn killed(load: &Load) {
    for _ in 0..2 {
        child(load, "killed-inside").status().unwrap();
        load.add(&load.open(Role::Client), 200, || ());
    }
}

fn two(load: &Load) {
    drop(load.open(Role::Client));
    let mut others: Vec<_> = (0..2).map(|_| child(load, "two-inside").spawn().unwrap()).collect();
    let foreign = load.foreign();
    for _ in 0..3 {
        load.add(&load.open(Role::Client), 300, || ());
        checkpoint(&foreign, "PASSIVE");
    }
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
}

/// Threads share the writer and the flusher.
fn worker(load: &Load) {
    let store = load.open(Role::Worker);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..4).for_each(|n| load.add(&store, 300 * n, || ())));
        }
    });
    let foreign = load.foreign();
    checkpoint(&foreign, "TRUNCATE");
    load.add(&store, 10, || ());
}
