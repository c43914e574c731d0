//! `run`, `wait` and `show` tell how a job ended, each in its own way, and never call good what was not.

use crate::faces::said::{end, run, run_sh};
use crate::support::{Nest, until, write_program};

#[test]
fn run_ends_as_its_job_ended_and_show_says_the_same() {
    let nest = Nest::new();
    let cases: &[(&str, i32, &str, &str)] = &[
        ("exit 0", 0, "done/exit", ""),
        ("exit 3", 3, "failed/exit", "exit status 3"),
        ("exit 255", 255, "failed/exit", "exit status 255"),
        ("kill -9 $$", 137, "failed/signal", "killed by signal 9"),
        ("kill -TERM $$", 143, "failed/signal", "killed by signal 15"),
        ("ulimit -c 0; kill -SEGV $$", 139, "failed/signal", "killed by signal 11"),
        ("kill -34 $$", 162, "failed/signal", "killed by signal 34"),
    ];
    for (line, code, expected, error) in cases {
        let ran = run_sh(&nest, &[], line);
        assert_eq!((ran.code(), ran.end().as_str(), ran.error()), (*code, *expected, *error), "{line}: {:?}", ran.said);
        let id = ran.job["id"].to_string();
        assert_eq!(nest.say(&["wait", &id]).code, *code, "wait ends as run did: {line}");
        let shown = nest.ok(&["show", &id]);
        assert!(shown.contains(error), "{shown}");
        let (exit_code, signal) = (ran.job["exit_code"].as_i64(), ran.job["signal"].as_i64());
        assert_eq!(exit_code.is_some(), signal.is_none(), "one of the two: {}", ran.job);
        assert_eq!(exit_code.unwrap_or_else(|| 128 + signal.unwrap()), i64::from(*code));
    }
}

#[test]
fn an_unexecutable_command_is_126_or_127_with_its_reason() {
    let nest = Nest::new();
    std::fs::write(nest.file("plain"), "no program\n").unwrap();
    std::fs::create_dir(nest.file("dir")).unwrap();
    write_program(nest.file("script"), "#!/no/such/interpreter\n");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--", "no-such-program-anywhere"], 127, "no-such-program-anywhere"),
        (&["--", "/no/such/program"], 127, "No such file"),
        (&["--", "./plain"], 126, "ermission denied"),
        (&["--", "./dir"], 126, "./dir"),
        (&["--", "./script"], 127, "No such file"),
        (&["--cwd", "/no/such/dir", "--", "true"], 126, "/no/such/dir"),
        (&["--stdin", "/no/such/input", "--", "cat"], 126, "/no/such/input"),
    ];
    for (args, code, word) in cases {
        let ran = run(&nest, args);
        assert_eq!((ran.code(), ran.end().as_str()), (*code, "failed/spawn"), "{args:?}: {:?} {}", ran.said, ran.job);
        assert!(ran.error().contains(word), "{args:?}: {}", ran.error());
        assert!(ran.said.err.contains(word), "run says why: {:?}", ran.said);
        let id = ran.job["id"].to_string();
        assert!(nest.ok(&["why", &id]).contains(word));
        assert_eq!(nest.say(&["wait", &id]).code, *code);
    }
}

#[test]
fn an_end_without_a_code_is_1_and_so_is_an_early_cancel() {
    let nest = Nest::new();
    let failed = nest.sh(&[], "exit 4");
    let waiting = nest.sh(&["--after", &failed.to_string()], "true");
    let cancelled = nest.sh(&[], "true");
    nest.ok(&["cancel", &cancelled.to_string()]);
    nest.work_until_idle(&[]);
    assert_eq!(end(&nest.show(waiting)), "failed/dependency");
    assert_eq!(end(&nest.show(cancelled)), "cancelled/cancelled");
    assert_eq!(nest.say(&["wait", &waiting.to_string()]).code, 1);
    assert_eq!(nest.say(&["wait", &cancelled.to_string()]).code, 1);
    assert_eq!(nest.say(&["wait", &format!("{failed}")]).code, 4);
    let why = nest.ok(&["why", &waiting.to_string()]);
    assert!(why.contains("dependency") && why.contains("never started"), "{why}");
}

