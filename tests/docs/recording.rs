//! The recorded terminal of docs/README.md: it is what the commands do, and it shows what the page says of it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::untested::not_tested;
use crate::support::{Nest, said};

const COLUMNS: usize = 80;

struct Recording {
    text: String,
    seconds: f64,
}

/// Reads a recording as asciicast v2: a header, then events, each a time, "o" and what the terminal got.
fn read(file: &Path) -> Recording {
    let cast = std::fs::read_to_string(file).unwrap();
    let mut lines = cast.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let header = lines.next().expect("a header");
    assert_eq!((&header["version"], &header["width"], &header["height"]), (&2.into(), &COLUMNS.into(), &24.into()));
    let (mut text, mut seconds) = (String::new(), 0.0);
    for event in lines {
        let (at, kind, printed) = (event[0].as_f64().unwrap(), event[1].as_str().unwrap(), event[2].as_str().unwrap());
        assert!(at >= seconds && kind == "o", "{event}");
        seconds = at;
        text.push_str(printed);
    }
    Recording { text: plain(&text), seconds }
}

/// Without the colours and the ends of lines of a terminal.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default());
    }
    let plain = plain.replace('\r', "");
    assert!(plain.chars().all(|c| !c.is_control() || c == '\n'), "only colours: {plain:?}");
    plain
}

/// A text without what differs each time: numbers, units of times, and the width of columns.
fn shape(text: &str) -> String {
    let shape = |word: &str| {
        let is_time = word.starts_with(|c: char| c.is_ascii_digit());
        if is_time { "N".to_owned() } else { word.chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }).collect() }
    };
    let line = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(shape).collect();
        words.dedup_by(|one, other| one == "N" && other == "N");
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What a command of the recording printed.
fn printed<'a>(text: &'a str, command: &str) -> &'a str {
    let after = text.split_once(&format!("$ {command}")).unwrap_or_else(|| panic!("no {command} in {text}")).1;
    let after = after.split_once('\n').unwrap().1;
    after.split("$ ").next().unwrap()
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

#[test]
fn the_front_page_shows_the_recording() {
    let recording = read(&docs().join("recording.cast"));
    let page = std::fs::read_to_string(docs().join("README.md")).unwrap();
    let block = page.split_once("record.sh: begin -->\n```console\n").unwrap().1.split_once("```\n").unwrap().0;
    assert_eq!(block, recording.text);
    let widest = block.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(widest.chars().count() <= COLUMNS, "{widest}");
    assert!((30.0..75.0).contains(&recording.seconds), "{} s", recording.seconds);
}

#[test]
fn what_the_recording_shows_happens() {
    if Command::new("script").arg("--version").output().is_err() {
        return not_tested("the recorded terminal", "script: apt-get install bsdutils");
    }
    let nest = Nest::new();
    let cast = nest.file("new.cast");
    let mut script = Command::new(docs().join("record.sh"));
    script.args(["--binary", env!("CARGO_BIN_EXE_tenure"), "--pace", "0", "--out"]).arg(&cast);
    let made = said(script.env("TMPDIR", nest.path()).output().unwrap());
    assert_eq!(made.code, 0, "{made:?}");
    let (new, kept) = (read(&cast).text, read(&docs().join("recording.cast")).text);
    assert_eq!(shape(&new), shape(&kept), "run docs/record.sh");

    let parts = (1..=6).fold(String::new(), |all, part| format!("{all}part {part}\n"));
    assert_eq!(printed(&new, "tenure logs -f 1"), parts);
    let after = printed(&new, "kill -9");
    assert_eq!(after, "", "the kill says nothing");
    let history = printed(&new, "tenure history 1");
    assert_eq!((history.matches("claimed").count(), history.matches(" done ").count()), (1, 1), "{history}");
    assert!(new.contains("\nworker  none\njobs    1 running,") && new.contains("\nreaper  adopted_total 1\n"), "{new}");
    assert_eq!(printed(&new, "tenure logs 2"), "6\n");
    assert!(nest.processes().is_empty(), "{:?}", nest.processes());
    let left: Vec<_> = std::fs::read_dir(nest.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["new.cast"]);
}
