//! The counters of the file: the list in schema.sql is that of the code.

use std::collections::BTreeSet;

use crate::schema::SCHEMA;
use crate::schema::plain::sources;

/// The names that end in `_total` in texts of the code.
fn counted() -> BTreeSet<String> {
    let all = sources();
    let words = all.iter().flat_map(|(_, code)| code.split('"'));
    // The suffix alone is taken off for a metric.
    let is_name =
        |word: &&str| word.ends_with("_total") && *word != "_total" && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    words.filter(is_name).map(str::to_owned).collect()
}

/// The names that the comment of the table lists, one a line.
fn listed() -> BTreeSet<String> {
    let comment = SCHEMA.split_once("-- Counters over the life of the file").unwrap().1.split("CREATE TABLE").next().unwrap();
    let names = comment.lines().filter_map(|line| line.strip_prefix("--   ")?.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_schema_lists_every_counter_of_the_code() {
    let counted = counted();
    assert!(counted.len() > 10, "{counted:?}");
    assert_eq!(listed(), counted);
}
