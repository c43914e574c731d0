//! From an added job to its first instruction.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::nest::Nest;
use crate::numbers::percentile;
use crate::peers::{Tsp, missing};
use crate::plan::Plan;
use crate::row::{Bar, Found, Quantity, Row, Unit};
use crate::stamp::{Stamps, now_ns};

/// Between two adds, so that the next one finds everything idle, in milliseconds.
const REST_MS: u64 = 10;
/// Ratios are those of so many parts.
const PARTS: usize = 5;

/// From the start of an idle `tenure add` to the first instruction of the job, against `tsp` and
/// against a bare spawn, in turn.
pub fn latency(plan: &Plan) -> Found {
    let nest = Nest::new();
    let _working = nest.work(&["--slots", "2"]);
    let tsp = missing("tsp").is_none().then(|| Tsp::new("1"));
    let mut stamps = Stamps::new(nest.0.path());
    let job = stamps.command();
    let (mut ours, mut theirs, mut bare) = (vec![], vec![], vec![]);
    for _ in 0..plan.of(20, 500, 2_000) {
        ours.push(timed(&mut stamps, || nest.add(&job)));
        bare.push(timed(&mut stamps, || spawn(&job)));
        if let Some(tsp) = &tsp {
            theirs.push(timed(&mut stamps, || tsp.add(&job)));
        }
    }
    let how = "from the moment before the client is started to the first statement of the job's `main`, for each in \
        turn; the job is the bench itself, and a bare spawn of it shows what its own start takes";
    let row = |what: &str, reference: &str, p: f64, others: &[f64]| compared(what, &ours, reference, others, p).how(how);
    let mut rows = vec![];
    if tsp.is_some() {
        rows.push(row("idle add to the job, p50", "tsp -n", 0.5, &theirs).bar(Bar::AtMost(2.0)).headline());
        rows.push(row("idle add to the job, p99", "tsp -n", 0.99, &theirs).bar(Bar::AtMost(3.0)));
    }
    rows.push(row("idle add to the job, p50", "bare spawn", 0.5, &bare));
    rows.push(row("idle add to the job, p99", "bare spawn", 0.99, &bare));
    Found { rows, notes: missing("tsp").into_iter().collect(), ..Found::default() }
}

/// From a plain `sqlite3` insert to the job, against `tenure add` in turn.
pub fn sql(plan: &Plan) -> Found {
    if Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Found::note("sqlite3 is not installed: apt-get install sqlite3");
    }
    let nest = Nest::new();
    let _working = nest.work(&["--slots", "2"]);
    let mut stamps = Stamps::new(nest.0.path());
    let job = stamps.command();
    let command = serde_json::to_string(&job).expect("JSON").replace('\'', "''");
    let insert = format!(".timeout 5000\nINSERT INTO job(command) VALUES ('{command}');\n");
    let by_sql = || {
        let mut client = Command::new("sqlite3").arg("-bail").arg(nest.db()).stdin(Stdio::piped()).spawn().expect("sqlite3");
        client.stdin.take().expect("piped").write_all(insert.as_bytes()).expect("written");
        assert!(client.wait().expect("it ends").success());
    };
    let (mut plain, mut ours) = (vec![], vec![]);
    for _ in 0..plan.of(20, 200, 500) {
        plain.push(timed(&mut stamps, by_sql));
        ours.push(timed(&mut stamps, || nest.add(&job)));
    }
    let how = "`sqlite3 FILE` with one `INSERT INTO job`, from the start of that process to the first statement of the job's `main`; \
               the process itself takes most of it";
    let row = |what, p| compared(what, &plain, "tenure add", &ours, p).how(how);
    Found::rows(vec![row("SQL insert to the job, p50", 0.5), row("SQL insert to the job, p99", 0.99)])
}

/// Milliseconds from now until the job that `start` starts has begun.
fn timed(stamps: &mut Stamps, start: impl FnOnce()) -> f64 {
    std::thread::sleep(Duration::from_millis(REST_MS));
    let begun = now_ns();
    start();
    stamps.next().saturating_sub(begun) as f64 / 1e6
}

fn spawn(command: &[String]) {
    assert!(Command::new(&command[0]).args(&command[1..]).status().expect("it runs").success());
}

/// A percentile of both; the spread is that of several parts.
fn compared(what: &str, ours: &[f64], reference: &str, others: &[f64], p: f64) -> Row {
    let part = ours.len().div_ceil(PARTS);
    let parts = ours.chunks(part).zip(others.chunks(part));
    let pairs: Vec<_> = parts.map(|(a, b)| (percentile(a, p), percentile(b, p))).collect();
    let mut row = Row::against(what, Unit::Milliseconds, reference, &pairs).rounds(ours.len());
    // Of all of them: a part has too few for its own p99.
    let whole = |values| Quantity { value: percentile(values, p), unit: Unit::Milliseconds };
    let (figure, other) = (whole(ours), whole(others));
    if let Some(ratio) = &mut row.ratio {
        ratio.median = figure.value / other.value;
    }
    Row { figure, reference: Some((reference.into(), other)), ..row }
}
