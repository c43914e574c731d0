//! The table of routes, and the document that describes it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::web::routes::api;

fn document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("JSON")
}

#[test]
fn the_document_has_each_route_and_no_other() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let told: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())))
        .collect();
    let served: BTreeSet<(String, String)> =
        api().map(|route| (route.path.to_owned(), route.method.as_str().to_owned())).collect();
    assert_eq!(told, served);
    assert_eq!(served.len(), api().count(), "no route is there twice");
}

#[test]
fn the_document_has_the_parameters_of_each_route() {
    let document = document();
    for route in api() {
        let told = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let none = Vec::new();
        let parameters = told["parameters"].as_array().unwrap_or(&none);
        let of = |place: &str| -> BTreeSet<String> {
            let there = parameters.iter().filter(|one| one["in"] == place);
            there.map(|one| one["name"].as_str().unwrap().to_owned() + if one["explode"] == true { "*" } else { "" }).collect()
        };
        let keys: BTreeSet<String> = route.keys.iter().map(ToString::to_string).collect();
        assert_eq!(of("query"), keys, "{}", route.path);
        let names =
            route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(str::to_owned).collect();
        assert_eq!(of("path"), names, "{}", route.path);
        assert_eq!(told["security"].is_array(), route.is_open, "{}", route.path);
    }
}

#[test]
fn what_watches_the_server_does_not_wait_behind_long_answers() {
    let short: BTreeSet<&str> = api().filter(|route| !route.is_long).map(|route| route.path).collect();
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/jobs/{id}/cancel"] {
        assert!(short.contains(path), "{path}");
    }
    assert!(api().any(|route| route.is_long && route.path == "/api/v1/jobs" && route.method.as_str() == "GET"));
}
