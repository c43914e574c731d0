//! Metrics: numbers that are those of the file, and labels that are only text.

use crate::support::{Nest, Web};

/// Returns the value of a series, written as it is in the text.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn scrape(web: &Web) -> String {
    let got = web.get("/metrics");
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(got.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    let text = got.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

#[test]
fn what_happens_is_counted_from_the_start_of_the_server() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    assert_eq!(value(&scrape(&web), "tenure_claims_total{queue=\"default\"}"), None, "before it was started");
    nest.add(&["--", "true"]);
    nest.sh(&["-q", "mail", "-r", "1", "--backoff", "1ms..1ms"], "sleep 0.02; exit 3");
    nest.add(&["--hold", "--", "true"]);
    nest.ok(&["work", "--until-empty"]);
    let text = scrape(&web);
    for (series, n) in [
        ("tenure_claims_total{queue=\"default\"}", 1.0),
        ("tenure_claims_total{queue=\"mail\"}", 2.0),
        ("tenure_settles_total{queue=\"default\",outcome=\"done\",reason=\"exit\"}", 1.0),
        ("tenure_settles_total{queue=\"mail\",outcome=\"failed\",reason=\"exit\"}", 2.0),
        ("tenure_job_run_seconds_count{queue=\"mail\"}", 2.0),
        ("tenure_job_run_seconds_bucket{le=\"+Inf\",queue=\"mail\"}", 2.0),
        ("tenure_jobs{queue=\"default\",state=\"queued\",hold=\"user\"}", 1.0),
        ("tenure_jobs{queue=\"default\",state=\"done\",hold=\"\"}", 2.0),
        ("tenure_jobs{queue=\"mail\",state=\"failed\",hold=\"\"}", 1.0),
        ("tenure_worker_up", 0.0),
        ("tenure_metrics_behind", 0.0),
        ("tenure_hooks{state=\"open\"}", 0.0),
        ("tenure_resources{state=\"held\"}", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(n), "{series} in\n{text}");
    }
    assert!(value(&text, "tenure_job_run_seconds_sum{queue=\"mail\"}").is_some_and(|seconds| seconds >= 0.04), "{text}");
    assert!(value(&text, "tenure_job_wait_seconds_count{queue=\"default\"}") >= Some(1.0), "{text}");
    assert_eq!(value(&scrape(&web), "tenure_claims_total{queue=\"mail\"}"), Some(2.0), "and not again");
}

#[test]
fn what_is_so_now_is_read_at_each_scrape() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    let worker = nest.work(&["--slots", "3"]);
    crate::support::until("the worker to report", || value(&scrape(&web), "tenure_worker_open_files_max"));
    let text = scrape(&web);
    assert_eq!((value(&text, "tenure_worker_up"), value(&text, "tenure_slots")), (Some(1.0), Some(3.0)), "{text}");
    for series in
        ["tenure_wal_bytes", "tenure_disk_free_bytes", "tenure_disk_bytes", "tenure_worker_open_files", "tenure_web_open_files"]
    {
        assert!(value(&text, series).is_some_and(|n| n >= 0.0), "{series} in\n{text}");
    }
    let pid = worker.pid();
    worker.kill();
    nest.work_until_idle(&[]);
    assert!(!scrape(&web).contains(&format!("={pid}")));
}

#[test]
fn a_hostile_name_is_a_label_and_no_line() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let evil = "a\"} 1\ntenure_worker_up 7\n# \\ \u{1b}<script>";
    nest.sql()
        .execute("INSERT INTO job (command, cwd, queue, label) VALUES ('[\"true\"]', '/', ?1, ?1)", [evil])
        .unwrap_or_else(|error| panic!("the guards refuse it, so this test shows nothing: {error}"));
    let web = nest.web(&[]);
    let text = scrape(&web);
    assert_eq!(value(&text, "tenure_worker_up"), Some(0.0), "{text}");
    assert!(text.lines().all(|line| line.starts_with("tenure_") || line.starts_with("# ")), "{text}");
    assert!(text.contains("a\\\"} 1\\ntenure_worker_up 7"), "{text}");
    let token = web.token.clone().expect("a token");
    assert!(!text.contains(&token));
}

#[test]
fn the_page_names_each_metric() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let web = nest.web(&[]);
    let job = nest.add(&["--", "true"]);
    nest.ok(&["wait", &job.to_string()]);
    let text = scrape(&web);
    let page = std::fs::read_to_string("docs/monitoring.md").expect("it is there");
    let families: Vec<(&str, &str)> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(families.len() > 25, "{families:?}");
    for (name, kind) in families {
        let name = if kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") };
        assert!(page.contains(&name), "{name} is not in docs/monitoring.md");
    }
    drop(worker);
}
