//! The values of options: each a pure function from text to a value, with an error that shows an
//! example.
//!
//! The command line and the lines of `add --from` use the same functions.

use std::ffi::OsString;

use crate::job::policy::{RetryOn, Warn};
use crate::job::reason::Reason;
use crate::job::{Argv, check, limits, names};
use crate::units;

/// Names of signals on Linux, by number.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// `TERM`, `SIGUSR1`, `10`.
///
/// # Errors
/// With an example.
pub fn parse_signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    match text.parse::<i32>() {
        Ok(number) if (1..=64).contains(&number) => Ok(number),
        _ => Err(format!("there is no signal {:?}; write a name such as USR1 or a number from 1 to 64", shorten(text))),
    }
}

/// Returns `TERM` for 15; the number itself if it has no name.
pub fn signal_name(number: i32) -> String {
    SIGNALS.iter().find(|(_, known)| *known == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// `USR1@60s`: a signal some time before the timeout.
///
/// # Errors
/// With an example.
pub fn parse_warn(text: &str) -> Result<Warn, String> {
    let Some((signal, before)) = text.split_once('@') else {
        return Err(format!("{:?} lacks how long before the timeout; write it as USR1@60s", shorten(text)));
    };
    Ok(Warn { signal: parse_signal(signal)?, before_ms: units::parse_duration(before)? })
}

/// `10s..1h`: the first wait and the longest; `10s` alone: the first.
///
/// # Errors
/// With an example.
pub fn parse_backoff(text: &str) -> Result<(u64, u64), String> {
    let (first, most) = match text.split_once("..") {
        Some((first, most)) => (units::parse_duration(first)?, units::parse_duration(most)?),
        None => {
            let first = units::parse_duration(text)?;
            (first, first.max(limits::BACKOFF_MOST_MS_DEFAULT))
        }
    };
    if first > most {
        return Err("the first wait is longer than the longest; write it as 10s..1h".into());
    }
    Ok((first, most))
}

/// Parses `1,2,timeout`: exit codes and reasons.
///
/// # Errors
/// Lists the known words.
pub fn parse_retry_on(text: &str) -> Result<Vec<RetryOn>, String> {
    text.split(',').map(|item| retry_on(item.trim())).collect()
}

/// Parses one exit code or reason.
///
/// # Errors
/// Lists the known words.
pub fn retry_on(item: &str) -> Result<RetryOn, String> {
    if let Some(reason) = Reason::parse(item) {
        return Ok(RetryOn::Reason(reason));
    }
    match item.parse::<i32>() {
        Ok(0) => Err("0 is success, which is never tried again; write codes from 1 to 255".into()),
        Ok(code) if (1..=255).contains(&code) => Ok(RetryOn::Code(code)),
        _ => {
            let words = Reason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
            Err(format!("{:?} is not an exit code (1 to 255) or an end reason ({words}); write it as 1,2,timeout", shorten(item)))
        }
    }
}

/// Parses `NAME=value` for a job's environment.
///
/// # Errors
/// What is wrong with it: no `=`, not UTF-8, a name that tenure sets itself.
pub fn parse_env(raw: OsString) -> Result<(String, String), String> {
    let text = raw.into_string().map_err(|raw| {
        let name = raw.to_string_lossy().split('=').next().map(shorten).unwrap_or_default();
        format!("the value of {name:?} is not UTF-8; put it in a file and give the job the file's name")
    })?;
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "{:?} lacks a value; write NAME=value, or --pass-env NAME for the value it has here",
            shorten(&text)
        ));
    };
    check_env(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Checks whether a variable can be given to a job.
///
/// # Errors
/// Why not.
pub fn check_env(name: &str, value: &str) -> Result<(), String> {
    check::variable(name, value.as_bytes())
}

/// Parses the name of an environment variable.
///
/// # Errors
/// Why it is invalid.
pub fn parse_env_name(name: &str) -> Result<String, String> {
    check::variable_name(name).map(|()| name.to_owned())
}

/// Parses the name of a variable whose value is taken from this process.
///
/// # Errors
/// Why it is invalid; a value after it is not repeated, as it may be a secret.
pub fn parse_passed_name(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if parse_env_name(name).is_ok() => Err(format!(
            "write the name alone, {name}: its value is taken from the environment here (export {name}=...); -e {name}=... gives an open value"
        )),
        _ => parse_env_name(text),
    }
}

/// Parses the bytes of `--memory`.
///
/// # Errors
/// With an example. A value so small that nothing starts is refused, as a unit was most likely
/// forgotten.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    check_memory(units::parse_size(text)?, text)
}

/// Checks whether a program can start with so much memory; `text` is what was typed.
///
/// # Errors
/// It cannot.
pub fn check_memory(bytes: u64, text: &str) -> Result<u64, String> {
    let text = text.trim();
    if check::memory(bytes).is_ok() {
        return Ok(bytes);
    }
    let is_bare = bytes > 0 && text.bytes().all(|b| b.is_ascii_digit());
    let meant =
        if is_bare { format!("write the unit, such as {text}G or {text}M") } else { "give 1M or more, or omit it".into() };
    Err(format!("memory: {:?} is {}, in which no program starts; {meant}", shorten(text), units::size_text(bytes)))
}

/// The name of a queue or a resource, or the key of a lane.
///
/// # Errors
/// As [`names::name`].
pub fn parse_name(text: &str) -> Result<String, String> {
    names::name(text).map(|()| text.to_owned())
}

/// A label or a unique key.
///
/// # Errors
/// As [`names::label`].
pub fn parse_label(text: &str) -> Result<String, String> {
    names::label(text).map(|()| text.to_owned())
}

