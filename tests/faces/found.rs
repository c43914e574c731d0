//! The page "What a job finds" says what a job finds: each row of its tables is compared with what a job sees, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{Nest, Signal, kill, until};

/// The rows below a heading: the name in the first cell, and the cells after it.
fn rows(heading: &str) -> Vec<(String, Vec<String>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/what-a-job-finds.md");
    let text = std::fs::read_to_string(page).unwrap();
    let section =
        text.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_else(|| panic!("no section {heading}"));
    let rows: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, rest)| {
            (name.to_owned(), rest.split('|').map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect())
        })
        .collect();
    assert!(rows.len() > 2, "{heading} has rows");
    rows
}

/// Variables of the page, by when they are there.
fn variables(when: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let of_jobs = rows("Environment").into_iter().filter(|(name, _)| !name.starts_with("TENURE_RESOURCE"));
    of_jobs.filter(|(_, cells)| when(&cells[1])).map(|(name, _)| name).collect()
}

fn always() -> BTreeSet<String> {
    variables(|when| when == "always")
}

fn of_the_worker() -> BTreeSet<String> {
    variables(|when| when == "the worker has it")
}

fn environment(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn names(environment: &BTreeMap<String, String>) -> BTreeSet<String> {
    environment.keys().cloned().collect()
}

/// A worker that was started by a line of a shell, with nothing of ours in its environment but what is named.
fn work(nest: &Nest, line: &str, env: &[(&str, &str)]) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{line}; exec {} work", env!("CARGO_BIN_EXE_tenure"))]).current_dir(nest.path());
    command.env_clear().env("TENURE_DB", nest.db()).env("XDG_CONFIG_HOME", nest.path()).envs(env.iter().copied());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the worker", || {
        let said = nest.say(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&said.out).ok()?;
        (status["worker"]["pid"] == child.id()).then_some(())
    });
    child
}

fn end(mut worker: Child) {
    kill(worker.id() as i32, Signal::TERM);
    worker.wait().unwrap();
}

/// What `env` printed as this job.
fn seen(nest: &Nest, options: &[&str]) -> BTreeMap<String, String> {
    let id = nest.add(&[options, &["--", "/usr/bin/env"]].concat());
    assert_eq!(nest.until_ended(id)["state"], "done");
    environment(&nest.log(id))
}

/// What a person's shell has, and no job gets.
const NOT_FOUND: &[(&str, &str)] = &[
    ("LEAK", "1"),
    ("LC_LEAK", "1"),
    ("TENURE_SLOT", "9"),
    ("LOGNAME", "x"),
    ("EDITOR", "x"),
    ("DISPLAY", ":0"),
    ("SSH_AUTH_SOCK", "/x"),
    ("VIRTUAL_ENV", "/x"),
    ("PYTHONPATH", "/x"),
    ("http_proxy", "x"),
];

#[test]
fn a_job_finds_the_variables_of_the_page_and_no_other() {
    let nest = Nest::new();
    // A worker that has all, and more.
    let path = std::env::var("PATH").unwrap();
    // Also what the page does not name: a row that is missing there is seen here.
    let categories = "ADDRESS ALL COLLATE CTYPE IDENTIFICATION MEASUREMENT MESSAGES MONETARY NAME NUMERIC PAPER TELEPHONE TIME";
    let locale = categories.split(' ').map(|name| format!("LC_{name}")).chain(["LANGUAGE", "LANG"].map(str::to_owned));
    let others = ["TMPDIR", "TZ", "TERM", "SHELL", "USER", "PATH", "HOME", "PYTHONUNBUFFERED"].map(str::to_owned);
    let mut given: BTreeMap<String, String> = locale
        .chain(others)
        .chain(of_the_worker())
        .chain(always())
        .map(|name| (name.clone(), format!("worker's {name}")))
        .collect();
    given.retain(|name, _| !name.starts_with("TENURE_"));
    // Of these the value must be one that works.
    given.extend([("PATH".to_owned(), path), ("TZ".to_owned(), "UTC".to_owned()), ("HOME".to_owned(), "/".to_owned())]);
    let env: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let worker = work(&nest, ":", &[&env[..], NOT_FOUND].concat());
    let env = seen(&nest, &[]);
    assert_eq!(names(&env), &of_the_worker() | &always());
    for (name, value) in &given {
        assert_eq!(env.get(name), Some(value), "{name}");
    }
    let env = seen(&nest, &["-e", "PYTHONUNBUFFERED=", "-e", "TERM=vt100", "-e", "ASKED=1"]);
    assert_eq!((env["PYTHONUNBUFFERED"].as_str(), env["TERM"].as_str(), env["ASKED"].as_str()), ("", "vt100", "1"));
    end(worker);
    // A worker that has none.
    let worker = work(&nest, ":", &[]);
    let mut env = seen(&nest, &[]);
    // The shell that starts the worker has a directory of its own, and some have a PATH.
    env.remove("PATH");
    assert_eq!(names(&env), always());
    let defaults: Vec<_> =
        rows("Environment").into_iter().filter(|(name, _)| ["TERM", "PYTHONUNBUFFERED"].contains(&name.as_str())).collect();
    for (name, cells) in defaults {
        assert!(cells[0].contains(&format!("or `{}`", env[&name])), "{name}: {cells:?}, and it is {}", env[&name]);
    }
    end(worker);
}

