//! The overview.

use crate::document::picture::Picture;
use crate::document::{problems, shapes, status};
use crate::queue::why::around;
use crate::web::app::App;
use crate::web::route::{Answer, Answered, Asked, Route, get, get_short};

pub const ROUTES: &[Route] = &[get_short("/api/v1/status", &[], overview), get("/api/v1/openapi.json", &[], openapi)];

pub fn overview(app: &App, _: &Asked) -> Answered {
    let store = app.reader()?.store;
    let picture = Picture::take(&store, app.setup.workspaces_bytes_max)?;
    let gate = around::gate(&app.setup.floors, store.place(), picture.worker.as_ref());
    let problems = problems::of(&picture, gate);
    Ok(Answer::Document(shapes::versioned(status::document(&picture, &problems, store.place()))))
}

fn openapi(_: &App, _: &Asked) -> Answered {
    Ok(Answer::Text("application/json", include_str!("../openapi.json").to_owned()))
}
