//! The pages as a book: what it has, what `docs/build.sh` makes of them, and what a reader's browser loads.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::links::{faults, links};
use crate::faces::help::verbs;
use crate::support::untested::not_tested;
use crate::support::{Nest, said};

/// Pages of the book that are not in `docs`.
const BESIDE: &[&str] = &["../CHANGELOG.md", "../CONTRIBUTING.md", "../README.md"];
/// What the program shows of itself, which is written at each build.
const WRITTEN: &str = "commands/";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The files that a summary names.
fn chapters(summary: &Path) -> Vec<String> {
    let mut chapters = links(&std::fs::read_to_string(summary).unwrap());
    chapters.sort();
    chapters
}

/// The files below a directory whose names end so.
fn below(root: &Path, end: &str) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == end) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The pages below a directory, by their paths from there, but the summary.
fn pages_below(root: &Path) -> Vec<String> {
    let pages = below(root, "md").into_iter().filter(|path| !path.ends_with("SUMMARY.md"));
    let mut pages: Vec<String> = pages.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect();
    pages.sort();
    pages
}

/// Runs `docs/build.sh` with the program that was just built.
fn build(args: &[&str]) {
    let built =
        said(Command::new(docs().join("build.sh")).args(["--binary", env!("CARGO_BIN_EXE_tenure")]).args(args).output().unwrap());
    assert_eq!(built.code, 0, "{built:?}");
}

#[test]
fn each_page_is_in_the_summary_once() {
    let mut expected = pages_below(&docs());
    expected.extend(BESIDE.iter().map(|page| (*page).to_owned()));
    expected.sort();
    assert_eq!(chapters(&docs().join("SUMMARY.md")), expected);
}

#[test]
fn the_book_is_made_of_all_pages_and_of_the_help_of_each_verb() {
    let nest = Nest::new();
    let before = said(Command::new("git").args(["status", "--short"]).current_dir(docs()).output().unwrap());
    build(&["--pages", nest.file("book").to_str().unwrap()]);
    let after = said(Command::new("git").args(["status", "--short"]).current_dir(docs()).output().unwrap());
    assert_eq!(before.out, after.out, "nothing is written beside the sources");

    let root = nest.file("book/pages");
    let pages = pages_below(&root);
    assert_eq!(chapters(&root.join("SUMMARY.md")), pages);
    let wrong = faults(&pages.iter().map(|page| root.join(page)).chain([root.join("SUMMARY.md")]).collect::<Vec<_>>());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let leaving: Vec<&String> =
        pages.iter().filter(|page| std::fs::read_to_string(root.join(page)).unwrap().contains("](../../")).collect();
    assert!(leaving.is_empty(), "{leaving:?} link to what is not part of the book");

    let reference: String = pages
        .iter()
        .filter(|page| page.starts_with(WRITTEN))
        .map(|page| std::fs::read_to_string(root.join(page)).unwrap())
        .collect();
    for path in verbs(&nest).into_iter().filter(|path| !path.is_empty()) {
        let help = said(nest.tenure(&["help"]).args(&path).env("COLUMNS", "80").output().unwrap());
        assert!(reference.contains(&format!(" tenure {}\n", path.join(" "))), "{path:?} has no heading");
        assert!(reference.contains(help.out.trim_end()), "{path:?}: the help is not whole");
    }
}

#[test]
fn the_scripts_of_the_pages_are_shell_without_complaints() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        return not_tested("what shellcheck says of docs/*.sh", "shellcheck");
    }
    let checked = said(Command::new("shellcheck").args([docs().join("build.sh"), docs().join("record.sh")]).output().unwrap());
    assert_eq!(checked.code, 0, "{}", checked.out);
}

/// What a page of the site loads or leads to: the attribute with its value, and whether a browser loads it by itself.
fn references(html: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        for attribute in [" src=\"", " href=\"", " action=\"", " srcset=\"", " data=\""] {
            if let Some((_, rest)) = tag.split_once(attribute) {
                let is_loaded = !tag.starts_with("a ");
                found.push((rest.split('"').next().unwrap().to_owned(), is_loaded));
            }
        }
    }
    found
}

#[test]
#[ignore = "needs mdbook, which takes minutes to build: TENURE_CI_BOOK=1"]
fn the_site_loads_nothing_from_outside_and_its_links_are_right() {
    let nest = Nest::new();
    let out = nest.file("site");
    build(&["--out", out.to_str().unwrap()]);
    let pages = below(&out, "html");
    assert!(pages.len() > 90, "{} pages", pages.len());
    let mut wrong = Vec::new();
    for page in &pages {
        let html = std::fs::read_to_string(page).unwrap();
        // The script of the pages asks another host what such code may use.
        wrong.extend(html.contains("class=\"playground").then(|| format!("{}: code that is run elsewhere", page.display())));
        for (link, is_loaded) in references(&html) {
            let (file, place) = link.split_once('#').map_or((link.as_str(), ""), |(file, place)| (file, place));
            if link.contains("://") || link.starts_with("//") {
                wrong.extend(is_loaded.then(|| format!("{}: loads {link}", page.display())));
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            // The page for what is not found is served at any depth, below a root that only the host knows.
            let is_there = target.exists() || file.starts_with('/') || link.starts_with("data:");
            let text = if place.is_empty() || !is_there { None } else { std::fs::read_to_string(&target).ok() };
            if !is_there || text.is_some_and(|text| !text.contains(&format!("id=\"{place}\""))) {
                wrong.push(format!("{}: {link} leads nowhere", page.display()));
            }
        }
    }
    for style in below(&out, "css") {
        let text = std::fs::read_to_string(&style).unwrap();
        let outside = text.split("url(").skip(1).filter(|url| url.trim_start_matches(['"', '\'']).starts_with("http"));
        wrong.extend(outside.map(|url| format!("{}: loads {}", style.display(), url.split(')').next().unwrap())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(below(&out, "js").iter().any(|file| file.to_string_lossy().contains("searchindex")), "there is no search");
}
