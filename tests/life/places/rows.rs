//! What is done in each row of the table.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Signal, kill, until};

use super::scene::Scene;

pub(super) type Do = fn(&mut Scene, bool);

pub(super) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(status.success());
}

pub(super) fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("a rename");
}

/// The log is emptied into the file, so that the file alone is whole.
pub(super) fn checkpoint(scene: &Scene) {
    until("the log to be empty", || {
        let busy: i64 = scene.nest.sql().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).ok()?;
        (busy == 0).then_some(())
    });
}

/// A backup, and then a life that it knows nothing of: the queued job has run, and another one runs.
pub(super) fn backup_and_go_on(scene: &mut Scene) -> PathBuf {
    let backup = scene.file("backup");
    scene.nest.ok(&["backup", backup.to_str().unwrap()]);
    kill(scene.pid, Signal::KILL);
    scene.nest.until_ended(scene.queued);
    scene.pid = scene.nest.until_pid(scene.nest.sh(&[], "exec sleep 600"));
    backup
}

pub(super) fn directory(db: &Path) -> PathBuf {
    PathBuf::from(format!("{}.d", db.display()))
}

/// A mount namespace of its own in which `what` is bind mounted.
pub(super) fn with_mount(scene: &mut Scene, from: &Path, to: &Path) {
    let script = format!("mount --bind {} {} && exec \"$@\"", from.display(), to.display());
    scene.through = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
}

/// What is done in each row of the table.
pub(super) const ROWS: &[(&str, Do)] = &[
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
