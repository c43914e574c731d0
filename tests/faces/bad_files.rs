//! Files that are none of ours, damaged, newer, read-only, or in the wrong place: 4, a remedy, and nothing changed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Dice, Nest, Said, said, seed};

const READS: &[&[&str]] = &[&["ls"], &["status"], &["show", "1"], &["why", "1"], &["doctor"]];
const WRITES: &[&[&str]] = &[&["add", "--", "true"], &["cancel", "1"], &["work", "--until-idle"], &["run", "--", "true"]];

fn assert_refused(what: &str, nest: &Nest, db: &Path, words: &[&str]) {
    let before = std::fs::read(db).ok();
    for args in READS.iter().chain(WRITES) {
        let said = nest.say(&[&["--db", db.to_str().unwrap()], *args].concat());
        assert_eq!(said.code, 4, "{what}, {args:?}: {said:?}");
        let text = format!("{}{}", said.out, said.err);
        assert!(words.iter().any(|word| text.contains(word)), "{what}, {args:?}: none of {words:?} in {text}");
        assert!(!text.contains("panicked") && !text.contains("sqlite:"), "{what}, {args:?}: {text}");
    }
    assert_eq!(std::fs::read(db).ok(), before, "{what}: not a byte of it was changed");
}

fn jobs(nest: &Nest) -> usize {
    nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len()
}

/// Three jobs, one of them done, all in the main file.
fn filled() -> Nest {
    let nest = Nest::new();
    nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    for _ in 0..200 {
        nest.sh_held();
    }
    nest.sql().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    nest
}

impl Nest {
    fn sh_held(&self) {
        self.sql()
            .execute("INSERT INTO job (command, user_hold, label) VALUES (json_array('true'), 1, hex(randomblob(400)))", [])
            .unwrap();
    }
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_is() {
    let nest = Nest::new();
    let png = nest.file("picture.png");
    std::fs::write(&png, [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 9000]].concat()).unwrap();
    assert_refused("a picture", &nest, &png, &["no tenure file", "not a tenure file"]);
    let text = nest.file("notes.txt");
    std::fs::write(&text, "dear diary").unwrap();
    assert_refused("a text", &nest, &text, &["tenure file"]);
    let other = nest.file("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE job (id INTEGER PRIMARY KEY); INSERT INTO job VALUES (1);")
        .unwrap();
    assert_refused("another program's database", &nest, &other, &["another program"]);
    let dir = nest.file("dir");
    std::fs::create_dir(&dir).unwrap();
    assert_refused("a directory", &nest, &dir, &["directory"]);
    let pipe = nest.file("pipe");
    Command::new("mkfifo").arg(&pipe).status().unwrap();
    let said = nest.say(&["--db", pipe.to_str().unwrap(), "ls"]);
    assert_eq!(said.code, 4, "a pipe keeps no command waiting: {said:?}");
    let said = nest.say(&["--db", pipe.to_str().unwrap(), "add", "--", "true"]);
    assert_eq!(said.code, 4, "{said:?}");
    for path in ["/dev/null", "/dev/zero", "/proc/version", "/no/such/dir/\u{202e}/q.db/"] {
        let said = nest.say(&["--db", path, "ls"]);
        assert_eq!(said.code, 4, "{path}: {said:?}");
    }
    assert!(nest.say(&["--db", "/proc/nope/q.db", "add", "--", "true"]).code != 0);
    let left: Vec<_> = std::fs::read_dir(nest.path()).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with("-wal") || name.ends_with("-shm")), "nothing was put beside them: {left:?}");
}

