//! Where the file is, who may read it, and which setting wins. What is printed for shells and readers of manuals.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Nest, Said, said};

fn with(nest: &Nest, args: &[&str], change: impl FnOnce(&mut Command)) -> Said {
    let mut command = nest.tenure(args);
    change(&mut command);
    said(command.output().unwrap())
}

fn source(nest: &Nest, key: &str, args: &[&str], change: impl FnOnce(&mut Command)) -> (String, String) {
    let said = with(nest, &[args, &["config", "--json"]].concat(), change);
    let config: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let setting = &config["settings"][key];
    let value = setting["value"].as_str().map_or_else(|| setting["value"].to_string(), str::to_owned);
    (value, setting["source"].as_str().unwrap().to_owned())
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let nest = Nest::new();
    std::fs::write(
        nest.file("config.toml"),
        "db = \"/from/file.db\"\nslots = 3\ncolor = \"never\"\nkeep = \"30d\"\n[floor]\nmemory = \"1G\"\n",
    )
    .unwrap();
    let file = nest.file("config.toml");
    let configured = |command: &mut Command| _ = command.env("TENURE_CONFIG", &file);
    let name = file.to_str().unwrap().to_owned();
    let from_file = |command: &mut Command| _ = command.env("TENURE_CONFIG", &file).env_remove("TENURE_DB");
    assert_eq!(source(&nest, "db", &[], from_file), ("/from/file.db".into(), name.clone()));
    assert_eq!(source(&nest, "db", &[], configured).1, "TENURE_DB");
    assert_eq!(source(&nest, "db", &["--db", "/flag.db"], configured), ("/flag.db".into(), "--db".into()));
    assert_eq!(source(&nest, "slots", &[], configured), ("3".into(), name.clone()));
    assert_eq!(
        source(&nest, "slots", &[], |command| _ = command.env("TENURE_CONFIG", &file).env("TENURE_SLOTS", "5")),
        ("5".into(), "TENURE_SLOTS".into())
    );
    assert_eq!(source(&nest, "slots", &[], |_| ()).1, "default");
    assert_eq!(source(&nest, "color", &["--color", "always"], configured), ("always".into(), "--color".into()));
    assert_eq!(source(&nest, "keep", &[], configured).0, "30d");
    assert_eq!(source(&nest, "floor.memory", &[], configured).0, "1.0G");
    let shown = with(&nest, &["config"], configured);
    assert!(shown.out.contains("30d") && shown.out.contains(&name), "{shown:?}");
}

#[test]
fn an_invalid_setting_is_refused_with_its_place() {
    let nest = Nest::new();
    for (text, word) in [
        ("slot = 3", "did you mean slots?"),
        ("slots = 0", "slots"),
        ("slots = \"x\"", "slots"),
        ("[floor]\nmemory = \"5\nx\"", "config.toml"),
        ("keep = \"5\"", "keep"),
        ("\x1b[2J", "config.toml"),
    ] {
        std::fs::write(nest.file("config.toml"), text).unwrap();
        let said = with(&nest, &["ls"], |command| _ = command.env("TENURE_CONFIG", nest.file("config.toml")));
        assert_eq!(said.code, 2, "{text:?}: {said:?}");
        assert!(said.err.contains(word) && said.err.contains("config.toml"), "{text:?}: {said:?}");
        assert!(!said.err.contains('\x1b'));
    }
    for (name, value) in [("TENURE_SLOTS", "many"), ("TENURE_DURABILITY", "none"), ("TENURE_FLOOR_LOAD", "-1")] {
        let said = with(&nest, &["ls"], |command| _ = command.env(name, value));
        assert!(said.code == 2 && said.err.contains(name), "{said:?}");
    }
    std::fs::write(nest.file("config.toml"), "repair = \"nonsense\"\n").unwrap();
    for verb in ["config", "ls", "work"] {
        let said = with(&nest, &[verb], |command| _ = command.env("TENURE_CONFIG", nest.file("config.toml")));
        assert_eq!(said.code, 2, "{verb}: {said:?}");
        assert!(said.err.contains("nonsense") || said.err.contains("repair"), "{verb}: {said:?}");
    }
}

