//! The harness: a nest of its own for each test, real workers, real kills, and no process or file left behind.

pub mod frozen;
pub mod stopped;
pub mod strace;
pub mod untested;
pub mod zoo;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tenure::host::lock::Holder;
use tenure::place::Place;

/// How long anything that must come is waited for. It is a limit for a broken program, not a time that a test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for: so many times what a look costs, within these.
const LOOK_SHARE: u32 = 3;
const LOOK_MIN: Duration = Duration::from_millis(2);
const LOOK_MAX: Duration = Duration::from_millis(200);

/// A directory with a file in it. Dropping it ends every process that was started through it.
pub struct Nest {
    dir: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Nest {
    pub fn new() -> Self {
        heed_the_keyboard();
        Self { dir: tempfile::Builder::new().prefix("tenure-nest-").tempdir().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.file("q.db")
    }

    pub fn beside(&self) -> PathBuf {
        self.file("q.db.d")
    }

    /// `tenure` on this nest's file, with nothing of the caller's settings.
    pub fn tenure(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command.args(args).current_dir(self.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path())
            .env("TENURE_DB", self.db())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC");
        command.stdin(Stdio::null());
        command
    }

    pub fn say(&self, args: &[&str]) -> Said {
        said(self.tenure(args).output().expect("the program runs"))
    }

    /// Its standard output, trimmed; the command must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert_eq!(said.code, 0, "tenure {args:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    pub fn add(&self, args: &[&str]) -> i64 {
        let mut all = vec!["add"];
        all.extend(args);
        let id = self.ok(&all);
        id.parse().unwrap_or_else(|_| panic!("add prints the id alone, not {id:?}"))
    }

    /// Adds `/bin/sh -c LINE`, with these options.
    pub fn sh(&self, options: &[&str], line: &str) -> i64 {
        let mut args = options.to_vec();
        args.extend(["--", "/bin/sh", "-c", line]);
        self.add(&args)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(args);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("tenure {args:?} printed no JSON ({e}): {out}"))
    }

    pub fn show(&self, id: i64) -> Value {
        self.json(&["show", &id.to_string(), "--json"])
    }

    pub fn state(&self, id: i64) -> String {
        self.show(id)["state"].as_str().expect("a state").to_owned()
    }

    pub fn log(&self, id: i64) -> String {
        self.ok(&["logs", &id.to_string()])
    }

    pub fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    pub fn counter(&self, name: &str) -> i64 {
        let status = self.status();
        let value = &status["reaper"][name];
        value.as_i64().or_else(|| value["n"].as_i64()).unwrap_or(0)
    }

    /// Waits for a job to come to a state, and returns it.
    pub fn until_state(&self, id: i64, state: &str) -> Value {
        self.until_row(&format!("job {id} to be {state}"), id, |now, _| now == state);
        self.show(id)
    }

    pub fn until_ended(&self, id: i64) -> Value {
        self.until_row(&format!("job {id} to end"), id, |now, _| matches!(now, "done" | "failed" | "cancelled"));
        self.show(id)
    }

    /// Waits until a job runs and its pid is known.
    pub fn until_pid(&self, id: i64) -> i32 {
        let mut pid = None;
        self.until_row(&format!("job {id} to have a pid"), id, |_, now| {
            pid = now;
            now.is_some()
        });
        pid.and_then(|pid| pid.try_into().ok()).expect("a pid")
    }

    /// Waits for the row of a job. It is read by SQL: a process for each look would compete with what the test looks at.
    fn until_row(&self, what: &str, id: i64, mut is_so: impl FnMut(&str, Option<i64>) -> bool) {
        let inode = || std::fs::metadata(self.db()).map(|meta| meta.ino()).ok();
        let mut open: Option<(Option<u64>, rusqlite::Connection)> = None;
        until(what, || {
            // A test may put another file in the place of this one.
            if open.as_ref().is_none_or(|(of, _)| *of != inode()) {
                open = Some((inode(), reader(&self.db())?));
            }
            let (_, conn) = open.as_ref()?;
            let row = conn.query_row("SELECT state, pid FROM jobs WHERE id = ?1", [id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
            });
            match row {
                Ok((state, pid)) => is_so(&state, pid).then_some(()),
                Err(_) => {
                    open = None;
                    None
                }
            }
        });
    }

    /// Starts `tenure work` and waits until it is the worker.
    pub fn work(&self, args: &[&str]) -> Worker {
        self.work_with(args, &[])
    }

