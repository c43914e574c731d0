//! What the documentation shows is what happens: each `sh` block of README and of a page in `docs/` is run, in order, by one shell in a
//! directory of its own, and must succeed. A block that is not meant to be run is `text`.
//!
//! `tenure` is the program that was just built, `TENURE_DB` a file that is not there yet. What is expected is said in the
//! blocks themselves, as a person would check it: `tenure wait 3`, `test -e out`.

mod book;
mod clients;
mod containers;
mod links;
mod notify;
mod recording;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::support::{Nest, each, within};

/// Pages whose blocks are an operator's, on a machine of hers: they name places that are not here.
const NOT_RUN: &[&str] = &["operating.md"];

/// How long the jobs of a page may run after its shell has ended. The rest counts as left behind.
const LEAVING: std::time::Duration = std::time::Duration::from_secs(10);
/// What builds and tests the program itself, in README.
const OF_CARGO: &str = "cargo ";

fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.sort();
    assert!(pages.len() > 5, "the pages are where they are looked for");
    pages
}

/// The `sh` blocks of a page, each with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (n, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim_end() == "```sh" => open = Some((n + 2, String::new())),
            None => {}
            Some(_) if line.trim_end() == "```" => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// One script of all blocks: the first command that fails ends it, and says where it stands.
fn script(page: &Path) -> Option<String> {
    let blocks = blocks(&std::fs::read_to_string(page).unwrap());
    if blocks.is_empty() {
        return None;
    }
    let mut script = "set -euo pipefail\ntrap 'echo \"line $at: $BASH_COMMAND\" >&2' ERR\n".to_owned();
    for (line, block) in blocks.into_iter().filter(|(_, block)| !block.starts_with(OF_CARGO)) {
        script.push_str(&format!("at={line}\n{block}"));
    }
    Some(script)
}

fn run(page: &Path, script: &str) -> Option<String> {
    run_in(&Nest::new(), page, script)
}

/// With the program that was just built in it.
fn path() -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

/// Beside a worker that runs already, as a reader has one from the first tour.
fn run_beside_a_worker(page: &Path, script: &str) -> Option<String> {
    let nest = Nest::new();
    let path = path();
    let worker = nest.work_with(&[], &[("PATH", path.as_ref())]);
    // The worker is none of the processes that the page starts.
    let said = run_in(
        &nest,
        page,
        &format!(
            "{script}\nkill {0}; while kill -0 {0} 2>/dev/null && ! grep -q '^State:.Z' /proc/{0}/status; do sleep 0.05; done",
            worker.pid()
        ),
    );
    drop(worker);
    said.map(|said| format!("beside a worker: {said}"))
}

fn run_in(nest: &Nest, page: &Path, script: &str) -> Option<String> {
    let path = path();
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).current_dir(nest.path()).env_clear().stdin(Stdio::null());
    shell.env("PATH", path).env("HOME", nest.path()).env("XDG_CONFIG_HOME", nest.path()).env("TENURE_DB", nest.db());
    shell.env("LANG", "C.UTF-8").env("TZ", "UTC");
    // Into files: a background process of the page must not keep a pipe of ours open.
    let (out, err) = (nest.file(".out"), nest.file(".err"));
    shell.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&err).unwrap());
    let status = shell.status().unwrap();
    let text = |file: &Path| String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned();
    if !status.success() {
        return Some(format!("{}: {status}\n{}{}", page.display(), text(&out), text(&err)));
    }
    // The last jobs of a page may be ending just now.
    let none_is_left = within(LEAVING, || nest.processes().is_empty().then_some(()));
    none_is_left.is_none().then(|| format!("{}: left processes behind: {:?}", page.display(), nest.processes()))
}

/// Whether the clients that a page uses are there.
fn can_run(script: &str) -> bool {
    !script.contains("sqlite3 ") || clients::can("sqlite3", &["--version"])
}

/// Runs what the pages show; returns what went wrong.
fn on_each_page(pages: Vec<PathBuf>, run: fn(&Path, &str) -> Option<String>) -> Vec<String> {
    let failed = Mutex::new(Vec::new());
    each(&pages, |page| {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        if NOT_RUN.contains(&name.as_str()) {
            return;
        }
        if let Some(script) = script(page).filter(|script| can_run(script)) {
            failed.lock().unwrap().extend(run(page, &script));
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn what_the_pages_show_happens() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let failed = on_each_page(pages().into_iter().chain([readme]).collect(), run);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_the_pages_show_happens_beside_a_worker_too() {
    let failed = on_each_page(pages(), run_beside_a_worker);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_page_that_shows_something_wrong_is_found() {
    let page = Path::new("made-up.md");
    assert!(run(page, "set -e\ntenure add -- true\n").is_none());
    let wrong =
        run(page, "set -euo pipefail\ntrap 'echo \"line $at: $BASH_COMMAND\" >&2' ERR\nat=7\ntenure show 7\n").expect("told");
    assert!(wrong.contains("line 7: tenure show 7"), "{wrong}");
    let left = run(page, "sleep 600 & exit 0").expect("told");
    assert!(left.contains("left processes"), "{left}");
}
