//! What is warned of when a job is added: a program that will not be found, or that is another one for the worker.

use std::path::Path;
use std::process::Command;

use crate::support::{Nest, Said, said};

const SYSTEM: &str = "/usr/bin:/bin";

/// A nest with a directory of programs for the person and one for the worker.
fn nest() -> Nest {
    let nest = Nest::new();
    let make = "mkdir venv sys gone.d
        for dir in venv sys; do printf '#!/bin/sh\\necho from-%s\\n' $dir > $dir/tool; chmod +x $dir/tool; done
        cp venv/tool venv/mine; cp sys/tool sys/theirs
        printf '#!/bin/sh\\r\\n' > crlf; chmod +x crlf; cp crlf sys/badly; printf '#!/usr/bin/env -S sh -e\\r\\n' > argument; chmod +x argument; : > plain
        ln -s sys alias; ln -s ../sys/tool venv/linked; ln -s tool sys/linked
        mkdir -p py/bin; : > py/pyvenv.cfg; ln -s ../../sys/tool py/bin/python; ln -s tool sys/python";
    let made = Command::new("sh").args(["-euc", make]).current_dir(nest.path()).status().unwrap();
    assert!(made.success());
    nest
}

/// With the person's PATH: these directories of the nest, and those of the system.
fn say(nest: &Nest, dirs: &[&str], args: &[&str]) -> Said {
    said(nest.tenure(args).env("PATH", path(nest, dirs)).output().unwrap())
}

fn path(nest: &Nest, dirs: &[&str]) -> String {
    let dirs = dirs.iter().map(|dir| nest.file(dir).display().to_string());
    dirs.chain([SYSTEM.to_owned()]).collect::<Vec<_>>().join(":")
}

/// The ways to ask for a command.
const WAYS: &[&str] = &["add", "schedule", "from", "pipeline"];

/// What is said on stderr when a command is asked for in this way.
fn ask(nest: &Nest, way: &str, dirs: &[&str], argv: &[&str]) -> String {
    let argv_text = serde_json::to_string(argv).unwrap();
    let asked = match way {
        "add" => say(nest, dirs, &[&["add", "--hold", "--"], argv].concat()),
        "schedule" => {
            let asked = say(nest, dirs, &[&["schedule", "add", "s", "0 0 1 1 *", "--"], argv].concat());
            nest.ok(&["schedule", "rm", "s"]);
            asked
        }
        "from" => {
            std::fs::write(nest.file("jobs"), format!("{{\"command\": {argv_text}, \"hold\": true}}\n")).unwrap();
            say(nest, dirs, &["add", "--from", "jobs"])
        }
        _ => {
            let file = format!("[pipeline.p]\nstart = \"s\"\n[pipeline.p.stage.s]\ncommand = {}\n", argv_text.replace('{', "{{"));
            std::fs::write(nest.file("p.toml"), file).unwrap();
            say(nest, dirs, &["pipeline", "apply", "p.toml"])
        }
    };
    assert_eq!(asked.code, 0, "a warning refuses nothing: {way} {argv:?} {asked:?}");
    asked.err
}

fn warnings(err: &str) -> Vec<&str> {
    err.lines().filter_map(|line| line.strip_prefix("tenure: warning: ")).collect()
}

