//! What a crashed worker left: rows and run files, made with the program's own library, and processes to go with them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tenure::job::{Exit, JobId, Nonce, RunEnd, RunId};
use tenure::place::Place;
use tenure::run::{Drained, Exited, Header, NotExecuted, Record, RunFile, Started, Usage, machine};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};
use tenure::store::{Options, Role, Store, job::ids, job::read};

use crate::support::{Nest, children, until};

pub const NOW_MS: i64 = 1_700_000_000_000;

/// A claimed run that no worker watches.
pub struct Left {
    pub run: i64,
    pub nonce: Nonce,
    /// Its lock, until this is dropped or released.
    held: RunFile,
    log: PathBuf,
}

pub fn store(nest: &Nest) -> Store {
    Store::open(&nest.db(), Options::new(Role::Client)).expect("the file opens")
}

/// Makes a locked run file for a new run id. No row knows it.
pub fn run_file(nest: &Nest, boot_id: &str) -> Left {
    run_file_in(nest, &Place::new(nest.db()), boot_id)
}

/// The same, in the directory of another file.
fn run_file_in(nest: &Nest, place: &Place, boot_id: &str) -> Left {
    let store = store(nest);
    let run = RunId(store.write(|conn| ids::reserve_runs(conn, 1)).unwrap().start);
    let file_id = store.read(|conn| read::meta(conn, "file_id")).unwrap().unwrap();
    let nonce = machine::nonce();
    let header = Header {
        file_id,
        run,
        nonce,
        boot_id: boot_id.into(),
        pid_ns: machine::pid_namespace(),
        pid_ns_ends: false,
        asks: false,
    };
    let held = RunFile::create(place, &header).unwrap();
    Left { run: run.0, nonce, held, log: store.place().log_file(run) }
}

/// Claims a job as a worker does, and dies: the run file has its header and what is given here, and no process holds its lock.
pub fn claimed(nest: &Nest, job: i64, records: &[Record]) -> Left {
    let left = claimed_in(nest, job, &machine::boot_id());
    left.release();
    left.append(nest, records);
    left
}

/// As `claimed`, in another boot of the machine, and with the lock still held.
pub fn claimed_in(nest: &Nest, job: i64, boot_id: &str) -> Left {
    let left = run_file(nest, boot_id);
    let prepared = [Prepared { run: RunId(left.run), nonce: left.nonce }];
    let (scope, boot_id) = (Scope { only: Some(JobId(job)), ..Scope::default() }, boot_id.to_owned());
    let claims = store(nest).write(move |conn| claim::claim(conn, &scope, &prepared, "a dead worker", &boot_id, NOW_MS)).unwrap();
    assert_eq!(claims.len(), 1, "job {job} could be claimed");
    left
}

/// Writes down that the run of a job is lost.
pub fn settle(nest: &Nest, job: i64, run: i64) {
    let settle = Settle { job: JobId(job), run: RunId(run), end: RunEnd::Lost, record: RunRecord::default(), chance: 0.0 };
    let settled = store(nest).write(move |conn| settle::settle(conn, &settle, NOW_MS)).unwrap();
    assert!(matches!(settled, Settled::Won { .. }));
}

/// Releases the lock of a run file. To close it is not enough: a child that another test has forked has a copy of the descriptor until it
/// executes its program, and a worker that looks then finds the lock held.
pub fn release(held: &RunFile) {
    rustix::fs::flock(held, rustix::fs::FlockOperation::Unlock).unwrap();
}

impl Left {
    /// No process holds its lock any more.
    pub fn release(&self) {
        release(&self.held);
    }

    pub fn append(&self, nest: &Nest, records: &[Record]) {
        append(nest, self.run, records);
    }

    /// A living process of this run's tree: it has the run's cookie, and the run's log as its output.
    pub fn member(&self, nest: &Nest) -> Child {
        let log = OpenOptions::new().append(true).create(true).open(&self.log).unwrap();
        log.lock().unwrap();
        sleeper(nest, Some(self.nonce), log.into())
    }
}

pub fn append(nest: &Nest, run: i64, records: &[Record]) {
    let path = nest.beside().join("runs").join(run.to_string());
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    records.iter().for_each(|record| file.write_all(&record.to_line()).unwrap());
}

/// A process that lives until it is killed, in a session of its own; with a cookie or without.
pub fn sleeper(nest: &Nest, cookie: Option<Nonce>, output: Stdio) -> Child {
    let mut command = Command::new("sleep");
    command.arg("600").current_dir(nest.path()).env_clear().stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
    command.process_group(0);
    if let Some(cookie) = cookie {
        command.env("TENURE_COOKIE", cookie.to_string());
    }
    command.spawn().expect("sleep is there")
}

