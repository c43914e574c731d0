//! From a request to a response: the guard, the body, a thread for the work, and the answer within
//! its limits.
//!
//! ```text
//! request ─▶ guard ─▶ body (bounded) ─▶ thread of the file ─▶ room for the answer ─▶ response
//! ```
//!
//! Nothing of this waits for a client while it holds a thread or a transaction.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::hash;
use crate::web::app::{App, Tally};
use crate::web::body;
use crate::web::guard::{self, Claims};
use crate::web::limits::{ANSWER_KIB, ANSWERS_KIB_MAX, BODY_BYTES_MAX, HEADERS_MAX, SHORT_BYTES};
use crate::web::live;
use crate::web::page;
use crate::web::problem::Problem;
use crate::web::query::{Query, decode};
use crate::web::route::{Answer, Asked, Method, Route};
use crate::web::thread::{on_thread, permit};
use crate::web::token::COOKIE;

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

pub type Reply = Response<Body>;

/// Answers a request of one route.
pub async fn route(app: Arc<App>, route: &'static Route, request: Request<Body>) -> Reply {
    let is_read = route.method == Method::Get;
    let (head, body) = request.into_parts();
    let is_stream = route.is_live && live::is_wanted(&head.headers);
    // Before it is made: clients that read slowly would have any number of long answers in memory.
    let room = match route.is_long && !is_stream {
        false => None,
        true => match permit(&app.answers, ANSWER_KIB).await {
            Ok(room) => Some(room),
            Err(problem) => return refused(&app, route.is_page, &problem),
        },
    };
    match answered(&app, route, &head.uri, &head.headers, body).await {
        Ok(answer) => reply(&app, answer, room, is_read, &head.headers).await,
        Err(problem) => refused(&app, route.is_page, &problem),
    }
}

async fn answered(app: &Arc<App>, route: &'static Route, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<Outcome, Problem> {
    let query = Query::parse(uri.query().unwrap_or(""), route.keys)?;
    let names = names(route.path, uri.path())?;
    if route.is_live && live::is_wanted(headers) {
        return live::follow(app, &query, headers).await.map(Outcome::Stream);
    }
    let kind = if route.is_page { FORM } else { JSON };
    let body = if route.method == Method::Post { receive(app, headers, body, kind).await? } else { Vec::new() };
    let key = idempotency_key(route, headers)?;
    let session = session(app, headers).map(str::to_owned);
    let asked = Asked { names, query, body, key, session, has_token: headers.contains_key(header::AUTHORIZATION) };
    let act = route.act;
    if route.is_bare {
        return act(app, &asked).map(Outcome::Answer);
    }
    // A write may wait for another program: reads continue beside it.
    let write = if route.method == Method::Post { Some(permit(&app.writes, 1).await?) } else { None };
    let acted = on_thread(app, move |app| {
        let _write = write;
        act(app, &asked)
    });
    acted.await?.map(Outcome::Answer)
}

/// Returns the key of a request that is done once.
fn idempotency_key(route: &Route, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(key) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Problem::usage("Idempotency-Key: it is given twice; omit one of them"));
    }
    if !route.takes_key {
        return Err(Problem::usage("Idempotency-Key: it goes with POST /api/v1/jobs alone; omit it"));
    }
    let key = key.to_str().map_err(|_| Problem::usage("Idempotency-Key: it has characters that are not ASCII"))?;
    Ok(Some(key.to_owned()))
}

enum Outcome {
    Answer(Answer),
    Stream(Body),
}

/// Returns the names in a path, as its pattern has them.
fn names(pattern: &str, path: &str) -> Result<Vec<String>, Problem> {
    let pairs = pattern.split('/').zip(path.split('/'));
    pairs.filter(|(part, _)| part.starts_with('{')).map(|(_, name)| decode(name, false)).collect()
}

/// A type of bodies, and its name for people.
type Kind = (&'static str, &'static str);
const JSON: Kind = ("application/json", "JSON");
const FORM: Kind = ("application/x-www-form-urlencoded", "a form");

