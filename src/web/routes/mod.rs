//! The routes, one file for each group.

pub mod add;
pub mod change;
pub mod events;
pub mod health;
pub mod job;
pub mod jobs;
pub mod lists;
pub mod logs;
pub mod runs;
pub mod session;
pub mod status;

use crate::web::metrics;
use crate::web::page;
use crate::web::route::Route;

/// All routes: those of the API, and the pages.
pub fn all() -> impl Iterator<Item = &'static Route> {
    api().chain(page::routes())
}

/// The routes of the API.
pub fn api() -> impl Iterator<Item = &'static Route> {
    [
        health::ROUTES,
        session::ROUTES,
        status::ROUTES,
        jobs::ROUTES,
        job::ROUTES,
        logs::ROUTES,
        runs::ROUTES,
        lists::ROUTES,
        events::ROUTES,
        add::ROUTES,
        change::ROUTES,
        metrics::ROUTES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod table_tests;