pub fn prepare() -> Record {
    Record::Prepare { at_ms: NOW_MS }
}

/// Its pids are those of this test: a worker that trusts them does harm that is noticed.
pub fn started() -> Record {
    let me = std::process::id() as i32;
    Record::Started(Started { pid: me, shim_pid: me, shim_start_ticks: 1, at_ms: NOW_MS + 1, kept: None })
}

pub fn exited(code: i32) -> Record {
    Record::Exited(Exited { exit: Exit::Code(code), cause: None, at_ms: NOW_MS + 2, boot_ms: None })
}

pub fn failed(errno: i32) -> Record {
    Record::Failed(NotExecuted {
        errno,
        ours: false,
        text: "execve /bin/nope: No such file or directory".into(),
        at_ms: NOW_MS + 1,
    })
}

pub fn drained() -> Record {
    Record::Drained(Drained {
        usage: Usage { max_rss_bytes: 4096, user_ms: 1, system_ms: 1 },
        killed: 0,
        leftovers: String::new(),
        out_of_memory: false,
        memory_by: None,
        at_ms: NOW_MS + 3,
    })
}

/// Everything that a run that ended by itself has recorded.
pub fn whole(code: i32) -> Vec<Record> {
    vec![prepare(), started(), exited(code), drained()]
}

/// Waits until the reaper has begun and ended a round after this call: it removes a run file that no row names, twice.
pub fn after_a_tick(nest: &Nest) {
    // A worker that starts removes unfinished run files, also those that are made here.
    until("the worker to have started", || {
        let phase = &nest.status()["worker"]["phase"];
        phase.as_str().filter(|phase| *phase != "starting").map(drop)
    });
    // Made elsewhere: here the reaper could meet it while it is still locked, and take it for a stray.
    let elsewhere = Place::new(nest.file("bait.db"));
    std::fs::create_dir_all(elsewhere.runs()).unwrap();
    for _ in 0..2 {
        let bait = run_file_in(nest, &elsewhere, &machine::boot_id());
        bait.release();
        let run = RunId(bait.run);
        std::fs::rename(elsewhere.run_file(run), Place::new(nest.db()).run_file(run)).unwrap();
        until_no_run_file(nest, bait.run);
    }
}

pub fn until_no_run_file(nest: &Nest, run: i64) {
    let path = nest.beside().join("runs").join(run.to_string());
    until(&format!("run file {run} to go"), || (!path.exists()).then_some(()));
}

/// The process that forks the shims of a worker: its only child. It is ready, and the worker claims.
pub fn spawner_of(nest: &Nest, worker: i32) -> i32 {
    after_a_tick(nest);
    until("the spawner", || children(worker).into_iter().next())
}

/// Waits until a process that this test has started is gone.
pub fn until_killed(mut child: Child) {
    until("a process to be ended", || child.try_wait().unwrap());
}

/// The outcomes of a job's runs, oldest first, checks included: `kind outcome`.
pub fn outcomes(nest: &Nest, job: i64) -> Vec<String> {
    let conn = nest.sql();
    let mut runs =
        conn.prepare("SELECT kind || ' ' || coalesce(outcome, 'open') FROM run WHERE job_id = ?1 ORDER BY id").unwrap();
    runs.query_map([job], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// `state reason exit_code attempts` of a job.
pub fn row(nest: &Nest, job: i64) -> String {
    nest.sql()
        .query_row(
            "SELECT state || ' ' || coalesce(reason, '-') || ' ' || coalesce(exit_code, '-') || ' ' || attempts FROM job WHERE id = ?1",
            [job],
            |row| row.get(0),
        )
        .unwrap()
}

pub fn lines(nest: &Nest, name: &str) -> Vec<String> {
    std::fs::read_to_string(nest.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What a job's row says of its owner: `state run_id pid started_at finished_at reason`.
pub fn ownership(nest: &Nest, job: i64) -> String {
    let sql =
        "SELECT state || ' ' || coalesce(run_id, '-') || ' ' || coalesce(pid, '-') || ' ' || coalesce(started_at, '-') || ' '
                      || coalesce(finished_at, '-') || ' ' || coalesce(reason, '-') FROM job WHERE id = ?1";
    nest.sql().query_row(sql, [job], |row| row.get(0)).unwrap()
}

pub fn number(nest: &Nest, sql: &str, job: i64) -> i64 {
    nest.sql().query_row(sql, [job], |row| row.get(0)).unwrap()
}
