//! A policy is refused by the file and by the program for the same reason, in the same words; and what one takes, the other takes.

use rusqlite::Connection;
use tenure::job::policy::Policy;
use tenure::job::policy_rules::RULES;

use crate::model::file;

/// Values of any kind, also such that only one key takes.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "5",
    "10",
    "19",
    "20",
    "-20",
    "-21",
    "64",
    "65",
    "255",
    "256",
    "999",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "3162240000000",
    "3162240000001",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "1.0",
    "1.5",
    "1e3",
    "-0.0",
    r#""""#,
    r#""5""#,
    r#""soon""#,
    r#""nobody""#,
    r#""timeout""#,
    r#""a\u0000b""#,
    r#""a\\u0000b""#,
    r#""\u00fc\ud83d\ude00""#,
    "[]",
    "[0]",
    "[1]",
    "[255]",
    "[256]",
    "[999]",
    "[-1]",
    "[1.0]",
    "[1, 2]",
    "[2, 1]",
    "[0, 0]",
    "[1, 2, 3]",
    "[1, 3162240000001]",
    "[null]",
    "[[1]]",
    "[true]",
    r#"["timeout"]"#,
    r#"["Timeout"]"#,
    r#"[1, "timeout", "lost"]"#,
    r#"["exit", "signal", "output", "memory",
    "cancelled", "shutdown", "spawn", "check", "dependency", "workspace", "expired"]"#,
    r#"["true"]"#,
    r#"["", "x"]"#,
    r#"["a", ""]"#,
    r#"["a", 1]"#,
    r#"["a", null]"#,
    r#"["a\u0000"]"#,
    r#"[{"hex": "ff01ff"}]"#,
    r#"[{"hex": "ff"}, "x"]"#,
    r#"[{"hex": "f"}]"#,
    r#"[{"hex": "zz"}]"#,
    r#"[{"hex": ""}]"#,
    r#"[{"hex": 5}]"#,
    r#"["a", {"text": "x"}]"#,
    "{}",
    r#"{"signal": 10, "before_ms": 1}"#,
    r#"{"before_ms": 1, "signal": 10}"#,
    r#"{"signal": 0, "before_ms": 1}"#,
    r#"{"signal": 65, "before_ms": 1}"#,
    r#"{"signal": 10, "before_ms": -1}"#,
    r#"{"signal": 10, "before_ms": 3162240000001}"#,
    r#"{"signal": 10}"#,
    r#"{"signal": 10, "before_ms": null}"#,
    r#"{"signal": "USR1", "before_ms": 1}"#,
    r#"{"signal": 10, "before_ms": 1, "x": 1}"#,
    r#"{"file": "/x"}"#,
    r#"{"kept": "t"}"#,
    r#"{"file": "/x", "kept": "t"}"#,
    r#"{"file": null}"#,
    r#"{"file": 1}"#,
    r#"{"File": "/x"}"#,
    r#"{"key": "k"}"#,
    r#"{"key": ""}"#,
    r#"{"key": 5}"#,
    r#"{"key": "k", "prepare": null}"#,
    r#"{"key": "k", "prepare": ["make"]}"#,
    r#"{"key": "k", "prepare": "make"}"#,
    r#"{"key": "k", "prepare": []}"#,
    r#"{"key": "k", "prepare": [1]}"#,
    r#"{"key": "k", "x": 1}"#,
    r#"{"prepare": ["make"]}"#,
    r#"{"on_end": ["tell"]}"#,
    r#"{"on_failure": ["tell", ""], "on_success": [{"hex": "ff"}]}"#,
    r#"{"on_end": null}"#,
    r#"{"on_end": "tell"}"#,
    r#"{"on_end": []}"#,
    r#"{"on_end": [""]}"#,
    r#"{"on_end": [1]}"#,
    r#"{"on_end": [{"hex": "f"}]}"#,
    r#"{"on_end": {}}"#,
    r#"{"on_fail": ["tell"]}"#,
    r#"{"on_end": ["a\u0000"]}"#,
    r#"{"A": "t"}"#,
    r#"{"A": "t", "B": "u"}"#,
    r#"{"A": 1}"#,
    r#"{"A": null}"#,
    r#"{"A": ["t"]}"#,
    r#"{"": "t"}"#,
    r#"{"A=B": "t"}"#,
];

/// What the file says of a policy, without the name that all its refusals begin with.
fn by_sql(conn: &Connection, policy: &str) -> Result<(), String> {
    let mut insert = conn.prepare_cached("INSERT INTO job (command, policy) VALUES ('[\"true\"]', ?1)").unwrap();
    match insert.execute([policy]) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().trim_start_matches("tenure: ").to_owned()),
    }
}

fn compare(conn: &Connection, policy: &str, wrong: &mut Vec<String>) {
    match (by_sql(conn, policy), Policy::from_json(policy).map(drop)) {
        (Ok(()), Ok(())) => {}
        (Err(sql), Err(rust)) if rust.starts_with(&sql) => {}
        // What is not a JSON object, and a number that no program can hold.
        (Err(sql), Err(rust)) if rust.contains("JSON") && (sql.contains("JSON") || policy.contains("1e400")) => {}
        (sql, rust) => wrong.push(format!("{policy:.200}: the file: {sql:?}; the program: {rust:?}")),
    }
}

#[test]
fn file_and_program_refuse_the_same_policies_in_the_same_words() {
    let conn = file::fresh();
    let keys = RULES.iter().map(|(key, _)| *key).chain(["timout_ms", "", "Nice", "a.b", "$", "x\\\"y"]);
    let (mut walked, mut wrong) = (0, Vec::new());
    for key in keys {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        let long = format!("\"{}\"", "x".repeat(5_000));
        let long_key = format!(r#"{{"key": "{}"}}"#, "x".repeat(201));
        let many = format!("[{}1]", "1, ".repeat(70_000));
        let more = [nested(2), nested(60), format!("{{\"key\": {}}}", nested(5)), long, long_key, many];
        for value in VALUES.iter().copied().chain(more.iter().map(String::as_str)) {
            // Alone, and beside what some keys need or do not bear.
            for beside in ["", r#", "timeout_ms": 5000"#, r#", "user": "nobody""#, r#", "warn": null, "zzz": null"#] {
                compare(&conn, &format!("{{\"{key}\": {value}{beside}}}"), &mut wrong);
                walked += 1;
            }
        }
    }
    for other in
        ["", "x", "[]", "1", "null", "\"x\"", "{", "{}}", "{\"nice\": 1,}", "{'nice': 1}", " {\"nice\": 1} ", "{nice: 1}"]
    {
        compare(&conn, other, &mut wrong);
        walked += 1;
    }
    assert!(wrong.is_empty(), "{} of {walked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{walked} policies");
}

#[test]
fn a_refused_policy_says_the_value_the_rule_and_the_remedy() {
    for (policy, value) in [
        (r#"{"retry_on": [999]}"#, "it is [999]"),
        (r#"{"no_retry_on": "often"}"#, "it is \"often\""),
        (r#"{"nice": 99}"#, "it is 99"),
    ] {
        let error = Policy::from_json(policy).unwrap_err();
        assert!(error.contains(value) && error.contains("must be") && error.contains("omit it"), "{policy}: {error}");
    }
}