#[test]
fn a_file_that_is_newer_is_refused_and_says_what_to_do() {
    let nest = filled();
    let version: i32 = nest.sql().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    nest.sql().execute_batch("PRAGMA user_version = 9999; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_refused("newer", &nest, &nest.db(), &["newer"]);
    nest.sql().execute_batch(&format!("PRAGMA user_version = {version}; PRAGMA wal_checkpoint(TRUNCATE)")).unwrap();
    assert_eq!(jobs(&nest), 201, "nothing is lost");
}

#[test]
fn a_damaged_file_is_reported_and_a_backup_restores_it() {
    let nest = filled();
    nest.ok(&["backup", "copy.db"]);
    let whole = std::fs::read(nest.db()).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 40, "{pages} pages");
    let damages: Vec<(&str, Vec<u8>)> = vec![
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("cut to its header", whole[..100].to_vec()),
        ("the first page is noise", [vec![0xa5; 4096], whole[4096..].to_vec()].concat()),
        ("the schema is noise", [whole[..100].to_vec(), vec![0xa5; 3996], whole[4096..].to_vec()].concat()),
        ("every page but the first is noise", [whole[..4096].to_vec(), vec![0xa5; whole.len() - 4096]].concat()),
    ];
    for (what, bytes) in damages {
        std::fs::write(nest.db(), &bytes).unwrap();
        for args in
            [&["ls", "-a"][..], &["add", "--", "true"], &["work", "--until-idle"], &["status"], &["doctor"], &["show", "1"]]
        {
            let said = nest.say(args);
            let text = format!("{}{}", said.out, said.err);
            assert!(said.code == 4 || (said.code == 1 && args == ["doctor"]), "{what}, {args:?}: {said:?}");
            assert!(!text.contains("panicked"), "{what}, {args:?}: {text}");
            assert!(
                text.contains("restore") || text.contains("tenure file") || text.contains("doctor"),
                "{what}, {args:?}: {text}"
            );
        }
        let mut restored = nest.say(&["restore", "copy.db"]);
        if restored.code == 4 && restored.err.contains("move it away") {
            std::fs::rename(nest.db(), nest.file("away.db")).unwrap(); // a file that cannot be told from another program's
            restored = nest.say(&["restore", "copy.db"]);
        }
        assert_eq!(restored.code, 0, "{what}: {restored:?}");
        assert!(restored.err.contains("kept as") || restored.err.contains("held"), "{restored:?}");
        assert_eq!(jobs(&nest), 201, "{what}: all of it is back");
        assert!(nest.say(&["doctor"]).out.contains("integrity"));
    }
}

#[test]
fn flipped_bytes_never_panic_and_never_lose_what_can_be_read() {
    let nest = filled();
    nest.ok(&["backup", "copy.db"]);
    let whole = std::fs::read(nest.db()).unwrap();
    let mut dice = Dice::new(seed());
    for _ in 0..12 {
        let mut bytes = whole.clone();
        for _ in 0..1 + dice.index(40) {
            let at = dice.index(bytes.len());
            bytes[at] ^= 1 << dice.index(8);
        }
        std::fs::write(nest.db(), &bytes).unwrap();
        for args in
            [&["ls", "-a"][..], &["doctor"], &["add", "--", "true"], &["work", "--until-idle"], &["show", "1-9"], &["why", "1"]]
        {
            let said = nest.say(args);
            let text = format!("{}{}", said.out, said.err);
            assert!([0, 1, 3, 4, 6].contains(&said.code), "{args:?}: {said:?}");
            assert!(!text.contains("panicked") && !text.contains("internal error"), "{args:?}: {text}");
        }
        assert_eq!(nest.say(&["restore", "copy.db"]).code, 0);
        assert_eq!(jobs(&nest), 201);
    }
}

#[test]
fn a_hard_link_is_refused_and_a_symbolic_link_is_followed() {
    let nest = filled();
    std::os::unix::fs::symlink(nest.db(), nest.file("link.db")).unwrap();
    let listed = nest.json(&["--db", "link.db", "ls", "-a", "--json"]);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 201);
    assert!(!nest.file("link.db.d").exists(), "what stands beside it stands beside the file itself");
    std::fs::hard_link(nest.db(), nest.file("second.db")).unwrap();
    assert_refused("a second name", &nest, &nest.db(), &["hard link", "link"]);
    assert_refused("the second name", &nest, &nest.file("second.db"), &["hard link", "link"]);
    std::fs::remove_file(nest.file("second.db")).unwrap();
    assert_eq!(jobs(&nest), 201);
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

