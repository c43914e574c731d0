//! Wrong input is answered in our own words: the value, the reason, the remedy. No library's error is shown as it is.

use std::fs;

use crate::support::Nest;

/// What only a library says.
const RAW: &[&str] = &[
    "os error",
    "target type",
    "invalid digit",
    " is not in ",
    "..=",
    "expected one of `",
    "invalid type",
    "invalid value: ",
    "untagged",
    "u32",
    "i64",
    "i32",
    "EOF while",
    "trailing c",
    "at line ",
    "CronPattern",
    "Pattern must",
    "disallowed",
    "sqlite:",
    "rusqlite",
    "nothing to say",
    "expected ident",
    "duplicate field",
    "hex escape",
    "out of bounds",
];

fn check(nest: &Nest, args: &[&str], code: i32, words: &[&str]) {
    let said = nest.say(args);
    assert_eq!(said.code, code, "{args:?}: {said:?}");
    let text = format!("{}{}", said.err, said.out);
    for raw in RAW {
        assert!(!text.contains(raw), "{args:?}: {raw:?} is a library's: {text}");
    }
    for word in words {
        assert!(text.contains(word), "{args:?}: {word:?} is missing in {text}");
    }
}

#[test]
fn a_wrong_option_is_answered_in_our_words() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (
            &["add", "--priority", "99999999999999999999", "--", "true"],
            2,
            &["99999999999999999999", "too large; write a smaller"],
        ),
        (&["add", "--priority", "-99999999999999999999", "--", "true"], 2, &["too small; write a larger"]),
        (&["add", "--priority", "x", "--", "true"], 2, &["'x'", "not a whole number; write digits"]),
        (
            &["add", "--retries", "99999999999", "--", "true"],
            2,
            &["99999999999 is out of range; write a number from 0 to 999999"],
        ),
        (&["add", "--nice", "99", "--", "true"], 2, &["99 is out of range; write a number from -20 to 19"]),
        (&["add", "--max-deferrals", "", "--", "true"], 2, &["a number is missing"]),
        (&["logs", "1", "-n", "x"], 2, &["not a whole number"]),
        (&["work", "--slots", "x"], 2, &["not a whole number"]),
        (&["lane", "set", "k", "--limit", "99999999999999999999"], 2, &["too large"]),
        (&["lane", "set", "k", "--limit", "0"], 2, &["--limit: 0 is out of range", "from 1 to"]),
        (&["schedule", "next", "s", "-n", "0"], 2, &["write a number from 1 to"]),
        (
            &["add", "--memory", "2", "--", "true"],
            2,
            &["\"2\" is 2B, in which no program starts; write the unit, such as 2G or 2M"],
        ),
        (&["add", "--memory", "512", "--", "true"], 2, &["such as 512G or 512M"]),
        (&["add", "--memory", "2K", "--", "true"], 2, &["\"2K\" is 2.0K", "give 1M or more"]),
        (&["add", "--memory", "0", "--", "true"], 2, &["omit it"]),
        (&["add", "--pass-env", "X=1", "--", "true"], 2, &["write the name alone, X", "export X=", "-e X="]),
        (&["add", "--secret", "X=hush", "--", "true"], 2, &["write the name alone, X", "export X="]),
        (&["add", "--secret", "=hush", "--", "true"], 2, &["not the name of a variable"]),
        (&["add", "-e", "=x", "--", "true"], 2, &["not the name of a variable"]),
        (&["resource", "add", "r", "--job", "1", "--teardown", "true", "--pass-env", "X=1"], 2, &["write the name alone, X"]),
    ];
    for (args, code, words) in cases {
        check(&nest, args, *code, words);
    }
    let secret = nest.say(&["add", "--secret", "X=hush", "--", "true"]);
    assert!(!secret.err.contains("hush"), "a secret is not repeated: {secret:?}");
    // As it was advised.
    let mut advised = nest.tenure(&["add", "--secret", "X", "--hold", "--", "true"]);
    assert!(advised.env("X", "hush").output().unwrap().status.success());
    nest.ok(&["add", "--memory", "2G", "--hold", "--", "true"]);
    nest.ok(&["add", "--memory", "1M", "--hold", "--", "true"]);
}

#[test]
fn a_wrong_cron_line_is_answered_in_our_words() {
    let nest = Nest::new();
    for (line, words) in [
        ("x * * * *", "\"x\" means nothing there"),
        ("* * *", "it has 3 fields, not 5"),
        ("0 0 * * * *", "it has 6 fields, not 5"),
        ("99 * * * *", "minutes go from 0 to 59"),
        ("* 24 * * *", "hours from 0 to 23"),
        ("5-1 * * * *", "out of range"),
        ("*/0 * * * *", "step"),
        ("@never", "@hourly, @daily"),
        ("", "0 fields"),
        ("* * * * 8", "is not a cron line"),
        ("1-2-3 * * * *", "is not a cron line"),
    ] {
        check(&nest, &["schedule", "add", "s", line, "--", "true"], 2, &[words, "as in '30 3 * * 1-5'"]);
    }
}

