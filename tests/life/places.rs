//! Which file is this: the table of `docs/files.md`, cell by cell. Whatever is done to the file, its path or its directory, no job runs a second time
//! and no living run is ended by a worker that is not its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::life::left::lines;
use crate::support::{Nest, Said, Signal, Started, Worker, kill, lives, said, until};

const PAGE: &str = include_str!("../../docs/files.md");

/// A running job, a queued one behind it, and the worker of both.
struct Scene {
    nest: Nest,
    worker: Option<Worker>,
    /// The process of the job that runs.
    pid: i32,
    queued: i64,
    /// Where the file is looked at.
    db: PathBuf,
    /// What the program is started through.
    through: Vec<String>,
}

const WORK: [&str; 5] = ["work", "--tick", "500ms", "--slots", "1"];

impl Scene {
    fn new() -> Self {
        let nest = Nest::new();
        let worker = nest.work(&WORK[1..]);
        let running = nest.sh(&[], "echo running >>ledger; exec sleep 600");
        let pid = nest.until_pid(running);
        let queued = nest.sh(&[], "echo queued >>ledger");
        let db = nest.db();
        Self { nest, worker: Some(worker), pid, queued, db, through: Vec::new() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.nest.file(name)
    }

    /// From here on the worker is dead, or lives and does nothing, so that what it would do itself is not taken for an answer.
    fn kill_unless(&mut self, alive: bool) {
        if !alive {
            return self.worker.take().expect("a worker").kill();
        }
        let (pid, place) = (self.worker.as_ref().expect("a worker").pid(), tenure::place::Place::new(self.nest.db()));
        until("the worker to stand still outside of a transaction", || {
            kill(pid, Signal::STOP);
            let is_inside = tenure::store::locks::writer(&place).is_some();
            if is_inside {
                kill(pid, Signal::CONT);
            }
            (!is_inside).then_some(())
        });
    }

    /// The worker does what it does.
    fn let_go_on(&self) {
        if let Some(worker) = &self.worker {
            kill(worker.pid(), Signal::CONT);
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.nest.tenure(args);
        if let Some((program, rest)) = self.through.split_first() {
            let mut outer = Command::new(program);
            outer.args(rest).arg(env!("CARGO_BIN_EXE_tenure")).args(args).current_dir(self.nest.path()).env_clear();
            outer.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            command = outer;
        }
        command.env("TENURE_DB", &self.db).stdin(Stdio::null());
        command
    }

    fn say(&self, args: &[&str]) -> Said {
        said(self.command(args).output().expect("it runs"))
    }

    fn json(&self, args: &[&str]) -> Option<Value> {
        serde_json::from_str(&self.say(args).out).ok()
    }

    /// The word of the table for what a verb came to.
    fn word(&self, args: &[&str], done: &str) -> String {
        let told = self.say(args);
        match told.code {
            4 | 6 => {
                assert!(told.err.contains("tenure: "), "{args:?}: {told:?}");
                "refused".into()
            }
            0 | 1 => done.into(),
            _ => panic!("{args:?}: {told:?}"),
        }
    }

    /// Starts a worker: does it serve, hold what had not ended, or refuse?
    fn work(&self) -> String {
        let log = std::fs::File::create(self.file("second.log")).expect("a log");
        let mut child = Started(self.command(&WORK).stdout(Stdio::null()).stderr(log).spawn().expect("it starts"));
        until("an answer", || {
            if let Some(status) = child.0.try_wait().expect("a child") {
                let told = std::fs::read_to_string(self.file("second.log")).unwrap_or_default();
                assert!(matches!(status.code(), Some(4 | 6)), "{status}: {told}");
                return Some("refused".to_owned());
            }
            let job = self.json(&["show", &self.queued.to_string(), "--json"])?;
            if job["hold"] == "user" {
                return Some("holds".into());
            }
            if job["state"] == "done" {
                return Some("serves".into());
            }
            // It waits behind the running job.
            if self.worker.is_none() && self.json(&["status", "--json"])?["worker"].is_object() {
                kill(self.pid, Signal::KILL);
            }
            None
        })
    }

    /// The running job ends: the worker goes on with the queued one, or ends itself.
    fn fate(&mut self) -> String {
        let Some(worker) = &mut self.worker else { return "-".into() };
        kill(self.pid, Signal::KILL);
        let queued = self.queued;
        let nest = &self.nest;
        until("an answer", || {
            if worker.has_ended() {
                return Some("ends".to_owned());
            }
            let conn = rusqlite::Connection::open_with_flags(nest.db(), rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
            let state: String = conn.query_row("SELECT state FROM job WHERE id = ?1", [queued], |row| row.get(0)).ok()?;
            (state == "done").then(|| "goes on".into())
        })
    }

    /// Nothing has run twice.
    fn check(&self, what: &str) {
        for job in ["running", "queued"] {
            let times = lines(&self.nest, "ledger").iter().filter(|line| *line == job).count();
            assert!(times <= 1, "{what}: {job} has run {times} times");
        }
    }
}

type Do = fn(&mut Scene, bool);

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(status.success());
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("a rename");
}

/// The log is emptied into the file, so that the file alone is whole.
fn checkpoint(scene: &Scene) {
    until("the log to be empty", || {
        let busy: i64 = scene.nest.sql().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).ok()?;
        (busy == 0).then_some(())
    });
}

/// A backup, and then a life that it knows nothing of: the queued job has run, and another one runs.
fn backup_and_go_on(scene: &mut Scene) -> PathBuf {
    let backup = scene.file("backup");
    scene.nest.ok(&["backup", backup.to_str().unwrap()]);
    kill(scene.pid, Signal::KILL);
    scene.nest.until_ended(scene.queued);
    scene.pid = scene.nest.until_pid(scene.nest.sh(&[], "exec sleep 600"));
    backup
}

fn directory(db: &Path) -> PathBuf {
    PathBuf::from(format!("{}.d", db.display()))
}

/// A mount namespace of its own in which `what` is bind mounted.
fn with_mount(scene: &mut Scene, from: &Path, to: &Path) {
    let script = format!("mount --bind {} {} && exec \"$@\"", from.display(), to.display());
    scene.through = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
}

/// What is done in each row of the table.
const ROWS: &[(&str, Do)] = &[
    ("a backup, opened where it was written", |scene, alive| {
        let to = scene.file("backup");
        scene.nest.ok(&["backup", to.to_str().unwrap()]);
        scene.kill_unless(alive);
        scene.db = to;
    }),
    ("a copy of the file alone", |scene, alive| {
        checkpoint(scene);
        scene.kill_unless(alive);
        copy(&scene.nest.db(), &scene.file("copy.db"));
        scene.db = scene.file("copy.db");
    }),
    ("a copy of the file and its directory", |scene, alive| {
        checkpoint(scene);
        scene.kill_unless(alive);
        copy(&scene.nest.db(), &scene.file("copy.db"));
        copy(&scene.nest.beside(), &scene.file("copy.db.d"));
        scene.db = scene.file("copy.db");
    }),
    ("renamed, at the new name", |scene, alive| {
        checkpoint(scene);
        scene.kill_unless(alive);
        rename(&scene.nest.db(), &scene.file("new.db"));
        scene.db = scene.file("new.db");
    }),
    ("renamed, at the old name", |scene, alive| {
        scene.kill_unless(alive);
        rename(&scene.nest.db(), &scene.file("new.db"));
    }),
    ("renamed with its directory", |scene, alive| {
        if alive {
            checkpoint(scene);
        }
        scene.kill_unless(alive);
        rename(&scene.nest.db(), &scene.file("new.db"));
        rename(&scene.nest.beside(), &scene.file("new.db.d"));
        if !alive {
            rename(&scene.file("q.db-wal"), &scene.file("new.db-wal"));
        }
        scene.db = scene.file("new.db");
    }),
    ("renamed and moved back", |scene, alive| {
        scene.kill_unless(alive);
        rename(&scene.nest.db(), &scene.file("new.db"));
        assert_eq!(scene.say(&["add", "--", "true"]).code, 4);
        rename(&scene.file("new.db"), &scene.nest.db());
    }),
    ("moved to another disk", |scene, alive| {
        checkpoint(scene);
        scene.kill_unless(alive);
        std::fs::create_dir(scene.file("disk")).unwrap();
        let to = scene.file("disk/q.db");
        copy(&scene.nest.db(), &to);
        copy(&scene.nest.beside(), &directory(&to));
        std::fs::remove_file(scene.nest.db()).unwrap();
        std::fs::remove_dir_all(scene.nest.beside()).unwrap();
        scene.db = to;
    }),
    ("the directory removed", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::remove_dir_all(scene.nest.beside()).unwrap();
    }),
    ("the directory emptied", |scene, alive| {
        scene.kill_unless(alive);
        for entry in std::fs::read_dir(scene.nest.beside()).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => std::fs::remove_dir_all(entry.path()).unwrap(),
                false => std::fs::remove_file(entry.path()).unwrap(),
            }
        }
    }),
    ("the lock file removed", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::remove_file(scene.nest.beside().join("worker.lock")).unwrap();
    }),
    ("the log removed", |scene, alive| {
        checkpoint(scene);
        if !alive {
            let _unopened = backup_and_go_on(scene);
        }
        scene.kill_unless(alive);
        std::fs::remove_file(scene.file("q.db-wal")).unwrap();
    }),
    ("the index of the log removed", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::remove_file(scene.file("q.db-shm")).unwrap();
    }),
    ("a hard link made", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::hard_link(scene.nest.db(), scene.file("twin.db")).unwrap();
        scene.db = scene.file("twin.db");
    }),
    ("its directory bind mounted elsewhere", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::create_dir(scene.file("mnt")).unwrap();
        let (from, to) = (scene.nest.path().to_owned(), scene.file("mnt"));
        with_mount(scene, &from, &to);
        scene.db = to.join("q.db");
    }),
    ("the file alone bind mounted elsewhere", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::write(scene.file("mounted.db"), "").unwrap();
        let (from, to) = (scene.nest.db(), scene.file("mounted.db"));
        with_mount(scene, &from, &to);
        scene.db = to;
    }),
    ("seen from another pid namespace", |scene, alive| {
        scene.kill_unless(alive);
        scene.through = ["unshare", "-p", "-f", "--kill-child", "--mount-proc"].map(str::to_owned).to_vec();
    }),
    ("its content replaced by a backup's", |scene, alive| {
        let backup = backup_and_go_on(scene);
        scene.kill_unless(alive);
        let restore = |conn: &mut rusqlite::Connection| conn.restore(rusqlite::MAIN_DB, &backup, None::<fn(_)>);
        until("the backup to be restored", || restore(&mut scene.nest.sql()).ok());
    }),
    ("its content replaced with `cp`", |scene, alive| {
        let backup = backup_and_go_on(scene);
        checkpoint(scene);
        scene.kill_unless(alive);
        // As `cp` does: the same inode, and nothing of SQLite's locks.
        std::fs::copy(&backup, scene.nest.db()).unwrap();
    }),
    ("replaced by a backup that was renamed", |scene, alive| {
        let backup = backup_and_go_on(scene);
        checkpoint(scene);
        scene.kill_unless(alive);
        rename(&backup, &scene.nest.db());
    }),
    ("replaced by another queue's file", |scene, alive| {
        let other = scene.file("other.db");
        scene.nest.ok(&["--db", other.to_str().unwrap(), "add", "--", "true"]);
        scene.kill_unless(alive);
        rename(&other, &scene.nest.db());
        let _its_log_is_gone_with_it = std::fs::remove_file(scene.file("q.db-wal"));
    }),
    ("the file removed", |scene, alive| {
        scene.kill_unless(alive);
        std::fs::remove_file(scene.nest.db()).unwrap();
    }),
];

