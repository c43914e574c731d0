//! Clients that mean harm: they are turned away within a limit, and others are served meanwhile.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::web::{receive, receive_head};
use crate::support::{Nest, Web, until};

fn served() -> (Nest, Web) {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&["--patience", "300ms"]);
    (nest, web)
}

#[test]
fn a_head_or_a_body_that_is_too_long_is_refused() {
    let (_nest, web) = served();
    let long = "x".repeat(20 << 10);
    assert_eq!(web.ask("GET", "/api/v1/status", &[("X-Long", &long)], b"").status, 431);
    assert!([414, 431].contains(&web.get(&format!("/api/v1/{long}")).status));
    let many: Vec<(String, String)> = (0..100).map(|n| (format!("X-{n}"), "1".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(web.ask("GET", "/api/v1/status", &many, b"").status, 431);
    // Told by its length alone, before it is sent.
    let head = web.head("POST", "/api/v1/login", &[("Content-Length", "1000000000")]) + "\r\n";
    assert_eq!(web.send(head.as_bytes()).status, 413);
    let head = web.head("POST", "/api/v1/login", &[("Content-Length", "99999999999999999999999")]) + "\r\n";
    assert_eq!(web.send(head.as_bytes()).status, 400);
    assert_eq!(web.get("/api/v1/status").status, 200);
}

#[test]
fn a_body_without_a_length_ends_at_the_limit() {
    let (_nest, web) = served();
    let mut stream = web.tcp();
    let head =
        web.head("POST", "/api/v1/login", &[("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")]) + "\r\n";
    stream.write_all(head.as_bytes()).expect("it takes the head");
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let mut sent = 0;
    // It closes once it has seen more than it takes; what was sent until then is bounded by buffers.
    while sent < 1024 && stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert!(sent < 64, "it has taken {sent} MiB");
    assert_eq!(web.get("/api/v1/status").status, 200);
}

/// Waits for the server to close a connection that has said this, and returns how long it took.
fn closed_after(web: &Web, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = web.tcp();
    stream.write_all(bytes).expect("it takes that");
    let mut rest = Vec::new();
    let _closed = stream.read_to_end(&mut rest);
    begun.elapsed()
}

#[test]
fn a_client_that_sends_slowly_is_cut_off() {
    let (_nest, web) = served();
    for bytes in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "] {
        assert!(closed_after(&web, bytes.as_bytes()) < Duration::from_secs(30), "{bytes:?}");
    }
    let head = web.head("POST", "/api/v1/login", &[("Content-Length", "10")]) + "\r\n12345";
    let mut stream = web.tcp();
    stream.write_all(head.as_bytes()).expect("it takes that");
    assert_eq!(receive(&mut BufReader::new(stream)).expect("an answer").status, 408);
    // One that has been answered and says nothing more.
    let again = web.head("GET", "/healthz", &[]) + "\r\n";
    assert!(closed_after(&web, again.as_bytes()) < Duration::from_secs(30));
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let nest = Nest::new();
    let id = nest.sh(&[], "head -c 60000000 /dev/zero | tr '\\0' x");
    nest.work_until_idle(&[]);
    let web = nest.web(&["--patience", "300ms"]);
    let mut stream = web.tcp();
    stream.write_all((web.head("GET", &format!("/api/v1/jobs/{id}/logs"), &[]) + "\r\n").as_bytes()).expect("it takes that");
    let mut reader = BufReader::new(stream);
    assert_eq!(receive_head(&mut reader).expect("a head").0, 200);
    // It has given up: no connection but those of `healthz` is counted.
    let port: u16 = web.host().rsplit_once(':').expect("a port").1.parse().expect("a number");
    until("the server to close the connection", || (established(port, web.pid()) == 0).then_some(()));
    assert_eq!(web.get("/healthz").status, 200);
}

/// Counts the sockets of a process that are connections of its port.
fn established(port: u16, pid: i32) -> usize {
    let tcp = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("/proc");
    let ours = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next().unwrap_or(""), words.next(), words.next().unwrap_or(""));
        local.ends_with(&format!(":{port:04X}")) && state == "01"
    };
    tcp.lines().filter(ours).count()
}

#[test]
fn many_connections_are_bounded_and_pass() {
    let (_nest, web) = served();
    let open: Vec<TcpStream> = (0..400).filter_map(|_| TcpStream::connect(web.host()).ok()).collect();
    assert!(open.len() > 256, "{}", open.len());
    until("the server to answer again", || {
        let mut stream = web.tcp();
        stream.write_all((web.head("GET", "/healthz", &[]) + "Connection: close\r\n\r\n").as_bytes()).ok()?;
        receive(&mut BufReader::new(stream)).filter(|got| got.status == 200)
    });
    drop(open);
}