#[test]
fn a_read_only_file_says_so_and_is_read_where_possible() {
    let nest = Nest::new();
    let me = crate::faces::unprivileged::PlainUser::new(&nest);
    me.ok(&["run", "--", "true"]);
    let refused = |what: &str, said: &Said| {
        assert_eq!(said.code, 4, "{what}: {said:?}");
        assert!(
            said.err.contains("permission") || said.err.contains("ermitted") || said.err.contains("denied"),
            "{what}: {said:?}"
        );
        assert!(!said.err.contains("panicked"));
    };
    mode(&me.db(), 0o400);
    refused("a read-only file", &me.say(&["add", "--", "true"]));
    refused("a read-only file", &me.say(&["work", "--until-idle"]));
    mode(&me.db(), 0o000);
    refused("a closed file", &me.say(&["ls"]));
    refused("a closed file", &me.say(&["add", "--", "true"]));
    mode(&me.db(), 0o400);
    me.ok(&["ls"]); // makes a log that may only be read, as the file
    mode(&me.db(), 0o600);
    let stuck = me.say(&["add", "--", "true"]);
    assert_eq!(stuck.code, 4, "{stuck:?}");
    let remedy = stuck.err.split(['(', ')']).find(|part| part.starts_with("chmod u+rw ")).expect("a remedy");
    assert!(remedy.ends_with("-wal"), "{stuck:?}");
    ["wal", "shm"].iter().for_each(|end| crate::faces::unprivileged::open(&me.home().join(format!("q.db-{end}")), "u+rw"));
    me.ok(&["add", "--", "true"]);
    let beside = me.home().join("q.db.d");
    me.ok(&["work", "--until-idle"]);
    for dir in [beside.clone(), beside.join("runs"), beside.join("logs"), beside.join("results")] {
        mode(&dir, 0o500);
        let work = me.say(&["work", "--until-idle"]);
        assert_eq!(work.code, 4, "{work:?}");
        assert!(work.err.contains(&format!("chmod u+rwx {})", dir.display())), "{work:?}");
        mode(&dir, 0o700);
    }
    let closed = me.home().join("closed");
    std::fs::create_dir(&closed).unwrap();
    mode(&closed, 0o000);
    for verb in [&["ls"][..], &["add", "--", "true"], &["work", "--until-idle"]] {
        let beyond = closed.join("below/q.db");
        refused("a directory that lets no user in", &me.say(&[&["--db", beyond.to_str().unwrap()], verb].concat()));
    }
    mode(&closed, 0o500);
    std::os::unix::fs::chown(&closed, Some(65_534), None).unwrap_or(());
    let made = me.say(&["--db", closed.join("q.db").to_str().unwrap(), "add", "--", "true"]);
    assert_eq!(made.code, 4, "{made:?}");
    assert!(made.err.contains("ermission denied") || made.err.contains("permissions"), "{made:?}");
    assert_eq!(std::fs::read_dir(&closed).unwrap().count(), 0, "nothing half-made is left");
    assert_eq!(me.show("1")["state"], "done", "nothing is lost");
    me.ok(&["run", "--", "true"]);
}

