//! Every file that we make has a row in `docs/files.md`, and a sweep that finds it after a kill at any point.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Dice, Nest, kill_child, seed, until};

const PAGE: &str = include_str!("../../docs/files.md");

/// The paths of the table, as they are for the file of a nest.
fn rows() -> Vec<String> {
    let table = PAGE.split("<!-- files -->").nth(1).expect("a table");
    let first = |row: &str| row.split('`').nth(1).map(|path| path.replace("tenure.db", "q.db"));
    let rows: Vec<String> = table.lines().filter(|line| line.starts_with("| `")).filter_map(first).collect();
    assert!(rows.len() > 20, "{rows:?}");
    rows
}

/// Whether a path is one of a row: its words in capitals stand for numbers and random digits, three dots for anything.
fn matches(row: &str, path: &str) -> bool {
    if let Some(rest) = row.strip_prefix("...") {
        return (0..=path.len()).filter(|at| path.is_char_boundary(*at)).any(|at| matches(rest, &path[at..]));
    }
    for word in ["RANDOM", "NONCE", "TOKEN", "NNN", "ID", "N"] {
        if let Some(rest) = row.strip_prefix(word) {
            let digits = path.bytes().take_while(u8::is_ascii_hexdigit).count();
            return (1..=digits).any(|n| matches(rest, &path[n..]));
        }
    }
    match (row.chars().next(), path.chars().next()) {
        (None, None) => true,
        (Some(wanted), Some(found)) if wanted == found => matches(&row[wanted.len_utf8()..], &path[found.len_utf8()..]),
        _ => false,
    }
}

fn walk(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_dir = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir { walk(&path, all) } else { all.push(path) }
    }
}

/// What is there of tenure's, relative to the directory of the file.
fn files(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    walk(dir, &mut all);
    let relative = all.iter().map(|path| path.strip_prefix(dir).unwrap().to_string_lossy().into_owned());
    relative.filter(|path| path.starts_with("q.db") || path.starts_with(".tenure-")).collect()
}

fn unknown(dir: &Path) -> Vec<String> {
    let rows = rows();
    files(dir).into_iter().filter(|path| !rows.iter().any(|row| matches(row, path))).collect()
}

#[test]
fn a_path_matches_its_row_and_no_other() {
    assert!(matches("q.db.d/runs/.ID.tmp-RANDOM", "q.db.d/runs/.17.tmp-00ff"));
    assert!(matches("q.db.d/results/ID...", "q.db.d/results/17") && matches("q.db.d/results/ID...", "q.db.d/results/17.tmp"));
    assert!(!matches("q.db.d/runs/ID", "q.db.d/runs/x") && !matches("q.db", "q.db-wal"));
}

#[test]
fn after_a_storm_of_kills_nothing_is_left_but_what_a_row_allows() {
    let mut dice = Dice::new(seed());
    let nest = Nest::new();
    nest.ok(&["queue", "resume", "default"]);
    let mut command = nest.tenure(&["add", "--array", "0-59", "--retries", "9", "--backoff", "0s..0s", "--secret", "TOKEN"]);
    command
        .args(["--", "/bin/sh", "-c", "echo $TENURE_RUN >$TENURE_RESULT; echo x >$TENURE_RESULT.part; echo out"])
        .env("TOKEN", "s3cret");
    assert!(command.output().unwrap().status.success());
    for _ in 0..12 {
        let mut worker = nest.tenure(&["work", "--slots", "4", "--tick", "50ms"]).stderr(Stdio::null()).spawn().unwrap();
        let mut backup = nest.tenure(&["backup", "--overwrite", "saved"]).stderr(Stdio::null()).spawn().unwrap();
        // The kill may come at any point: that is the test.
        std::thread::sleep(Duration::from_millis(20 + dice.below(150)));
        kill_child(&mut backup);
        kill_child(&mut worker);
        assert_eq!(unknown(nest.path()), [""; 0], "each has a row");
    }
    nest.work_until_idle(&["--tick", "50ms"]);
    let worker = nest.work(&["--tick", "50ms"]);
    let left = ["runs", "results", "secrets", "leases"];
    until("the sweeps to have found everything", || {
        let rest: usize = left.iter().map(|dir| std::fs::read_dir(nest.beside().join(dir)).map_or(0, Iterator::count)).sum();
        let copies = files(nest.path()).iter().filter(|path| path.starts_with(".tenure-")).count();
        (rest + copies == 0).then_some(())
    });
    assert_eq!(worker.stop(), 0);
}