/// Receives a body, within its limits.
async fn receive(app: &Arc<App>, headers: &HeaderMap, body: Body, (wanted, name): Kind) -> Result<Vec<u8>, Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    // Slow senders of long bodies do not keep others from a cancel.
    let is_short = body.is_end_stream() || declared.is_some_and(|bytes| bytes <= SHORT_BYTES);
    let _turn = if is_short { None } else { Some(permit(&app.bodies, 1).await?) };
    let received = timeout(app.setup.patience.body, axum::body::to_bytes(body, BODY_BYTES_MAX)).await;
    let bytes = match received {
        Err(_) => return Err(Problem::new(408, "slow", "the body has not arrived in time")),
        Ok(Err(error)) if body::is_too_long(&error) => return Err(too_long()),
        Ok(Err(_)) => return Err(Problem::usage("the body has not arrived as a whole")),
        Ok(Ok(bytes)) => Vec::from(bytes),
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_wanted = kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted);
    if !bytes.is_empty() && !is_wanted {
        let problem = Problem::new(415, "type", format!("the body is not declared as {name}"));
        return Err(problem.with_remedy(format!("send Content-Type: {wanted}")));
    }
    Ok(bytes)
}

fn too_long() -> Problem {
    let most = crate::units::size_text(BODY_BYTES_MAX as u64);
    Problem::new(413, "too_long", format!("the body is longer than {most}")).with_remedy("send it in parts")
}

async fn reply(app: &Arc<App>, outcome: Outcome, room: Room, is_read: bool, headers: &HeaderMap) -> Reply {
    match outcome {
        Outcome::Stream(body) => with_body(200, "text/event-stream", body),
        Outcome::Answer(Answer::Document(value)) => document(app, 200, &value, room, is_read.then_some(headers)).await,
        Outcome::Answer(Answer::Created(value)) => document(app, 201, &value, room, None).await,
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
async fn document(app: &Arc<App>, status: u16, value: &Value, room: Room, asked: Option<&HeaderMap>) -> Reply {
    let mut text = value.to_string();
    text.push('\n');
    let tag = format!("\"{}\"", hash::of(text.as_bytes()));
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
type Room = Option<OwnedSemaphorePermit>;

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
    if problem.is_of_server() {
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
fn of_page(status: u16, body: Body) -> Reply {
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

/// Lets the guard look at a request. An answer is its refusal.
pub fn admit(app: &App, request: &Request<Body>, is_open: bool) -> Option<Reply> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or(""));
    let hosts: Vec<&str> =
        own.chain(request.uri().authority().map(axum::http::uri::Authority::as_str)).take(HEADERS_MAX).collect();
    let token = text("authorization").map(bearer);
    let claims = Claims {
        is_read: matches!(request.method().as_str(), "GET" | "HEAD"),
        is_open,
        hosts: &hosts,
        origin: headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("")),
        fetch_site: text("sec-fetch-site"),
        token,
        has_session: session(app, headers).is_some(),
    };
    let problem = guard::judge(&app.setup.rules, &claims).err()?;
    Tally::count(&app.tally.turned_away);
    if problem.status != 401 || !is_for_a_person(request) || !claims.is_read {
        return Some(refused(app, is_for_a_person(request), &problem));
    }
    // A browser sends the cookie of a session from pages of this server alone: one leads on.
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    Some(match claims.fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        true => of_page(200, Body::from(page::onward(app, target))),
        false => see(app, &page::login_for(target)),
    })
}

/// Whether a browser asks for a page, or sends a form of one.
pub fn is_for_a_person(request: &Request<Body>) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_api = request.uri().path().starts_with("/api/");
    !is_api && accepted.flat_map(|all| all.split(',')).any(|one| one.split(';').next().unwrap_or("").trim() == "text/html")
}

/// Returns the token of an `Authorization`; empty: it has none.
fn bearer(value: &str) -> &str {
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }
}

/// Returns the session of a request. Another server of this host may have set a cookie of the same
/// name, as cookies know no ports: the one that is ours counts.
pub fn session<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut given = cookies.flat_map(|all| all.split(';')).filter_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    given.find(|name| app.sessions.has(name))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_scheme_of_a_token_has_any_case() {
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(value), "abc");
        }
        for value in ["", "abc", "Basic abc", "Bearer", "Bearerabc"] {
            assert_eq!(bearer(value), "");
        }
    }
}
