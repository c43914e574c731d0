//! Values as a shell reads them back.

use crate::cli::complete::words::{Open, Typed};
use crate::cli::view::escape;

/// Longest value that is offered, in characters.
const CHARS_MAX: usize = 200;
/// What means only itself to bash, beside letters and digits.
const PLAIN: &[char] = &['_', '-', '.', '/', ',', '+', '%', '=', ':', '@'];

/// Whether a name may be offered at all: the shell would show it, and the program take it for a
/// value.
pub fn is_offered(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && !name.contains(escape::is_unsafe) && name.chars().count() <= CHARS_MAX
}

/// Returns what bash inserts in the place of what is typed. `None`: this value does not continue
/// it, or cannot be written there.
pub fn for_bash(value: &str, typed: &Typed) -> Option<String> {
    if !value.starts_with(&typed.text) {
        return None;
    }
    let rest = &value[typed.kept..];
    match typed.open {
        Open::None => Some(rest.chars().flat_map(backslashed).collect()),
        Open::Single => Some(rest.replace('\'', "'\\''")),
        // The history is expanded there, also after a backslash.
        Open::Double if rest.contains('!') => None,
        Open::Double => Some(rest.chars().flat_map(|c| "\\\"$`".contains(c).then_some('\\').into_iter().chain([c])).collect()),
    }
}

fn backslashed(c: char) -> impl Iterator<Item = char> {
    let is_plain = !c.is_ascii() || c.is_ascii_alphanumeric() || PLAIN.contains(&c);
    (!is_plain).then_some('\\').into_iter().chain([c])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(value: &str, text: &str, kept: usize, open: Open) -> Option<String> {
        for_bash(value, &Typed { text: text.to_owned(), kept, open })
    }

    #[test]
    fn every_mark_is_quoted() {
        assert_eq!(
            bash("a b$(id)`x`;'\"&|<>*?[]{}()#!~\\", "", 0, Open::None).unwrap().replace('\\', ""),
            "a b$(id)`x`;'\"&|<>*?[]{}()#!~"
        );
        assert_eq!(bash("a b", "a", 0, Open::None).unwrap(), "a\\ b");
        assert_eq!(bash("$x", "", 0, Open::None).unwrap(), "\\$x");
        assert_eq!(bash("o'clock $x", "o", 0, Open::Single).unwrap(), "o'\\''clock $x");
        assert_eq!(bash("a\"$`\\b", "a", 0, Open::Double).unwrap(), "a\\\"\\$\\`\\\\b");
        assert_eq!(bash("a!b", "a", 0, Open::Double), None);
        assert_eq!(bash("é-ü_1.2/3", "", 0, Open::None).unwrap(), "é-ü_1.2/3");
    }

    #[test]
    fn the_part_that_the_shell_keeps_is_left_out() {
        assert_eq!(bash("--queue=mail", "--queue=m", 8, Open::None).unwrap(), "mail");
        assert_eq!(bash("other", "mail", 0, Open::None), None);
    }

    #[test]
    fn hostile_names_are_not_offered() {
        for name in ["", "-rf", "a\nb", "a\x1b[2J", "a\u{202e}b", "\t", "\x7f", &"x".repeat(201)] {
            assert!(!is_offered(name), "{name:?}");
        }
        assert!(is_offered("a b; rm -rf ~") && is_offered("é") && is_offered("🙂"));
    }
}