/// A value for a key, as the file has it, and not the default.
fn sample(key: &str) -> &'static str {
    match key {
        "db" => "\"/srv/let's one.db\"",
        "slots" => "3",
        "durability" => "\"full\"",
        "keep" => "\"1h 30m 5s\"",
        "log_limit" => "\"1234567\"",
        "drain" | "allow_shared" | "system" => "true",
        "people.socket" => "\"/srv/tenure/s.sock\"",
        "people.group" => "\"operators\"",
        "people.queues" => "\"default,night\"",
        "people.max_queued" | "people.max_running" | "people.max_kept" => "7",
        "people.log_space" => "\"2G\"",
        "on_term" => "\"end\"",
        "stop_timeout" => "\"90s\"",
        "color" => "\"never\"",
        "floor.memory" | "floor.disk" | "workspace.max_size" => "\"1.5G\"",
        "floor.load" => "7.5",
        "repair" | "handover" => "false",
        other => panic!("no sample for {other}"),
    }
}

#[test]
fn each_setting_has_one_name_wherever_it_stands() {
    let nest = Nest::new();
    let file = nest.file("config.toml");
    let settings = |nest: &Nest, text: &str| -> serde_json::Value {
        std::fs::write(&file, text).unwrap();
        let said = with(nest, &["config", "--json"], |command| _ = command.env("TENURE_CONFIG", &file).env_remove("TENURE_DB"));
        assert_eq!(said.code, 0, "{text}: {said:?}");
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()["settings"].clone()
    };
    let page = include_str!("../../docs/operating.md");
    let section = page.split_once("\n## Settings\n").unwrap().1.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let documented: Vec<&str> = rows.map(|line| line.split('`').nth(1).unwrap()).collect();
    let printed = settings(&nest, "");
    let printed: Vec<&String> = printed.as_object().unwrap().keys().collect();
    assert_eq!(printed, documented, "what is printed is what is documented");
    // Tables: their test is `hooks_and_pools_are_tables`.
    for key in documented.into_iter().filter(|key| !["hooks", "pool"].contains(key)) {
        // What is printed can be written, and comes back as it was written.
        let changed = settings(&nest, &format!("{key} = {}\n", sample(key)));
        assert_eq!(changed[key]["source"], file.to_str().unwrap(), "{key}");
        let value = &changed[key]["value"];
        assert_eq!(settings(&nest, &format!("{key} = {value}\n"))[key]["value"], *value, "{key}");
        // The same as a table, by its name alone, and from the environment.
        if let Some((table, name)) = key.split_once('.') {
            assert_eq!(settings(&nest, &format!("[{table}]\n{name} = {value}\n"))[key]["value"], *value, "{key}");
        }
        let alone = with(&nest, &["config", key], |command| _ = command.env("TENURE_CONFIG", &file).env_remove("TENURE_DB"));
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!((alone.code, alone.out.as_str()), (0, format!("{text}\n").as_str()), "{key}");
        let name = format!("TENURE_{}", key.to_uppercase().replace('.', "_"));
        assert_eq!(source(&nest, key, &[], |command| _ = command.env(&name, &text)), (text.clone(), name.clone()), "{key}");
        assert!(
            section.lines().any(|line| line.starts_with(&format!("| `{key}` | `{name}` |"))),
            "{key} has {name} in the table"
        );
        let wrong = with(&nest, &["config", &format!("{key}s")], |_| ());
        assert!(wrong.code == 2 && wrong.err.contains(&format!("did you mean {key}?")), "{wrong:?}");
    }
}

