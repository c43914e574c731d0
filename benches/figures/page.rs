//! Writes what was found to `docs/performance.md`, the plots beside it, and the table of the README.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::plan::{Plan, Size};
use crate::row::{Found, Row, digits};
use crate::table;

const PAGE: &str = include_str!("page.md");
/// The table of the README is between these lines.
const BEGIN: &str = "<!-- cargo bench -- --save: begin -->\n";
const END: &str = "<!-- cargo bench -- --save: end -->\n";
/// Widest line of a paragraph, in columns.
const WIDTH: usize = 100;

/// Writes everything below a directory.
pub fn save(root: &Path, found: &Found, plan: &Plan) {
    let docs = root.join("docs");
    let plots = docs.join("performance");
    fs::create_dir_all(&plots).expect("a directory");
    let write = |path: &Path, text: &str| {
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!("wrote {}", path.display());
    };
    for plot in &found.plots {
        write(&plots.join(format!("{}.svg", plot.file)), &plot.svg());
    }
    if let Some(timeline) = &found.timeline {
        write(&plots.join("timeline.svg"), &timeline.svg());
    }
    write(&docs.join("performance.md"), &page(found, plan));
    let readme = root.join("README.md");
    if let Some(text) = fs::read_to_string(&readme).ok().and_then(|text| with_table(&text, found, plan)) {
        write(&readme, &text);
    }
}

fn page(found: &Found, plan: &Plan) -> String {
    let size = match plan.size {
        Size::Quick => "at sizes for trying, which mean nothing",
        Size::Usual => "at medium sizes",
        Size::Full => "at full size",
    };
    let plots =
        found.plots.iter().map(|plot| format!("![{}](performance/{}.svg)\n\n{}", plot.title, plot.file, wrapped(&plot.how, "")));
    let timeline = found.timeline.as_ref().map_or_else(
        || {
            "Not measured: it needs root and \
             tracefs.\n"
                .into()
        },
        |t| t.markdown(),
    );
    let parts = [
        ("{{date}}", today()),
        ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
        ("{{size}}", size.to_owned()),
        (
            "{{machine}}",
            wrapped(&format!("The machine: {}; its load before was {}.", machine(), plan.load), "").trim_end().to_owned(),
        ),
        ("{{table}}", table::markdown(&found.rows).trim_end().to_owned()),
        ("{{notes}}", found.notes.iter().map(|note| bullet(&format!("{note}."))).collect()),
        ("{{how}}", how(&found.rows).trim_end().to_owned()),
        ("{{timeline}}", timeline.trim_end().to_owned()),
        ("{{plots}}", plots.collect::<Vec<_>>().join("\n").trim_end().to_owned()),
    ];
    let page = parts.iter().fold(PAGE.to_owned(), |page, (name, text)| page.replace(name, text));
    page.replace("\n\n\n\n", "\n\n").replace("\n\n\n", "\n\n")
}

/// The README with a short table.
fn with_table(readme: &str, found: &Found, plan: &Plan) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let mut table = format!("Measured on {} on a machine with {} CPUs (load before: {}):\n\n", today(), cpus(), plan.load);
    table += "| what | figure | reference in the same run | ratio |\n| --- | ---: | --- | ---: |\n";
    for row in found.rows.iter().filter(|row| row.is_headline) {
        let reference = row.reference.as_ref().map_or_else(String::new, |(name, n)| format!("{name}: {n}"));
        let ratio = row.ratio.map_or_else(String::new, |ratio| digits(ratio.median));
        table += &format!("| {} | {} | {reference} | {ratio} |\n", row.what, row.figure);
    }
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn today() -> String {
    said("date", &["-u", "+%-d %B %Y"])
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn machine() -> String {
    let kernel = said("uname", &["-sr"]);
    let file = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([' ', '\t', ':']).trim().to_owned()))
    };
    let model = field(&file("/proc/cpuinfo"), "model name").unwrap_or_else(|| "an unknown CPU".into());
    let memory = field(&file("/proc/meminfo"), "MemTotal").and_then(|kb| kb.trim_end_matches(" kB").parse::<f64>().ok());
    let system = file_system(&std::env::temp_dir());
    format!("{} CPUs ({model}), {:.0} GB of memory, {kernel}, files on {system}", cpus(), memory.unwrap_or_default() / 1e6)
}

/// The kind of the file system that a directory is on.
fn file_system(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| Some((line.split(' ').nth(1)?, line.split(' ').nth(2)?)));
    let around = fields.filter(|(at, _)| dir.starts_with(at)).max_by_key(|(at, _)| at.len());
    around.map_or_else(|| "an unknown file system".into(), |(_, kind)| kind.to_owned())
}

/// What a program prints.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// How the rows were measured: one bullet for those that were measured together.
fn how(rows: &[Row]) -> String {
    let mut groups: Vec<(Vec<&str>, &str, &str)> = vec![];
    for row in rows.iter().filter(|row| !row.how.is_empty()) {
        match groups.iter_mut().find(|(_, _, how)| *how == row.how) {
            Some((names, _, _)) if names.contains(&row.what.as_str()) => {}
            Some((names, _, _)) => names.push(&row.what),
            None => groups.push((vec![&row.what], row.name, &row.how)),
        }
    }
    groups.iter().map(|(names, figure, how)| bullet(&format!("**{}** (`{figure}`): {how}.", names.join("; ")))).collect()
}

fn bullet(text: &str) -> String {
    wrapped(&format!("- {text}"), "  ")
}

/// Lines that are not too wide; all but the first begin with `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let (mut lines, mut last) = (vec![], String::new());
    for word in text.split_whitespace() {
        if last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut last, format!("{indent}{word}")));
        } else {
            let space = if last.is_empty() { "" } else { " " };
            last += &format!("{space}{word}");
        }
    }
    lines.push(last);
    lines.join("\n") + "\n"
}
