//! Terminal safety: no text of a job or a name reaches a terminal as a command to it.
//!
//! There are two ways: [`line`] turns any text into one printable line (names, argv, errors, table
//! cells); [`quote`] writes an argv so that a shell would read it back. The job's own output is
//! filtered as a stream in `shown`.

use std::borrow::Cow;
use std::fmt::Write;

use crate::job::{Argv, shell_line};

/// Longest text of a job in a message or a table cell, in characters; a longer one is cut and says
/// so.
const LINE_CHARS_MAX: usize = 4_000;
/// Most lines of a message.
const LINES_MAX: usize = 30;

/// Whether a terminal would not just show this character: control characters, and characters that
/// hide or reorder text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}'           // marks without width
            | '\u{2028}'..='\u{202e}'                                   // line separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// Returns the text as one printable line: control characters as `\n`, `\x1b`, `\u{202e}`; a long
/// text is cut.
pub fn line(text: &str) -> Cow<'_, str> {
    let cut = text.char_indices().nth(LINE_CHARS_MAX).map(|(at, _)| at);
    if cut.is_none() && !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(LINE_CHARS_MAX * 2));
    text[..cut.unwrap_or(text.len())].chars().for_each(|c| push(&mut out, c));
    if cut.is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Like [`line`], without a limit.
pub fn whole(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// Like [`line`], but keeps the newlines of a message, up to [`LINES_MAX`] lines.
pub fn lines(text: &str) -> String {
    text.split('\n').take(LINES_MAX).map(line).collect::<Vec<_>>().join("\n")
}

/// Escapes JSON: characters that a terminal would obey and JSON does not escape (DEL, C1,
/// bidirectional controls) become `\u009b`. They occur in strings only, so a reader gets the same
/// value. A table has none left, and is returned unchanged.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_raw = |c: char| c >= '\x7f' && is_unsafe(c);
    if !text.contains(is_raw) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match is_raw(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}")),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_unsafe(c) && (c as u32) < 0x100 => _ = write!(out, "\\x{:02x}", c as u32),
        c if is_unsafe(c) => _ = write!(out, "\\u{{{:x}}}", c as u32),
        c => out.push(c),
    }
}

/// Returns an argv as a shell would read it back (bash, zsh), in printable characters only.
pub fn quote(argv: &Argv) -> String {
    line(&quote_whole(argv)).into_owned()
}

/// Like [`quote`], without a limit.
pub fn quote_whole(argv: &Argv) -> String {
    quote_arguments(argv.arguments().iter().map(Vec::as_slice))
}

/// Like [`quote_whole`], for the arguments of a command.
pub fn quote_arguments<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = String::new();
    for argument in arguments {
        if !out.is_empty() {
            out.push(' ');
        }
        quote_one(&mut out, argument);
    }
    whole(&out)
}

/// Quotes one argument of a command for a person to type.
pub fn quote_text(text: &str) -> String {
    let mut out = String::new();
    quote_one(&mut out, text.as_bytes());
    out
}

/// Returns a command about what has this name, for a person to type. A name that begins with a dash
/// would be taken for an option.
pub fn command_on(verb: &str, name: &str, options: &str) -> String {
    let (name, is_dashed) = (quote_text(name), name.starts_with('-'));
    let options = if options.is_empty() { String::new() } else { format!(" {options}") };
    if is_dashed { format!("{verb}{options} -- {name}") } else { format!("{verb} {name}{options}") }
}

fn quote_one(out: &mut String, argument: &[u8]) {
    match std::str::from_utf8(argument) {
        Ok(text) if !text.contains(is_unsafe) => out.push_str(&shell_line::word(text)),
        _ => quote_bytes(out, argument),
    }
}

/// Writes `$'...'`, for bytes with control characters or invalid UTF-8.
fn quote_bytes(out: &mut String, argument: &[u8]) {
    out.push_str("$'");
    for chunk in argument.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => _ = write!(out, "\\{c}"),
                c if is_unsafe(c) && !c.is_ascii() => _ = write!(out, "\\U{:08x}", c as u32),
                c => push(out, c),
            }
        }
        chunk.invalid().iter().for_each(|byte| _ = write!(out, "\\x{byte:02x}"));
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dash_is_not_taken_for_an_option() {
        assert_eq!(command_on("tenure queue resume", "mail", ""), "tenure queue resume mail");
        assert_eq!(command_on("tenure queue set", "a b", "--slots 2"), "tenure queue set 'a b' --slots 2");
        assert_eq!(command_on("tenure queue resume", "-q", ""), "tenure queue resume -- -q");
        assert_eq!(command_on("tenure queue set", "--", "--slots 2"), "tenure queue set --slots 2 -- --");
    }

    #[test]
    fn a_hostile_name_is_one_printable_line() {
        assert_eq!(line("nightly ü 🚀"), "nightly ü 🚀");
        assert_eq!(line("a\x1b[2Jb\n\t\r\x07\u{9b}31m\u{202e}x\0"), r"a\x1b[2Jb\n\t\r\x07\x9b31m\u{202e}x\x00");
        for c in (0..=0x10ffffu32).filter_map(char::from_u32) {
            let text = c.to_string();
            let safe = line(&text);
            assert!(!safe.chars().any(|c| c.is_control()), "{c:?} came through");
        }
        for bidi in ['\u{200f}', '\u{2066}', '\u{2069}', '\u{061c}', '\u{feff}', '\u{e0041}'] {
            assert!(line(&bidi.to_string()).starts_with("\\u{"), "{bidi:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        let long = "x".repeat(1 << 20);
        assert_eq!(line(&long).chars().count(), LINE_CHARS_MAX + 1);
        assert!(line(&long).ends_with('…'));
        assert_eq!(line(&"ü".repeat(LINE_CHARS_MAX)).chars().count(), LINE_CHARS_MAX);
    }

    #[test]
    fn json_says_the_same_without_what_commands_a_terminal() {
        let text = serde_json::to_string("a\x7f\u{9b}31m\u{202e}\u{e0041}ü🚀\x1b\n").unwrap();
        let safe = json(&text);
        assert!(!safe.contains(|c: char| is_unsafe(c)), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), serde_json::from_str::<String>(&text).unwrap());
        assert!(matches!(json("plain ü\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn newlines_of_a_message_stay() {
        assert_eq!(lines("a\x07\nb"), "a\\x07\nb");
    }

    #[test]
    fn an_argv_is_written_as_a_shell_would_read_it() {
        let argv = Argv::new(vec![b"sh".to_vec(), b"-c".to_vec(), b"exit 3".to_vec(), b"let's".to_vec(), b"".to_vec()]).unwrap();
        assert_eq!(quote(&argv), r"sh -c 'exit 3' 'let'\''s' ''");
        let hostile = Argv::new(vec![b"echo".to_vec(), vec![0xff, 0x1b, b'\''], "\u{202e}\n".into()]).unwrap();
        assert_eq!(quote(&hostile), r"echo $'\xff\x1b\'' $'\U0000202e\n'");
        assert_eq!(quote_text("~x"), "'~x'");
    }

    #[test]
    fn nothing_unsafe_comes_through_in_quotes() {
        for c in (0..=0x10ffffu32).filter_map(char::from_u32).filter(|c| is_unsafe(*c)) {
            for text in [c.to_string(), format!("a{c}'b"), format!("{c}\\")] {
                let argv = Argv::new(vec![b"echo".to_vec(), text.replace('\0', "").into_bytes()]).unwrap();
                for safe in [quote(&argv), quote_text(&text)] {
                    assert!(!safe.contains(is_unsafe), "{c:?} came through in {safe:?}");
                }
            }
        }
    }
}
