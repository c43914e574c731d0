//! A full disk, a failing disk, a file that is replaced while it is open, and locks that must not be dropped by accident.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tenure::error::Error;
use tenure::store::{Role, Store, engine::locks, restore};

use crate::store::harness::{Home, add, count, insert};
use crate::store::helper;
use crate::support::strace::strace;

/// What a program said, each `WORD true`, run by another command.
fn all_true(mut wrapper: Command, program: &str, file: &Path, words: &[&str]) {
    let inner = helper::command(program, file, "");
    helper::with_program(&mut wrapper, program, file, "");
    let output = wrapper.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for word in words {
        assert!(said.contains(&format!("{word} true")), "{word}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn on_a_full_disk_ends_are_still_written() {
    let home = Home::new();
    let disk = home.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mut wrapper = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=12m,mode=0700 tenure-test \"$1\" && shift && exec \"$@\"";
    wrapper.args(["-m", "sh", "-c", mount, "sh"]).arg(&disk);
    let can = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !rustix::process::geteuid().is_root() || !can.is_ok_and(|status| status.success()) {
        return crate::support::untested::not_tested("a full disk", "root and unshare, to make a small one");
    }
    all_true(wrapper, "full", &disk.join("t.db"), &["WRITTEN", "REFUSED", "SEEN", "READ", "AGAIN", "OVER", "WHOLE"]);
}

#[test]
fn a_flush_that_fails_ends_all_acknowledgements() {
    if !crate::store::recording::has_strace() {
        return;
    }
    let home = Home::new();
    add(&home.open(Role::Client), "a");
    let mut wrapper = strace();
    // The flusher's second flush; no other thread flushes twice.
    wrapper
        .args(["-q", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=2", "-o"])
        .arg(home.dir.path().join("strace"));
    all_true(wrapper, "flush", &home.db(), &["FIRST", "UNGRANTED", "FATAL"]);
    let trace = fs::read_to_string(home.dir.path().join("strace")).unwrap();
    assert!(trace.contains("(INJECTED)"), "{trace}");
}

/// Most syncs of one kind that a restore makes.
const SYNCS_MAX: u32 = 40;

#[test]
fn a_restore_whose_sync_fails_leaves_the_old_content_somewhere() {
    if !crate::store::recording::has_strace() {
        return;
    }
    for call in ["fsync", "fdatasync"] {
        let ended = (1..SYNCS_MAX).find(|n| !fails_to_sync(call, *n));
        println!("{call}: {} syncs made to fail", ended.expect("a restore that makes so many syncs") - 1);
    }
}

/// Restores with the sync of this number made to fail. Whether there was one of that number.
fn fails_to_sync(call: &str, n: u32) -> bool {
    let home = Home::new();
    let path = |name: &str| home.dir.path().join(name);
    {
        let client = home.open(Role::Client);
        client.backup(&path("copy"), false).unwrap();
        add(&client, "old");
    }
    let copy = path("copy");
    let inner = helper::command("restore", &home.db(), copy.to_str().unwrap());
    let mut wrapper = strace();
    helper::with_program(&mut wrapper, "restore", &home.db(), copy.to_str().unwrap());
    wrapper.args(["-q", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=EIO:when={n}"), "-o"]);
    wrapper.arg(path("strace")).arg(inner.get_program()).args(inner.get_args());
    let output = wrapper.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let has_old = |file: &Path| {
        let conn = rusqlite::Connection::open(file).unwrap();
        crate::store::harness::text(&conn, "SELECT label FROM job") == "old"
    };
    let kept = path("t.db.replaced-1000");
    let is_kept = kept.exists();
    assert!(is_kept && has_old(&kept) || has_old(&home.db()), "{call} {n}: the old content is gone: {said}");
    if !has_old(&home.db()) && !said.contains("WELL") {
        assert!(said.contains(kept.to_str().unwrap()), "{call} {n}: the kept file is not named: {said}");
    }
    fs::read_to_string(path("strace")).unwrap().contains("(INJECTED)")
}

fn replaced(change: impl Fn(&Store)) {
    for role in [Role::Worker, Role::Client] {
        let home = Home::new();
        let store = home.open(role);
        add(&store, "a");
        change(&store);
        assert!(!store.health().may_claim() && store.health().replaced.is_some(), "{role:?}: {:?}", store.health());
        let error = store.write(|conn| insert(conn, "b")).unwrap_err();
        assert!(matches!(error, Error::File(_) | Error::Io { .. }), "{role:?}: {error}");
        assert!(store.commit(|conn| insert(conn, "c")).is_err(), "{role:?}: nothing is written after that");
        assert!(store.health().fatal.is_some());
    }
}

#[test]
fn a_file_replaced_under_us_acknowledges_nothing_any_more() {
    replaced(|store| {
        let copy = store.place().db().with_file_name("copy");
        store.backup(&copy, false).unwrap();
        fs::rename(&copy, store.place().db()).unwrap();
    });
}

#[test]
fn a_removed_file_or_log_acknowledges_nothing_any_more() {
    replaced(|store| fs::remove_file(store.place().db()).unwrap());
    replaced(|store| fs::remove_file(store.place().wal()).unwrap());
}

/// Closing any descriptor of the file drops SQLite's locks of this process: then another program may delete the log under us.
#[test]
fn nothing_that_we_do_drops_the_locks_of_sqlite() {
    let home = Home::new();
    let worker = home.open(Role::Worker);
    add(&worker, "a");
    let me = std::process::id() as i32;
    let held = |after: &str| assert!(locks::openers(worker.place()).iter().any(|user| user.pid == me), "after {after}");
    held("open");
    let copy = home.dir.path().join("copy");
    worker.backup(&copy, false).unwrap();
    held("backup");
    worker.health();
    worker.flush_now().unwrap();
    held("health and flush");
    for role in [Role::Reader, Role::Client, Role::Worker] {
        let other = home.open(role);
        assert_eq!(count(&other), 1);
        other.flush_now().unwrap();
        drop(other);
        held("another store");
    }
    fs::write(home.dir.path().join("bad"), "bad").unwrap();
    restore(&home.db(), &home.dir.path().join("bad"), 0, 0, &[], 1).unwrap_err();
    held("a restore that was refused");
    assert!(worker.backup(&home.db(), true).is_err());
    held("a backup that was refused");
    let (reader, writer) = (locks::readers(worker.place()), locks::writer(worker.place()));
    held("looking at the locks");
    assert!(reader.is_empty() && writer.is_none(), "nothing is held while nothing is done: {reader:?} {writer:?}");
}

/// The rule behind the test above, for code that no test reaches.
#[test]
fn no_code_opens_the_file_or_its_index_but_sqlite() {
    let opens = ["File::open", "OpenOptions", "fs::read", "fs::write", "fs::copy", "File::create", "openat", "fs::open"];
    let mut seen = 0;
    let mut rooms = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(room) = rooms.pop() {
        for entry in fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rooms.push(path);
                continue;
            }
            seen += 1;
            for (i, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
                let names_it = line.contains(".db()") || line.contains(".shm()");
                assert!(!(names_it && opens.iter().any(|open| line.contains(open))), "{}:{}: {line}", path.display(), i + 1);
            }
        }
    }
    assert!(seen > 20);
}
