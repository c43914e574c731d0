//! No client and no job breaks the server, fills its memory, or says more than its own words.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::mcp::hello;
use crate::support::{Mcp, Nest, until};

/// Whether a terminal would obey this character.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// That it answers still.
fn answers(mcp: &mut Mcp) {
    assert_eq!(mcp.ok("list", &json!({"limit": 1}))["schema"], 1);
}

#[test]
fn what_is_not_a_message_is_told_and_passed_over() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let long = [b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"".as_slice(), &vec![b'x'; 10 << 20], b"\"}\n"].concat();
    let deep = format!("{}\n", "[".repeat(100_000));
    let cases: &[(&[u8], i64)] = &[
        (b"{bad\n", -32_700),
        (b"\xff\xfe\n", -32_700),
        (b"\0\n", -32_700),
        (b"hello\n", -32_700),
        (b"{\"jsonrpc\":\"2.0\"\n", -32_700),
        (deep.as_bytes(), -32_700),
        (&long, -32_600),
        (b"[]\n", -32_600),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n", -32_600),
        (b"null\n", -32_600),
        (b"7\n", -32_600),
        (b"{}\n", -32_600),
        (b"{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"ping\"}\n", -32_600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}\n", -32_600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"ping\"}\n", -32_600),
    ];
    for (bytes, code) in cases {
        mcp.send_bytes(bytes);
        let told = mcp.receive();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert_eq!(told["error"]["code"], *code, "{shown}: {told}");
        assert!(told.to_string().len() < 500, "{shown}");
    }
    // These are not answered.
    mcp.send_bytes(
        b"\n  \n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/nope\"}\n{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}\n",
    );
    answers(&mut mcp);
    assert!(mcp.memory_kib() < 200 << 10, "{} KiB", mcp.memory_kib());
    assert_eq!(mcp.close(), 0);
    assert_eq!(std::fs::read_to_string(nest.file("mcp.log")).expect("a log"), "");
}

#[test]
fn a_request_that_cannot_be_meant_has_an_error() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    for (method, params, code) in [
        ("nope", json!({}), -32_601),
        ("resources/read", json!({"uri": "file:///etc/passwd"}), -32_601),
        ("prompts/get", json!({"name": "x"}), -32_601),
        ("tools/call", json!({"name": "nope"}), -32_602),
        ("tools/call", json!({"name": "x".repeat(100_000)}), -32_602),
        ("tools/call", json!({"name": 5}), -32_602),
        ("tools/call", json!({}), -32_602),
        ("tools/call", json!({"name": "list", "arguments": "x"}), -32_602),
        ("tools/call", json!({"name": "list", "arguments": [1]}), -32_602),
    ] {
        let told = mcp.ask(method, &params);
        assert_eq!(told["error"]["code"], code, "{method} {:.60}: {told}", params.to_string());
        assert!(told.to_string().len() < 500, "{told}");
    }
    for (tool, arguments, told) in [
        ("show", json!({}), "missing"),
        ("show", json!({"id": "7"}), "whole number"),
        ("show", json!({"id": 0}), "whole number"),
        ("show", json!({"id": -1}), "whole number"),
        ("show", json!({"id": 1.5}), "whole number"),
        ("show", json!({"id": 1e30}), "whole number"),
        ("show", json!({"id": null}), "missing"),
        ("show", json!({"idd": 1}), "did you mean"),
        ("show", json!({"id": 1, "x".repeat(100_000): 1}), "not known"),
        ("list", json!({"state": "sleeping"}), "state"),
        ("list", json!({"state": [1]}), "state"),
        ("list", json!({"limit": 101}), "100"),
        ("list", json!({"label": 1}), "string"),
        ("list", json!({"queue": "a\u{0}b"}), "queue"),
        ("wait", json!({"id": 1, "seconds": 301}), "300"),
        ("logs", json!({"id": 1, "lines": 0}), "10000"),
        ("cancel", json!({"id": 1, "why": ["x"]}), "string"),
        ("cancel", json!({"id": 1, "why": "x".repeat(5_000)}), "why"),
    ] {
        let (code, text) = mcp.fails(tool, &arguments);
        assert!(code == "usage" && text.contains(told) && text.len() < 400, "{tool}: {code}: {text}");
    }
    assert_eq!(mcp.fails("show", &json!({"id": i64::MAX})).0, "not_found");
    answers(&mut mcp);
}

