//! Every limit on what a job may be, with its unit and its reason. Limits of the machinery (a
//! packet, a record, a round of a loop) are where that is.

/// Longest single argument or `NAME=value`, in bytes: the kernel refuses 32 pages
/// (`MAX_ARG_STRLEN`) and more.
pub const ARGUMENT_BYTES_MAX: usize = 131_071;
/// Longest argv and environment together, in bytes, well below the kernel's quarter of an 8 MiB
/// stack.
pub const SPEC_BYTES_MAX: usize = 1_900_000;
/// Longest JSON of a command, an environment or a policy, in bytes: an argv with every byte in
/// hexadecimal fits.
pub const JSON_BYTES_MAX: usize = 4_000_000;
/// Longest working directory, in bytes: the kernel accepts no longer path (`PATH_MAX`).
pub const CWD_BYTES_MAX: usize = 4_096;
/// Largest standard input that is kept for a job, in bytes.
pub const STDIN_BYTES_MAX: u64 = 1 << 30;
/// Longest line of `add --from`, in bytes: the JSON of a command fits.
pub const JOB_LINE_BYTES_MAX: usize = 4 << 20;
/// Smallest memory limit of a job, in bytes: no program starts in less.
pub const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Most elements of an argv.
pub const ARGV_LEN_MAX: usize = 65_536;
/// Most attempts of a job; the CHECK on `max_attempts` has the same number.
pub const ATTEMPTS_MAX: u32 = 1_000_000;
/// Most jobs that one job waits for.
pub const AFTER_MAX: usize = 10_000;
/// How often in a row a job is requeued without having started before it ends as failed, reason
/// `spawn`.
pub const FAILED_STARTS_MAX: u32 = 5;
/// The same for a job of another user than the owner of the file: those with a lack of resources of
/// that user count as well, each with a wait before the next.
pub const FAILED_STARTS_OF_USER_MAX: u32 = 30;
/// How often a job may defer itself (exit 75) unless `--max-deferrals` sets another limit.
pub const DEFERRALS_MAX_DEFAULT: u32 = 20;
/// Longest time that a prepare command may take, in milliseconds.
pub const PREPARE_TIMEOUT_MS: u64 = 3_600_000;
/// Timeout of a check whose job has none, in milliseconds.
pub const CHECK_TIMEOUT_MS_DEFAULT: u64 = 3_600_000;
/// How often a check may request another check later (exit 75).
pub const CHECK_ASKS_MAX: u32 = 20;
/// Time between TERM and KILL unless `--grace` sets another, in milliseconds.
pub const GRACE_MS_DEFAULT: u64 = 10_000;
/// First wait before another attempt, in milliseconds.
pub const BACKOFF_FIRST_MS_DEFAULT: u64 = 10_000;
/// Longest wait before another attempt, in milliseconds.
pub const BACKOFF_MOST_MS_DEFAULT: u64 = 3_600_000;
/// Longest duration that any option takes, in milliseconds: 100 years.
pub const DURATION_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;
/// Size of a log above which its middle is dropped, in bytes.
pub const LOG_LIMIT_BYTES_DEFAULT: u64 = 64 << 20;
/// Smallest log limit, in bytes: head and tail are whole blocks.
pub const LOG_LIMIT_BYTES_MIN: u64 = 64 << 10;
/// Most that is kept of a job's `TENURE_RESULT`, in bytes.
pub const RESULT_BYTES_MAX: usize = 64 << 10;
/// Most jobs that are read from the lines of `add --from` for one transaction.
pub const ADD_BATCH_MAX: usize = 10_000;
/// Most jobs of one array.
pub const ARRAY_LEN_MAX: usize = 100_000;
/// Most jobs that are added in one transaction.
pub const ADDED_AT_ONCE_MAX: usize = ARRAY_LEN_MAX;
/// Highest limit of a lane.
pub const LANE_LIMIT_MAX: i64 = 1_000_000;
/// Longest queue name or lane key, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Longest label, unique key or reason of a stop request, in characters; the file allows four bytes
/// for each.
pub const LABEL_CHARS_MAX: usize = 1_000;
/// Exit codes that mean that a retry will not help (EX_USAGE, EX_DATAERR, EX_NOPERM, EX_CONFIG).
pub const NEVER_RETRIED: [i32; 4] = [64, 65, 77, 78];
/// The exit code that means "not now" (EX_TEMPFAIL).
pub const NOT_NOW: i32 = 75;
/// Timeout of a teardown without one, in milliseconds.
pub const TEARDOWN_TIMEOUT_MS_DEFAULT: u64 = 600_000;
/// Longest time that a probe may take, in milliseconds.
pub const PROBE_TIMEOUT_MS: u64 = 60_000;
/// First wait after a failed chore, such as a teardown, in milliseconds.
pub const CHORE_BACKOFF_FIRST_MS: u64 = 1_000;
/// Longest wait after a failed chore, in milliseconds.
pub const CHORE_BACKOFF_MOST_MS: u64 = 300_000;
/// Most chores of one kind that one round reads.
pub const CHORES_PER_ROUND_MAX: usize = 100;
/// Most chores of one kind at once.
pub const CHORES_AT_ONCE_MAX: usize = 4;
/// Most of those that have failed before, so that hanging ones do not delay the others.
pub const CHORES_FAILED_AT_ONCE_MAX: usize = CHORES_AT_ONCE_MAX - 1;
/// Failures of a teardown after which `status` calls it a problem.
pub const TEARDOWN_FAILURES_TOLD: u32 = 5;
/// How often a hook may fail: for about an hour, with the waits in between.
pub const HOOK_ATTEMPTS_MAX: u32 = 20;
/// Failures of a hook after which `status` calls it a problem.
pub const HOOK_FAILURES_TOLD: u32 = 3;
/// Longest time that a hook may take, in milliseconds.
pub const HOOK_TIMEOUT_MS: u64 = 300_000;
/// Size of the log of a hook above which its middle is dropped, in bytes.
pub const HOOK_LOG_LIMIT_BYTES: u64 = 1 << 20;
/// Newest runs of teardowns and probes of one resource that are kept, with their logs.
pub const RESOURCE_RUNS_KEPT: usize = 10;
/// Most stages of one pipeline.
pub const STAGES_MAX: usize = 200;
/// Most parameters of one pipeline.
pub const PARAMS_MAX: usize = 100;
/// How often a task may enter a stage unless `max_rounds` sets another limit.
pub const ROUNDS_MAX_DEFAULT: u32 = 10;
/// Highest `max_rounds`: each round stays in the history of the task.
pub const ROUNDS_MAX: u32 = 1_000;
/// Most pipelines in one file that is applied.
pub const PIPELINES_PER_FILE_MAX: usize = 200;
