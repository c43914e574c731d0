//! Who is answered: by token, host, origin and session, on an address and on a socket.

use serde_json::Value;

use crate::support::{At, Nest};

fn nest() -> Nest {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    nest
}

#[test]
fn everything_on_an_address_needs_the_token() {
    let nest = nest();
    let web = nest.web(&[]);
    for path in [
        "/api/v1/status",
        "/api/v1/jobs",
        "/api/v1/jobs/1/logs",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "/readyz",
        "/",
        "/nope",
    ] {
        for (name, value) in [
            ("Authorization", ""),
            ("Authorization", "Bearer wrong"),
            ("Authorization", "Bearer "),
            ("Authorization", "Basic eDp5"),
        ] {
            let got = web.ask("GET", path, &[(name, value)], b"");
            assert_eq!((got.status, got.code().as_str()), (401, "token"), "{path} {value}");
            assert_eq!(got.header("www-authenticate"), Some("Bearer"));
        }
    }
    let token = web.token.clone().expect("a token");
    for wrong in [&token[1..], &format!("{token}0"), &token.to_uppercase()] {
        assert_eq!(web.ask("GET", "/api/v1/status", &[("Authorization", &format!("Bearer {wrong}"))], b"").status, 401);
    }
    assert_eq!(web.get("/api/v1/status").status, 200);
    assert_eq!(web.ask("GET", "/api/v1/status", &[("Authorization", &format!("bearer {token}"))], b"").status, 200);
    assert_eq!(web.ask("GET", "/healthz", &[("Authorization", "")], b"").status, 200);
    std::fs::remove_file(nest.beside().join("web.token")).expect("it is there");
    let new = nest.ok(&["web", "token"]);
    let got = web.ask("GET", "/api/v1/status", &[("Authorization", &format!("Bearer {new}"))], b"");
    assert!(got.status == 401 && got.json()["error"]["remedy"].as_str().is_some_and(|text| text.contains("start it again")));
}

#[test]
fn an_address_in_use_and_a_name_with_a_port_are_refused() {
    let nest = nest();
    let web = nest.web(&[]);
    let said = nest.say(&["web", web.host()]);
    assert!(said.code == 6 && said.err.contains("another program listens there"), "{said:?}");
    for host in ["", "*", "queue.example:443"] {
        let said = nest.say(&["web", "127.0.0.1:0", "--host", host]);
        assert!(said.code == 2 && said.err.contains("without a port"), "{said:?}");
    }
}

#[test]
fn a_server_removes_no_socket_but_its_own() {
    let nest = nest();
    let (path, old) = (nest.file("web.sock"), nest.file("old.sock"));
    let address = format!("unix:{}", path.display());
    let first = nest.web_at(&address, &[]);
    std::fs::rename(&path, old).expect("it is there");
    let second = nest.web_at(&address, &[]);
    assert_eq!(first.stop(), 0);
    assert_eq!(second.get("/api/v1/status").status, 200);
    assert_eq!(second.stop(), 0);
    assert!(!path.exists());
}

#[test]
fn a_name_that_another_site_gave_this_machine_is_refused() {
    let nest = nest();
    let web = nest.web(&["--host", "queue.example"]);
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "@localhost"] {
        let got = web.ask("GET", "/api/v1/status", &[("Host", host)], b"");
        assert_eq!((got.status, got.code().as_str()), (421, "host"), "{host}");
    }
    for host in ["queue.example", "QUEUE.example:443", "localhost:1", "127.0.0.1", "[::1]:80"] {
        assert_eq!(web.ask("GET", "/api/v1/status", &[("Host", host)], b"").status, 200, "{host}");
    }
    let twice = web.head("GET", "/api/v1/status", &[]) + "Host: evil.example\r\nConnection: close\r\n\r\n";
    assert!([400, 421].contains(&web.send(twice.as_bytes()).status));
    let absolute = web.head("GET", "http://evil.example/api/v1/status", &[]) + "Connection: close\r\n\r\n";
    assert_eq!(web.send(absolute.as_bytes()).status, 421);
    let none = format!("GET /healthz HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n", web.token.clone().expect("a token"));
    assert_eq!(web.send(none.as_bytes()).status, 400);
}

#[test]
fn a_page_of_another_site_is_refused() {
    let nest = nest();
    let web = nest.web(&[]);
    let own = format!("http://{}", web.host());
    for origin in ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://"] {
        let got = web.ask("GET", "/api/v1/status", &[("Origin", origin)], b"");
        assert_eq!((got.status, got.code().as_str()), (403, "origin"), "{origin}");
    }
    let got = web.ask("GET", "/api/v1/status", &[("Origin", &own)], b"");
    assert_eq!(got.status, 200);
    assert!(!got.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{:?}", got.headers);
    let asked =
        web.ask("OPTIONS", "/api/v1/jobs", &[("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")], b"");
    assert_eq!(asked.status, 403);
    assert_eq!(web.ask("POST", "/api/v1/login", &[("Sec-Fetch-Site", "cross-site")], b"").status, 403);
}

#[test]
fn every_answer_forbids_what_a_browser_could_do_with_it() {
    let nest = nest();
    let web = nest.web(&[]);
    for path in ["/api/v1/status", "/api/v1/jobs/1/logs", "/api/v1/jobs/99", "/nope", "/healthz"] {
        let got = web.get(path);
        assert!(got.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")), "{path}");
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(got.header("cache-control"), Some("no-store"), "{path}");
        assert!(got.header("content-type").is_some_and(|kind| !kind.contains("html")), "{path}");
    }
}

/// Logs in and returns the cookie of the session.
fn cookie(at: &At) -> String {
    let got = at.post("/api/v1/login", &Value::Null);
    assert_eq!(got.status, 204, "{}", got.text());
    let cookie = got.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && cookie.contains("; Path=/"), "{cookie}");
    cookie.split(';').next().expect("a value").to_owned()
}

