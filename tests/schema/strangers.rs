//! What a client without the capability may write: found out by trying each column of each table, and the same as the table of docs/sql.md.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::model::file;
use crate::schema::raises::full;

const PAGE: &str = include_str!("../../docs/sql.md");

/// The beginning of the table in the page, and what each table needs for a new row, in each way that there is.
const HEAD: &str = "| table | a client may insert | update | delete |\n| --- | --- | --- | --- |\n";
#[rustfmt::skip]
const INSERTS: &[(&str, &[(&str, &str)])] = &[
    ("job", &[("command", "'[\"x\"]'")]),
    ("cancel", &[("job_id", "1")]),
    ("suspend", &[("job_id", "2")]),
    ("dependency", &[("job_id, on_job", "4, 1")]),
    ("resource", &[("name, job_id, teardown", "'n', 1, '[\"x\"]'"), ("name, run_id, teardown", "'n', 12, '[\"x\"]'"), ("name, task_id, teardown", "'n', 1, '[\"x\"]'")]),
    ("queue", &[("name", "'n'"), ("name, slots", "'n', 1")]),
    ("lane", &[("key", "'n'")]),
    ("pool", &[("name, size", "'n', 1")]),
    ("pool_use", &[("job_id, pool, amount, queue, lane, priority, rank, waits", "1, 'gpu', 1, 'default', '', 0, 1.0, 1")]),
    ("pool_unit", &[("pool, unit, job_id", "'gpu', 1, 11")]),
    ("event", &[("job_id, kind", "1, 'x'")]),
    ("schedule", &[("name, cron, zone, template, decided_until, created_at", "'m', '* * * * *', 'UTC', '{}', 0, 0")]),
    ("run", &[("id, job_id, attempt, nonce, instance, boot_id, claimed_at", "99, 1, 1, lower(hex(zeroblob(16))), '', '', 0")]),
    ("launched", &[("run_id, launcher, options", "12, '/l', '{}'")]),
    ("lease", &[("name, nonce, command, boot_id, since", "'n', lower(hex(zeroblob(16))), '[]', 'b', 1")]),
    ("workspace", &[("key, dir, prepared_at, last_used_at, boot_id", "'m', 'm-1', 0, 0, 'b'")]),
    ("occurrence", &[("schedule_id, at, last_at, state, job_id, decided_at", "1, 30, 30, 'fired', 4, 1")]),
    ("pipeline", &[("name, revision, spec, applied_at", "'q', 1, '{}', 1")]),
    ("task", &[("pipeline_id, pipeline, stage, created_at", "1, 'p', 's', 1")]),
    ("task_step", &[("task_id, seq, stage, job_id, entered_at", "3, 1, 's', 9, 1")]),
    ("tally", &[("state, hold, queue, n", "'queued', '', 'n', 1")]),
    ("counter", &[("name", "'n'")]),
    ("meta", &[("key, value", "'n', 'x'")]),
    ("unresolved", &[("job_id", "1")]),
    ("pause", &[("at", "1")]),
    ("hook_rule", &[("name, event, command", "'n', 'on_end', '[\"x\"]'")]),
    ("hook", &[("job_id, event, command, state, ended_at", "3, 'on_end', '[\"x\"]', 'done', 1")]),
    ("receipt", &[("sent, token, answer", "2, zeroblob(16), '{}'")]),
];
/// Values that some column of some table takes.
#[rustfmt::skip]
const VALUES: &[&str] = &[
    "0", "1", "2", "77", "9000000000000", "NULL", "'x'", "'/x'", "'{}'", "'{\"A\": \"b\"}'", "'{\"nice\": 1}'", "'{\"gpu\": 1}'", "'[\"y\"]'", "'any'", "'met'", "'running'", "'pause'",
    "'queued'", "'cancelled'", "'releasing'", "'released'", "'timeout'", "'abcdef0123456789abcdef0123456789'",
];

