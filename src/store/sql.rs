//! Files of named statements: `claim.sql` beside `claim.rs` holds the SQL of `claim.rs`. A
//! statement begins after its line `-- name: take` and ends before the next such line.
//!
//! Names are resolved at compile time, so a missing statement is a build error, and a statement
//! costs nothing at run time.

/// Line that begins a statement.
const MARK: &[u8] = b"-- name: ";

/// Returns the statement of a name. Use [`sql!`].
///
/// # Panics
/// The file has no statement of that name: at compile time, as this is evaluated there.
pub(in crate::store) const fn named(file: &'static str, name: &str) -> &'static str {
    let bytes = file.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_line(bytes, at);
        if is_mark_of(bytes, at, end, name.as_bytes()) {
            return between(file, end, next_mark(bytes, end));
        }
        at = end;
    }
    panic!("the file has no statement of this name")
}

/// Returns the position after the line that begins at `from`.
const fn end_of_line(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'\n' {
        at += 1;
    }
    if at < bytes.len() { at + 1 } else { at }
}

const fn starts_with(bytes: &[u8], from: usize, what: &[u8]) -> bool {
    let mut n = 0;
    while n < what.len() {
        if from + n >= bytes.len() || bytes[from + n] != what[n] {
            return false;
        }
        n += 1;
    }
    true
}

const fn is_mark_of(bytes: &[u8], from: usize, end: usize, name: &[u8]) -> bool {
    let begin = from + MARK.len();
    starts_with(bytes, from, MARK) && starts_with(bytes, begin, name) && begin + name.len() + 1 == end
}

const fn next_mark(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && !starts_with(bytes, at, MARK) {
        at = end_of_line(bytes, at);
    }
    at
}

/// Cuts `from..to`, without the semicolon and the blank lines at its end.
const fn between(file: &'static str, from: usize, to: usize) -> &'static str {
    let bytes = file.as_bytes();
    let mut to = to;
    while to > from && matches!(bytes[to - 1], b'\n' | b' ' | b';') {
        to -= 1;
    }
    file.split_at(to).0.split_at(from).1
}

/// Joins the parts of a statement at compile time. Use [`sql_of!`].
pub(in crate::store) const fn joined<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut all = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut n = 0;
        while n < bytes.len() {
            all[at] = bytes[n];
            (at, n) = (at + 1, n + 1);
        }
        part += 1;
    }
    all
}

/// Returns the length of the parts together, in bytes.
pub(in crate::store) const fn length(parts: &[&str]) -> usize {
    let (mut bytes, mut part) = (0, 0);
    while part < parts.len() {
        bytes += parts[part].len();
        part += 1;
    }
    bytes
}

/// `sql!("claim.sql", "take")`: the statement of that name in a file beside the caller's.
macro_rules! sql {
    ($file:literal, $name:literal) => {
        const { $crate::store::sql::named(include_str!($file), $name) }
    };
}

/// `sql_of!(sql!("task.sql", "columns"), " WHERE t.id = ?1")`: a statement of several parts.
macro_rules! sql_of {
    ($($part:expr),+ $(,)?) => {
        const {
            const PARTS: &[&str] = &[$($part),+];
            const BYTES: [u8; $crate::store::sql::length(PARTS)] = $crate::store::sql::joined(PARTS);
            match std::str::from_utf8(&BYTES) {
                Ok(text) => text,
                Err(_) => unreachable!(),
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "-- What this file is.\n\n-- name: take\n-- Why.\nSELECT 1;\n\n-- name: take_all\nSELECT 2\n -- name: no\n;\n";

    #[test]
    fn a_statement_ends_before_the_next_name() {
        assert_eq!(named(FILE, "take"), "-- Why.\nSELECT 1");
        assert_eq!(named(FILE, "take_all"), "SELECT 2\n -- name: no");
    }

    #[test]
    #[should_panic(expected = "no statement of this name")]
    fn part_of_a_name_is_not_a_name() {
        named(FILE, "tak");
    }

    #[test]
    fn parts_are_joined_in_order() {
        assert_eq!(sql_of!("a", "", "bc"), "abc");
    }
}
