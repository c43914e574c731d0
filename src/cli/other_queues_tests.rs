//! The pages for users of other queues (`docs/from-*.md`): each command of tenure in their tables
//! parses, so that a renamed option cannot stay on a page.

use std::path::Path;
use std::process::Command;

use clap::Parser;

use crate::cli::command_line::Cli;

/// The commands of tenure in code spans of the tables, each with its page.
fn commands() -> Vec<(String, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = Vec::new();
    for page in std::fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        if !(name.starts_with("from-") && name.ends_with(".md")) {
            continue;
        }
        for row in std::fs::read_to_string(&page).unwrap().lines().filter(|line| line.starts_with("| ")) {
            let spans = row.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|"));
            found.extend(spans.filter(|span| program(span).is_some()).map(|span| (name.clone(), span)));
        }
    }
    found
}

/// What follows the name of the program, and the variables before it.
fn program(span: &str) -> Option<&str> {
    let rest = span.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
    let rest = match rest.strip_prefix('=') {
        Some(value) if rest.len() < span.len() => value.split_once(' ')?.1,
        _ => span,
    };
    if rest == "tenure" { Some("") } else { rest.strip_prefix("tenure ") }
}

/// Returns the words, as a shell splits them.
fn words(line: &str) -> Vec<String> {
    let printed = Command::new("/bin/sh").args(["-c", &format!("printf '%s\\0' tenure {line}")]).output().unwrap();
    assert!(printed.status.success(), "{line}");
    let text = String::from_utf8(printed.stdout).unwrap();
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

#[test]
fn every_command_on_the_pages_for_other_queues_parses() {
    let commands = commands();
    let pages: std::collections::BTreeSet<&String> = commands.iter().map(|(page, _)| page).collect();
    assert!(pages.len() >= 6 && commands.len() > 120, "the tables are read: {} on {} pages", commands.len(), pages.len());
    let wrong: Vec<String> = commands
        .iter()
        .filter_map(|(page, span)| {
            let error = Cli::try_parse_from(words(program(span)?)).err()?;
            Some(format!("{page}: `{span}`: {}", error.to_string().lines().next().unwrap_or_default()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
