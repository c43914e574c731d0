//! The pages, as a browser asks for them: each is there, and shows what a job says as text.

use serde_json::Value;

use crate::support::{Got, Nest, Web, Worker, until};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// What would be markup, a script, an address, or an order to a terminal, if it were taken for that.
const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"&\u{1b}[31m\u{202e}javascript:alert(1)";

/// A file with some of everything, in which each text is hostile, and its server.
pub fn furnished() -> (Nest, Worker, Web, i64) {
    let nest = Nest::new();
    nest.ok(&["add", "-q", EVIL, "-l", EVIL, "--lane", EVIL, "--", "sh", "-c", "printf '%s\\n' \"$0\"; exit 3", EVIL]);
    nest.sh(&["--workspace", EVIL, "--prepare", "true"], "exit 0");
    nest.ok(&["schedule", "add", "nightly", "30 3 * * *", "--tz", "UTC", "--", "echo", EVIL]);
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    std::fs::write(nest.file("p.toml"), "[pipeline.ship]\nstart = \"a\"\n[pipeline.ship.stage.a]\ncommand = [\"true\"]\n")
        .expect("it is ours");
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "ship", "--key", EVIL]);
    nest.work_until_idle(&[]);
    let worker = nest.work(&[]);
    let running = nest.sh(&["-l", EVIL], "echo begun; exec sleep 600");
    nest.until_pid(running);
    nest.ok(&["resource", "add", EVIL, "--teardown", "exit 1", "--job", &running.to_string()]);
    nest.ok(&["add", "--hold", "-l", "waits", "--", "true"]);
    let web = nest.web(&[]);
    (nest, worker, web, running)
}

pub fn page(web: &Web, path: &str) -> Got {
    web.ask("GET", path, &[("Accept", HTML)], b"")
}

pub fn send(web: &Web, path: &str, form: &str) -> Got {
    let headers = [("Accept", HTML), ("Content-Type", "application/x-www-form-urlencoded")];
    web.ask("POST", path, &headers, form.as_bytes())
}

const PAGES: [&str; 14] = [
    "/",
    "/jobs",
    "/jobs?state=failed&queue=&label=&since=1h&search=",
    "/jobs?search=exit",
    "/jobs/1",
    "/jobs/1/log",
    "/timeline",
    "/tasks",
    "/tasks/1",
    "/schedules",
    "/owned?all=true",
    "/machine",
    "/add",
    "/login",
];

#[test]
fn each_page_shows_what_a_job_says_as_text() {
    let (_nest, worker, web, running) = furnished();
    let more = [format!("/jobs/{running}"), format!("/jobs/{running}/log")];
    for path in PAGES.iter().copied().chain(more.iter().map(String::as_str)) {
        let got = page(&web, path);
        assert_eq!((got.status, got.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}: {}", got.text());
        let policy = got.header("content-security-policy").expect("a policy");
        for part in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(part) && !policy.contains("unsafe"), "{path}: {policy}");
        }
        let text = got.text();
        for raw in [
            "<script>alert",
            "<img",
            "onerror=alert(1)>",
            "\u{1b}",
            "\u{202e}",
            "href=\"javascript",
            " style=\"",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(raw), "{path} has {raw:?}");
        }
        assert_eq!(text.matches("<script").count(), usize::from(path != "/login"), "{path}");
        assert!(text.contains("<html lang=\"en\">") && text.contains("<h1>"), "{path}");
    }
    assert!(page(&web, "/jobs/1").text().contains("&lt;script&gt;alert(1)"));
    assert!(page(&web, "/jobs/1/log").text().contains("<span class=\"f1\">\\u{202e}javascript:alert(1)"));
    drop(worker);
}