/// The key of a workspace.
pub fn parse_workspace(text: &str) -> Result<String, String> {
    crate::job::workspace::check_key(text).map(|()| text.to_owned())
}

/// A line for `/bin/sh -c`.
///
/// # Errors
/// When it is empty, or could never be executed.
pub fn parse_shell(line: &str) -> Result<Argv, String> {
    Argv::shell(line).map_err(|e| e.to_string())
}

/// The indexes of an array of jobs, and how many of it may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    pub first: i64,
    pub last: i64,
    pub limit: Option<i64>,
}

/// `0-99`, or `0-99%8` for at most 8 at once.
///
/// # Errors
/// With an example.
pub fn parse_array(text: &str) -> Result<Array, String> {
    let wrong = || format!("{:?} is not a range of indexes; write it as 0-99, or 0-99%8 for at most 8 at once", shorten(text));
    let number = |digits: &str| {
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten();
        number.ok_or_else(wrong)
    };
    let (range, limit) = text.split_once('%').map_or((text, None), |(range, limit)| (range, Some(limit)));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last, limit) = (number(first)?, number(last)?, limit.map(number).transpose()?);
    if first > last {
        return Err(format!("{first}-{last} goes backwards; write {last}-{first}"));
    }
    if last - first >= limits::ARRAY_LEN_MAX as i64 {
        return Err(format!("an array has {} jobs at most", limits::ARRAY_LEN_MAX));
    }
    if limit.is_some_and(|limit| !(1..=limits::LANE_LIMIT_MAX).contains(&limit)) {
        return Err(format!("after % comes how many run at once, 1 to {}", limits::LANE_LIMIT_MAX));
    }
    Ok(Array { first, last, limit })
}

/// Returns the beginning of what was typed, for a message.
pub fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for text in ["USR1", "SIGUSR1", "usr1", "sigusr1", "10"] {
            assert_eq!(parse_signal(text), Ok(10), "{text}");
        }
        for text in ["", "SIG", "NOPE", "0", "65", "-1", "USR1 "] {
            assert!(parse_signal(text).is_err(), "{text:?}");
        }
        assert_eq!(signal_name(9), "KILL");
        assert_eq!(signal_name(40), "40");
        assert_eq!(parse_warn("USR1@60s"), Ok(Warn { signal: 10, before_ms: 60_000 }));
        for text in ["USR1", "@", "USR1@", "@60s", "USR1@60"] {
            assert!(parse_warn(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn backoff_has_a_first_wait_and_a_longest() {
        assert_eq!(parse_backoff("10s..1h"), Ok((10_000, 3_600_000)));
        assert_eq!(parse_backoff("0s..0s"), Ok((0, 0)));
        assert_eq!(parse_backoff("5s"), Ok((5_000, 3_600_000)));
        assert_eq!(parse_backoff("2h"), Ok((7_200_000, 7_200_000)));
        for text in ["", "..", "1h..10s", "10s..", "..1h", "10..20", "1s..2s..3s"] {
            assert!(parse_backoff(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn retry_on_takes_codes_and_reasons() {
        let expected = vec![RetryOn::Code(1), RetryOn::Code(2), RetryOn::Reason(Reason::Timeout)];
        assert_eq!(parse_retry_on("1,2, timeout"), Ok(expected));
        for text in ["", "0", "256", "-1", "1,,2", "several", "1;2"] {
            assert!(parse_retry_on(text).is_err(), "{text:?}");
        }
        assert!(parse_retry_on("x").unwrap_err().contains("timeout"));
    }

    #[test]
    fn variables_have_a_name_and_a_value_in_utf8() {
        let env = |text: &str| parse_env(OsString::from(text));
        assert_eq!(env("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(env("A="), Ok(("A".into(), String::new())));
        assert!(env("A").unwrap_err().contains("--pass-env"));
        for text in ["", "=x", "TENURE_COOKIE=x"] {
            assert!(env(text).is_err(), "{text:?}");
        }
        let error = parse_env(OsString::from_vec(b"A=\xff\xfe".to_vec())).unwrap_err();
        assert!(error.contains("\"A\"") && error.contains("UTF-8"), "{error}");
        assert!(env(&format!("A={}", "x".repeat(limits::ARGUMENT_BYTES_MAX))).is_err());
        assert!(check_env("A", "b\0c").is_err());
    }

    #[test]
    fn names_and_labels_have_a_length() {
        assert_eq!(parse_name("gpu 1"), Ok("gpu 1".into()));
        assert!(parse_name("").is_err() && parse_name("a\0b").is_err());
        assert!(parse_name(&"ü".repeat(limits::NAME_CHARS_MAX)).is_ok());
        assert!(parse_name(&"ü".repeat(limits::NAME_CHARS_MAX + 1)).is_err());
        assert!(parse_label("").is_err() && parse_label(&"x".repeat(1_000_000)).unwrap_err().len() < 150);
    }

    #[test]
    fn an_array_is_a_range_of_indexes() {
        assert_eq!(parse_array("0-99"), Ok(Array { first: 0, last: 99, limit: None }));
        assert_eq!(parse_array("7"), Ok(Array { first: 7, last: 7, limit: None }));
        assert_eq!(parse_array("0-99%8"), Ok(Array { first: 0, last: 99, limit: Some(8) }));
        for text in [
            "",
            "-",
            "5-",
            "-5",
            "9-3",
            "0-100000",
            "a-b",
            "0-9223372036854775807",
            "0-99999999999999999999",
            "%",
            "0-9%",
            "%8",
            "0-9%0",
            "0-9%-1",
            "0-9%8%8",
            "0-9%1000001",
            "0-9%99999999999999999999",
        ] {
            assert!(parse_array(text).is_err(), "{text:?}");
        }
    }
}
