//! The server inside a worker.

use serde_json::json;

use crate::support::Nest;

#[test]
fn a_worker_serves_its_file_and_runs_what_is_added() {
    let nest = Nest::new();
    let worker = nest.work(&["--web", "127.0.0.1:0"]);
    let web = nest.web_of(&worker);
    let id = web.post("/api/v1/jobs", &json!({"command": ["echo", "hello"]})).json()["id"].as_i64().expect("a number");
    nest.until_state(id, "done");
    assert_eq!(web.get(&format!("/api/v1/jobs/{id}/logs")).text(), "hello\n");
    assert_eq!(web.get("/api/v1/status").json()["worker"]["pid"], worker.pid());
    assert_eq!(web.get("/readyz").status, 200);
    assert_eq!(worker.stop(), 0);
    assert!(std::net::TcpStream::connect(web.host()).is_err());
}

#[test]
fn an_address_that_is_in_use_starts_no_worker() {
    let nest = Nest::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = nest.say(&["work", "--web", &address, "--until-idle"]);
    assert!(said.code == 6 && said.err.contains(&address) && said.err.contains("name another port"), "{said:?}");
    let remote = nest.say(&["work", "--web", "0.0.0.0:0", "--until-idle"]);
    assert!(remote.code == 2 && remote.err.contains("--remote"), "{remote:?}");
}

#[test]
fn the_socket_of_a_killed_worker_is_taken_over() {
    let nest = Nest::new();
    let socket = format!("unix:{}", nest.file("web.sock").display());
    nest.work(&["--web", &socket]).kill();
    let worker = nest.work(&["--web", &socket]);
    let at = crate::support::At { address: socket, token: None };
    crate::support::until("the server to listen", || std::os::unix::net::UnixStream::connect(nest.file("web.sock")).ok());
    assert_eq!(at.get("/api/v1/status").json()["worker"]["pid"], worker.pid());
    assert_eq!(worker.stop(), 0);
    assert!(!nest.file("web.sock").exists());
}
