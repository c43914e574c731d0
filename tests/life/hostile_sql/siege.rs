//! A worker under hostile statements, and the work that must continue.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::{Nest, PATIENCE, Worker, within};

use super::values::{Place, VALUES, Value, places};

/// Worker, file and a plain connection.
pub(super) struct Siege {
    pub(super) nest: Nest,
    pub(super) worker: Worker,
    pub(super) conn: Connection,
    pub(super) places: Vec<Place>,
    pub(super) values: Vec<Value>,
    /// Whether the connection ignores CHECK constraints, once it was told.
    checks_off: Option<bool>,
    /// Longest time from the adding of a job of another client to its end.
    pub(super) worst: Duration,
    pub(super) accepted: usize,
    pub(super) refused: usize,
}

/// Time between two repair rounds.
pub(super) const TICK: &str = "1s";

impl Siege {
    pub(super) fn new() -> Self {
        let nest = Nest::new();
        nest.add(&["-q", "innocent", "--", "true"]);
        nest.add(&["-q", "hostile", "--lane", "hostile", "--", "true"]);
        nest.ok(&["schedule", "add", "nightly", "30 2 * * *", "--", "true"]);
        nest.ok(&["schedule", "add", "often", "* * * * *", "--catch-up", "all", "--", "true"]);
        let worker = nest.work(&["--slots", "3", "--tick", TICK]);
        let conn = nest.sql();
        // No power is cut here.
        conn.execute_batch("PRAGMA synchronous = OFF").expect("a pragma");
        let places = places(&conn);
        let values = VALUES.iter().map(|sql| Value::of(&conn, sql)).collect();
        Self { nest, worker, conn, places, values, checks_off: None, worst: Duration::ZERO, accepted: 0, refused: 0 }
    }

    pub(super) fn held_job(&self) -> i64 {
        self.accepted(
            "INSERT INTO job (command, user_hold, queue) VALUES (json_array('true'), 1, 'hostile') RETURNING id",
            "something",
        )
        .unwrap_or_default()
    }

    /// Does what any client may do. A sequence that was set to its end refuses it until the next tick.
    pub(super) fn accepted(&self, sql: &str, after: &str) -> Option<i64> {
        use rusqlite::OptionalExtension;
        let mut refused = String::new();
        let answer = within(PATIENCE, || {
            let answer = self.conn.query_row(sql, [], |row| row.get(0)).optional();
            answer.inspect_err(|error| refused = error.to_string()).ok()
        });
        answer.unwrap_or_else(|| panic!("after {after}: expected to be accepted, was refused ({refused}): {sql}{}", self.place()))
    }

    /// Writes a value as SQL that a client has prepared: once for a place, as each costs a compilation with all triggers.
    pub(super) fn write(&mut self, place: usize, value: usize, id: i64, checks_off: bool) {
        if self.checks_off != Some(checks_off) {
            let checks = if checks_off { "ON" } else { "OFF" };
            self.conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).expect("a pragma");
            self.checks_off = Some(checks_off);
        }
        let ((column, sql), value) = (&self.places[place], &self.values[value]);
        let sql = sql.replace("{id}", ":id").replace("{}", value.sql());
        match value.execute(&self.conn, &sql, id) {
            Ok(_) => self.accepted += 1,
            Err(error) => {
                self.refused += 1;
                let text = error.to_string();
                assert!(!text.contains("malformed") || text.contains("JSON"), "{column}: {sql:.200}: {text}");
            }
        }
    }

    /// A job of another client is added, run and done, in spite of everything.
    pub(super) fn others_go_on(&mut self, after: &str) {
        let begun = Instant::now();
        let sql = "INSERT INTO job (command, queue, priority) VALUES (json_array('true'), 'innocent', 9223372036854775807) RETURNING id";
        // A sequence that a client has set to its end refuses each insert until the next tick.
        let id = self.accepted(sql, after).expect("an id");
        let mut state = String::new();
        let done = within(PATIENCE, || {
            let read = self.conn.query_row("SELECT state FROM job WHERE id = ?1", [id], |row| row.get(0));
            state = read.unwrap_or_else(|error| panic!("job {id} of another client after {after}: {error}{}", self.place()));
            (state == "done").then_some(())
        });
        assert!(done.is_some(), "job {id} of another client after {after}: expected done, found {state}{}", self.place());
        self.worst = self.worst.max(begun.elapsed());
    }

    pub(super) fn faces_answer(&self, ids: &[i64], after: &str) {
        let mut calls: Vec<Vec<String>> = [
            "status",
            "ls",
            "ls -a",
            "queue ls",
            "lane ls",
            "schedule ls",
            "resource ls",
            "resource ls -a",
            "lease ls",
            "task ls -a",
            "workspace ls",
            "doctor",
            "schedule next often",
            "schedule history often",
            "ls --queue hostile",
            "pipeline ls",
        ]
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
        for id in ids {
            for verb in ["show", "why", "history", "logs"] {
                calls.push(vec![verb.into(), id.to_string()]);
            }
        }
        let resource =
            self.conn.query_row("SELECT max(id) FROM resource", [], |row| row.get::<_, Option<i64>>(0)).expect("a number");
        if let Some(resource) = resource {
            calls.push(vec!["resource".into(), "show".into(), resource.to_string()]);
        }
        for call in calls {
            for json in [false, true] {
                let mut args: Vec<&str> = call.iter().map(String::as_str).collect();
                if json {
                    args.push("--json");
                }
                let said = self.nest.say(&args);
                let is_well = (0..=6).contains(&said.code)
                    && !["panicked", "internal error", "sqlite", "Utf8", "overflow", "this check could not be run"]
                        .iter()
                        .any(|word| said.err.contains(word) || said.out.contains(&format!("error: {word}")))
                    && !said.out.contains("this check could not be run");
                assert!(
                    is_well,
                    "tenure {args:?} after {after}: expected an answer with a code from 0 to 6 and no internal word, found code {}\n{:.2000}\n{:.2000}{}",
                    said.code,
                    said.err,
                    said.out,
                    self.place()
                );
            }
        }
    }

    pub(super) fn is_whole(&self) {
        let answer: String = self.conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(answer, "ok", "the file is damaged{}", self.place());
        assert!(!self.worker.said().contains("panicked"), "expected a worker without a panic{}", self.place());
    }

    /// For the message of a failure: where the files are, and what the worker says.
    fn place(&self) -> String {
        format!("\nin {}; the worker says:\n{}", self.nest.path().display(), self.worker.said())
    }

    pub(super) fn newest(&self, n: i64) -> Vec<i64> {
        let mut ids = self.conn.prepare("SELECT id FROM job ORDER BY id DESC LIMIT ?1").expect("SQL");
        ids.query_map([n], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("numbers")
    }
}
