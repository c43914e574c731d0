//! Functions of the embedding program as jobs, each run in a process of its own.
//!
//! Stored as a plain command: `["/proc/self/exe", "__handler", NAME, ARGUMENT...]`. The shim
//! executes it like any other, and there `/proc/self/exe` is the program of the worker: the version
//! that was started, even if its file was replaced since. Everything that applies to a command
//! applies to it: timeout, the end of the whole tree, memory limit, log, adoption after a crash of
//! the program.
//!
//! | the handler | exit code |
//! | --- | --- |
//! | returns `Ok` | 0 |
//! | returns a [`Failure`] | its own, 1 unless it says otherwise; the text is in the log |
//! | panics | 101; the message is in the log |
//! | is unknown | 78 (not retried) in a program that has handlers; 75 (requeued, no attempt used) in one that has none, such as `tenure work` |

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::Queue;
use crate::error::{Error, Result};
use crate::job::limits::NOT_NOW;
use crate::job::{JobId, RunId};
use crate::store::job::control;

/// The program of such a job: that of the worker.
pub(super) const PROGRAM: &str = "/proc/self/exe";
/// Its first argument.
pub(super) const ARGUMENT: &str = "__handler";

/// Exit code of a panic, as in any other Rust program.
const PANICKED: i32 = 101;
/// `EX_CONFIG`: this program has handlers, but none of that name. Not retried by default.
const UNKNOWN: i32 = 78;
/// `EX_DATAERR`: the input is wrong and stays wrong. Not retried by default.
const PERMANENT: i32 = 65;

/// A function that can run as a job.
pub type Handler = fn(&Call) -> Result<(), Failure>;

/// The argument of a handler.
pub struct Call {
    name: String,
    arguments: Vec<OsString>,
    queue: OnceCell<Queue>,
}

impl Call {
    /// The name in the table of handlers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments of the job.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns the argument at this index, from 0, as text.
    ///
    /// # Errors
    /// A permanent [`Failure`] if there is none, or it is not UTF-8.
    pub fn argument(&self, index: usize) -> Result<&str, Failure> {
        let argument = self.arguments.get(index).ok_or_else(|| Failure::permanent(format!("argument {index} is missing")))?;
        argument.to_str().ok_or_else(|| Failure::permanent(format!("argument {index} is not UTF-8: {}", argument.display())))
    }

    /// The job.
    pub fn job(&self) -> JobId {
        JobId(number("TENURE_JOB"))
    }

    /// Returns the run, whose number is the fencing token: a later run of the same job has a higher
    /// one.
    pub fn run(&self) -> RunId {
        RunId(number("TENURE_RUN"))
    }

    /// Returns the number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        u32::try_from(number("TENURE_ATTEMPT")).unwrap_or(0)
    }

    /// Sets the result of the job, at most 64 KiB; a second call replaces the first. It is stored
    /// when the run ends successfully.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_result(&self, result: &str) -> Result<()> {
        let path = PathBuf::from(std::env::var_os("TENURE_RESULT").unwrap_or_default());
        std::fs::write(&path, result).map_err(|e| Error::io(format!("writing {}", path.display()), e))
    }

    /// Reports the progress, 0 to 100.
    ///
    /// # Errors
    /// [`Error::Refused`] if this run does not own its job any more: stop working.
    pub fn progress(&self, percent: f64, text: &str) -> Result<()> {
        let (job, run, text) = (self.job(), self.run(), text.to_owned());
        let queue = self.queue()?;
        let now_ms = queue.now_ms();
        let text = Some(text).filter(|text| !text.is_empty());
        if queue.store.write(move |conn| control::progress(conn, job, run, Some(percent), text.as_deref(), now_ms))? {
            return Ok(());
        }
        Err(Error::Refused(format!("run {run} does not own job {job} any more; stop what you are doing")))
    }

    /// Returns the queue of the job, to add more jobs to it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn queue(&self) -> Result<&Queue> {
        if let Some(queue) = self.queue.get() {
            return Ok(queue);
        }
        let path = std::env::var_os("TENURE_DB").unwrap_or_default();
        let queue = Queue::open_existing(&path)?;
        Ok(self.queue.get_or_init(|| queue))
    }
}

/// Reads a number that tenure gives to a job; 0 if the program was started by hand.
fn number(name: &str) -> i64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Why a handler failed. `?` converts any error into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: i32,
    text: String,
}

impl Failure {
    /// A failure that is retried as the job requests: exit code 1.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with_code(1, text)
    }

    /// A failure with this exit code, 1 to 255.
    pub fn with_code(code: i32, text: impl Into<String>) -> Self {
        Self { code: code.clamp(1, 255), text: text.into() }
    }

    /// "Not now": the job is requeued, and no attempt is used (exit code 75).
    pub fn not_now(text: impl Into<String>) -> Self {
        Self::with_code(NOT_NOW, text)
    }

    /// A failure that a retry would only repeat: not retried unless the job requests it for that
    /// code (exit code 65).
    pub fn permanent(text: impl Into<String>) -> Self {
        Self::with_code(PERMANENT, text)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            // Many errors repeat the text of their cause.
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            source = cause.source();
        }
        Self::new(text)
    }
}

/// Runs a handler if this process was started for one, and never returns then.
pub(super) fn main_if_handler(handlers: &[(&str, Handler)]) {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return;
    }
    let name = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
    let code = run(handlers, Call { name, arguments: arguments.collect(), queue: OnceCell::new() });
    let _a_reader_may_be_gone = std::io::stdout().flush();
    std::process::exit(code);
}

fn run(handlers: &[(&str, Handler)], call: Call) -> i32 {
    let Some((_, handler)) = handlers.iter().find(|(name, _)| *name == call.name) else { return unknown(handlers, &call.name) };
    end_on_panic();
    match catch_unwind(AssertUnwindSafe(|| handler(&call))) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => {
            tell(&failure.text);
            failure.code
        }
        // Its message has been written by the panic hook.
        Err(_) => PANICKED,
    }
}

fn unknown(handlers: &[(&str, Handler)], name: &str) -> i32 {
    let program = std::env::current_exe().map_or_else(|_| "this program".to_owned(), |path| path.display().to_string());
    if handlers.is_empty() {
        tell(&format!("{program} has no handlers, and the job calls {name:?}; run the worker of the program that has it"));
        return NOT_NOW;
    }
    let known: Vec<&str> = handlers.iter().map(|(name, _)| *name).collect();
    tell(&format!(
        "{program} has no handler {name:?}, only {}; add it, then: tenure retry {}",
        known.join(", "),
        number("TENURE_JOB")
    ));
    UNKNOWN
}

/// If a panic does not unwind, the process would end with a signal; both cases get the same code.
fn end_on_panic() {
    if cfg!(panic = "abort") {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            tell(panic);
            std::process::exit(PANICKED);
        }));
    }
}

/// Writes a line to the log of the run.
fn tell(text: &str) {
    let _log_may_be_full = writeln!(std::io::stderr(), "tenure: {text}");
}
