//! The pages of the languages: each is run as it stands, beside a worker, and prints what it says that it prints.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::life::embedded::example;
use crate::support::{Nest, said};

/// A page: its name, the mark of its block, the end of the name of a script, the program, and what the program must be able to run.
struct Page(&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const PAGES: &[Page] = &[
    Page("sql-python.md", "python", "py", "python3", &["-c", "import sqlite3"]),
    Page("sql-node.md", "js", "js", "node", &["-e", "try { require('node:sqlite') } catch { require('better-sqlite3') }"]),
    Page("sql-php.md", "php", "php", "php", &["-r", "new PDO('sqlite::memory:');"]),
    Page("sql-ruby.md", "ruby", "rb", "ruby", &["-e", "require 'sqlite3'; require 'json'"]),
    Page("sql-perl.md", "perl", "pl", "perl", &["-e", "use DBI; use DBD::SQLite; use JSON::PP"]),
];

/// The text between a mark and the end of its block.
fn block<'a>(text: &'a str, mark: &str) -> &'a str {
    let fence = format!("```{mark}\n");
    let mut blocks = text.split(fence.as_str()).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("there is no block {mark}"));
    assert!(blocks.next().is_none(), "there is one block {mark}");
    block.split("```").next().unwrap()
}

/// Whether a program can run these arguments; told where not. Where nothing may be left out, only Node may: Debian has no package of it.
pub fn can(program: &str, args: &[&str]) -> bool {
    let quiet = |command: &mut Command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = quiet(Command::new(program).args(args)).is_ok_and(|status| status.success());
    if !can {
        eprintln!("NOT TESTED: {program} cannot run {args:?}");
        assert!(program == "node" || std::env::var_os("TENURE_TEST_ALL").is_none(), "this test needs {program} with SQLite");
    }
    can
}

#[test]
fn the_page_of_each_language_prints_what_it_says() {
    let mut walked = Vec::new();
    for Page(name, mark, end, program, probe) in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let (code, expected) = (block(&text, mark), block(&text, "text"));
        if !can(program, probe) {
            continue;
        }
        let nest = Nest::new();
        nest.ok(&["queue", "set", "default", "--slots", "none"]);
        let worker = nest.work(&[]);
        let script = nest.file(&format!("page.{end}"));
        std::fs::write(&script, code).unwrap();
        let mut command = Command::new(program);
        command.arg(&script).current_dir(nest.path()).env("TENURE_DB", nest.db()).stdin(Stdio::null());
        let ran = said(command.output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{name}: {ran:?}");
        let doctor = nest.json(&["doctor", "--json"]);
        let wrong = doctor["problems"].as_array().unwrap();
        assert!(wrong.iter().all(|one| one["code"] == "permissions" || one["code"] == "disk"), "{name}: {wrong:?}");
        worker.stop();
        walked.push(*program);
    }
    println!("{walked:?}");
}

#[test]
fn the_client_in_rust_prints_what_its_page_says() {
    let (page, source) = (include_str!("../../docs/embedding.md"), include_str!("../../examples/client.rs"));
    let section = page.split_once("\n## A client of a queue\n").unwrap().1.split("\n## ").next().unwrap();
    assert_eq!(block(section, "rust,no_run"), source.split_once("\n\n").unwrap().1);
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let ran =
        said(Command::new(example("client")).arg(nest.db()).current_dir(nest.path()).stdin(Stdio::null()).output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (0, block(section, "text")), "{ran:?}");
    assert_eq!(worker.stop(), 0);
}

#[test]
fn every_shell_line_of_the_pages_waits_for_a_lock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut walked = 0;
    for page in crate::docs::pages().into_iter().chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in text.lines().filter(|line| line.split_whitespace().any(|word| word.trim_matches('`') == "sqlite3")) {
            // A line that opens a file; a sentence that names the program is none.
            if line.contains("$TENURE_DB") || line.contains("config db") || line.contains(".db ") {
                assert!(line.contains("'.timeout 5000'"), "{}: {line}", page.display());
                walked += 1;
            }
        }
    }
    assert!(walked >= 4, "{walked}");
}

#[test]
fn the_sql_line_of_the_readme_makes_a_job() {
    if !can("sqlite3", &["--version"]) {
        return;
    }
    let readme = include_str!("../../README.md");
    let line = readme.lines().find(|line| line.starts_with("sqlite3 ")).expect("a line");
    // As root the default is a place of the machine, which no test may touch: there the variable names the file.
    let places: &[Option<&str>] =
        if rustix::process::geteuid().is_root() { &[Some("a b/let's.db")] } else { &[None, Some("a b/let's.db")] };
    for place in places {
        let nest = Nest::new();
        let bin = Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["-euc", &format!("tenure add -- true; {line}; tenure work --until-idle; tenure wait 2; tenure logs 2")]);
        shell.current_dir(nest.path()).env_clear().env("PATH", path).env("HOME", nest.path()).stdin(Stdio::null());
        if let Some(place) = place {
            shell.env("TENURE_DB", nest.file(place));
        }
        let ran = said(shell.output().unwrap());
        assert!(ran.code == 0 && ran.out.starts_with("1\n2\n") && ran.out.ends_with("hi\n"), "{line}: {ran:?}");
    }
}

/// The least that each table takes of a client, as docs/sql.md lists them. Another release of SQLite differs in what NULL is to a
/// function: before 3.45 `json_valid(NULL)` is 0.
const LEAST: &[&str] = &[
    "INSERT INTO job (command) VALUES (json_array('true'))",
    "INSERT INTO cancel (job_id) VALUES (2)",
    "INSERT INTO dependency (job_id, on_job) VALUES (4, 1)",
    "INSERT INTO resource (name, job_id, teardown) VALUES ('a', 1, json_array('true'))",
    "INSERT INTO resource (name, job_id, teardown, probe) VALUES ('b', 1, json_array('true'), json_array('true'))",
    "INSERT INTO queue (name) VALUES ('q')",
    "INSERT INTO lane (key) VALUES ('l')",
    "INSERT INTO event (job_id, kind) VALUES (1, 'mine')",
    "UPDATE job SET priority = 1, label = NULL, available_at = 0, expires_at = NULL, user_hold = 1 WHERE id = 1",
    "UPDATE resource SET state = 'releasing' WHERE name = 'a'",
    "UPDATE queue SET slots = NULL, paused = 1 WHERE name = 'q'",
    "UPDATE lane SET max_running = 2 WHERE key = 'l'",
];

#[test]
fn the_installed_sqlite3_may_write_what_the_page_lists() {
    if !can("sqlite3", &["--version"]) {
        return;
    }
    let nest = Nest::new();
    (0..4).for_each(|_| drop(nest.ok(&["add", "--", "true"])));
    for sql in LEAST {
        let wrote = said(Command::new("sqlite3").arg(nest.db()).arg(format!("{sql}; SELECT changes() > 0;")).output().unwrap());
        assert_eq!((wrote.code, wrote.out.trim()), (0, "1"), "{sql}: {wrote:?}");
    }
    let faults: i64 = nest.sql().query_row("SELECT count(*) FROM job WHERE fault IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(faults, 0);
}
