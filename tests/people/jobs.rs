//! A job of a user is that user: seen from inside.

use super::{ANN, BOB, Town, can_be_several, uid};
use crate::support::until;

fn of(user: &str, args: &[&str]) -> String {
    let said = std::process::Command::new("id").args(args).arg(user).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_job_runs_as_the_user_who_adds_it() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    for user in [ANN, BOB] {
        let seen = town.run(
            user,
            "id -u; id -g; id -G; grep -E '^(NoNewPrivs|Uid|Gid|CapEff|CapPrm|CapInh|CapAmb)' /proc/self/status; umask; pwd",
        );
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[..3], [of(user, &["-u"]), of(user, &["-g"]), of(user, &["-G"])], "{seen}");
        let id = uid(user);
        assert!(seen.contains(&format!("Uid:\t{id}\t{id}\t{id}\t{id}")), "{seen}");
        assert!(seen.contains("NoNewPrivs:\t1"), "{seen}");
        for set in ["CapEff", "CapPrm", "CapAmb"] {
            assert!(seen.contains(&format!("{set}:\t0000000000000000")), "{seen}");
        }
        assert_eq!(lines[lines.len() - 2..], ["0022", "/"], "{seen}");
    }
}

#[test]
fn a_job_has_nothing_of_the_environment_of_root() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let root = [("LANG", "xx_ROOT"), ("TMPDIR", "/root/tmp"), ("SECRET_OF_ROOT", "1"), ("LD_PRELOAD_OF_ROOT", "1")];
    let socket = town.socket();
    let mut env: Vec<(&str, &std::ffi::OsStr)> = root.iter().map(|(name, value)| (*name, std::ffi::OsStr::new(*value))).collect();
    env.push(("TENURE_PEOPLE_SOCKET", socket.as_os_str()));
    let _worker = town.nest.work_with(&["--system"], &env);
    until("the socket", || town.socket().exists().then_some(()));
    let seen = town.run(ANN, "env");
    let names: std::collections::BTreeSet<&str> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let fields = std::fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<&str> = fields.lines().find(|line| line.starts_with(&format!("{ANN}:"))).unwrap().split(':').collect();
    for line in [format!("HOME={}", fields[5]), format!("USER={ANN}"), format!("LOGNAME={ANN}"), format!("SHELL={}", fields[6])] {
        assert!(seen.lines().any(|one| one == line), "{line}: {seen}");
    }
    assert!(seen.contains("PATH=/usr/local/bin:/usr/bin:/bin") && seen.contains("TENURE_SYSTEM=true"), "{seen}");
    assert!(!names.contains("TENURE_DB") && !seen.contains("ROOT") && !seen.contains("/root"), "{seen}");
    let known = ["HOME", "USER", "LOGNAME", "SHELL", "PATH", "TERM", "PYTHONUNBUFFERED", "PWD", "OLDPWD", "SHLVL", "_"];
    let others: Vec<&&str> = names.iter().filter(|name| !known.contains(name) && !name.starts_with("TENURE_")).collect();
    assert_eq!(others, [&""; 0], "{seen}");
}

#[test]
fn a_job_keeps_its_result_and_reaches_no_file_of_root() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let id = town.add(ANN, &["-c", "echo first >$TENURE_RESULT; echo kept >$TENURE_RESULT"]);
    assert_eq!(town.say(ANN, &["wait", &id]).code, 0);
    assert_eq!(town.show(ANN, &id)["result"], "kept\n");
    let beside = town.nest.beside();
    let db = town.nest.db();
    for path in [&db, &beside, &beside.join("runs"), &beside.join("logs/000"), &beside.join("results"), &beside.join("add.sock")]
    {
        let line = format!("cat {0} || ls {0}/ || exit 9", path.display());
        let id = town.add(ANN, &["-c", &line]);
        assert_eq!(town.say(ANN, &["wait", &id]).code, 9, "{}: {}", path.display(), town.ok(ANN, &["logs", &id]));
    }
    // Neither the shim nor the worker can be signalled or traced; the descriptors are the three and the result.
    let seen = town
        .run(ANN, "kill -9 $PPID; ls /proc/self/fd | tr '\\n' ' '; ls -l /proc/$PPID/fd 2>&1 | head -1; cat /proc/$PPID/environ");
    assert!(seen.contains("0 1 2 3 ") && !seen.contains("PATH="), "{seen}");
}

