//! The files of the pages: style, script and icon. A browser keeps them; their path has their hash.

use std::sync::LazyLock;

use crate::hash;
use crate::web::app::App;
use crate::web::route::{Answer, Answered, Asked, Route, page};

pub const ROUTES: &[Route] = &[
    Route { is_open: true, is_bare: true, is_long: false, ..page("/files/page.css", &["v"], css) },
    Route { is_open: true, is_bare: true, is_long: false, ..page("/files/page.js", &["v"], js) },
    Route { is_open: true, is_bare: true, is_long: false, ..page("/files/icon.svg", &["v"], icon) },
];

const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");
/// The same drawing in the colour of the text around it.
pub const MARK: &str = include_str!("mark.svg");

/// The hash of all files.
static VERSION: LazyLock<String> = LazyLock::new(|| hash::of([CSS, JS, ICON].concat().as_bytes()));

/// Returns the path of a file.
pub fn path(name: &str) -> String {
    format!("/files/{name}?v={}", &*VERSION)
}

fn css(_: &App, _: &Asked) -> Answered {
    Ok(Answer::File("text/css; charset=utf-8", CSS))
}

fn js(_: &App, _: &Asked) -> Answered {
    Ok(Answer::File("text/javascript; charset=utf-8", JS))
}

fn icon(_: &App, _: &Asked) -> Answered {
    Ok(Answer::File("image/svg+xml", ICON))
}