#[test]
fn a_program_that_is_not_there_is_warned_of_in_each_way() {
    let nest = nest();
    let worker = nest.work_with(&[], &[("PATH", path(&nest, &["sys"]).as_ref())]);
    let here = nest.path().canonicalize().unwrap().display().to_string();
    let cases: &[(&[&str], &str)] = &[
        (
            &["no-such"],
            "there is no program \"no-such\": it is in no directory of PATH, neither here nor for the worker; install it",
        ),
        (&["./no-such"], "HERE/no-such does not exist"),
        (&["/no/such"], "/no does not exist"),
        (&["./plain"], "it is not executable; chmod +x HERE/plain"),
        (&["./gone.d"], "it is a directory"),
        (&["./crlf"], "carriage return"),
        (&["badly"], "carriage return"),
        (
            &["mine"],
            "\"mine\" is HERE/venv/mine here, and in no directory of the worker's PATH; write it as HERE/venv/mine, or give the job -e \"PATH=$PATH\"",
        ),
        (&["tool"], "\"tool\" is HERE/venv/tool here and HERE/sys/tool for the worker"),
        (&["python"], "\"python\" is HERE/py/bin/python here and HERE/sys/python for the worker"),
    ];
    for way in WAYS {
        for (argv, words) in cases {
            let err = ask(&nest, way, &["venv", "py/bin"], argv);
            let told = warnings(&err);
            assert!(
                told.len() == 1 && told[0].contains(&words.replace("HERE", &here)),
                "{way} {argv:?}: {words:?} is missing in {err}"
            );
            let of = match *way {
                "from" => "line 1: ",
                "pipeline" => "stage s of pipeline p: ",
                _ => "",
            };
            assert!(told[0].starts_with(of), "{way}: {}", told[0]);
        }
    }
    drop(worker);
}

#[test]
fn what_is_found_as_it_was_meant_is_not_warned_of() {
    let nest = nest();
    let worker = nest.work_with(&[], &[("PATH", path(&nest, &["sys"]).as_ref())]);
    let fine: &[&[&str]] = &[
        &["true"],
        &["sh", "-c", "a | b"],
        &["/bin/sh", "-c", "x"],
        &["theirs"],
        &["./venv/tool"],
        &["linked"],
        // This interpreter passes the carriage return over.
        &["./argument"],
        &["find", ".", "*", ";"],
        &["env", "A=1", "true"],
    ];
    for way in WAYS {
        for argv in fine {
            let err = ask(&nest, way, &["venv"], argv);
            assert!(warnings(&err).is_empty(), "{way} {argv:?}: {err}");
        }
        // The same directory by another name.
        assert!(warnings(&ask(&nest, way, &["alias"], &["tool"])).is_empty());
    }
    let options: &[&[&str]] = &[
        &["--workspace", "w", "--", "./made-there"],
        &["--after", "1", "--", "./made-by-it"],
        &["--after", "1", "--cwd", "made-by-it", "--", "true"],
        &["-c", "no-such | nor-such"],
        &["-e", "PATH=venv", "--", "mine"],
    ];
    for options in options {
        let said = say(&nest, &[], &[&["add", "--hold"], *options].concat());
        assert!(said.code == 0 && warnings(&said.err).is_empty(), "{options:?} {said:?}");
    }
    let given = say(&nest, &["venv"], &["add", "--hold", "-e", "PATH=/usr/bin", "--", "mine"]);
    assert!(given.err.contains("in no directory of the PATH that the job is given"), "{given:?}");
    let cwd = say(&nest, &[], &["add", "--hold", "--cwd", "not-there", "--", "true"]);
    assert!(cwd.err.contains("warning: the job's directory") && cwd.err.contains("mkdir -p"), "{cwd:?}");
    drop(worker);
    // Without a worker it is not known what the next one finds: what only this PATH has is told, another file is not.
    let err = ask(&nest, "add", &["venv"], &["mine"]);
    assert!(err.contains("the worker's PATH may not have \"mine\""), "{err}");
    assert!(warnings(&ask(&nest, "add", &["venv"], &["true"])).is_empty());
    assert!(ask(&nest, "add", &["venv"], &["no-such"]).contains("there is no program"));
}

