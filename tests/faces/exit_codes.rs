//! The tables of docs/exit-codes.md against the program: each code that a table has is one of the code, and comes out of its example.

use std::collections::BTreeMap;
use std::process::Command;

use tenure::error::exit;

use crate::support::{Nest, said};

/// The tables of the page: of each code what its row gives as an example.
fn tables() -> Vec<BTreeMap<String, String>> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exit-codes.md");
    let mut tables: Vec<BTreeMap<String, String>> = Vec::new();
    for line in std::fs::read_to_string(page).unwrap().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "code", ..] => tables.push(BTreeMap::new()),
            ["", code, means, example, ""] if !code.starts_with("---") => {
                assert!(!means.is_empty());
                let twice = tables.last_mut().unwrap().insert((*code).to_owned(), (*example).to_owned());
                assert!(twice.is_none(), "{code} has two rows");
            }
            _ => {}
        }
    }
    tables
}

/// The first command of an example.
fn command(example: &str) -> Option<&str> {
    example.split('`').nth(1)
}

#[test]
fn each_code_of_the_page_comes_out_of_its_example() {
    let tables = tables();
    assert_eq!(tables.len(), 2);
    let of_all = [exit::OK, exit::FAILED, exit::USAGE, exit::NO_SUCH, exit::FILE, exit::NO_WORKER, exit::REFUSED];
    let of_jobs = [exit::FAILED, exit::TIMEOUT, exit::OURSELVES, exit::NOT_EXECUTABLE, exit::NOT_FOUND];
    let codes = |codes: &[u8]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let listed = |table: usize| tables[table].keys().filter(|code| !code.contains('+')).cloned().collect::<Vec<_>>();
    let sorted = |mut codes: Vec<String>| {
        codes.sort();
        codes
    };
    assert_eq!(listed(0), sorted(codes(&of_all)));
    assert_eq!(listed(1), sorted(codes(&of_jobs)));
    assert!(tables[1].contains_key(&format!("{}+N", exit::SIGNAL_BASE)));

    let nest = Nest::new();
    nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let mut walked = 0;
    for (code, example) in tables.iter().flatten() {
        let Some(line) = command(example) else { continue };
        let expected = if code.contains('+') { 128 + 9 } else { code.parse::<i32>().unwrap() };
        let line = line.replacen("tenure", tenure, 1).replace("--timeout 1s", "--timeout 100ms");
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).current_dir(nest.path()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", nest.path());
        let said = said(shell.env("TENURE_DB", nest.db()).stdin(std::process::Stdio::null()).output().unwrap());
        assert_eq!(said.code, expected, "{line}: {said:?}");
        assert!(!said.err.is_empty(), "{line} says nothing");
        walked += 1;
    }
    assert_eq!(walked, of_all.len() + of_jobs.len(), "each row but that of 0 has an example");
    // What the page says below its tables.
    let failed = nest.sh(&[], "exit 3");
    nest.work_until_idle(&[]);
    assert_eq!(nest.say(&["wait", "1"]).code, 0);
    assert_eq!(nest.say(&["wait", &failed.to_string()]).code, 3);
    assert_eq!(nest.say(&["wait", "1", &failed.to_string()]).code, 1);
    assert_eq!(nest.say(&["ls", "--label", "nosuch"]).code, 0);
}
