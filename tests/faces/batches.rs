//! Many jobs at once: `add --from`, arrays, keys that are unique.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::faces::said::end;
use crate::support::{Nest, Said, said};

fn from(nest: &Nest, args: &[&str], text: &str) -> Said {
    std::fs::write(nest.file("lines"), text).unwrap();
    nest.say(&[&["add", "--from", "lines"], args].concat())
}

fn count(nest: &Nest) -> i64 {
    let Ok(conn) = rusqlite::Connection::open_with_flags(nest.db(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else { return 0 };
    conn.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn lines_become_jobs_that_may_wait_for_one_another() {
    let nest = Nest::new();
    let first = nest.sh(&[], "echo zero >>order");
    let text = format!(
        r#"{{"ref": "a", "command": ["sh", "-c", "echo a >>order"], "after": [{first}], "queue": "q", "label": "one", "priority": 3}}

{{"ref": "b", "shell": "echo b >>order; exit 9", "after": ["a"], "retries": 0, "env": {{"A": "b"}}, "timeout": "1h", "lane": "l"}}
{{"command": ["sh", "-c", "echo c >>order"], "after_failed": ["b"], "after_any": ["a"], "delay": "0s", "retry_on": [1, "timeout"], "array": "0-1", "grace": "1s"}}
{{"command": ["sh", "-c", "echo never >>order"], "after": "b"}}
"#
    );
    let added = from(&nest, &["-l", "default label"], &text);
    assert_eq!(added.code, 0, "{added:?}");
    let ids: Vec<i64> = added.out.lines().map(|line| line.parse().expect("an id a line")).collect();
    assert_eq!(ids, [2, 3, 4, 5, 6], "an array of two is two jobs");
    let job = nest.show(2);
    assert_eq!((&job["queue"], &job["label"], &job["priority"]), (&"q".into(), &"one".into(), &3.into()));
    assert_eq!(nest.show(3)["label"], "default label", "options of the command line are the defaults");
    nest.work_until_idle(&["--slots", "1"]);
    let order = std::fs::read_to_string(nest.file("order")).unwrap();
    assert_eq!(order, "zero\na\nb\nc\nc\n");
    assert_eq!(end(&nest.show(6)), "failed/dependency");
}

#[test]
fn a_file_with_a_mistake_adds_nothing_and_its_line_is_named() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    let good = "{\"command\": [\"true\"], \"ref\": \"a\"}";
    let bad: &[(&str, &str)] = &[
        ("{\"command\": [\"true\"]", "write the }"),
        ("nonsense", "JSON object"),
        ("[\"true\"]", "JSON object"),
        ("{\"command\": \"true\"}", "shell"),
        ("{\"command\": []}", "empty"),
        ("{\"command\": [\"\"]}", "empty"),
        ("{\"command\": [1]}", "command"),
        ("{\"comand\": [\"true\"]}", "comand"),
        ("{\"command\": [\"true\"], \"retries\": -1}", "-1"),
        ("{\"command\": [\"true\"], \"retries\": 1e300}", "retries"),
        ("{\"command\": [\"true\"], \"after\": [\"zz\"]}", "zz"),
        ("{\"command\": [\"true\"], \"after\": [99]}", "99"),
        ("{\"command\": [\"true\"], \"after\": [-1]}", "-1"),
        ("{\"command\": [\"true\"], \"ref\": \"a\"}", "taken"),
        ("{\"command\": [\"true\"], \"delay\": \"5\"}", "unit"),
        ("{\"command\": [\"true\"], \"env\": {\"A\": 1}}", "string"),
        ("{\"command\": [\"a\\u0000b\"]}", "NUL"),
        ("{\"command\": [\"true\"], \"queue\": \"\"}", "queue"),
        ("{\"command\": [\"true\"], \"stdin\": \"-\"}", "stdin"),
        ("{\"command\": [\"true\"], \"timeout\": \"0s\"}", "timeout"),
        ("{\"command\": [\"true\"], \"nice\": 99}", "nice"),
        ("{\"command\": [\"true\"], \"array\": \"5-1\"}", "backwards"),
        ("{\"command\": [\"true\"], \"cwd\": \"a\\u0000b\"}", "NUL"),
        ("{\"command\": [\"true\"], \"secret\": [\"NOT_SET_ANYWHERE\"]}", "NOT_SET_ANYWHERE"),
    ];
    for (line, word) in bad {
        let said = from(&nest, &[], &format!("{good}\n\n{line}\n{{\"command\": [\"true\"]}}\n"));
        assert_eq!(said.code, if *word == "99" { 3 } else { 2 }, "{line}: {said:?}");
        assert!(said.err.contains("line 3"), "{line}: {}", said.err);
        assert!(said.err.contains(word), "{line}: {}", said.err);
        assert_eq!((said.out.as_str(), count(&nest)), ("", 1), "nothing was added: {line}");
    }
    let said = from(&nest, &[], "\u{feff}{\"command\": [\"true\"]}\n");
    assert_eq!((said.code, count(&nest)), (2, 1), "{said:?}");
    std::fs::write(nest.file("lines"), b"{\"command\": [\"\xff\"]}\n").unwrap();
    let said = nest.say(&["add", "--from", "lines"]);
    assert!(said.code == 2 && said.err.contains("UTF-8"), "{said:?}");
    assert_eq!(nest.say(&["add", "--from", "/no/such/file"]).code, 2);
    assert_eq!(nest.say(&["add", "--from", "."]).code, 2, "a directory is not a file of jobs");
    assert_eq!(from(&nest, &["--chunk", "1"], &format!("{good}\n{{}}\n")).code, 2);
    assert_eq!(count(&nest), 2, "with --chunk what came before stays");
    let secrets = std::fs::read_dir(nest.beside().join("secrets")).unwrap().count();
    assert_eq!(secrets, 0, "and no secret is left behind");
}

#[test]
fn ten_thousand_lines_are_one_transaction_and_more_need_a_chunk() {
    let nest = Nest::new();
    let text = "{\"command\": [\"true\"]}\n".repeat(10_000);
    let mut child = nest.tenure(&["add", "--from", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let added = said(child.wait_with_output().unwrap());
    assert_eq!((added.code, added.out.lines().count()), (0, 10_000), "{}", added.err);
    let more = text + "{\"command\": [\"true\"]}\n";
    let refused = from(&nest, &[], &more);
    assert_eq!((refused.code, count(&nest)), (2, 10_000), "{}", refused.err);
    assert!(refused.err.contains("--chunk"), "{}", refused.err);
    let added = from(&nest, &["--chunk", "4000"], &more);
    assert_eq!((added.code, added.out.lines().count(), count(&nest)), (0, 10_001, 20_001), "{}", added.err);
    assert_eq!(nest.status()["counts"]["queued"], 20_001);
}

/// Most memory that a command had at once, in KiB, after so many lines, each with a ref. All have one key, so that the file does not
/// grow, nor what is kept of it in memory.
fn most_memory_kb(lines: usize) -> u64 {
    let nest = Nest::new();
    let mut child = nest.tenure(&["add", "--from", "-", "--chunk", "1000"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let writer = std::thread::spawn(move || {
        for i in 0..lines {
            writeln!(stdin, r#"{{"command": ["true"], "hold": true, "unique": "k", "ref": "{i}"}}"#).unwrap();
        }
        stdin
    });
    assert_eq!(stdout.lines().take(lines).filter(|id| id.as_ref().unwrap() == "1").count(), lines);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(writer.join().unwrap());
    assert!(child.wait().unwrap().success());
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap()
}

#[test]
fn lines_are_read_as_a_stream_with_little_memory_for_refs() {
    let (few, many) = (most_memory_kb(10_000), most_memory_kb(100_000));
    println!("{few} kB, {many} kB");
    // Some 90 bytes for each of 90,000 refs; with a list of ids and two copies of the name it was twice as much.
    assert!(many < few + 12_000, "{few} kB and {many} kB");
}

#[test]
fn a_reader_that_keeps_the_log_long_is_named_once() {
    let nest = Nest::new();
    nest.sh(&["--hold"], "true");
    let line = format!("{{\"command\": [\"true\", \"{}\"], \"hold\": true}}\n", "x".repeat(120_000));
    std::fs::write(nest.file("lines"), line.repeat(700)).unwrap();
    let add = || nest.say(&["add", "--from", "lines", "--chunk", "50"]);
    let alone = add();
    assert_eq!((alone.code, alone.err.as_str()), (0, ""));
    let reader = nest.sql();
    reader.execute_batch("BEGIN; SELECT count(*) FROM job").unwrap();
    let beside = add();
    assert_eq!((beside.code, beside.out.lines().count()), (0, 700), "its jobs are added");
    let warning = "tenure: warning: the write-ahead log has grown to ";
    assert!(beside.err.starts_with(warning) && beside.err.lines().count() == 1, "{}", beside.err);
    assert!(beside.err.contains(&format!("{}", std::process::id())), "{}", beside.err);
}

#[test]
fn an_array_is_a_job_for_each_index() {
    let nest = Nest::new();
    let ids = nest.ok(&["add", "--array", "3-6", "-c", "echo $TENURE_ARRAY_INDEX >>indexes"]);
    assert_eq!(ids.lines().count(), 4);
    nest.work_until_idle(&["--slots", "1"]);
    assert_eq!(std::fs::read_to_string(nest.file("indexes")).unwrap(), "3\n4\n5\n6\n");
    assert_eq!(nest.say(&["run", "--array", "0-1", "--", "true"]).code, 2);
    assert_eq!(nest.say(&["add", "--array", "0-1", "--unique", "k", "--", "true"]).code, 2);
    assert_eq!(nest.say(&["add", "--array", "0-9999999999", "--", "true"]).code, 2);
}

#[test]
fn a_unique_key_gives_the_live_job_and_replace_takes_its_place() {
    let nest = Nest::new();
    let first = nest.add(&["--unique", "k", "--hold", "--", "true"]);
    let again = nest.say(&["add", "--unique", "k", "--", "false"]);
    assert_eq!((again.code, again.out.trim()), (0, "1"), "{again:?}");
    assert!(again.err.contains("nothing was added"), "{again:?}");
    assert_eq!(count(&nest), 1);
    let second = nest.say(&["add", "--unique", "k", "--replace", "--", "true"]);
    assert_eq!((second.code, second.out.trim()), (0, "2"), "{second:?}");
    assert!(second.err.contains("takes the place of job 1"), "{second:?}");
    assert_eq!(nest.state(first), "cancelled");
    let retry = nest.say(&["retry", "1"]);
    assert_eq!(retry.code, 6, "its key is taken: {retry:?}");
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(2), "done");
    assert_eq!(nest.add(&["--unique", "k", "--", "true"]), 3, "the key is free again");
    nest.ok(&["cancel", "3"]);
    nest.ok(&["retry", "1"]);
    nest.ok(&["release", "1"]); // a person's hold outlives a cancel
    nest.work_until_idle(&[]);
    assert_eq!(nest.state(1), "done");
    let _worker = nest.work(&[]);
    let running = nest.add(&["--unique", "k", "--", "sleep", "600"]);
    nest.until_pid(running);
    let replace = nest.say(&["add", "--unique", "k", "--replace", "--", "true"]);
    assert_eq!((replace.code, replace.out.trim()), (0, "5"), "{replace:?}");
    assert!(replace.err.contains("being stopped"), "one that runs has its grace: {replace:?}");
    assert_eq!(end(&nest.until_ended(running)), "cancelled/cancelled");
    assert_eq!(end(&nest.until_ended(5)), "done/exit");
}
