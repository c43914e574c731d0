//! The statements of the file and of the program: with functions that every SQLite from 3.38 on has, and with their columns named.

use std::collections::BTreeSet;
use std::path::Path;

/// What is called in SQL: names directly before a parenthesis, in small letters; keywords and the names of tables have a space before it.
fn called(sql: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in sql.lines() {
        // What is between quotes is not a call; nor is a comment.
        let code: String = line.split('\'').step_by(2).collect::<Vec<_>>().join("''");
        let code = code.split("--").next().unwrap_or_default();
        for (at, _) in code.match_indices('(') {
            let name: String = code[..at].chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let name: String = name.chars().rev().collect();
            if !name.is_empty() && name == name.to_lowercase() {
                found.insert(name);
            }
        }
    }
    found
}

#[test]
fn the_file_calls_only_functions_of_every_sqlite() {
    const OF_EVERY_SQLITE: &[&str] = &[
        "char",
        "coalesce",
        "count",
        "instr",
        "json_array_length",
        "json_each",
        "json_extract",
        "json_type",
        "json_valid",
        "julianday",
        "length",
        "max",
        "min",
        "nullif",
        "replace",
        "sqlite_compileoption_used",
        "sum",
    ];
    let called = called(crate::schema::SCHEMA);
    assert!(called.contains("sqlite_compileoption_used"), "{called:?}");
    let others: Vec<&String> = called.iter().filter(|name| !OF_EVERY_SQLITE.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(!crate::schema::SCHEMA.contains("tenure_owns"), "that function is gone");
}

/// The files of the program with their code, without tests.
pub(super) fn sources() -> Vec<(String, String)> {
    let mut all = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    all
}

fn read(dir: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            read(&path, all);
        } else if (name.ends_with(".sql") || name.ends_with(".rs")) && !name.ends_with("_tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            all.push((name, code));
        }
    }
}

/// An added column would make an insert by position fail.
#[test]
fn each_insert_names_its_columns() {
    let mut all = sources();
    all.push(("schema.sql".to_owned(), crate::schema::SCHEMA.to_owned()));
    let (mut walked, mut positional) = (0, Vec::new());
    for (name, text) in &all {
        let words: Vec<&str> = text.split_whitespace().collect();
        for at in words.windows(3).enumerate().filter(|(_, three)| three[0] != "--" && three[1] == "INTO").map(|(at, _)| at) {
            if !(words[at].ends_with("INSERT") || words[at].ends_with("REPLACE") || words[at].ends_with("IGNORE")) {
                continue;
            }
            walked += 1;
            let by_position = |word: &&str| ["SELECT", "VALUES", "WITH"].iter().any(|keyword| word.starts_with(keyword));
            if !words[at + 2].contains('(') && words.get(at + 3).is_some_and(by_position) {
                positional.push(format!("{name}: {}", words[at..at + 4].join(" ")));
            }
        }
    }
    println!("{walked} inserts");
    assert!(walked > 50, "{walked}");
    assert!(positional.is_empty(), "{positional:#?}");
}
