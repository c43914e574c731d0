//! Root as a client of a service that another user runs: what root makes is that user's, and the worker continues.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::faces::unprivileged::PlainUser;
use crate::support::{Nest, Said, kill_child, said, until};

const OTHER: u32 = 65_534;

fn as_root(nest: &Nest, me: &PlainUser, args: &[&str], input: &str) -> Said {
    use std::io::Write;
    let mut command = nest.tenure(args);
    command.env("TENURE_DB", me.db()).env("TOKEN", "s3cret").current_dir(me.home());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    said(child.wait_with_output().unwrap())
}

fn of_root(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        // What a worker at work has just removed has no owner.
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            of_root(&path, found);
        }
        if meta.uid() != OTHER && path != dir.join("tenure") {
            found.push(path);
        }
    }
}

#[test]
fn what_root_makes_belongs_to_the_user_of_the_file() {
    if !crate::faces::said::is_root("root as a client of another user's service") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    // The first client makes the file.
    let added = as_root(&nest, &me, &["add", "--label", "first", "--", "id", "-u"], "");
    assert_eq!(added.code, 0, "{added:?}");
    me.ok(&["work", "--until-idle"]);
    assert_eq!(me.ok(&["logs", "1"]), "65534");
    let mut worker = me.tenure(&["work", "--tick", "100ms"]).stderr(Stdio::null()).spawn().unwrap();
    until("the worker", || me.say(&["status", "--json"]).out.contains("\"pid\"").then_some(()));
    let verbs: [(&[&str], &str, u8); 14] = [
        (&["add", "--secret", "TOKEN", "-c", "echo $TOKEN"], "", 0),
        (&["add", "--stdin", "-", "--", "cat"], "typed", 0),
        (&["run", "-c", "echo out"], "", 0),
        (&["lease", "run", "x", "--", "true"], "", 0),
        (&["add", "--hold", "--", "sleep", "600"], "", 0),
        (&["release", "last"], "", 0),
        (&["cancel", "last"], "", 0),
        (&["queue", "set", "q", "--slots", "2"], "", 0),
        (&["schedule", "add", "s", "@daily", "--", "true"], "", 0),
        (&["workspace", "ls"], "", 0),
        (&["resource", "ls"], "", 0),
        (&["doctor"], "", 0),
        (&["backup", "saved.db"], "", 0),
        (&["prune", "--older-than", "1d"], "", 0),
    ];
    for (args, input, code) in verbs {
        let told = as_root(&nest, &me, args, input);
        assert_eq!(told.code, i32::from(code), "{args:?}: {told:?}");
        let mut found = Vec::new();
        of_root(me.home(), &mut found);
        found.retain(|path| !path.starts_with(me.home().join("saved.db")) && !path.starts_with(me.home().join("saved.db.d")));
        assert!(found.is_empty(), "{args:?}: {found:?}");
    }
    for (id, log) in [("2", "s3cret"), ("3", "typed")] {
        assert_eq!(me.ok(&["wait", id, "--timeout", "60s"]), "");
        assert_eq!(me.ok(&["logs", id]), log);
    }
    kill_child(&mut worker);
    let repaired = as_root(&nest, &me, &["doctor", "--fix"], "");
    assert_eq!(repaired.code, 4, "what a worker does is done as the user of the file: {repaired:?}");
    let restored = as_root(&nest, &me, &["restore", "saved.db"], "");
    assert_eq!(restored.code, 0, "{restored:?}");
    let mut found = Vec::new();
    of_root(&me.home().join("q.db.d"), &mut found);
    assert_eq!((found, std::fs::metadata(me.db()).unwrap().uid()), (Vec::new(), OTHER), "after a restore");
    me.ok(&["work", "--until-idle"]);
}

#[test]
fn doctor_as_root_says_whose_worker_is_to_be_started() {
    if !crate::faces::said::is_root("root as a client of another user's service") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    me.ok(&["run", "--", "true"]);
    let healthy = as_root(&nest, &me, &["doctor"], "");
    assert!(healthy.out.contains("runuser -u \"$(id -un 65534)\" -- tenure work"), "{healthy:?}");
    assert!(!healthy.out.contains("WRONG  permissions"), "{healthy:?}");
    crate::faces::unprivileged::open(&me.db(), "o+w");
    let log = me.home().join("q.db.d/logs");
    std::os::unix::fs::chown(&log, Some(1), None).unwrap();
    let open = as_root(&nest, &me, &["doctor"], "");
    assert!(open.out.contains("WRONG  permissions"), "{open:?}");
    for remedy in [format!("chmod go-w {}", me.db().display()), format!("chown 65534 {}", log.display())] {
        assert!(open.out.contains(&remedy), "{open:?}");
        assert!(std::process::Command::new("sh").args(["-c", &remedy]).status().unwrap().success());
    }
    assert!(!as_root(&nest, &me, &["doctor"], "").out.contains("WRONG  permissions"));
}

#[test]
fn root_is_not_led_astray_by_what_the_user_has_planted() {
    if !crate::faces::said::is_root("root as a client of another user's service") {
        return;
    }
    for name in ["gate", "turn", "stamp.new", "home.new"] {
        for link in ["dangling", "symbolic", "hard"] {
            let nest = Nest::new();
            let me = PlainUser::new(&nest);
            me.ok(&["run", "--", "true"]);
            me.ok(&["backup", "saved.db"]);
            let secret = nest.file("of-root");
            if link != "dangling" {
                std::fs::write(&secret, "root's").unwrap();
            }
            let planted = me.home().join("q.db.d").join(name);
            let _not_there = std::fs::remove_file(&planted);
            match link {
                "hard" => std::fs::hard_link(&secret, &planted).unwrap(),
                _ => std::os::unix::fs::symlink(&secret, &planted).unwrap(),
            }
            as_root(&nest, &me, &["add", "--", "true"], "");
            as_root(&nest, &me, &["restore", "saved.db"], "");
            match std::fs::metadata(&secret) {
                Ok(meta) => {
                    assert_eq!((meta.uid(), link != "dangling"), (0, true), "{name}, {link}");
                    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "root's", "{name}, {link}");
                }
                Err(_) => assert_eq!(link, "dangling", "{name}"),
            }
        }
    }
}

#[test]
fn a_log_that_root_is_about_to_give_away_is_waited_for() {
    if !crate::faces::said::is_root("root as a client of another user's service") {
        return;
    }
    let nest = Nest::new();
    let me = PlainUser::new(&nest);
    me.ok(&["run", "--", "true"]);
    for verb in [["work", "--until-idle"].as_slice(), &["add", "--", "true"], &["ls", "-a"]] {
        let made: Vec<PathBuf> = ["wal", "shm"].map(|end| me.home().join(format!("q.db-{end}"))).to_vec();
        for path in &made {
            assert!(!path.exists(), "the last command was the last to have the file open");
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let child = me.tenure(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // By now it has most likely looked: the time between the two steps of another process is what the test is about.
        std::thread::sleep(std::time::Duration::from_millis(300));
        made.iter().for_each(|path| std::os::unix::fs::chown(path, Some(OTHER), Some(OTHER)).unwrap());
        let told = said(child.wait_with_output().unwrap());
        assert_eq!(told.code, 0, "{verb:?}: {told:?}");
    }
}
