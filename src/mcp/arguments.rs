//! The arguments of a call. Pure.
//!
//! One that is not known is refused: a misspelt filter that is ignored would list what was not
//! meant.

use serde_json::{Map, Value};

use crate::job::{JobId, nearest};
use crate::mcp::answer::Failure;
use crate::units::shorten;

/// The arguments of a call, by name. `null` is as if it were absent.
#[derive(Debug, Default)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Reads the arguments of a tool that has these.
    ///
    /// # Errors
    /// One of them is not known.
    pub fn of(all: Map<String, Value>, known: &[&str]) -> Result<Self, Failure> {
        if let Some(other) = all.keys().find(|key| !known.contains(&key.as_str())) {
            let near = nearest::question(other, known.iter().copied());
            return Err(Failure::usage(format!("the argument {:?} is not known{near}", shorten(other))));
        }
        Ok(Self(all.into_iter().filter(|(_, value)| !value.is_null()).collect()))
    }

    /// Returns the number of the job.
    ///
    /// # Errors
    /// It is missing, or no job can have it.
    pub fn job(&self) -> Result<JobId, Failure> {
        let id = self.whole("id", 1, i64::MAX.cast_unsigned())?;
        let id = id.and_then(|id| i64::try_from(id).ok()).map(JobId);
        id.ok_or_else(|| Failure::usage("id: it is missing; give the number of a job"))
    }

    /// Returns a whole number within these limits.
    ///
    /// # Errors
    /// It is something else.
    pub fn whole(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Failure> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match value.as_u64().filter(|n| (least..=most).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => {
                let value = shorten(&value.to_string());
                Err(Failure::usage(format!("{key}: {value} is not a whole number from {least} to {most}")))
            }
        }
    }

    /// Returns a text, parsed.
    ///
    /// # Errors
    /// It is not a string, or as `parse`.
    pub fn text<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Failure> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| Failure::usage(format!("{key}: it is not a string")))?;
        parse(text).map(Some).map_err(|why| Failure::usage(format!("{key}: {why}")))
    }

    /// Returns texts, each parsed: a list, or one of them.
    ///
    /// # Errors
    /// As [`Arguments::text`].
    pub fn texts<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Failure> {
        let Some(value) = self.0.get(key) else { return Ok(Vec::new()) };
        let one = |item: &Value| {
            let text = item.as_str().ok_or_else(|| Failure::usage(format!("{key}: it is not a list of strings")))?;
            parse(text).map_err(|why| Failure::usage(format!("{key}: {why}")))
        };
        value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::size_text;
    use serde_json::json;

    fn arguments(value: &Value, known: &[&str]) -> Result<Arguments, Failure> {
        Arguments::of(value.as_object().unwrap().clone(), known)
    }

    #[test]
    fn an_argument_that_is_not_known_is_refused() {
        assert!(arguments(&json!({"id": 7}), &["id"]).is_ok());
        let text = format!("{:?}", arguments(&json!({"idd": 7}), &["id"]).unwrap_err());
        assert!(text.contains("did you mean") && text.contains("id"), "{text}");
        let long = "x".repeat(1 << 20);
        let text = format!("{:?}", arguments(&json!({long: 7}), &["id"]).unwrap_err());
        assert!(text.len() < 500, "{}", size_text(text.len() as u64));
    }

    #[test]
    fn a_number_is_whole_and_within_its_limits() {
        for wrong in [json!(0), json!(-1), json!(1.0), json!("7"), json!([7]), json!(true), json!(9.3e18), json!({})] {
            let told = arguments(&json!({"id": wrong}), &["id"]).unwrap().job();
            assert!(told.is_err(), "{wrong}");
        }
        assert!(arguments(&json!({"id": null}), &["id"]).unwrap().job().is_err());
        assert_eq!(arguments(&json!({"id": 7}), &["id"]).unwrap().job(), Ok(JobId(7)));
    }

    #[test]
    fn texts_are_a_list_or_one() {
        let texts = |value| arguments(&json!({"state": value}), &["state"]).unwrap().texts("state", |text| Ok(text.to_owned()));
        assert_eq!(texts(json!("done")), Ok(vec!["done".to_owned()]));
        assert_eq!(texts(json!(["done", "failed"])), Ok(vec!["done".to_owned(), "failed".to_owned()]));
        assert_eq!(texts(Value::Null), Ok(vec![]));
        assert!(texts(json!([1])).is_err() && texts(json!(1)).is_err());
    }
}
