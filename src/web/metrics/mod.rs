//! `/metrics`, in the text format of OpenMetrics.
//!
//! What the file and the machine say is read at each scrape (`present`). What happens is counted
//! from the events since the last scrape, from the start of the server on (`counted`): while no
//! program scrapes, this costs nothing.

pub mod counted;
mod label;
mod present;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::document::picture::Picture;
use crate::document::problems;
use crate::error::Error;
use crate::queue::why::around;
use crate::store::job::measure;
use crate::sync::lock;
use crate::web::app::App;
use crate::web::route::{Answer, Answered, Asked, Route, get_short};

pub const ROUTES: &[Route] = &[get_short("/metrics", &[], metrics)];

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Rows of counts of jobs that are read.
const TALLIES_MAX: usize = 10_000;

fn metrics(app: &App, _: &Asked) -> Answered {
    let queue = app.reader()?;
    let store = &queue.store;
    let picture = Picture::take(store, app.setup.workspaces_bytes_max)?;
    let gate = around::gate(&app.setup.floors, store.place(), picture.worker.as_ref());
    let problems = problems::of(&picture, gate);
    let tallies = store.read(|conn| measure::tallies(conn, TALLIES_MAX))?;
    let mut registry = Registry::with_prefix("tenure");
    present::jobs(&mut registry, &tallies);
    present::picture(&mut registry, &picture, &problems);
    present::processes(&mut registry, app, &picture);
    let newest = queue.newest_position()?.event;
    {
        let mut counted = lock(&app.counted);
        counted.read_on(store, newest)?;
        counted.register(&mut registry);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Answer::Text(TYPE, text))
}
