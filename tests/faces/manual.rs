//! Manual pages as files, as a packager writes them and as the formatters read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Nest, said};

fn pages(dir: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

fn write_all(nest: &Nest) -> PathBuf {
    let dir = nest.file("share/man1");
    let wrote = nest.say(&["man", "--dir", dir.to_str().unwrap()]);
    assert!(wrote.code == 0 && wrote.out.is_empty() && wrote.err.contains("manual pages"), "{wrote:?}");
    dir
}

#[test]
fn each_page_is_written_as_a_file_and_is_what_man_prints() {
    let nest = Nest::new();
    let dir = write_all(&nest);
    let names: Vec<String> = pages(&dir).iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.len() > 60 && names.iter().all(|name| name.starts_with("tenure") && name.ends_with(".1")), "{names:?}");
    for (file, path) in [("tenure.1", &[][..]), ("tenure-add.1", &["add"]), ("tenure-queue-set.1", &["queue", "set"])] {
        let page = std::fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(nest.say(&[&["man"], path].concat()).out, page, "{file}");
    }
    assert!(!nest.db().exists(), "no file is made");
}

#[test]
fn groff_has_no_warning_for_any_page() {
    if Command::new("groff").arg("--version").output().is_err() {
        return crate::support::untested::not_tested("manual pages in groff", "groff: apt-get install groff");
    }
    let nest = Nest::new();
    for page in pages(&write_all(&nest)) {
        let formatted = Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page).output().unwrap();
        assert!(formatted.status.success() && formatted.stderr.is_empty(), "{}: {formatted:?}", page.display());
    }
}

#[test]
fn mandoc_has_no_warning_but_for_the_missing_date() {
    if Command::new("mandoc").arg("-l").arg("/dev/null").output().is_err() {
        return crate::support::untested::not_tested("manual pages in mandoc", "mandoc: apt-get install mandoc");
    }
    let nest = Nest::new();
    let linted = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(pages(&write_all(&nest))).output().unwrap();
    let warnings = String::from_utf8_lossy(&linted.stdout).into_owned() + &String::from_utf8_lossy(&linted.stderr);
    let other: Vec<&str> = warnings.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(other.is_empty(), "{other:#?}");
}

#[test]
fn man_shows_typed_text_unchanged() {
    if Command::new("man").arg("--version").output().is_err() {
        return crate::support::untested::not_tested("manual pages in man", "man: apt-get install man-db");
    }
    let nest = Nest::new();
    let page = write_all(&nest).join("tenure-cancel.1");
    let shown = Command::new("man").env("MANWIDTH", "80").env("MANPAGER", "cat").arg("-l").arg(page).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("tenure cancel --label nightly --why 'wrong branch'"), "{text}");
}

#[test]
fn a_failed_write_and_an_unknown_verb_are_said() {
    let nest = Nest::new();
    std::fs::write(nest.file("taken"), "mine").unwrap();
    for dir in ["taken", "taken/below", "", "/proc/nowhere"] {
        let said = nest.say(&["man", "--dir", dir]);
        assert!(said.code != 0 && said.out.is_empty() && said.err.contains("tenure: error"), "{dir:?}: {said:?}");
    }
    assert_eq!(std::fs::read_to_string(nest.file("taken")).unwrap(), "mine");
    for (words, code) in
        [(&["nope"][..], 2), (&["queue", "nope"], 2), (&["add", "x"], 2), (&["\x1b[2J"], 2), (&["add", "--dir", "d"], 2)]
    {
        let said = nest.say(&[&["man"], words].concat());
        assert!(said.code == code && said.out.is_empty() && !said.err.contains('\x1b'), "{words:?}: {said:?}");
    }
    assert!(!nest.file("d").exists());
}

#[test]
fn a_link_in_the_place_of_a_page_is_replaced_and_not_followed() {
    let nest = Nest::new();
    std::fs::write(nest.file("precious"), "mine").unwrap();
    std::fs::create_dir_all(nest.file("share/man1")).unwrap();
    std::os::unix::fs::symlink(nest.file("precious"), nest.file("share/man1/tenure.1")).unwrap();
    let dir = write_all(&nest);
    assert_eq!(std::fs::read_to_string(nest.file("precious")).unwrap(), "mine");
    assert!(std::fs::symlink_metadata(dir.join("tenure.1")).unwrap().is_file());
    assert!(pages(&dir).iter().all(|page| page.extension().is_some_and(|e| e == "1")), "nothing unfinished is left");
}

#[test]
fn the_manual_needs_no_settings() {
    let nest = Nest::new();
    let mut command = nest.tenure(&["man", "work"]);
    let broken = said(command.env("TENURE_CONFIG", "/no/such/file").env("TENURE_SLOTS", "x").output().unwrap());
    assert!(broken.code == 0 && broken.out.contains("until\\-idle"), "{broken:?}");
}
