//! Arbitrary values in every column that a client without our functions may write, while a worker works: the jobs of others go on, each face
//! answers, and the file stays whole.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::{Dice, Nest, Worker, seed, until};

/// A statement with one place for a value. `{id}` is a job that is queued and held.
type Place = (String, String);

/// Whether a trigger refuses every client but tenure's own connections: `what` is INSERT or UPDATE.
fn is_the_owners(table: &str, column: &str, what: &str) -> bool {
    let schema = include_str!("../../schema.sql");
    let triggers = schema.split("\nCREATE TRIGGER ").skip(1).map(|trigger| trigger.split("\nEND;").next().unwrap());
    triggers.filter(|trigger| trigger.contains("sqlite_compileoption_used")).any(|trigger| {
        let head = trigger.split(" BEGIN").next().unwrap();
        let Some((event, on)) = head.split_once(&format!("BEFORE {what}")).and_then(|(_, rest)| rest.split_once(" ON ")) else {
            return false;
        };
        let all = event.trim().is_empty();
        on.split_whitespace().next() == Some(table)
            && (all || event.replace("OF ", "").split(',').any(|one| one.trim() == column))
    })
}

/// Every column that a plain client may write, with the statements below.
fn places(conn: &Connection) -> Vec<Place> {
    let mut places: Vec<Place> = PLACES.iter().map(|(column, sql)| ((*column).to_owned(), (*sql).to_owned())).collect();
    let listed = |sql: &str| -> Vec<String> {
        let mut names = conn.prepare(sql).expect("SQL");
        names.query_map([], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("names")
    };
    for table in listed("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'") {
        let key = listed(&format!("SELECT name FROM pragma_table_info('{table}') WHERE pk = 1")).remove(0);
        // The queue of the others is theirs: a client that pauses it means that.
        let spared = if table == "queue" { "name <> 'innocent'" } else { "true" };
        for column in listed(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let update =
                format!("UPDATE {table} SET {column} = {{}} WHERE {key} = (SELECT max({key}) FROM {table} WHERE {spared})");
            if !is_the_owners(&table, &column, "UPDATE") && conn.prepare(&update.replace("{}", "1")).is_ok() {
                places.push((format!("{table}.{column}"), update));
            }
            if table == "job" && column != "command" {
                let insert = format!("INSERT INTO job (command, {column}) VALUES (json_array('true'), {{}})");
                places.push((format!("job.{column}"), insert));
            }
            let insert = format!("INSERT INTO {table} ({column}) VALUES (1)");
            if !is_the_owners(&table, &column, "INSERT") && conn.prepare(&insert).is_ok() {
                let name = format!("{table}.{column}");
                let is_listed = places.iter().any(|(column, sql)| *column == name && sql.contains("INSERT"));
                let is_left_out = ["cancel.closed_at", "cancel.id", "dependency.state", "event.id", "lane.running"]
                    .contains(&name.as_str())
                    || [
                        "id",
                        "state",
                        "torn",
                        "auxiliary_run_id",
                        "again",
                        "attempts",
                        "next_at",
                        "last_error",
                        "releasing_since",
                        "released_at",
                        "released_by",
                    ]
                    .iter()
                    .any(|column| name == format!("resource.{column}"));
                assert!(is_listed || is_left_out, "{name} can be inserted by a plain client, and no statement here does so");
            }
        }
    }
    places
}

const fn place(column: &'static str, sql: &'static str) -> (&'static str, &'static str) {
    (column, sql)
}

/// Statements that are more than a column and a value.
const PLACES: &[(&str, &str)] = &[
    place("job.command", "INSERT INTO job (command) VALUES ({})"),
    place("job.command", "INSERT INTO job (command) VALUES (json_array('true', {}))"),
    place("job.command", "INSERT INTO job (command) VALUES (json_array({}))"),
    place("job.env", "INSERT INTO job (command, env) VALUES (json_array('true'), json_object('A', {}))"),
    place("job.env", "INSERT INTO job (command, env) VALUES (json_array('true'), json_object(CAST({} AS TEXT), 'b'))"),
    place("job.policy", "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('timeout_ms', {}))"),
    place("job.policy", "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('user', {}))"),
    place(
        "job.policy",
        "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('secrets', json_object('A', {})))",
    ),
    place(
        "job.policy",
        "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('stdin', json_object('kept', {})))",
    ),
    place(
        "job.policy",
        "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('workspace', json_object('key', {})))",
    ),
    place(
        "job.policy",
        "INSERT INTO job (command, policy) VALUES (json_array('true'), json_object('check', json_array('true', {})))",
    ),
    place("job.priority", "UPDATE job SET priority = {} WHERE id = {id}"),
    place("job.label", "UPDATE job SET label = {} WHERE id = {id}"),
    place("job.available_at", "UPDATE job SET available_at = {} WHERE id = {id}"),
    place("job.user_hold", "UPDATE job SET user_hold = {} WHERE id = {id}"),
    place("job.expires_at", "UPDATE job SET expires_at = {} WHERE id = {id}"),
    place("job.lane_pass", "UPDATE job SET lane_pass = {} WHERE id = {id}"),
    place("cancel.job_id", "INSERT INTO cancel (job_id) VALUES ({})"),
    place("cancel.run_id", "INSERT INTO cancel (job_id, run_id) VALUES ({id}, {})"),
    place("cancel.at", "INSERT INTO cancel (job_id, at) VALUES ({id}, {})"),
    place("cancel.why", "INSERT INTO cancel (job_id, why) VALUES ({id}, {})"),
    place("queue.name", "INSERT INTO queue (name) VALUES ({})"),
    place("queue.slots", "INSERT INTO queue (name, slots) VALUES (hex(randomblob(4)), {})"),
    place("queue.slots", "UPDATE queue SET slots = {} WHERE name = 'hostile'"),
    place("queue.paused", "UPDATE queue SET paused = {} WHERE name = 'hostile'"),
    place("queue.max_runtime_ms", "UPDATE queue SET max_runtime_ms = {} WHERE name = 'hostile'"),
    place("queue.paused", "INSERT INTO queue (name, paused) VALUES (hex(randomblob(4)), {})"),
    place("queue.max_runtime_ms", "INSERT INTO queue (name, max_runtime_ms) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_priority", "INSERT INTO queue (name, head_priority) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_id", "INSERT INTO queue (name, head_id) VALUES (hex(randomblob(4)), {})"),
    place("queue.is_full", "INSERT INTO queue (name, is_full) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_id", "UPDATE queue SET head_id = {} WHERE name = 'innocent'"),
    place("queue.head_priority", "UPDATE queue SET head_priority = {} WHERE name = 'innocent'"),
    place("queue.is_full", "UPDATE queue SET is_full = {} WHERE name = 'innocent'"),
    place("lane.key", "INSERT INTO lane (key) VALUES ({})"),
    place("lane.max_running", "INSERT INTO lane (key, max_running) VALUES (hex(randomblob(4)), {})"),
    place("lane.of_array", "INSERT INTO lane (key, of_array) VALUES (hex(randomblob(4)), {})"),
    place("lane.max_running", "UPDATE lane SET max_running = {} WHERE key = 'hostile'"),
    place("dependency.job_id", "INSERT INTO dependency (job_id, on_job) VALUES ({}, 1)"),
    place("dependency.on_job", "INSERT INTO dependency (job_id, on_job) VALUES ({id}, {})"),
    place("dependency.need", "INSERT INTO dependency (job_id, on_job, need) VALUES ({id}, {id} - 1, {})"),
    place("resource.name", "INSERT INTO resource (name, job_id, teardown) VALUES ({}, {id}, json_array('true'))"),
    place("resource.run_id", "INSERT INTO resource (name, run_id, teardown) VALUES (hex(randomblob(4)), {}, json_array('true'))"),
    place("resource.job_id", "INSERT INTO resource (name, job_id, teardown) VALUES (hex(randomblob(4)), {}, json_array('true'))"),
    place(
        "resource.task_id",
        "INSERT INTO resource (name, task_id, teardown) VALUES (hex(randomblob(4)), {}, json_array('true'))",
    ),
    place("resource.teardown", "INSERT INTO resource (name, run_id, teardown) VALUES (hex(randomblob(4)), 9, {})"),
    place(
        "resource.teardown",
        "INSERT INTO resource (name, run_id, teardown) VALUES (hex(randomblob(4)), 9, json_array('true', {}))",
    ),
    place(
        "resource.probe",
        "INSERT INTO resource (name, run_id, teardown, probe) VALUES (hex(randomblob(4)), 9, json_array('true'), {})",
    ),
    place(
        "resource.cwd",
        "INSERT INTO resource (name, run_id, teardown, cwd) VALUES (hex(randomblob(4)), 9, json_array('true'), {})",
    ),
    place(
        "resource.env",
        "INSERT INTO resource (name, run_id, teardown, env) VALUES (hex(randomblob(4)), 9, json_array('true'), json_object('A', {}))",
    ),
    place(
        "resource.timeout_ms",
        "INSERT INTO resource (name, run_id, teardown, timeout_ms) VALUES (hex(randomblob(4)), 9, json_array('true'), {})",
    ),
    place(
        "resource.created_at",
        "INSERT INTO resource (name, run_id, teardown, created_at) VALUES (hex(randomblob(4)), 9, json_array('true'), {})",
    ),
    place("resource.state", "UPDATE resource SET state = {} WHERE id = (SELECT max(id) FROM resource)"),
    place("resource.next_at", "UPDATE resource SET next_at = {} WHERE id = (SELECT max(id) FROM resource)"),
    place("resource.releasing_since", "UPDATE resource SET releasing_since = {} WHERE id = (SELECT max(id) FROM resource)"),
    place("event.at", "INSERT INTO event (job_id, kind, at) VALUES ({id}, 'x', {})"),
    place("event.job_id", "INSERT INTO event (job_id, kind) VALUES ({}, 'x')"),
    place("event.run_id", "INSERT INTO event (job_id, kind, run_id) VALUES ({id}, 'x', {})"),
    place("event.kind", "INSERT INTO event (job_id, kind) VALUES ({id}, {})"),
    place("event.reason", "INSERT INTO event (job_id, kind, reason) VALUES ({id}, 'x', {})"),
    place("event.detail", "INSERT INTO event (job_id, kind, detail) VALUES ({id}, 'x', {})"),
    place("tally.n", "UPDATE tally SET n = {}"),
    place("tally.n", "INSERT OR REPLACE INTO tally VALUES ('queued', '', 'innocent', {})"),
    place("tally.state", "INSERT INTO tally VALUES ({}, '', 'default', 1)"),
    place("tally.hold", "INSERT INTO tally VALUES ('queued', {}, 'default', 1)"),
    place("tally.queue", "INSERT INTO tally VALUES ('queued', '', {}, 1)"),
    place("schedule.paused", "UPDATE schedule SET paused = {}"),
    place("schedule.paused_at", "UPDATE schedule SET paused_at = {}"),
    place("schedule.resumed_at", "UPDATE schedule SET resumed_at = {}"),
    place("sqlite_sequence.seq", "UPDATE sqlite_sequence SET seq = {} WHERE name IN ('job', 'event', 'cancel', 'resource')"),
];

/// Values, as SQL. Text that is not UTF-8 in each of its ways, odd JSON, sizes around the limits, and integers at their ends.
const VALUES: &[&str] = &[
    "CAST(x'636166e9' AS TEXT)",
    "CAST(x'ff' AS TEXT)",
    "CAST(x'c080' AS TEXT)",
    "CAST(x'eda080' AS TEXT)",
    "CAST(x'f4908080' AS TEXT)",
    "CAST(x'80808080' AS TEXT)",
    "CAST(x'6100620a1b5b316d' AS TEXT)",
    "char(0x202e, 0xfffd, 0xfeff, 10, 27)",
    "'[\"true\", \"' || CAST(x'e9' AS TEXT) || '\"]'",
    "'{\"A\": \"' || CAST(x'e9' AS TEXT) || '\"}'",
    "'{\"timeout_ms\": 1e400, \"grace_ms\": -9223372036854775808}'",
    "'{\"A\": \"b\", \"A\": \"c\", \"\": \"d\", \"x=y\": \"e\"}'",
    "'{\"A\": 5, \"B\": null, \"C\": {}, \"D\": [1]}'",
    "'{\"A\": \"x\\u0000y\", \"B\": \"\\ud800\"}'",
    "'[\"true\", \"\\ud800\"]'",
    "'[\"true\", {\"hex\": \"zz\"}, {\"hex\": \"00\"}, {}]'",
    "'[\"true\", 99999999999999999999999999999999999999999]'",
    "replace(printf('%.*c', 500, '['), '[', '[') || replace(printf('%.*c', 500, ']'), ']', ']')",
    "'{\"kept\": \"../../../../etc/passwd\"}'",
    "printf('%.*c', 200, 'x')",
    "printf('%.*c', 5000, 'x')",
    "CAST(x'c3' AS TEXT) || replace(printf('%.*c', 100000, 'x'), 'x', CAST(x'80' AS TEXT))",
    "printf('%.*c', 140000, 'x')",
    "json_array('true', printf('%.*c', 1000000, 'x'))",
    "json_object('A', printf('%.*c', 4100000, 'x'))",
    "printf('%.*c', 20000000, 'x')",
    "''",
    "'true'",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "-1",
    "0",
    "1",
    "2",
    "4503599627370497",
    "253402300800000",
    "1e300",
    "NULL",
    "x'00ff'",
];

/// Worker, file and a plain connection.
struct Siege {
    nest: Nest,
    worker: Worker,
    conn: Connection,
    places: Vec<Place>,
    /// Longest time from the adding of a job of another client to its end.
    worst: Duration,
    accepted: usize,
    refused: usize,
}

/// Time between two repair rounds.
const TICK: &str = "1s";

impl Siege {
    fn new() -> Self {
        let nest = Nest::new();
        nest.add(&["-q", "innocent", "--", "true"]);
        nest.add(&["-q", "hostile", "--lane", "hostile", "--", "true"]);
        nest.ok(&["schedule", "add", "nightly", "30 2 * * *", "--", "true"]);
        nest.ok(&["schedule", "add", "often", "* * * * *", "--catch-up", "all", "--", "true"]);
        let worker = nest.work(&["--slots", "3", "--tick", TICK]);
        let conn = nest.sql();
        let places = places(&conn);
        Self { nest, worker, conn, places, worst: Duration::ZERO, accepted: 0, refused: 0 }
    }

    fn held_job(&self) -> i64 {
        self.accepted(
            "INSERT INTO job (command, user_hold, queue) VALUES (json_array('true'), 1, 'hostile') RETURNING id",
            "something",
        )
        .unwrap_or_default()
    }

    /// Does what any client may do. A sequence that was set to its end refuses it until the next tick.
    fn accepted(&self, sql: &str, after: &str) -> Option<i64> {
        use rusqlite::OptionalExtension;
        until(&format!("an ordinary statement to be accepted after {after}\n{}", self.worker.said()), || {
            self.conn.query_row(sql, [], |row| row.get(0)).optional().ok()
        })
    }

    fn write(&mut self, place: usize, value: &str, id: i64, checks_off: bool) {
        let (column, sql) = &self.places[place];
        let sql = sql.replace("{id}", &id.to_string()).replace("{}", value);
        let checks = if checks_off { "ON" } else { "OFF" };
        self.conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).expect("a pragma");
        let done = self.conn.execute(&sql, []);
        match done {
            Ok(_) => self.accepted += 1,
            Err(error) => {
                self.refused += 1;
                let text = error.to_string();
                assert!(!text.contains("malformed") || text.contains("JSON"), "{column}: {sql:.200}: {text}");
            }
        }
    }

    /// A job of another client is added, run and done, in spite of everything.
    fn others_go_on(&mut self, after: &str) {
        let begun = Instant::now();
        let sql = "INSERT INTO job (command, queue, priority) VALUES (json_array('true'), 'innocent', 9223372036854775807) RETURNING id";
        // A sequence that a client has set to its end refuses each insert until the next tick.
        let id = self.accepted(sql, after).expect("an id");
        until(&format!("job {id} of another client to be done after {after}"), || {
            let state: String =
                self.conn.query_row("SELECT state FROM job WHERE id = ?1", [id], |row| row.get(0)).expect("it is there");
            (state == "done").then_some(())
        });
        self.worst = self.worst.max(begun.elapsed());
    }

    fn faces_answer(&self, ids: &[i64], after: &str) {
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
                    && !["panicked", "internal error", "sqlite", "Utf8", "overflow", "this could not be looked at"]
                        .iter()
                        .any(|word| said.err.contains(word) || said.out.contains(&format!("error: {word}")))
                    && !said.out.contains("could not be looked at");
                assert!(is_well, "tenure {args:?} after {after}: code {}\n{:.2000}\n{:.2000}", said.code, said.err, said.out);
            }
        }
    }

    fn is_whole(&self) {
        let answer: String = self.conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(answer, "ok");
        let said = self.worker.said();
        assert!(!said.contains("panicked"), "{said}");
    }

    fn newest(&self, n: i64) -> Vec<i64> {
        let mut ids = self.conn.prepare("SELECT id FROM job ORDER BY id DESC LIMIT ?1").expect("SQL");
        ids.query_map([n], |row| row.get(0)).expect("rows").collect::<rusqlite::Result<_>>().expect("numbers")
    }
}

