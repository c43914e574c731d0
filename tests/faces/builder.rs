//! Each method of the library's builders does what its option of the command line does.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use serde_json::{Value, json};
use tenure::{Job, JobId, Queue, Reason};

use crate::support::{Nest, until};

/// Largest difference of two times of the same description, in milliseconds.
const APART_MS: i64 = 60_000;

/// A method, the arguments of `tenure add` that mean the same, and a job that was built with it.
fn cases() -> Vec<(&'static str, &'static [&'static str], Job)> {
    let x = || Job::command(["x"]);
    let s = Duration::from_secs;
    let first = JobId(1);
    vec![
        ("command", &["--", "x", "y z"], Job::command(["x", "y z"])),
        ("shell", &["-c", "a && b"], Job::shell("a && b")),
        ("call", &["-l", "f", "--", "/proc/self/exe", "__handler", "f", "a"], Job::call("f", ["a"])),
        ("queue", &["-q", "slow", "--", "x"], x().queue("slow")),
        ("lane", &["--lane", "db", "--", "x"], x().lane("db")),
        ("priority", &["-o", "-5", "--", "x"], x().priority(-5)),
        ("slots", &["--slots", "3", "--", "x"], x().slots(3)),
        ("uses", &["--use", "gpu=2", "--", "x"], x().uses("gpu", 2)),
        ("label", &["-l", "nightly", "--", "x"], x().label("nightly")),
        ("delay", &["-d", "2h", "--", "x"], x().delay(s(7_200))),
        ("at", &["--at", "2040-01-01T00:00:00Z", "--", "x"], x().at(SystemTime::UNIX_EPOCH + s(2_208_988_800))),
        ("expires_in", &["--expires", "3h", "--", "x"], x().expires_in(s(10_800))),
        ("held", &["--hold", "--", "x"], x().held()),
        ("retries", &["-r", "3", "--", "x"], x().retries(3)),
        ("backoff", &["--backoff", "1s..2s", "--", "x"], x().backoff(s(1), s(2))),
        ("retry_on_exit", &["--retry-on", "1,7", "--", "x"], x().retry_on_exit(1).retry_on_exit(7)),
        ("retry_on", &["--retry-on", "timeout", "--", "x"], x().retry_on(Reason::Timeout)),
        ("no_retry_on_exit", &["--no-retry-on", "3", "--", "x"], x().no_retry_on_exit(3)),
        ("no_retry_on", &["--no-retry-on", "memory", "--", "x"], x().no_retry_on(Reason::Memory)),
        ("max_deferrals", &["--max-deferrals", "4", "--", "x"], x().max_deferrals(4)),
        ("timeout", &["-t", "1h", "--", "x"], x().timeout(s(3_600))),
        ("grace", &["--grace", "3s", "--", "x"], x().grace(s(3))),
        ("warn", &["--warn", "USR1@60s", "-t", "1h", "--", "x"], x().warn(10, s(60)).timeout(s(3_600))),
        ("idle_timeout", &["--idle-timeout", "5m", "--", "x"], x().idle_timeout(s(300))),
        ("after", &["-a", "1", "--", "x"], x().after(first)),
        ("after_any", &["--after-any", "1", "--", "x"], x().after_any(first)),
        ("after_failed", &["--after-failed", "1", "--", "x"], x().after_failed(first)),
        ("unique", &["--unique", "k", "--", "x"], x().unique("k")),
        ("replace", &["--unique", "k", "--replace", "--", "x"], x().replace("k")),
        ("cwd", &["--cwd", "sub", "--", "x"], x().cwd("sub")),
        ("env", &["-e", "A=b", "--", "x"], x().env("A", "b")),
        ("secret", &["--secret", "LANG", "--", "x"], x().secret("LANG", "C.UTF-8")),
        ("stdin", &["--stdin", "-", "--", "x"], x().stdin("")),
        ("stdin_file", &["--stdin", "in", "--", "x"], x().stdin_file("in")),
        ("check", &["--check", "test -s out", "--", "x"], x().check(["/bin/sh", "-c", "test -s out"])),
        ("on_failure", &["--on-failure", "tell", "--", "x"], x().on_failure(["/bin/sh", "-c", "tell"])),
        ("on_success", &["--on-success", "tell", "--", "x"], x().on_success(["/bin/sh", "-c", "tell"])),
        ("on_end", &["--on-end", "tell", "--", "x"], x().on_end(["/bin/sh", "-c", "tell"])),
        ("workspace", &["--workspace", "repo", "--", "x"], x().workspace("repo")),
        (
            "prepare",
            &["--workspace", "repo", "--prepare", "make", "--", "x"],
            x().workspace("repo").prepare(["/bin/sh", "-c", "make"]),
        ),
        ("memory", &["--memory", "2G", "--", "x"], x().memory(2 << 30)),
        ("nice", &["--nice", "3", "--", "x"], x().nice(3)),
        ("user", &["--user", "nobody", "--", "x"], x().user("nobody")),
        ("log_limit", &["--log-limit", "1M", "--", "x"], x().log_limit(1 << 20)),
        // A second call adds to the first, and the order of two methods does not matter.
        ("retry_on", &["--retry-on", "1,timeout,memory", "--", "x"], {
            x().retry_on_exit(1).retry_on(Reason::Timeout).retry_on(Reason::Memory)
        }),
        ("no_retry_on", &["--no-retry-on", "3,memory,4,timeout", "--", "x"], {
            x().no_retry_on_exit(3).no_retry_on(Reason::Memory).no_retry_on_exit(4).no_retry_on(Reason::Timeout)
        }),
        ("after", &["-a", "1", "--after-any", "2", "--after-failed", "3", "--", "x"], {
            x().after(first).after_any(JobId(2)).after_failed(JobId(3))
        }),
        ("env", &["-e", "A=b", "-e", "C=d", "--", "x"], x().env("A", "b").env("C", "d")),
        ("secret", &["--secret", "LANG", "--secret", "TZ", "--", "x"], x().secret("LANG", "C.UTF-8").secret("TZ", "UTC")),
        ("workspace", &["--workspace", "repo", "--prepare", "make", "--", "x"], {
            x().workspace("other").prepare(["/bin/sh", "-c", "make"]).workspace("repo")
        }),
    ]
}

/// Returns the row of a job with what it waits for; times are those since it was added, and each
/// file of a secret is its content.
fn row(conn: &Connection, beside: &Path, id: i64) -> Value {
    let text = |sql: &str| conn.query_row(sql, [id], |row| row.get::<_, String>(0)).unwrap();
    let all: Value = serde_json::from_str(&text(
        "SELECT json_object('id', id, 'state', state, 'queue', queue, 'lane', lane, 'priority', priority, 'slots', slots, 'uses', uses, 'label', label, \
         'cwd', cwd, 'max_attempts', max_attempts, 'unique_key', unique_key, 'env', json(env), 'policy', json(policy), \
         'user_hold', user_hold, 'command', json(command), 'expires', expires_at - created_at, \
         'waits', iif(available_at > created_at, available_at - created_at, 0)) FROM job WHERE id = ?1",
    ))
    .unwrap();
    let needs = text("SELECT json_group_array(json_array(on_job, need)) FROM dependency WHERE job_id = ?1");
    let mut shown = json!({"row": all, "needs": needs});
    let policy = &mut shown["row"]["policy"];
    let content = |token: &str| std::fs::read_to_string(beside.join("secrets").join(token)).unwrap();
    for (_, token) in policy["secrets"].as_object_mut().into_iter().flatten() {
        *token = content(token.as_str().unwrap()).into();
    }
    if let Some(token) = policy["stdin"]["kept"].as_str().map(str::to_owned) {
        policy["stdin"]["kept"] = content(&token).into();
    }
    shown
}

/// Takes a time out of a row.
fn taken(row: &mut Value, name: &str) -> Option<i64> {
    row["row"][name].take().as_i64()
}

#[test]
fn each_method_of_a_job_gives_the_row_of_its_option() {
    let nest = Nest::new();
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    let (of_command_line, of_library) = (nest.db(), nest.file("library.db"));
    let queue = Queue::open(&of_library).unwrap();
    queue.set_pool("gpu", 2).unwrap();
    nest.add(&["--hold", "--", "x"]);
    queue.add(Job::command(["x"]).held()).unwrap();
    let [one, other] = [of_command_line, of_library].map(|file| {
        let beside = file.with_extension("db.d");
        (Connection::open(&file).unwrap(), beside)
    });
    for (method, arguments, job) in cases() {
        let id = nest.add(arguments);
        // The command line has its own directory for a relative path.
        let job = if method == "cwd" { job.cwd(nest.file("sub")) } else { job };
        let job = if method == "stdin_file" { job.stdin_file(nest.file("in")) } else { job };
        let inside = ["workspace", "prepare", "cwd"].contains(&method);
        let added = queue.add(if inside { job } else { job.cwd(nest.path()) }).unwrap();
        let [mut typed, mut built] = [&one, &other].map(|(conn, beside)| row(conn, beside, id));
        for name in ["waits", "expires"] {
            let times = [taken(&mut typed, name), taken(&mut built, name)];
            let apart = times.map(Option::unwrap_or_default);
            assert_eq!(times[0].is_some(), times[1].is_some(), "{method}: {name}");
            assert!(apart[0].abs_diff(apart[1]) < APART_MS.unsigned_abs(), "{method}: {name}: {apart:?}");
        }
        assert_eq!((added, built), (JobId(id), typed), "{method}");
    }
}

/// The methods of a type, as its file has them.
fn methods(file: &str, of: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, body) = text.split_once(&format!("\nimpl {of} {{\n")).expect("its methods");
    let (body, _) = body.split_once("\n}\n").expect("their end");
    let names = body.lines().filter_map(|line| line.strip_prefix("    pub fn "));
    names.map(|line| line.split(['(', '<']).next().unwrap().to_owned()).collect()
}

