//! The output of a run, as its bytes: never as a document, and never as markup.

use crate::error::Error;
use crate::job::RunKind;
use crate::queue::RunInfo;
use crate::run::output;
use crate::web::app::App;
use crate::web::log::Log;
use crate::web::problem::Problem;
use crate::web::query::{job_id, run_id};
use crate::web::route::{Answer, Answered, Asked, Route, get_short};

pub const ROUTES: &[Route] = &[get_short("/api/v1/jobs/{id}/logs", &["run", "offset", "tail"], logs)];

/// Most lines of `tail`.
const LINES_MAX: u64 = 100_000;
/// Bytes in which they are looked for: a log may have no end of a line.
const TAIL_BYTES_MAX: u64 = 64 << 20;

pub fn logs(app: &App, asked: &Asked) -> Answered {
    let query = &asked.query;
    let id = job_id(asked.name(0))?;
    let wanted = query.get("run").map(run_id).transpose()?;
    let (offset, tail) = (query.number("offset", i64::MAX.cast_unsigned())?, query.number("tail", LINES_MAX)?);
    if offset.is_some() && tail.is_some() {
        return Err(Problem::usage("offset and tail: give one of them"));
    }
    let runs = app.reader()?.runs(id)?;
    let run = match wanted {
        None => runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id),
        Some(wanted) => {
            let found = runs.iter().find(|run| run.id == wanted);
            Some(found.ok_or_else(|| Problem::not_found(format!("job {id} has no run {wanted}")))?)
        }
    };
    let Some(run) = run else { return Ok(Answer::Log(Log::default())) };
    open(run, offset.unwrap_or(0), tail).map(Answer::Log)
}

fn open(run: &RunInfo, offset: u64, tail: Option<u64>) -> Result<Log, Problem> {
    let doing = |e: std::io::Error| Problem::from(Error::io(format!("reading the log of run {}", run.id), e));
    let none = Log { run: Some(run.id.0), ..Log::default() };
    let Some(file) = output::open_log(&run.log).map_err(doing)? else {
        return match run.started_at {
            None => Ok(none),
            Some(_) => {
                Err(Problem::new(404, "log_gone", format!("the log of run {} was deleted, or not copied with the file", run.id)))
            }
        };
    };
    let end = file.metadata().map_err(doing)?.len();
    let at = match tail {
        Some(lines) => {
            output::last_lines(&file, end.saturating_sub(TAIL_BYTES_MAX), end, usize::try_from(lines).unwrap_or(usize::MAX))
                .map_err(doing)?
        }
        None => offset.min(end),
    };
    let dropped = output::dropped(&file, at, end).map_err(doing)?;
    Ok(Log { file: Some(file), at, end, dropped, ..none })
}
