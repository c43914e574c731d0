//! The figures of the README: `cargo bench`, or `cargo bench -- NAME...` for some of them.
//!
//! Each is a ratio against a reference that is measured in the same minute on the same machine, interleaved, because the machine
//! may be shared. Medians of several rounds.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let all: [(&str, fn()); 6] = [
        ("throughput", throughput),
        ("claim", claim),
        ("latency", latency),
        ("sql", sql_latency),
        ("idle", idle),
        ("memory", memory),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            run();
        }
    }
}

/// A directory with a file in it.
struct Nest(tempfile::TempDir);

impl Nest {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("q.db")
    }

    fn tenure(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command
            .args(args)
            .env("TENURE_DB", self.db())
            .env("XDG_CONFIG_HOME", self.0.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.tenure(args).output().expect("the program runs");
        assert!(output.status.success(), "tenure {args:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn work(&self, args: &[&str]) -> Working {
        let mut all = vec!["work"];
        all.extend(args);
        #[expect(clippy::zombie_processes, reason = "Working waits for it")]
        let child = self.tenure(&all).stdout(Stdio::null()).spawn().expect("the worker starts");
        loop {
            let output = self.tenure(&["status", "--json"]).output().expect("the program runs");
            // The file may not be there yet.
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status["worker"]["pid"].as_u64() == Some(u64::from(child.id())) {
                return Working(child);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn lines(&self, name: &str, n: usize, line: impl Fn(usize) -> String) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
        for i in 0..n {
            writeln!(file, "{}", line(i)).expect("written");
        }
        path
    }
}

struct Working(Child);

impl Working {
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).expect("a pid");
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _reaped = self.0.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * p) as usize]
}

