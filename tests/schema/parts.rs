//! Each part of each rule has a case: a guard without one of its alternatives lets a statement pass that it is there to refuse, and each CHECK refuses
//! something by itself.

use std::collections::BTreeSet;
use std::ops::Range;

use rusqlite::config::DbConfig;

use crate::schema::SCHEMA;
use crate::schema::raises::{CASES, full, full_of, is_of, spelled, with_whole_raises};

/// Alternatives that another one of the same condition makes needless: what is not an array has no elements.
const NEEDLESS: &[(&str, &str)] = &[
    ("job_insert_guard", "json_type(NEW.command) IS NOT 'array'"),
    // Its head is chosen at once, and the guard of updates says the same.
    ("queue_insert_guard", "NEW.slots < 0"),
];

/// The same of the columns `fault` and `malformed`; and a state that another guard refuses before, and the CHECK where there are no guards.
const NEEDLESS_FAULTS: &[&str] =
    &["state NOT IN ('held', 'releasing', 'released')", "json_type(teardown) <> 'array'", "json_type(probe) <> 'array'"];

/// What only a CHECK refuses: no trigger repeats it, because only the worker writes these columns.
#[rustfmt::skip]
pub(super) const CHECK_CASES: &[&str] = &[
    "INSERT INTO hook_rule (name, event, command) VALUES ('a', 'x', '[]')", "INSERT INTO hook_rule (name, event, command) VALUES ('a', 'on_end', '{}')",
    "INSERT INTO hook_rule (name, event, command, reasons) VALUES ('a', 'on_end', '[]', '{}')",
    "UPDATE hook SET event = 'x' WHERE id = 1", "UPDATE hook SET outcome = 'x', closed_at = 1 WHERE id = 1", "UPDATE hook SET closed_at = 1 WHERE id = 1", "UPDATE hook SET attempts = -1 WHERE id = 1",
    "INSERT INTO receipt VALUES (2, x'00', '{}')",
    "INSERT INTO receipt VALUES (2, zeroblob(16), '[]')",
    "UPDATE suspend SET suspended_ms = -1 WHERE id = 2", "UPDATE launched SET state = 'x'", "UPDATE launched SET given_up = 2",
    "UPDATE dependency SET state = 'x'", "UPDATE job SET pid = 0 WHERE id = 2", "UPDATE job SET reason = 'x' WHERE id = 9", "UPDATE job SET max_attempts = 1000001 WHERE id = 1", "UPDATE lane SET running = -1",
    "UPDATE lease SET why = printf('%1001s', '')", "UPDATE pipeline SET name = ''", "UPDATE pipeline SET revision = 0", "UPDATE pipeline SET spec = '[]'",
    "UPDATE queue SET is_full = 2", "UPDATE resource SET released_by = 'x' WHERE id = 2", "UPDATE run SET outcome = NULL WHERE id = 13",
    "UPDATE run SET job_id = NULL WHERE id = 12", "UPDATE run SET id = 4503599627370497 WHERE id = 12", "UPDATE run SET kind = 'x' WHERE id = 12",
    "UPDATE run SET nonce = 'x' WHERE id = 12", "UPDATE run SET outcome = 'x' WHERE id = 13", "UPDATE schedule SET cron = ''", "UPDATE schedule SET id = 0",
    "UPDATE schedule SET name = ''", "UPDATE schedule SET created_at = -1", "UPDATE occurrence SET reason = 'x' WHERE at = 20", "UPDATE occurrence SET by_hand = 2 WHERE at = 20", "UPDATE task SET held = 2",
    "UPDATE task SET stage = ''", "UPDATE task_step SET outcome = 'lost' WHERE task_id = 1", "UPDATE task_step SET outcome = 'x' WHERE task_id = 2",
    "UPDATE task_step SET seq = 0 WHERE task_id = 1", "UPDATE workspace SET prepare_command = '{}'", "UPDATE workspace SET synced = 2",
];

/// A condition without one of its parts, and that part.
type Mutant = (String, String);

