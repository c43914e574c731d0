//! Completion as a shell does it: values of the file, for each place; nothing where it cannot be
//! told; and no name that a shell would run.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::support::{Nest, said, untested::not_tested};

/// Names that a shell, or a terminal, would do something with.
const HOSTILE: &[&str] = &[
    "a b",
    "a;touch PWNED",
    "a$(touch PWNED)",
    "a`touch PWNED`",
    "a'b\"c",
    "a&touch PWNED",
    "a|touch PWNED",
    "a>PWNED",
    "a\\",
    "a!b",
    "a*",
    "a#b",
    "a{b,c}",
    "a=b:c@d",
    "aé",
    "~",
    "*",
];
/// Names that are not offered at all.
const KEPT_BACK: &[&str] = &["-a", "--help", "a\nb", "a\tb", "a\x1b[2J", "a\x7f", "a\u{202e}b"];

fn nest_of_names() -> Nest {
    let nest = Nest::new();
    for label in HOSTILE.iter().chain(KEPT_BACK) {
        nest.add(&["--hold", &format!("--label={label}"), "--", "true"]);
    }
    // No option selects it by what is shown.
    let not_utf8 = nest.add(&["--hold", "--", "true"]);
    nest.sql().execute("UPDATE job SET label = CAST(x'61ff62' AS TEXT) WHERE id = ?1", [not_utf8]).unwrap();
    nest
}

/// What the program prints for these words, the last of which is being typed.
fn complete(nest: &Nest, shell: &str, words: &[&str]) -> Vec<String> {
    let said = nest.say(&[&["complete", shell, "--", "tenure"], words].concat());
    assert!(said.code == 0 && said.err.is_empty(), "{words:?}: {said:?}");
    said.out.lines().map(str::to_owned).collect()
}