/// No-op jobs end to end at 2 slots, durable and guarded, against `xargs -P2 -n1 /bin/true`.
fn throughput() {
    const JOBS: usize = 2_000;
    let (mut work, mut whole, mut absolute, mut xargs_absolute) = (vec![], vec![], vec![], vec![]);
    // Kept to the end: a file system may be slow for a while in making files where many were removed.
    let mut nests = vec![];
    for _ in 0..ROUNDS {
        let nest = Nest::new();
        let from = nest.lines("jobs", JOBS, |_| r#"{"command": ["/bin/true"], "cwd": "/"}"#.into());
        let begun = Instant::now();
        nest.ok(&["add", "--from", from.to_str().expect("utf-8")]);
        let added = begun.elapsed().as_secs_f64();
        nest.ok(&["work", "--until-idle", "--slots", "2"]);
        let total = begun.elapsed().as_secs_f64();
        let counts: serde_json::Value = serde_json::from_str(&nest.ok(&["status", "--json"])).expect("JSON");
        assert_eq!(counts["counts"]["done"].as_u64(), Some(JOBS as u64), "all are done");
        let xargs = xargs(JOBS);
        whole.push(xargs / total);
        work.push(xargs / (total - added));
        absolute.push(JOBS as f64 / total);
        nests.push(nest);
        xargs_absolute.push(JOBS as f64 / xargs);
    }
    println!(
        "throughput: {JOBS} no-op jobs at 2 slots, add included: {:.0}/s, xargs -P2 {:.0}/s; ratio {:.2} with the add, {:.2} of the work alone",
        median(absolute),
        median(xargs_absolute),
        median(whole),
        median(work)
    );
}

fn xargs(n: usize) -> f64 {
    let begun = Instant::now();
    let mut child = Command::new("xargs").args(["-P2", "-n1", "/bin/true"]).stdin(Stdio::piped()).spawn().expect("xargs");
    let mut stdin = child.stdin.take().expect("piped");
    for i in 0..n {
        writeln!(stdin, "{i}").expect("written");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    begun.elapsed().as_secs_f64()
}

/// One claim among 1,000,000 ready jobs against one among 1,000; the same with 100,000 delayed jobs of higher priority ahead.
fn claim() {
    let small = Claims::new(1_000, 0);
    let large = Claims::new(1_000_000, 0);
    let delayed = Claims::new(1_000, 100_000);
    let (mut to_large, mut to_delayed, mut base) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let s = small.per_claim_us();
        base.push(s);
        to_large.push(large.per_claim_us() / s);
        to_delayed.push(delayed.per_claim_us() / s);
    }
    println!(
        "claim: {:.0} us each at 1,000 ready; at 1,000,000: {:.2} times; with 100,000 delayed of higher priority ahead: {:.2} times",
        median(base),
        median(to_large),
        median(to_delayed)
    );
}

struct Claims {
    _nest: Nest,
    store: tenure::store::Store,
    next_run: std::cell::Cell<i64>,
}

impl Claims {
    fn new(ready: usize, delayed: usize) -> Self {
        use tenure::store::{Options, Role, Store};
        let nest = Nest::new();
        let store = Store::open(&nest.db(), Options { role: Role::Client, ..Options::default() }).expect("a store");
        fill(&store, ready, 0, 0);
        fill(&store, delayed, 9, i64::MAX / 2);
        Self { _nest: nest, store, next_run: std::cell::Cell::new(1) }
    }

    fn per_claim_us(&self) -> f64 {
        use tenure::job::{Nonce, RunId};
        use tenure::store::{
            claim::{Scope, claim},
            ids::Prepared,
        };
        const N: i64 = 100;
        let first = self.next_run.get();
        self.next_run.set(first + N);
        let spent = self
            .store
            .write(move |conn| {
                let begun = Instant::now();
                for n in 0..N {
                    let prepared = [Prepared { run: RunId(first + n), nonce: Nonce([0; 16]) }];
                    let claimed = claim(conn, &Scope::default(), &prepared, "bench", "boot", 1_000_000)?;
                    assert_eq!(claimed.len(), 1);
                }
                Ok(begun.elapsed())
            })
            .expect("claimed");
        spent.as_secs_f64() * 1e6 / N as f64
    }
}

fn fill(store: &tenure::store::Store, n: usize, priority: i64, available_at: i64) {
    use tenure::job::{Argv, NewJob};
    let mut job = NewJob { available_at, ..NewJob::new(Argv::from_strs(&["/bin/true"]).expect("a command")) };
    job.placement.priority = priority;
    let mut left = n;
    while left > 0 {
        let batch = vec![job.clone(); left.min(10_000)];
        left -= batch.len();
        store.write(move |conn| tenure::store::enqueue::add(conn, &batch, 1_000)).expect("added");
    }
}

/// From the start of an idle `tenure add` to the first instruction of the job, against a bare spawn.
fn latency() {
    const N: usize = 200;
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    let stamp = nest.0.path().join("stamp");
    let (mut ours, mut bare) = (vec![], vec![]);
    for _ in 0..N {
        let touch = format!("cat /proc/uptime >/dev/null; date +%s%N >{}.new && mv {0}.new {0}", stamp.display());
        let begun = now_ns();
        nest.ok(&["add", "--", "/bin/sh", "-c", &touch]);
        ours.push((wait_for_stamp(&stamp) - begun) / 1e6);
        let begun = now_ns();
        assert!(Command::new("/bin/sh").args(["-c", &touch]).status().expect("sh").success());
        bare.push((wait_for_stamp(&stamp) - begun) / 1e6);
    }
    let (p50, p99) = (percentile(&mut ours, 0.5), percentile(&mut ours, 0.99));
    let (b50, b99) = (percentile(&mut bare, 0.5), percentile(&mut bare, 0.99));
    println!(
        "latency: idle `tenure add` to the job's first command: p50 {p50:.1} ms, p99 {p99:.1} ms; bare spawn of the same: p50 {b50:.1} ms, p99 {b99:.1} ms; ratio of p50 {:.1}",
        p50 / b50
    );
}

/// From a plain `sqlite3` insert to the job.
fn sql_latency() {
    const N: usize = 200;
    if Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("sql: there is no sqlite3 here");
        return;
    }
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    let stamp = nest.0.path().join("stamp");
    let mut ours = vec![];
    for _ in 0..N {
        let touch = format!("date +%s%N >{}.new && mv {0}.new {0}", stamp.display());
        let insert = format!(".timeout 5000\nINSERT INTO job(command) VALUES (json_array('/bin/sh', '-c', '{touch}'));\n");
        let begun = now_ns();
        let mut client = Command::new("sqlite3").arg("-bail").arg(nest.db()).stdin(Stdio::piped()).spawn().expect("sqlite3");
        client.stdin.take().expect("piped").write_all(insert.as_bytes()).expect("written");
        assert!(client.wait().expect("it ends").success());
        ours.push((wait_for_stamp(&stamp) - begun) / 1e6);
    }
    println!(
        "sql: plain sqlite3 insert to the job's first command: p50 {:.1} ms, p99 {:.1} ms",
        percentile(&mut ours, 0.5),
        percentile(&mut ours, 0.99)
    );
}

