//! How the project speaks: phrases that are not used, and the widths of lines.

use std::path::Path;
use std::process::Command;

/// Widest comment line in Rust and SQL, in characters. Tables and diagrams may be wider.
const COMMENT_WIDTH_MAX: usize = 100;

/// Widest line of the schema, in characters.
const SCHEMA_WIDTH_MAX: usize = 140;

/// Longest name of a test, in characters.
const TEST_NAME_MAX: usize = 60;

/// Phrases that are not used, each with what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("can not", "cannot"),
    ("is no", "is not a"),
    ("are no", "are not"),
    ("whoever", "name the actor"),
    ("somebody", "name the actor"),
    ("someone", "name the actor"),
    ("anybody", "any client, any process, any user"),
    ("nobody", "no client, no process, no user"),
    ("everybody", "every client, every process, every user"),
    ("whatever", "name the thing: any, every, all that"),
    ("stands in", "is in, is recorded in"),
    ("stand in the way", "block"),
    ("in the way", "blocked by, an obstacle"),
    ("goes on", "continues"),
    ("go on", "continue"),
    ("going on", "continuing"),
    ("lets go", "releases"),
    ("let go", "released"),
    ("taken away", "removed, released by force"),
    ("written down", "recorded"),
    ("put back", "requeued, returned to the queue, restored"),
    ("puts back", "requeues, returns to the queue, restores"),
    ("errand", "auxiliary run"),
    ("errands", "auxiliary runs"),
    ("wish", "stop request"),
    ("wishes", "stop requests"),
    ("bell", "waker"),
    ("bells", "wakers"),
    ("desk", "write queue"),
    ("cure", "remedy, repair"),
    ("cures", "repairs"),
    ("sick", "invalid, broken"),
    ("heal", "repair"),
    ("heals", "repairs"),
    ("healed", "repaired"),
    ("mend", "repair"),
    ("mends", "repairs"),
    ("mended", "repaired"),
    ("tend", "promote, process"),
    ("tends", "promotes, processes"),
    ("tended", "processed"),
    ("made outside", "an external resource"),
    ("in vain", "without success, for nothing that will happen"),
    ("for ever", "forever, without end"),
    ("of course", "drop it"),
    ("after all", "drop it"),
    ("simply", "drop it"),
    ("as it were", "drop it"),
    ("by the way", "drop it"),
    ("don't", "do not"),
    ("can't", "cannot"),
    ("isn't", "is not"),
    ("it's", "it is"),
    ("doesn't", "does not"),
    ("won't", "will not"),
    ("aren't", "are not"),
    ("didn't", "did not"),
    ("wasn't", "was not"),
    ("hasn't", "has not"),
    ("couldn't", "could not"),
    ("shouldn't", "should not"),
    ("that's", "that is"),
    ("there's", "there is"),
    ("recipe", "prepare command"),
    ("healer", "repair"),
    ("healers", "repair"),
];

/// What makes a phrase right: the words before it, the phrase, the words after it.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("there ", "is no", ""),
    ("There ", "is no", ""),
    ("there ", "are no", ""),
    ("There ", "are no", ""),
    ("", "is no", " longer"),
    // The name of a column in files of an earlier version.
    ("(\"resource\", \"", "errand", "\""),
    ("`", "errand", "`"),
    ("resource.", "errand", "`"),
    ("`", "healed", "`"),
    ("[(\"", "errand", "\""),
    ("(\"workspace\", \"", "recipe", "\""),
    ("(\"", "recipe", "\", \"prepare_command"),
    ("workspace.", "recipe", "`"),
    ("`", "healers", ".*`"),
    // The name of a user.
    ("\"", "nobody", ""),
    ("`", "nobody", "`"),
    ("user ", "nobody", ""),
    ("{} ", "nobody", " {}"),
    // A variable.
    ("", "let go", " ="),
];

/// Kept as they were written by released versions, or not text of this project.
const NOT_OURS: &[&str] = &["tests/store/version-", "tests/tidy", ".lock", "LICENSE", ".gitignore"];

/// The files under version control, each with its text.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").args(["ls-files"]).current_dir(root).output().expect("git can be run");
    let names = String::from_utf8(listed.stdout).unwrap();
    let names = names.lines().filter(|name| !NOT_OURS.iter().any(|part| name.contains(part)));
    let found: Vec<(String, String)> =
        names.filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root.join(name)).ok()?))).collect();
    assert!(found.len() > 400, "{} files", found.len());
    found
}

