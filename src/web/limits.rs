//! Every limit of the server.

use std::time::Duration;

/// Longest head of a request, in bytes: its line and its headers.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Longest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Bodies that are received at the same time.
pub const BODIES_MAX: usize = 8;
/// Connections at the same time; a further one is closed.
pub const CONNECTIONS_MAX: usize = 256;
/// One in so many descriptors of the process may be a connection: a worker needs the others.
pub const DESCRIPTORS_SHARE: u64 = 4;
/// Clients that follow the events at the same time.
pub const FOLLOWERS_MAX: usize = 64;
/// Threads that read and write the file.
pub const THREADS_MAX: usize = 4;
/// Answers that wait to be sent, all together, in KiB.
pub const ANSWERS_KIB_MAX: usize = 64 << 10;
/// What a long answer reserves of that before it is made, in KiB: a list with its names.
pub const ANSWER_KIB: u32 = 4 << 10;
/// An answer or a body of so many bytes at most waits for no room: those of all connections have
/// 16 MiB together.
pub const SHORT_BYTES: usize = 64 << 10;
/// Longest list in one answer, in bytes of the texts of its rows, about.
pub const LIST_BYTES_MAX: usize = 2 << 20;
/// Rows of one page of a list, unless the request says less or more.
pub const ROWS_DEFAULT: usize = 100;
/// Most rows of one page of a list.
pub const ROWS_MAX: usize = 1_000;
/// Bytes of a log that are read at once.
pub const LOG_CHUNK_BYTES: usize = 64 << 10;
/// How much less often than other programs its threads run, as a niceness.
pub const NICENESS: i32 = 5;
/// What others do not leave, as a share of all processors: jobs that start find some of them free.
pub const PACE_RESERVE: f64 = 0.25;
/// What long answers use of what is left beyond that, as a share.
pub const PACE_SHARE: f64 = 0.25;
/// What those to programs use where others leave none, in processors.
pub const PACE_LEAST: f64 = 0.02;
/// The same of pages: a person waits for them.
pub const PACE_LEAST_OF_PAGES: f64 = 0.1;
/// What they may use at once after a rest, in time of a processor.
pub const PACE_BURST: Duration = Duration::from_millis(500);
/// How long one that has used much keeps those after it waiting, at most.
pub const PACE_DEBT: Duration = Duration::from_secs(5);
/// How often it is looked at what others leave.
pub const PACE_SPAN: Duration = Duration::from_secs(1);
/// Sessions of browsers that are remembered; a further one ends the oldest.
pub const SESSIONS_MAX: usize = 64;
/// How long a session of a browser lasts.
pub const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a request waits for one of the threads, and for room for its answer.
pub const THREAD_WAIT: Duration = Duration::from_secs(10);
/// How often a client that follows the events is told that the server is there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long the server waits for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the head of a request, also of the next one on the same connection.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For a client that reads nothing of its answer.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), body: Duration::from_secs(30), stall: Duration::from_secs(30) }
    }
}

impl Patience {
    /// The same time for everything, for tests.
    pub fn of(time: Duration) -> Self {
        Self { head: time, body: time, stall: time }
    }
}
