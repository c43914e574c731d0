//! docs/sql.md against the file: its statements do what they say, and a client may set what its lists name and nothing else.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tenure::job::State;

use crate::model::file;
use crate::schema::refusals::{is_for_good, names_a_remedy};
use crate::schema::with_job_in;

const PAGE: &str = include_str!("../../docs/sql.md");

/// A file in which everything is that the statements of the page name, as a client without the capability has it.
fn as_the_page_has_it() -> Connection {
    let conn = file::fresh();
    for _ in 1..=9 {
        conn.execute("INSERT INTO job (command, queue, lane) VALUES ('[\"true\"]', 'build', 'deploy')", []).unwrap();
    }
    conn.execute_batch(
        "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('nightly', '* * * * *', 'UTC', '{}', 0, 0);
         INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('ship', 1, '{}', 1);
         INSERT INTO task (pipeline_id, pipeline, key, stage, created_at) VALUES (1, 'ship', 'v1.2', 's', 1);
         INSERT INTO job (command, task_id) VALUES ('[\"true\"]', 1);
         UPDATE task SET job_id = 10 WHERE id = 1;
         INSERT INTO task_step (task_id, seq, stage, job_id, entered_at) VALUES (1, 1, 's', 10, 1);
         INSERT INTO resource (name, job_id, teardown) VALUES ('other', 8, '[\"true\"]');
         UPDATE resource SET state = 'releasing';",
    )
    .unwrap();
    file::make_plain(&conn);
    conn
}

/// The statements of the `sql` blocks.
fn statements() -> Vec<String> {
    let blocks = PAGE.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(|line| line.split("  --").next().unwrap().trim_end());
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    text.split(";\n").map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect()
}

#[test]
fn each_statement_of_the_page_does_something() {
    let conn = as_the_page_has_it();
    let statements = statements();
    for sql in &statements {
        let mut prepared = conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut rows = prepared.query([]).unwrap();
        let mut n = 0;
        while rows.next().unwrap_or_else(|error| panic!("{sql}: {error}")).is_some() {
            n += 1;
        }
        drop(rows);
        let reads = sql.starts_with("SELECT") || sql.contains("RETURNING");
        assert!(if reads { n > 0 } else { conn.changes() > 0 }, "{sql}: nothing happened");
    }
    assert!(statements.len() > 14, "{statements:?}");
    println!("{} statements", statements.len());
}

#[test]
fn what_the_page_says_of_keys_and_cancels_is_so() {
    let conn = as_the_page_has_it();
    let keyed = statements().into_iter().find(|sql| sql.contains("NOT EXISTS")).unwrap();
    assert_eq!((conn.execute(&keyed, []).unwrap(), conn.execute(&keyed, []).unwrap()), (1, 0));
    for or in ["OR IGNORE INTO", "INTO"] {
        let tail = if or == "INTO" { " ON CONFLICT DO NOTHING" } else { "" };
        let sql = format!("INSERT {or} job (command, unique_key) VALUES ('[\"x\"]', 'nightly-build'){tail}");
        let error = conn.execute(&sql, []).unwrap_err();
        assert!(is_for_good(&error) && error.to_string().contains("unique_key"), "{sql}: {error}");
    }
    let cancel = |id: i64| -> rusqlite::Result<Vec<i64>> {
        let mut insert = conn.prepare("INSERT INTO cancel (job_id) VALUES (?1) RETURNING id")?;
        insert.query_map([id], |row| row.get(0))?.collect()
    };
    assert_eq!((cancel(7).unwrap().len(), cancel(7).unwrap().len()), (1, 0), "the second cancel returns no row");
    let ended = with_job_in(State::Done);
    file::make_plain(&ended);
    assert!(is_for_good(&ended.execute("INSERT INTO cancel (job_id) VALUES (1)", []).unwrap_err()));
}

