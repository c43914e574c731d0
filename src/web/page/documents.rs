//! The documents of the API that a page is made of.

use serde_json::Value;

use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::route::{Answer, Answered, Asked};

/// A route of the API.
pub type Api = fn(&App, &Asked) -> Answered;

/// Returns the document of a route.
///
/// # Errors
/// Those of the route.
pub fn document(app: &App, api: Api, names: &[&str], query: &[(&str, &str)]) -> Result<Value, Problem> {
    let names = names.iter().map(ToString::to_string).collect();
    match api(app, &Asked { names, query: Query::of(query), ..Asked::default() })? {
        Answer::Document(value) | Answer::Created(value) => Ok(value),
        _ => Err(Problem::new(500, "failed", "a page asked for what is not a document")),
    }
}

/// Returns the rows of a list.
pub fn rows<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    document[key].as_array().map_or(&[], Vec::as_slice)
}

/// Returns a text of a document; empty: there is none.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// Returns a number of a document; 0: there is none.
pub fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(0)
}

/// Returns a time of a document in milliseconds UTC.
pub fn ms(value: &Value) -> Option<i64> {
    value.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