#[test]
fn a_hostile_job_says_nothing_to_a_terminal() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let label = "a\u{1b}[2J\n\u{202e}b\u{9b}31m\u{7f}";
    let shell = r"printf '\033[31mred\033[0m \033]0;title\007 \302\233 \342\200\256 \377\000\r\n'; printf '\033[2J' >&2";
    let id = mcp.add(&json!({"shell": shell, "label": label, "env": {"A": label}}));
    nest.work_until_idle(&[]);
    let log = mcp.text("logs", &json!({"id": id}));
    assert_eq!(log, "red ^[]0;title^G \\u{9b} \\u{202e} \\xff^@\r\n^[[2J");
    for tool in ["show", "wait", "why", "logs"] {
        let sent = mcp.request("tools/call", &json!({"name": tool, "arguments": {"id": id}}));
        let line = mcp.line().expect("a line");
        assert!(!line.contains(is_unsafe), "{tool}: {line:?}");
        let told: Value = serde_json::from_str(&line).expect("a message");
        assert_eq!(told["id"], sent);
        let text = told["result"]["content"][0]["text"].as_str().expect("a text");
        assert!(!text.contains(|c| is_unsafe(c) && !"\n\r".contains(c)), "{tool}: {text:?}");
    }
    // A document is what it is for every reader.
    assert_eq!(mcp.ok("show", &json!({"id": id}))["label"], label);
}

#[test]
fn a_log_of_any_size_is_answered_in_part() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let long = mcp.add(&json!({"shell": "head -c 3000000 /dev/zero | tr '\\0' x"}));
    let binary = mcp.add(&json!({"shell": "head -c 3000000 /dev/urandom"}));
    let dropped = mcp.add(&json!({"shell": "seq 1 200000", "log_limit": "64K"}));
    nest.work_until_idle(&[]);
    let logs = mcp.ok("logs", &json!({"id": long}));
    assert_eq!(logs["text"].as_str().map(str::len), Some(64 << 10));
    assert_eq!(logs["bytes_before"], 3_000_000 - (64 << 10));
    assert!(mcp.text("logs", &json!({"id": binary, "lines": 10_000})).len() <= 5 * (64 << 10));
    let logs = mcp.ok("logs", &json!({"id": dropped, "lines": 10_000}));
    assert!(logs["text"].as_str().is_some_and(|text| text.ends_with("\n200000\n")), "{logs}");
    assert!(logs["bytes_before"].as_u64().is_some_and(|bytes| bytes > 0));
}

#[test]
fn thousands_of_requests_are_answered_in_little_memory() {
    const REQUESTS: usize = 4_000;
    /// More than pipes, the server and this client hold.
    const AHEAD_MAX: usize = 2_000;
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let mut input = mcp.input();
    let sent = Arc::new(AtomicUsize::new(0));
    let of_sender = Arc::clone(&sent);
    let sender = std::thread::spawn(move || {
        for id in 0..REQUESTS {
            of_sender.store(id, Ordering::Relaxed);
            writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": format!("n{id}"), "method": "tools/list"})).expect("it reads");
        }
        input
    });
    until("the client to be ahead", || (sent.load(Ordering::Relaxed) >= 200).then_some(()));
    // Answers of 40 MB altogether.
    let (mut bytes, mut ahead) = (0, 0);
    for read in 0..REQUESTS {
        ahead = ahead.max(sent.load(Ordering::Relaxed).saturating_sub(read));
        bytes += mcp.line().expect("an answer").len();
    }
    assert!(bytes > 20 << 20, "{bytes}");
    assert!(ahead < AHEAD_MAX, "{ahead}");
    assert!(mcp.memory_kib() < 100 << 10, "{} KiB", mcp.memory_kib());
    drop(sender.join().expect("all were sent"));
    assert_eq!(mcp.line(), None);
}

