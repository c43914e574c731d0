use std::fs;

use rusqlite::StatementStatus;

use crate::store::{Options, Role, Store};

/// The statements that stand in files of their own.
fn statements() -> Vec<(String, String)> {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "sql"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn no_statement_is_compiled_anew_for_other_values() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
    let anew = store
        .write(|conn| {
            let (mut tried, mut anew) = (0, Vec::new());
            for (name, sql) in statements() {
                let Ok(mut statement) = conn.prepare(&sql) else { continue };
                for value in 1..=4 {
                    for parameter in 1..=statement.parameter_count() {
                        statement.raw_bind_parameter(parameter, value).unwrap();
                    }
                    // What a constraint refuses has been compiled by then.
                    let _all_rows = statement.raw_query().next().map(drop);
                }
                tried += 1;
                if statement.get_status(StatementStatus::RePrepare) > 0 {
                    anew.push(name);
                }
            }
            assert!(tried > 100, "{tried} statements");
            Ok(anew)
        })
        .unwrap();
    assert_eq!(anew, [""; 0]);
}
