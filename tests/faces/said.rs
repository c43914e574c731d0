//! What these tests ask again and again of the program.

use serde_json::Value;

use crate::support::{Nest, Said};

/// What a job came to that was followed by `tenure run`.
pub struct Ran {
    pub said: Said,
    pub job: Value,
}

impl Ran {
    pub fn code(&self) -> i32 {
        self.said.code
    }

    /// `state/reason`
    pub fn end(&self) -> String {
        end(&self.job)
    }

    pub fn error(&self) -> &str {
        self.job["error"].as_str().unwrap_or("")
    }
}

/// `tenure run ARGS`, with no worker but itself.
pub fn run(nest: &Nest, args: &[&str]) -> Ran {
    let said = nest.say(&[&["run"], args].concat());
    let job = nest.json(&["show", "last", "--json"]);
    Ran { said, job }
}

/// `tenure run OPTIONS -c LINE`
pub fn run_sh(nest: &Nest, options: &[&str], line: &str) -> Ran {
    run(nest, &[options, &["-c", line]].concat())
}

/// `state/reason`
pub fn end(job: &Value) -> String {
    format!("{}/{}", job["state"].as_str().unwrap_or("?"), job["reason"].as_str().unwrap_or("-"))
}

/// A field of each run of a job, in order.
pub fn of_runs(job: &Value, key: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    job["runs"].as_array().expect("runs").iter().map(|run| text(&run[key])).collect()
}

/// Whether this test process is root's. Says so where a test then proves less.
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        crate::support::untested::not_tested(test, "root");
    }
    root
}