#[test]
fn what_cannot_be_shown_is_a_page_that_says_why() {
    let (_nest, _worker, web, _) = furnished();
    for (path, status, told) in [
        ("/jobs/999", 404, "there is no job 999"),
        ("/jobs/x", 400, "not the number of a job"),
        ("/jobs/0/log", 400, "not the number of a job"),
        ("/tasks/999", 404, "there is no task 999"),
        ("/nope", 404, "nothing at this path"),
        ("/jobs?state=x", 400, "state: "),
        ("/jobs?stat=done", 400, "did you mean"),
        ("/jobs?cursor=-1", 400, "not the number"),
        ("/jobs?since=never", 400, "since: "),
        ("/timeline?cursor=x", 400, "not the number"),
        ("/jobs/1/log?run=999", 404, "no run 999"),
    ] {
        let got = page(&web, path);
        assert_eq!((got.status, got.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(got.text().contains(told) && got.text().contains("role=\"alert\""), "{path}: {}", got.text());
    }
    // A program is answered as a program where there is no page.
    assert_eq!(web.get("/nope").code(), "not_found");
    assert_eq!(send(&web, "/jobs/1/hold", "back=%ff").status, 400);
    assert_eq!(web.post("/jobs/1/hold", &serde_json::json!({})).status, 415);
    assert_eq!(send(&web, "/jobs/1/hold", "force=1&nonsense=2").status, 400);
    assert_eq!(send(&web, "/jobs/selected", "id=1&verb=explode").status, 400);
}

#[test]
fn a_browser_logs_in_once_and_out() {
    let (_nest, _worker, web, _) = furnished();
    let ask = |method: &str, path: &str, more: &[(&str, &str)], body: &str| {
        let mut headers = vec![("Accept", HTML), ("Authorization", ""), ("Content-Type", "application/x-www-form-urlencoded")];
        headers.extend_from_slice(more);
        web.ask(method, path, &headers, body.as_bytes())
    };
    let got = ask("GET", "/jobs?state=failed", &[], "");
    assert_eq!((got.status, got.header("location")), (303, Some("/login?next=%2Fjobs%3Fstate%3Dfailed")));
    // A link on another site: the cookie comes with the next request, from a page of this server.
    let got = ask("GET", "/jobs/1", &[("Sec-Fetch-Site", "cross-site")], "");
    assert!(got.status == 200 && got.text().contains("0;url=/jobs/1"));
    for elsewhere in ["//evil.example/x", "/\\evil.example/x"] {
        let got = ask("GET", elsewhere, &[("Sec-Fetch-Site", "cross-site")], "");
        assert!(got.status == 200 && got.text().contains("0;url=/\""), "{elsewhere}: {}", got.text());
    }
    for path in ["/files/page.css", "/files/page.js", "/files/icon.svg"] {
        let got = ask("GET", path, &[], "");
        assert!(got.status == 200 && got.header("cache-control").is_some_and(|kept| kept.contains("max-age")), "{path}");
    }
    for wrong in ["token=", "token=wrong", "", "next=%2Fjobs"] {
        let got = ask("POST", "/login", &[], wrong);
        assert!(got.status == 303 && got.header("set-cookie").is_none(), "{wrong}");
        assert!(got.header("location").is_some_and(|to| to.starts_with("/login?wrong=1")), "{wrong}");
    }
    let form = format!("token={}&next=%2F%2Fevil.example", web.token.as_deref().expect("a token"));
    assert_eq!(ask("POST", "/login", &[("Origin", "http://evil.example")], &form).status, 403);
    let got = ask("POST", "/login", &[("Origin", &web.address)], &form);
    assert_eq!((got.status, got.header("location")), (303, Some("/")));
    let cookie = got.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = cookie.split(';').next().expect("a name").to_owned();
    let own = [("Cookie", session.as_str()), ("Origin", web.address.as_str())];
    assert!(ask("GET", "/", &own[..1], "").text().contains("Log out"));
    assert_eq!(ask("POST", "/jobs/1/rerun", &own[..1], "").status, 403, "a form of no page");
    assert_eq!(ask("POST", "/jobs/1/rerun", &own, "").status, 303);
    let both = format!("tenure_session=of-another-server; {session}");
    assert!(ask("GET", "/", &[("Cookie", both.as_str())], "").text().contains("Log out"));
    assert_eq!(ask("POST", "/logout", &own, "").header("location"), Some("/login"));
    assert_eq!(ask("GET", "/", &own[..1], "").header("location"), Some("/login"));
}

#[test]
fn a_socket_of_the_user_and_a_path_of_a_proxy_have_the_pages() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let socket = nest.web_at(&format!("unix:{}", nest.file("web.sock").display()), &[]);
    assert_eq!(page(&socket, "/").status, 200);
    assert_eq!(page(&socket, "/login").header("location"), Some("/"));
    let web = nest.web(&["--base", "/tenure"]);
    let at = crate::support::At { address: web.address.trim_end_matches("/tenure").to_owned(), token: web.token.clone() };
    let got = at.ask("GET", "/tenure/jobs/1", &[("Accept", HTML)], b"");
    assert_eq!(got.status, 200);
    let text = got.text();
    for attribute in ["href=\"", "action=\"", "src=\""] {
        for target in text.split(attribute).skip(1) {
            assert!(target.starts_with("/tenure/") || target.starts_with('#'), "{target:.60}");
        }
    }
    assert_eq!(at.ask("GET", "/tenure", &[("Accept", HTML)], b"").header("location"), Some("/tenure/"));
    assert!(at.ask("GET", "/elsewhere", &[("Accept", HTML)], b"").text().contains("this server is at /tenure/"));
    let got = at.ask("GET", "/tenure/", &[("Accept", HTML), ("Authorization", "")], b"");
    assert_eq!(got.header("location"), Some("/tenure/login"));
    let headers = [("Accept", HTML), ("Content-Type", "application/x-www-form-urlencoded")];
    let got = at.ask("POST", "/tenure/jobs/1/release", &headers, b"back=%2Fjobs%2F1");
    assert_eq!(got.header("location"), Some("/tenure/jobs/1?done=release"));
    assert_eq!(at.get("/tenure/api/v1/openapi.json").json()["servers"][0]["url"], "/tenure");
    assert!(at.get("/tenure/nope").text().contains("/tenure/api/v1/openapi.json lists all"));
}

#[test]
fn a_search_finds_words_of_labels_and_commands() {
    let nest = Nest::new();
    let first = nest.ok(&["add", "--hold", "-l", "Nightly Report", "--", "make", "it 100%_\"x\""]);
    nest.ok(&["add", "--hold", "--", "make", "report"]);
    let web = nest.web(&[]);
    let found = |text: &str| {
        let list = web.get(&format!("/api/v1/jobs?search={text}")).json();
        let jobs = list["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].to_string()).collect::<Vec<_>>();
        assert!(list["next"].is_null());
        jobs
    };
    assert_eq!(found("report"), ["2", &first]);
    assert_eq!(found("nightly+MAKE"), [first.as_str()]);
    for only_first in ["100%25", "%25_", "%22x%22", "it+100"] {
        assert_eq!(found(only_first), [first.as_str()], "{only_first}");
    }
    assert_eq!(found("%25%25"), Vec::<String>::new());
    assert_eq!(web.get(&format!("/api/v1/jobs?search={}", "x".repeat(201))).status, 400);
    assert_eq!(page(&web, "/jobs?search=%232").header("location"), Some("/jobs/2"));
    assert!(page(&web, "/jobs?search=3").text().contains("No job is like that"));
    assert_eq!(found("report%22"), Vec::<String>::new(), "a quotation mark is a part of the word");
    assert_eq!(web.get("/api/v1/jobs?search=report&cursor=1").json()["jobs"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_added_to_a_log_comes_as_markup_piece_by_piece() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&[], "printf 'a\\033[31mb'; until test -e go; do sleep 0.05; done; printf 'c\\033[0md<\\n'");
    let web = nest.web(&[]);
    let part = |at: u64, style: &str| web.get(&format!("/jobs/{id}/log/part?offset={at}&style={style}")).json();
    let first = until("the first part", || Some(part(0, "")).filter(|part| part["at"] == 7));
    assert_eq!((first["markup"].as_str(), &first["open"]), (Some("a<span class=\"f1\">b</span>"), &Value::Bool(true)));
    std::fs::write(nest.file("go"), "").expect("it is ours");
    nest.ok(&["wait", &id.to_string()]);
    let rest = part(7, first["style"].as_str().expect("a style"));
    assert_eq!((rest["markup"].as_str(), &rest["open"]), (Some("<span class=\"f1\">c</span>d&lt;\n"), &Value::Bool(false)));
    drop(worker);
}

#[test]
fn what_a_log_has_dropped_is_passed_over_and_said() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&["--log-limit", "256K"], "echo begin; yes 0123456789abcde | head -c 20000000; echo end");
    nest.ok(&["wait", &id.to_string()]);
    let web = nest.web(&[]);
    // From one end to the other by the links.
    for (from, link) in [("?offset=0", "Later"), ("", "Earlier")] {
        let (mut at, mut said) = (Some(format!("/jobs/{id}/log{from}")), String::new());
        let mut pages = 0;
        while let Some(path) = at {
            let text = page(&web, &path).text();
            let of_link = text.split("<a href=\"").find(|rest| rest.contains(&format!("\">{link}</a>")));
            at = of_link.and_then(|rest| rest.split('"').next()).map(|path| path.replace("&amp;", "&"));
            said += &text;
            pages += 1;
            assert!(pages < 10, "{link}: so many pages of 256 KiB");
        }
        assert!(said.contains("begin\n") && said.contains("\nend\n"), "{link}");
        assert_eq!(said.matches("or never written …").count(), 1, "{link}");
    }
    drop(worker);
}

#[test]
fn a_hole_at_the_end_of_a_log_is_said_once() {
    let nest = Nest::new();
    let worker = nest.work(&[]);
    let id = nest.sh(&[], "echo a; truncate -s 1M /proc/self/fd/1; exec sleep 600");
    let web = nest.web(&[]);
    let part = |at: u64| web.get(&format!("/jobs/{id}/log/part?offset={at}&style=")).json();
    until("the hole", || (part(0)["end"] == 1 << 20).then_some(()));
    let (mut at, mut said) = (0, String::new());
    while at < 1 << 20 {
        let part = part(at);
        said += part["markup"].as_str().expect("markup");
        at = part["at"].as_u64().expect("a position");
    }
    assert_eq!(said.matches("or never written").count(), 1);
    // The script asks there each second, and appends what it gets.
    assert_eq!(part(at)["markup"], "");
    drop(worker);
}

#[test]
fn a_job_that_lacks_another_is_offered_the_retry_of_both() {
    let nest = Nest::new();
    let parent = nest.sh(&[], "exit 1");
    let child = nest.sh(&["--after", &parent.to_string()], "true");
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    let text = page(&web, &format!("/jobs/{child}")).text();
    let has = |path: &str| text.contains(&format!("action=\"{path}\""));
    assert!(
        has(&format!("/jobs/{parent}/retry")) && text.contains("with_dependants") && !has(&format!("/jobs/{child}/retry")),
        "{text}"
    );
    assert!(text.contains(&format!("job <a href=\"/jobs/{parent}\">{parent}</a>")), "{text}");
    let text = page(&web, &format!("/jobs/{parent}")).text();
    assert!(text.contains("with_dependants") && text.contains("1 job ended because of it"), "{text}");
}

#[test]
fn a_pipeline_that_cannot_be_read_does_not_hide_the_others() {
    let (nest, worker, web, _) = furnished();
    let conn = nest.owner();
    conn.execute_batch("DROP TRIGGER pipeline_update_guard; UPDATE pipeline SET spec = '{}'").expect("it is ours");
    let got = page(&web, "/tasks");
    assert!(
        got.status == 200 && got.text().contains("description of the pipeline") && got.text().contains("Task 1"),
        "{}",
        got.text()
    );
    assert!(web.get("/api/v1/pipelines").json()["pipelines"][0]["error"].is_string());
    drop(worker);
}

#[test]
fn a_list_says_that_the_queue_of_its_jobs_is_paused() {
    let nest = Nest::new();
    nest.add(&["-q", "own", "--", "true"]);
    let web = nest.web(&[]);
    let shown = || page(&web, "/jobs").text();
    assert!(!shown().contains("is paused"));
    nest.ok(&["queue", "pause", "own"]);
    let text = shown();
    assert!(text.contains("queue &quot;own&quot; is paused") && text.contains("/queues/own/resume"), "{text}");
    nest.ok(&["queue", "resume", "own"]);
    nest.ok(&["pause"]);
    assert!(shown().contains("all queues are paused"));
}
