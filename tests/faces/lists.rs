//! Lists: a pipe gets every cell whole, a terminal gets lines that fit, and an empty list says what is true.

use std::process::Command;

use crate::support::{Nest, said, until};

/// Longer than any cell that a terminal is shown, and than any line of a message.
const LONG: usize = 5_000;

/// Every command that prints a table, with what must stand in it whole.
const TABLES: &[(&[&str], &[&str])] = &[
    (&["ls"], &["COMMAND", "LABEL"]),
    (&["ls", "-a"], &["COMMAND", "LABEL"]),
    (&["schedule", "ls"], &["COMMAND"]),
    (&["schedule", "next", "long"], &[]),
    (&["task", "ls"], &["KEY"]),
    (&["task", "show", "1"], &[]),
    (&["pipeline", "ls"], &["STAGES"]),
    (&["pipeline", "show", "long"], &["COMMAND"]),
    (&["queue", "ls"], &["QUEUE"]),
    (&["lane", "ls"], &["LANE"]),
    (&["lease", "ls"], &["COMMAND", "WHY"]),
    (&["resource", "ls", "-a"], &["NAME"]),
    (&["workspace", "ls"], &["WORKSPACE", "PREPARE"]),
    (&["history", "1"], &["DETAIL"]),
    (&["show", "1"], &[]),
    (&["config"], &["VALUE"]),
    (&["status"], &["QUEUE", "LANE", "COMMAND"]),
];

/// Of a column: texts that no terminal of 80 columns shows whole. The name ends with the word, so that a cut is seen.
fn long(word: &str, chars: usize) -> String {
    format!("{}-{word}", "x".repeat(chars - word.len() - 1))
}

/// A file in which every list has something long.
fn full_nest() -> (Nest, std::process::Child) {
    let nest = Nest::new();
    let command = long("COMMAND", LONG);
    nest.add(&["-l", &long("LABEL", 900), "-q", &long("QUEUE", 200), "--lane", &long("LANE", 200), "--", "echo", &command]);
    nest.ok(&["cancel", "1", "--why", &long("DETAIL", 900)]);
    nest.ok(&["retry", "1"]);
    nest.ok(&["hold", "1"]);
    nest.ok(&["schedule", "add", "long", "@daily", "--", "echo", &command]);
    let name = |n: usize| if n == 19 { "stage-number-STAGES".to_owned() } else { format!("stage-number-{n}") };
    let stage = |n: usize| {
        let next = if n < 19 { format!("on_success = \"{}\"\n", name(n + 1)) } else { String::new() };
        format!("[pipeline.long.stage.{}]\ncommand = [\"echo\", \"{command}\"]\n{next}", name(n))
    };
    let stages: String = (0..20).map(stage).collect();
    std::fs::write(nest.file("long.toml"), format!("[pipeline.long]\nstart = \"stage-number-0\"\n{stages}")).unwrap();
    nest.ok(&["pipeline", "apply", "long.toml"]);
    nest.ok(&["task", "start", "long", "--key", &long("KEY", 200)]);
    nest.ok(&["resource", "add", &long("NAME", 200), "--teardown", "true", "--job", "1"]);
    nest.ok(&["workspace", "ensure", &long("WORKSPACE", 100), "--prepare", &format!(": {}", long("PREPARE", LONG))]);
    std::fs::write(nest.file("config.toml"), "").unwrap();
    let line = format!(": {}; exec sleep 600", long("COMMAND", LONG));
    let mut lease = nest.tenure(&["lease", "run", "long", "--why", &long("WHY", 900), "-c", &line]);
    let lease = lease.spawn().unwrap();
    until("the lease to be held", || nest.ok(&["lease", "ls"]).contains("held").then_some(()));
    (nest, lease)
}

