//! From an answer to a response: what is sent, with the headers that say what a browser may do with
//! it, and within the room that there is for answers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hash;
use crate::web::app::{App, Tally};
use crate::web::body;
use crate::web::limits::{ANSWERS_KIB_MAX, SHORT_BYTES};
use crate::web::page;
use crate::web::problem::Problem;
use crate::web::route::Answer;
use crate::web::thread::permit;

/// What no answer but a page may be to a browser: markup, a script, or a part of another site's
/// page.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// A page has the files of this server, and asks and tells no other one. Nothing in it is a script
/// or a style.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                           form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const PAGE: &str = "text/html; charset=utf-8";
/// How long a browser may keep a file of the pages: its path changes with it.
const FILE_KEPT: &str = "max-age=604800, immutable";

/// When a client may ask again, in seconds.
const RETRY_SECONDS: &str = "5";

pub type Reply = Response<Body>;

/// What a request came to.
pub enum Outcome {
    Answer(Answer),
    Document(Document),
    Stream(Body),
}

/// A document as it is sent.
pub struct Document {
    status: u16,
    text: String,
    tag: String,
}

impl Document {
    fn of(status: u16, value: &Value) -> Self {
        let mut text = value.to_string();
        text.push('\n');
        let tag = format!("\"{}\"", hash::of(text.as_bytes()));
        Self { status, text, tag }
    }
}

/// Writes a document, if an answer is one. On the thread of the file: a long one would hold up
/// every connection.
pub fn written(answer: Answer) -> Outcome {
    match answer {
        Answer::Document(value) => Outcome::Document(Document::of(200, &value)),
        Answer::Created(value) => Outcome::Document(Document::of(201, &value)),
        other => Outcome::Answer(other),
    }
}

/// Makes the response. `room`: what was reserved for it; `is_read`: a client that has it already
/// gets nothing.
pub async fn reply(app: &Arc<App>, outcome: Outcome, room: Room, is_read: bool, headers: &HeaderMap) -> Reply {
    match outcome {
        Outcome::Stream(body) => with_body(200, "text/event-stream", body),
        Outcome::Document(one) => document(app, one, room, is_read.then_some(headers)).await,
        Outcome::Answer(Answer::Document(value)) => document(app, Document::of(200, &value), room, None).await,
        Outcome::Answer(Answer::Created(value)) => document(app, Document::of(201, &value), room, None).await,
        Outcome::Answer(Answer::Text(kind, text)) => text_reply(app, kind, text, room).await,
        Outcome::Answer(Answer::Page(text)) => page_reply(app, 200, text, room).await,
        Outcome::Answer(Answer::Again(status, text)) => page_reply(app, status, text, room).await,
        Outcome::Answer(Answer::File(kind, text)) => {
            let mut reply = with_body(200, kind, Body::from(text));
            set(&mut reply, header::CACHE_CONTROL, FILE_KEPT);
            reply
        }
        Outcome::Answer(Answer::See(path, cookie)) => {
            let mut reply = see(app, &path);
            cookie.iter().for_each(|cookie| set(&mut reply, header::SET_COOKIE, cookie));
            reply
        }
        Outcome::Answer(Answer::Nothing(more)) => {
            let mut reply = with_body(204, "", Body::empty());
            if let Some((name, value)) = more {
                set(&mut reply, HeaderName::from_static(name), &value);
            }
            reply
        }
        Outcome::Answer(Answer::Log(log)) => {
            let (end, dropped, run) = (log.end, log.dropped, log.run);
            let mut reply = with_body(200, "text/plain; charset=utf-8", body::of_log(Arc::clone(app), log));
            set(&mut reply, HeaderName::from_static("tenure-log-end"), &end.to_string());
            set(&mut reply, HeaderName::from_static("tenure-log-dropped"), &dropped.to_string());
            if let Some(run) = run {
                set(&mut reply, HeaderName::from_static("tenure-run"), &run.to_string());
            }
            reply
        }
    }
}

/// Sends a document; to a client that has the same already, nothing.
async fn document(app: &Arc<App>, Document { status, text, tag }: Document, room: Room, asked: Option<&HeaderMap>) -> Reply {
    let known = asked.and_then(|headers| headers.get(header::IF_NONE_MATCH)).and_then(|value| value.to_str().ok());
    let has_it =
        known.is_some_and(|known| known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag));
    let mut reply = match (has_it, held(&app.answers, text, room).await) {
        (true, _) => with_body(304, "", Body::empty()),
        (false, Ok(body)) => with_body(status, "application/json", body),
        (false, Err(problem)) => return refused(app, false, &problem),
    };
    if asked.is_some() {
        set(&mut reply, header::ETAG, &tag);
    }
    reply
}