#[test]
fn nonsense_is_an_error_of_the_client() {
    let (_nest, web) = served();
    let digits = "9".repeat(10_000);
    for (target, status) in [
        ("/api/v1/jobs/abc", 400),
        ("/api/v1/jobs/0", 400),
        ("/api/v1/jobs/-1", 400),
        ("/api/v1/jobs/1e3", 400),
        ("/api/v1/jobs/9223372036854775807", 404),
        ("/api/v1/jobs/9223372036854775808", 400),
        (&format!("/api/v1/jobs/{digits}"), 400),
        ("/api/v1/jobs/%31", 200),
        ("/api/v1/jobs/%", 400),
        ("/api/v1/jobs/%zz", 400),
        ("/api/v1/jobs/%ff", 400),
        ("/api/v1/jobs/%00", 400),
        ("/api/v1/jobs/1%2flogs", 400),
        ("/api/v1/jobs/..%2f..%2fetc%2fpasswd", 400),
        ("/api/v1/jobs/../../../etc/passwd", 404),
        ("/api/v1/../../etc/passwd", 404),
        ("//etc/passwd", 404),
        ("/api/v1/jobs?limit=0", 400),
        ("/api/v1/jobs?limit=1001", 400),
        (&format!("/api/v1/jobs?limit={digits}"), 400),
        ("/api/v1/jobs?limit=1&limit=2", 400),
        ("/api/v1/jobs?cursor=x", 400),
        ("/api/v1/jobs?cursor=-1", 400),
        ("/api/v1/jobs?cursor=1' OR 1=1", 400),
        ("/api/v1/jobs?cursor=%271%27", 400),
        ("/api/v1/jobs?state=nope", 400),
        ("/api/v1/jobs?stat=done", 400),
        ("/api/v1/jobs?queue=%00", 400),
        ("/api/v1/jobs?since=yesterday", 400),
        ("/api/v1/jobs?%=1", 400),
        ("/api/v1/jobs/1/logs?run=x", 400),
        ("/api/v1/jobs/1/logs?tail=-1", 400),
        ("/api/v1/jobs/1/logs?offset=18446744073709551616", 400),
        ("/api/v1/events?after=zzz", 400),
        ("/api/v1/events?after=999-999", 404),
        ("/api/v1/schedules/no%20such/next", 404),
        ("/api/v1/schedules/%2e%2e%2f/next", 404),
        ("/api/v1/tasks/99", 404),
        ("/api/v1/resources/99", 404),
    ] {
        let got = web.get(target);
        let shown: String = target.chars().take(80).collect();
        assert_eq!(got.status, status, "{shown}: {}", got.text());
        assert!(got.body.len() < 4_000, "{shown}: {} bytes", got.body.len());
        if status != 200 && got.header("content-type") == Some("application/json") {
            assert_eq!(got.json()["schema"], 1, "{shown}");
        }
    }
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = web.tcp();
        stream.write_all(bytes.as_bytes()).expect("it takes that");
        let mut rest = Vec::new();
        let _closed = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{bytes:?}: {:?}", String::from_utf8_lossy(&rest));
    }
    for method in ["DELETE", "PUT", "PATCH", "TRACE", "CONNECT", "NOPE"] {
        let got = web.ask(method, "/api/v1/jobs", &[], b"");
        assert!([400, 405].contains(&got.status), "{method}: {}", got.status);
    }
    assert_eq!(web.get("/healthz").status, 200);
}

#[test]
fn a_hostile_job_is_text_and_nothing_else() {
    let nest = Nest::new();
    let evil = "</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\"'&";
    nest.ok(&[
        "add",
        "-l",
        evil,
        "--unique",
        evil,
        "-e",
        &format!("E={evil}"),
        "--",
        "sh",
        "-c",
        "printf '%s' \"$E\"; exit 3",
        evil,
    ]);
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    for path in ["jobs", "jobs/1", "jobs/1/history", "jobs/1/why", "status", "events", "queues"] {
        let got = web.get(&format!("/api/v1/{path}"));
        assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")), "{path}");
        assert!(!got.body.iter().any(|byte| *byte < 0x20 && *byte != b'\n') && got.text().lines().count() == 1, "{path}");
    }
    assert_eq!(web.get("/api/v1/jobs/1").json()["label"], evil);
    assert_eq!(web.get("/api/v1/jobs/1/logs").text(), evil);
    assert_eq!(web.get("/api/v1/jobs/1/logs").header("content-type"), Some("text/plain; charset=utf-8"));
    let listed = web.get(&format!("/api/v1/jobs?label={}", percent(evil)));
    assert_eq!(listed.json()["jobs"][0]["id"], json!(1));
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn senders_of_long_bodies_keep_no_others_from_a_change() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    let slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = web.tcp();
            let head = web.head("POST", "/api/v1/jobs", &[("Content-Length", "4000000"), ("Expect", "100-continue")]) + "\r\n";
            stream.write_all(head.as_bytes()).expect("it takes that");
            stream
        })
        .collect();
    // Those that the server has begun to receive: it says so.
    let begun = || slow.iter().filter(|stream| stream.peek(&mut [0]).is_ok()).count();
    slow.iter().for_each(|stream| stream.set_nonblocking(true).expect("a socket"));
    until("eight bodies to be received", || (begun() >= 8).then_some(()));
    assert_eq!(web.post("/api/v1/jobs/1/release", &json!({})).status, 200);
    assert_eq!(web.ask("POST", "/api/v1/jobs/1/cancel", &[], b"").status, 200);
}

#[test]
fn writes_that_wait_keep_no_read_from_its_answer() {
    let (nest, web) = served();
    let other = nest.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let at = &web.at;
        let writes: Vec<_> = (0..12).map(|_| scope.spawn(|| at.post("/api/v1/jobs/1/hold", &serde_json::json!({})))).collect();
        // They take turns, each for as long as a write waits.
        until("a write that was refused", || writes.iter().any(std::thread::ScopedJoinHandle::is_finished).then_some(()));
        for path in ["/healthz", "/login", "/api/v1/status", "/metrics", "/"] {
            assert_eq!(web.get(path).status, 200, "{path}");
        }
        assert!(!writes.iter().all(std::thread::ScopedJoinHandle::is_finished), "they still wait");
        other.execute_batch("ROLLBACK").unwrap();
        for write in writes {
            let got = write.join().unwrap();
            assert!(matches!(got.status, 200 | 503), "{}", got.text());
        }
    });
}
