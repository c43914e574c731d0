//! A call of a launcher that asks an engine: a supervised command without a row.
//!
//! Its run file says so, and no row names it. So if the worker dies, the next one finds it, ends
//! its tree, and forgets it: asking changes nothing, and is done again.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::empty::end_tree;
use super::halt::Halt;
use super::handle::Attempt;
use super::observe::observe;
use super::program::{Verb, program};
use super::submission::environment_of_call;
use crate::error::Result;
use crate::job::launcher::last_line;
use crate::job::limits::GRACE_MS_DEFAULT;
use crate::job::verdict::Progress;
use crate::job::{Exit, RunEnd};
use crate::run::Launch;
use crate::run::runfile;
use crate::worker::context::Context;
use crate::worker::engines::Group;
use crate::worker::run_waker::RunWaker;

/// How long an engine may take for an answer, in milliseconds.
const TIMEOUT_MS: u64 = 60_000;
/// Longest output of a call, in bytes: answers for 100,000 runs.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// Calls a launcher with these arguments, and returns what it prints; nothing for a verb that it
/// does not have.
///
/// # Errors
/// [`Halt`]; the inner one says, in words, why there is no answer.
pub fn call(ctx: &Arc<Context>, group: &Group, verb: Verb, args: &[String]) -> Result<Result<Vec<u8>, String>, Halt> {
    let Some(argv) = program(&group.launcher, verb) else { return Ok(Ok(Vec::new())) };
    let ready = ctx.run_files.make_question(&ctx.store, &ctx.roster)?;
    let key = ready.key();
    let attempt = Attempt::new(ctx, key, Arc::new(RunWaker::without_stop_requests()?), GRACE_MS_DEFAULT);
    // It is removed with the results that no run has any more. A log would be one of a run.
    let log = ctx.place().result_file(key.run);
    let argv = argv.into_iter().chain(args.iter().map(|arg| arg.clone().into_bytes()));
    let launch = Launch {
        timeout_ms: Some(TIMEOUT_MS),
        log_limit_bytes: OUTPUT_BYTES_MAX,
        ..Launch::plain(key, argv.collect(), environment_of_call(ctx, group), b"/".to_vec(), log.clone())
    };
    let came = attempt.launch(&launch, ready.file).and_then(|records| match records.progress() {
        Progress::Drained | Progress::Failed => Ok(records),
        _ => {
            attempt.wait_until_over()?;
            end_tree(ctx, key)?;
            Ok(observe(&attempt)?.records)
        }
    });
    if matches!(came, Err(Halt::Detached)) {
        return Err(Halt::Detached);
    }
    let output = read_up_to(&log, OUTPUT_BYTES_MAX);
    let _recovery_tries_again = runfile::unlink(ctx.place(), key.run);
    let _gone_already = std::fs::remove_file(&log);
    ctx.roster.disown(key.run);
    let end = attempt.end_of(&came?);
    Ok(match end {
        RunEnd::Ended { exit: Exit::Code(0), cause: None, .. } => Ok(output),
        end => Err(words(&group.launcher, verb, &end, &String::from_utf8_lossy(&output))),
    })
}

/// Returns at most this many bytes of an output; what cannot be read is logged and missing.
pub fn read_up_to(output: &Path, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(output).and_then(|file| file.take(most).read_to_end(&mut bytes));
    if let Err(error) = read {
        log::warn!("{}: {error}", output.display());
    }
    bytes
}

fn words(launcher: &str, verb: Verb, end: &RunEnd, output: &str) -> String {
    let how = match end {
        RunEnd::Ended { cause: Some(_), .. } => format!("gave no answer within {} s", TIMEOUT_MS / 1_000),
        RunEnd::Ended { exit, .. } => exit.in_words(),
        RunEnd::NotExecuted { error, .. } | RunEnd::NoMeans { error, .. } => error.clone(),
        _ => "its end was not seen".into(),
    };
    let last = last_line(output).map(|line| format!(": {line}")).unwrap_or_default();
    format!("{} of the launcher {launcher}: {how}{last}", verb.as_str())
}