/// The names in backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The first column of the table below a heading.
fn listed(heading: &str) -> BTreeSet<&'static str> {
    let section = PAGE.split_once(heading).unwrap_or_else(|| panic!("no {heading}")).1.split("\n## ").next().unwrap();
    section.lines().filter(|line| line.starts_with("| `")).flat_map(|line| quoted(line.split(" | ").next().unwrap())).collect()
}

#[test]
fn the_page_lists_every_key_of_a_policy() {
    let rules: BTreeSet<&str> = tenure::job::policy_rules::RULES.iter().map(|(key, _)| *key).collect();
    assert_eq!(listed("## Keys of `policy`"), rules);
}

/// The columns of a table that hold a value.
fn columns(conn: &Connection, table: &str) -> Vec<String> {
    let mut names = conn.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A value that is right for a column of `job` and is not what it has.
fn value(column: &str) -> &'static str {
    match column {
        "command" => "'[\"y\"]'",
        "env" => "'{\"A\": \"b\"}'",
        "policy" => "'{\"nice\": 1}'",
        "cwd" => "'/x'",
        "state" => "'running'",
        "reason" | "last_reason" => "'timeout'",
        "queue" | "lane" | "label" | "unique_key" | "error" | "result" => "'x'",
        "progress" => "'{}'",
        "user_hold" | "task_hold" | "too_wide" | "pool_pass" | "lane_pass" | "key_taken" => "1",
        "uses" => "NULL",
        _ => "77",
    }
}

#[test]
fn a_new_job_takes_the_columns_of_the_list_alone() {
    let listed = listed("## Columns of `job` that a client may set when it inserts one");
    let conn = file::fresh();
    file::make_plain(&conn);
    let all = columns(&conn, "job");
    for column in &listed {
        assert!(all.iter().any(|known| known == column), "{column} is not a column of job");
    }
    for column in &all {
        let sql = match column.as_str() {
            "command" => format!("INSERT INTO job (command) VALUES ({})", value(column)),
            _ => format!("INSERT INTO job (command, {column}) VALUES ('[\"x\"]', {})", value(column)),
        };
        match conn.execute(&sql, []) {
            Ok(_) => assert!(listed.contains(column.as_str()), "{sql} was done, and the page does not list {column}"),
            Err(error) => {
                assert!(!listed.contains(column.as_str()), "the page lists {column}: {error}");
                assert!(is_for_good(&error) && error.to_string().starts_with("tenure: "), "{sql}: {error}");
            }
        }
    }
    println!("{} columns, {} of them listed", all.len(), listed.len());
}

#[test]
fn an_update_changes_only_the_listed_columns_in_each_state() {
    let sentence = PAGE.split_once("Of a queued job, `UPDATE` may change ").unwrap().1.split(';').next().unwrap();
    let listed = quoted(sentence);
    assert_eq!(listed.len(), 6, "{listed:?}");
    let mut walked = 0;
    for state in State::ALL {
        let conn = with_job_in(state);
        file::make_plain(&conn);
        for column in columns(&conn, "job") {
            // Triggers of every client set it, and what is set wrongly is put right at once.
            if column == "lane_pass" && state == State::Queued {
                continue;
            }
            let value = if column == "state" && state == State::Running { "'done'" } else { value(&column) };
            let sql = format!("UPDATE job SET {column} = {value} WHERE id = 1");
            conn.execute_batch("SAVEPOINT before").unwrap();
            let done = conn.execute(&sql, []);
            conn.execute_batch("ROLLBACK TO before; RELEASE before").unwrap();
            let may = state == State::Queued && listed.contains(column.as_str());
            assert_eq!(done.is_ok(), may, "{state}: {sql}: {done:?}");
            if let Err(error) = done {
                let text = error.to_string();
                assert!(is_for_good(&error) && text.starts_with("tenure: "), "{state}: {sql}: {error:?}");
                let needs_none = ["id", "unmet", "broken", "unreleased", "key_taken"].contains(&column.as_str());
                assert!(needs_none || names_a_remedy(&text), "{state}: {sql}: {text}");
            }
            walked += 1;
        }
    }
    println!("{walked} updates");
}