    /// As [`Nest::work`], with more in its environment.
    pub fn work_with(&self, args: &[&str], env: &[(&str, &std::ffi::OsStr)]) -> Worker {
        let mut all = vec!["work"];
        all.extend(args);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("worker.log")).expect("the worker's log");
        let mut command = self.tenure(&all);
        command.stdout(Stdio::null()).stderr(log).envs(env.iter().copied());
        if std::env::var_os("RUST_LOG").is_some() {
            command.env("RUST_LOG", std::env::var_os("RUST_LOG").unwrap_or_default());
        }
        let child = command.spawn().expect("the worker starts");
        let mut worker = Worker { child, log: self.file("worker.log") };
        until("the worker to take the lock", || {
            if let Some(status) = worker.child.try_wait().expect("a child") {
                panic!("the worker ended with {status}: {}", worker.said());
            }
            let holder = Holder::read(&Place::new(self.db())).ok()??; // the file may not be there yet
            (holder.pid == worker.child.id()).then_some(())
        });
        worker
    }

    /// Runs everything that can run now.
    pub fn work_until_idle(&self, args: &[&str]) {
        let mut all = vec!["work", "--until-idle"];
        all.extend(args);
        self.ok(&all);
    }

    pub fn sql(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.db()).expect("the file opens");
        conn.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        conn
    }

    /// The file as one of tenure's own connections, for bending what only it may write.
    pub fn owner(&self) -> rusqlite::Connection {
        use rusqlite::functions::FunctionFlags;
        let conn = self.sql();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        conn.create_scalar_function("sqlite_compileoption_used", 1, flags, |_| Ok(1)).expect("a function");
        conn
    }

    /// Lets a schedule believe that it has decided nothing for so many minutes.
    pub fn sleep_through(&self, schedule: &str, minutes: i64) {
        let sql = "UPDATE schedule SET decided_until = decided_until - ?2 * 60000, next_at = decided_until - ?2 * 60000 WHERE name = ?1";
        assert_eq!(self.owner().execute(sql, (schedule, minutes)).expect("the owner may"), 1);
    }

    /// The text of a run file, or "" where there is none.
    pub fn run_file(&self, run: i64) -> String {
        std::fs::read(self.beside().join("runs").join(run.to_string()))
            .map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }

    /// The value of `key=` in the run file's line of that kind.
    pub fn record(&self, run: i64, kind: &str, key: &str) -> Option<String> {
        let text = self.run_file(run);
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
    }

    /// The pid of the shim of a run, once it has started its job.
    pub fn shim(&self, run: i64) -> i32 {
        until(&format!("the shim of run {run}"), || self.record(run, "STARTED", "shim")?.parse().ok())
    }

    /// The spawner that is the parent of a shim.
    pub fn parent_of(&self, pid: i32) -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).and_then(|ppid| ppid.parse().ok()).expect("a parent")
    }

    /// Every process whose environment names this nest's file and that belongs to a run.
    pub fn of_runs(&self) -> Vec<i32> {
        let ours = [b"TENURE_DB=", self.db().as_os_str().as_bytes()].concat();
        pids()
            .filter(|pid| {
                environ(*pid)
                    .is_some_and(|env| has(&env, &ours) && env.split(|b| *b == 0).any(|e| e.starts_with(b"TENURE_COOKIE=")))
            })
            .collect()
    }

    /// Every process that has anything of this nest open, or that belongs to one of its runs.
    pub fn processes(&self) -> Vec<i32> {
        let me = std::process::id() as i32;
        let root = self.path().as_os_str().as_bytes().to_vec();
        let ours = [b"TENURE_DB=", self.db().as_os_str().as_bytes()].concat();
        // A child of another test that is still to execute its program has this process's descriptors, and its command line.
        let mine = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        let is_forked = |pid: i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == mine);
        pids()
            .filter(|pid| *pid != me && !is_forked(*pid))
            .filter(|pid| environ(*pid).is_some_and(|env| has(&env, &ours)) || holds_below(*pid, &root))
            .collect()
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        for _ in 0..200 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|pid| kill(*pid, 9));
            std::thread::sleep(Duration::from_millis(5)); // a killed process needs a moment, and some of them are not our children
        }
    }
}

fn has(env: &[u8], entry: &[u8]) -> bool {
    env.split(|b| *b == 0).any(|e| e == entry)
}

fn environ(pid: i32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

fn holds_below(pid: i32, root: &[u8]) -> bool {
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(root));
    cwd || std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
        fds.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(root)))
    })
}

fn pids() -> impl Iterator<Item = i32> {
    std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sends a signal to a process that this test found by what it started.
pub fn kill(pid: i32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    // SAFETY of meaning: the numbers come from the tests themselves.
    let signal = match signal {
        9 => rustix::process::Signal::KILL,
        15 => rustix::process::Signal::TERM,
        19 => rustix::process::Signal::STOP,
        18 => rustix::process::Signal::CONT,
        2 => rustix::process::Signal::INT,
        10 => rustix::process::Signal::USR1,
        other => panic!("no test sends signal {other}"),
    };
    let _gone_already = rustix::process::kill_process(pid, signal);
}

/// Whether a process is there and not only waiting to be reaped.
pub fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}

/// That of this test, which its workers and their jobs inherit.
pub fn niceness() -> i32 {
    rustix::process::getpriority_process(None).expect("a niceness")
}

/// A shell that starts something in the background lets it ignore INT and QUIT, and a worker leaves ignored what was ignored when it began.
/// The workers of these tests hear both, however the tests were started.
fn heed_the_keyboard() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the default action is not a function, and nothing in a test handles these.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
}

fn reader(db: &Path) -> Option<rusqlite::Connection> {
    let conn = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    conn.busy_timeout(Duration::from_secs(10)).ok()?;
    Some(conn)
}

/// Waits for an event that must come. A look that costs much is taken less often, so that the looks do not take the machine from what
/// they look at.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep((looked.elapsed() * LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX));
    }
}

/// A worker that is killed when the test is over.
pub struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// TERM, and waits for its end.
    pub fn stop(mut self) -> i32 {
        kill(self.pid(), 15);
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// What it wrote on stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A seed for what is drawn by chance; printed, and taken from `SEED` where that is set.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64));
    println!("SEED={seed}");
    seed
}
