//! The walls of the house: who may import whom and in no circle, where unsafe code may stand, how long a file may be, where SQL
//! stands, and how texts read.

mod graph;
mod texts;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file of code, in lines. Longer ones have two purposes.
const LINES_MAX: usize = 400;

/// Rooms, and what each may name of `crate::`. Leaves may be named by everybody but `job`.
const MAY: &[(&str, &[&str])] = &[
    ("job", &["job"]),
    ("store", &["store", "job", "clock", "error", "hash", "owner", "place", "random", "sync", "units"]),
    ("run", &["run", "job", "clock", "error", "owner", "place", "random", "sync", "units"]),
    ("host", &["host", "store", "run", "job", "clock", "error", "place", "sync", "units"]),
    ("worker", &["worker", "host", "store", "run", "job", "clock", "error", "place", "sync", "units", "escape"]),
    ("config", &["config", "clock", "error", "escape", "job", "owner", "place", "random", "sync", "units"]),
    (
        "queue",
        &[
            "queue", "worker", "host", "store", "run", "job", "clock", "error", "escape", "owner", "place", "random", "sync",
            "units",
        ],
    ),
    ("parse", &["parse", "job", "clock", "error", "escape", "units"]),
    ("document", &["document", "queue", "host", "store", "run", "job", "clock", "error", "escape", "place", "units"]),
    (
        "web",
        &[
            "web", "document", "parse", "queue", "host", "store", "run", "job", "clock", "error", "escape", "hash", "place",
            "random", "sync", "units",
        ],
    ),
    (
        "mcp",
        &[
            "mcp", "document", "parse", "queue", "host", "store", "run", "job", "clock", "error", "escape", "shown", "sync",
            "units",
        ],
    ),
    (
        "cli",
        &[
            "cli", "web", "mcp", "document", "parse", "queue", "worker", "host", "store", "run", "job", "clock", "error",
            "escape", "owner", "place", "random", "config", "shown", "sync", "units",
        ],
    ),
];

/// Leaves: they name leaves and the pure room only.
const LEAVES: &[&str] =
    &["clock", "config", "error", "escape", "hash", "owner", "place", "random", "shown", "sync", "units", "job"];

/// The files of the library and the program.
fn sources() -> Vec<(PathBuf, String)> {
    let found = below("src");
    assert!(found.len() > 30, "the sources are where they are looked for");
    found
}

/// All files of Rust that are kept here.
fn everything() -> Vec<(PathBuf, String)> {
    let kept: Vec<_> = ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(|directory| {
            let found = below(directory);
            assert!(!found.is_empty(), "the files of {directory} are where they are looked for");
            found
        })
        .collect();
    assert!(kept.len() > 300, "the tests are where they are looked for: {}", kept.len());
    kept
}

/// Whether that is this file, which names what others must not hold.
fn is_this(path: &Path) -> bool {
    path.ends_with("tests/tidy/mod.rs")
}

