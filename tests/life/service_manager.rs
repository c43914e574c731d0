//! What a service manager is told, by a socket that this test holds in its place.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{Nest, Signal, kill, until};

struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(nest: &Nest) -> Self {
        let socket = UnixDatagram::bind(nest.file("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        Self { socket, heard: Vec::new() }
    }

    fn start(&self, nest: &Nest, args: &[&str], watchdog_usec: Option<u64>) -> Child {
        let mut command = nest.tenure(args);
        command.env("NOTIFY_SOCKET", nest.file("notify")).stdout(Stdio::null());
        if let Some(usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", usec.to_string());
        }
        command.stderr(std::fs::File::create(nest.file("worker.log")).expect("the log")).spawn().expect("it starts")
    }

    /// Waits for a line that begins so, and takes it out of those that were heard.
    fn until_told(&mut self, start: &str) -> String {
        until(&format!("{start}, after {:?}", self.heard), || {
            let mut buffer = [0; 4096];
            if let Ok(n) = self.socket.recv(&mut buffer) {
                self.heard.extend(String::from_utf8_lossy(&buffer[..n]).lines().map(str::to_owned));
            }
            let at = self.heard.iter().position(|line| line.starts_with(start))?;
            Some(self.heard.remove(at))
        })
    }

    fn has_told(&self, start: &str) -> bool {
        self.heard.iter().any(|line| line.starts_with(start))
    }
}

#[test]
fn a_worker_tells_what_it_does_and_gives_signs_of_life() {
    let nest = Nest::new();
    let mut manager = Manager::new(&nest);
    let mut worker = manager.start(&nest, &["work", "--slots", "2", "--drain"], Some(400_000));
    manager.until_told("READY=1");
    assert_eq!(manager.until_told("STATUS="), "STATUS=0 of 2 slots busy, 0 ready");
    // An idle worker lives: its loops go round because they are asked to.
    (0..5).for_each(|_| drop(manager.until_told("WATCHDOG=1")));
    let job = nest.sh(&[], "until [ -e go ]; do sleep 0.02; done");
    nest.sh(&["--delay", "1h"], "true");
    manager.until_told("STATUS=1 of 2 slots busy, 0 ready");
    nest.until_pid(job);
    kill(worker.id().cast_signed(), Signal::TERM);
    assert_eq!(manager.until_told("STATUS=draining"), "STATUS=draining: 1 of 2 slots busy");
    manager.until_told("EXTEND_TIMEOUT_USEC=");
    (0..3).for_each(|_| drop(manager.until_told("WATCHDOG=1")));
    std::fs::write(nest.file("go"), "").expect("a file");
    manager.until_told("STOPPING=1");
    assert!(worker.wait().expect("it ends").success());
}

#[test]
fn a_worker_that_waits_for_the_write_lock_gets_its_time() {
    let nest = Nest::new();
    nest.add(&["--", "true"]);
    let mut manager = Manager::new(&nest);
    let other = nest.sql();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut worker = manager.start(&nest, &["work"], Some(800_000));
    let waits = format!("waits for the write lock held by pid {}", std::process::id());
    manager.until_told(&format!("STATUS=starting: {waits}"));
    manager.until_told("EXTEND_TIMEOUT_USEC=");
    assert!(!manager.has_told("READY=1"));
    other.execute_batch("COMMIT").expect("the lock is given up");
    manager.until_told("READY=1");
    manager.until_told("WATCHDOG=1");
    // A worker that is kept from writing is not helped by a restart.
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    while !manager.until_told("STATUS=").contains(&format!("slots busy; {waits}")) {}
    (0..5).for_each(|_| drop(manager.until_told("WATCHDOG=1")));
    other.execute_batch("COMMIT").expect("the lock is given up");
    kill(worker.id().cast_signed(), Signal::TERM);
    manager.until_told("STOPPING=1");
    assert!(worker.wait().expect("it ends").success());
}

#[test]
fn the_end_of_the_runs_gets_its_time() {
    let nest = Nest::new();
    let mut manager = Manager::new(&nest);
    let mut worker = manager.start(&nest, &["work", "--on-term", "end", "--stop-timeout", "300ms"], None);
    manager.until_told("READY=1");
    let job = nest.sh(&["--grace", "1h"], "trap '' TERM; echo on; while :; do sleep 0.02; done");
    nest.until_log(job, "on");
    kill(worker.id().cast_signed(), Signal::TERM);
    manager.until_told("STATUS=ending 1 run");
    manager.until_told("EXTEND_TIMEOUT_USEC=");
    assert!(worker.wait().expect("it ends").success());
    assert!(!manager.has_told("WATCHDOG=1"), "the service manager has not asked for it");
}

#[test]
fn a_manager_that_does_not_read_stops_nothing() {
    let nest = Nest::new();
    let mut manager = Manager::new(&nest);
    let mut worker = manager.start(&nest, &["work", "--on-term", "end"], Some(4_000));
    manager.until_told("READY=1");
    // The socket takes only so many messages (net.unix.max_dgram_qlen).
    let (filler, most) = (UnixDatagram::unbound().expect("a socket"), 100_000);
    filler.set_nonblocking(true).expect("it is ours");
    assert!((0..most).any(|_| filler.send_to(b"X=1", nest.file("notify")).is_err()), "the socket is full");
    assert_eq!(nest.until_ended(nest.add(&["--", "true"]))["state"], "done");
    let running = nest.sh(&[], "sleep 600");
    nest.until_pid(running);
    kill(worker.id().cast_signed(), Signal::TERM);
    until("the worker to end", || worker.try_wait().expect("a child"));
    assert_eq!(nest.show(running)["reason"], "shutdown");
}

#[test]
fn messages_in_the_journal_have_their_priority() {
    use std::os::unix::fs::MetadataExt;
    let nest = Nest::new();
    let log = std::fs::File::create(nest.file("journal")).expect("a file");
    let meta = log.metadata().expect("its inode");
    let refused = |stream: String| {
        let mut command = nest.tenure(&["work", "--slots", "0"]);
        command.env("JOURNAL_STREAM", stream).stderr(log.try_clone().expect("a copy")).status().expect("it runs");
        std::fs::read_to_string(nest.file("journal")).expect("text")
    };
    assert!(refused("1:1".into()).starts_with("tenure: error: "), "another stream");
    let text = refused(format!("{}:{}", meta.dev(), meta.ino()));
    assert!(text.lines().any(|line| line.starts_with("<3>tenure: error: ")), "{text}");
}