#[test]
fn a_line_for_the_shell_is_pointed_to_it_and_works_there() {
    let nest = nest();
    std::fs::write(nest.file("a.txt"), "").unwrap();
    let lines: &[&[&str]] = &[
        &["echo a | wc -l"],
        &["true && echo b"],
        &["false || echo b"],
        &["cd gone.d; pwd"],
        &["FOO=1 sh -c 'test $FOO = 1'"],
        &["FOO=1", "sh", "-c", "test $FOO = 1"],
        &["ls *.txt"],
        &["~/venv/tool"],
        &["~/venv/tool", "x"],
        &["$HOME/venv/tool"],
        &["$HOME/venv/tool", "x"],
        &["echo hi > out"],
        &["echo hi 2>&1"],
        &["echo let's \"quoted\""],
        &["(true)"],
        &["shopt || true"],
        &["export", "A=1"],
        &["umask", "077"],
        &["if true; then true; fi"],
        &["echo `true`"],
        &["./*/tool"],
    ];
    for way in WAYS {
        for line in lines.iter().filter(|line| !(line[0].contains("'s") && *way != "add")) {
            let err = ask(&nest, way, &[], line);
            let words = if ["add", "schedule"].contains(way) { " with -c " } else { " with the key shell, as " };
            assert!(warnings(&err).len() == 1 && err.contains(words), "{way} {line:?}: {err}");
        }
    }
    // What stands behind -c, typed.
    let mut jobs = Vec::new();
    for line in lines.iter().filter(|line| !line[0].contains("let's")) {
        let err = ask(&nest, "add", &[], line);
        let remedy = err.trim_end().rsplit(" with -c ").next().unwrap();
        let typed = format!("{} add -c {remedy}", env!("CARGO_BIN_EXE_tenure"));
        let output = Command::new("sh")
            .args(["-c", &typed])
            .current_dir(nest.path())
            .env_clear()
            .envs([("TENURE_DB", nest.db().as_os_str()), ("PATH", SYSTEM.as_ref()), ("HOME", nest.path().as_os_str())])
            .env("XDG_CONFIG_HOME", nest.path())
            .output()
            .unwrap();
        let added = said(output);
        assert!(added.code == 0 && added.err.is_empty(), "{typed}: {added:?}");
        jobs.push((added.out.trim().parse::<i64>().unwrap(), typed));
    }
    nest.work_until_idle(&[]);
    for (id, typed) in jobs {
        assert_eq!(nest.state(id), "done", "{typed}: {}", nest.ok(&["why", &id.to_string()]));
    }
    let variable = ask(&nest, "add", &[], &["FOO=1", "make"]);
    assert!(variable.contains("-e NAME=value"), "{variable}");
}

#[test]
fn run_warns_of_another_file_and_its_remedies_use_the_right_one() {
    let nest = nest();
    let worker = nest.work_with(&[], &[("PATH", path(&nest, &["sys"]).as_ref())]);
    let ran = say(&nest, &["venv"], &["run", "--", "tool"]);
    assert!(ran.out == "from-sys\n" && ran.err.contains("for the worker"), "{ran:?}");
    let given = format!("PATH={}", path(&nest, &["venv"]));
    let ran = say(&nest, &["venv"], &["run", "-e", &given, "--", "tool"]);
    assert!(ran.out == "from-venv\n" && ran.err.is_empty(), "{ran:?}");
    let whole = nest.file("venv/tool").display().to_string();
    let ran = say(&nest, &["venv"], &["run", "--", &whole]);
    assert!(ran.out == "from-venv\n" && ran.err.is_empty(), "{ran:?}");
    drop(worker);
    // It is its own worker, with this PATH.
    let ran = say(&nest, &["venv"], &["run", "--", "tool"]);
    assert!(ran.out == "from-venv\n" && ran.err.is_empty(), "{ran:?}");
}

#[test]
fn many_lines_are_warned_of_once_each_and_not_without_end() {
    let nest = nest();
    let same = "{\"command\": [\"no-such\"], \"hold\": true}\n".repeat(50);
    std::fs::write(nest.file("same"), same).unwrap();
    let said = say(&nest, &[], &["add", "--from", "same"]);
    assert_eq!((warnings(&said.err).len(), said.out.lines().count()), (1, 50), "{}", said.err);
    let many: String = (0..50).map(|n| format!("{{\"command\": [\"no-such-{n}\"], \"hold\": true}}\n")).collect();
    std::fs::write(nest.file("many"), many).unwrap();
    let said = say(&nest, &[], &["add", "--from", "many", "--chunk", "7"]);
    assert_eq!(warnings(&said.err).len(), 11, "{}", said.err);
    assert!(said.err.contains("warning: 40 more of this kind"), "{}", said.err);
    assert!(Path::new(&nest.db()).exists());
}