/// The rows of the page: what was done, and for each column the answers with a living and with a dead worker.
fn table() -> Vec<(String, Vec<[String; 2]>)> {
    let table = PAGE.split("<!-- places -->").nth(1).expect("a table");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let what = cells.next().expect("a first cell");
        let pair = |cell: String| {
            let (alive, dead) = cell.split_once(" / ").unwrap_or_else(|| panic!("{what}: {cell}"));
            [alive.to_owned(), dead.to_owned()]
        };
        (what.clone(), cells.map(pair).collect())
    })
    .collect()
}

fn walk(alive: bool, of: impl Fn(usize) -> bool) {
    let table = table();
    assert_eq!(table.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ROWS.iter().map(|row| row.0).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (n, ((what, cells), (_, act))) in table.iter().zip(ROWS).enumerate() {
        if !of(n) || std::env::var("ROW").is_ok_and(|row| row != *what) {
            continue;
        }
        let said: Vec<&str> = cells.iter().map(|cell| cell[usize::from(!alive)].as_str()).collect();
        let mut scene = Scene::new();
        act(&mut scene, alive);
        // Where the rows of the worker itself change, it ends by its own look; otherwise it is asked last.
        let ends_first = alive && said[3] == "holds";
        let readers = scene.word(&["ls", "-a"], "read");
        let add = scene.word(&["add", "--hold", "--", "true"], "takes");
        if ends_first {
            scene.let_go_on();
        }
        let first = if ends_first { scene.fate_by_itself() } else { String::new() };
        let work = if said[3] == "holds" { scene.work() } else { String::new() };
        let fix = scene.word(&["doctor", "--fix"], "mends");
        if said[4] == "refused" {
            assert!(lives(scene.pid), "{what}: a worker that is not its own has ended the running job");
        }
        let work = if work.is_empty() { scene.work() } else { work };
        if said[3] == "refused" {
            assert!(lives(scene.pid), "{what}: a worker that is not its own has ended the running job");
        }
        scene.let_go_on();
        let worker = if ends_first { first } else { scene.fate() };
        let found = [worker, readers, add, work, fix];
        if found.iter().map(String::as_str).ne(said.iter().copied()) {
            println!("{what}: {}", scene.say(&["ls"]).err);
            println!("{what}: {}", std::fs::read_to_string(scene.file("second.log")).unwrap_or_default());
            println!("{}", std::fs::read_to_string(scene.file("worker.log")).unwrap_or_default());
            wrong.push(format!("{what}, worker {}: {found:?}, the page says {said:?}", if alive { "alive" } else { "dead" }));
        }
        scene.check(what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Scene {
    /// Without anything of ours: the worker finds out at its next look.
    fn fate_by_itself(&mut self) -> String {
        let worker = self.worker.as_mut().expect("a worker");
        until("the worker to notice", || worker.has_ended().then_some(()));
        self.worker = None;
        "ends".into()
    }
}

#[test]
fn the_table_holds_with_a_living_worker_first_half() {
    walk(true, |n| n % 2 == 0);
}

#[test]
fn the_table_holds_with_a_living_worker_second_half() {
    walk(true, |n| n % 2 == 1);
}

#[test]
fn the_table_holds_with_a_dead_worker_first_half() {
    walk(false, |n| n % 2 == 0);
}

#[test]
fn the_table_holds_with_a_dead_worker_second_half() {
    walk(false, |n| n % 2 == 1);
}

#[test]
fn a_person_says_what_a_file_is_and_it_goes_on_as_that() {
    for (row, is, held) in [
        ("moved to another disk", "moved", false),
        ("moved to another disk", "copy", true),
        ("a backup, opened where it was written", "copy", true),
        ("a copy of the file alone", "copy", true),
        ("a copy of the file and its directory", "copy", true),
    ] {
        let mut scene = Scene::new();
        let act = ROWS.iter().find(|(what, _)| *what == row).expect("a row").1;
        act(&mut scene, false);
        let advice = scene.say(&["doctor"]).out;
        assert!(
            advice.contains("doctor --is") && !advice.contains("tenure work") && !advice.contains("--fix"),
            "{row}: {advice}"
        );
        if held && row != "moved to another disk" {
            assert_eq!(scene.say(&["doctor", "--is", "moved"]).code, 6, "{row}: the original is there");
        }
        let said = scene.say(&["doctor", "--is", is]);
        assert!(!said.err.contains("error") && said.out.contains("repaired"), "{row}: {said:?}");
        assert_eq!(scene.say(&["doctor", "--is", is]).code, 6, "{row}: it is at home now");
        if held {
            assert!(lives(scene.pid), "{row}: the original's run goes on");
        }
        scene.say(&["work", "--until-idle"]);
        let job = scene.json(&["show", &scene.queued.to_string(), "--json"]).expect("a job");
        let found = (job["state"].as_str(), job["hold"] == "user");
        assert_eq!(found, if held { (Some("queued"), true) } else { (Some("done"), false) }, "{row}: {job}");
        assert_eq!(lives(scene.pid), held, "{row}: only of a file that was moved its own run is ended");
        scene.check(row);
    }
}
