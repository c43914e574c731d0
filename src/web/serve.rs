//! From a request to a response: the guard, the body, a thread for the work, and the answer within
//! its limits.
//!
//! ```text
//! request ─▶ guard ─▶ body (bounded) ─▶ thread of the file ─▶ room for the answer ─▶ response
//! ```
//!
//! Nothing of this waits for a client while it holds a thread or a transaction.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::time::timeout;

use crate::web::app::{App, Tally};
use crate::web::body;
use crate::web::guard::{self, Claims};
use crate::web::hash;
use crate::web::limits::{ANSWERS_KIB_MAX, BODY_BYTES_MAX, HEADERS_MAX};
use crate::web::live;
use crate::web::problem::Problem;
use crate::web::query::{Query, decode};
use crate::web::route::{Answer, Asked, Method, Route};
use crate::web::thread::{on_thread, permit};
use crate::web::token::COOKIE;

/// What no answer may be to a browser: markup, a script, or a part of another site's page.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub type Reply = Response<Body>;

/// Answers a request of one route.
pub async fn route(app: Arc<App>, route: &'static Route, request: Request<Body>) -> Reply {
    let is_read = route.method == Method::Get;
    let (head, body) = request.into_parts();
    match answered(&app, route, &head.uri, &head.headers, body).await {
        Ok(answer) => reply(&app, answer, is_read, &head.headers).await,
        Err(problem) => failed(&problem),
    }
}

async fn answered(app: &Arc<App>, route: &'static Route, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<Outcome, Problem> {
    let query = Query::parse(uri.query().unwrap_or(""), route.keys)?;
    let names = names(route.path, uri.path())?;
    if route.is_live && live::is_wanted(headers) {
        return live::follow(app, &query, headers).await.map(Outcome::Stream);
    }
    let body = if route.method == Method::Post { receive(app, headers, body).await? } else { Vec::new() };
    let key = headers.get("idempotency-key").map(|value| value.to_str().map(str::to_owned));
    let key = key.transpose().map_err(|_| Problem::usage("Idempotency-Key: it has characters that are not ASCII"))?;
    let session = session(headers).map(str::to_owned);
    let asked = Asked { names, query, body, key, session, has_token: headers.contains_key(header::AUTHORIZATION) };
    let act = route.act;
    on_thread(app, move |app| act(app, &asked)).await?.map(Outcome::Answer)
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

/// Receives a body, within its limits.
async fn receive(app: &Arc<App>, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let _turn = permit(&app.bodies, 1).await?;
    let received = timeout(app.setup.patience.body, axum::body::to_bytes(body, BODY_BYTES_MAX)).await;
    let bytes = match received {
        Err(_) => return Err(Problem::new(408, "slow", "the body has not arrived in time")),
        Ok(Err(error)) if body::is_too_long(&error) => return Err(too_long()),
        Ok(Err(_)) => return Err(Problem::usage("the body has not arrived as a whole")),
        Ok(Ok(bytes)) => Vec::from(bytes),
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_json = kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json");
    if !bytes.is_empty() && !is_json {
        return Err(
            Problem::new(415, "type", "the body is not declared as JSON").with_remedy("send Content-Type: application/json")
        );
    }
    Ok(bytes)
}

fn too_long() -> Problem {
    let most = crate::units::size_text(BODY_BYTES_MAX as u64);
    Problem::new(413, "too_long", format!("the body is longer than {most}")).with_remedy("send it in parts")
}

async fn reply(app: &Arc<App>, outcome: Outcome, is_read: bool, headers: &HeaderMap) -> Reply {
    match outcome {
        Outcome::Stream(body) => with_body(200, "text/event-stream", body),
        Outcome::Answer(Answer::Document(value)) => document(app, 200, &value, is_read.then_some(headers)).await,
        Outcome::Answer(Answer::Created(value)) => document(app, 201, &value, None).await,
        Outcome::Answer(Answer::Text(kind, text)) => text_reply(app, kind, text).await,
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
async fn document(app: &Arc<App>, status: u16, value: &Value, asked: Option<&HeaderMap>) -> Reply {
    let mut text = value.to_string();
    text.push('\n');
    let tag = format!("\"{}\"", hash::of(text.as_bytes()));
    let known = asked.and_then(|headers| headers.get(header::IF_NONE_MATCH)).and_then(|value| value.to_str().ok());
    let has_it = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut reply = match (has_it, held(app, text).await) {
        (true, _) => with_body(304, "", Body::empty()),
        (false, Ok(body)) => with_body(status, "application/json", body),
        (false, Err(problem)) => return failed(&problem),
    };
    if asked.is_some() {
        set(&mut reply, header::ETAG, &tag);
    }
    reply
}

async fn text_reply(app: &Arc<App>, kind: &'static str, text: String) -> Reply {
    match held(app, text).await {
        Ok(body) => with_body(200, kind, body),
        Err(problem) => failed(&problem),
    }
}

/// Returns a body that has its room until it is sent. A large one waits for room.
async fn held(app: &Arc<App>, text: String) -> Result<Body, Problem> {
    let kib = u32::try_from(text.len().div_ceil(1024).clamp(1, ANSWERS_KIB_MAX)).unwrap_or(1);
    let room = permit(&app.answers, kib).await?;
    Ok(body::held(text, room))
}

/// Answers with an error.
pub fn failed(problem: &Problem) -> Reply {
    let mut text = problem.to_json().to_string();
    text.push('\n');
    let mut reply = with_body(problem.status, "application/json", Body::from(text));
    if problem.status == 401 {
        set(&mut reply, header::WWW_AUTHENTICATE, "Bearer");
    }
    if problem.status == 408 || problem.status == 413 {
        // The rest of the request is not read.
        set(&mut reply, header::CONNECTION, "close");
    }
    reply
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
    let token = text("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or("").trim());
    let claims = Claims {
        is_read: matches!(request.method().as_str(), "GET" | "HEAD"),
        is_open,
        hosts: &hosts,
        origin: headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("")),
        fetch_site: text("sec-fetch-site"),
        token,
        has_session: session(headers).is_some_and(|name| app.sessions.has(name)),
    };
    let refused = guard::judge(&app.setup.rules, &claims).err()?;
    Tally::count(&app.tally.turned_away);
    Some(failed(&refused))
}

/// Returns the session of a request.
pub fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|all| all.split(';')).find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}
