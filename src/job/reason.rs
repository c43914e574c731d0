//! The closed lists of words for the ends of runs and jobs.

use serde::{Deserialize, Serialize};

/// Defines a closed list of words: as an enum, as text, and back. A variant after `;` stands for a
/// word that this program does not know; it is not part of the list.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* $(; $(#[$udoc:meta])* $unknown:ident = $uword:literal,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant,)* $($(#[$udoc])* $unknown,)? }

        impl $name {
            /// Every word of the list.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the word, as in the file and on the screen.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* $(Self::$unknown => $uword,)? }
            }

            /// Returns the variant of a word, or `None` if the list has no such word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(super) use words;

words! {
    /// Why a run or a job ended.
    Reason {
        /// By itself, with an exit code; also of every `done`.
        Exit = "exit",
        /// By a signal that tenure did not send.
        Signal = "signal",
        /// It ran past its `--timeout` or its queue's `max_runtime`.
        Timeout = "timeout",
        /// It wrote no output for longer than its `--idle-timeout`.
        Output = "output",
        /// The kernel ended it because of its memory use, and reported that.
        Memory = "memory",
        /// A client cancelled it.
        Cancelled = "cancelled",
        /// A shutdown of the machine, `work --end-runs`, or a signal to its shim ended it.
        Shutdown = "shutdown",
        /// It could not be started.
        Spawn = "spawn",
        /// No process saw its end.
        Lost = "lost",
        /// It ended with 0, but its check failed.
        Check = "check",
        /// A dependency ended otherwise than required.
        Dependency = "dependency",
        /// Its workspace could not be prepared.
        Workspace = "workspace",
        /// It had not started by `--expires`.
        Expired = "expired",
    }
}

words! {
    /// How one run ended.
    Outcome {
        Done = "done",
        Failed = "failed",
        Cancelled = "cancelled",
        /// Its end was not seen.
        Lost = "lost",
        /// It deferred itself (exit 75).
        Deferred = "deferred",
        /// It never started; no attempt was used.
        Unstarted = "unstarted",
    }
}

words! {
    /// The purpose of a run.
    RunKind {
        Job = "job",
        Check = "check",
        Prepare = "prepare",
        Teardown = "teardown",
        Probe = "probe",
        Hook = "hook",
        ;
        /// A kind that this program does not know, which only a client that bypasses the guards can
        /// write.
        Unknown = "unknown",
    }
}

words! {
    /// Why a shim stopped its run. The shim alone decides this; a cause after the process has ended
    /// does not count.
    Cause {
        Cancel = "cancel",
        Timeout = "timeout",
        /// Silent for too long.
        Silence = "silence",
        /// A bare signal to the shim.
        Shutdown = "shutdown",
        /// Past the queue's `max_runtime`.
        Backstop = "backstop",
        /// A newer run needs its place: the worker ends a run without an owner.
        Sweep = "sweep",
    }
}

impl Cause {
    /// Returns the byte that a stop signal carries.
    pub fn code(self) -> u8 {
        match self {
            Self::Cancel => 1,
            Self::Timeout => 2,
            Self::Silence => 3,
            Self::Shutdown => 4,
            Self::Backstop => 5,
            Self::Sweep => 6,
        }
    }

    /// Returns the cause of such a byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.code() == code)
    }
}

/// How a process ended, according to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// Added by a shell to the number of the signal that ended its command.
const SHELL_SIGNAL_BASE: i32 = 128;

impl Exit {
    /// Describes the end, and the limit that caused it if there is one.
    pub fn in_words(self) -> String {
        match self {
            Self::Code(code) => {
                // Another program may mean something else by it.
                let signal = code - SHELL_SIGNAL_BASE;
                let limit = limit_told_by(signal).map(|limit| format!(", by which a shell tells of signal {signal}: {limit}"));
                format!("exit status {code}{}", limit.unwrap_or_default())
            }
            Self::Signal(number) => {
                let limit = limit_told_by(number).map(|limit| format!(": {limit}"));
                format!("killed by signal {number}{}", limit.unwrap_or_default())
            }
        }
    }
}

/// Returns the limit that a signal indicates, and the remedy. XCPU and XFSZ have these numbers on
/// all supported architectures.
fn limit_told_by(signal: i32) -> Option<&'static str> {
    match signal {
        24 => Some("it used more CPU time than it may (ulimit -t); raise that limit in the job, or for the worker"),
        25 => Some("a file grew beyond the size that it may have (ulimit -f); raise that limit in the job, or for the worker"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_its_own_inverse() {
        assert!(Reason::ALL.iter().all(|r| Reason::parse(r.as_str()) == Some(*r)));
        assert!(Outcome::ALL.iter().all(|o| Outcome::parse(o.as_str()) == Some(*o)));
        assert!(RunKind::ALL.iter().all(|k| RunKind::parse(k.as_str()) == Some(*k)));
        assert!(Cause::ALL.iter().all(|c| Cause::from_code(c.code()) == Some(*c)));
        assert_eq!(Reason::parse("Exit"), None);
        assert_eq!(Cause::from_code(0), None);
    }
}