#[test]
fn a_directory_is_entered_as_the_user() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let secret = town.nest.file("of-root");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("script"), "#!/of/root/interpreter\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let secret = secret.to_str().unwrap();
    let id = town.add(ANN, &["--cwd", secret, "--", "true"]);
    town.until_state(&id, "failed");
    assert_eq!(town.job(&id)["reason"], "spawn");
    // What root could find out of the file is not told.
    let there = town.add(ANN, &["--", &format!("{secret}/script")]);
    let missing = town.add(ANN, &["--", &format!("{secret}/missing")]);
    let error = |id: &str| {
        town.until_state(id, "failed");
        town.show(ANN, id)["error"].as_str().unwrap().replace("script", "X").replace("missing", "X")
    };
    assert_eq!(error(&there), error(&missing));
    assert!(!error(&there).contains("interpreter"), "{}", error(&there));
    let why = town.ok(ANN, &["why", &there]);
    assert!(!why.contains("interpreter") && why.replace("script", "X").contains("ermission"), "{why}");
}

#[test]
fn an_unknown_user_is_refused_at_the_door_and_at_the_start() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "54321", "--regid", "54321", "--clear-groups"]).arg(town.nest.file("tenure"));
    command.args(["--system", "add", "--", "true"]).env_clear().env("HOME", "/").env("TENURE_PEOPLE_SOCKET", town.socket());
    let said = crate::support::said(command.output().unwrap());
    assert!(said.code == 6 && said.err.contains("/etc/passwd"), "{said:?}");
    // One whose entry has vanished since.
    town.nest.sql().execute("INSERT INTO job (command, owner) VALUES ('[\"id\"]', 54321)", []).unwrap();
    let id = town.nest.sql().query_row("SELECT max(id) FROM job", [], |row| row.get::<_, i64>(0)).unwrap().to_string();
    town.until_state(&id, "failed");
    let job = town.job(&id);
    assert!(job["reason"] == "spawn" && job["error"].as_str().unwrap().contains("no such user"), "{job}");
}

/// What root does with a job of a user stays a job of that user, or is refused: never the user's words as root.
#[test]
fn what_root_does_with_a_job_does_not_make_it_roots() {
    if !can_be_several("jobs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let id = town.add(ANN, &["-c", "id -u"]);
    assert_eq!(town.say(ANN, &["wait", &id]).code, 0);
    let ann = uid(ANN).to_string();
    let again = town.nest.ok(&["rerun", &id]);
    let like = town.nest.ok(&["add", "--like", &id]);
    for id in [&again, &like] {
        town.until_state(id, "done");
        assert_eq!(town.job(id)["owner"], uid(ANN), "{id}");
        assert_eq!(town.nest.log(id.parse().unwrap()).trim(), ann);
    }
    // By the file: options that a user cannot give.
    let held = town.add(ANN, &["--hold", "-e", "BASH_ENV=/tmp/evil", "-c", "id -u"]);
    for (option, words) in
        [("user=root", "--user"), ("check=id", "--check"), ("on-end=id", "--on-end"), ("stdin=/etc/shadow", "--stdin")]
    {
        let copy = town.nest.ok(&["add", "--like", &held, "--hold"]);
        town.nest.ok(&["set", &copy, option]);
        town.nest.ok(&["release", &copy]);
        town.until_state(&copy, "failed");
        let job = town.job(&copy);
        assert!(job["reason"] == "spawn" && job["error"].as_str().unwrap().contains(words), "{option}: {job}");
        assert_eq!(town.nest.log(copy.parse().unwrap()), "", "{option}");
    }
    let last = town.nest.ok(&["add", "--", "true"]);
    let newer = town.add(ANN, &["--", "true"]);
    assert_ne!(newer, last);
    assert_eq!(town.nest.json(&["show", "last", "--json"])["id"].to_string(), last, "the newest of this user");
}
