//! Where the pages link to: to a file that is there, to a heading that it has, and to no other host but a few. Code is not looked at.

use std::path::{Path, PathBuf};

/// What a page may link to outside. Nothing is loaded from there: a reader goes there by a click.
const OUTSIDE: &[&str] = &[
    "https://docs.rs/regex/",
    "https://github.com/It4innovations/hyperqueue",
    "https://github.com/Nukesor/pueue",
    "https://github.com/justanhduc/task-spooler",
    "https://github.com/leahneukirchen/nq",
    "https://ntfy.sh",
];

/// What stands before the target of a link, and what ends it.
const MARKS: &[(&str, &[char])] = &[("](", &[')', ' ', '\n']), ("]: ", &[' ', '\n']), ("href=\"", &['"']), ("src=\"", &['"'])];

/// The text without its blocks of code; its lines stay where they are.
fn without_blocks(text: &str) -> String {
    let mut kept = String::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let mark = &bare[..bare.len() - bare.trim_start_matches('`').len()];
        match fence {
            None if mark.len() >= 3 => fence = Some(mark),
            None => kept.push_str(line),
            Some(open) if bare.trim_end() == mark && mark.len() >= open.len() => fence = None,
            Some(_) => {}
        }
        kept.push('\n');
    }
    assert!(fence.is_none(), "a block is not closed");
    kept
}

/// The same without code within a line.
fn prose(text: &str) -> String {
    let text = without_blocks(text);
    let (mut kept, mut rest) = (String::new(), text.as_str());
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let (before, after) = (&rest[..at], &rest[at + ticks..]);
        kept.push_str(before);
        // Code ends within its paragraph.
        let paragraph = &after[..after.find("\n\n").unwrap_or(after.len())];
        rest = paragraph.find(&rest[at..at + ticks]).map_or(after, |end| &after[end + ticks..]);
    }
    kept + rest
}

/// The targets of the links of a page.
pub fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let marked = MARKS.iter().flat_map(|(mark, ends)| {
        let targets = prose.split(mark).skip(1);
        targets.filter_map(|rest| rest.split(*ends).next()).map(str::to_owned).collect::<Vec<_>>()
    });
    // A code host makes a link of what looks like one.
    let bare = prose.match_indices("://").map(|(at, _)| {
        let begin = prose[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |before| before + 1);
        prose[begin..].split([')', ' ', '\n', '>', '"']).next().unwrap_or_default().to_owned()
    });
    let mut all: Vec<String> = marked.filter(|link| !link.contains("://")).chain(bare).collect();
    all.retain(|link| !link.is_empty());
    all
}

/// What links to the headings of a page name: the second of two like headings has a number.
fn places(text: &str) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for line in without_blocks(text).lines() {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let place: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let like = places.iter().filter(|other| **other == place).count();
        places.push(if like == 0 { place } else { format!("{place}-{like}") });
    }
    places
}

/// What is wrong with the links of these pages.
pub fn faults(pages: &[PathBuf]) -> Vec<String> {
    pages.iter().flat_map(|page| faults_of(page, &std::fs::read_to_string(page).unwrap())).collect()
}

fn faults_of(page: &Path, text: &str) -> Vec<String> {
    let links = links(text);
    let wrong = links.iter().filter_map(|link| Some(format!("{}: {link} {}", page.display(), fault(page, text, link)?)));
    wrong.collect()
}

fn fault(page: &Path, text: &str, link: &str) -> Option<&'static str> {
    if link.contains("://") {
        let is_known = OUTSIDE.iter().any(|known| link.starts_with(known));
        return (!is_known).then_some("is outside, and not among those that are allowed");
    }
    let (file, place) = link.split_once('#').map_or((link, None), |(file, place)| (file, Some(place)));
    let other = if file.is_empty() {
        text.to_owned()
    } else {
        let target = page.parent().unwrap().join(file);
        if !target.exists() {
            return Some("leads nowhere");
        }
        // A directory, or no text.
        std::fs::read_to_string(target).unwrap_or_default()
    };
    let place = place?;
    (!places(&other).iter().any(|there| there == place)).then_some("names no heading of that page")
}

/// The pages, and the texts beside them.
fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    super::pages().into_iter().chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root.join(name))).collect()
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let faults = faults(&all());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_place_outside_that_may_be_linked_is() {
    let links: Vec<String> = all().iter().flat_map(|page| links(&std::fs::read_to_string(page).unwrap())).collect();
    assert!(links.len() > 150, "the links are written as this test reads them: {}", links.len());
    for known in OUTSIDE {
        assert!(links.iter().any(|link| link.starts_with(known)), "no page links to {known}");
    }
}

#[test]
fn a_link_that_is_wrong_is_found_and_one_in_code_is_none() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/made-up.md");
    let right = "# One `two`\n# One two\n[a](#one-two) [b](#one-two-1) [`c`](sql.md#sizes-and-bytes) ![d](performance/slots.svg)\n\
                 [e](../schema.sql) `[f](nowhere.md)` https://ntfy.sh\n```text\n# Heading\n[g](nowhere.md) https://h.example\n```\n";
    assert_eq!(faults_of(&page, right), Vec::<String>::new());
    for (wrong, why) in [
        ("[a](nowhere.md)", "leads nowhere"),
        ("[a]: nowhere.md", "leads nowhere"),
        ("<img src=\"nowhere.svg\">", "leads nowhere"),
        ("[a](sql.md#no-such-place)", "no heading"),
        ("```sh\n# heading\n```\n[a](#heading)", "no heading"),
        ("# A\n[a](#a-1)", "no heading"),
        ("[a](https://github.com/other)", "is outside"),
        ("see http://other.example.", "is outside"),
        ("<script src=\"https://other.example/x.js\">", "is outside"),
    ] {
        let found = faults_of(&page, &format!("{wrong}\n"));
        assert!(found.len() == 1 && found[0].contains(why), "{wrong}: {found:?}");
    }
}