/// The condition without each of its parts that are joined by OR, at any depth, and without each member of a row that is compared and of a `coalesce`.
fn mutants(condition: &str) -> Vec<Mutant> {
    let without = |part: Range<usize>, instead: &str| {
        let text = format!("{}{instead}{}", &condition[..part.start], &condition[part.end..]);
        (text, condition[part].trim().to_owned())
    };
    let mut found: Vec<Mutant> = alternatives(condition).into_iter().map(|part| without(part, "0")).collect();
    for (at, _) in condition.match_indices(") IS NOT (") {
        let (left, right) = (row_before(condition, at), row_after(condition, at + ") IS NOT (".len()));
        let Some((left, right)) = left.zip(right).filter(|(left, right)| left.len() == right.len()) else { continue };
        for (one, other) in left.into_iter().zip(right) {
            let (text, part) = without(other, "0");
            let text = format!("{}0{}", &text[..one.start], &text[one.end..]);
            found.push((text, format!("{} of a row: {part}", &condition[one])));
        }
    }
    for (at, _) in condition.match_indices("coalesce(NEW.") {
        let members = row_after(condition, at + "coalesce(".len()).unwrap();
        found.extend(members.into_iter().map(|member| without(member, "NULL")));
    }
    found
}

/// The members of `NEW.a, NEW.b` that ends here, or of `0, 0`; `None` where it is anything else.
fn row_before(text: &str, end: usize) -> Option<Vec<Range<usize>>> {
    row(text, text[..end].rfind('(')? + 1, end)
}

fn row_after(text: &str, from: usize) -> Option<Vec<Range<usize>>> {
    row(text, from, from + text[from..].find(')')?)
}

fn row(text: &str, from: usize, end: usize) -> Option<Vec<Range<usize>>> {
    let mut at = from;
    let mut members = Vec::new();
    for member in text[from..end].split(',') {
        let name = member.trim();
        let is_plain = name == "0" || name.starts_with("NEW.") || name.starts_with("OLD.");
        if !is_plain || name.contains(' ') {
            return None;
        }
        let start = at + member.find(name).unwrap();
        members.push(start..start + name.len());
        at += member.len() + 1;
    }
    Some(members)
}

