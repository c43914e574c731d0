//! The login: a browser shows the token once, and has a session from then on.

use maud::html;

use crate::web::app::App;
use crate::web::page::form::{Form, own_path};
use crate::web::page::frame::bare;
use crate::web::page::parts::{Ui, encoded};
use crate::web::route::{Answer, Answered, Asked, Route, form, page};
use crate::web::routes::session;

pub const ROUTES: &[Route] = &[
    Route { is_open: true, is_bare: true, is_long: false, ..page("/login", &["next", "wrong"], show) },
    Route { is_open: true, ..form("/login", login) },
    form("/logout", logout),
];

/// Returns the path of the login that leads to a page.
pub fn login_for(target: &str) -> String {
    if target == "/" { "/login".to_owned() } else { format!("/login?next={}", encoded(target)) }
}

/// Returns a page that leads to another one of this server at once.
pub fn onward(app: &App, target: &str) -> String {
    let ui = Ui::of(app);
    let to = ui.to(own_path(target));
    let head = html! { meta http-equiv="refresh" content=(format!("0;url={to}")); };
    bare(&ui, "One moment", &head, &html! { main { p { a href=(to) { "Continue" } } } }).into_string()
}

fn show(app: &App, asked: &Asked) -> Answered {
    let next = own_path(asked.query.get("next").unwrap_or("/"));
    if app.setup.rules.token.is_none() {
        return Ok(Answer::See(next.to_owned(), None));
    }
    let ui = Ui::of(app);
    let is_wrong = asked.query.get("wrong").is_some();
    let body = html! {
        main.login {
            h1 { "tenure" }
            p { "This server asks for the token of its file. On the machine, " code { "tenure web token" } " prints it." }
            @if is_wrong { p.refusal role="alert" { "That is not the token of this server. A server that was started before its token was replaced has the old one." } }
            form method="post" action=(ui.to("/login")) {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus spellcheck="false";
                button type="submit" { "Log in" }
            }
        }
    };
    Ok(Answer::Page(bare(&ui, "Login", &html! {}, &body).into_string()))
}

fn login(app: &App, asked: &Asked) -> Answered {
    let form = Form::of(&asked.body)?;
    let next = own_path(form.get("next").unwrap_or("/"));
    let Some(token) = &app.setup.rules.token else { return Ok(Answer::See(next.to_owned(), None)) };
    if !token.is(form.get("token").unwrap_or("").trim()) {
        return Ok(Answer::See(format!("/login?wrong=1&next={}", encoded(next)), None));
    }
    Ok(Answer::See(next.to_owned(), Some(session::begun(app)?)))
}

fn logout(app: &App, asked: &Asked) -> Answered {
    asked.session.iter().for_each(|name| app.sessions.end(name));
    Ok(Answer::See("/login".to_owned(), Some(session::ended(app))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_the_page_that_was_asked_for() {
        assert_eq!((login_for("/").as_str(), login_for("/jobs?a=b").as_str()), ("/login", "/login?next=%2Fjobs%3Fa%3Db"));
    }
}