#[test]
fn a_full_disk_is_reported_and_the_work_continues_with_space() {
    if !crate::faces::said::is_root("a full disk (it needs a mount)") {
        return;
    }
    let nest = Nest::new();
    let disk = nest.file("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return crate::support::untested::not_tested("a full disk", "a tmpfs that may be mounted");
    }
    let _unmount = Mounted(disk.clone());
    let db = disk.join("q.db");
    let db = db.to_str().unwrap();
    let ask = |args: &[&str]| nest.say(&[&["--db", db], args].concat());
    let show = |id: &str| nest.json(&["--db", db, "show", id, "--json"]);
    let wait = format!("while [ ! -e {}/go ]; do sleep 0.02; done; exit 3", nest.path().display());
    assert_eq!(ask(&["add", "-c", &wait]).out, "1\n");
    let mut worker = nest.tenure(&["--db", db, "work", "--tick", "100ms"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::support::until("the job to run", || show("1")["pid"].as_i64());
    std::fs::write(disk.join("filler"), vec![0; 16 << 20]).expect_err("the disk is full");
    let label = "x".repeat(900);
    let full = crate::support::until("no room to be left", || {
        Some(ask(&["add", "--hold", "-l", &label, "--", "true"])).filter(|said| said.code != 0)
    });
    assert_eq!(full.code, 1, "{full:?}");
    assert!(full.err.contains("disk is full") || full.err.contains("No space left"), "{full:?}");
    assert!(!full.err.contains("may have been added"), "it is known that nothing was: {full:?}");
    let before = nest.json(&["--db", db, "ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
    assert!(before >= 1, "what was accepted can be read on a full disk");
    let status = ask(&["status"]);
    assert!(status.out.contains("problem: the disk has"), "{status:?}");
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(ask(&["wait", "1", "--timeout", "60s"]).code, 3, "its end is recorded all the same");
    std::fs::remove_file(disk.join("filler")).unwrap();
    let last = ask(&["add", "--", "true"]);
    assert_eq!(last.code, 0, "with space it continues: {last:?}");
    assert_eq!(ask(&["wait", last.out.trim(), "--timeout", "60s"]).code, 0);
    let after = nest.json(&["--db", db, "ls", "-a", "--json"])["jobs"].as_array().unwrap().len();
    assert_eq!(after, before + 1, "nothing is lost, and nothing that was refused is there");
    crate::support::kill(worker.id() as i32, crate::support::Signal::TERM);
    worker.wait().unwrap();
    std::fs::write(disk.join("filler"), vec![0; 16 << 20]).expect_err("the disk is full");
    let alone = ask(&["ls"]);
    assert_eq!(alone.code, 1, "where no other process has it open, even a reader needs room for the index of the log: {alone:?}");
    assert!(alone.err.contains("the disk is full"), "{alone:?}");
}

/// Unmounts at the end, before the nest goes.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone_already = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Each command on a file system that is mounted read-only, and on one that became so, which a mount over it does as well.
#[test]
fn a_read_only_file_system_is_named_as_that_by_each_command() {
    let can = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return crate::support::untested::not_tested(
            "a read-only file system",
            "mount namespaces: unshare of util-linux, and root",
        );
    }
    let commands = [
        "add -- true",
        "run -- true",
        "work --until-idle",
        "cancel 1",
        "set 1 priority=3",
        "hold 1",
        "retry 1",
        "prune --older-than 1d",
        "queue set q --slots 2",
        "lease run x -- true",
        "ls",
        "show 1",
        "why 1",
        "wait 1",
        "logs 1",
        "history 1",
        "status",
        "doctor",
        "backup ../backup",
    ];
    let nest = Nest::new();
    std::fs::create_dir(nest.file("mnt")).unwrap();
    let lines: Vec<String> =
        commands.iter().map(|command| format!("echo \"== {command}\"; $T {command} 2>&1; echo \"code $?\"")).collect();
    let script =
        format!("set -e; mount -t tmpfs none mnt; cd mnt; $T add -- true; mount -o remount,ro .; set +e; {}", lines.join("; "));
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &script]).current_dir(nest.path()).stdin(Stdio::null());
    shell.env("T", env!("CARGO_BIN_EXE_tenure")).env("TENURE_DB", nest.file("mnt/q.db")).env("HOME", nest.path());
    let said = said(shell.output().unwrap());
    let answers: Vec<&str> = said.out.split("== ").skip(1).collect();
    assert_eq!(answers.len(), commands.len(), "{said:?}");
    for answer in answers {
        assert!(answer.contains("is on a read-only file system") && answer.trim_end().ends_with("code 4"), "{answer}");
    }
}

#[test]
fn a_disk_that_fails_is_not_said_to_be_full() {
    if !crate::support::strace::has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let program = nest.tenure(&["add", "--hold", "--", "true"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO"]);
    strace.arg(program.get_program()).args(program.get_args()).current_dir(nest.path()).env_clear();
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let failed = crate::support::said(strace.output().unwrap());
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("disk I/O error") && failed.err.contains("dmesg"), "{failed:?}");
    assert!(!failed.err.contains("full"), "{failed:?}");
}