/// The parts of a condition that are joined by OR, at any depth, each as a range of its bytes.
fn alternatives(condition: &str) -> Vec<Range<usize>> {
    let (mut open, mut found, mut is_quoted) = (vec![(0, Vec::new())], Vec::new(), false);
    let mut close = |(start, mut parts): (usize, Vec<Range<usize>>), end: usize| {
        if !parts.is_empty() {
            parts.push(start..end);
            found.append(&mut parts);
        }
    };
    for (at, byte) in condition.bytes().enumerate() {
        match byte {
            b'\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'(' => open.push((at + 1, Vec::new())),
            b')' => close(open.pop().unwrap(), at),
            // Within a query the condition begins here.
            b' ' if condition[at..].starts_with(" WHERE ") => open.last_mut().unwrap().0 = at + " WHERE ".len(),
            b' ' if condition[at..].starts_with(" OR ") => {
                let (start, parts) = open.last_mut().unwrap();
                parts.push(*start..at);
                *start = at + " OR ".len();
            }
            _ => {}
        }
    }
    close(open.pop().unwrap(), condition.len());
    found
}

/// Each condition of a RAISE that has alternatives: the guard, its words, and the place of the condition in the text of the trigger.
fn conditions(trigger: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for (at, _) in trigger.match_indices("RAISE(ABORT, 'tenure: ") {
        let rest = &trigger[at + "RAISE(ABORT, 'tenure: ".len()..];
        let (words, rest) = rest.split_once("')").unwrap();
        let words = words.replace("''", "'");
        let Some(condition) =
            rest.find("WHERE ").filter(|n| matches!(rest[..*n].trim(), "" | "END")).map(|n| &rest[n + "WHERE ".len()..])
        else {
            continue;
        };
        let mut is_quoted = false;
        let end = condition.bytes().position(|byte| {
            is_quoted ^= byte == b'\'';
            !is_quoted && byte == b';'
        });
        // What a client without the capability is told: `refusals` walks those.
        if condition[..end.unwrap()].contains("sqlite_compileoption_used") {
            continue;
        }
        let start = condition.as_ptr() as usize - trigger.as_ptr() as usize;
        found.push((words, start..start + end.unwrap()));
    }
    found
}

#[test]
fn each_alternative_of_a_guard_is_needed_by_a_case() {
    let conn = full();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    let mut triggers = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name").unwrap();
    let triggers: Vec<(String, String)> = triggers
        .query_map([], |row| Ok((row.get(0)?, with_whole_raises(&row.get::<_, String>(1)?))))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let (mut walked, mut missing) = (0, Vec::new());
    for (guard, sql) in &triggers {
        for (words, place) in conditions(sql) {
            let of_raise = (guard.clone(), words.clone());
            let (_, _, cases) = CASES.iter().find(|(guard, words, _)| is_of(&(guard, words), &of_raise)).unwrap();
            for (condition, part) in mutants(&sql[place.clone()]) {
                let without = format!("{}{condition}{}", &sql[..place.start], &sql[place.end..]);
                conn.execute_batch(&format!("SAVEPOINT before; DROP TRIGGER {guard}; {without}")).unwrap();
                let is_refused = |case: &str| {
                    conn.execute_batch("SAVEPOINT one").unwrap();
                    let refused = conn.execute_batch(&spelled(case)).is_err_and(|error| error.to_string().contains(&words));
                    conn.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
                    refused
                };
                let is_needless = NEEDLESS.contains(&(guard, part.as_str()));
                if cases.iter().all(|case| is_refused(case)) != is_needless {
                    missing.push(format!("{guard}, {words:.40}: no case for {part}"));
                }
                conn.execute_batch("ROLLBACK TO before; RELEASE before").unwrap();
                walked += 1;
            }
        }
    }
    assert!(walked > 160, "{walked}");
    assert!(missing.is_empty(), "of {walked}:\n{}", missing.join("\n"));
}

/// The expressions of the columns `fault` and `malformed`, each as a range of the bytes of the schema.
fn faults() -> Vec<Range<usize>> {
    let begins =
        SCHEMA.match_indices("GENERATED ALWAYS AS (\n    CASE WHEN ").map(|(at, begin)| at + begin.len() - "CASE WHEN ".len());
    begins
        .map(|at| at..at + SCHEMA[at..].find(" END) VIRTUAL").unwrap())
        .filter(|place| SCHEMA[..place.start].lines().rev().nth(1).is_some_and(|line| !line.trim_start().starts_with("hold ")))
        .collect()
}

#[test]
fn each_part_of_a_fault_is_needed_by_a_case() {
    let guards = ["job_fault_guard", "resource_fault_guard", "resource_insert_guard"];
    let cases = CASES.iter().filter(|(guard, _, _)| guards.contains(guard));
    let cases: Vec<(&str, String)> =
        cases.flat_map(|(_, words, cases)| cases.iter().map(|case| (*words, spelled(case)))).collect();
    let places = faults();
    assert_eq!(places.len(), 3);
    let (mut walked, mut missing) = (0, Vec::new());
    for place in places {
        for rule in SCHEMA[place.clone()].split("WHEN ").skip(1) {
            let condition = rule.split(" THEN ").next().unwrap();
            let start = condition.as_ptr() as usize - SCHEMA.as_ptr() as usize;
            let mut parts = alternatives(condition);
            if parts.is_empty() {
                parts.push(0..condition.len());
            }
            for part in parts {
                let part = start + part.start..start + part.end;
                let conn = full_of(&format!("{}0{}", &SCHEMA[..part.start], &SCHEMA[part.end..]));
                conn.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
                let is_refused = |words: &str, case: &str| {
                    conn.execute_batch("SAVEPOINT one").unwrap();
                    let refused = conn.execute_batch(case).is_err_and(|error| error.to_string().contains(words));
                    conn.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
                    refused
                };
                let text = SCHEMA[part].trim();
                if cases.iter().all(|(words, case)| is_refused(words, case)) != NEEDLESS_FAULTS.contains(&text) {
                    missing.push(text);
                }
                walked += 1;
            }
        }
    }
    assert!(walked > 40, "{walked}");
    assert!(missing.is_empty(), "of {walked}:\n{}", missing.join("\n"));
}

/// The names of all CHECK constraints.
pub(super) fn constraints() -> BTreeSet<String> {
    let name =
        |line: &str| line.trim_start().strip_prefix("CONSTRAINT ")?.split_once(" CHECK").map(|(name, _)| name.trim().to_owned());
    SCHEMA.lines().filter_map(name).collect()
}

/// Each CHECK refuses a row for which all triggers were dropped.
#[test]
fn each_check_refuses_by_itself() {
    let conn = full();
    conn.execute_batch("PRAGMA ignore_check_constraints = OFF").unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let mut refused = BTreeSet::new();
    let statements = CASES.iter().flat_map(|(_, _, statements)| statements.iter());
    for sql in statements.chain(CHECK_CASES) {
        conn.execute_batch("SAVEPOINT one").unwrap();
        if let Err(error) = conn.execute_batch(&spelled(sql)) {
            refused.extend(
                error
                    .to_string()
                    .strip_prefix("CHECK constraint failed: ")
                    .map(|name| name.split(' ').next().unwrap().to_owned()),
            );
        }
        conn.execute_batch("ROLLBACK TO one; RELEASE one").unwrap();
    }
    let all = constraints();
    assert!(all.len() > 60, "{}", all.len());
    let missing: Vec<_> = all.difference(&refused).collect();
    assert!(missing.is_empty(), "no statement for {missing:#?}");
}