#[test]
fn each_kind_of_leftover_is_swept_by_the_next_worker() {
    let nest = Nest::new();
    let job = nest.sh(&[], "echo out");
    nest.work_until_idle(&[]);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let log = PathBuf::from(nest.show(job)["runs"][0]["log"].as_str().unwrap());
    // As a prune that is killed between its commit and the removal of the log.
    let saved = std::fs::read(&log).unwrap();
    nest.ok(&["prune", "--older-than", "0s"]);
    assert!(!log.exists());
    std::fs::write(&log, saved).unwrap();
    let kept = nest.sh(&[], "echo kept");
    nest.work_until_idle(&[]);
    let kept_log = PathBuf::from(nest.show(kept)["runs"][0]["log"].as_str().unwrap());
    let beside = nest.beside();
    let hex = "0123456789abcdef0123456789abcdef";
    let planted = [
        beside.join(format!("results/{run}")),
        beside.join(format!("results/{run}.part")),
        beside.join("results/999999"),
        beside.join("runs/.7.tmp-00000000000000ff"),
        beside.join(format!("secrets/{hex}")),
        beside.join(format!("leases/{hex}")),
        beside.join("stamp.new"),
        beside.join("home.new"),
        beside.join("blocked"),
        nest.file(&format!(".tenure-{hex}.tmp/copy")),
    ];
    for path in &planted {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "left").unwrap();
    }
    std::fs::create_dir_all(beside.join(format!("results/{run}.dir/deep"))).unwrap();
    let worker = nest.work(&["--tick", "50ms"]);
    let all = || planted.iter().chain([&log]).filter(|path| path.exists()).cloned().collect::<Vec<_>>();
    let mut left = all();
    until("everything to be swept", || {
        left = all();
        left.is_empty().then_some(())
    });
    assert!(!beside.join(format!("results/{run}.dir")).exists() && kept_log.exists());
    assert!(!nest.file(&format!(".tenure-{hex}.tmp")).exists());
    worker.stop();
    assert_eq!(unknown(nest.path()), [""; 0]);
}

#[test]
fn a_copy_that_is_being_made_is_not_swept() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    let hex = "0123456789abcdef0123456789abcdef";
    let directory = nest.file(&format!(".tenure-{hex}.tmp"));
    std::fs::create_dir(&directory).unwrap();
    let held = std::fs::File::open(&directory).unwrap();
    held.lock().unwrap();
    nest.ok(&["backup", "saved"]);
    assert!(directory.exists());
    // Not only closed: a child that another test has forked has a copy of it until it executes its program.
    held.unlock().unwrap();
    nest.ok(&["backup", "--overwrite", "saved"]);
    assert!(!directory.exists());
}

/// Another user has been there first, in a directory like /tmp.
#[test]
fn a_planted_file_of_another_user_is_refused_first() {
    const OTHER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return crate::support::untested::not_tested("files of another user", "root");
    }
    use std::os::unix::fs::PermissionsExt;
    let mut cases = 0;
    for name in ["q.db", "q.db-wal", "q.db-shm", "q.db-journal", "q.db.d", "q.db.d/secrets", "q.db.d/runs", "q.db.d/logs"] {
        for kind in ["link to a directory", "link to a file", "link to nothing", "directory", "file"] {
            for verb in ["add", "work"] {
                let nest = Nest::new();
                let (public, theirs) = (nest.file("public"), nest.file("theirs"));
                for dir in [&public, &theirs] {
                    std::fs::create_dir(dir).unwrap();
                    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o1777)).unwrap();
                }
                std::fs::write(theirs.join("file"), "theirs").unwrap();
                let path = public.join(name);
                if name.contains('/') {
                    std::fs::create_dir(public.join("q.db.d")).unwrap();
                    std::fs::set_permissions(public.join("q.db.d"), std::fs::Permissions::from_mode(0o1777)).unwrap();
                }
                match kind {
                    "link to a directory" => std::os::unix::fs::symlink(&theirs, &path).unwrap(),
                    "link to a file" => std::os::unix::fs::symlink(theirs.join("file"), &path).unwrap(),
                    "link to nothing" => std::os::unix::fs::symlink(theirs.join("new"), &path).unwrap(),
                    "directory" => std::fs::create_dir(&path).unwrap(),
                    _ => std::fs::write(&path, "").unwrap(),
                }
                std::os::unix::fs::lchown(&path, Some(OTHER), Some(OTHER)).unwrap();
                let args: &[&str] = if verb == "add" {
                    &["add", "--secret", "TOKEN", "--", "true"]
                } else {
                    &["--allow-shared", "work", "--until-idle"]
                };
                let mut command: Command = nest.tenure(args);
                command.env("TENURE_DB", public.join("q.db")).env("TOKEN", "s3cret");
                let told = crate::support::said(command.output().unwrap());
                assert_eq!(told.code, 4, "{name}, {kind}, {verb}: {told:?}");
                let mut found = Vec::new();
                walk(&theirs, &mut found);
                assert_eq!(found, [theirs.join("file")], "{name}, {kind}, {verb}: nothing is written where they want it");
                assert_eq!(std::fs::read_to_string(theirs.join("file")).unwrap(), "theirs");
                let mut all = Vec::new();
                walk(nest.path(), &mut all);
                let has_secret = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.windows(6).any(|w| w == b"s3cret"));
                assert!(!all.iter().any(has_secret), "{name}, {kind}, {verb}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 80);
}
