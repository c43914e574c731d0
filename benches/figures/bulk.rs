//! Many rows by one command.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use crate::fill::rate_without_triggers;
use crate::nest::Nest;
use crate::numbers::scattered;
use crate::plan::Plan;
use crate::plot::{Axis, Plot, Series};
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Rows of one transaction: the most that there may be.
const CHUNK: usize = 10_000;

/// Returns the line of a number.
type Line = fn(usize) -> String;

/// Labelled rows with priorities by `add --from --chunk`, without a worker, against their own first
/// 50,000.
pub fn bulk(plan: &Plan) -> Found {
    let rows = plan.of(4 * CHUNK, 200_000, 1_000_000);
    let first = plan.of(CHUNK, 50_000, 50_000);
    let kinds: [(&str, &str, Line); 2] = [
        ("add --from of ROWS rows", "1,000 labels and 100 priorities", |i| {
            line(&format!("label-{}", i % 1000), scattered(i) % 100)
        }),
        ("the same, all labels differ", "as many labels and priorities as rows", |i| {
            line(&format!("{:08x}", scattered(i)), scattered(i + 1) % 1_000_000)
        }),
    ];
    let (mut found, mut nests, mut series) = (Found::default(), vec![], vec![]);
    for (short, long, line) in kinds {
        let (mut pairs, mut bare) = (vec![], vec![]);
        for _ in 0..plan.of(1, 3, 3) {
            let nest = Nest::new();
            let times = add(&nest, rows, line);
            pairs.push((rate(&times, 0, rows), rate(&times, 0, first)));
            nests.push(nest);
            if found.rows.is_empty() {
                bare.push((rate(&times, 0, rows), rate_without_triggers(rows, CHUNK)));
            }
        }
        let all = pairs.iter().map(|(all, _)| *all).collect();
        let what = short.replace("ROWS", &thousands(rows as i64));
        let how = format!(
            "`add --from FILE --chunk {CHUNK}` of {} rows with {long}, against its own first {}",
            thousands(rows as i64),
            thousands(first as i64)
        );
        let row = Row::against(&what, Unit::PerSecond, &format!("its first {}", thousands(first as i64)), &pairs)
            .bar(Bar::AtLeast(0.7))
            .how(how);
        found.rows.push(row);
        if found.rows.len() == 1 {
            let row = Row::alone("the same, rows a second", crate::numbers::median(all), Unit::PerSecond).rounds(pairs.len());
            found.rows[0].is_headline = true;
            found.rows.push(row.bar(Bar::AtLeast(50_000.0)).how("the rate of all rows of the row above"));
            let row = Row::against("the same", Unit::PerSecond, "without triggers", &bare).how(format!(
                "against as many rows that one SQL statement copies from a row of the table for each {CHUNK}, \
                 into the same table with its checks and indexes, but without a trigger, a program that reads \
                 lines, and their examination"
            ));
            found.rows.push(row);
        }
        let nest = Nest::new();
        let many = plan.of(rows, 1_000_000, 5_000_000);
        let times = add(&nest, many, line);
        let part = (many / 20).max(CHUNK);
        let points = (0..many / part).map(|n| (((n + 1) * part) as f64, rate(&times, n * part, (n + 1) * part)));
        series.push(Series { name: long.into(), points: points.collect() });
        nests.push(nest);
    }
    found.plots.push(Plot {
        file: "add-rate",
        title: "add --from: rows a second against the rows in the file".into(),
        how: "One run of each kind into a file of its own, after those of the table; each point is the rate since the point before."
            .into(),
        x: Axis { label: "rows in the file".into(), log: false },
        y: Axis { label: "rows a second".into(), log: false },
        series,
    });
    found
}

fn line(label: &str, priority: u32) -> String {
    format!(r#"{{"command": ["/bin/true"], "cwd": "/", "label": "{label}", "priority": {priority}}}"#)
}

/// Rows a second between two of them.
fn rate(times: &[f64], from: usize, to: usize) -> f64 {
    let at = |row: usize| if row == 0 { 0.0 } else { times[row / CHUNK - 1] };
    (to - from) as f64 / (at(to) - at(from))
}

/// Adds rows from a file; returns when each chunk was acknowledged, in seconds.
fn add(nest: &Nest, rows: usize, line: Line) -> Vec<f64> {
    let from = nest.lines("jobs", rows, line);
    let begun = Instant::now();
    let chunk = CHUNK.to_string();
    let args = ["add", "--chunk", &chunk, "--from", from.to_str().expect("utf-8")];
    let mut child = nest.tenure(&args).stdout(Stdio::piped()).spawn().expect("the program runs");
    let ids = BufReader::new(child.stdout.take().expect("piped")).lines();
    let (mut read, mut times) = (0, vec![]);
    for _ in ids.map_while(Result::ok) {
        read += 1;
        if read % CHUNK == 0 {
            times.push(begun.elapsed().as_secs_f64());
        }
    }
    assert!(child.wait().expect("it ends").success() && read == rows, "{read} rows were added");
    std::fs::remove_file(from).expect("removed");
    times
}
