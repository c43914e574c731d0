//! Each place that a client can write to, and the values that it writes.

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// A statement with one place for a value. `{id}` is a job that is queued and held.
pub(super) type Place = (String, String);

/// Whether a trigger refuses every client but tenure's own connections: `what` is INSERT or UPDATE.
pub(super) fn is_the_owners(table: &str, column: &str, what: &str) -> bool {
    let schema = include_str!("../../../schema.sql");
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
pub(super) fn places(conn: &Connection) -> Vec<Place> {
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
                // Who pauses all queues (`pause`) means those of others too.
                let is_left_out =
                    ["cancel.closed_at", "cancel.id", "dependency.state", "event.id", "lane.running", "pause.at", "suspend.id"]
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

pub(super) const fn place(column: &'static str, sql: &'static str) -> (&'static str, &'static str) {
    (column, sql)
}

/// Statements that are more than a column and a value.
pub(super) const PLACES: &[(&str, &str)] = &[
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
    place("job.slots", "INSERT INTO job (command, slots) VALUES (json_array('true'), {})"),
    place("job.too_wide", "UPDATE job SET too_wide = {} WHERE id = {id}"),
    place("pool.name", "INSERT INTO pool (name, size) VALUES ({}, 1)"),
    place("pool.size", "INSERT INTO pool (name, size) VALUES ('p' || lower(hex(randomblob(4))), {})"),
    place("pool.head_id", "INSERT INTO pool (name, size, head_id) VALUES ('p' || lower(hex(randomblob(4))), 1, {})"),
    place("pool_use.job_id", "INSERT INTO pool_use VALUES ({}, 'true', 1, 'default', '', 0, 1.0, 1)"),
    place("pool_use.pool", "INSERT INTO pool_use VALUES ({id}, {}, 1, 'default', '', 0, {id}, 0)"),
    place("pool_use.amount", "INSERT INTO pool_use VALUES ({id}, 'true', {}, 'default', '', 0, {id}, 0)"),
    place("pool_use.queue", "INSERT INTO pool_use VALUES ({id}, 'true', 1, {}, '', 0, {id}, 0)"),
    place("pool_use.lane", "INSERT INTO pool_use VALUES ({id}, 'true', 1, 'default', {}, 0, {id}, 0)"),
    place("pool_use.priority", "INSERT INTO pool_use VALUES ({id}, 'true', 1, 'default', '', {}, {id}, 0)"),
    place("pool_use.rank", "INSERT INTO pool_use VALUES ({id}, 'true', 1, 'default', '', 0, {}, 0)"),
    place("pool_use.waits", "INSERT INTO pool_use VALUES ({id}, 'true', 1, 'default', '', 0, {id}, {})"),
    place("pool_unit.pool", "INSERT INTO pool_unit VALUES ({}, 0, {id})"),
    place("pool_unit.unit", "INSERT INTO pool_unit VALUES ('true', {}, {id})"),
    place("pool_unit.job_id", "INSERT INTO pool_unit VALUES ('true', 0, {})"),
    place("job.uses", "INSERT INTO job (command, uses) VALUES (json_array('true'), json_object('true', {}))"),
    place("job.uses", "INSERT INTO job (command, uses) VALUES (json_array('true'), json_object(CAST({} AS TEXT), 1))"),
    place("job.place", "UPDATE job SET place = {} WHERE id = {id}"),
    place("job.pool_pass", "UPDATE job SET pool_pass = {} WHERE id = {id}"),
    place("job.lane_pass", "UPDATE job SET lane_pass = {} WHERE id = {id}"),
    place("cancel.job_id", "INSERT INTO cancel (job_id) VALUES ({})"),
    place("cancel.run_id", "INSERT INTO cancel (job_id, run_id) VALUES ({id}, {})"),
    place("cancel.at", "INSERT INTO cancel (job_id, at) VALUES ({id}, {})"),
    place("cancel.why", "INSERT INTO cancel (job_id, why) VALUES ({id}, {})"),
    place("suspend.job_id", "INSERT INTO suspend (job_id) VALUES ({})"),
    place("suspend.at", "INSERT INTO suspend (job_id, at) VALUES ({id}, {})"),
    place("suspend.why", "INSERT INTO suspend (job_id, why) VALUES ({id}, {})"),
    place("suspend.resume_at", "INSERT INTO suspend (job_id, resume_at) VALUES ({id}, {})"),
    place("suspend.run_id", "INSERT INTO suspend (job_id, run_id) VALUES ({id}, {})"),
    place("suspend.suspended_at", "INSERT INTO suspend (job_id, suspended_at) VALUES ({id}, {})"),
    place("suspend.closed_at", "INSERT INTO suspend (job_id, closed_at) VALUES ({id}, {})"),
    place("suspend.suspended_ms", "INSERT INTO suspend (job_id, suspended_ms) VALUES ({id}, {})"),
    place("queue.name", "INSERT INTO queue (name) VALUES ({})"),
    place("queue.slots", "INSERT INTO queue (name, slots) VALUES (hex(randomblob(4)), {})"),
    place("queue.on_failure", "INSERT INTO queue (name, on_failure) VALUES (hex(randomblob(4)), {})"),
    place("queue.paused_by", "INSERT INTO queue (name, paused_by) VALUES (hex(randomblob(4)), {})"),
    place("queue.paused_at", "INSERT INTO queue (name, paused_at) VALUES (hex(randomblob(4)), {})"),
    place("queue.slots", "UPDATE queue SET slots = {} WHERE name = 'hostile'"),
    place("queue.launcher", "INSERT INTO queue (name, slots, launcher) VALUES (hex(randomblob(4)), 1, {})"),
    place("queue.launcher", "UPDATE queue SET slots = 1, launcher = {} WHERE name = 'hostile'"),
    place("queue.launcher_options", "INSERT INTO queue (name, slots, launcher_options) VALUES (hex(randomblob(4)), 1, {})"),
    place("queue.launcher_options", "UPDATE queue SET launcher_options = {} WHERE name = 'hostile'"),
    place("queue.paused", "UPDATE queue SET paused = {} WHERE name = 'hostile'"),
    place("queue.max_runtime_ms", "UPDATE queue SET max_runtime_ms = {} WHERE name = 'hostile'"),
    place("queue.paused", "INSERT INTO queue (name, paused) VALUES (hex(randomblob(4)), {})"),
    place("queue.max_runtime_ms", "INSERT INTO queue (name, max_runtime_ms) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_priority", "INSERT INTO queue (name, head_priority) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_rank", "INSERT INTO queue (name, head_rank) VALUES (hex(randomblob(4)), {})"),
    place("queue.head_rank", "UPDATE queue SET head_rank = {} WHERE name = 'innocent'"),
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

/// A value that is written: computed once, or SQL where its kind would be lost.
pub(super) enum Value {
    Bound(Kept),
    /// JSON that is more than text inside of other JSON.
    Sql(&'static str),
}

/// A value, with text that need not be UTF-8.
pub(super) enum Kept {
    Text(Vec<u8>),
    Other(rusqlite::types::Value),
}

impl Value {
    pub(super) fn of(conn: &Connection, sql: &'static str) -> Self {
        if sql.starts_with("json_") {
            return Self::Sql(sql);
        }
        let keep = |value: ValueRef<'_>| match value {
            ValueRef::Text(text) => Kept::Text(text.to_owned()),
            other => Kept::Other(other.try_into().expect("no text")),
        };
        Self::Bound(conn.query_row(&format!("SELECT {sql}"), [], |row| Ok(keep(row.get_ref(0)?))).expect("a value"))
    }

    /// What is written in its place.
    pub(super) fn sql(&self) -> &'static str {
        match self {
            Self::Bound(_) => ":value",
            Self::Sql(sql) => sql,
        }
    }

    /// Executes a statement with it.
    pub(super) fn execute(&self, conn: &Connection, sql: &str, id: i64) -> rusqlite::Result<usize> {
        let mut statement = conn.prepare_cached(sql)?;
        if let Some(at) = statement.parameter_index(":id")? {
            statement.raw_bind_parameter(at, id)?;
        }
        if let (Self::Bound(kept), Some(at)) = (self, statement.parameter_index(":value")?) {
            statement.raw_bind_parameter(at, kept)?;
        }
        statement.raw_execute()
    }
}

impl rusqlite::ToSql for Kept {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text))),
            Self::Other(value) => value.to_sql(),
        }
    }
}

/// Values, as SQL. Text that is not UTF-8 in each of its ways, odd JSON, sizes around the limits, and integers at their ends.
pub(super) const VALUES: &[&str] = &[
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
