//! Other job runners, where they are installed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cage;
use crate::drain::xargs;
use crate::nest::{Nest, end};
use crate::plan::Plan;
use crate::row::{Found, Row, Unit};

/// Each with the command that installs it on Debian.
const INSTALL: [(&str, &str); 4] = [
    ("tsp", "apt-get install task-spooler"),
    ("nq", "apt-get install nq"),
    ("parallel", "apt-get install parallel"),
    ("pueue", "cargo install pueue --locked"),
];
/// The line of a row whose peer is not here.
pub fn missing(name: &str) -> Option<String> {
    let how = INSTALL.iter().find(|(peer, _)| *peer == name)?.1;
    (!is_on_path(name)).then(|| format!("{name} is not installed: {how}"))
}

fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// A server of `tsp` with a socket of its own.
pub struct Tsp(tempfile::TempDir);

impl Tsp {
    pub fn new(slots: &str) -> Self {
        let tsp = Self(tempfile::tempdir().expect("a temporary directory"));
        assert!(tsp.command(&["-S", slots]).status().expect("tsp").success(), "tsp -S {slots}");
        tsp
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tsp");
        let dir = self.0.path();
        command
            .args(args)
            .env("TS_SOCKET", dir.join("s"))
            .env("TMPDIR", dir)
            .env("TS_MAXCONN", "20000")
            .env("TS_MAXFINISHED", "50000");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// `tsp -n COMMAND`, as a process.
    pub fn add(&self, command: &[String]) {
        let args: Vec<&str> = ["-n"].into_iter().chain(command.iter().map(String::as_str)).collect();
        assert!(self.command(&args).status().expect("tsp").success(), "tsp -n");
    }
}

impl Drop for Tsp {
    fn drop(&mut self) {
        // The jobs first: `-K` ends the server alone, and its socket is all that knows them.
        let _running = self.command(&["-k"]).status();
        let _server = self.command(&["-K"]).status();
    }
}

/// Queues jobs, and waits for the last one.
type Through = fn(&Path, usize);

/// No-op jobs through each of them, one client process for each job where it has a queue.
pub fn drain(plan: &Plan) -> Found {
    let jobs = plan.of(50, 500, 1_000);
    let all: [(&str, &str, Through); 5] = [
        ("tenure", "tenure: add each, run all", through_tenure),
        ("tsp", "tsp: add each, run all", through_tsp),
        ("nq", "nq: add each, run all, serial", through_nq),
        ("pueue", "pueue: add each, run all", through_pueue),
        ("parallel", "parallel -j2", through_parallel),
    ];
    let (here, not_here): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _, _)| missing(name).is_none());
    let mut pairs: Vec<Vec<(f64, f64)>> = vec![vec![]; here.len()];
    let mut dirs = vec![];
    for _ in 0..plan.of(1, 3, 5) {
        for ((_, _, through), pairs) in here.iter().zip(&mut pairs) {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let begun = Instant::now();
            through(dir.path(), jobs);
            let took = begun.elapsed().as_secs_f64();
            cage::expect_no_children("peers");
            pairs.push((jobs as f64 / took, jobs as f64 / xargs(jobs, 2)));
            dirs.push(dir);
        }
    }
    let row = |what: &str, pairs: &[(f64, f64)]| {
        let how = format!(
            "{jobs} jobs of `/bin/true`, 2 at once unless it says otherwise, from the first client to the end of \
             the last job; starting and ending the daemon included"
        );
        Row::against(what, Unit::PerSecond, "xargs -P2 -n1", pairs).how(how)
    };
    let rows = here.iter().zip(&pairs).map(|((_, what, _), pairs)| row(what, pairs)).collect();
    let notes = not_here.iter().filter_map(|(name, _, _)| missing(name)).collect();
    Found { rows, notes, ..Found::default() }
}

fn no_op() -> [String; 1] {
    ["/bin/true".into()]
}

fn quiet(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("it runs").success(), "{command:?}");
}

fn through_tenure(_: &Path, jobs: usize) {
    let nest = Nest::new();
    let _working = nest.work(&["--slots", "2"]);
    (0..jobs).for_each(|_| nest.add(&no_op()));
    nest.wait_for("done", jobs as u64);
}

fn through_tsp(_: &Path, jobs: usize) {
    let tsp = Tsp::new("2");
    (0..jobs).for_each(|_| tsp.add(&no_op()));
    // Without an id: the job that was added last.
    quiet(&mut tsp.command(&["-w"]));
}

fn through_nq(dir: &Path, jobs: usize) {
    for _ in 0..jobs {
        quiet(Command::new("nq").args(["-q", "/bin/true"]).env("NQDIR", dir));
    }
    quiet(Command::new("nq").arg("-w").env("NQDIR", dir));
}

fn through_parallel(_: &Path, jobs: usize) {
    let mut child = Command::new("parallel")
        .args(["--will-cite", "-j2", "/bin/true", ":::"])
        .args((0..jobs).map(|i| i.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("parallel");
    assert!(child.wait().expect("it ends").success(), "parallel");
}

fn through_pueue(dir: &Path, jobs: usize) {
    let config = dir.join("pueue.yml");
    let place = dir.display();
    let settings = format!(
        "shared:\n  pueue_directory: {place}/data\n  runtime_directory: {place}\n  use_unix_socket: true\nclient: \
         {{}}\ndaemon: {{}}\n"
    );
    std::fs::create_dir(dir.join("data")).expect("a directory");
    std::fs::write(&config, settings).expect("written");
    let pueue = |args: &[&str]| {
        let mut command = Command::new("pueue");
        command.arg("-c").arg(&config).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let daemon = Command::new("pueued").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _daemon = Ending(daemon.expect("pueued"));
    while !pueue(&["status"]).status().expect("pueue").success() {
        std::thread::sleep(Duration::from_millis(10));
    }
    quiet(&mut pueue(&["parallel", "2"]));
    (0..jobs).for_each(|_| quiet(&mut pueue(&["add", "--", "/bin/true"])));
    quiet(&mut pueue(&["wait", "--quiet"]));
}

/// A child that ends with its figure.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}