#[test]
fn a_pipe_gets_every_cell_whole_and_a_terminal_whole_lines() {
    let (nest, mut lease) = full_nest();
    let mut walked = 0;
    for (args, words) in TABLES {
        let piped = nest.ok(args);
        // The path of the configuration is as long as its directory.
        for word in words.iter().filter(|word| **word != "VALUE") {
            assert!(piped.contains(&format!("-{word}")), "{args:?} does not show {word} whole: {piped}");
            walked += 1;
        }
        assert!(!piped.contains('…'), "{args:?} cuts: {piped}");
        for columns in [80, 140] {
            let shown = on_terminal(&nest, args, columns);
            assert!(!shown.trim().is_empty(), "{args:?}");
            if matches!(args[0], "show" | "status") || args[1..].first() == Some(&"show") {
                continue; // they have lines beside their tables
            }
            for line in shown.lines() {
                assert!(line.chars().count() <= columns, "{args:?} is wider than {columns}: {line}");
            }
        }
    }
    println!("{walked} columns of {} commands", TABLES.len());
    nest.ok(&["lease", "release", "long", "--force"]);
    crate::support::kill(lease.id() as i32, crate::support::Signal::TERM);
    lease.wait().unwrap();
}

/// What a terminal of that width gets.
pub(super) fn on_terminal(nest: &Nest, args: &[&str], columns: usize) -> String {
    let tenure = nest.tenure(args);
    let words: Vec<String> = std::iter::once(tenure.get_program())
        .chain(tenure.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty cols {columns}; {}", words.join(" ")), "/dev/null"]).current_dir(nest.path());
    script.env_clear().envs(tenure.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("NO_COLOR", "1");
    let said = said(script.stdin(std::process::Stdio::null()).output().expect("script of util-linux"));
    assert_eq!(said.code, 0, "{args:?}: {said:?}");
    said.out.replace('\r', "")
}

#[test]
fn a_list_of_schedules_shows_command_and_zone() {
    let nest = Nest::new();
    // Zone, and the offset that it has at the next 02:30.
    for (name, zone, offsets) in [
        ("east", "Asia/Tokyo", ["+09:00"].as_slice()),
        ("half", "Asia/Kolkata", &["+05:30"]),
        ("west", "America/New_York", &["-05:00", "-04:00"]),
        ("here", "UTC", &["+00:00"]),
    ] {
        nest.ok(&["schedule", "add", name, "30 2 * * *", "--tz", zone, "--", "make", "let's", name]);
        let list = nest.ok(&["schedule", "ls"]);
        let line = list.lines().find(|line| line.starts_with(name)).expect("its line");
        assert!(line.contains(zone), "{line}");
        let next = offsets.iter().any(|offset| line.contains(&format!(" 02:30 {offset}")));
        assert!(next, "the next occurrence in its own zone: {line}");
        assert!(line.contains(&format!(r"make 'let'\''s' {name}")), "{line}");
    }
    nest.ok(&["schedule", "pause", "east"]);
    assert!(nest.ok(&["schedule", "ls"]).contains("paused"));
    nest.sleep_through("half", 2_880);
    nest.work_until_idle(&[]);
    let list = nest.ok(&["schedule", "ls"]);
    assert!(
        list.contains("LAST") && list.lines().any(|line| line.starts_with("half") && line.matches("+05:30").count() >= 2),
        "{list}"
    );
}

#[test]
fn an_empty_list_says_what_is_true() {
    let nest = Nest::new();
    nest.sh(&["-l", "nightly", "-q", "build"], "true");
    nest.work_until_idle(&[]);
    nest.sh(&["-l", "waits", "--hold"], "true");
    for (args, words) in [
        (["ls", "--label", "nosuch"].as_slice(), ["no job matches --label nosuch", "tenure ls -a lists all"].as_slice()),
        (
            &["ls", "-l", "nightly"],
            &["no queued or running job matches --label nightly", "1 job in another state does", "tenure ls -a --label nightly"],
        ),
        (&["ls", "--label", "nighlty"], &["no job matches --label nighlty", "did you mean \"nightly\"?"]),
        (&["ls", "-a", "--label", "nighlty"], &["no job matches --label nighlty", "did you mean \"nightly\"?"]),
        (&["ls", "--queue", "biuld"], &["no job matches --queue biuld", "did you mean \"build\"?"]),
        (&["ls", "-q", "build"], &["no queued or running job matches --queue build", "tenure ls -a --queue build"]),
        (&["ls", "--state", "failed"], &["no job matches --state failed"]),
        (&["ls", "--state", "failed", "--label", "nightly"], &["no job matches --label nightly --state failed"]),
        (&["cancel", "--label", "nighlty"], &["no job matches --label nighlty", "did you mean \"nightly\"?"]),
        (
            &["hold", "--label", "nightly"],
            &["no queued job matches", "1 job in another state does", "tenure ls -a --label nightly"],
        ),
        (&["retry", "--label", "waits"], &["1 job in another state does", "tenure ls -a --label waits"]),
        (&["wait", "--label", "nighlty"], &["no job matches --label nighlty", "did you mean \"nightly\"?"]),
    ] {
        let said = nest.say(args);
        assert!(said.out.is_empty() && said.code == if args[0] == "ls" { 0 } else { 3 }, "{args:?}: {said:?}");
        for word in words {
            assert!(said.err.contains(word), "{args:?} does not say {word:?}: {}", said.err);
        }
        if let Some((_, remedy)) = said.err.split_once(": tenure ls -a ") {
            let typed: Vec<&str> = ["ls", "-a"].into_iter().chain(remedy.split_whitespace()).collect();
            assert!(nest.ok(&typed).lines().count() > 1, "{typed:?}");
        }
    }
    // Lists of other things.
    for args in [
        ["lease", "ls"],
        ["workspace", "ls"],
        ["resource", "ls"],
        ["lane", "ls"],
        ["schedule", "ls"],
        ["pipeline", "ls"],
        ["task", "ls"],
    ] {
        let said = nest.say(&args);
        assert!(
            said.code == 0 && said.out.is_empty() && said.err.contains("there ") && said.err.contains("tenure"),
            "{args:?}: {said:?}"
        );
    }
}

#[test]
fn a_list_of_jobs_says_what_matters_of_each() {
    let nest = Nest::new();
    let held = nest.sh(&["--hold"], "true");
    let line = |id: i64| {
        let list = nest.ok(&["ls"]);
        list.lines().find(|line| line.split_whitespace().next() == Some(&id.to_string())).expect("its line").to_owned()
    };
    assert!(line(held).contains("queued (held)"), "{}", line(held));
    assert!(!nest.ok(&["ls"]).contains("PRIO") && !nest.ok(&["ls"]).contains("PROGRESS"));
    let later = nest.sh(&["--at", "2099-01-02T03:00Z"], "true");
    assert!(line(later).contains("queued (starts 2099-01-02)"), "{}", line(later));
    let soon = nest.sh(&["--delay", "2s"], "true");
    assert!(line(soon).contains("queued (starts "), "{}", line(soon));
    let urgent = nest.sh(&["-o", "7", "--hold"], "true");
    assert!(nest.ok(&["ls"]).contains("PRIO") && line(urgent).split_whitespace().any(|word| word == "7"), "{}", line(urgent));
    let _worker = nest.work(&["--slots", "2"]);
    let again = nest.sh(&["--retries", "1", "--backoff", "1h..1h"], "exit 1");
    until("its backoff", || line(again).contains("queued (again ").then_some(()));
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let busy = nest.sh(&[], &format!("{tenure} progress 40 linking; exec sleep 600"));
    until("its progress", || line(busy).contains("40% linking").then_some(()));
    assert!(nest.ok(&["ls"]).contains("PROGRESS") && line(busy).contains("running"), "{}", line(busy));
    nest.ok(&["cancel", &busy.to_string()]);
    nest.until_ended(busy);
}

#[test]
fn the_overview_names_the_lane_of_an_array_while_it_lives() {
    let nest = Nest::new();
    nest.ok(&["lane", "set", "deploy", "--limit", "2"]);
    nest.ok(&["add", "--array", "0-3%2", "--", "true"]);
    assert!(nest.ok(&["status"]).contains("array-"), "its jobs wait");
    nest.work_until_idle(&[]);
    let shown = nest.ok(&["status"]);
    assert!(shown.contains("deploy") && !shown.contains("array-"), "{shown}");
    assert!(nest.ok(&["lane", "ls"]).contains("array-"), "a list names all");
}

#[test]
fn show_names_the_log_of_the_job_itself() {
    let nest = Nest::new();
    nest.add(&["--workspace", "w", "--prepare", "echo preparing", "--check", "echo checking", "--", "echo", "working"]);
    nest.work_until_idle(&[]);
    let shown = nest.ok(&["show", "1"]);
    let path = shown.lines().find_map(|line| line.strip_prefix("log of run 1: ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(std::fs::read_to_string(path).unwrap().contains("working"));
}
