//! Selectors of jobs: `7`, `3-9`, `1,4,8`, `last`, `12[3]`, `@label`.
//!
//! Pure. A range stays a range until the file has been read. A label may contain a comma, so it
//! extends to the end of its argument.

use std::str::FromStr;

use crate::job::JobId;
use crate::parse::values;

/// Most parts of one selector.
const PARTS_MAX: usize = 10_000;
/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 200_000;

/// One part of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    One(JobId),
    /// From the first to the last, inclusive; jobs that do not exist are skipped.
    Range(JobId, JobId),
    /// The job that was last added by hand.
    Last,
    /// Of the array that this job belongs to, the job with this index.
    Element(JobId, i64),
    /// The jobs with this label.
    Label(String),
}

/// The value of an ID argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(pub Vec<Part>);

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("this has {} bytes; the limit is {TEXT_BYTES_MAX}; use a range such as 3-9", text.len()));
        }
        let (numbers, label) = split_label(text);
        let mut parts = match numbers {
            Some(numbers) => numbers.split(',').map(|part| part_of(part.trim())).collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        if let Some(label) = label {
            parts.push(Part::Label(values::parse_label(label)?));
        }
        if parts.len() > PARTS_MAX {
            return Err(format!("this names {} jobs; the limit is {PARTS_MAX}; use a range such as 3-9", parts.len()));
        }
        Ok(Self(parts))
    }
}

/// Separates the label at the end of a selector from what precedes its comma.
fn split_label(text: &str) -> (Option<&str>, Option<&str>) {
    let begins_a_part = |at: usize| text[..at].trim_end().is_empty() || text[..at].trim_end().ends_with(',');
    match text.match_indices('@').map(|(at, _)| at).find(|at| begins_a_part(*at)) {
        Some(at) => (text[..at].trim_end().strip_suffix(','), Some(&text[at + 1..])),
        None => (Some(text), None),
    }
}

fn part_of(text: &str) -> Result<Part, String> {
    if text == "last" {
        return Ok(Part::Last);
    }
    if let Some((base, index)) = text.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        let index: Option<i64> = index.bytes().all(|b| b.is_ascii_digit()).then(|| index.parse().ok()).flatten();
        let index = index.ok_or_else(|| format!("{:?} has no index of an array; write 12[3]", values::shorten(text)))?;
        return id(base, text).map(|base| Part::Element(base, index));
    }
    if let Some((first, last)) = text.split_once('-')
        && !first.is_empty()
    {
        let (first, last) = (id(first.trim_end(), text)?, id(last.trim_start(), text)?);
        return if first <= last {
            Ok(Part::Range(first, last))
        } else {
            Err(format!("{text} goes backwards; write {last}-{first}"))
        };
    }
    id(text, text).map(Part::One)
}

fn id(digits: &str, whole: &str) -> Result<JobId, String> {
    let number: Option<i64> = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match number {
        Some(number) if number > 0 => Ok(JobId(number)),
        _ => {
            let shown: String = whole.chars().take(40).collect();
            Err(format!("{shown:?} is not a job; write 7, 3-9, 1,4,8, last, 12[3] or @label"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_by_number_range_list_and_last() {
        let parse = |text: &str| text.parse::<Selector>().unwrap().0;
        assert_eq!(parse("7"), [Part::One(JobId(7))]);
        assert_eq!(parse("3-9"), [Part::Range(JobId(3), JobId(9))]);
        assert_eq!(parse("1,4, 8"), [Part::One(JobId(1)), Part::One(JobId(4)), Part::One(JobId(8))]);
        assert_eq!(parse("last"), [Part::Last]);
        assert_eq!(parse("1-3,last"), [Part::Range(JobId(1), JobId(3)), Part::Last]);
        assert_eq!(parse("12[3]"), [Part::Element(JobId(12), 3)]);
        assert_eq!(parse("12[0], 7"), [Part::Element(JobId(12), 0), Part::One(JobId(7))]);
        let label = |text: &str| Part::Label(text.into());
        assert_eq!(parse("@nightly"), [label("nightly")]);
        assert_eq!(parse("7, @a,@b 3-9[x] "), [Part::One(JobId(7)), label("a,@b 3-9[x] ")], "to the end");
        assert_eq!(parse("1-9223372036854775807"), [Part::Range(JobId(1), JobId(i64::MAX))]);
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in [
            "",
            ",",
            "1,",
            "0",
            "-1",
            "9-3",
            "1-",
            "1-2-3",
            "+1",
            "٣",
            "1e3",
            "first",
            "\x1b[2J",
            "9223372036854775808",
            "1\0",
            "12[",
            "12]",
            "12[]",
            "12[-1]",
            "12[x]",
            "12[3]4",
            "[3]",
            "0[3]",
            "12[3][4]",
            "last[3]",
            "12[9223372036854775808]",
            "1-3[2]",
            "12[\x1b]",
            "@",
            "7@a",
            ",@a",
            "7,,@a",
        ] {
            let error = text.parse::<Selector>().unwrap_err();
            assert!(!error.contains('\x1b') && !error.contains('\0'), "{error:?}");
        }
        assert!("x".repeat(1 << 20).parse::<Selector>().unwrap_err().len() < 200);
        assert!("1,".repeat(20_000).parse::<Selector>().is_err());
    }
}
