use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::job::pipeline::Stage;
use crate::job::{Argv, NewJob, Template};
use crate::store::fixture;

fn pipeline(command: &str) -> Pipeline {
    let job = NewJob::new(Argv::from_strs(&[command]).unwrap());
    let job = Template { has_places: true, ..Template::of(job, Some(5), None).unwrap() };
    let stage = Stage { job, on_success: None, on_failure: None, critical: false, teardown: None };
    Pipeline::new(Some("a".to_owned()), None, BTreeSet::new(), BTreeMap::from([("a".to_owned(), stage)])).unwrap()
}

/// The same object with its keys in the opposite order, at each level.
fn turned(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map.into_iter().rev().map(|(key, value)| (key, turned(value))).collect(),
        other => other,
    }
}

#[test]
fn an_equal_description_with_other_key_order_is_not_new() {
    let conn = fixture::fresh();
    let text = turned(serde_json::from_str(&pipeline("x").to_json()).unwrap()).to_string();
    assert_ne!(text, pipeline("x").to_json());
    conn.execute("INSERT INTO pipeline (name, revision, spec, applied_at) VALUES ('p', 1, ?1, 1)", [text]).unwrap();
    assert_eq!(apply(&conn, "p", &pipeline("x"), 2).unwrap(), Applied { revision: 1, is_new: false });
    assert_eq!(apply(&conn, "p", &pipeline("y"), 2).unwrap(), Applied { revision: 2, is_new: true });
}
