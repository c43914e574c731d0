//! What is tried again, how often, and what "not now" means.

use serde_json::Value;

use crate::faces::said::{end, of_runs, run_sh};
use crate::support::Nest;

const AT_ONCE: &[&str] = &["--backoff", "0s..0s"];

fn tried(nest: &Nest, options: &[&str], line: &str) -> Value {
    run_sh(nest, &[AT_ONCE, options].concat(), line).job
}

#[test]
fn retries_are_used_up_and_each_run_is_kept() {
    let nest = Nest::new();
    let job = tried(&nest, &["--retries", "2"], "echo try $TENURE_ATTEMPT of $TENURE_MAX_ATTEMPTS; exit $TENURE_ATTEMPT");
    assert_eq!((end(&job).as_str(), &job["exit_code"]), ("failed/exit", &Value::from(3)), "{job}");
    assert_eq!((&job["attempts"], &job["max_attempts"]), (&Value::from(3), &Value::from(3)));
    assert_eq!(of_runs(&job, "exit_code"), ["1", "2", "3"]);
    assert_eq!(of_runs(&job, "attempt"), ["1", "2", "3"]);
    let first = job["runs"][0]["id"].to_string();
    assert_eq!(nest.ok(&["logs", "last", "--run", &first]), "try 1 of 3");
    assert_eq!(nest.log(1), "try 3 of 3");
    let job = tried(&nest, &["--retries", "5"], "[ $TENURE_ATTEMPT = 3 ]");
    assert_eq!((end(&job).as_str(), &job["attempts"]), ("done/exit", &Value::from(3)));
}

#[test]
fn run_shows_the_output_of_every_attempt_in_order() {
    let nest = Nest::new();
    let ran = run_sh(&nest, &[AT_ONCE, &["--retries", "3"]].concat(), "echo attempt $TENURE_ATTEMPT; [ $TENURE_ATTEMPT = 3 ]");
    assert_eq!(ran.said.out, "attempt 1\nattempt 2\nattempt 3\n");
    assert_eq!(ran.code(), 0);
}

#[test]
fn each_attempt_knows_why_the_one_before_ended() {
    let nest = Nest::new();
    let line =
        "echo ${TENURE_PREVIOUS_REASON-none}; case $TENURE_ATTEMPT in 1) exit 9;; 2) kill -9 $$;; 3) exec sleep 600;; esac";
    let ran = run_sh(&nest, &[AT_ONCE, &["--retries", "3", "--timeout", "1s"]].concat(), line);
    assert_eq!(ran.said.out, "none\nexit\nsignal\ntimeout\n", "{}", ran.job);
    assert_eq!(of_runs(&ran.job, "reason"), ["exit", "signal", "timeout", "exit"]);
}

#[test]
fn not_now_uses_no_attempt_and_is_counted_up_to_its_limit() {
    let nest = Nest::new();
    let line = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; [ $n -ge 3 ] || exit 75";
    let job = tried(&nest, &[], line);
    assert_eq!(end(&job), "done/exit", "{job}");
    assert_eq!((&job["attempts"], &job["deferrals"]), (&Value::from(1), &Value::from(3)), "{job}");
    assert_eq!(of_runs(&job, "outcome"), ["deferred", "deferred", "deferred", "done"]);
    let ran = run_sh(&nest, &[AT_ONCE, &["--max-deferrals", "2", "--retries", "7"]].concat(), "echo x; exit 75");
    assert_eq!((ran.code(), ran.end().as_str()), (75, "failed/exit"), "{}", ran.job);
    let why = nest.ok(&["why", "last"]);
    assert!(why.contains("\"not now\" too often (--max-deferrals); it was deferred 2 of 2 times"), "{why}");
    assert_eq!(of_runs(&ran.job, "outcome")[..2], ["deferred", "deferred"], "{}", ran.job);
    assert_eq!(ran.said.out, "x\nx\nx\n", "two deferrals, and the third is its end: {}", ran.job);
    let why = nest.ok(&["why", "last"]);
    assert!(why.contains("not now") && why.contains("2 of 2"), "{why}");
    let ran = run_sh(&nest, &[AT_ONCE, &["--max-deferrals", "0"]].concat(), "exit 75");
    assert_eq!((ran.code(), of_runs(&ran.job, "exit_code").len()), (75, 1), "{}", ran.job);
}

#[test]
fn hopeless_codes_are_not_tried_again_unless_asked() {
    let nest = Nest::new();
    for code in [64, 65, 77, 78] {
        let job = tried(&nest, &["--retries", "2"], &format!("exit {code}"));
        assert_eq!((&job["attempts"], &job["exit_code"]), (&Value::from(1), &Value::from(code)), "{job}");
        let why = nest.ok(&["why", "last"]);
        assert!(why.contains("not tried again") && why.contains("--retry-on"), "{why}");
    }
    let job = tried(&nest, &["--retries", "2", "--retry-on", "65,signal"], "exit 65");
    assert_eq!(job["attempts"], 3);
    let job = tried(&nest, &["--retries", "2", "--retry-on", "65,signal"], "kill -9 $$");
    assert_eq!(job["attempts"], 3);
    let job = tried(&nest, &["--retries", "2", "--retry-on", "65,signal"], "exit 1");
    assert_eq!(job["attempts"], 1, "the list replaces the default");
    let job = tried(&nest, &["--retries", "2", "--no-retry-on", "3,signal"], "exit 3");
    assert_eq!(job["attempts"], 1);
    let job = tried(&nest, &["--retries", "2", "--no-retry-on", "3,signal"], "exit 4");
    assert_eq!(job["attempts"], 3);
    let job = tried(&nest, &["--retries", "2"], "cd /; exec /no/such/program");
    assert_eq!(job["attempts"], 3, "127 of a shell is a code like others");
    let ran = crate::faces::said::run(&nest, &["--retries", "2", "--backoff", "0s..0s", "--", "/no/such/program"]);
    assert_eq!((ran.code(), of_runs(&ran.job, "reason")), (127, vec!["spawn".to_owned()]));
}

