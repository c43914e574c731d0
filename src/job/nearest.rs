//! Suggests names for mistyped ones.

/// Most names that are compared.
pub const NAMES_MAX: usize = 10_000;
/// Longest word that is compared, in characters.
const WORD_CHARS_MAX: usize = 60;
/// Least number of common characters if a word is a prefix of a name or the other way round.
const PREFIX_CHARS_MIN: usize = 3;

/// Returns the one name that the word was most likely meant to be; `None` if none is near.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (typed, word) = (word, word.to_lowercase());
    let chars = word.chars().count();
    if chars == 0 || chars > WORD_CHARS_MAX {
        return None;
    }
    let near = |name: &&'a str| {
        let lower = name.to_lowercase();
        let common = chars.min(lower.chars().count());
        let begins = common >= PREFIX_CHARS_MIN && (lower.starts_with(&word) || word.starts_with(&lower));
        let edits = edits(&word, &lower);
        (begins || edits <= (chars / 3).clamp(1, 3)).then_some((edits, *name))
    };
    names.into_iter().take(NAMES_MAX).filter(|name| *name != typed).filter_map(|name| near(&name)).min().map(|(_, name)| name)
}

/// Counts the characters that must be added, removed, changed or exchanged with their neighbour.
pub fn edits(a: &str, b: &str) -> usize {
    let beginning = |text: &str| text.chars().take(2 * WORD_CHARS_MAX).collect::<Vec<_>>();
    let (a, b) = (beginning(a), beginning(b));
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let changed = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let one = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if is_swap { one.min(table[i - 2][j - 2] + 1) } else { one }
                }
            };
        }
    }
    table[a.len()][b.len()]
}

/// Shorter names are not compared with [`one_apart`]: most of them are similar.
const NAME_CHARS_MIN: usize = 4;

/// Whether a name is long enough for [`one_apart`].
pub fn is_comparable(name: &str) -> bool {
    name.chars().count() >= NAME_CHARS_MIN
}

/// Returns the name that differs in one place; numbered names are meant to differ in their number.
pub fn one_apart<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let without_digits = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let letters = without_digits(word);
    names.into_iter().find(|name| edits(word, name) == 1 && without_digits(name) != letters)
}

/// `; did you mean "nightly"?`, or nothing.
pub fn question<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_leads_to_the_name_that_was_meant() {
        let names = ["nightly", "build", "deploy", "a", "q1", "q2", "Größe"];
        for (word, name) in [
            ("nighty", "nightly"),
            ("nihgtly", "nightly"),
            ("NIGHTLY", "nightly"),
            ("nightlyy", "nightly"),
            ("biuld", "build"),
            ("bui", "build"),
            ("dploy", "deploy"),
            ("grösse", "Größe"),
            ("q3", "q1"),
        ] {
            assert_eq!(nearest(word, names), Some(name), "{word}");
        }
        for word in ["", "zzz", "backup", "x".repeat(10_000).as_str(), "build"] {
            assert_eq!(nearest(word, names).filter(|_| word != "build"), None, "{word}");
        }
        assert_eq!(question("biuld", names), "; did you mean \"build\"?");
        assert_eq!(question("zzz", names), "");
    }

    #[test]
    fn a_name_is_one_apart_that_differs_in_one_place_but_its_number() {
        let names = ["default", "build", "gpu1", "nightly"];
        for (typed, meant) in [
            ("biuld", Some("build")),
            ("buil", Some("build")),
            ("builds", Some("build")),
            ("Build", Some("build")),
            ("defualt", Some("default")),
            ("nighly", Some("nightly")),
            ("bulid2", None),
            ("gpu2", None),
            ("gpu12", None),
            ("test", None),
        ] {
            assert_eq!(one_apart(typed, names), meant, "{typed}");
        }
        assert!(is_comparable("abcd") && !is_comparable("abc"));
    }
}
