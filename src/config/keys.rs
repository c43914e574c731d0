//! The names of the settings: those that `config.toml` accepts, `tenure config` prints and
//! docs/operating.md lists.

use toml::Table;

use crate::job::nearest::edits;

/// Each key, as it is written in one line of the file: `floor.memory = "1G"`, or `memory = "1G"`
/// below `[floor]`.
pub const KEYS: &[&str] = &[
    "db",
    "slots",
    "durability",
    "keep",
    "log_limit",
    "drain",
    "on_term",
    "stop_timeout",
    "allow_shared",
    "handover",
    "color",
    "floor.memory",
    "floor.disk",
    "floor.load",
    "workspace.max_size",
    "repair",
    "hooks",
    "pool",
    "system",
    "people.socket",
    "people.group",
    "people.queues",
    "people.max_queued",
    "people.max_running",
    "people.max_kept",
    "people.log_space",
];
/// Most edits between a mistyped name and a suggestion.
const EDITS_MAX: usize = 3;

/// Replaces the names of Rust's types in a message of the library.
pub fn in_words(message: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected usize", "expected a whole number, such as 4"),
        ("expected f64", "expected a number, such as 1.5"),
        ("expected path string", "expected a path in quotes"),
        ("expected a string", "expected a text in quotes"),
    ];
    WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Describes an unknown name, with a suggestion: `"slot" is not a setting; did you mean slots?`
pub fn unknown(name: &str) -> String {
    let what = format!("{:?} is not a setting", crate::units::shorten(name));
    match nearest(name) {
        Some(meant) => format!("{what}; did you mean {meant}?"),
        None => format!("{what}; the settings are {}", KEYS.join(", ")),
    }
}

/// Returns the first key of a configuration that is not a setting, in alphabetical order.
pub(super) fn first_unknown(table: &Table) -> Option<String> {
    let mut names = Vec::new();
    flatten("", table, &mut names);
    names.into_iter().find(|name| !KEYS.contains(&name.as_str()))
}

fn flatten(before: &str, table: &Table, names: &mut Vec<String>) {
    for (name, value) in table {
        let name = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) if !KEYS.contains(&name.as_str()) => flatten(&format!("{name}."), inner, names),
            // A wrong type is reported as such.
            _ if KEYS.iter().any(|key| key.starts_with(&format!("{name}."))) => {}
            _ => names.push(name),
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace(['.', '-'], "_");
    let (name, last) = (plain(name), plain(name.rsplit('.').next().unwrap_or(name)));
    let far = |key: &&str| {
        let (whole, end) = (plain(key), plain(key.rsplit('.').next().unwrap_or(key)));
        // An older version printed names with units: keep_ms, log_limit_bytes.
        if name.strip_prefix(&whole).is_some_and(|rest| matches!(rest, "_ms" | "_bytes")) {
            return 0;
        }
        let of_end = edits(&last, &end);
        // After two edits nothing is left of a short name.
        if of_end * 2 <= end.len() { edits(&name, &whole).min(of_end + 1) } else { edits(&name, &whole) }
    };
    let best = KEYS.iter().min_by_key(|key| far(key)).copied()?;
    let most = EDITS_MAX.min(name.chars().count() / 2);
    (far(&best) <= most).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_with_a_letter_wrong_is_found_again() {
        let mut walked = 0;
        for key in KEYS.iter().filter(|key| key.len() > 2) {
            for at in 0..key.len() {
                let (mut less, mut other) = ((*key).to_owned(), (*key).to_owned());
                less.remove(at);
                other.replace_range(at..=at, "q");
                for wrong in [less, other, format!("{key}s"), key.replace('.', "_")] {
                    if KEYS.contains(&wrong.as_str()) {
                        continue;
                    }
                    assert!(unknown(&wrong).ends_with(&format!("did you mean {key}?")), "{wrong}: {}", unknown(&wrong));
                    walked += 1;
                }
            }
        }
        println!("{walked} names");
        for (wrong, meant) in
            [("keep_ms", "keep"), ("log_limit_bytes", "log_limit"), ("max_size", "workspace.max_size"), ("colour", "color")]
        {
            assert_eq!(nearest(wrong), Some(meant), "{wrong}");
        }
        assert_eq!(nearest("retention_policy"), None);
        assert!(unknown("x").contains("the settings are db, slots"));
    }
}