#[test]
fn hooks_and_pools_are_tables() {
    let nest = Nest::new();
    let file = nest.file("config.toml");
    let text = "[hooks]\non_failure = 'tell me'\n[hooks.night]\nqueue = 'n*'\nreason = 'lost'\non_end = ['a', 'b']\n";
    std::fs::write(&file, text).unwrap();
    let config = |args: &[&str]| with(&nest, args, |command| _ = command.env("TENURE_CONFIG", &file));
    assert_eq!(config(&["config", "hooks"]).out, "on_failure of hooks, on_end of night\n");
    let document: serde_json::Value = serde_json::from_str(&config(&["config", "hooks", "--json"]).out).unwrap();
    let night = serde_json::json!({"name": "night", "event": "on_end", "command": ["a", "b"], "queue": "n*", "label": null,
                                   "reasons": ["lost"]});
    assert_eq!(document["settings"]["hooks"]["value"][1], night, "{document}");
    std::fs::write(&file, "[pool]\ngpu = 2\nlicense = 5\n").unwrap();
    assert_eq!(config(&["config", "pool"]).out, "gpu=2, license=5\n");
    std::fs::write(&file, "pool.GPU = 1").unwrap();
    assert!(config(&["config"]).err.contains("pool.GPU"));
    for wrong in ["hooks = 3", "hooks.on_fail = 'x'", "[hooks.night]\nqueue = 'n'", "hooks.on_end = ''"] {
        std::fs::write(&file, wrong).unwrap();
        let said = config(&["config"]);
        assert!(said.code == 2 && said.err.contains("hooks") && said.err.contains("config.toml"), "{wrong}: {said:?}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777
}

/// Everything below a directory.
fn below(directory: &Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn all_files_are_private_to_their_user_under_any_umask() {
    let nest = Nest::new();
    let db = nest.file("deep/er/q.db");
    let line =
        format!("umask 000; {0} --db {1} run -- true && {0} --db {1} backup copy.db", env!("CARGO_BIN_EXE_tenure"), db.display());
    let ran = Command::new("sh").args(["-c", &line]).current_dir(nest.path()).env("TENURE_CONFIG", "/dev/null").output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(mode(db.parent().unwrap()), 0o700);
    for path in below(db.parent().unwrap()) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    assert_eq!(mode(&nest.file("copy.db")), 0o600, "a copy holds what the file holds");
}

#[test]
fn the_default_place_is_below_the_state_directory_of_the_user() {
    let nest = Nest::new();
    let unprivileged = crate::faces::unprivileged::PlainUser::new(&nest);
    let mut add = unprivileged.tenure(&["add", "--", "true"]);
    let added = said(add.env_remove("TENURE_DB").env("XDG_STATE_HOME", unprivileged.home().join("state")).output().unwrap());
    assert_eq!(added.code, 0, "{added:?}");
    assert!(unprivileged.home().join("state/tenure/tenure.db").is_file());
    let mut add = unprivileged.tenure(&["add", "--", "true"]);
    let added = said(add.env_remove("TENURE_DB").env_remove("XDG_STATE_HOME").output().unwrap());
    assert_eq!(added.code, 0, "{added:?}");
    assert!(unprivileged.home().join(".local/state/tenure/tenure.db").is_file());
    let mut add = unprivileged.tenure(&["add", "--", "true"]);
    let lost = said(add.env_remove("TENURE_DB").env_remove("XDG_STATE_HOME").env_remove("HOME").output().unwrap());
    assert!(lost.code == 2 && lost.err.contains("--db"), "{lost:?}");
}

#[test]
fn a_reader_of_a_missing_file_says_so_and_makes_nothing() {
    let nest = Nest::new();
    let readers: &[&[&str]] = &[
        &["status"],
        &[],
        &["ls"],
        &["show", "1"],
        &["logs", "1"],
        &["wait", "1"],
        &["why", "1"],
        &["history", "1"],
        &["cancel", "1"],
        &["retry", "1"],
        &["set", "1", "priority=1"],
        &["hold", "1"],
        &["release", "1"],
        &["queue", "ls"],
        &["lane", "ls"],
        &["doctor"],
        &["backup", "copy.db"],
        &["prune", "--older-than", "1d"],
        &["ls", "--json"],
    ];
    for args in readers {
        let said = nest.say(args);
        assert_eq!(said.code, 4, "{args:?}: {said:?}");
        let is_doctor = args.contains(&"doctor");
        let text = if is_doctor { &said.out } else { &said.err };
        assert!(text.contains("q.db") && text.contains("tenure add"), "what to do: {said:?}");
        assert!(is_doctor || said.out.is_empty(), "{said:?}");
    }
    assert_eq!(std::fs::read_dir(nest.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn shells_and_readers_of_manuals_get_something_and_need_no_file() {
    let nest = Nest::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = nest.say(&["completions", shell]);
        assert!(said.code == 0 && said.out.contains(&format!("tenure complete {shell} -- ")), "{shell}: {}", said.out.len());
        let script = nest.file(shell);
        std::fs::write(&script, &said.out).unwrap();
        if let Ok(output) = Command::new(shell).arg("-n").arg(&script).output() {
            assert!(output.status.success(), "{shell} reads it: {output:?}");
        }
    }
    for shell in ["elvish", "powershell"] {
        let said = nest.say(&["completions", shell]);
        assert!(said.code == 0 && said.out.len() > 5_000 && said.out.contains("until-idle"), "{shell}: {}", said.out.len());
    }
    let man = nest.say(&["man"]);
    assert!(
        man.code == 0
            && man.out.contains(".TH")
            && man.out.contains("tenure\\-work")
            && man.out.contains("EXIT STATUS")
            && man.out.contains("124"),
        "{}",
        man.out.len()
    );
    assert_eq!(nest.say(&["completions", "cmd.exe"]).code, 2);
    assert!(nest.ok(&["--version"]).starts_with("tenure 0."));
    let broken = with(&nest, &["man"], |command| _ = command.env("TENURE_CONFIG", "/no/such/file").env("TENURE_SLOTS", "x"));
    assert_eq!(broken.code, 0, "{broken:?}");
}
