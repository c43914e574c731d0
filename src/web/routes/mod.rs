//! The routes, one file for each group.

pub mod add;
pub mod change;
pub mod events;
pub mod health;
pub mod job;
pub mod jobs;
pub mod lists;
pub mod logs;
pub mod session;
pub mod status;

use crate::web::metrics;
use crate::web::route::Route;

/// All routes.
pub fn all() -> impl Iterator<Item = &'static Route> {
    [
        health::ROUTES,
        session::ROUTES,
        status::ROUTES,
        jobs::ROUTES,
        job::ROUTES,
        logs::ROUTES,
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
