//! Nonsense as arguments: a clear answer with the right code, no panic, and nothing lost.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use crate::support::{Nest, Said, said};

/// Every verb with an argument where a value stands.
const PLACES: &[&[&str]] = &[
    &["show"],
    &["logs"],
    &["wait", "--timeout", "1ms"],
    &["why"],
    &["history"],
    &["cancel"],
    &["retry"],
    &["hold"],
    &["release"],
    &["set", "1"],
    &["ls", "--state"],
    &["ls", "-n"],
    &["ls", "--since"],
    &["ls", "--sort"],
    &["ls", "--columns"],
    &["ls", "--format"],
    &["queue", "set", "q", "--slots"],
    &["queue", "set", "q", "--max-runtime"],
    &["lane", "set", "l", "--limit"],
    &["prune", "--older-than"],
    &["work", "--slots"],
    &["completions"],
    &["progress"],
    &["lease", "release"],
    &["lease", "run", "x", "--wait"],
    &["add", "--from"],
    &["add", "--delay"],
    &["add", "--at"],
    &["add", "--expires"],
    &["add", "--retries"],
    &["add", "--backoff"],
    &["add", "--retry-on"],
    &["add", "--max-deferrals"],
    &["add", "--timeout"],
    &["add", "--grace"],
    &["add", "--warn"],
    &["add", "-e"],
    &["add", "--idle-timeout"],
    &["add", "--after"],
    &["add", "--priority"],
    &["add", "--array"],
    &["add", "--memory"],
    &["add", "--nice"],
    &["add", "--log-limit"],
    &["add", "--pass-env"],
    &["add", "--secret"],
    &["run", "--timeout"],
    &["--color"],
];

fn assert_clear(what: &str, said: &Said) {
    let text = format!("{}{}", said.out, said.err);
    for word in ["panicked", "RUST_BACKTRACE", "unwrap", "internal error"] {
        assert!(!text.contains(word), "{what}: {text}");
    }
    assert!(said.err.len() < 5_000, "{what}: an answer of {} bytes", said.err.len());
    assert!((0..=127).contains(&said.code), "{what}: {}", said.code);
}

fn with(nest: &Nest, args: &[&str], word: OsString) -> Said {
    let mut command = nest.tenure(args);
    if matches!(args[0], "add" | "run") {
        command.arg(word).args(["--", "true"]);
    } else {
        command.arg(word);
    }
    said(command.output().unwrap())
}

#[test]
fn nonsense_in_every_place_is_a_usage_error() {
    let nest = Nest::new();
    nest.sh(&["--hold"], "true");
    let before = nest.ok(&["show", "1", "--json"]);
    let words: Vec<OsString> = vec![
        "".into(),
        " ".into(),
        "nonsense!".into(),
        "99999999999999999999999999".into(),
        "-9223372036854775809".into(),
        "1e999".into(),
        "\u{0}".replace('\0', "\u{1}").into(),
        OsString::from_vec(vec![0xff, 0xfe, 0x80]),
        OsString::from_vec(vec![b'x'; 100_000]),
        "١٢٣".into(),
        "0x10".into(),
        "1;2".into(),
        "$(touch pwned)".into(),
        "%n%s%x".into(),
        "' OR 1 --".into(),
    ];
    for args in PLACES {
        for word in &words {
            let shown: String = word.to_string_lossy().chars().take(30).collect();
            let said = with(&nest, args, word.clone());
            assert_clear(&format!("{args:?} {shown:?}"), &said);
            assert!((1..=4).contains(&said.code), "{args:?} {shown:?}: {said:?}");
            assert!(!said.err.is_empty(), "{args:?} {shown:?} says what is wrong");
        }
    }
    assert_eq!(nest.ok(&["show", "1", "--json"]), before, "the job from before is as it was");
    assert_eq!(nest.json(&["ls", "-a", "--json"])["jobs"].as_array().unwrap().len(), 1, "and no other was added");
    assert!(!nest.file("pwned").exists());
}