async fn text_reply(app: &Arc<App>, kind: &'static str, text: String, room: Room) -> Reply {
    match held(&app.answers, text, room).await {
        Ok(body) => with_body(200, kind, body),
        Err(problem) => refused(app, false, &problem),
    }
}

async fn page_reply(app: &Arc<App>, status: u16, text: String, room: Room) -> Reply {
    match held(&app.answers, text, room).await {
        Ok(body) => of_page(status, body),
        Err(problem) => refused(app, true, &problem),
    }
}

/// Room that is reserved for an answer.
pub type Room = Option<OwnedSemaphorePermit>;

/// Returns a body that has its room until it is sent, and gives back what it does not need. A short
/// one needs none.
async fn held(answers: &Arc<Semaphore>, text: String, reserved: Room) -> Result<Body, Problem> {
    if text.len() <= SHORT_BYTES {
        return Ok(Body::from(text));
    }
    let kib = text.len().div_ceil(1024).min(ANSWERS_KIB_MAX);
    let mut room = match reserved {
        Some(room) => room,
        None => permit(answers, 1).await?,
    };
    let more = kib.saturating_sub(room.num_permits());
    if more > 0 {
        room.merge(permit(answers, u32::try_from(more).unwrap_or(u32::MAX)).await?);
    }
    drop(room.split(room.num_permits() - kib));
    Ok(body::held(text, room))
}

/// Answers with an error, to a person or to a program.
pub fn refused(app: &App, is_page: bool, problem: &Problem) -> Reply {
    if problem.is_of_server {
        Tally::count(&app.tally.turned_away);
    }
    match is_page {
        true => of_page(problem.status, Body::from(page::refusal(app, problem))),
        false => failed(problem),
    }
}

/// Leads to another path of this server.
pub fn see(app: &App, path: &str) -> Reply {
    let mut reply = of_page(303, Body::empty());
    set(&mut reply, header::LOCATION, &format!("{}{path}", app.setup.base));
    reply
}

/// A page. A form of it tells where it comes from, which no other site is told.
pub fn of_page(status: u16, body: Body) -> Reply {
    let mut reply = with_body(status, PAGE, body);
    set(&mut reply, header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    set(&mut reply, header::REFERRER_POLICY, "same-origin");
    say_more(&mut reply, status);
    reply
}

/// Answers with an error.
pub fn failed(problem: &Problem) -> Reply {
    let mut text = problem.to_json().to_string();
    text.push('\n');
    let mut reply = with_body(problem.status, "application/json", Body::from(text));
    say_more(&mut reply, problem.status);
    reply
}

/// Says in the head what a status asks of a client.
fn say_more(reply: &mut Reply, status: u16) {
    if status == 401 {
        set(reply, header::WWW_AUTHENTICATE, "Bearer");
    }
    if status == 503 {
        set(reply, header::RETRY_AFTER, RETRY_SECONDS);
    }
    if status == 408 || status == 413 {
        // The rest of the request is not read.
        set(reply, header::CONNECTION, "close");
    }
}

/// Every answer forbids a browser to take it for anything else, and to keep it.
fn with_body(status: u16, kind: &str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !kind.is_empty() {
        set(&mut reply, header::CONTENT_TYPE, kind);
    }
    set(&mut reply, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut reply, header::CONTENT_SECURITY_POLICY, POLICY);
    set(&mut reply, header::REFERRER_POLICY, "no-referrer");
    set(&mut reply, header::CACHE_CONTROL, "no-store");
    set(&mut reply, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    reply
}

fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::limits::ANSWER_KIB;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_short_answer_waits_for_no_room() {
        let none = Arc::new(Semaphore::new(0));
        assert!(run(held(&none, "x".repeat(SHORT_BYTES), None)).is_ok());
    }

    #[test]
    fn a_long_answer_keeps_what_it_needs_until_it_is_sent() {
        let answers = Arc::new(Semaphore::new(ANSWERS_KIB_MAX));
        for (kib, reserved) in [(100, true), (100, false), (ANSWER_KIB as usize + 1, true)] {
            let room = reserved.then(|| Arc::clone(&answers).try_acquire_many_owned(ANSWER_KIB).unwrap());
            let body = run(held(&answers, "x".repeat(kib << 10), room)).unwrap();
            assert_eq!(answers.available_permits(), ANSWERS_KIB_MAX - kib);
            drop(body);
            assert_eq!(answers.available_permits(), ANSWERS_KIB_MAX);
        }
    }
}
