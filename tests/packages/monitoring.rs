//! The alert rules and the dashboard: what they name is there. `packaging/monitoring/test.sh` fires the alerts.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{has, source};
use crate::support::{Nest, said, until};

fn read(name: &str) -> String {
    std::fs::read_to_string(source(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What begins with this prefix in a text, as far as names go.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = |at: usize| !text[..at].ends_with(is_part);
    let found = text.match_indices(prefix).filter(|(at, _)| begins(*at));
    found.map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect()).collect()
}

/// The values that expressions compare a label with, each part of an alternative apart.
fn values(text: &str, label: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operator in ["=\"", "=~\"", "!~\""] {
        for (at, start) in text.match_indices(&format!("{label}{operator}")) {
            let rest = &text[at + start.len()..];
            found.extend(rest[..rest.find('"').expect("it ends")].split('|').map(str::to_owned));
        }
    }
    found
}

/// The expressions of a dashboard, wherever they are.
fn expressions(of: &Value) -> Vec<&str> {
    match of {
        Value::Object(all) => {
            let own =
                all.iter().filter(|(key, _)| *key == "expr" || *key == "definition").filter_map(|(_, value)| value.as_str());
            own.chain(all.values().flat_map(expressions)).collect()
        }
        Value::Array(all) => all.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana.json")).expect("grafana.json is JSON")
}

/// The names of all series of a file that has something of each kind.
fn exported() -> BTreeSet<String> {
    let nest = Nest::new();
    std::fs::write(nest.file("p.toml"), "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"true\"]\n").unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "p"]);
    let web = nest.web(&[]);
    let _worker = nest.work(&[]);
    let job = nest.sh(&[], "exit 3");
    nest.until_ended(job);
    nest.ok(&["resource", "add", "r", "--job", &job.to_string(), "--teardown", "true"]);
    until("each kind to be exported", || {
        let text = web.get("/metrics").text();
        [
            "tenure_worker_open_files_max ",
            "tenure_claims_ago_seconds ",
            "tenure_reaper_ago_seconds ",
            "tenure_reaper_acts_total{",
            "tenure_settles_total{",
            "tenure_problems{",
        ]
        .iter()
        .all(|series| text.contains(series))
        .then(|| text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| words(line, "tenure_")).collect())
    })
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_are_exported() {
    let (alerts, dashboard) = (read("alerts.yml"), dashboard());
    let shown = expressions(&dashboard);
    assert!(shown.len() > 30, "{} expressions", shown.len());
    let named: BTreeSet<String> = words(&alerts, "tenure_").into_iter().chain(words(&shown.join("\n"), "tenure_")).collect();
    assert!(named.len() > 30, "{named:?}");
    let exported = exported();
    let missing: Vec<&String> = named.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {exported:?}");
}

/// A code that is misspelt in a rule would match nothing, and would not be told.
#[test]
fn alerts_name_only_codes_and_acts_that_there_are() {
    let alerts = read("alerts.yml");
    let mut code = String::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let codes = values(&alerts, "code");
    assert!(codes.len() > 10, "{codes:?}");
    let unknown: Vec<&String> = codes.iter().filter(|one| !code.contains(&format!("\"{one}\""))).collect();
    assert!(unknown.is_empty(), "no problem has the code {unknown:?}");
    let acts = values(&alerts, "act");
    assert!(acts.len() > 2, "{acts:?}");
    let unknown: Vec<&String> = acts.iter().filter(|one| !code.contains(&format!("\"{one}_total\""))).collect();
    assert!(unknown.is_empty(), "the reaper has no act {unknown:?}");
}

fn each_source(directory: &Path, all: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            each_source(&entry.path(), all);
        } else if entry.path().extension().is_some_and(|e| e == "rs") {
            all.push_str(&std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn each_alert_is_explained_and_has_a_remedy() {
    let alerts = read("alerts.yml");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md")).unwrap();
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10, "{} alerts", rules.len());
    for rule in &rules {
        let name = rule.lines().next().unwrap();
        let severity = rule.lines().find_map(|line| line.trim().strip_prefix("severity: ")).expect("a severity");
        assert!(page.contains(&format!("| `{name}` | {severity} |")), "docs/monitoring.md does not have {name}, {severity}");
        assert!(rule.contains("remedy: \"") && rule.contains("summary: \""), "{name}");
    }
    assert_eq!(words(&page, "Tenure").len(), rules.len(), "docs/monitoring.md has an alert that there is not");
}

#[test]
fn the_alerts_fire_as_late_as_they_should() {
    if !has("promtool", "the alert rules") {
        return;
    }
    for (check, file) in [("check", "alerts.yml"), ("test", "monitoring/rules.yml")] {
        let checked = said(Command::new("promtool").args([check, "rules"]).arg(source(file)).output().unwrap());
        assert_eq!(checked.code, 0, "{checked:?}");
    }
}