#[test]
fn an_id_is_that_of_one_request_at_a_time() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"command": ["true"], "hold": true}));
    let waiting = mcp.request("tools/call", &json!({"name": "wait", "arguments": {"id": id, "seconds": 300}}));
    mcp.send(&json!({"jsonrpc": "2.0", "id": waiting, "method": "tools/list"}));
    let told = mcp.receive();
    assert!(told["error"]["code"] == -32_600 && told["id"].is_null(), "{told}");
    answers(&mut mcp);
    mcp.ok("cancel", &json!({"id": id}));
    assert_eq!(mcp.answer(waiting)["result"]["structuredContent"]["state"], "cancelled");
}

#[test]
fn many_waits_end_when_they_are_cancelled() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"command": ["true"], "hold": true}));
    for _ in 0..3 {
        let wait = json!({"name": "wait", "arguments": {"id": id, "seconds": 300}});
        let waiting: Vec<i64> = (0..31).map(|_| mcp.request("tools/call", &wait)).collect();
        answers(&mut mcp);
        for id in waiting {
            mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
        }
    }
    answers(&mut mcp);
    let wait = json!({"name": "wait", "arguments": {"id": id, "seconds": 300}});
    mcp.request("tools/call", &wait);
    // A client that has gone is not waited for.
    assert_eq!(mcp.close(), 0);
}

#[test]
fn a_cancel_is_served_beside_any_number_of_waits() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    let id = mcp.add(&json!({"command": ["true"], "hold": true}));
    let wait = json!({"name": "wait", "arguments": {"id": id, "seconds": 300}});
    let waiting: Vec<i64> = (0..60).map(|_| mcp.request("tools/call", &wait)).collect();
    // One that is cancelled while it has no turn yet is not answered, and the others are.
    let last = waiting[waiting.len() - 1];
    mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": last}}));
    assert_eq!(mcp.ok("cancel", &json!({"id": id}))["cancelled"], "ended");
    for one in &waiting[..waiting.len() - 1] {
        assert_eq!(mcp.answer(*one)["result"]["structuredContent"]["state"], "cancelled");
    }
    assert_eq!(mcp.close(), 0);
}

#[test]
fn a_server_ends_with_its_client() {
    let nest = Nest::new();
    let mut gone = nest.mcp_silent(&[]);
    gone.send_bytes(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    assert_eq!(gone.receive()["result"], json!({}));
    assert_eq!(gone.close(), 0);
    let mut silent = nest.mcp_silent(&[]);
    silent.ask("initialize", &hello("2025-06-18"));
    assert_eq!(silent.close(), 0);
    assert_eq!(nest.mcp_silent(&[]).close(), 0);
    // What was asked last is done and answered.
    let mut hasty = nest.mcp(&[]);
    let id = hasty.request("tools/call", &json!({"name": "add", "arguments": {"command": ["true"]}}));
    drop(hasty.input());
    assert_eq!(hasty.answer(id)["result"]["structuredContent"]["id"], 1);
    assert_eq!(hasty.line(), None);
    // One whose client does not read any more.
    let mut command = nest.tenure(&["mcp"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("a pipe");
    let greeting = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello("2025-06-18")});
    let _it_may_have_ended = writeln!(input, "{greeting}");
    until("the server to end", || child.try_wait().expect("a child"));
}

#[test]
fn another_file_in_the_place_of_this_one_is_served() {
    let nest = Nest::new();
    let mut mcp = nest.mcp(&[]);
    mcp.add(&json!({"command": ["true"], "label": "old"}));
    for name in ["q.db", "q.db-wal", "q.db-shm"] {
        let _not_each_is_there = std::fs::remove_file(nest.file(name));
    }
    std::fs::remove_dir_all(nest.beside()).expect("it is there");
    nest.add(&["-q", "agents", "-l", "new", "--hold", "--", "true"]);
    assert_eq!(mcp.ok("list", &json!({}))["jobs"][0]["label"], "new");
    assert_eq!(mcp.add(&json!({"command": ["true"]})), 2);
}
