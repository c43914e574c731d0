//! Rewords messages of libraries about wrong input, so that they name the value and the remedy.
//!
//! Pure. The original messages are for programmers: they name Rust's types, and grammar that the
//! user did not type.

use std::borrow::Cow;

/// Describes an error in a line of JSON, without serde's position, which is that within one line.
pub fn json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    format!("{} (column {})", syntax(message), error.column())
}

/// Describes text that is not JSON.
fn syntax(message: &str) -> Cow<'_, str> {
    let words = match message {
        "EOF while parsing an object" => "it ends before its object does; write the } that is missing",
        "EOF while parsing a list" => "it ends before its list does; write the ] that is missing",
        "EOF while parsing a string" => "it ends within a string; write the \" that is missing",
        "EOF while parsing a value" => "it ends where a value should stand; write one",
        "trailing comma" => "a comma is before the end of a list or an object; remove it",
        "trailing characters" => "text follows the object; write one object a line",
        "key must be a string" => "a key is in double quotes, as in {\"command\": [\"true\"]}",
        "expected `,` or `}`" => "a , or a } is missing before this",
        "expected `,` or `]`" => "a , or a ] is missing before this",
        "expected `:`" => "a : is missing before this",
        "expected value" => "there is no value here; strings are in double quotes",
        "expected ident" => "this word is not known; write true, false, null or a string in double quotes",
        "number out of range" => "the number is too large; write a smaller one",
        "invalid number" => "this is not a number; write digits, or a string in double quotes",
        "invalid escape" => "a string has an escape that JSON does not know; write \\\\ for a backslash",
        "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
            "an escape \\u is not whole; write the character itself"
        }
        "recursion limit exceeded" => "it is nested too deeply; write a flat object",
        other if other.starts_with("control character") => "a string contains a control character; write \\n or \\t for it",
        other => return other.into(),
    };
    words.into()
}

/// Rewords the library's text for numbers in a message about a wrong argument.
pub fn arguments(message: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("number too large to fit in target type", "this number is too large; write a smaller one"),
        ("number too small to fit in target type", "this number is too small; write a larger one"),
        ("invalid digit found in string", "this is not a whole number; write digits, such as 4"),
        ("cannot parse integer from empty string", "a number is missing; write digits, such as 4"),
    ];
    let known = WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    known.lines().map(range).map(|line| line + "\n").collect()
}

/// `99 is not in -20..=19`.
fn range(line: &str) -> String {
    let Some((before, range)) = line.split_once(" is not in ") else { return line.to_owned() };
    let ends = range.split_once("..").and_then(|(first, last)| {
        let last = match last.strip_prefix('=') {
            Some(last) => last.parse::<i128>().ok()?,
            None => last.parse::<i128>().ok()?.checked_sub(1)?,
        };
        Some((first.parse::<i128>().ok()?, last))
    });
    match ends {
        Some((first, last)) if last >= i128::from(i64::MAX) => format!("{before} is too small; write {first} or more"),
        Some((first, last)) => format!("{before} is out of range; write a number from {first} to {last}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_by_their_ends() {
        let cases = [
            ("x: 99 is not in -20..=19", "x: 99 is out of range; write a number from -20 to 19"),
            ("x: 5 is not in 0..3", "x: 5 is out of range; write a number from 0 to 2"),
            ("x: 0 is not in 1..=9223372036854775807", "x: 0 is too small; write 1 or more"),
            ("this is not in order", "this is not in order"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(arguments(theirs), format!("{ours}\n"));
        }
    }
}
