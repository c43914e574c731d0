//! Every limit of the server.

use std::time::Duration;

/// Longest message of a client, in bytes: a line.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Requests that are served at the same time.
pub const REQUESTS_MAX: usize = 32;
/// How many of them may wait for a job.
pub const WAITS_MAX: usize = 24;
/// Requests that wait for that, and the bytes of their lines: with more, the client is not read
/// from.
pub const WAITING_MAX: usize = 256;
pub const WAITING_BYTES_MAX: usize = 4 << 20;
/// Answers that wait to be written.
pub const ANSWERS_MAX: usize = 8;
/// Longest document of one answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Threads that read and write the file.
pub const THREADS_MAX: usize = 4;
/// Rows of a list, unless the request says less or more.
pub const ROWS_DEFAULT: u64 = 20;
/// Most rows of a list.
pub const ROWS_MAX: u64 = 100;
/// Longest list, in bytes of the texts of its rows, about.
pub const LIST_BYTES_MAX: usize = 256 << 10;
/// Most runs that are shown of a job: the newest.
pub const RUNS_MAX: usize = 20;
/// Time that a request waits for the end of a job unless it says another, in seconds.
pub const WAIT_SECONDS_DEFAULT: u64 = 30;
/// Longest time that a request waits for the end of a job, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 300;
/// Shortest and longest time between two looks at a job that is waited for.
pub const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// Lines of a log, unless the request says less or more.
pub const LOG_LINES_DEFAULT: u64 = 100;
/// Most lines of a log.
pub const LOG_LINES_MAX: u64 = 10_000;
/// Most bytes of a log.
pub const LOG_BYTES_MAX: u64 = 64 << 10;
/// Live jobs in the queue, unless the operator says another number.
pub const JOBS_DEFAULT: u64 = 100;
/// Longest timeout of a job in milliseconds, unless the operator says another.
pub const TIMEOUT_MS_DEFAULT: u64 = 3_600_000;
/// Longest time between TERM and KILL, in milliseconds: with a longer one a job outlives its
/// timeout.
pub const GRACE_MS_MAX: u64 = 60_000;
/// How long the end waits for a client that does not read.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