#[test]
fn a_session_begins_with_the_token_and_ends_with_logout() {
    let nest = nest();
    let web = nest.web(&[]);
    let cookie = cookie(&web);
    assert!(!cookie.contains(web.token.as_deref().expect("a token")));
    let own = format!("http://{}", web.host());
    let with = |method: &str, path: &str, more: &[(&str, &str)]| {
        let headers = [&[("Authorization", ""), ("Cookie", cookie.as_str())], more].concat();
        web.ask(method, path, &headers, b"").status
    };
    assert_eq!(with("GET", "/api/v1/status", &[]), 200);
    assert_eq!(with("GET", "/api/v1/status", &[("Origin", "http://evil.example")]), 403);
    assert_eq!(with("POST", "/api/v1/logout", &[]), 403, "a form of another site has the cookie too, in an old browser");
    assert_eq!(with("POST", "/api/v1/logout", &[("Origin", "http://evil.example")]), 403);
    assert_eq!(with("POST", "/api/v1/login", &[("Origin", &own)]), 403, "a session does not prolong itself");
    assert_eq!(with("POST", "/api/v1/logout", &[("Origin", &own)]), 204);
    assert_eq!(with("GET", "/api/v1/status", &[]), 401);
    for forged in ["tenure_session=", "tenure_session=x", "tenure_session", "other=1"] {
        assert_eq!(web.ask("GET", "/api/v1/status", &[("Authorization", ""), ("Cookie", forged)], b"").status, 401, "{forged}");
    }
}

#[test]
fn a_socket_of_the_user_needs_no_token() {
    use std::os::unix::fs::PermissionsExt;
    let nest = nest();
    let path = nest.file("web.sock");
    let web = nest.web_at(&format!("unix:{}", path.display()), &[]);
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    assert_eq!(web.get("/api/v1/status").status, 200);
    assert_eq!(web.ask("GET", "/api/v1/status", &[("Host", "evil.example")], b"").status, 421);
    assert_eq!(web.ask("GET", "/api/v1/status", &[("Origin", "http://evil.example")], b"").status, 403);
    assert!(!nest.beside().join("web.token").exists(), "no token is made that is not needed");
    let second = nest.say(&["web", &format!("unix:{}", path.display())]);
    assert_eq!(second.code, 6, "{second:?}");
    assert_eq!(web.stop(), 0);
    assert!(!path.exists());
}

#[test]
fn an_address_of_another_network_must_be_asked_for() {
    let nest = nest();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let said = nest.say(&["web", address]);
        assert!(said.code == 2 && said.err.contains("--remote"), "{said:?}");
    }
    let web = nest.web_at("0.0.0.0:0", &["--remote"]);
    assert!(web.address.starts_with("http://0.0.0.0:"));
    let at = At { address: web.address.replace("0.0.0.0", "127.0.0.1"), token: web.token.clone() };
    assert_eq!(at.get("/api/v1/status").status, 200);
}

#[test]
fn the_token_is_a_file_of_its_owner_and_in_no_log() {
    use std::os::unix::fs::PermissionsExt;
    let nest = nest();
    let token = nest.ok(&["web", "token"]);
    assert_eq!(token, nest.ok(&["web", "token"]));
    let path = nest.beside().join("web.token");
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let web = nest.web(&[]);
    web.get("/api/v1/status");
    web.ask("GET", &format!("/api/v1/{token}"), &[], b"");
    web.ask("GET", "/api/v1/status", &[("Authorization", &format!("Bearer x{token}"))], b"");
    assert!(!web.get("/api/v1/status").text().contains(&token));
    let log = std::fs::read_to_string(nest.file("web.log")).expect("a log");
    assert!(!log.contains(&token), "{log}");
    assert!(!std::fs::read_to_string(format!("/proc/{}/cmdline", web.pid())).expect("it runs").contains(&token));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert_eq!(nest.say(&["web", "token"]).code, 4);
}

#[test]
fn a_base_path_stands_before_every_path() {
    let nest = nest();
    let web = nest.web(&["--base", "/tenure/"]);
    assert!(web.address.ends_with("/tenure"), "{}", web.address);
    assert_eq!(web.get("/tenure/api/v1/status").status, 200);
    assert_eq!(web.get("/tenure/healthz").status, 200);
    for path in ["/api/v1/status", "/tenurex/api/v1/status", "/", "/tenure"] {
        assert_eq!(web.get(path).status, 404, "{path}");
        // What is not there is not told to those who may not ask.
        assert_eq!(web.ask("GET", path, &[("Authorization", "")], b"").status, 401, "{path}");
        assert_eq!(web.ask("GET", path, &[("Host", "evil.example")], b"").status, 421, "{path}");
    }
    let absolute = web.head("GET", "http://evil.example/tenure/api/v1/status", &[]) + "Connection: close\r\n\r\n";
    assert_eq!(web.send(absolute.as_bytes()).status, 421);
    assert!(
        web.post("/tenure/api/v1/login", &Value::Null)
            .header("set-cookie")
            .is_some_and(|cookie| cookie.contains("; Path=/tenure"))
    );
}
