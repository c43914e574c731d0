//! Runs straight from a spawner, without a worker or a file.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use tenure::job::RunId;
use tenure::place::Place;
use tenure::run::{Header, Launch, Record, RunFile, Spawner, Status, StatusPipe, machine};

/// A spawner and a directory for its runs.
pub struct Runs {
    dir: tempfile::TempDir,
    pub place: Place,
    pub spawner: Spawner,
    next: Cell<i64>,
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
        Self { dir, place, spawner, next: Cell::new(1) }
    }

    pub fn start(&self, argv: &[&str]) -> Running {
        let run = RunId(self.next.replace(self.next.get() + 1));
        let launch = Launch {
            run,
            nonce: machine::nonce(),
            argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            env: vec![(b"PATH".to_vec(), b"/usr/local/bin:/usr/bin:/bin".to_vec())],
            cwd: self.dir.path().as_os_str().as_bytes().to_vec(),
            log: self.place.log_file(run),
            result: None,
            stdin: None,
            timeout_ms: None,
            max_runtime_ms: None,
            grace_ms: 10_000,
            warn: None,
            idle_timeout_ms: None,
            waits_for_go: false,
            log_limit_bytes: 64 << 20,
            memory_bytes: None,
            memory_group: None,
            memory_kills: None,
            nice: None,
            user: None,
        };
        let header = Header {
            file_id: "bench".into(),
            run,
            nonce: launch.nonce,
            boot_id: machine::boot_id(),
            pid_ns: machine::pid_namespace(),
            pid_ns_ends: false,
        };
        let file = RunFile::create(&self.place, &header).expect("a run file");
        let pipe = self.spawner.launch(&launch, file).expect("a launch");
        Running { launch, pipe }
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
