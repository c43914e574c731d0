//! The name, output and error of a job contain any bytes; none of them controls the reader's terminal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use crate::faces::said::end;
use crate::support::{Nest, said, until};

/// Everything that a terminal does something else with than to show it: C0 but NUL (no argv has one), DEL, C1, titles, links, the
/// clipboard, and what reorders or hides text.
fn hostile() -> String {
    let control: String = (1..0x20_u32).chain([0x7f]).chain(0x80..0xa0).filter_map(char::from_u32).collect();
    let sequences = "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;ZXZpbA==\x07\x1bc\x1b[?1049h\x1bP1$r\x1b\\\u{9b}31m\u{9d}0;x\u{9c}";
    let bidi =
        "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{feff}";
    format!("a{control}b{sequences}c{bidi}d")
}

fn is_hostile(c: char) -> bool {
    let bidi =
        "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{feff}";
    (c.is_control() && c != '\n') || bidi.contains(c)
}

fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}: {:?}", String::from_utf8_lossy(bytes)));
    if let Some(at) = text.find(is_hostile) {
        let from = text.floor_char_boundary(at.saturating_sub(60));
        panic!("{what} lets {:?} through: {:?}", text[at..].chars().next(), &text[from..text.floor_char_boundary(at + 20)]);
    }
}

const LOOKS: &[&[&str]] = &[
    &["ls", "-a"],
    &["show", "1-9"],
    &["why", "1-9"],
    &["history", "1-9"],
    &["status"],
    &["queue", "ls"],
    &["lane", "ls"],
    &["doctor"],
    &["config"],
    &["ls", "-a", "--json"],
    &["show", "1-9", "--json"],
    &["why", "1-9", "--json"],
    &["history", "1-9", "--json"],
    &["status", "--json"],
    &["ls", "-a", "--color", "never"],
    &["work", "--until-idle"],
    &["wait", "1-9", "--timeout", "1ms"],
    &["cancel", "1-9"],
];

#[test]
fn names_commands_errors_and_results_are_shown_and_never_obeyed() {
    let nest = Nest::new();
    let evil = hostile();
    let key: String = evil.chars().take(190).collect();
    let tenure = env!("CARGO_BIN_EXE_tenure");
    nest.ok(&["queue", "pause", &key]);
    nest.add(&[
        "-q",
        &key,
        "-l",
        &evil,
        "--lane",
        &key,
        "--unique",
        &evil,
        "-e",
        &format!("A={evil}"),
        "--check",
        &evil,
        "--user",
        &evil,
        "--stdin",
        &evil,
        "--",
        "echo",
        &evil,
    ]);
    nest.add(&["-l", &evil, "-w", &format!("/{evil}"), "--", "echo", &evil]);
    nest.add(&["--", &format!("/no/{evil}"), &evil]);
    nest.add(&["--check", &format!("echo '{evil}'; exit 3"), "--", "true"]);
    nest.add(&[
        "--",
        "sh",
        "-c",
        &format!(
            "printf '%s' \"$1\" >$TENURE_RESULT; {tenure} progress 50 \"$1\"; cp /bin/sleep \"./$2\"; \"./$2\" 600 & sleep 0.2"
        ),
        "sh",
        &evil,
        "\x1b[2J\u{202e}",
    ]);
    nest.add(&["--hold", "--", "true"]);
    nest.ok(&["cancel", "--why", &evil, "6"]);
    nest.say(&["work", "--until-idle"]);
    // A client gives a new job no error and no progress; its owner does.
    let sql = "INSERT INTO job (command, policy, label) VALUES (json_array(?1), json_object('user', ?1), ?1)";
    nest.sql().execute(sql, [&evil]).unwrap();
    let sql = "UPDATE job SET progress = ?1, error = ?1 WHERE id = (SELECT max(id) FROM job)";
    assert_eq!(nest.owner().execute(sql, [&evil]).unwrap(), 1);
    nest.sql().execute("INSERT INTO cancel (job_id, why) VALUES (1, ?1)", [&evil]).unwrap();
    nest.say(&["work", "--until-idle"]);
    let shown = nest.show(5);
    assert_eq!(
        (end(&shown).as_str(), shown["result"].as_str()),
        ("done/exit", Some(evil.as_str())),
        "JSON has it whole: {shown}"
    );
    for args in LOOKS {
        for columns in ["40", "200"] {
            let output = nest.tenure(args).env("COLUMNS", columns).output().unwrap();
            assert_harmless(&format!("{args:?} stdout"), &output.stdout);
            assert_harmless(&format!("{args:?} stderr"), &output.stderr);
            let is_silent = output.stdout.is_empty() && output.stderr.is_empty();
            assert!(!is_silent || args[0] == "work", "{args:?} says something");
        }
    }
}