const LINES: &[(&str, &str)] = &[
    ("{", "write the } that is missing"),
    (r#"{"command": ["a""#, "write the ] that is missing"),
    (r#"{"command": ["a"],}"#, "remove it"),
    (r#"{"command": ["a"] "x"}"#, ", or a } is missing"),
    (r#"{"comand": ["a"]}"#, "the key \"comand\" is not known; did you mean \"command\"?"),
    (r#"{"command": ["a"], "max-deferrals": 1}"#, "did you mean \"max_deferrals\"?"),
    (r#"{"command": ["a"], "zzzzzz": 1}"#, "the keys are the long options of tenure add"),
    (r#"{"command": ["a"], "priority": "x"}"#, "priority: \"x\" is not a whole number"),
    (r#"{"command": ["a"], "retries": -1}"#, "retries: -1 is not a whole number that is not negative"),
    (r#"{"command": ["a"], "nice": 9999999999}"#, "nice: 9999999999 is not a whole number, or it is too large"),
    (r#"{"command": ["a"], "hold": 1}"#, "hold: 1 is not true or false"),
    (r#"{"command": ["a"], "queue": 3}"#, "queue: 3 is not a string; put it in quotes"),
    (r#"{"command": ["a"], "queue": ["x"]}"#, "queue: a list is not a string"),
    (r#"{"command": ["a"], "env": ["A"]}"#, "env: a list is not an object"),
    (r#"{"command": [1]}"#, "argument 0 is 1; write a string"),
    (r#"{"command": ["a", {"x": 1}]}"#, "argument 1 is {\"x\":1}; write a string"),
    (r#"{"command": {"a": 1}}"#, "it is not an array"),
    (r#"{"command": ["a"], "command": ["b"]}"#, "\"command\" is given twice; omit one of them"),
    (r#"{"command": ["a"]} x"#, "one object a line"),
    ("{'command': ['a']}", "double quotes"),
    (r#"{"command": [a]}"#, "double quotes"),
    (r#"{"command": ["\ud800"]}"#, "write the character itself"),
    (r#"{"command": ["\x"]}"#, "a backslash"),
    ("{\"command\": [\"a\tb\"]}", "write \\n or \\t"),
    (r#"{"command": ["a"], "priority": 1e400}"#, "too large"),
    (r#"{"command": ["a"], "hold": tru}"#, "true, false, null"),
    (r#"{"command": ["a"], "memory": 2}"#, "memory: \"2\" is 2B"),
    (r#"{"command": ["a"], "memory": "2"}"#, "such as 2G or 2M"),
    (r#"{"command": ["a"], "secret": ["X=1"]}"#, "write the name alone, X"),
    (r#"{"command": ["a"], "pass_env": "X=1"}"#, "write the name alone, X"),
];

#[test]
fn a_wrong_line_of_a_file_of_jobs_is_answered_in_our_words() {
    let nest = Nest::new();
    for (line, words) in LINES {
        fs::write(nest.file("jobs"), format!("{line}\n")).unwrap();
        check(&nest, &["add", "--from", "jobs"], 2, &["line 1: ", words, "nothing was added"]);
    }
}

#[test]
fn a_wrong_pipeline_is_answered_in_our_words() {
    let nest = Nest::new();
    for (text, words) in [
        ("x", "line 1: "),
        ("[pipeline.p", "line 1: "),
        ("[pipeline.p.stage.s]\ncomand = [\"a\"]", "did you mean \"command\"?"),
        ("[pipeline.p.stage.s]\ncommand = [\"a\"]\non_sucess = \"s\"", "did you mean \"on_success\"?"),
        ("[pipeline.p.stage.s]\ncommand = [\"a\"]\ntimeout = 5", "timeout: 5 is not a string; put it in quotes"),
        ("[pipeline.p.stage.s]\ncommand = [\"a\"]\npriority = \"x\"", "priority: \"x\" is not a whole number"),
        ("[pipeline.p.stage.s]\ncommand = [1]", "argument 0 is 1"),
    ] {
        fs::write(nest.file("p.toml"), format!("{text}\n")).unwrap();
        check(&nest, &["pipeline", "apply", "p.toml"], 2, &["p.toml: ", words, "nothing was applied"]);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_answered_in_our_words() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    fs::create_dir(nest.file("dir")).unwrap();
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["add", "--from", "missing"], 2, &["--from missing: No such file or directory; check the path"]),
        (&["add", "--from", "dir"], 2, &["Is a directory; name a file"]),
        (&["pipeline", "apply", "missing"], 2, &["missing: No such file or directory; check the path"]),
        (&["pipeline", "apply", "dir"], 2, &["Is a directory"]),
        (&["backup", "missing/copy"], 1, &["missing: No such file or directory; check the path"]),
        (&["restore", "missing"], 4, &["there is no backup missing: No such file or directory"]),
        (&["--db", "dir", "ls"], 4, &["is a directory; name a file in it"]),
        (&["--db", "q.db/inner/q.db", "add", "--", "true"], 4, &["a part of this path is not a directory"]),
    ];
    for (args, code, words) in cases {
        check(&nest, args, *code, words);
    }
}

#[test]
fn a_row_of_a_client_that_cannot_be_read_is_told_in_our_words() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let cases = [
        ("[\"true\"]", r#"{"A": 1}"#, "the value of \"A\" is 1, not a string; write it in quotes"),
        ("[\"true\"]", r#"{"A": null}"#, "the value of \"A\" is null"),
        (r#"[{"hex": "zz"}]"#, "{}", "\"zz\" is not an even number of hexadecimal digits"),
    ];
    let insert = "INSERT INTO job (command, env) VALUES (?1, ?2) RETURNING id";
    let ids = cases.map(|(command, env, _)| nest.sql().query_row(insert, (command, env), |row| row.get::<_, i64>(0)).unwrap());
    nest.work_until_idle(&[]);
    for (id, (_, _, words)) in ids.iter().zip(cases) {
        check(&nest, &["why", &id.to_string()], 0, &[words]);
    }
}
