//! The overview.

use serde_json::{Value, json};

use crate::document::picture::Picture;
use crate::document::{problems, shapes, status};
use crate::queue::why::around;
use crate::web::app::App;
use crate::web::problem::Problem;
use crate::web::route::{Answer, Answered, Asked, Route, get, get_short};

pub const ROUTES: &[Route] = &[get_short("/api/v1/status", &[], overview), get("/api/v1/openapi.json", &[], openapi)];

pub fn overview(app: &App, _: &Asked) -> Answered {
    let store = app.reader()?.store;
    let picture = Picture::take(&store, app.setup.workspaces_bytes_max)?;
    let gate = around::gate(&app.setup.floors, store.place(), picture.worker.as_ref());
    let problems = problems::of(&picture, gate);
    Ok(Answer::Document(shapes::versioned(status::document(&picture, &problems, store.place()))))
}

/// The document that describes the API, with the path under which this server is.
fn openapi(app: &App, _: &Asked) -> Answered {
    const DOCUMENT: &str = include_str!("../openapi.json");
    if app.setup.base.is_empty() {
        return Ok(Answer::Text("application/json", DOCUMENT.to_owned()));
    }
    let wrong = |error: serde_json::Error| Problem::new(500, "failed", format!("the document is not JSON: {error}"));
    let mut document: Value = serde_json::from_str(DOCUMENT).map_err(wrong)?;
    document["servers"] = json!([{"url": app.setup.base}]);
    Ok(Answer::Text("application/json", format!("{document}\n")))
}
