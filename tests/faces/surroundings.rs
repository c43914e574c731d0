//! What a job gets: its environment and nothing of the caller's, its input, its secrets, and a place for its result.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::faces::said::{end, run, run_sh};
use crate::support::{Nest, said, until};

fn variables(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_environment_is_the_documented_one_alone() {
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "1"]);
    let options = [
        "--lane",
        "l 1",
        "--array",
        "4-4",
        "--queue",
        "q",
        "--retries",
        "2",
        "--timeout",
        "1h",
        "-e",
        "ASKED=for it",
        "--pass-env",
        "PASSED",
        "-e",
        "HOME=/else",
    ];
    let output = nest
        .tenure(&[&["add"], &options[..], &["--", "env"]].concat())
        .envs([("LEAK", "oh no"), ("PASSED", "on"), ("LD_PRELOAD_X", "1"), ("TENURE_COOKIE", "forged"), ("TENURE_SLOT", "99")])
        .output()
        .unwrap();
    let id: i64 = said(output).out.trim().parse().expect("an id");
    let job = nest.until_ended(id);
    assert_eq!(end(&job), "done/exit", "{job}");
    let env = variables(&nest.log(id));
    let run = job["run_id"].as_i64().unwrap();
    let db = std::fs::canonicalize(nest.db()).unwrap().to_string_lossy().into_owned();
    let expected = [
        ("TENURE_DB", db.as_str()),
        ("TENURE_JOB", &id.to_string()),
        ("TENURE_RUN", &run.to_string()),
        ("TENURE_ATTEMPT", "1"),
        ("TENURE_MAX_ATTEMPTS", "3"),
        ("TENURE_QUEUE", "q"),
        ("TENURE_SLOT", "1"),
        ("TENURE_LANE", "l 1"),
        ("TENURE_ARRAY_INDEX", "4"),
        ("ASKED", "for it"),
        ("PASSED", "on"),
        ("HOME", "/else"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name} in {env:?}");
    }
    let cookie = &env["TENURE_COOKIE"];
    assert!(cookie.len() == 32 && cookie.bytes().all(|b| b.is_ascii_hexdigit()), "{cookie}");
    assert!(env["TENURE_RESULT"].ends_with(&format!("results/{run}")));
    let deadline = &env["TENURE_DEADLINE"];
    assert!(deadline.ends_with('Z') && deadline.as_str() > job["started_at"].as_str().unwrap(), "{deadline}");
    let may = ["PATH", "USER", "SHELL", "TMPDIR", "TENURE_COOKIE", "TENURE_RESULT", "TENURE_DEADLINE"];
    for name in env.keys() {
        assert!(may.contains(&name.as_str()) || expected.iter().any(|(known, _)| known == name), "{name} leaked in");
    }
    let plain = nest.add(&["--", "env"]);
    nest.until_ended(plain);
    let env = variables(&nest.log(plain));
    for absent in ["TENURE_LANE", "TENURE_ARRAY_INDEX", "TENURE_DEADLINE", "TENURE_PREVIOUS_REASON", "ASKED"] {
        assert!(!env.contains_key(absent), "{absent}");
    }
}

#[test]
fn a_name_that_tenure_gives_cannot_be_taken() {
    let nest = Nest::new();
    for option in
        [["-e", "TENURE_RUN=1"], ["--pass-env", "TENURE_DB"], ["--secret", "TENURE_DB"], ["-e", "=x"], ["-e", "NOVALUE"]]
    {
        let said = nest.say(&["add", option[0], option[1], "--", "true"]);
        assert_eq!(said.code, 2, "{option:?} {said:?}");
    }
    let said = nest.say(&["add", "--pass-env", "NOT_SET_ANYWHERE", "--", "true"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("NOT_SET_ANYWHERE"), "{said:?}");
}

#[test]
fn standard_input_is_empty_or_a_file_or_a_copy() {
    let nest = Nest::new();
    assert_eq!(run_sh(&nest, &[], "cat; echo end").said.out, "end\n");
    std::fs::write(nest.file("input"), "from a file\n").unwrap();
    assert_eq!(run(&nest, &["--stdin", "input", "--", "cat"]).said.out, "from a file\n");
    std::process::Command::new("mkfifo").arg(nest.file("pipe")).status().unwrap();
    for path in ["pipe", "."] {
        let ran = run(&nest, &["--stdin", path, "--timeout", "30s", "--", "cat"]);
        assert_eq!((ran.code(), ran.end().as_str()), (126, "failed/spawn"), "nothing waits for a writer: {}", ran.job);
        assert!(ran.error().contains("neither a file nor a device") && ran.error().contains("--stdin -"), "{}", ran.error());
    }
    assert_eq!(run(&nest, &["--stdin", "/dev/zero", "--", "head", "-c", "3"]).said.out, "\0\0\0");
    let mut child =
        nest.tenure(&["add", "--stdin", "-", "--retries", "1", "--backoff", "0s..0s", "-c", "cat; [ $TENURE_ATTEMPT = 2 ]"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let id = said(child.wait_with_output().unwrap()).out.trim().to_owned();
    let kept: Vec<_> = std::fs::read_dir(nest.beside().join("secrets")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1, "a copy is kept until its end");
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    nest.work_until_idle(&[]);
    let out = nest.tenure(&["logs", &id]).output().unwrap().stdout;
    assert!(out == bytes, "byte for byte, and the second attempt has it again: {} of {}", out.len(), bytes.len());
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 0, "gone after the end");
    assert_eq!(nest.say(&["retry", &id]).code, 6, "a done job is not retried");
}

/// Every byte of every file of the nest, by name.
fn everything(nest: &Nest) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut directories) = (Vec::new(), vec![nest.path().to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            match path.metadata() {
                Ok(meta) if meta.is_dir() => directories.push(path),
                Ok(meta) if meta.is_file() => {
                    // Never the main file or its -shm by other means than SQLite's while the worker has it open; a copy is as good.
                    found.push((path.to_string_lossy().into_owned(), std::fs::read(&path).unwrap_or_default()));
                }
                _ => {}
            }
        }
    }
    found
}

