//! The query of a request, and the names in its path. Pure.
//!
//! A key that is not known, or that is given twice, is refused: a misspelt filter that is ignored
//! would list what was not meant.

use crate::job::{JobId, RunId, nearest};
use crate::units::shorten;
use crate::web::limits::{ROWS_DEFAULT, ROWS_MAX};
use crate::web::problem::Problem;

/// Most keys of a query.
const KEYS_MAX: usize = 32;

/// The keys and values of a query, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what follows the `?`. `known`: the keys of this route; those that end with `*` may be
    /// given several times.
    ///
    /// # Errors
    /// A key is not known or given twice, or the text is not percent-encoded UTF-8.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (decode(key, true)?, decode(value, true)?);
            let names = || known.iter().map(|name| name.trim_end_matches('*'));
            if !names().any(|name| name == key) {
                let near = nearest::question(&key, names());
                return Err(Problem::usage(format!("the key {:?} is not known here{near}", shorten(&key))));
            }
            let may_repeat = known.iter().any(|name| name.strip_suffix('*') == Some(&key));
            if !may_repeat && all.iter().any(|(other, _)| *other == key) {
                return Err(Problem::usage(format!("the key {key:?} is given twice; omit one of them")));
            }
            if all.len() >= KEYS_MAX {
                return Err(Problem::usage(format!("a query has at most {KEYS_MAX} keys")));
            }
            all.push((key, value));
        }
        Ok(Self(all))
    }

    /// A query that this server makes itself.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns all keys and values, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the values of a key that may be given several times, or as a list with commas.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).flat_map(|(_, value)| value.split(','))
    }

    /// Returns the value of a key, parsed.
    ///
    /// # Errors
    /// As `parse`, with the key.
    pub fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        self.get(key).map(|text| parse(text).map_err(|why| Problem::usage(format!("{key}: {why}")))).transpose()
    }

    /// Returns a number from 0 to `most`.
    ///
    /// # Errors
    /// It is not such a number.
    pub fn number(&self, key: &str, most: u64) -> Result<Option<u64>, Problem> {
        self.parsed(key, |text| match digits(text).filter(|n| *n <= most) {
            Some(n) => Ok(n),
            None => Err(format!("{:?} is not a number from 0 to {most}", shorten(text))),
        })
    }

    /// Returns how many rows a page has.
    ///
    /// # Errors
    /// `limit` is not a number from 1 to [`ROWS_MAX`].
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.parsed("limit", |text| match digits(text).and_then(|n| usize::try_from(n).ok()) {
            Some(n) if (1..=ROWS_MAX).contains(&n) => Ok(n),
            _ => Err(format!("{:?} is not a number from 1 to {ROWS_MAX}", shorten(text))),
        })?;
        Ok(limit.unwrap_or(ROWS_DEFAULT))
    }

    /// Returns a flag: `1` or `true`, `0` or `false`.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag(&self, key: &str) -> Result<bool, Problem> {
        let flag = self.parsed(key, |text| match text {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            other => Err(format!("{:?} is not true or false", shorten(other))),
        })?;
        Ok(flag.unwrap_or(false))
    }
}

/// Returns a number that is written with digits alone.
fn digits(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Returns the number of a job in a path.
///
/// # Errors
/// No job can have it.
pub fn job_id(text: &str) -> Result<JobId, Problem> {
    Ok(JobId(row_id(text, "job")?))
}

/// Returns the number of a run in a query.
///
/// # Errors
/// No run can have it.
pub fn run_id(text: &str) -> Result<RunId, Problem> {
    Ok(RunId(row_id(text, "run")?))
}

/// Returns the number of a row.
///
/// # Errors
/// No row can have it.
pub fn row_id(text: &str, what: &str) -> Result<i64, Problem> {
    let id = digits(text).and_then(|n| i64::try_from(n).ok()).filter(|n| *n > 0);
    id.ok_or_else(|| Problem::usage(format!("{:?} is not the number of a {what}", shorten(text))))
}

/// Decodes a part of a path or of a query; in a query `+` is a space.
///
/// # Errors
/// A `%` without two hexadecimal digits, or what is not UTF-8.
pub fn decode(text: &str, is_query: bool) -> Result<String, Problem> {
    let wrong = || Problem::usage(format!("{:?} is not percent-encoded UTF-8", shorten(text)));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if is_query => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
                u8::try_from(high << 4 | low).map_err(|_| wrong())?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_known_keys_once() {
        let query = Query::parse("queue=a%20b&state=done,failed&state=running&limit=5", &["queue", "state*", "limit"]).unwrap();
        assert_eq!(query.get("queue"), Some("a b"));
        assert_eq!(query.all("state").collect::<Vec<_>>(), ["done", "failed", "running"]);
        assert_eq!(query.limit().unwrap(), 5);
        for (text, told) in
            [("quue=a", "did you mean"), ("queue=a&queue=b", "given twice"), ("queue=%f", "percent"), ("%ff=1", "percent")]
        {
            let problem = Query::parse(text, &["queue"]).unwrap_err();
            assert!(problem.status == 400 && problem.text.contains(told), "{text}: {problem:?}");
        }
        assert!(Query::parse(&"q=1&".repeat(99), &["q*"]).is_err());
    }

    #[test]
    fn a_number_is_digits_within_its_range() {
        for text in ["", "-1", "+1", "1.0", " 1", "0x1", "9223372036854775808", &"9".repeat(100_000)] {
            assert!(job_id(text).is_err_and(|problem| problem.text.len() < 300), "{text:.20}");
        }
        assert_eq!(job_id("7").unwrap(), JobId(7));
        let query = |text: &str| Query::parse(text, &["limit"]).unwrap();
        assert!(query("limit=0").limit().is_err() && query("limit=1001").limit().is_err() && query("limit=x").limit().is_err());
    }

    #[test]
    fn percent_encoding_is_decoded_once() {
        assert_eq!(decode("a%2Fb%2520+c", false).unwrap(), "a/b%20+c");
        assert_eq!(decode("%C3%BC+", true).unwrap(), "ü ");
        for wrong in ["%", "%2", "%zz", "%C3", "%00%ff"] {
            assert!(decode(wrong, false).is_err(), "{wrong}");
        }
    }
}