fn below(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn inside(path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    relative.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

/// The rooms that a text names as `crate::ROOM`.
fn named(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    code.split("crate::").skip(1).map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

#[test]
fn rooms_name_only_what_they_may() {
    for (path, text) in sources() {
        let parts = inside(&path);
        if parts.len() == 1 {
            let leaf = parts[0].trim_end_matches(".rs");
            if LEAVES.contains(&leaf) {
                for room in named(&text) {
                    assert!(LEAVES.contains(&room.as_str()), "{} names {room}", path.display());
                }
            }
            continue;
        }
        let room = parts[0].as_str();
        let Some((_, may)) = MAY.iter().find(|(name, _)| *name == room) else { panic!("{room} is a room without a rule") };
        for other in named(&text) {
            assert!(may.contains(&other.as_str()), "{} names {other}, and {room} may only name {may:?}", path.display());
        }
    }
}

#[test]
fn files_of_a_room_do_not_import_in_a_circle() {
    let modules = sources().into_iter().filter_map(|(path, text)| Some((module_of(&path)?, text)));
    let house = graph::Crate::new(modules);
    for (room, _) in MAY {
        let edges = house.edges(room);
        let cycles = graph::cycles(&edges);
        assert!(cycles.is_empty(), "{room}: files import each other in a circle: {cycles:#?}");
    }
}

/// `None`: a file of tests.
fn module_of(path: &Path) -> Option<graph::Module> {
    let mut parts = inside(path);
    let last = parts.pop()?.trim_end_matches(".rs").to_owned();
    if last.ends_with("tests") || last == "fixture" {
        return None;
    }
    if last != "mod" {
        parts.push(last);
    }
    Some(parts)
}

#[test]
fn the_pure_room_is_pure() {
    for (path, text) in sources() {
        if inside(&path)[0] != "job" {
            continue;
        }
        for word in [
            "std::fs",
            "std::process",
            "std::thread",
            "std::net",
            "Instant::now",
            "SystemTime",
            "rusqlite",
            "rustix",
            "libc::",
            "log::",
            "std::env",
        ] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_where_it_may_and_says_why() {
    for (path, text) in everything().into_iter().filter(|(path, _)| !is_this(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !code.contains("unsafe {") && !code.contains("unsafe fn") && !code.contains("unsafe extern") {
                continue;
            }
            if path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
                let room = inside(&path)[0].clone();
                assert!(room == "run" || room == "store", "{}:{}: unsafe code", path.display(), n + 1);
            }
            let before = lines[n.saturating_sub(12)..n].join("\n");
            assert!(
                before.contains("SAFETY") || before.contains("# Safety"),
                "{}:{}: unsafe code without its reason",
                path.display(),
                n + 1
            );
        }
    }
}

#[test]
fn a_file_fits_a_sitting() {
    for (path, text) in everything() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines; split it by purpose", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for (path, text) in everything().into_iter().filter(|(path, _)| !is_this(path)) {
        for mark in ["todo!", "unimplemented!", "FIXME", "XXX", "dbg!"] {
            assert!(!text.contains(mark), "{} has a {mark}", path.display());
        }
    }
}

#[test]
fn the_clock_is_asked_for_now_in_one_place() {
    for (path, text) in sources() {
        if path.file_name().is_some_and(|name| name == "clock.rs") {
            continue;
        }
        for call in ["SystemTime::now", "Timestamp::now"] {
            assert!(!text.contains(call), "{} reads the wall clock by itself", path.display());
        }
    }
}

/// The packages that are built with these features, each line a name and a version.
fn packages(features: &[&str]) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{lib}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8_lossy(&tree.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_library_alone_needs_no_package_of_the_command_line() {
    let of_cli = ["clap", "clap_complete", "comfy_table", "env_logger", "indicatif", "toml", "axum", "hyper", "rmcp", "tokio"];
    let (whole, library) = (packages(&[]), packages(&["--no-default-features"]));
    for name in of_cli {
        assert!(whole.iter().any(|package| package == name), "{name} is not among {whole:?}");
        assert!(!library.iter().any(|package| package == name), "{name} is among {library:?}");
    }
    assert!(library.iter().any(|package| package == "rusqlite"), "the packages are told as this test reads them: {library:?}");
}

/// Where a signature that a program can see may stand, and what it must not name: types of other crates, and our own that hold some.
const FACADE: &[&str] = &["queue", "error.rs"];
const FOREIGN: &[&str] = &[
    "rusqlite",
    "Connection",
    "crossbeam",
    "Sender",
    "Receiver",
    "jiff",
    "Zoned",
    "serde_json",
    "Value",
    "Clock",
    "Store",
    "NewJob",
    "Argv",
];

#[test]
fn the_public_interface_names_no_type_of_another_crate() {
    let facade: Vec<(PathBuf, String)> =
        sources().into_iter().filter(|(path, _)| FACADE.contains(&inside(path)[0].as_str())).collect();
    let private: Vec<String> = facade.iter().flat_map(|(_, text)| private_types(text)).collect();
    let mut looked_at = 0;
    for (path, text) in &facade {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            if !line.trim_start().starts_with("pub ") || belongs_to(&lines[..n], &private) {
                continue;
            }
            // A signature ends before its body; a tuple's fields are their own affair as long as they are not public.
            let end =
                if line.ends_with(',') { n } else { (n..lines.len()).find(|at| lines[*at].ends_with(['{', ';'])).unwrap_or(n) };
            let whole = lines[n..=end].join(" ");
            let signature =
                if line.contains("struct ") && !whole.contains("(pub ") { whole.split('(').next().unwrap() } else { &whole };
            looked_at += 1;
            for word in signature.split(|c: char| !c.is_alphanumeric() && c != '_') {
                assert!(!FOREIGN.contains(&word), "{}:{}: a public signature names {word}: {signature}", path.display(), n + 1);
            }
        }
    }
    assert!(looked_at > 100, "the signatures are written as this test reads them: {looked_at}");
}

/// The types of a file that only this crate can name.
fn private_types(text: &str) -> Vec<String> {
    let declared = text
        .lines()
        .filter_map(|line| ["pub(crate) struct ", "pub(crate) enum "].iter().find_map(|stem| line.strip_prefix(stem)));
    declared.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}

/// Whether the line after these is inside one of those types, or inside what is done with it.
fn belongs_to(before: &[&str], private: &[String]) -> bool {
    let Some(head) = before.iter().rev().find(|line| line.starts_with("impl") || line.starts_with("pub")) else { return false };
    head.starts_with("pub(") || private.iter().any(|name| head.split(|c: char| !c.is_alphanumeric()).any(|word| word == name))
}

/// Statements of `.sql` files: the file, and the name.
fn named_statements() -> Vec<(PathBuf, String)> {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "sql") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.strip_prefix("-- name: "));
            found.extend(names.map(|name| (path.clone(), name.to_owned())));
        }
    }
    assert!(found.len() > 100, "the statements are where they are looked for");
    found
}

#[test]
fn each_named_statement_is_used() {
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    for (path, name) in named_statements() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(code.contains(&format!("{file}\", \"{name}\")")), "{}: no code asks for {name}", path.display());
    }
}

#[test]
fn no_statement_of_several_lines_stands_in_code() {
    let mut statements = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| inside(path)[0] == "store" && module_of(path).is_some()) {
        let product = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        for literal in product.split('"').skip(1).step_by(2) {
            let is_statement = ["SELECT ", "UPDATE ", "INSERT ", "DELETE ", "WITH "].iter().any(|verb| literal.starts_with(verb));
            statements += usize::from(is_statement);
            assert!(!is_statement || !literal.contains('\n'), "{}: put this beside the code: {literal}", path.display());
        }
    }
    assert!(statements > 100, "{statements} statements were looked at");
}
