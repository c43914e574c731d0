use std::fs;
use std::path::Path;

use rusqlite::StatementStatus;

use crate::store::{Options, Role, Store};

/// Returns the statements of all files below a directory, each with its file and its name.
fn statements(directory: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(statements(&path));
        } else if path.extension().is_some_and(|end| end == "sql") {
            let text = fs::read_to_string(&path).unwrap();
            let named = text.split("-- name: ").skip(1).map(|part| part.split_once('\n').unwrap());
            all.extend(named.map(|(name, sql)| (format!("{}: {name}", path.display()), sql.to_owned())));
        }
    }
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
            for (name, sql) in statements(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store"))) {
                let Ok(mut statement) = conn.prepare(&sql) else { continue };
                for value in 1..=4 {
                    for parameter in 1..=statement.parameter_count() {
                        statement.raw_bind_parameter(parameter, value).unwrap();
                    }
                    // A statement that a constraint refuses has been compiled.
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
