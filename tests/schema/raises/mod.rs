//! Each RAISE of each guard refuses what it is there for, with CHECK constraints and without; and REPLACE removes no row of any table.

mod cases;

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::model::file;

use cases::{ARGV, J};
pub(super) use cases::{CASES, full, full_of, statements, with_whole_raises};

/// The guard and the words of each RAISE in the schema.
fn raises() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    // What a client without the capability is told: `refusals` walks those.
    let rules = statements(&file::fresh()).into_iter().filter(|(_, statement)| !statement.contains("sqlite_compileoption_used"));
    for (name, rule) in rules {
        for raise in with_whole_raises(&rule).split("RAISE(").skip(1) {
            let words = match raise.strip_prefix("ABORT, 'tenure: ") {
                Some(words) => words.split("')").next().unwrap().replace("''", "'"),
                None => raise.split(')').next().unwrap().to_owned(),
            };
            found.insert((name.clone(), words));
        }
    }
    found
}

/// All rows of all tables, as text.
pub fn dump(conn: &Connection) -> String {
    let mut names =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names.iter().map(|name| format!("{name}: {}\n", rows(conn, &format!("SELECT * FROM {name}")))).collect()
}

fn rows(conn: &Connection, sql: &str) -> String {
    let mut select = conn.prepare(sql).unwrap();
    let n = select.column_count();
    let rows = select
        .query_map([], |row| Ok((0..n).map(|i| format!("{:?}", row.get_ref_unwrap(i))).collect::<Vec<_>>().join("|")))
        .unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join(" ")
}

/// A statement of a case, with what its short words stand for.
pub(crate) fn spelled(sql: &str) -> String {
    let sql = sql.strip_prefix("J ").map_or_else(|| sql.to_owned(), |rest| format!("{J} {rest}"));
    let wide = "CAST(x'c3' AS TEXT) || replace(printf('%5000s', ''), ' ', CAST(x'80' AS TEXT))";
    sql.replace("(A", &format!("({ARGV}"))
        .replace(", A", &format!(", {ARGV}"))
        .replace("W)", &format!("{wide})"))
        .replace("= W", &format!("= {wide}"))
        .replace("(W", &format!("({wide}"))
        .replace(", W", &format!(", {wide}"))
}

pub(crate) fn is_of((guard, words): &(&str, &str), raise: &(String, String)) -> bool {
    raise.0 == *guard && raise.1.starts_with(words)
}

#[test]
fn each_raise_refuses_what_it_is_there_for() {
    let raises = raises();
    for raise in &raises {
        let n = CASES.iter().filter(|(guard, words, _)| is_of(&(guard, words), raise)).count();
        assert_eq!(n, 1, "{raise:?} has {n} cases");
    }
    let (mut walked, mut wrong) = (0, Vec::new());
    for checks in ["OFF", "ON"] {
        let conn = full();
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
        let before = dump(&conn);
        conn.execute_batch("SAVEPOINT before").unwrap();
        for (guard, words, statements) in CASES {
            assert!(raises.iter().any(|raise| is_of(&(guard, words), raise)), "{guard} does not say {words:?} any more");
            for sql in *statements {
                let sql = spelled(sql);
                let done = conn.execute_batch(&sql);
                let what = format!("{guard}, ignore_check_constraints = {checks}: {sql:.200}");
                match done {
                    Ok(_) if *words == "IGNORE" => {}
                    Ok(_) => wrong.push(format!("{what}: it was done")),
                    Err(error) => {
                        let text = error.to_string();
                        // A guard that comes after the row is written comes after the CHECK constraints.
                        let is_after = ["_enters", "_fault_guard", "_changes"].iter().any(|end| guard.ends_with(end));
                        let by_check = is_after && checks == "OFF" && text.contains("CHECK constraint failed");
                        if !text.contains(&format!("tenure: {words}")) && !by_check {
                            wrong.push(format!("{what}: {text:.200}"));
                        }
                    }
                }
                if dump(&conn) != before {
                    wrong.push(format!("{what}: rows were changed"));
                }
                conn.execute_batch("ROLLBACK TO before").unwrap();
                walked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} guards' rules, {walked} statements", raises.len());
}

#[test]
fn replace_removes_no_row_of_any_table() {
    let mut walked = 0;
    for checks in ["OFF", "ON"] {
        for recursive in ["OFF", "ON"] {
            for plain in [false, true] {
                let conn = full();
                if plain {
                    file::make_plain(&conn);
                }
                conn.execute_batch(&format!(
                    "PRAGMA ignore_check_constraints = {checks}; PRAGMA recursive_triggers = {recursive}"
                ))
                .unwrap();
                let before = dump(&conn);
                let mut names =
                    conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").unwrap();
                let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
                // The counts are kept by triggers of all clients, and are taken anew where they are wrong.
                for table in names
                    .iter()
                    .filter(|name| !["tally", "meta", "counter"].contains(&name.as_str()) || plain && *name != "tally")
                {
                    assert_ne!(
                        rows(&conn, &format!("SELECT count(*) FROM {table}")),
                        "Integer(0)",
                        "{table} has no row to be replaced"
                    );
                    let info = |sql: &str| -> Vec<String> {
                        let mut info = conn.prepare(sql).unwrap();
                        info.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
                    };
                    let columns = info(&format!("SELECT name FROM pragma_table_info('{table}')")).join(", ");
                    let keys = info(&format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0")).join(", ");
                    for sql in [
                        format!("REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table}"),
                        format!(
                            "INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table} ORDER BY 1 DESC LIMIT 1"
                        ),
                        format!(
                            "INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE true ON CONFLICT ({keys}) DO UPDATE SET ({keys}) = (SELECT {keys} FROM {table} ORDER BY 1 DESC LIMIT 1)"
                        ),
                        format!("UPDATE OR REPLACE {table} SET ({keys}) = (SELECT {keys} FROM {table} ORDER BY 1 DESC LIMIT 1)"),
                    ] {
                        let done = conn.execute(&sql, []);
                        assert_eq!(
                            dump(&conn),
                            before,
                            "plain {plain}, checks ignored {checks}, recursive {recursive}: {sql}: {done:?}"
                        );
                        walked += 1;
                    }
                }
            }
        }
    }
    println!("{walked} statements");
}