#[test]
fn what_is_too_long_is_refused_and_says_how_long_it_may_be() {
    let nest = Nest::new();
    let long = "x".repeat(131_000);
    let name = "n".repeat(201);
    for (args, word) in [
        (vec!["add", "-q", &name, "--", "true"], "200"),
        (vec!["add", "--lane", &name, "--", "true"], "200"),
        (vec!["add", "-l", &long, "--", "true"], "1000"),
        (vec!["add", "--unique", &long, "--", "true"], "1000"),
        (vec!["add", "-w", &long, "--", "true"], "4096"),
    ] {
        let said = nest.say(&args);
        assert_clear(args[1], &said);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(word), "{}", said.err);
    }
    assert_eq!(nest.say(&["add", "--hold", "--check", &long, "--", "true"]).code, 0, "a check may be as long as a command");
    let most = "y".repeat(131_000);
    assert_eq!(nest.say(&["run", "-c", &format!(": {most}")]).code, 0, "what the kernel takes is run");
    let many: Vec<&str> = std::iter::repeat_n(most.as_str(), 14).collect();
    let all = [&["run", "--", "true"], many.as_slice()].concat();
    assert_eq!(nest.say(&all).code, 0, "1.8 MB of arguments");
    let mut line = String::from("{\"command\": [\"true\", \"");
    line.push_str(&"z".repeat(1 << 20));
    line.push_str("\"]}\n");
    std::fs::write(nest.file("lines"), &line).unwrap();
    let said = nest.say(&["add", "--from", "lines"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("131071") && said.err.contains("line 1"), "{}", said.err);
    std::fs::write(nest.file("lines"), vec![b'{'; 20 << 20]).unwrap();
    let said = nest.say(&["add", "--from", "lines"]);
    assert!(said.code == 2 && said.err.contains("longer than"), "{}", said.err);
}

#[test]
fn unknown_ids_are_3_for_every_verb() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    for verb in ["show", "logs", "wait", "why", "history", "cancel", "retry", "hold", "release"] {
        for id in ["99", "9223372036854775807", "98-99"] {
            let said = nest.say(&[verb, id]);
            assert_eq!(said.code, 3, "{verb} {id}: {said:?}");
            assert!(said.err.contains("tenure ls"), "what to do: {said:?}");
            assert_clear(verb, &said);
        }
    }
    assert_eq!(nest.say(&["set", "99", "priority=1"]).code, 3);
    assert_eq!(nest.say(&["logs", "1", "--run", "7"]).code, 3);
}

#[test]
fn settings_in_the_environment_may_be_nonsense_too() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    let odd = OsString::from_vec(b"\xff\xfe".to_vec());
    for (name, value, codes) in [
        ("TENURE_DB", OsString::from(""), [4, 2]),
        ("TENURE_DB", OsString::from_vec(b"/tmp/\xff/no".to_vec()), [4, 2]),
        ("TENURE_SLOTS", odd.clone(), [2, 2]),
        ("TENURE_CONFIG", odd.clone(), [2, 2]),
        ("TZ", "Nowhere/Atlantis".into(), [0, 0]),
        ("LANG", odd.clone(), [0, 0]),
        ("COLUMNS", "-5".into(), [0, 0]),
        ("RUST_LOG", "=,=,[[".into(), [0, 0]),
        ("NO_COLOR", odd, [0, 0]),
    ] {
        let mut command = nest.tenure(&["ls"]);
        command.env(name, &value).env("XDG_STATE_HOME", nest.file("none"));
        if name == "TENURE_DB" && rustix::process::geteuid().is_root() && value.is_empty() {
            continue; // the default place of root is not this test's
        }
        let said = said(command.output().unwrap());
        assert!(codes.contains(&said.code), "{name}={value:?}: {said:?}");
        assert_clear(name, &said);
    }
}

#[test]
fn closed_outputs_do_not_change_the_exit_code() {
    let nest = Nest::new();
    for _ in 0..50 {
        nest.sh(&["--hold", "-l", &"x".repeat(900)], "true");
    }
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let shell = |line: &str| {
        let line = line.replace("tenure", tenure);
        let mut bash = Command::new("bash");
        bash.args(["-c", &line]).current_dir(nest.path()).env_clear().env("PATH", "/usr/bin:/bin").env("TENURE_DB", nest.db());
        said(bash.output().unwrap())
    };
    let piped = shell("tenure show 1-50 --json | head -c 1; echo ${PIPESTATUS[0]}");
    assert!(piped.out.ends_with("0\n") && piped.err.is_empty(), "{piped:?}");
    let closed = shell("tenure ls >&-; echo $?; tenure ls 2>&- >/dev/null; echo $?; tenure nonsense 2>&-; echo $?");
    assert_clear("closed stdout", &closed);
    assert!(closed.out.ends_with("0\n2\n"), "{closed:?}");
    let full = shell("tenure ls >/dev/full; echo $?");
    assert_eq!(full.out, "1\n", "{full:?}");
    assert!(full.err.contains("stdout"), "{full:?}");
    let ran = shell("tenure run -c 'echo x; exit 3' >/dev/full; echo $?");
    assert_eq!(ran.out, "125\n", "its output is lost, and that is not the code of the job: {ran:?}");
    let input = shell("tenure add --from - <&-; echo $?");
    assert_clear("closed stdin", &input);
}
