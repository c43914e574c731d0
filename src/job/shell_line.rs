//! Whether a command was meant for a shell. No shell interprets an argv, so shell syntax fails, and
//! the person must learn of `-c`.
//!
//! Pure, and only a guess: used only when the program was not found.

/// Builtin words of a shell. If a program of that name exists, it was found, and this list is not
/// used.
const BUILTINS: &[&str] = &[
    ".", ":", "alias", "bg", "break", "cd", "command", "continue", "declare", "dirs", "disown", "eval", "exec", "exit", "export",
    "fg", "for", "function", "getopts", "hash", "if", "jobs", "let", "local", "popd", "pushd", "read", "readonly", "return",
    "set", "shift", "shopt", "source", "time", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait",
    "while", "{", "!", "[[", "((",
];
/// Longest line that is repeated, in bytes.
const SHOWN_BYTES_MAX: usize = 120;

/// A command that looks as if it was meant for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// Why there is no program of this name.
    pub why: String,
    /// The line for the shell; `None` if it is too long to be shown.
    pub line: Option<String>,
    /// `NAME=value` in place of the program: the variables, and the number of their arguments.
    pub assignments: usize,
}

/// Returns how the command looks, if it looks as if it was meant for a shell.
pub fn meant(argv: &[Vec<u8>]) -> Option<Meant> {
    let texts: Vec<&str> = argv.iter().map(|argument| std::str::from_utf8(argument).ok()).collect::<Option<_>>()?;
    let first = *texts.first()?;
    let is_alone = texts.len() == 1;
    let assignments = texts.iter().take_while(|text| is_assignment(text)).count();
    let why = if first.starts_with('~') {
        "only a shell puts the home directory in the place of ~".to_owned()
    } else if is_alone && first.contains(is_special) {
        "it is one argument, and no shell splits it".to_owned()
    } else if assignments > 0 {
        format!("{first:?} sets a variable for a shell only")
    } else if BUILTINS.contains(&first) {
        format!("{first} is a word of the shell, not a program")
    } else if first.contains(is_special) {
        format!("only a shell understands {first:?}")
    } else {
        return None;
    };
    let line = if is_alone { first.to_owned() } else { joined(&texts) };
    let line = Some(line).filter(|line| line.len() <= SHOWN_BYTES_MAX);
    let assignments = if is_alone { 0 } else { assignments };
    Some(Meant { why, line, assignments })
}

/// Returns the hint for a person: the reason, and the remedy.
pub fn hint(argv: &[Vec<u8>]) -> Option<String> {
    let Meant { why, line, assignments } = meant(argv)?;
    let variable = if assignments > 0 { "a variable with -e NAME=value, or " } else { "" };
    let line = line.as_deref().map_or_else(|| "LINE".to_owned(), word);
    Some(format!("{why}; give {variable}a line for the shell with -c {line}"))
}

/// The same, for a command in JSON or TOML.
pub fn hint_for_key(argv: &[Vec<u8>], quoted: impl Fn(&str) -> String) -> Option<String> {
    let Meant { why, line, assignments } = meant(argv)?;
    let variable = if assignments > 0 { "a variable with the key env, or " } else { "" };
    let line = line.map_or_else(|| "LINE".to_owned(), |line| quoted(&line));
    Some(format!("{why}; give {variable}a line for the shell with the key shell, as {line}"))
}

/// Quotes one word of a line for a person to type, if needed.
pub fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./=:,@%+".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn is_special(c: char) -> bool {
    c.is_ascii_whitespace() || "|&;<>()$`*?[]{}\"'\\#!~".contains(c)
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
    })
}

/// Joins the arguments into one line with the intended meaning for a shell.
fn joined(texts: &[&str]) -> String {
    let one = |(n, text): (usize, &&str)| if n == 0 { (*text).to_owned() } else { word(text) };
    texts.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(argv: &[&str]) -> Option<String> {
        hint(&argv.iter().map(|argument| argument.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn shell_syntax_points_to_the_shell() {
        let lines = [
            "a | b",
            "a && b",
            "a || b",
            "cd x; y",
            "FOO=1 cmd",
            "ls *.txt",
            "~/x",
            "~user/x",
            "$HOME/x",
            "a > b",
            "a 2>&1",
            "a &",
            "(a)",
            "`a`",
            "echo hi",
            "echo 'a b'",
            "if a; then b; fi",
            "./x y",
        ];
        for line in lines {
            let hint = hint_of(&[line]).unwrap_or_else(|| panic!("{line:?}"));
            assert!(hint.ends_with(&format!("-c {}", word(line))), "{hint}");
        }
        let several: &[(&[&str], &str)] = &[
            (&["cd", "x"], "-c 'cd x'"),
            (&["FOO=1", "make", "a b"], r"-c 'FOO=1 make '\''a b'\'''"),
            (&["~/x", "y"], "-c '~/x y'"),
            (&["$HOME/x", "y"], "-c '$HOME/x y'"),
            (&["export", "A=1"], "-c 'export A=1'"),
            (&["./*.sh", "y"], "-c './*.sh y'"),
        ];
        for (argv, end) in several {
            assert!(hint_of(argv).unwrap_or_default().ends_with(end), "{argv:?}: {:?}", hint_of(argv));
        }
        assert!(hint_of(&["FOO=1", "make"]).unwrap().contains("-e NAME=value"));
    }

    #[test]
    fn a_name_that_could_be_a_program_is_taken_for_one() {
        for argv in
            [&["nope"][..], &["./build.sh"], &["nope", "a | b"], &["/bin/nope", "*"], &["g++", "x"], &["a=b/c.sh", "x"][..0]]
        {
            assert_eq!(hint_of(argv), None, "{argv:?}");
        }
        assert_eq!(hint(&[b"\xff |".to_vec()]), None);
        let long = "x ".repeat(1000);
        assert!(hint_of(&[&long]).unwrap().ends_with("-c LINE"));
    }
}
