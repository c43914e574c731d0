use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::job::Argv;
use crate::job::pipeline::Params;

fn around() -> Surroundings {
    let now = "2026-11-30T12:00:00".parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap();
    Surroundings { now, cwd: "/home/me".into(), env: BTreeMap::new(), found: Vec::new(), draw: || "drawn".into() }
}

fn read(text: &str) -> Result<BTreeMap<String, Pipeline>, String> {
    parse(text, &around())
}

const SHIP: &str = r#"
[pipeline.ship]
start = "build"
max_rounds = 3
[pipeline.ship.stage.build]
command = ["make", "VERSION={version}"]
retries = 1
env = { A = "b" }
on_success = "test"
[pipeline.ship.stage.test]
shell = "make test V=$TENURE_PARAM_version {not a place}"
check = "grep -q ok report.txt"
timeout = "10m"
cwd = "sub"
on_success = "publish"
on_failure = "build"
[pipeline.ship.stage.publish]
command = ["make", "publish"]
lane = "publish"
critical = true
teardown = ["rm", "-rf", "stage"]
"#;

#[test]
fn the_example_of_the_manual_is_read() {
    let ship = read(SHIP).unwrap().remove("ship").unwrap();
    assert_eq!((ship.start(), ship.max_rounds()), ("build", 3));
    let build = ship.stage("build").unwrap();
    assert_eq!(
        (build.job.placement.max_attempts, build.job.placement.env["A"].as_str(), build.job.placement.cwd.as_str()),
        (2, "b", "/home/me")
    );
    let test = ship.stage("test").unwrap();
    assert_eq!(
        (test.on_failure.as_deref(), test.job.policy.timeout_ms, test.job.placement.cwd.as_str()),
        (Some("build"), Some(600_000), "/home/me/sub")
    );
    assert_eq!(test.job.policy.check, Some(Argv::from_strs(&["/bin/sh", "-c", "grep -q ok report.txt"]).unwrap()));
    let publish = ship.stage("publish").unwrap();
    assert!(publish.critical && publish.job.placement.lane.as_deref() == Some("publish"));
    assert_eq!(publish.teardown, Some(Argv::from_strs(&["rm", "-rf", "stage"]).unwrap()));
    let params = Params::from([("version".to_owned(), "1 $(id)".to_owned())]);
    let job = ship.job("build", 7, &params, 0).unwrap();
    assert_eq!(job.command, Argv::from_strs(&["make", "VERSION=1 $(id)"]).unwrap());
    let job = ship.job("test", 7, &params, 0).unwrap();
    assert_eq!(
        job.command.arguments()[2],
        b"make test V=$TENURE_PARAM_version {not a place}",
        "a line for the shell is taken as it is"
    );
}

#[test]
fn what_is_wrong_names_the_place_and_the_remedy() {
    let stage = |body: &str| format!("[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\n{body}\n");
    let fine = "command = [\"true\"]";
    for (text, words) in [
        (String::new(), vec!["no pipeline"]),
        ("x".into(), vec!["line 1"]),
        ("[pipeline.p]\nstart = \"a\"\nstart = \"b\"".into(), vec!["line 3", "duplicate"]),
        ("[pipline.p]".into(), vec!["\"pipline\"", "[pipeline.NAME]"]),
        ("pipeline = 3".into(), vec!["3", "table"]),
        ("[pipeline]\np = 3".into(), vec!["\"p\"", "[pipeline.NAME]"]),
        ("[pipeline.\"a b\"]".into(), vec!["letters"]),
        ("[pipeline.\"\\u001b[2J\"]".into(), vec!["letters"]),
        ("[pipeline.p]".into(), vec!["start is missing"]),
        ("[pipeline.p]\nstart = \"a\"".into(), vec!["no stage"]),
        ("[pipeline.p]\nstart = 3".into(), vec!["start", "3"]),
        ("[pipeline.p]\nstrat = \"a\"".into(), vec!["\"strat\"", "start, max_rounds"]),
        ("[pipeline.p]\nmax_rounds = -1".into(), vec!["max_rounds", "-1"]),
        ("[pipeline.p]\nmax_rounds = 1.5".into(), vec!["max_rounds", "1.5"]),
        ("[pipeline.p]\nparams = \"a\"".into(), vec!["params", "list"]),
        (
            "[pipeline.p]\nparams = [\"a b\"]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"x\"]".into(),
            vec!["params", "a b"],
        ),
        (stage(""), vec!["\"a\"", "command"]),
        (stage("command = \"true\""), vec!["command", "shell"]),
        (stage("command = []"), vec!["command"]),
        (stage("command = [1]"), vec!["command"]),
        (stage("command = [\"x\"]\nshell = \"y\""), vec!["not both"]),
        (stage(&format!("{fine}\ntimout = \"1s\"")), vec!["timout", "did you mean", "timeout"]),
        (stage(&format!("{fine}\ntimeout = 5")), vec!["timeout"]),
        (stage(&format!("{fine}\nretries = -1")), vec!["retries"]),
        (stage(&format!("{fine}\nretries = inf")), vec!["inf"]),
        (stage(&format!("{fine}\ncritical = 1")), vec!["critical"]),
        (stage(&format!("{fine}\nteardown = 1")), vec!["teardown"]),
        (stage(&format!("{fine}\non_success = \"b\"")), vec!["on_success", "\"b\""]),
        (stage(&format!("{fine}\non_success = 3")), vec!["on_success", "3"]),
        (stage(&format!("{fine}\nafter = [3]")), vec!["after"]),
        (stage(&format!("{fine}\nafter = [\"b\"]")), vec!["on_success"]),
        (stage(&format!("{fine}\nref = \"b\"")), vec!["ref"]),
        (stage(&format!("{fine}\narray = \"0-9\"")), vec!["array"]),
        (stage(&format!("{fine}\nsecret = [\"HOME\"]")), vec!["secret"]),
        (stage(&format!("{fine}\nstdin = \"-\"")), vec!["stdin"]),
        (stage(&format!("{fine}\nat = \"03:00\"")), vec!["at"]),
        (stage(&format!("{fine}\nunique = \"k\"")), vec!["--key"]),
        (stage("command = [\"x\", \"{a\"]"), vec!["brace"]),
        (stage("command = [\"x\", \"a\\u0000b\"]"), vec!["NUL"]),
        (format!("{}[pipeline.p.stage.b]\n{fine}", stage(fine)), vec!["\"b\"", "reached"]),
    ] {
        let error = read(&text).expect_err(&text);
        for word in words {
            assert!(error.contains(word), "{text}\n-> {error}");
        }
        assert!(!error.contains('\n') && error.len() < 2_000, "{error:?}");
    }
}

#[test]
fn a_ring_without_max_rounds_has_the_default() {
    let text = "[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\ncommand = [\"x\"]\non_failure = \"a\"\n";
    assert_eq!(read(text).unwrap()["p"].max_rounds(), 10);
}

#[test]
fn a_deep_or_long_file_does_no_harm() {
    let deep = format!("[pipeline.p.stage.a]\ncommand = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep).is_err());
    let many: String = (0..300).map(|n| format!("[pipeline.p{n}]\n")).collect();
    assert!(read(&many).unwrap_err().contains("300 pipelines"));
    let mut stages = "[pipeline.p]\nstart = \"s0\"\n".to_owned();
    for n in 0..201 {
        stages += &format!("[pipeline.p.stage.s{n}]\ncommand = [\"x\"]\non_success = \"s{}\"\n", (n + 1) % 201);
    }
    assert!(read(&stages).unwrap_err().contains("201 stages"));
}
