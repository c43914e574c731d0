//! The job whose first instruction is timed: this program again, which tells its first instant.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The first argument of such a job; the second is the pipe to write to.
const NAME: &str = "--stamp";

/// The first statement of this program: whether it is such a job.
pub fn called() -> Option<ExitCode> {
    let now = now_ns();
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(NAME)) {
        return None;
    }
    let mut pipe = File::options().write(true).open(args.next()?).ok()?;
    pipe.write_all(&now.to_le_bytes()).ok()?;
    Some(ExitCode::SUCCESS)
}

/// A clock that all processes share, in nanoseconds.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The pipe that such jobs write to.
pub struct Stamps {
    path: PathBuf,
    pipe: File,
}

impl Stamps {
    pub fn new(dir: &Path) -> Self {
        let path = dir.join("stamps");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
        // Open at both ends, so that neither side waits for the other to open it.
        let pipe = File::options().read(true).write(true).open(&path).expect("the pipe opens");
        Self { path, pipe }
    }

    /// The command of the job.
    pub fn command(&self) -> [String; 3] {
        let me = std::env::current_exe().expect("its own path");
        [me.to_string_lossy().into_owned(), NAME.into(), self.path.to_string_lossy().into_owned()]
    }

    /// Waits for the next job; when its first instruction ran, in nanoseconds.
    pub fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.pipe.read_exact(&mut bytes).expect("a stamp");
        u64::from_le_bytes(bytes)
    }
}