#[test]
fn mistyped_words_are_quoted_harmlessly() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    let evil = hostile();
    let odd = OsString::from_vec([b"\xff\xfe\x1b[2J".as_slice(), evil.as_bytes()].concat());
    let commands: &[&[&str]] = &[
        &[],
        &["show"],
        &["ls", "--state"],
        &["ls", "--queue"],
        &["add", "--from"],
        &["add", "--delay"],
        &["add", "--at"],
        &["add", "-e"],
        &["add", "--retry-on"],
        &["add", "--array"],
        &["add", "--memory"],
        &["add", "--warn"],
        &["add", "--secret"],
        &["set", "1"],
        &["backup"],
        &["restore"],
        &["prune", "--older-than"],
        &["queue", "set", "q", "--slots"],
        &["completions"],
        &["progress"],
        &["--db"],
        &["--color"],
        &["add", "--after"],
        &["cancel", "--label"],
        &["wait"],
        &["logs", "--run"],
        &["work", "--slots"],
    ];
    for args in commands {
        for word in [OsString::from(&evil), odd.clone()] {
            let output = nest.tenure(args).arg(&word).output().unwrap();
            assert_harmless(&format!("{args:?} stdout"), &output.stdout);
            assert_harmless(&format!("{args:?} stderr"), &output.stderr);
            assert_ne!(output.status.code(), Some(101), "{args:?}");
        }
    }
    let mut from =
        nest.tenure(&["add", "--from", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut from.stdin.take().unwrap(), format!("{{\"{}\": 1}}\n", "\u{202e}\u{9b}31m\x7f").as_bytes())
        .unwrap();
    let output = from.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_harmless("add --from", &output.stderr);
}

#[test]
fn a_log_is_unchanged_in_a_pipe_and_harmless_on_a_terminal() {
    let nest = Nest::new();
    let bytes: Vec<u8> = (0..=255).chain(hostile().into_bytes()).chain(*b"\n\x1b[31mred\x1b[0m\n").collect();
    std::fs::write(nest.file("bytes"), &bytes).unwrap();
    let id = nest.add(&["--", "cat", "bytes"]).to_string();
    nest.work_until_idle(&[]);
    let logs = nest.tenure(&["logs", &id]).output().unwrap();
    assert!(logs.stdout == bytes, "to a pipe it is what was written");
    let run = nest.tenure(&["run", "--", "cat", "bytes"]).output().unwrap();
    assert!(run.stdout == bytes, "also of run");
    // `script` gives it a terminal.
    let Ok(script) = std::process::Command::new("script").arg("--version").output() else {
        return crate::support::untested::not_tested("logs at a terminal", "script: apt-get install bsdutils");
    };
    assert!(script.status.success());
    let line = format!("{} --db {} logs {id}", env!("CARGO_BIN_EXE_tenure"), nest.db().display());
    let mut terminal = std::process::Command::new("script");
    let output = terminal.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).expect("on a terminal it is text");
    let plain = text.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\r\n", "\n").replace(['\t', '\r'], "");
    assert_harmless("logs on a terminal", plain.as_bytes());
    assert!(text.contains("\x1b[31mred\x1b[0m"), "colours stay: {text:?}");
    assert!(text.contains("^[[2J") && text.contains("^[]52;c;"), "and the rest is made visible: {text:?}");
}

#[test]
fn what_a_job_says_while_it_is_waited_for_is_harmless_too() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let id = nest
        .add(&[
            "--",
            "sh",
            "-c",
            &format!("{tenure} progress 10 \"$1\"; while [ ! -e go ]; do sleep 0.02; done; exit 3"),
            "sh",
            &hostile(),
        ])
        .to_string();
    until("its progress", || (!nest.show(1)["progress"].is_null()).then_some(()));
    for args in [&["wait", &id, "--timeout", "100ms"][..], &["show", &id], &["ls"]] {
        let output = said(nest.tenure(args).output().unwrap());
        assert_harmless(&format!("{args:?}"), output.out.as_bytes());
        assert_harmless(&format!("{args:?}"), output.err.as_bytes());
    }
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(nest.say(&["wait", &id]).code, 3);
}

#[test]
fn a_person_is_told_that_no_worker_starts_what_was_added() {
    let nest = Nest::new();
    let line = format!("{} --db {} add -- true", env!("CARGO_BIN_EXE_tenure"), nest.db().display());
    let at_a_terminal = || {
        let mut script = std::process::Command::new("script");
        let output = script.args(["-qec", &line, "/dev/null"]).current_dir(nest.path()).stdin(Stdio::null()).output();
        String::from_utf8(output.ok()?.stdout).ok()
    };
    let Some(told) = at_a_terminal() else {
        return crate::support::untested::not_tested("add at a terminal", "script: apt-get install bsdutils");
    };
    assert!(told.contains("no worker is running") && told.contains("tenure work"), "{told:?}");
    assert_eq!(nest.say(&["add", "--", "true"]).err, "", "a script reads none of it");
    let _worker = nest.work(&["--queue", "of-no-job"]);
    assert!(!at_a_terminal().unwrap().contains("no worker"));
}