#[test]
fn each_column_takes_each_value_and_others_go_on() {
    let mut siege = Siege::new();
    for place in 0..siege.places.len() {
        let id = siege.held_job();
        for (n, value) in VALUES.iter().enumerate() {
            // Each value with CHECK constraints and without, in one column or the next; in each column where SOAK_SECONDS is set.
            for checks_off in [false, true] {
                if std::env::var_os("SOAK_SECONDS").is_some() || checks_off == ((place + n) % 2 == 0) {
                    siege.write(place, value, id, checks_off);
                }
            }
        }
        let sql = siege.places[place].1.clone();
        siege.others_go_on(&sql);
        if place % 30 == 29 {
            siege.faces_answer(&siege.newest(2), &sql);
        }
    }
    siege.faces_answer(&siege.newest(10), "everything");
    siege.is_whole();
    println!(
        "{} statements, {} values: {} accepted, {} refused; others waited {:?} at most",
        siege.places.len(),
        VALUES.len(),
        siege.accepted,
        siege.refused,
        siege.worst
    );
}

/// Random statements for so long.
fn besiege(for_how_long: Duration) {
    let mut siege = Siege::new();
    let mut dice = Dice::new(seed());
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < for_how_long {
        let id = siege.held_job();
        let mut last = 0;
        for _ in 0..1 + dice.index(8) {
            last = dice.index(siege.places.len());
            siege.write(last, VALUES[dice.index(VALUES.len())], id, dice.index(2) == 0);
        }
        let last = siege.places[last].1.clone();
        if dice.index(4) == 0 {
            siege.accepted("UPDATE job SET user_hold = 0 WHERE state = 'queued' AND user_hold <> 0", "something");
        }
        siege.others_go_on(&last);
        if dice.index(100) == 0 {
            siege.faces_answer(&[id], &last);
        }
        rounds += 1;
    }
    siege.faces_answer(&siege.newest(5), "everything");
    siege.is_whole();
    println!("{rounds} rounds, {} accepted, {} refused; others waited {:?} at most", siege.accepted, siege.refused, siege.worst);
}

#[test]
fn random_sql_stops_neither_the_jobs_of_others_nor_a_face() {
    besiege(Duration::from_secs(3));
}

#[test]
#[ignore = "a soak: cargo test --release --test all life:: -- --ignored"]
fn random_sql_for_a_minute() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    besiege(Duration::from_secs(seconds));
}