#[test]
fn a_check_decides_whether_exit_0_was_a_success() {
    let nest = Nest::new();
    let job = tried(&nest, &["--check", "test -e made"], "touch made");
    assert_eq!(end(&job), "done/exit", "{job}");
    assert_eq!(of_runs(&job, "kind"), ["job", "check"]);
    let ran = run_sh(&nest, &[AT_ONCE, &["--retries", "1", "--check", "exit 3"]].concat(), "echo once >>ledger");
    assert_eq!((ran.code(), ran.end().as_str()), (1, "failed/check"), "{}", ran.job);
    assert!(ran.error().contains("exit status 3"), "{}", ran.job);
    assert_eq!(std::fs::read_to_string(nest.file("ledger")).unwrap(), "once\nonce\n", "a check that fails is a failed attempt");
    let job = tried(&nest, &["--check", "exit 3"], "exit 4");
    assert_eq!(of_runs(&job, "kind"), ["job"], "only exit 0 is checked");
}

#[test]
fn a_deferred_check_runs_again_and_its_job_does_not() {
    let nest = Nest::new();
    let check = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n; [ $n -ge 2 ] || exit 75";
    let job = tried(&nest, &["--check", check], "echo once >>ledger");
    assert_eq!(end(&job), "done/exit", "{job}");
    assert_eq!(of_runs(&job, "outcome"), ["done", "deferred", "deferred", "done"], "{job}");
    assert_eq!(std::fs::read_to_string(nest.file("ledger")).unwrap(), "once\n");
}

#[test]
fn a_check_that_cannot_run_or_hangs_fails_its_job() {
    let nest = Nest::new();
    std::fs::write(nest.file("lines"), "{\"command\": [\"true\"], \"check\": [\"/no/such/check\"]}\n").unwrap();
    nest.ok(&["add", "--from", "lines"]);
    nest.work_until_idle(&[]);
    let job = nest.show(1);
    assert_eq!(end(&job), "failed/check", "{job}");
    assert!(job["error"].as_str().unwrap().contains("/no/such/check"), "{job}");
    let ran =
        run_sh(&nest, &["--timeout", "700ms", "--grace", "100ms", "--check", "trap '' TERM; sleep 600 & sleep 600"], "true");
    assert_eq!((ran.code(), ran.end().as_str()), (1, "failed/check"), "{}", ran.job);
    assert!(ran.error().contains("timeout"), "{}", ran.error());
    assert!(nest.of_runs().is_empty(), "and nothing of it is left");
}

#[test]
fn the_backoff_delays_the_next_attempt_and_why_shows_the_time() {
    let nest = Nest::new();
    let id = nest.sh(&["--retries", "1", "--backoff", "1h..1h"], "exit 5");
    nest.work_until_idle(&[]);
    let job = nest.show(id);
    assert_eq!((&job["state"], &job["hold"], &job["attempts"]), (&"queued".into(), &"time".into(), &1.into()), "{job}");
    assert!(job["exit_code"].is_null() && job["run_id"].is_null());
    let why = nest.ok(&["why", &id.to_string()]);
    assert!(why.contains("starts no sooner") && why.contains("exit status 5") && why.contains("attempt 1 of 2"), "{why}");
    nest.ok(&["set", &id.to_string(), "delay=0s"]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.show(id)["attempts"], 2);
}

#[test]
fn fewer_retries_in_a_backoff_end_the_job_as_its_latest_run() {
    type Case = (&'static str, &'static [&'static str], &'static str, &'static str, i32);
    let cases: &[Case] = &[
        ("exit 3", &[], "0", "failed/exit", 3),
        ("exit 3", &[], "1", "queued/-", 0),
        ("kill -9 $$", &[], "0", "failed/signal", 137),
        ("sleep 600", &["--timeout", "100ms", "--grace", "0s"], "0", "failed/timeout", 124),
    ];
    for (line, options, retries, expected, code) in cases {
        let nest = Nest::new();
        let id = nest.sh(&[&["--retries", "5", "--backoff", "1h..1h", "--unique", "k"], *options].concat(), line);
        let after = nest.sh(&["--after-failed", "1"], "true");
        nest.work_until_idle(&[]);
        assert_eq!((nest.state(id).as_str(), &nest.show(id)["attempts"]), ("queued", &Value::from(1)));
        let said = nest.say(&["set", "1", &format!("retries={retries}")]);
        assert_eq!(said.code, 0, "{said:?}");
        let job = nest.show(id);
        assert_eq!(&end(&job), expected, "{line} {retries}: {job}");
        assert_eq!(said.err.contains("has ended"), expected.starts_with("failed"), "{said:?}");
        // Even when its time comes, nothing is tried again that may not be.
        nest.owner().execute("UPDATE job SET available_at = 0 WHERE state = 'queued'", []).unwrap();
        if expected.starts_with("failed") {
            nest.work_until_idle(&[]);
            assert_eq!(nest.show(id)["runs"].as_array().unwrap().len(), 1);
            assert_eq!(nest.say(&["wait", "1"]).code, *code, "{line}");
            assert_eq!(end(&nest.show(after)), "done/exit", "a job that waits for its failure runs");
            assert_ne!(nest.sh(&["--unique", "k", "--hold"], "true"), id, "its key is free");
        }
    }
}
