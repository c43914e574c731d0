//! How far a reader has read the changes of all jobs.

use std::fmt;
use std::str::FromStr;

/// A position among the changes of all jobs: the last event and the last added job that were read.
/// Both numbers only grow in the order of the commits. As text, `EVENT-JOB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    pub event: i64,
    pub job: i64,
}

impl Position {
    /// Before the first change.
    pub const START: Self = Self { event: 0, job: 0 };

    /// Whether this is not after the other in one of both numbers.
    pub fn is_within(self, newest: Self) -> bool {
        self.event <= newest.event && self.job <= newest.job
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.event, self.job)
    }
}

/// `0` is the start.
impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse::<i64>().ok()).flatten()
        };
        let parsed = match text.split_once('-') {
            Some((event, job)) => number(event).zip(number(job)).map(|(event, job)| Self { event, job }),
            None => (text == "0").then_some(Self::START),
        };
        parsed
            .ok_or_else(|| format!("{text:?} is not the id of a change; use one that tenure events printed, such as 12-7, or 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for position in [Position::START, Position { event: 12, job: 7 }, Position { event: i64::MAX, job: 1 << 52 }] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert_eq!("0".parse(), Ok(Position::START));
        for wrong in [
            "",
            "-",
            "7",
            "1-",
            "-1",
            "1-2-3",
            "+1-2",
            "1-+2",
            " 1-2",
            "1.5-2",
            "a-b",
            "9223372036854775808-0",
            "0-9999999999999999999",
        ] {
            let why = wrong.parse::<Position>().unwrap_err();
            assert!(why.contains("is not the id of a change"), "{why}");
        }
    }

    #[test]
    fn a_position_of_another_file_is_recognized() {
        let newest = Position { event: 9, job: 4 };
        assert!(newest.is_within(newest) && Position::START.is_within(newest));
        assert!(!Position { event: 10, job: 1 }.is_within(newest));
        assert!(!Position { event: 1, job: 5 }.is_within(newest));
    }
}
