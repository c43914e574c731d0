//! What a signal to the shim means, and whether a job's end looks like that of a shutdown. Pure.

use crate::job::{Cause, Exit};
use crate::run::stop::{KILL_NOW, RESUME, SUSPEND};

/// What a stop signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Stop(Cause),
    KillNow,
    Suspend,
    Resume,
}

/// Decodes a stop signal, if it is meant for this run.
pub fn request_of(value: u64, nonce_bits: u64) -> Option<Request> {
    let [code, ..] = value.to_le_bytes();
    if value >> 8 != nonce_bits {
        return None;
    }
    match code {
        KILL_NOW => Some(Request::KillNow),
        SUSPEND => Some(Request::Suspend),
        RESUME => Some(Request::Resume),
        code => Cause::from_code(code).map(Request::Stop),
    }
}

/// Whether the job was ended by a signal that a shutdown sends, or by the exit status with which
/// programs report that.
pub fn ends_like_a_shutdown(exit: Exit) -> bool {
    const SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGKILL];
    match exit {
        Exit::Signal(signal) => SIGNALS.contains(&signal),
        Exit::Code(code) => SIGNALS.contains(&(code - 128)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Nonce;

    #[test]
    fn a_stop_is_heard_only_by_the_run_that_it_names() {
        let bits = Nonce([0x5a; 16]).signal_bits();
        for cause in Cause::ALL {
            let value = bits << 8 | u64::from(cause.code());
            assert_eq!(request_of(value, bits), Some(Request::Stop(*cause)));
            assert_eq!(request_of(value, bits ^ 1), None);
        }
        for (code, request) in [(KILL_NOW, Request::KillNow), (SUSPEND, Request::Suspend), (RESUME, Request::Resume)] {
            assert_eq!(request_of(bits << 8 | u64::from(code), bits), Some(request));
            assert_eq!(Cause::from_code(code), None, "no cause has its code");
        }
        assert_eq!(request_of(bits << 8, bits), None);
    }

    #[test]
    fn ends_that_a_shutdown_may_have_caused() {
        for (exit, is_like_it) in [
            (Exit::Signal(15), true),
            (Exit::Signal(9), true),
            (Exit::Signal(1), true),
            (Exit::Signal(2), true),
            (Exit::Code(143), true),
            (Exit::Code(137), true),
            (Exit::Signal(11), false),
            (Exit::Code(0), false),
            (Exit::Code(1), false),
            (Exit::Code(139), false),
        ] {
            assert_eq!(ends_like_a_shutdown(exit), is_like_it, "{exit:?}");
        }
    }
}
