//! Clients that say nonsense, too much, nothing, or the same again.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};
use serde_json::{Value, json};
use tenure::job::{Argv, NewJob};

use super::{connected, count, serving, until_served};
use crate::support::{Dice, Nest, PATIENCE, seed};

fn now_ms() -> u64 {
    tenure::run::machine::boottime_ms()
}

/// A request as this version sends it.
fn request(nest: &Nest, sent_ms: u64, token: u8, label: &str) -> Value {
    let mut job = NewJob::new(Argv::from_strs(&["true"]).unwrap());
    job.placement.label = Some(label.to_owned());
    let found = std::fs::metadata(nest.db()).unwrap();
    let device = [rustix::fs::major(found.dev()), rustix::fs::minor(found.dev())];
    json!({"file": {"device": device, "inode": found.ino()}, "key": {"sent_ms": sent_ms, "token": vec![token; 16]}, "jobs": [job]})
}

fn packet(request: &Value) -> Vec<u8> {
    format!("tenure {} {}\n{request}", env!("CARGO_PKG_VERSION"), tenure::store::USER_VERSION).into_bytes()
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> bool {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL).is_ok()
}

/// The answer; empty: the connection was closed.
fn answer(socket: &OwnedFd) -> Vec<u8> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&socket.as_fd(), PollFlags::IN)], Some(&patience)), Ok(1), "an answer or the end");
    let mut bytes = vec![0; 1 << 16];
    match rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty()) {
        Ok((n, _)) => bytes[..n].to_vec(),
        Err(_) => Vec::new(),
    }
}

fn ask(nest: &Nest, bytes: &[u8]) -> String {
    let socket = connected(nest).expect("a worker");
    assert!(send(&socket, bytes), "{} bytes", bytes.len());
    String::from_utf8(answer(&socket)).unwrap()
}

#[test]
fn a_request_that_comes_twice_adds_once() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    let twice = crate::support::until("an answer in time", || {
        let packet = packet(&request(&nest, now_ms(), 7, "twice"));
        let answers = [ask(&nest, &packet), ask(&nest, &packet)];
        answers.iter().all(|answer| answer != "\"Declined\"").then_some(answers)
    });
    assert!(twice[0].contains("\"id\":") && twice[0] == twice[1], "{twice:?}");
    let stored = count(&nest, "job WHERE label = 'twice'");
    assert_eq!(stored, count(&nest, "receipt"));
}

#[test]
fn a_request_is_declined_that_is_old_or_for_another_file() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    let old = request(&nest, now_ms() - 251, 1, "x");
    let early = request(&nest, now_ms() + 1_000_000, 2, "x");
    let mut other_file = request(&nest, now_ms(), 3, "x");
    other_file["file"]["inode"] = json!(1);
    let mut other_device = request(&nest, now_ms(), 4, "x");
    other_device["file"]["device"] = json!([1, 1]);
    for request in [old, early, other_file, other_device] {
        assert_eq!(ask(&nest, &packet(&request)), "\"Declined\"", "{request}");
    }
    let other_version = packet(&request(&nest, now_ms(), 5, "x")).strip_prefix(b"tenure 0").unwrap().to_vec();
    assert_eq!(ask(&nest, &[b"tenure 9", &other_version[..]].concat()), "\"Declined\"");
    assert_eq!((count(&nest, "job"), count(&nest, "receipt")), (1, 0));
}

#[test]
fn nonsense_is_declined_and_delays_no_client() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    let mut dice = Dice::new(seed());
    let whole = packet(&request(&nest, now_ms(), 1, "nonsense"));
    for _ in 0..200 {
        let end = dice.below(whole.len() as u64) as usize;
        let mut bytes = whole[..end.max(1)].to_vec();
        let at = dice.below(bytes.len() as u64) as usize;
        bytes[at] = bytes[at].wrapping_add(1 + dice.below(255) as u8);
        assert_eq!(ask(&nest, &bytes), "\"Declined\"");
    }
    let long = vec![b'x'; 100 << 10];
    assert_eq!(ask(&nest, &long), "\"Declined\"");
    let socket = connected(&nest).unwrap();
    assert!(send(&socket, b""), "an empty packet reads like the end of the connection");
    assert_eq!(answer(&socket), b"");
    until_served(&nest);
    assert_eq!(count(&nest, "job WHERE label = 'nonsense'"), 0);
}

#[test]
fn a_client_that_is_gone_or_silent_delays_no_client() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let _worker = serving(&nest);
    for n in 0..50 {
        let socket = connected(&nest).unwrap_or_else(|| panic!("client {n}"));
        send(&socket, &packet(&request(&nest, now_ms(), n, "gone")));
    }
    for _ in 0..40 {
        // Where its line is full, a client adds its jobs itself.
        let silent: Vec<_> = (0..100).filter_map(|_| connected(&nest)).collect();
        silent.iter().take(10).for_each(|socket| assert_eq!(answer(socket), b"", "it is closed"));
        assert!(silent.len() > 10, "{}", silent.len());
    }
    until_served(&nest);
    assert!(count(&nest, "job WHERE label = 'gone'") <= 50);
}