fn path() -> String {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

/// A shell with the environment of the nest.
fn shell(nest: &Nest, program: &str, args: &[&str]) -> Command {
    let mut shell = Command::new(program);
    shell.args(args).current_dir(nest.path()).env_clear().env("PATH", path()).env("TENURE_DB", nest.db());
    shell.env("HOME", nest.path()).env("XDG_CONFIG_HOME", nest.path()).env("LANG", "C.UTF-8").stdin(Stdio::null());
    shell
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The words that bash would have after each completion of a line, whose pieces are as bash splits
/// them. Each is evaluated, as after Enter.
fn bash(nest: &Nest, before: &str, pieces: &[&str]) -> Vec<String> {
    let script = nest.file("tenure.bash");
    std::fs::write(&script, nest.ok(&["completions", "bash"])).unwrap();
    let line = format!(
        "source ./tenure.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($#-1)); _tenure tenure; \
         for r in \"${{COMPREPLY[@]}}\"; do eval \"set -- {before}$r\"; printf '%s\\0' \"$#\" \"$1\"; done"
    );
    let output = shell(nest, "bash", &["--norc", "--noprofile", "-c", &line, "bash", "tenure"]).args(pieces).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = text.split_terminator('\0').collect();
    answers.chunks(2).map(|pair| (assert_eq!(pair[0], "1", "one word: {pair:?}"), pair[1].to_owned()).1).collect()
}

#[test]
fn bash_gets_each_hostile_label_as_one_word_and_runs_none() {
    let nest = nest_of_names();
    let mut labels = bash(&nest, "", &["ls", "--label", ""]);
    let mut all: Vec<&str> = HOSTILE.to_vec();
    labels.sort();
    all.sort_unstable();
    assert_eq!(labels, all, "every one that is offered, none that is not");
    assert_eq!(bash(&nest, "", &["ls", "--label", "a\\ "]), ["a b"]);
    assert_eq!(bash(&nest, "a=", &["ls", "--label", "a", "="]), ["a=b:c@d"], "bash keeps what is before a cut");
    assert_eq!(bash(&nest, "--label=", &["ls", "--label", "=", "a\\ "]), ["--label=a b"]);
    assert_eq!(bash(&nest, "", &["ls", "--label", "$(touch PWNED)"]), Vec::<String>::new());
    assert!(!nest.file("PWNED").exists());
}

/// What the shells ask with, and the line of their start files that says so: what the machine's own files say comes before.
const PROMPT: &str = "READY: ";
const SET_PROMPT: &str = "\nPS1='READY: '\n";

/// Types into an interactive shell on a terminal of its own once it asks for a line (what is typed while it starts may be
/// lost), and returns what it shows.
fn type_into(nest: &Nest, line: &str, typed: &str) -> String {
    let mut script = shell(nest, "script", &["-qec", line, "/dev/null"]);
    let script = script.env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut script = script.spawn().unwrap();
    let (mut keys, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut part) = (Vec::new(), [0; 4096]);
    let mut is_asked = false;
    loop {
        let n = screen.read(&mut part).unwrap();
        if n == 0 {
            break;
        }
        shown.extend_from_slice(&part[..n]);
        if !is_asked && String::from_utf8_lossy(&shown).contains(PROMPT) {
            keys.write_all(typed.as_bytes()).unwrap();
            is_asked = true;
        }
    }
    assert!(script.wait().unwrap().code().is_some() && is_asked, "{}", String::from_utf8_lossy(&shown));
    String::from_utf8_lossy(&shown).into_owned()
}

/// A line is completed with TAB and entered, within no quotes and within both kinds of them.
fn tab_and_enter(nest: &Nest, line: &str) {
    for begin in ["a", "a\\;t", "a\\$", "'a;t", "'a$(t", "'a`", "\"a&t", "\"a|"] {
        let shown = type_into(nest, line, &format!("tenure ls --label {begin}\t\n\nexit\n"));
        assert!(!nest.file("PWNED").exists(), "{begin}: {shown}");
    }
    let shown = type_into(nest, line, "tenure ls --label 'a$(t\t\nexit\n");
    assert!(shown.contains("(held)"), "the label that is meant: {shown}");
    std::fs::write(nest.file("only-one"), "").unwrap();
    let shown = type_into(nest, line, "tenure restore onl\t\nexit\n");
    assert!(shown.contains("only-one") && !shown.contains("no matches"), "files are the shell's: {shown}");
}

#[test]
fn a_tab_in_a_real_bash_runs_no_label() {
    if !is_there("script") {
        return not_tested("completion at a terminal", "script: apt-get install bsdutils");
    }
    let nest = nest_of_names();
    std::fs::write(nest.file("rc"), nest.ok(&["completions", "bash"]) + SET_PROMPT).unwrap();
    tab_and_enter(&nest, "bash --noprofile --rcfile rc -i");
}

#[test]
fn zsh_reads_the_script_and_runs_no_label() {
    if !is_there("zsh") || !is_there("script") {
        return not_tested("completion in zsh", "zsh and script: apt-get install zsh bsdutils");
    }
    let nest = nest_of_names();
    let text = nest.ok(&["completions", "zsh"]);
    std::fs::write(nest.file("zdot.zsh"), format!("autoload -U compinit; compinit -u -D\n{text}{SET_PROMPT}")).unwrap();
    assert!(shell(&nest, "zsh", &["-n", "zdot.zsh"]).status().unwrap().success());
    std::fs::create_dir(nest.file("z")).unwrap();
    std::fs::rename(nest.file("zdot.zsh"), nest.file("z/.zshrc")).unwrap();
    tab_and_enter(&nest, "env ZDOTDIR=z zsh -d -i");
}

#[test]
fn fish_reads_the_script_and_gets_each_label() {
    if !is_there("fish") {
        return not_tested("completion in fish", "fish: apt-get install fish");
    }
    let nest = nest_of_names();
    std::fs::write(nest.file("tenure.fish"), nest.ok(&["completions", "fish"])).unwrap();
    let ask = |line: &str| -> Vec<String> {
        let code = format!("source tenure.fish; complete -C {line}");
        let output = shell(&nest, "fish", &["--no-config", "-c", &code]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    assert!(ask("'tenure ls --state '").contains(&"running".to_owned()));
    assert!(ask("'tenure qu'").contains(&"queue".to_owned()));
    assert_eq!(ask("'tenure ls --label=a\\ '"), ["--label=a b"]);
    let labels = ask("'tenure ls --label '");
    assert!(labels.len() == HOSTILE.len() && labels.iter().all(|label| !label.starts_with('-')), "{labels:?}");
    assert!(!nest.file("PWNED").exists());
}

#[test]
fn each_place_is_offered_its_values() {
    let nest = Nest::new();
    nest.sh(&["-q", "mail", "-l", "nightly", "--lane", "deploy"], "true");
    nest.sh(&["-l", "noon"], "exit 1");
    nest.work_until_idle(&[]);
    let held = nest.sh(&["--hold", "--workspace", "app"], "true").to_string();
    nest.ok(&["schedule", "add", "report", "@daily", "--", "true"]);
    nest.ok(&["resource", "add", "vm", "--job", &held, "--teardown", "true"]);
    std::fs::write(nest.file("p.toml"), "[pipeline.ship]\nstart = \"a\"\n[pipeline.ship.stage.a]\ncommand = [\"true\"]\n")
        .unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "ship"]);
    for (words, offered) in [
        (&["cancel", ""][..], &["values", "4", "3"][..]),
        (&["retry", ""], &["values", "2"]),
        (&["release", ""], &["values", "3"]),
        (&["show", ""], &["values", "4", "3", "2", "1"]),
        (&["show", "1,"], &["values", "1,4", "1,3", "1,2"]),
        (&["show", "3", "4,1,"], &["values", "4,1,2"]),
        (&["add", "--after", "2,"], &["values", "2,4", "2,3", "2,1"]),
        (&["add", "--retry-on", "lost,los"], &["values"]),
        (&["task", "advance", "1", "--to", ""], &["values", "a"]),
        (&["task", "advance", "--expect", ""], &["values"]),
        (&["config", "floor.l"], &["values", "floor.load"]),
        (&["add", "--pass-env", "HOM"], &["values", "HOME"]),
        (&["add", "--secret", "HOM"], &["values", "HOME"]),
        (&["resource", "add", "--env", "HOM"], &["open", "HOME="]),
        (&["logs", "-f", ""], &["values", "4", "3"]),
        (&["ls", "--label", "n"], &["values", "nightly", "noon"]),
        (&["ls", "--queue", ""], &["values", "default", "mail"]),
        (&["queue", "pause", "m"], &["values", "mail"]),
        (&["lane", "set", ""], &["values", "deploy"]),
        (&["schedule", "pause", ""], &["values", "report"]),
        (&["resource", "release", ""], &["values", "1"]),
        (&["task", "show", ""], &["values", "1"]),
        (&["task", "start", ""], &["values", "ship"]),
        (&["ls", "--state", "f"], &["values", "failed"]),
        (&["task", "ls", "--state", "r"], &["values", "running"]),
        (&["add", "--retry-on", "1,los"], &["values", "1,lost"]),
        (&["work", "--on-term", "dr"], &["values", "drain"]),
        (&["set", "3", "pri"], &["open", "priority="]),
        (&["help", "queue", "re"], &["values", "resume"]),
        (&["que"], &["values", "queue"]),
        (&["ls", "--lab"], &["values", "--label"]),
        (&["add", "--", ""], &["command 3"]),
        (&["--db", ""], &["files 0"]),
        (&["add", "--cwd", ""], &["directories 0"]),
        (&["add", "--timeout", ""], &["values"]),
    ] {
        assert_eq!(complete(&nest, "bash", words), offered, "{words:?}");
    }
    assert_eq!(complete(&nest, "zsh", &["cancel", "4,"]), ["values 2", "3\tqueued"]);
    assert_eq!(complete(&nest, "fish", &["ls", "--label=noo"]), ["values", "--label=noon\t"]);
}

#[test]
fn a_file_that_cannot_answer_gives_nothing_and_is_left_alone() {
    let nest = Nest::new();
    let nothing = |words: &[&str]| {
        let said = nest.say(&[&["complete", "bash", "--", "tenure"], words].concat());
        assert!(said.code == 0 && said.out.is_empty() && said.err.is_empty(), "{words:?}: {said:?}");
    };
    let files = || std::fs::read_dir(nest.path()).unwrap().count();
    nothing(&["cancel", ""]);
    assert_eq!(files(), 0, "a missing file is not made");
    std::fs::write(nest.db(), "this is not a database, and is longer than a page of one".repeat(50)).unwrap();
    nothing(&["cancel", ""]);
    std::fs::remove_file(nest.db()).unwrap();
    rusqlite::Connection::open(nest.db()).unwrap().execute_batch("CREATE TABLE job (id INTEGER)").unwrap();
    nothing(&["cancel", ""]);
    assert_eq!(files(), 1, "nothing is put beside a foreign file");
    std::fs::remove_file(nest.db()).unwrap();
    assert!(Command::new("mkfifo").arg(nest.db()).status().unwrap().success());
    nothing(&["cancel", ""]);
    nothing(&["--db", "/dev/zero", "cancel", ""]);
    nothing(&["--db", &"x/".repeat(10_000), "cancel", ""]);
    nothing(&["nope", ""]);
    let empty = nest.say(&["complete", "bash", "--"]);
    assert!(empty.code == 0 && empty.out.is_empty() && empty.err.is_empty(), "{empty:?}");
    let mut command = nest.tenure(&["complete", "bash", "--", "tenure", "cancel", ""]);
    let broken = said(command.env("TENURE_CONFIG", "/no/such/file").output().unwrap());
    assert!(broken.code == 0 && broken.out.is_empty() && broken.err.is_empty(), "{broken:?}");
}

#[test]
fn a_file_in_use_and_a_locked_one_are_read_and_nothing_is_made() {
    let nest = Nest::new();
    let id = nest.sh(&["--hold"], "true").to_string();
    let names = || -> Vec<_> {
        let mut all: Vec<_> = std::fs::read_dir(nest.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        all.sort();
        all
    };
    let before = names();
    assert_eq!(complete(&nest, "bash", &["cancel", ""]), ["values", id.as_str()]);
    assert_eq!(names(), before, "neither log nor index is made");
    let writer = rusqlite::Connection::open(nest.db()).unwrap();
    writer
        .execute_batch("PRAGMA wal_autocheckpoint = 0; BEGIN; INSERT INTO job (command) VALUES ('[\"true\"]'); COMMIT")
        .unwrap();
    assert_eq!(complete(&nest, "bash", &["cancel", ""]), ["values", "2", "1"], "what is only in the log is seen");
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(complete(&nest, "bash", &["cancel", ""]), ["values", "2", "1"], "a writer keeps no reader waiting");
    drop(writer);
    let owner = rusqlite::Connection::open(nest.db()).unwrap();
    owner.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    let said = nest.say(&["complete", "bash", "--", "tenure", "cancel", ""]);
    assert!(said.code == 0 && said.err.is_empty(), "{said:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "a lock is not waited for");
}

#[test]
fn many_jobs_give_the_newest_at_once() {
    let nest = Nest::new();
    let lines: String = (0..20_000).map(|n| format!("{{\"command\":[\"true\"],\"label\":\"job-{n}\"}}\n")).collect();
    std::fs::write(nest.file("jobs"), lines).unwrap();
    nest.ok(&["add", "--from", "jobs", "--chunk", "10000", "--hold"]);
    for (words, first) in [(&["cancel", ""][..], "20000"), (&["cancel", "19"], "19999"), (&["ls", "--label", "job-1"], "job-1")] {
        let offered = complete(&nest, "bash", words);
        assert!(offered.len() == 201 && offered[1] == first, "{words:?}: {} {:?}", offered.len(), &offered[..3]);
    }
}

#[test]
fn a_shell_without_the_program_says_nothing() {
    let nest = Nest::new();
    let script = nest.ok(&["completions", "bash"]);
    let line = format!("{script}\nPATH=/nowhere; COMP_WORDS=(tenure ''); COMP_CWORD=1; _tenure; echo \"${{#COMPREPLY[@]}}\"");
    let output = shell(&nest, "/bin/bash", &["--norc", "-c", &line]).output().unwrap();
    assert!(output.status.success() && output.stdout == b"0\n" && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_label_is_offered_where_a_job_is_named() {
    let nest = Nest::new();
    nest.add(&["--hold", "-l", "nightly", "--", "true"]);
    nest.add(&["--hold", "-l", "a,b", "--", "true"]);
    assert_eq!(complete(&nest, "fish", &["show", "@n"]), ["values", "@nightly\t"]);
    assert_eq!(complete(&nest, "fish", &["cancel", "1,@a,"]), ["values", "1,@a,b\t"]);
    assert_eq!(complete(&nest, "zsh", &["cancel", "1,@n"]), ["values 2", "@nightly\t"]);
    assert_eq!(bash(&nest, "", &["show", "@n"]), ["@nightly"]);
    // Where bash cuts words at an @, it does not tell this from `show@n`.
    assert_eq!(bash(&nest, "", &["show", "@", "n"]), Vec::<String>::new());
    assert!(complete(&nest, "fish", &["resource", "show", "@n"]).iter().all(|line| !line.contains("nightly")));
}
