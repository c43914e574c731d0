//! The rules for names and other texts that a person or a program gives, once for every way in. An
//! error says what is wrong with the text; its caller says which text it is.

use super::limits::{LABEL_CHARS_MAX, NAME_CHARS_MAX};

/// Most characters of a wrong text that are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// Checks the name of a queue, the key of a lane or of a workspace, the name of a resource or a
/// lease.
///
/// # Errors
/// It is empty, too long, or has a NUL byte.
pub fn name(name: &str) -> Result<(), String> {
    match name {
        "" => Err(format!("it is empty; give 1 to {NAME_CHARS_MAX} characters")),
        name => at_most(name, NAME_CHARS_MAX),
    }
}

/// Checks the name of a pipeline, a stage or a schedule: it is used in commands, tables, labels and
/// URLs as it is.
///
/// # Errors
/// Names the allowed characters.
pub fn plain(text: &str) -> Result<(), String> {
    name(text)?;
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    match is_plain && !text.starts_with('-') {
        true => Ok(()),
        false => Err(format!("{:?} must have only letters, digits, _, . and -, and not begin with -", shorten(text))),
    }
}

/// Checks a label, a unique key, the key of a task, or another text.
///
/// # Errors
/// It is empty, too long, or has a NUL byte.
pub fn label(text: &str) -> Result<(), String> {
    match text {
        "" => Err("it is empty; omit it instead".into()),
        text => label_or_empty(text),
    }
}

/// Like [`label`], for a label that tenure itself gives to a job.
///
/// # Errors
/// It is too long, or has a NUL byte.
pub fn label_or_empty(text: &str) -> Result<(), String> {
    at_most(text, LABEL_CHARS_MAX)
}

fn at_most(text: &str, most: usize) -> Result<(), String> {
    match text.chars().count() {
        n if n > most => Err(format!("{:?} has {n} characters; the limit is {most}", shorten(text))),
        _ => no_nul(text),
    }
}

/// Checks that a program or the file can be given a text.
///
/// # Errors
/// It has a NUL byte.
pub(super) fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("it contains a NUL byte; remove it".into()) } else { Ok(()) }
}

/// Returns a wrong text for an error, shortened if it is long.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