#[test]
fn wait_for_several_is_0_when_all_are_done_and_otherwise_1() {
    let nest = Nest::new();
    let (good, bad) = (nest.sh(&[], "true"), nest.sh(&[], "exit 7"));
    let other = nest.sh(&[], "true");
    nest.work_until_idle(&[]);
    let (good, bad, other) = (good.to_string(), bad.to_string(), other.to_string());
    assert_eq!(nest.say(&["wait", &good, &other]).code, 0);
    let both = nest.say(&["wait", &format!("{good},{bad}")]);
    assert_eq!(both.code, 1);
    assert!(both.err.contains(&format!("job {bad} failed (exit)")) && both.err.contains("exit status 7"), "{both:?}");
    assert_eq!(nest.say(&["wait", "--any", &bad, &other]).code, 1, "two of them have ended, and one is not done");
    let several = nest.say(&["wait", "--json", &good, &bad]);
    let ids: Vec<i64> = several
        .out
        .lines()
        .map(|line| {
            let job: serde_json::Value = serde_json::from_str(line).expect("a document a line");
            assert_eq!(job["schema"], 1);
            job["id"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn a_wait_that_runs_out_is_124_and_names_the_jobs_left() {
    let nest = Nest::new();
    let (one, two) = (nest.sh(&[], "true").to_string(), nest.sh(&["--hold"], "true").to_string());
    let said = nest.say(&["wait", "--timeout", "1500ms", &one, &two]);
    assert_eq!(said.code, 124, "{said:?}");
    assert!(said.err.contains(&format!("{one}, {two}")), "{said:?}");
    assert_eq!(said.err.matches("no worker").count(), 1, "{said:?}");
    assert_eq!(nest.say(&["wait", "--need-worker", &one]).code, 5);
    assert_eq!(nest.say(&["run", "--need-worker", "--", "true"]).code, 5);
    let worker = nest.work(&[]);
    assert_eq!(nest.say(&["wait", "--any", &one, &two]).code, 0, "the held one is not waited for");
    drop(worker);
}

#[test]
fn two_runs_at_once_and_a_later_worker_end_with_their_own_codes() {
    let nest = Nest::new();
    let go = "while [ ! -e go ]; do sleep 0.02; done;";
    let children: Vec<_> = [11, 12, 13]
        .map(|code| nest.tenure(&["run", "-c", &format!("{go} exit {code}")]))
        .map(|mut command| command.stdout(std::process::Stdio::piped()).spawn().unwrap())
        .into_iter()
        .collect();
    until("one of them to run", || {
        let said = nest.say(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&said.out).ok()?;
        (status["counts"]["running"].as_i64()? > 0).then_some(())
    });
    let _worker = nest.work(&["--slots", "3"]);
    until("the worker to run all three", || (nest.status()["counts"]["running"] == 3).then_some(()));
    std::fs::write(nest.file("go"), "").unwrap();
    let mut codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [11, 12, 13]);
}

#[test]
fn tenures_own_failure_is_not_the_code_of_a_job() {
    let nest = Nest::new();
    assert_eq!(nest.say(&["run"]).code, 2, "a command is missing");
    assert!(!nest.db().exists(), "and nothing was made");
    assert_eq!(nest.say(&["wait", "7"]).code, 4, "there is no file");
    nest.sh(&[], "true");
    assert_eq!(nest.say(&["wait", "7"]).code, 3);
    std::fs::write(nest.file("broken.toml"), "slots = \"many\"").unwrap();
    let said = crate::support::said(
        nest.tenure(&["run", "--", "true"]).env("TENURE_CONFIG", nest.file("broken.toml")).output().unwrap(),
    );
    assert_eq!(said.code, 2, "{said:?}");
    let line = format!("mkdir gone && cd gone && rmdir ../gone && exec {} run -- true", env!("CARGO_BIN_EXE_tenure"));
    let mut shell = std::process::Command::new("sh");
    let said =
        crate::support::said(shell.args(["-c", &line]).current_dir(nest.path()).env("TENURE_DB", nest.db()).output().unwrap());
    assert_eq!(said.code, 125, "{said:?}");
    assert!(said.err.contains("--cwd"), "the remedy: {said:?}");
}
