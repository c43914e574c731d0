//! Runs straight from a spawner, without a worker or a file.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use tenure::job::RunId;
use tenure::place::Place;
use tenure::run::{Launch, Record, RunFile, Spawner, Status, StatusPipe, runfile};

#[path = "../../tests/run/launch.rs"]
mod launch;
use launch::{header, launch_in};

/// A spawner and a directory for its runs.
pub struct Runs {
    dir: tempfile::TempDir,
    pub place: Place,
    pub spawner: Spawner,
    next: AtomicI64,
}

/// A run that was handed to the spawner.
pub struct Running {
    pub launch: Launch,
    pub pipe: StatusPipe,
}

impl Runs {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = Place::new(dir.path().canonicalize().expect("a path").join("q.db"));
        let spawner = Spawner::start_program(Path::new(env!("CARGO_BIN_EXE_tenure"))).expect("a spawner");
        Self { dir, place, spawner, next: AtomicI64::new(1) }
    }

    pub fn start(&self, argv: &[&str]) -> Running {
        let run = RunId(self.next.fetch_add(1, Ordering::Relaxed));
        let launch = launch_in(self.dir.path(), &self.place, run, argv);
        let header = header(&launch);
        let file = RunFile::create(&self.place, &header).expect("a run file");
        let pipe = self.spawner.launch(&launch, file).expect("a launch");
        Running { launch, pipe }
    }

    /// Starts a run and waits until its tree is known to be gone.
    pub fn to_its_end(&self, argv: &[&str]) {
        let mut run = self.start(argv);
        while !matches!(run.next().expect("DRAINED comes before the end"), Record::Drained(_)) {}
        runfile::unlink(&self.place, run.launch.run).expect("unlinked");
    }
}

impl Running {
    /// The next record; `None` where the pipe has ended.
    pub fn next(&mut self) -> Option<Record> {
        loop {
            match self.pipe.next().expect("a status") {
                Status::Record(record) => return Some(record),
                Status::Closed => return None,
                Status::NothingYet => {
                    poll(&mut [PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::IN)], None).expect("a poll");
                }
            }
        }
    }
}