fn names(conn: &Connection, sql: &str) -> Vec<String> {
    let mut names = conn.prepare(sql).unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Whether the statement leaves more rows that fit, and is undone. `?1` is the value in both.
fn does(conn: &Connection, sql: &str, fits: &str, value: &Value) -> bool {
    let mut count = conn.prepare_cached(&format!("SELECT count(*) FROM {fits}")).unwrap();
    let bound: &[&Value] = if fits.contains("?1") { &[value] } else { &[] };
    let mut count = || count.query_row(params_from_iter(bound), |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    conn.prepare_cached("SAVEPOINT one").unwrap().execute([]).unwrap();
    let bound: &[&Value] = if sql.contains("?1") { &[value] } else { &[] };
    let done = conn.prepare_cached(sql).unwrap().execute(params_from_iter(bound)).is_ok() && count() > before;
    conn.prepare_cached("ROLLBACK TO one").unwrap().execute([]).unwrap();
    conn.prepare_cached("RELEASE one").unwrap().execute([]).unwrap();
    done
}

/// The values, each as it is written and as it is bound.
fn values(conn: &Connection) -> Vec<(&'static str, Value)> {
    VALUES.iter().map(|text| (*text, conn.query_row(&format!("SELECT {text}"), [], |row| row.get(0)).unwrap())).collect()
}

fn inserted(conn: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let (_, ways) = INSERTS.iter().find(|(name, _)| *name == table).unwrap_or_else(|| panic!("no new row for {table}"));
    let is_way = |(needed, given): &&(&str, &str)| {
        does(conn, &format!("INSERT INTO {table} ({needed}) VALUES ({given})"), table, &Value::Null)
    };
    let ways: Vec<_> = ways.iter().filter(is_way).collect();
    let values = values(conn);
    let is_taken = |column: &String| {
        let default = names(
            conn,
            &format!("SELECT coalesce(dflt_value, 'NULL') FROM pragma_table_info('{table}') WHERE name = '{column}'"),
        );
        ways.iter().any(|(needed, given)| {
            let sql = format!("INSERT INTO {table} ({needed}, {column}) VALUES ({given}, ?1)");
            let fits = format!("{table} WHERE {column} = ?1");
            needed.split(", ").any(|name| name == column)
                || values.iter().any(|(text, value)| default[0] != *text && does(conn, &sql, &fits, value))
        })
    };
    columns.iter().filter(|column| is_taken(column)).cloned().collect()
}

/// A condition for each row of a table.
fn rows(conn: &Connection, table: &str) -> Vec<String> {
    let keys = names(conn, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0"));
    let condition = keys.iter().map(|key| format!("'{key} = ' || quote({key})")).collect::<Vec<_>>().join(" || ' AND ' || ");
    names(conn, &format!("SELECT {condition} FROM {table}"))
}

fn updated(conn: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let (rows, values) = (rows(conn, table), values(conn));
    let is_taken = |column: &String| {
        let fits = format!("{table} WHERE {column} IS ?1");
        rows.iter().any(|row| {
            let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
            values.iter().any(|(_, value)| does(conn, &sql, &fits, value))
        })
    };
    columns.iter().filter(|column| is_taken(column)).cloned().collect()
}

fn is_deleted(conn: &Connection, table: &str) -> bool {
    rows(conn, table).iter().any(|row| {
        conn.execute_batch("SAVEPOINT one").unwrap();
        let done = conn.execute(&format!("DELETE FROM {table} WHERE {row}"), []).is_ok_and(|n| n > 0);
        conn.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
        done
    })
}

/// The table of docs/sql.md, as this file allows it.
fn written(conn: &Connection) -> String {
    let all = names(conn, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    assert_eq!(all.len(), INSERTS.len(), "{all:?}");
    let mut page = HEAD.to_owned();
    for (table, _) in INSERTS {
        let columns = names(conn, &format!("SELECT name FROM pragma_table_info('{table}')"));
        let listed = |columns: Vec<String>| match columns.as_slice() {
            [] => "no".to_owned(),
            columns => columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", "),
        };
        let updated = listed(updated(conn, table, &columns));
        let deleted = if is_deleted(conn, table) { "yes" } else { "no" };
        if *table == "pause" {
            conn.execute_batch("DELETE FROM pause").unwrap(); // it has one row at most
        }
        let inserted = listed(inserted(conn, table, &columns));
        page.push_str(&format!("| `{table}` | {inserted} | {updated} | {deleted} |\n"));
    }
    page
}

#[test]
fn the_page_says_what_a_client_may_write() {
    let mut found = Vec::new();
    for checks in ["OFF", "ON"] {
        let conn = full();
        file::make_plain(&conn);
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
        found.push(written(&conn));
    }
    println!("{}", found[0]);
    assert_eq!(found[0], found[1], "the same with the CHECK constraints and without them");
    let from = PAGE.find(HEAD).expect("the page has the table");
    let said: String = PAGE[from..].lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    assert_eq!(said, found[0], "docs/sql.md, table of what a client may write");
}
