//! A process that stands still without a stop signal, as under a debugger: what a worker takes for a moment's delay.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Holds a process still until it is dropped. The process may be killed meanwhile.
pub struct Frozen {
    thaw: Option<Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Frozen {
    /// Returns when the process stands still.
    pub fn new(pid: i32) -> Self {
        let (stopped, until_stopped) = channel();
        let (thaw, until_thawed) = channel::<()>();
        // The kernel takes all requests about a traced process from the thread that began to trace it.
        let tracer = std::thread::spawn(move || {
            let none = std::ptr::null_mut::<libc::c_void>();
            // SAFETY: these requests read and write no memory of this process.
            let traced = unsafe {
                libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) == 0
                    && libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none) == 0
            };
            assert!(traced, "tracing {pid}: {}", std::io::Error::last_os_error());
            wait(pid, libc::__WALL);
            stopped.send(()).expect("the test waits");
            if until_thawed.recv().is_ok() {
                return wait(pid, libc::__WALL);
            }
            // SAFETY: as above. It fails where the process was killed, which is then seen to be over.
            if unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, none) } != 0 {
                wait(pid, libc::__WALL | libc::WNOHANG);
            }
        });
        until_stopped.recv().expect("the tracer says when it stands still");
        Self { thaw: Some(thaw), tracer: Some(tracer) }
    }

    /// Holds it still until it is killed: its parent learns of that from the kernel once the tracer has.
    pub fn until_killed(pid: i32) {
        let mut frozen = Self::new(pid);
        frozen.thaw.take().expect("it is held").send(()).expect("the tracer listens");
        // It ends with the process.
        frozen.tracer.take();
    }
}

fn wait(pid: i32, flags: i32) {
    let mut status = 0;
    // SAFETY: `status` has room for the answer.
    unsafe { libc::waitpid(pid, &raw mut status, flags) };
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw.take();
        let _it_said_why = self.tracer.take().map(JoinHandle::join);
    }
}
