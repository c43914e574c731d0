//! Pages for people: what the API answers, as HTML. They work without a script.
//!
//! ```text
//! request ─▶ a page ─▶ the routes of the API it needs ─▶ their documents ─▶ markup
//! form ─▶ `act` ─▶ the route of the API that does it ─▶ back to the page, with a word for it
//! ```
//!
//! * A page knows nothing that the API does not: it is a view of documents ([`documents`]), and a
//!   button is a form for a route that changes something.
//! * `maud` escapes every text. What a job has written is one line of printable characters, set
//!   apart from the direction of the text around it ([`parts`]), or a log whose colours are classes
//!   ([`ansi`]). The policy of a page forbids every script and style but the two files of this
//!   server.
//! * The script (`page.js`) only adds: it reads the page again when the file has changed and
//!   exchanges the parts that say so (`data-live`), follows a log, asks before what cannot be
//!   undone, and moves by keys.
//! * No part of a page grows with the file: lists have pages, and plots are bounded.

mod act;
mod add;
mod ansi;
mod documents;
mod files;
mod form;
mod frame;
mod jobs;
mod log;
mod login;
mod machine;
mod one_job;
mod overview;
mod owned;
mod parts;
mod plot;
mod remedy;
mod schedules;
mod tasks;
mod timeline;

use crate::web::route::Route;

pub use frame::refusal;
pub use login::{login_for, onward};

/// All pages.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    let all = [
        overview::ROUTES,
        jobs::ROUTES,
        add::ROUTES,
        one_job::ROUTES,
        log::ROUTES,
        timeline::ROUTES,
        tasks::ROUTES,
        schedules::ROUTES,
        owned::ROUTES,
        machine::ROUTES,
        act::ROUTES,
        login::ROUTES,
        files::ROUTES,
    ];
    all.into_iter().flatten()
}
