//! The words of a line as bash has split them: raw, and cut at `=`, `:` and `@`.

/// Characters at which readline cuts a word, beside those that end one.
const CUTS: &[char] = &['=', ':', '@'];

/// The quote that is open at the end of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Open {
    #[default]
    None,
    Single,
    Double,
}

/// The word that is being typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Typed {
    /// All of it, unquoted.
    pub text: String,
    /// The begin of it that the shell keeps; the rest is replaced. In bytes of `text`.
    pub kept: usize,
    pub open: Open,
}

/// Returns the words before the one that is being typed, unquoted, and that one. `None`: a word has
/// a value that only the shell knows.
pub fn of_bash(pieces: &[String]) -> Option<(Vec<String>, Typed)> {
    let mut words: Vec<Typed> = Vec::new();
    let mut is_glued = false;
    for piece in pieces {
        let is_cut = !piece.is_empty() && piece.chars().all(|c| CUTS.contains(&c));
        let (text, open) = if is_cut { (piece.clone(), Open::None) } else { unquoted(piece)? };
        match words.last_mut() {
            Some(word) if is_cut || is_glued => {
                word.kept = word.text.len();
                word.text += &text;
                word.open = open;
                if is_cut {
                    word.kept = word.text.len();
                }
            }
            _ => words.push(Typed { text, kept: 0, open }),
        }
        is_glued = is_cut;
    }
    let typed = words.pop()?;
    Some((words.into_iter().map(|word| word.text).collect(), typed))
}

/// Returns what a raw word means, and the quote that it leaves open.
fn unquoted(raw: &str) -> Option<(String, Open)> {
    let (mut text, mut open) = (String::new(), Open::None);
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        match (open, c) {
            (Open::Single, '\'') | (Open::Double, '"') => open = Open::None,
            (Open::Single, c) => text.push(c),
            (_, '$' | '`') => return None,
            (Open::None, '\'') => open = Open::Single,
            (Open::None, '"') => open = Open::Double,
            (Open::None, '\\') => text.extend(rest.next()),
            (Open::Double, '\\') => match rest.next() {
                Some(c @ ('$' | '`' | '"' | '\\')) => text.push(c),
                other => text.extend(std::iter::once('\\').chain(other)),
            },
            (_, c) => text.push(c),
        }
    }
    Some((text, open))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash(pieces: &[&str]) -> Option<(Vec<String>, Typed)> {
        of_bash(&pieces.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn typed(text: &str, kept: usize, open: Open) -> Typed {
        Typed { text: text.to_owned(), kept, open }
    }

    #[test]
    fn words_are_unquoted_and_the_last_one_is_being_typed() {
        let (words, last) = bash(&["tenure", "ls", "--label", "my\\ la"]).unwrap();
        assert_eq!((words, last), (vec!["tenure".into(), "ls".into(), "--label".into()], typed("my la", 0, Open::None)));
        assert_eq!(bash(&["t", "'my la"]).unwrap().1, typed("my la", 0, Open::Single));
        assert_eq!(bash(&["t", "\"my \\\"la\\x"]).unwrap().1, typed("my \"la\\x", 0, Open::Double));
        assert_eq!(bash(&["t", "'a'\"b\"c"]).unwrap().1, typed("abc", 0, Open::None));
        assert_eq!(bash(&["t", ""]).unwrap().1, typed("", 0, Open::None));
    }

    #[test]
    fn a_word_that_was_cut_is_one_again() {
        let (words, last) = bash(&["t", "--queue", "=", "ab"]).unwrap();
        assert_eq!((words, last), (vec!["t".into()], typed("--queue=ab", 8, Open::None)));
        assert_eq!(bash(&["t", "--queue", "="]).unwrap().1, typed("--queue=", 8, Open::None));
        assert_eq!(bash(&["t", "a", ":", "b", "@", "c"]).unwrap().1, typed("a:b@c", 4, Open::None));
        assert_eq!(bash(&["t", "-e", "A", "=", "x", "n"]).unwrap().0, ["t", "-e", "A=x"]);
    }

    #[test]
    fn a_variable_of_the_shell_is_not_guessed() {
        for raw in ["$x", "\"$x\"", "`id`", "a$(id)"] {
            assert_eq!(bash(&["t", raw]), None, "{raw}");
        }
        assert_eq!(bash(&["t", "'$x`'"]).unwrap().1.text, "$x`");
        assert_eq!(bash(&[]), None);
    }
}