fn holds(hay: &[u8], needle: &str) -> bool {
    hay.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn a_secret_is_seen_by_its_job_alone_and_is_gone_after_the_end() {
    const VALUE: &str = "xyzzy-4f0c-plugh";
    let nest = Nest::new();
    let add = [
        "add",
        "--secret",
        "TOKEN",
        "--retries",
        "1",
        "-c",
        "printf %s \"$TOKEN\" | wc -c; while [ ! -e go ]; do sleep 0.02; done; exit 3",
    ];
    let added = said(
        nest.tenure(&[&add[..2], &["TOKEN", "--no-retry-on", "3"], &add[3..]].concat()).env("TOKEN", VALUE).output().unwrap(),
    );
    let id: i64 = added.out.trim().parse().expect("an id");
    let worker = nest.work(&[]);
    nest.until_pid(id);
    nest.until_log(id, "16");
    nest.ok(&["backup", "copy.db"]);
    for args in
        [&["show", "1"][..], &["show", "1", "--json"], &["ls", "-a"], &["why", "1"], &["history", "1"], &["status", "--json"]]
    {
        let said = nest.say(args);
        assert!(!said.out.contains(VALUE) && !said.err.contains(VALUE), "{args:?}");
    }
    assert!(nest.ok(&["show", "1"]).contains("TOKEN"), "its name is shown");
    let argvs: Vec<_> =
        nest.of_runs().into_iter().map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).collect();
    assert!(!argvs.is_empty() && !argvs.iter().any(|argv| holds(argv, VALUE)));
    let run = nest.show(id)["run_id"].to_string();
    assert!(!nest.run_file(run.parse().unwrap()).contains(VALUE));
    std::fs::write(nest.file("go"), "").unwrap();
    let job = nest.until_ended(id);
    assert_eq!((end(&job).as_str(), &job["attempts"]), ("failed/exit", &1.into()), "{job}");
    until("the secret to be removed", || (std::fs::read_dir(nest.beside().join("secrets")).ok()?.count() == 0).then_some(()));
    worker.stop();
    for (name, bytes) in everything(&nest) {
        assert!(!holds(&bytes, VALUE), "the secret is in {name}");
        assert!(!name.contains(VALUE));
    }
    let retry = nest.say(&["retry", &id.to_string()]);
    assert_eq!(retry.code, 6, "{retry:?}");
    assert!(retry.err.contains("secret"), "{retry:?}");
    assert!(nest.ok(&["why", &id.to_string()]).contains("add it again"), "why says what to do instead");
    let said = nest.say(&["add", "--secret", "NOT_SET_ANYWHERE", "--", "true"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn a_cancelled_jobs_secret_goes_at_once_also_with_no_worker() {
    let nest = Nest::new();
    let added = said(nest.tenure(&["add", "--secret", "TOKEN", "--", "true"]).env("TOKEN", "abcdefgh").output().unwrap());
    nest.ok(&["cancel", added.out.trim()]);
    assert_eq!(nest.say(&["retry", "1"]).code, 6);
    nest.work_until_idle(&[]);
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 0);
}

#[test]
fn a_result_is_kept_and_one_that_is_too_long_is_cut_or_told() {
    let nest = Nest::new();
    let ran = run_sh(&nest, &[], "echo 'the answer is 42' >$TENURE_RESULT");
    assert_eq!(ran.job["result"], "the answer is 42\n", "{}", ran.job);
    assert!(nest.ok(&["show", "last"]).contains("the answer is 42"));
    let ran = run_sh(&nest, &["--retries", "1", "--backoff", "0s..0s"], "echo $TENURE_ATTEMPT >$TENURE_RESULT; exit 3");
    assert_eq!((ran.end().as_str(), &ran.job["result"]), ("failed/exit", &"2\n".into()), "also of one that failed");
    let ran = run_sh(&nest, &[], "head -c 200000 /dev/zero | tr '\\0' x >$TENURE_RESULT");
    assert_eq!(ran.end(), "done/exit");
    let kept = ran.job["result"].as_str().map_or(0, str::len);
    assert!((1..=65_536).contains(&kept), "{kept}");
    // The last character ends three bytes behind the limit of 65,536.
    let ran = run_sh(
        &nest,
        &[],
        "head -c 65535 /dev/zero | tr '\\0' x >$TENURE_RESULT; printf '\\360\\237\\230\\200' >>$TENURE_RESULT",
    );
    assert_eq!(ran.job["result"].as_str().unwrap(), "x".repeat(65_535), "a character that is cut is left out");
    let ran = run_sh(&nest, &[], "printf '\\377\\000\\033[2Jx' >$TENURE_RESULT");
    assert_eq!(ran.end(), "done/exit", "{}", ran.job);
    assert!(!nest.ok(&["show", "last"]).contains('\x1b'));
    assert_eq!(std::fs::read_dir(nest.beside().join("results")).unwrap().count(), 0, "the files are gone");
}

#[test]
fn a_result_that_is_not_a_file_is_not_read() {
    use std::os::unix::fs::OpenOptionsExt;
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "3"]);
    let pipe = nest.sh(&[], "mkfifo $TENURE_RESULT; until [ -e go ]; do sleep 0.02; done; echo said >$TENURE_RESULT");
    let directory = nest.sh(&[], "mkdir $TENURE_RESULT; echo said >$TENURE_RESULT/said");
    let link = nest.sh(&[], "echo said >said; ln -s $PWD/said $TENURE_RESULT");
    nest.until_pid(pipe);
    let path = nest.beside().join("results").join(nest.show(pipe)["run_id"].to_string());
    until("the pipe", || path.exists().then_some(()));
    // What the job writes stays in the pipe as long as a reader has it open.
    let reader = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    for job in [pipe, directory, link] {
        let ended = nest.until_ended(job);
        assert_eq!((&ended["state"], &ended["result"]), (&"done".into(), &serde_json::Value::Null), "{ended}");
    }
    drop(reader);
}

