//! The pages of `tenure web`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::fill::{Fill, READY_IN_OLD, old};
use crate::nest::{Nest, end};
use crate::numbers::median;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Jobs of the small file.
const FEW: usize = 10;
/// Pages, by the name of their row. A list since an instant is the hardest: many jobs have ended
/// since, and few have the label.
const PAGES: [(&str, &str); 8] = [
    ("overview", "/"),
    ("jobs", "/jobs"),
    ("jobs that failed", "/jobs?state=failed"),
    ("jobs of 30 days", "/jobs?since=30d"),
    ("jobs of 30 days with a label", "/jobs?since=30d&label=label-7"),
    ("a search", "/jobs?search=nothing-like-it"),
    ("timeline", "/timeline"),
    ("metrics", "/metrics"),
];

/// A server.
struct Served {
    child: Child,
    host: String,
    token: String,
}

impl Served {
    fn of(nest: &Nest) -> Self {
        let token = nest.ok(&["web", "token"]).trim().to_owned();
        let mut child = nest.tenure(&["web", "127.0.0.1:0", "--json"]).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        let told: serde_json::Value = serde_json::from_str(&line).expect("a document");
        let host = told["address"].as_str().expect("an address").trim_start_matches("http://").to_owned();
        Self { child, host, token }
    }

    /// Milliseconds until a page is there.
    fn ms(&self, path: &str) -> f64 {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        let (host, token) = (&self.host, &self.token);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{path}: {}", String::from_utf8_lossy(&answer));
        begun.elapsed().as_secs_f64() * 1_000.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Each page of a file with a long history, and of one of 10 jobs.
pub fn pages(plan: &Plan) -> Found {
    let small = Fill { ended: FEW / 2, ready: FEW / 2, held: 0 }.make();
    let (large, ended) = old(plan);
    let servers = (Served::of(large), Served::of(&small));
    let times = plan.of(2, 10, 40);
    let mut rows = vec![];
    for (name, path) in PAGES {
        let in_turn = || {
            let both: (Vec<f64>, Vec<f64>) = (0..times).map(|_| (servers.0.ms(path), servers.1.ms(path))).unzip();
            (median(both.0), median(both.1))
        };
        in_turn();
        let pairs: Vec<_> = (0..plan.rounds()).map(|_| in_turn()).collect();
        let what = format!("page: {name}, {} jobs", thousands((ended + READY_IN_OLD) as i64));
        let how = format!("until all of `{path}` has arrived, on a new connection; {times} in turn, of which the median counts");
        rows.push(Row::against(&what, Unit::Milliseconds, "10 jobs", &pairs).bar(Bar::AtMost(10.0)).how(how));
    }
    Found::rows(rows)
}
