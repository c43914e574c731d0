//! What a route is: a method, a path, the keys of its query, and a function of the file.
//!
//! The functions know nothing of HTTP and of waiting: they get what was asked, and return what is
//! answered. They run on a thread of their own (`serve`).

use serde_json::Value;

use crate::web::app::App;
use crate::web::log::Log;
use crate::web::problem::Problem;
use crate::web::query::Query;

/// What was asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// The names in the path, decoded.
    pub names: Vec<String>,
    pub query: Query,
    pub body: Vec<u8>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// The session of a browser.
    pub session: Option<String>,
    /// The token, which is right.
    pub has_token: bool,
}

impl Asked {
    /// Returns a name in the path.
    pub fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    /// Returns the body as JSON; `None`: there is none.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Option<Value>, Problem> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let wrong = |error: serde_json::Error| {
            Problem::usage(format!("the body is not JSON: {}", crate::parse::library_words::json(&error)))
        };
        serde_json::from_slice(&self.body).map(Some).map_err(wrong)
    }
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// A document; a list that has not changed is not sent again.
    Document(Value),
    /// A document about what was made.
    Created(Value),
    /// Text for other programs than browsers, with its type.
    Text(&'static str, String),
    /// The output of a run.
    Log(Log),
    /// Nothing of a body; a header.
    Nothing(Option<(&'static str, String)>),
    /// A page for a person.
    Page(String),
    /// A page that says why a form was refused, with the status of that.
    Again(u16, String),
    /// A file of the pages, with its type.
    File(&'static str, &'static str),
    /// The client is to read another path of this server; and a cookie.
    See(String, Option<String>),
}

pub type Answered = Result<Answer, Problem>;

/// The methods of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl Method {
    /// Its name in a request.
    #[cfg(test)]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub method: Method,
    /// With its names in braces.
    pub path: &'static str,
    /// The keys of its query; those that end with `*` may be given several times.
    pub keys: &'static [&'static str],
    pub act: fn(&App, &Asked) -> Answered,
    /// A request needs no token.
    pub is_open: bool,
    /// A client that accepts an event stream gets one (`live`).
    pub is_live: bool,
    /// Its answer may be long: it waits for its turn (`pace`), and room for it is reserved.
    pub is_long: bool,
    /// It is done once for each `Idempotency-Key`; others refuse that header.
    pub takes_key: bool,
    /// It reads no file, so it is answered even where all threads of the file wait.
    pub is_bare: bool,
    /// Shows a form again that could not get so far.
    pub again: Option<fn(&App, &Asked, Problem) -> Answered>,
    /// It is for a person: a refusal is a page too, and a change comes from a form.
    pub is_page: bool,
}

impl Route {
    /// Whether it answers with a list, a page at a time.
    pub fn is_list(&self) -> bool {
        self.keys.contains(&"limit")
    }
}

/// Describes a route that reads.
pub const fn get(path: &'static str, keys: &'static [&'static str], act: fn(&App, &Asked) -> Answered) -> Route {
    Route {
        method: Method::Get,
        path,
        keys,
        act,
        is_open: false,
        is_live: false,
        is_long: true,
        takes_key: false,
        is_bare: false,
        again: None,
        is_page: false,
    }
}

/// Describes a route that reads little: it is answered also while long answers wait for their
/// clients.
pub const fn get_short(path: &'static str, keys: &'static [&'static str], act: fn(&App, &Asked) -> Answered) -> Route {
    Route { is_long: false, ..get(path, keys, act) }
}

/// Describes a route that changes something.
pub const fn post(path: &'static str, keys: &'static [&'static str], act: fn(&App, &Asked) -> Answered) -> Route {
    Route {
        method: Method::Post,
        path,
        keys,
        act,
        is_open: false,
        is_live: false,
        is_long: false,
        takes_key: false,
        is_bare: false,
        again: None,
        is_page: false,
    }
}

/// Describes a page.
pub const fn page(path: &'static str, keys: &'static [&'static str], act: fn(&App, &Asked) -> Answered) -> Route {
    Route { is_page: true, ..get(path, keys, act) }
}

/// Describes what a form of a page does.
pub const fn form(path: &'static str, act: fn(&App, &Asked) -> Answered) -> Route {
    Route { is_page: true, ..post(path, &[], act) }
}