#[test]
fn a_job_finds_each_variable_of_the_page_that_has_a_condition() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let plain = names(&seen(&nest, &[]));
    let mut found: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    found.insert("`--lane`", seen(&nest, &["--lane", "l"]));
    nest.ok(&["pool", "set", "name", "--limit", "1"]);
    found.insert("`--use`", seen(&nest, &["--use", "name"]));
    found.insert("`--array`", seen(&nest, &["--array", "3-3"]));
    found.insert("`--timeout`", seen(&nest, &["--timeout", "1h"]));
    found.insert("`--workspace`", seen(&nest, &["--workspace", "w"]));
    let twice = nest.sh(&["--retries", "1", "--backoff", "0s..0s"], "env; test $TENURE_ATTEMPT = 2");
    nest.until_state(twice, "done");
    found.insert("it was tried before", environment(&nest.log(twice)));
    let outer = nest.add(&["--", tenure, "run", "--", "/usr/bin/env"]);
    nest.until_state(outer, "done");
    found.insert("`tenure run` inside a job", environment(&nest.log(outer)));
    std::fs::write(
        nest.file("p.toml"),
        "[pipeline.p]\nstart = \"s\"\nparams = [\"name\"]\n[pipeline.p.stage.s]\ncommand = [\"/usr/bin/env\"]\n",
    )
    .unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "p", "-p", "name=x"]);
    let of = |nest: &Nest, label: &str| {
        until(label, || {
            let listed = nest.json(&["ls", "-a", "--json"]);
            let jobs = listed["jobs"].as_array().unwrap().clone();
            jobs.iter().find(|job| job["state"] == "done" && job["label"] == label).and_then(|job| job["id"].as_i64())
        })
    };
    let step = until("the step", || {
        let id = nest.sql().query_row("SELECT job_id FROM task_step WHERE task_id = 1", [], |row| row.get(0)).ok()?;
        (nest.state(id) == "done").then_some(id)
    });
    found.insert("it is a stage of a pipeline", environment(&nest.log(step)));
    nest.ok(&["schedule", "add", "due", "* * * * *", "--", "/usr/bin/env"]);
    nest.sleep_through("due", 2);
    found.insert("a schedule made it", environment(&nest.log(of(&nest, "due"))));
    let conditions = rows("Environment").into_iter().filter(|(name, cells)| {
        !name.starts_with("TENURE_RESOURCE") && !["always", "the worker has it"].contains(&cells[1].as_str())
    });
    let mut told = BTreeSet::new();
    for (name, cells) in conditions {
        let env = found.get(cells[1].as_str()).unwrap_or_else(|| panic!("{name}: no job of this test meets {:?}", cells[1]));
        assert!(env.contains_key(&name), "{name} is not there: {env:?}");
        assert!(!plain.contains(&name), "{name} is there without its condition");
        told.insert(name);
    }
    let more: BTreeSet<String> = found.values().flat_map(names).filter(|name| !plain.contains(name)).collect();
    // A shell adds some of its own.
    let of_shells = ["PWD", "OLDPWD", "SHLVL", "_"].map(str::to_owned);
    assert_eq!(&more - &BTreeSet::from(of_shells), told, "the page names what comes with a condition, and no more");
    drop(worker);
}

