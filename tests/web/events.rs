//! Live events: every change once, in order, from where a client has left.

use std::collections::BTreeSet;
use std::io::{BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::web::{receive_chunk, receive_head};
use crate::support::{At, Nest, Web, until};

/// A client of the event stream.
struct Stream {
    reader: BufReader<TcpStream>,
    pending: String,
    /// The last id that was seen.
    last: String,
}

impl Stream {
    fn open(at: &At, query: &str, last: Option<&str>) -> Result<Self, u16> {
        let mut stream = at.tcp();
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(last.map(|id| ("Last-Event-ID", id)));
        stream
            .write_all((at.head("GET", &format!("/api/v1/events{query}"), &headers) + "\r\n").as_bytes())
            .expect("it takes that");
        let mut reader = BufReader::new(stream);
        let (status, headers) = receive_head(&mut reader).expect("a head");
        if status != 200 {
            return Err(status);
        }
        assert!(headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"));
        let mut stream = Self { reader, pending: String::new(), last: String::new() };
        stream.frame();
        Ok(stream)
    }

    /// The next frame that is not a sign of life; its data, if it has some.
    fn frame(&mut self) -> Option<Value> {
        loop {
            while !self.pending.contains("\n\n") {
                let chunk = receive_chunk(&mut self.reader).expect("the stream continues");
                self.pending += &String::from_utf8(chunk).expect("text");
            }
            let (frame, rest) = self.pending.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a frame");
            self.pending = rest;
            if frame.starts_with(':') {
                continue;
            }
            if let Some(id) = frame.lines().find_map(|line| line.strip_prefix("id: ")) {
                id.clone_into(&mut self.last);
            }
            return frame
                .lines()
                .find_map(|line| line.strip_prefix("data: "))
                .map(|data| serde_json::from_str(data).expect("JSON"));
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Some(value) = self.frame() {
                return value;
            }
        }
    }
}

fn served() -> (Nest, Web) {
    let nest = Nest::new();
    nest.add(&["--hold", "-l", "first", "--", "true"]);
    let web = nest.web(&[]);
    (nest, web)
}

fn what(change: &Value) -> (i64, String) {
    (change["job"].as_i64().expect("a job"), change["event"].as_str().expect("a word").to_owned())
}

#[test]
fn changes_come_as_they_happen() {
    let (nest, web) = served();
    let mut stream = Stream::open(&web, "", None).expect("it opens");
    let id = nest.add(&["-l", "a\nb\rdata: x", "--", "true"]);
    let added = stream.next();
    assert_eq!((what(&added), &added["label"]), ((id, "added".to_owned()), &Value::from("a\nb\rdata: x")));
    nest.work_until_idle(&[]);
    assert_eq!(what(&stream.next()), (id, "claimed".to_owned()));
    assert_eq!(what(&stream.next()), (id, "done".to_owned()));
    let told = nest.ok(&["events"]);
    let newest: Value = serde_json::from_str(told.lines().last().expect("a line")).expect("JSON");
    assert_eq!(newest["id"], stream.last.as_str());
}

#[test]
fn a_client_continues_where_it_has_left() {
    let (nest, web) = served();
    let mut seen = BTreeSet::new();
    let mut last = "0".to_owned();
    for n in 0..20 {
        let mut stream = Stream::open(&web, "", Some(&last)).expect("it opens");
        nest.add(&["--hold", "--", "true"]);
        let until_job = n + 2;
        loop {
            let (job, word) = what(&stream.next());
            assert!(seen.insert((job, word.clone())), "{job} {word} came twice");
            if job == until_job {
                break;
            }
        }
        last = stream.last;
    }
    assert_eq!(seen.iter().filter(|(_, word)| word == "added").count(), 21);
}

#[test]
fn a_filter_leaves_out_and_still_moves_the_position() {
    let (nest, web) = served();
    let mut stream = Stream::open(&web, "?label=wanted&state=queued", None).expect("it opens");
    let before = stream.last.clone();
    nest.add(&["--hold", "-l", "other", "--", "true"]);
    assert_eq!(stream.frame(), None, "a frame without data");
    assert_ne!(stream.last, before);
    let id = nest.add(&["--hold", "-l", "wanted", "--", "true"]);
    assert_eq!(what(&stream.next()), (id, "added".to_owned()));
}

#[test]
fn a_position_that_is_not_of_this_file_is_refused() {
    let (_nest, web) = served();
    assert_eq!(Stream::open(&web, "", Some("99-99")).err(), Some(404));
    assert_eq!(Stream::open(&web, "", Some("nonsense")).err(), Some(400));
    assert_eq!(Stream::open(&web, "", Some("\u{e4}")).err(), Some(400));
    assert_eq!(Stream::open(&web, "?after=99-99", None).err(), Some(404));
    assert_eq!(Stream::open(&web, "?state=nope", None).err(), Some(400));
    assert!(Stream::open(&web, "?after=99-99", Some("0-0")).is_ok(), "the header is newer than the address");
}

#[test]
fn pages_of_changes_are_those_of_the_stream() {
    let (nest, web) = served();
    for _ in 0..5 {
        nest.add(&["--", "true"]);
    }
    nest.work_until_idle(&[]);
    let (mut all, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = web.get(&format!("/api/v1/events?limit=3&after={after}")).json();
        let changes = page["changes"].as_array().expect("a list");
        assert!(changes.len() <= 3, "{page}");
        all.extend(changes.iter().map(what));
        page["next"].as_str().expect("a position").clone_into(&mut after);
        if page["more"] == false {
            break;
        }
    }
    let mut stream = Stream::open(&web, "", Some("0")).expect("it opens");
    let streamed: Vec<_> = all.iter().map(|_| what(&stream.next())).collect();
    assert_eq!(all, streamed);
    assert_eq!(all.len(), 6 + 5 * 2);
}

#[test]
fn only_so_many_clients_follow_and_places_are_given_back() {
    let (_nest, web) = served();
    let open: Vec<Stream> = (0..64).map(|_| Stream::open(&web, "", None).expect("it opens")).collect();
    assert_eq!(Stream::open(&web, "", None).err(), Some(503));
    assert_eq!(web.get("/api/v1/status").status, 200);
    drop(open);
    until("a place to be free", || Stream::open(&web, "", None).ok());
}

#[test]
fn a_stream_ends_when_another_file_takes_the_place() {
    let (nest, web) = served();
    let mut stream = Stream::open(&web, "", None).expect("it opens");
    for end in ["", "-wal", "-shm", ".d"] {
        let path = format!("{}{end}", nest.db().display());
        std::fs::rename(&path, format!("{path}.old")).expect("it is there");
    }
    // Its changes have other positions: none of them would be told.
    nest.add(&["--hold", "--", "true"]);
    while let Some(chunk) = receive_chunk(&mut stream.reader) {
        assert!(!String::from_utf8_lossy(&chunk).contains("data: "), "{chunk:?}");
    }
    assert_eq!(web.get("/api/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(1));
}

/// Reproduces: pages of changes that one client had read were given to later ones, with changes of
/// jobs that had been removed or undone, and under the queues of before.
#[test]
fn a_client_that_comes_back_gets_what_the_file_has_now() {
    let (nest, web) = served();
    // What is shared is forgotten where no client follows.
    let _other = Stream::open(&web, "", None).expect("it opens");
    let agree = |query: &str| {
        let page = web.get(&format!("/api/v1/events?after=0&limit=1000{query}")).json();
        let listed: Vec<_> = page["changes"].as_array().expect("a list").iter().map(what).collect();
        let mut stream = Stream::open(&web, &format!("?after=0{query}"), None).expect("it opens");
        let streamed: Vec<_> = listed.iter().map(|_| what(&stream.next())).collect();
        assert_eq!(streamed, listed, "{query}");
        listed
    };
    let (kept, moved, gone) = (nest.add(&["--", "true"]), nest.add(&["--", "true"]), nest.add(&["--", "true"]));
    nest.ok(&["backup", "copy.db"]);
    let undone = nest.add(&["--", "true"]);
    assert!(agree("").iter().any(|(job, _)| *job == gone));
    nest.ok(&["cancel", &gone.to_string()]);
    nest.ok(&["rm", &gone.to_string()]);
    assert!(agree("").iter().all(|(job, _)| *job != gone));
    nest.ok(&["set", &moved.to_string(), "queue=other"]);
    let of_other = agree("&queue=other");
    assert!(!of_other.is_empty() && of_other.iter().all(|(job, _)| *job == moved), "{of_other:?}");
    assert!(agree("&queue=default").iter().any(|(job, _)| *job == kept));
    nest.ok(&["restore", "copy.db"]);
    assert!(agree("").iter().all(|(job, _)| *job != undone));
}
