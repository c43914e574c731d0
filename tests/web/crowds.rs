//! Crowds of clients beside a worker: its jobs run as they do without them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::support::{At, Nest};

/// Slow clients of the full test, bodies and their bytes, and connections to the events.
const SLOW: usize = 200;
const BODIES: usize = 100;
const BODY_BYTES: u64 = 1 << 30;
const RECONNECTS: usize = 10_000;
/// Share of the claims per second that must be left.
const SHARE_MIN: f64 = 0.9;
/// Jobs of one measurement: while they run, all of the crowd comes.
const JOBS: usize = 20_000;

/// Sends its request slowly, and reads the answer as slowly.
fn dawdle(at: &At, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(at.host()) else { continue };
        let _timeout = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let head = at.head("GET", "/api/v1/jobs", &[]);
        let head = head + "\r\n";
        let mut rest = head.as_bytes().chunks(16);
        let mut bytes = [0; 1024];
        while !stop.load(Ordering::Relaxed) {
            let is_over = match rest.next() {
                Some(part) => stream.write_all(part).is_err(),
                None => matches!(stream.read(&mut bytes), Ok(0)),
            };
            if is_over {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sends one body after the other, each as far as it is taken.
fn stuff(at: &At, bytes: u64, left: &AtomicUsize, stop: &AtomicBool) {
    let chunk = vec![b' '; 1 << 20];
    while !stop.load(Ordering::Relaxed) && taken(left) {
        let Ok(mut stream) = TcpStream::connect(at.host()) else { continue };
        let head =
            at.head("POST", "/api/v1/jobs", &[("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")]) + "\r\n";
        let _refused = stream.write_all(head.as_bytes());
        let mut left = bytes;
        while left > 0 && !stop.load(Ordering::Relaxed) {
            let part = format!("{:x}\r\n", chunk.len());
            if stream
                .write_all(part.as_bytes())
                .and_then(|()| stream.write_all(&chunk))
                .and_then(|()| stream.write_all(b"\r\n"))
                .is_err()
            {
                break;
            }
            left = left.saturating_sub(chunk.len() as u64);
        }
    }
}

fn taken(left: &AtomicUsize) -> bool {
    left.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

/// Connects to the events, reads a little, and leaves.
fn reconnect(at: &At, left: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && taken(left) {
        let Ok(mut stream) = TcpStream::connect(at.host()) else { continue };
        let _timeout = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let head = at.head("GET", "/api/v1/events", &[("Accept", "text/event-stream"), ("Last-Event-ID", "0")]) + "\r\n";
        let mut bytes = [0; 4096];
        let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.read(&mut bytes));
    }
}

/// Runs no-op jobs with two slots; returns how many per second.
fn rate(nest: &Nest, jobs: usize) -> f64 {
    let lines: String = (0..jobs).map(|_| "{\"command\": [\"true\"]}\n").collect();
    std::fs::write(nest.file("jobs.jsonl"), lines).expect("it is ours");
    nest.ok(&["add", "--chunk", "1000", "--from", "jobs.jsonl"]);
    let begun = Instant::now();
    nest.work_until_idle(&["--slots", "2", "--quiet"]);
    jobs as f64 / begun.elapsed().as_secs_f64()
}

/// Clients that come while something is measured.
struct Crowd {
    slow: usize,
    bodies: usize,
    body_bytes: u64,
    reconnects: usize,
}

/// A thread of a client, which in truth is on another machine: it takes no processor from the jobs.
fn elsewhere<'a>(scope: &'a Scope<'a, '_>, act: impl FnOnce() + Send + 'a) {
    scope.spawn(|| {
        rustix::process::nice(19).expect("less is always allowed");
        act();
    });
}

/// Runs something while clients crowd the server; also returns how many bodies and connections had
/// not come when it ended.
fn in_crowd<T>(at: &At, crowd: &Crowd, act: impl FnOnce() -> T) -> (T, [usize; 2]) {
    let stop = AtomicBool::new(false);
    let (bodies, reconnects) = (AtomicUsize::new(crowd.bodies), AtomicUsize::new(crowd.reconnects));
    let done = std::thread::scope(|scope| {
        (0..crowd.slow).for_each(|_| elsewhere(scope, || dawdle(at, &stop)));
        (0..2).for_each(|_| elsewhere(scope, || stuff(at, crowd.body_bytes, &bodies, &stop)));
        (0..2).for_each(|_| elsewhere(scope, || reconnect(at, &reconnects, &stop)));
        let done = act();
        stop.store(true, Ordering::Relaxed);
        done
    });
    (done, [bodies, reconnects].map(AtomicUsize::into_inner))
}

/// Seconds of a processor that a process has used.
fn used(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks = [11, 12].map(|at| fields[at].parse::<f64>().expect("a number"));
    ticks.iter().sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}

#[test]
fn a_small_crowd_holds_nothing_up() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let mut web = nest.web(&["--patience", "500ms"]);
    let crowd = Crowd { slow: 20, bodies: 50, body_bytes: 64 << 20, reconnects: 100 };
    let (_, left) = in_crowd(&web.at.clone(), &crowd, || {
        rate(&nest, 200);
    });
    assert!(left[1] < crowd.reconnects && left[0] < crowd.bodies, "no client came: {left:?}");
    assert_eq!(nest.status()["counts"]["done"], 200);
    assert!(web.lives());
    assert_eq!(web.get("/api/v1/status").status, 200);
    let memory = std::fs::read_to_string(format!("/proc/{}/status", web.pid())).expect("it runs");
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.is_some_and(|kib| kib < 200 << 10), "{peak:?} KiB");
}

/// As it measures, it runs on a machine that does nothing else.
#[test]
#[ignore = "measures: cargo test --release --test all web::crowds -- --ignored --nocapture"]
fn crowds_leave_nine_tenths_of_the_claims() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    let crowd = Crowd { slow: SLOW, bodies: BODIES, body_bytes: BODY_BYTES, reconnects: RECONNECTS };
    let own = std::process::id().cast_signed();
    let (mut alone, mut crowded) = (Vec::new(), Vec::new());
    // The file grows, and the machine changes: each is first as often as the other.
    for is_crowd in [false, true, true, false, false, true, true, false] {
        if !is_crowd {
            alone.push(rate(&nest, JOBS));
            continue;
        }
        let before = (used(web.pid()), used(own), Instant::now());
        let (rate, left) = in_crowd(&web.at, &crowd, || rate(&nest, JOBS));
        let seconds = before.2.elapsed().as_secs_f64();
        let (server, clients) = ((used(web.pid()) - before.0) / seconds, (used(own) - before.1) / seconds);
        println!("in the crowd: processors: {server:.2} for the server, {clients:.2} for its clients; {seconds:.1} s");
        assert_eq!(left, [0, 0], "bodies and connections that had not come when the jobs were done");
        crowded.push(rate);
    }
    println!("claims per second: {alone:.0?} alone, {crowded:.0?} in the crowd");
    let share = crowded.iter().sum::<f64>() / alone.iter().sum::<f64>();
    println!("share: {share:.3}");
    assert!(share >= SHARE_MIN, "{share}");
}
