//! The scripts of docs/notify.md, each against a stand-in.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{blocks, clients};
use crate::support::untested::not_tested;
use crate::support::{Nest, until, write_program};

/// A hostile name: quotes, a newline, an escape sequence, a header.
const LABEL: &str = "\"night\\\n\x1b[2J\r\nX-Evil: 1 'q' $(touch evil) {}";

/// Writes the scripts of the page, and stand-ins for programs that talk to a machine.
fn scripts(nest: &Nest) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notify.md");
    let text = std::fs::read_to_string(page).unwrap();
    let section = text.split_once("\n## Recipes\n").unwrap().1;
    let script: String = blocks(section).into_iter().map(|(_, block)| block).collect();
    let done = Command::new("bash").args(["-euc", &script]).current_dir(nest.path()).status().unwrap();
    assert!(done.success());
    std::fs::create_dir(nest.file("bin")).unwrap();
    write_program(
        nest.file("bin/sendmail"),
        "#!/bin/sh\n{ echo \"args: $*\"; cat; } >\"$HOME/mail.new\"; mv \"$HOME/mail.new\" \"$HOME/mail\"\n",
    );
    write_program(
        nest.file("bin/notify-send"),
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$HOME/desktop.new\"; mv \"$HOME/desktop.new\" \"$HOME/desktop\"\n",
    );
}

/// Runs a failing job with a script as its hook until the hook is done.
fn tell(nest: &Nest, script: &str, env: &[(&str, &str)]) -> i64 {
    let path = format!("{}:{}", nest.file("bin").display(), std::env::var("PATH").unwrap());
    let script = nest.file(script).display().to_string();
    let mut args = vec!["--on-failure".to_owned(), script, "--env".into(), format!("PATH={path}"), "-l".into(), LABEL.into()];
    args.extend(["--env".into(), format!("HOME={}", nest.path().display())]);
    args.extend(env.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
    args.extend(["--", "sh", "-c", "echo the last words; exit 3"].map(String::from));
    let id = nest.add(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let _worker = nest.work(&["--tick", "50ms"]);
    until("the hook to be done", || (nest.show(id)["hooks"][0]["state"] == "done").then_some(()));
    assert!(!nest.file("evil").exists());
    id
}

/// Answers one request, and returns its head and its body.
fn serve_one(listener: &TcpListener) -> (String, String) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |n| n.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// What a script posts.
fn posted(nest: &Nest, script: &str) -> (i64, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/topic", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || serve_one(&listener));
    let id = tell(nest, script, &[("TELL_URL", &url)]);
    let (head, body) = server.join().unwrap();
    (id, head, body)
}

#[test]
fn mail_desktop_and_file_are_told() {
    let nest = Nest::new();
    scripts(&nest);
    let id = tell(&nest, "tell-mail", &[("TELL_TO", "me@example.org")]);
    let mail = std::fs::read_to_string(nest.file("mail")).unwrap();
    let head = format!("args: -t\nTo: me@example.org\nSubject: job {id} failed: exit\n\n");
    assert!(mail.starts_with(&head) && mail.contains("exit status 3") && mail.ends_with("the last words\n"), "{mail}");
    let id = tell(&nest, "tell-desktop", &[]);
    let shown = std::fs::read_to_string(nest.file("desktop")).unwrap();
    assert!(shown.starts_with(&format!("--\njob {id} failed\n")) && shown.contains("exit status 3"), "{shown}");
    let to = nest.file("ends.jsonl").display().to_string();
    let ids = [tell(&nest, "tell-file", &[("TELL_FILE", &to)]), tell(&nest, "tell-file", &[("TELL_FILE", &to)])];
    let told: Vec<Value> =
        std::fs::read_to_string(&to).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|job| job["id"].as_i64().unwrap()).collect::<Vec<_>>(), ids);
    assert!(told.iter().all(|job| job["label"] == LABEL && job["reason"] == "exit"), "{told:?}");
}

#[test]
fn ntfy_and_slack_are_told() {
    if !clients::can("curl", &["--version"]) || !clients::can("jq", &["--version"]) {
        return not_tested("the scripts with curl", "curl and jq");
    }
    let nest = Nest::new();
    scripts(&nest);
    let (id, head, body) = posted(&nest, "tell-ntfy");
    assert!(head.starts_with("POST /topic ") && head.contains(&format!("Title: job {id} failed\r\n")), "{head}");
    assert!(!head.contains("X-Evil") && body == "exit: exit status 3\n", "{head}{body}");
    let (id, head, body) = posted(&nest, "tell-slack");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    assert_eq!(body["text"], format!("job {id} {LABEL} failed: exit status 3"));
}