#[test]
fn a_job_reports_its_progress_and_one_that_owns_nothing_may_not() {
    let nest = Nest::new();
    let _worker = nest.work(&[]);
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let id =
        nest.sh(&[], &format!("{tenure} progress 40 'half way'; while [ ! -e go ]; do sleep 0.02; done; {tenure} progress 100"));
    let job = until("its progress", || Some(nest.show(id)).filter(|job| !job["progress"].is_null()));
    assert_eq!((&job["progress"]["percent"], &job["progress"]["text"]), (&40.0.into(), &"half way".into()), "{job}");
    assert!(job["progress"]["at"].as_str().unwrap().ends_with('Z'));
    assert!(nest.ok(&["show", &id.to_string()]).contains("40% half way"));
    std::fs::write(nest.file("go"), "").unwrap();
    let job = nest.until_ended(id);
    assert_eq!((end(&job).as_str(), &job["progress"]["percent"]), ("done/exit", &100.0.into()), "{job}");
    assert_eq!(nest.say(&["progress", "40"]).code, 2, "outside a job");
    let run = job["run_id"].to_string();
    let late = said(nest.tenure(&["progress", "50"]).env("TENURE_JOB", id.to_string()).env("TENURE_RUN", run).output().unwrap());
    assert_eq!(late.code, 6, "{late:?}");
}

#[test]
fn an_argv_is_run_byte_for_byte() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let nest = Nest::new();
    let odd: Vec<u8> = (1..=255).collect();
    let mut command = nest.tenure(&["run", "--", "printf", "%s|", "", "a b", "--", "-x", "$HOME", "*", "\n"]);
    let output = command.arg(OsString::from_vec(odd.clone())).output().unwrap();
    let expected = [b"|a b|--|-x|$HOME|*|\n|".as_slice(), &odd, b"|"].concat();
    assert!(output.stdout == expected, "{:?}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(nest.show(1)["command"][9]["hex"].as_str().map(str::len), Some(510));
}
