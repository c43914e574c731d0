//! The kernel's own trace of some system calls of this process and its descendants: an instance of
//! ftrace, which costs about a microsecond for each event.

use std::fs;
use std::path::{Path, PathBuf};

const TRACEFS: &str = "/sys/kernel/tracing";
/// System calls whose begin and end are recorded.
const CALLS: [&str; 12] =
    ["openat", "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read", "ppoll", "futex", "pwrite64", "write", "fdatasync"];
const OTHERS: [&str; 3] = ["sched/sched_process_fork", "sched/sched_process_exec", "sched/sched_process_exit"];

/// An instance of its own, which is removed with this.
pub struct Trace(PathBuf);

/// One event of one thread.
#[derive(Debug, Clone)]
pub struct Event {
    pub at_us: f64,
    pub thread: u32,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    /// A call begins; its arguments as the kernel prints them.
    Call(String, String),
    /// A call has ended with this result.
    Result(String, i64),
    Fork(u32),
    Exec,
    Exit,
}

impl Trace {
    /// Follows this process and what it starts from now on.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn new() -> Result<Self, String> {
        let dir = Path::new(TRACEFS).join(format!("instances/tenure-bench-{}", std::process::id()));
        let why = "the timeline needs root and tracefs: mount -t tracefs none /sys/kernel/tracing";
        fs::create_dir(&dir).map_err(|error| format!("{why} ({error})"))?;
        let trace = Self(dir);
        trace.set("trace_clock", "mono");
        trace.set("options/event-fork", "1");
        trace.set("set_event_pid", &std::process::id().to_string());
        Ok(trace)
    }

    fn set(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Switches the events on or off.
    pub fn switch(&self, on: bool) {
        let on = if on { "1" } else { "0" };
        for call in CALLS {
            self.set(&format!("events/syscalls/sys_enter_{call}/enable"), on);
            self.set(&format!("events/syscalls/sys_exit_{call}/enable"), on);
        }
        OTHERS.iter().for_each(|event| self.set(&format!("events/{event}/enable"), on));
    }

    /// What was recorded, in order, and forgets it.
    pub fn take(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.0.join("trace")).expect("a trace");
        self.set("trace", "");
        text.lines().filter_map(event).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _off = fs::write(self.0.join("events/enable"), "0");
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// A line as `NAME-PID  [CPU] FLAGS SECONDS: sys_NAME(ARGUMENTS)`; `None`: it is a heading, or another
/// event.
fn event(line: &str) -> Option<Event> {
    let (who, rest) = line.split_once(" [")?;
    let thread = who.trim().rsplit_once('-')?.1.parse().ok()?;
    let mut words = rest.splitn(2, ": ");
    let at = words.next()?.split_whitespace().last()?.parse::<f64>().ok()?;
    let text = words.next()?;
    let field = |key: &str| text.split(' ').find_map(|word| word.strip_prefix(key));
    let what = if let Some((call, result)) = text.strip_prefix("sys_").and_then(|call| call.split_once(" -> ")) {
        let bits = u64::from_str_radix(result.trim().trim_start_matches("0x"), 16).ok()?;
        What::Result(call.to_owned(), bits.cast_signed())
    } else if let Some((call, arguments)) = text.strip_prefix("sys_").and_then(|call| call.split_once('(')) {
        What::Call(call.to_owned(), arguments.to_owned())
    } else if text.starts_with("sched_process_fork") {
        What::Fork(field("child_pid=")?.parse().ok()?)
    } else if text.starts_with("sched_process_exec") {
        What::Exec
    } else if text.starts_with("sched_process_exit") {
        What::Exit
    } else {
        return None;
    };
    Some(Event { at_us: at * 1e6, thread, what })
}

/// An argument of a call, which the kernel prints in hexadecimal digits.
pub fn argument(arguments: &str, name: &str) -> Option<u64> {
    let (_, rest) = arguments.split_once(&format!("{name}: "))?;
    let word = rest.split([',', ')']).next()?;
    u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
}
