//! Sessions of browsers: a cookie instead of the token.

use crate::web::app::App;
use crate::web::limits::SESSION;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, post};
use crate::web::token::COOKIE;

pub const ROUTES: &[Route] = &[post("/api/v1/login", &[], login), post("/api/v1/logout", &[], logout)];

/// Begins a session. Only the token does, so that no session prolongs itself.
fn login(app: &App, asked: &Asked) -> Answered {
    if app.setup.rules.token.is_some() && !asked.has_token {
        return Err(Problem::new(403, "token", "a session begins with the token").with_remedy("send Authorization: Bearer TOKEN"));
    }
    Ok(Answer::Nothing(Some(("set-cookie", begun(app)?))))
}

/// Begins a session and returns its cookie.
///
/// # Errors
/// There are no random bytes.
pub fn begun(app: &App) -> Result<String, Problem> {
    Ok(cookie(app, &app.sessions.begin()?, SESSION.as_secs()))
}

/// Returns the cookie of no session.
pub fn ended(app: &App) -> String {
    cookie(app, "", 0)
}

fn logout(app: &App, asked: &Asked) -> Answered {
    if let Some(name) = &asked.session {
        app.sessions.end(name);
    }
    Ok(Answer::Nothing(Some(("set-cookie", ended(app)))))
}

/// A script never sees it, and no other site's page sends it.
fn cookie(app: &App, value: &str, seconds: u64) -> String {
    let path = if app.setup.base.is_empty() { "/" } else { app.setup.base.as_str() };
    format!("{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict")
}
