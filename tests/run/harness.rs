//! A directory with runs, a spawner that is the real binary, and eyes for processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use tenure::job::{Nonce, RunId, RunKey};
use tenure::place::Place;
use tenure::run::runfile::{Inspection, RunFile, inspect};
use tenure::run::{Launch, Record, Records, Spawner, Status, StatusPipe};

pub use crate::run::launch::{header, launch_in};
use crate::support::process::{has_open, is_fork_of_this, pids};
use crate::support::{children, until};

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tenure"))
}

/// Runs and what they need. Dropping it ends all that a failed test has left.
pub struct Bench {
    dir: TempDir,
    pub place: Place,
    spawner: Option<Spawner>,
    next: AtomicI64,
    started: std::sync::Mutex<Vec<RunKey>>,
}

impl Bench {
    pub fn new() -> Self {
        let mut bench = Self::without_spawner();
        bench.spawner = Some(Spawner::start_program(program()).unwrap());
        bench
    }

    pub fn without_spawner() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: TempDir) -> Self {
        let place = Place::new(dir.path().canonicalize().unwrap().join("test.db"));
        Self { dir, place, spawner: None, next: AtomicI64::new(1), started: std::sync::Mutex::new(Vec::new()) }
    }

    /// A path for the test's own use.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn spawner(&self) -> &Spawner {
        self.spawner.as_ref().expect("this test has a spawner")
    }

    /// Releases the spawner and waits until it is gone.
    pub fn drop_spawner(&mut self) {
        if let Some(spawner) = self.spawner.take() {
            let pid = i32::try_from(spawner.pid()).unwrap();
            let dead = spawner.is_dead();
            drop(spawner);
            if !dead {
                reap(pid);
            }
        }
    }

    /// `sh -c script`, in the test's directory, with a plain environment.
    pub fn shell(&self, script: &str) -> Launch {
        self.command(&["/bin/sh", "-c", script])
    }

    pub fn command(&self, argv: &[&str]) -> Launch {
        launch_in(self.dir.path(), &self.place, RunId(self.next.fetch_add(1, Ordering::SeqCst)), argv)
    }

    pub fn create(&self, launch: &Launch) -> RunFile {
        self.started.lock().unwrap().push(launch.key());
        RunFile::create(&self.place, &header(launch)).unwrap()
    }

    pub fn start(&self, launch: &Launch) -> Running<'_> {
        let file = self.create(launch);
        let pipe = self.spawner().launch(launch, file).unwrap();
        Running { bench: self, run: launch.run, nonce: launch.nonce, pipe, records: Records::default() }
    }

    pub fn run(&self, launch: &Launch) -> Records {
        self.start(launch).finish()
    }

    pub fn inspect(&self, run: RunId) -> (Records, bool) {
        match inspect(&self.place, run).unwrap() {
            Inspection::Found { records, locked, .. } => (records, locked),
            other => panic!("run {run}: {other:?}"),
        }
    }

    pub fn log(&self, run: RunId) -> String {
        fs::read_to_string(self.place.log_file(run)).unwrap()
    }

    /// The numbers that the job has written to a file, one a line, once there are so many.
    pub fn pids(&self, name: &str, count: usize) -> Vec<i32> {
        let path = self.path(name);
        until(&format!("{count} pids in {name}"), || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let pids: Vec<i32> = whole.lines().map(|line| line.trim().parse().unwrap()).collect();
            (pids.len() >= count).then_some(pids)
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that passes has left nothing.
        let failed = std::thread::panicking();
        for key in self.started.lock().unwrap().iter().filter(|_| failed) {
            let _ = tenure::run::stop::kill_shim(&self.place, *key);
            let _ = tenure::run::tree::empty(&self.place, *key);
        }
        self.drop_spawner();
    }
}

/// A run that was handed to the spawner.
pub struct Running<'a> {
    pub bench: &'a Bench,
    pub run: RunId,
    pub nonce: Nonce,
    pub pipe: StatusPipe,
    pub records: Records,
}

impl Running<'_> {
    pub fn key(&self) -> RunKey {
        RunKey { run: self.run, nonce: self.nonce }
    }

    /// Reads records until one of them is wanted. The pipe must not end before.
    pub fn wait_for(&mut self, wanted: impl Fn(&Record) -> bool) -> Record {
        loop {
            let record = self.next().expect("the run ended before the record that was waited for");
            if wanted(&record) {
                return record;
            }
        }
    }

    pub fn started(&mut self) -> tenure::run::Started {
        match self.wait_for(|record| matches!(record, Record::Started(_))) {
            Record::Started(started) => started,
            _ => unreachable!(),
        }
    }

    /// The job's process, once STARTED was read.
    pub fn started_pid(&self) -> i32 {
        self.records.started.expect("STARTED was read").pid
    }

    /// The next record, or `None` at the end of the pipe.
    pub fn next(&mut self) -> Option<Record> {
        let what = format!("the next record of run {}, so far {:?}", self.run, self.records);
        let record = until(&what, || match self.pipe.next().unwrap() {
            Status::Record(record) => Some(Some(record)),
            Status::Closed => Some(None),
            Status::NothingYet => None,
        });
        record.iter().for_each(|record| self.records.add(record.clone()));
        record
    }

    /// Waits for the end of the pipe. What came down it is what the run file says, and the lock is free.
    pub fn finish(mut self) -> Records {
        while self.next().is_some() {}
        let (kept, locked) = self.bench.inspect(self.run);
        assert_eq!(kept, self.records, "the run file and the pipe say the same");
        if locked {
            self.is_locked_by_forks_only();
        }
        kept
    }

    /// A child that another test has forked since the run file was made has it too, locked, until it executes its program.
    pub fn is_locked_by_forks_only(&self) {
        let file = self.bench.place.run_file(self.run);
        until(&format!("the lock of run {} to be free of forks of this program", self.run), || {
            let holders: Vec<i32> = pids().filter(|pid| has_open(*pid, &file) && !is_fork_of_this(*pid)).collect();
            assert_eq!(holders, [0; 0], "the end of the pipe comes after the lock of {}", file.display());
            (!self.bench.inspect(self.run).1).then_some(())
        });
    }
}

/// The shims of a spawner that wait for a run: they hold no run file.
pub fn idle_shims(spawner: i32) -> Vec<i32> {
    let is_idle = |pid: &i32| {
        let is = |name: &str, text: &str| {
            fs::read_to_string(format!("/proc/{pid}/{name}")).is_ok_and(|found| found.trim_end() == text)
        };
        // It becomes a shim by name after it has its run file.
        is("comm", "tenure-shim") && fs::symlink_metadata(format!("/proc/{pid}/fd/3")).is_err()
    };
    children(spawner).into_iter().filter(is_idle).collect()
}

/// From here on, what loses its parent becomes a child of this test program, so that it can be reaped: not every machine has an init that does.
pub fn adopt_orphans() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
}

/// Waits for the end of a process that is our child, by birth or by adoption.
pub fn reap(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
}
