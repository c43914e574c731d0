//! The output of a run, as its bytes: never as a document, and never as markup.

use crate::error::Error;
use crate::queue::logs::{Content, GONE};
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
    let found = app.reader()?.open_log(id, wanted)?;
    let none = Log { run: found.run.map(|run| run.0), is_open: found.is_open, ..Log::default() };
    let file = match found.content {
        Content::Nothing => return Ok(Answer::Log(none)),
        Content::Gone => return Err(Problem::new(404, "log_gone", GONE)),
        Content::Log(file) => file,
    };
    let doing = |e: std::io::Error| Problem::from(Error::io(format!("reading the log of job {id}"), e));
    let end = file.metadata().map_err(doing)?.len();
    let at = match tail {
        Some(lines) => {
            let count = usize::try_from(lines).unwrap_or(usize::MAX);
            output::last_lines(&file, end.saturating_sub(TAIL_BYTES_MAX), end, count).map_err(doing)?
        }
        None => offset.unwrap_or(0).min(end),
    };
    let dropped = output::dropped(&file, at, end).map_err(doing)?;
    Ok(Answer::Log(Log { file: Some(file), at, end, dropped, ..none }))
}