#[test]
fn a_teardown_finds_the_variables_of_the_page() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let out = nest.file("torn");
    let line = |owner: &str| {
        format!("{tenure} resource add r {owner} --teardown '/usr/bin/env > {0}.new; mv {0}.new {0}'", out.display())
    };
    let owners = [("of a run", line("")), ("of a job", line("--job $TENURE_JOB"))];
    let of_page: Vec<_> = rows("Environment").into_iter().filter(|(name, _)| name.starts_with("TENURE_RESOURCE")).collect();
    assert_eq!(of_page.len(), 5);
    for (owner, line) in owners {
        let id = nest.sh(&[], &line);
        nest.until_state(id, "done");
        let env = until("the teardown", || std::fs::read_to_string(&out).ok());
        std::fs::remove_file(&out).unwrap();
        let env: BTreeSet<String> = names(&environment(&env)).into_iter().filter(|name| name.starts_with("TENURE_")).collect();
        let expected =
            of_page.iter().filter(|(_, cells)| cells[1] == "each" || cells[1].contains(owner)).map(|(name, _)| name.clone());
        let expected: BTreeSet<String> =
            expected.chain(["TENURE_DB", "TENURE_RUN", "TENURE_COOKIE"].map(str::to_owned)).collect();
        assert_eq!(env, expected, "{owner}");
    }
    drop(worker);
}

#[test]
fn a_job_finds_the_limits_signals_and_files_of_the_page() {
    let nest = Nest::new();
    let path = std::env::var("PATH").unwrap();
    // Below its hard limit, and with signals that are ignored.
    let line = "ulimit -S -n 700; ulimit -S -s 4096; umask 027; trap '' HUP PIPE USR1; cat /proc/self/limits > limits; cat /proc/self/status > status";
    let worker = work(&nest, line, &[("PATH", path.as_str())]);
    let show = |args: &[&str]| {
        let id = nest.add(&[&["--"], args].concat());
        nest.until_state(id, "done");
        (id, nest.log(id))
    };
    let of_shell = |name: &str| std::fs::read_to_string(nest.file(name)).unwrap();

    let fields = |text: &str| -> BTreeMap<String, String> {
        text.lines().skip(1).map(|line| (line[..26].trim().to_owned(), line[26..].trim().to_owned())).collect()
    };
    let (limits, given) = (fields(&show(&["cat", "/proc/self/limits"]).1), fields(&of_shell("limits")));
    let told: BTreeMap<String, String> = rows("Limits").into_iter().map(|(name, cells)| (name, cells.join(" "))).collect();
    assert_eq!(limits.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>(), "each limit of the kernel has a row");
    for (name, value) in &told {
        if value.contains("the worker's") || value.contains("the worker was started with") {
            assert_eq!(limits[name], given[name], "{name}: {value}");
        } else {
            assert_ne!(limits[name], given[name], "{name}: {value}");
        }
    }

    let status = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    };
    let (job, given) = (status(&show(&["cat", "/proc/self/status"]).1), status(&of_shell("status")));
    for (name, cells) in rows("Signals") {
        assert_eq!(format!("`{}`", job[&name]), cells[0], "{name}");
    }
    for (name, cells) in rows("Process") {
        assert!(cells[0].starts_with("the worker's"));
        assert_eq!(job[&name], given[&name], "{name}");
    }
    assert_eq!(job["Umask"], "0027");

    let (id, found) = show(&["sh", "-c", "find /proc/$$/fd -type l -printf '%f %l\\n'; pwd"]);
    let log = nest.show(id)["runs"][0]["log"].as_str().unwrap().to_owned();
    let here = nest.path().canonicalize().unwrap();
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found.join("\n"), format!("{}\n0 /dev/null\n1 {log}\n2 {log}", here.display()));
    let descriptors: Vec<String> = rows("Files").into_iter().map(|(name, _)| name).collect();
    assert_eq!(descriptors, ["0", "1", "2"]);
    let (_, process) = show(&["sh", "-c", "cut -d' ' -f1,5,7 /proc/$$/stat; cat /proc/$(cut -d' ' -f4 /proc/$$/stat)/comm"]);
    let words: Vec<&str> = process.split_whitespace().collect();
    assert!(words[0] == words[1] && words[2] == "0" && words[3] == "tenure-shim", "{process}");
    end(worker);
}
