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
use axum::http::header::{self, HeaderMap};
use axum::http::{Request, Uri};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::web::app::{App, Tally};
use crate::web::body;
use crate::web::guard::{self, Claims};
use crate::web::limits::{ANSWER_KIB, BODY_BYTES_MAX, HEADERS_MAX, SHORT_BYTES};
use crate::web::live;
use crate::web::pace::Turn;
use crate::web::page;
use crate::web::problem::Problem;
use crate::web::query::{Query, decode};
use crate::web::reply::{Outcome, Reply, of_page, refused, reply, see, written};
use crate::web::route::{Asked, Method, Route};
use crate::web::thread::{on_thread, permit};
use crate::web::token::COOKIE;

/// Answers a request of one route.
pub async fn route(app: Arc<App>, route: &'static Route, request: Request<Body>) -> Reply {
    let is_read = route.method == Method::Get;
    let (head, body) = request.into_parts();
    let is_stream = route.is_live && live::is_wanted(&head.headers);
    let (turn, room) = match route.is_long && !is_stream {
        false => (None, None),
        true => match reserved(&app, route).await {
            Ok((turn, room)) => (Some(turn), Some(room)),
            Err(problem) => return refused(&app, route.is_page, &problem),
        },
    };
    match answered(&app, route, &head.uri, &head.headers, body, turn).await {
        Ok(answer) => reply(&app, answer, room, is_read, &head.headers).await,
        Err(problem) => refused(&app, route.is_page, &problem),
    }
}

/// Waits for what a long answer needs before it is made: clients that ask again and again would
/// have the processors of the jobs, and clients that read slowly any number of answers in memory.
async fn reserved(app: &App, route: &Route) -> Result<(Turn, OwnedSemaphorePermit), Problem> {
    let pace = match (route.is_page, route.is_list()) {
        (true, _) => &app.pace_of_pages,
        (false, true) => &app.pace_of_lists,
        (false, false) => &app.pace_of_documents,
    };
    let turn = pace.turn().await?;
    Ok((turn, permit(&app.answers, ANSWER_KIB).await?))
}

async fn answered(
    app: &Arc<App>,
    route: &'static Route,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
    turn: Option<Turn>,
) -> Result<Outcome, Problem> {
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
        return act(app, &asked).map(written);
    }
    // A write may wait for another program: reads continue beside it.
    let write = match route.method {
        Method::Get => None,
        Method::Post => match (permit(&app.writes, 1).await, route.again) {
            (Err(problem), Some(again)) => return again(app, &asked, problem).map(Outcome::Answer),
            (write, _) => Some(write?),
        },
    };
    let acted = on_thread(app, move |app| {
        let _write = write;
        let make = || act(app, &asked).map(written);
        match turn {
            Some(turn) => turn.charged(make),
            None => make(),
        }
    });
    acted.await?
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
