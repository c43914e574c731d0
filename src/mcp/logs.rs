//! `logs`: the end of what a job has written, as text that commands no terminal.

use serde_json::json;

use crate::document::shapes::versioned;
use crate::error::Error;
use crate::job::RunKind;
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::file::File;
use crate::mcp::limits::{LOG_BYTES_MAX, LOG_LINES_DEFAULT, LOG_LINES_MAX};
use crate::queue::RunInfo;
use crate::run::output::{self, Piece};
use crate::shown::Shown;

/// The end of a log.
#[derive(Debug, Default)]
struct End {
    text: String,
    /// Bytes before it that are not in it.
    before: u64,
    /// Bytes in it that were dropped because of the limit of the log.
    dropped: u64,
}

pub fn logs(file: &File, arguments: &Arguments) -> Answered {
    let lines = arguments.whole("lines", 1, LOG_LINES_MAX)?.unwrap_or(LOG_LINES_DEFAULT);
    let wanted = arguments.whole("run", 1, i64::MAX.cast_unsigned())?;
    let queue = file.reader()?;
    let id = file.job(&queue, arguments.job()?)?.id;
    let runs = queue.runs(id)?;
    let run = match wanted {
        None => runs.iter().filter(|run| run.kind == RunKind::Job).max_by_key(|run| run.id),
        Some(wanted) => {
            let found = runs.iter().find(|run| run.id.0.cast_unsigned() == wanted);
            Some(found.ok_or_else(|| Failure::new("not_found", format!("job {id} has no run {wanted}")))?)
        }
    };
    let end = run.map(|run| read(run, lines)).transpose()?.unwrap_or_default();
    let text = match (run, end.text.is_empty()) {
        (None, _) => format!("job {id} has not run yet"),
        (Some(_), true) => format!("job {id} has written nothing"),
        (Some(_), false) => end.text.clone(),
    };
    let document = json!({
        "id": id,
        "run": run.map(|run| run.id),
        "text": end.text,
        "bytes_before": end.before,
        "bytes_dropped": end.dropped,
    });
    Ok(Answer { document: versioned(document), text })
}

fn read(run: &RunInfo, lines: u64) -> Result<End, Failure> {
    let doing = |e: std::io::Error| Failure::from(Error::io(format!("reading the log of run {}", run.id), e));
    let Some(file) = output::open_log(&run.log).map_err(doing)? else {
        return match run.started_at {
            None => Ok(End::default()),
            Some(_) => {
                Err(Failure::new("log_gone", format!("the log of run {} was deleted, or not copied with the file", run.id)))
            }
        };
    };
    let end = file.metadata().map_err(doing)?.len();
    // A line may be longer than an answer, and a hole has no bytes: what is kept is counted from
    // the end.
    let floor = end.saturating_sub(LOG_BYTES_MAX);
    let at = output::last_lines(&file, floor, end, usize::try_from(lines).unwrap_or(usize::MAX)).map_err(doing)?.max(floor);
    let (mut shown, mut bytes, mut dropped) = (Shown::plain(), Vec::new(), 0);
    output::read_range(&file, at, end, &mut |piece| {
        match piece {
            Piece::Bytes(piece) => shown.push(piece, &mut bytes),
            Piece::Dropped(n) => dropped += n,
        }
        Ok(())
    })
    .map_err(doing)?;
    shown.finish(&mut bytes);
    Ok(End { text: String::from_utf8_lossy(&bytes).into_owned(), before: at, dropped })
}