#[test]
fn each_method_of_a_job_has_a_row_in_the_table() {
    let listed: BTreeSet<String> = cases().iter().map(|(method, ..)| (*method).to_owned()).collect();
    assert_eq!(methods("src/queue/job.rs", "Job"), listed);
}

#[test]
fn each_method_of_a_worker_is_called_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files =
        ["tests/life", "tests/faces", "tests/support", "examples", "docs"].map(|dir| std::fs::read_dir(root.join(dir)).unwrap());
    let files = files.into_iter().flatten().filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let all: Vec<String> = files.collect();
    for method in methods("src/queue/worker.rs", "WorkerBuilder") {
        let call = format!(".{method}(");
        assert!(all.iter().any(|text| text.contains(&call)), "nothing calls WorkerBuilder::{method}");
    }
}

#[test]
fn a_floor_of_a_worker_holds_jobs_back_and_is_a_reason() {
    let is_idle = std::fs::read_to_string("/proc/loadavg").unwrap().starts_with("0.00 ");
    for code in ["memory", "disk", "load"] {
        if code == "load" && is_idle {
            continue;
        }
        let nest = Nest::new();
        let queue = Queue::open(nest.db()).unwrap();
        let id = queue.add(Job::command(["true"])).unwrap();
        let worker = queue.worker().helper(env!("CARGO_BIN_EXE_tenure"));
        let worker = match code {
            "memory" => worker.min_memory(1 << 60),
            "disk" => worker.min_disk(1 << 60),
            _ => worker.max_load(f64::MIN_POSITIVE),
        };
        let worker = worker.start().unwrap();
        until(code, || queue.why(id).unwrap().iter().any(|one| one.code == code).then_some(()));
        worker.stop().unwrap();
    }
}
