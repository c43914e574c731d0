//! The rows as a table, for a terminal of 100 columns and for a page.

use crate::row::{Bar, Row, digits, ratio};

const HEADS: [&str; 7] = ["what", "figure", "reference", "", "ratio", "range", "bar"];
/// Columns whose texts end at the same place.
const RIGHT: [bool; 7] = [false, true, false, true, true, true, true];

/// After each column.
const GAPS: [&str; 7] = ["  ", "  ", " ", "  ", " ", " ", " "];

/// Aligned columns; the last one tells whether the bar is reached.
pub fn text(rows: &[Row]) -> String {
    let cells: Vec<[String; 7]> = rows.iter().map(cells).collect();
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).chain([HEADS[at].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |row: &[String; 7], end: &str| {
        let padded = row.iter().enumerate().map(|(at, cell)| {
            let fill = " ".repeat(widths[at] - cell.chars().count());
            if RIGHT[at] { fill + cell } else { cell.clone() + &fill }
        });
        let line: String = padded.zip(GAPS).map(|(cell, gap)| cell + gap).collect();
        (line + end).trim_end().to_owned() + "\n"
    };
    let mut text = line(&HEADS.map(str::to_owned), "ok");
    for (row, cells) in rows.iter().zip(&cells) {
        text += &line(cells, reached(row));
    }
    text
}

fn reached(row: &Row) -> &'static str {
    match row.is_reached() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
}

fn cells(row: &Row) -> [String; 7] {
    let (reference, measured) = row.reference.as_ref().map_or_else(Default::default, |(name, n)| (name.clone(), n.to_string()));
    let (of_both, spread) = row.ratio.map_or_else(Default::default, |spread| {
        (ratio(spread.median), format!("{}-{}", ratio(spread.least), ratio(spread.greatest)))
    });
    [row.what.clone(), row.figure.to_string(), reference, measured, of_both, spread, bar(row)]
}

fn bar(row: &Row) -> String {
    match row.bar {
        Some(Bar::AtLeast(bar)) => format!(">={}", plain(bar)),
        Some(Bar::AtMost(bar)) => format!("<={}", plain(bar)),
        None => String::new(),
    }
}

/// Without digits that say nothing.
fn plain(bar: f64) -> String {
    if bar >= 1_000.0 { digits(bar) } else { bar.to_string() }
}

/// A table of Markdown. How each row was measured is left to the page.
pub fn markdown(rows: &[Row]) -> String {
    let mut text =
        "| what | figure | reference in the same run | ratio (least to greatest) | rounds | bar | reached |\n".to_owned();
    text += "| --- | ---: | --- | ---: | ---: | ---: | --- |\n";
    for row in rows {
        let [what, figure, reference, measured, of_both, _, bar] = cells(row);
        let reference = if reference.is_empty() { reference } else { format!("{reference}: {measured}") };
        let spread = row.ratio.map(|r| format!(" ({} to {})", ratio(r.least), ratio(r.greatest))).unwrap_or_default();
        let reached = if row.bar.is_some() { reached(row) } else { "" };
        text += &format!("| {what} | {figure} | {reference} | {of_both}{spread} | {} | {bar} | {reached} |\n", row.rounds);
    }
    text
}