/// The text of a file with each line break and comment mark as one space, and where each line begins in it.
fn flowing(text: &str) -> (String, Vec<usize>) {
    let (mut flow, mut starts) = (String::new(), Vec::new());
    for line in text.lines() {
        starts.push(flow.len());
        let line = line.trim_start();
        let line = ["//!", "///", "//", "--", "#"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
        flow.push_str(line.trim());
        flow.push(' ');
    }
    (flow, starts)
}

fn is_part_of_a_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Where the banned phrases of a text are: the line, counted from 1, the phrase and its remedy.
fn banned(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let (flow, starts) = flowing(text);
    let lower = flow.to_ascii_lowercase();
    let mut found = Vec::new();
    for (phrase, remedy) in BANNED {
        for (at, _) in lower.match_indices(phrase) {
            let (before, after) = (&flow[..at], &flow[at + phrase.len()..]);
            if is_part_of_a_word(before.chars().next_back()) || is_part_of_a_word(after.chars().next()) {
                continue;
            }
            let is_allowed = |(left, allowed, right): &(&str, &str, &str)| {
                allowed == phrase && before.ends_with(left) && after.starts_with(right)
            };
            if !ALLOWED.iter().any(is_allowed) {
                found.push((starts.partition_point(|start| *start <= at), *phrase, *remedy));
            }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn texts_use_no_banned_phrase() {
    let mut found = Vec::new();
    for (name, text) in texts() {
        found.extend(banned(&text).iter().map(|(line, phrase, remedy)| format!("{name}:{line}: {phrase:?}; write: {remedy}")));
    }
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_banned_phrase_is_found_across_lines_and_only_as_words() {
    let found = banned("// It can\n    // not be. There is no end.\nlet wishful = 1; // is no number");
    assert_eq!(found.iter().map(|(line, phrase, _)| (*line, *phrase)).collect::<Vec<_>>(), [(1, "can not"), (3, "is no")]);
    assert!(banned("the job is no longer queued, and there are no others; a_wish").is_empty());
}

#[test]
fn comments_fit_their_width() {
    let mut wide = Vec::new();
    for (name, text) in texts().into_iter().filter(|(name, _)| name.starts_with("src/") || name == "schema.sql") {
        let mark = if name.ends_with(".rs") { "//" } else { "--" };
        let mut in_fence = false;
        for (n, line) in text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix(mark) else { continue };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            in_fence ^= comment.starts_with("```");
            let may_be_wide = in_fence || comment.starts_with('|') || comment.starts_with('─');
            if line.chars().count() > COMMENT_WIDTH_MAX && !may_be_wide {
                wide.push(format!("{name}:{}", n + 1));
            }
        }
    }
    assert!(wide.is_empty(), "{} comment lines are wider than {COMMENT_WIDTH_MAX}:\n{}", wide.len(), wide.join("\n"));
}

/// A reflow that takes a list for a paragraph runs its bullets together.
#[test]
fn a_bullet_begins_its_line() {
    let mut inside = Vec::new();
    for (name, text) in texts().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        for (n, line) in text.lines().enumerate() {
            let is_doc = ["//!", "///"].iter().any(|mark| line.trim_start().starts_with(mark));
            if is_doc && [". * ", ": * ", "; * "].iter().any(|end| line.contains(end)) {
                inside.push(format!("{name}:{}: {line}", n + 1));
            }
        }
    }
    assert!(inside.is_empty(), "bullets in the middle of a line:\n{}", inside.join("\n"));
}

#[test]
fn the_schema_fits_its_width() {
    let schema = include_str!("../../schema.sql");
    let wide = schema.lines().enumerate().filter(|(_, line)| line.chars().count() > SCHEMA_WIDTH_MAX);
    let wide: Vec<String> = wide.map(|(n, line)| format!("{}: {line}", n + 1)).collect();
    assert!(wide.is_empty(), "lines wider than {SCHEMA_WIDTH_MAX}:\n{}", wide.join("\n"));
}

#[test]
fn a_test_has_a_name_that_can_be_read() {
    let mut long = Vec::new();
    for (name, text) in texts().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        let mut lines = text.lines().enumerate();
        while let Some((n, line)) = lines.next() {
            if line.trim() != "#[test]" {
                continue;
            }
            let function = lines.find_map(|(_, line)| line.trim_start().strip_prefix("fn ")).unwrap_or_default();
            let function = function.split('(').next().unwrap_or_default();
            if function.chars().count() > TEST_NAME_MAX {
                long.push(format!("{name}:{}: {function}", n + 1));
            }
        }
    }
    assert!(long.is_empty(), "{} names of tests are longer than {TEST_NAME_MAX}:\n{}", long.len(), long.join("\n"));
}