fn now_ns() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as f64
}

fn wait_for_stamp(path: &Path) -> f64 {
    loop {
        if let Ok(text) = std::fs::read_to_string(path)
            && let Ok(ns) = text.trim().parse::<f64>()
        {
            std::fs::remove_file(path).expect("removed");
            return ns;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// CPU time of an idle worker and its spawner over a minute.
fn idle() {
    const SECONDS: u64 = 60;
    let nest = Nest::new();
    let worker = nest.work(&[]);
    std::thread::sleep(Duration::from_secs(2));
    let pids = family(worker.pid());
    let before: f64 = pids.iter().map(|pid| cpu_ms(*pid)).sum();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let after: f64 = pids.iter().map(|pid| cpu_ms(*pid)).sum();
    println!("idle: {:.0} ms of CPU in {SECONDS} s = {:.3} %", after - before, (after - before) / (SECONDS as f64 * 10.0));
}

/// CPU time of a process in milliseconds, from the scheduler's own nanoseconds.
fn cpu_ms(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e6
}

fn family(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        all.extend(children(all[next]));
        next += 1;
    }
    all
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// 300 sleeping jobs: memory of worker, spawner and shims together, and the time to start and to cancel them all.
fn memory() {
    const JOBS: usize = 300;
    let nest = Nest::new();
    let worker = nest.work(&["--slots", "300"]);
    let from = nest.lines("jobs", JOBS, |_| r#"{"command": ["/bin/sleep", "600"], "cwd": "/"}"#.into());
    let begun = Instant::now();
    nest.ok(&["add", "--from", from.to_str().expect("utf-8")]);
    wait_for_counts(&nest, "running", JOBS as u64);
    let started = begun.elapsed();
    let all = family(worker.pid());
    let ours: Vec<u32> = all.into_iter().filter(|pid| comm(*pid).starts_with("tenure")).collect();
    let pss: u64 = ours.iter().filter_map(|pid| pss_kb(*pid)).sum();
    let begun = Instant::now();
    nest.ok(&["cancel", "--state", "running"]);
    wait_for_counts(&nest, "cancelled", JOBS as u64);
    println!(
        "memory: {JOBS} sleeping jobs: {} tenure processes, {:.1} MB PSS together; all started in {:.1} s, all cancelled in {:.1} s",
        ours.len(),
        pss as f64 / 1000.0,
        started.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
}

fn wait_for_counts(nest: &Nest, state: &str, n: u64) {
    loop {
        let status: serde_json::Value = serde_json::from_str(&nest.ok(&["status", "--json"])).expect("JSON");
        if status["counts"][state].as_u64() == Some(n) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn pss_kb(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().trim_end_matches(" kB").parse().ok())
}
