//! What a browser sends of a form, and the page that it is led to. Pure.

use serde_json::{Map, Value};

use crate::web::problem::Problem;
use crate::web::query::decode;
use crate::web::route::Answer;

/// Most fields of a form.
const FIELDS_MAX: usize = 200;
/// Fields that are flags: their value is `true`.
const FLAGS: [&str; 3] = ["hold", "force", "with_dependants"];

/// Fields that do not go to the API: the page that is shown afterwards, and the file that the form
/// is of.
const OF_THE_PAGE: [&str; 2] = ["back", "file"];

/// Returns a path of this server, or `/` if a link leads elsewhere.
pub fn own_path(text: &str) -> &str {
    let is_own = text.starts_with('/') && !text.starts_with("//") && !text.contains(|c: char| c == '\\' || c.is_control());
    if is_own { text } else { "/" }
}

/// The fields of a form, decoded.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// It is not a form, or has too many fields.
    pub fn of(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body).map_err(|_| Problem::usage("the form is not percent-encoded UTF-8"))?;
        let parts: Vec<&str> = text.split('&').filter(|part| !part.is_empty()).collect();
        if parts.len() > FIELDS_MAX {
            return Err(Problem::usage(format!("a form has at most {FIELDS_MAX} fields")));
        }
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decode(key, true)?, decode(value, true)?.replace("\r\n", "\n")))
        };
        Ok(Self(parts.into_iter().map(pair).collect::<Result<_, Problem>>()?))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The page that is shown afterwards, with a word of what was done.
    pub fn back(&self, word: &str) -> Answer {
        let back = own_path(self.get("back").unwrap_or("/"));
        let (path, query) = back.split_once('?').unwrap_or((back, ""));
        let kept = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("done="));
        let done = format!("done={word}");
        let all: Vec<&str> = kept.chain([done.as_str()]).collect();
        Answer::See(format!("{path}?{}", all.join("&")), None)
    }

    /// The other fields as the body of a route of the API; an empty field is as if it were not
    /// there.
    pub fn body(&self) -> Map<String, Value> {
        let given = self.0.iter().filter(|(key, value)| !OF_THE_PAGE.contains(&key.as_str()) && !value.trim().is_empty());
        let of = |key: &str, value: &str| match value == "true" && FLAGS.contains(&key) {
            true => Value::from(true),
            false => value.into(),
        };
        given.map(|(key, value)| (key.clone(), of(key, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_with_one_word() {
        for (back, path) in [
            ("/jobs/7", "/jobs/7?done=hold"),
            ("/jobs?state=failed&done=retry", "/jobs?state=failed&done=hold"),
            ("https://evil.example", "/?done=hold"),
            ("", "/?done=hold"),
        ] {
            let form = Form(vec![("back".into(), back.into())]);
            assert!(matches!(form.back("hold"), Answer::See(to, None) if to == path), "{back}");
        }
    }

    #[test]
    fn a_form_becomes_the_body_of_a_request() {
        let form = Form::of(b"back=%2F&force=true&label=true&why=a+b%0D%0Ac&empty=+").unwrap();
        assert_eq!(Value::Object(form.body()), serde_json::json!({"force": true, "label": "true", "why": "a b\nc"}));
        assert_eq!(Form::of(&b"a&".repeat(FIELDS_MAX)).map(|form| form.0.len()), Ok(FIELDS_MAX));
        assert!(Form::of(b"a=%ff").is_err() && Form::of(b"\xff").is_err() && Form::of(&b"a&".repeat(FIELDS_MAX + 1)).is_err());
    }

    #[test]
    fn a_link_leads_to_this_server_alone() {
        for (text, path) in [
            ("/jobs?state=failed", "/jobs?state=failed"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("http://evil.example", "/"),
            ("/\r\nSet-Cookie: a", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(text), path);
        }
    }
}