#[test]
fn a_new_queue_beside_a_similar_one_is_warned_of_once() {
    let pipeline = "[pipeline.p]\nstart = \"s\"\n[pipeline.p.stage.s]\ncommand = [\"true\"]\nqueue = \"NAME\"\n";
    type Ask = dyn Fn(&Nest, &str) -> Said;
    let asks: &[(&str, &Ask)] = &[
        ("add", &|nest, name| nest.say(&["add", "--hold", "-q", name, "--", "true"])),
        ("schedule", &|nest, name| nest.say(&["schedule", "add", &format!("of-{name}"), "0 0 1 1 *", "-q", name, "--", "true"])),
        ("from", &|nest, name| {
            let line = format!("{{\"command\": [\"true\"], \"hold\": true, \"queue\": \"{name}\"}}\n");
            std::fs::write(nest.file("jobs"), line.repeat(3)).unwrap();
            nest.say(&["add", "--from", "jobs"])
        }),
        ("pipeline", &|nest, name| {
            std::fs::write(nest.file("p.toml"), pipeline.replace("NAME", name)).unwrap();
            nest.say(&["pipeline", "apply", "p.toml"])
        }),
    ];
    for ((way, ask), name) in asks.iter().zip(["biuld", "bild", "builds", "Build"]) {
        let nest = Nest::new();
        nest.sh(&["--hold", "-q", "build"], "true");
        nest.sh(&["--hold", "-q", "gpu1"], "true");
        let said = ask(&nest, name);
        let told = warnings(&said.err);
        assert_eq!((said.code, told.len()), (0, 1), "{way}: {said:?}");
        for words in [format!("{name:?} is new"), "\"build\"".into(), "tenure set ID queue=build".into()] {
            assert!(told[0].contains(&words), "{way}: {words:?} is missing in {said:?}");
        }
        for fine in ["build", "gpu2", "default", "other"] {
            let said = ask(&nest, fine);
            let is_taken = *way == "schedule" && said.code == 6;
            assert!((said.code == 0 || is_taken) && warnings(&said.err).is_empty(), "{way} {fine}: {said:?}");
        }
    }
    // What is advised, typed.
    let nest = Nest::new();
    let id = nest.add(&["--hold", "-q", "biuld", "--", "true"]);
    nest.ok(&["set", &id.to_string(), "queue=build"]);
    assert_eq!(nest.show(id)["queue"], "build");
}

#[test]
fn what_is_retried_without_retries_is_warned_of() {
    let nest = Nest::new();
    let warned = |args: &[&str]| {
        let said = nest.say(args);
        assert_eq!(said.code, 0, "{said:?}");
        said.err
    };
    let without = "tenure: warning: --retry-on alone retries nothing; give --retries 1 too\n";
    assert_eq!(warned(&["add", "--hold", "--retry-on", "5", "--", "true"]), without);
    assert_eq!(warned(&["run", "--retry-on", "5", "--", "true"]), without);
    let scheduled = warned(&["schedule", "add", "s", "0 0 1 1 *", "--retry-on", "5", "--", "true"]);
    assert!(scheduled.starts_with(without), "{scheduled}");
    assert_eq!(warned(&["add", "--hold", "--retries", "1", "--retry-on", "5", "--", "true"]), "");
    // It takes away a deferral, which needs no attempt.
    assert_eq!(warned(&["add", "--hold", "--no-retry-on", "75", "--", "true"]), "");
    std::fs::write(nest.file("lines"), r#"{"command": ["true"], "hold": true, "retry_on": [5]}"#).unwrap();
    let of_line = warned(&["add", "--from", "lines"]);
    assert_eq!(of_line, "tenure: warning: line 1: retry_on alone retries nothing; give retries too\n");
}
