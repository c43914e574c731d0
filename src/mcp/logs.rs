//! `logs`: the end of what a job has written, as text that commands no terminal.

use serde_json::json;

use crate::document::shapes::versioned;
use crate::error::Error;
use crate::job::RunId;
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::file::File;
use crate::mcp::limits::{LOG_BYTES_MAX, LOG_LINES_DEFAULT, LOG_LINES_MAX};
use crate::queue::logs::{Content, GONE};
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
    let wanted = wanted.map(|run| RunId(run.cast_signed()));
    let queue = file.reader()?;
    let id = file.job(&queue, arguments.job()?)?.id;
    let found = queue.open_log(id, wanted)?;
    let end = match &found.content {
        Content::Nothing => End::default(),
        Content::Gone => return Err(Failure::new("log_gone", GONE)),
        Content::Log(log) => read(log, lines).map_err(|e| Error::io(format!("reading the log of job {id}"), e))?,
    };
    let text = match (found.run, end.text.is_empty()) {
        (None, _) => format!("job {id} has not run yet"),
        (Some(_), true) => format!("job {id} has written nothing"),
        (Some(_), false) => end.text.clone(),
    };
    let document = json!({
        "id": id,
        "run": found.run,
        "text": end.text,
        "bytes_before": end.before,
        "bytes_dropped": end.dropped,
    });
    Ok(Answer { document: versioned(document), text })
}

fn read(file: &std::fs::File, lines: u64) -> std::io::Result<End> {
    let end = file.metadata()?.len();
    // A line may be longer than an answer, and a hole has no bytes: what is kept is counted from
    // the end.
    let floor = end.saturating_sub(LOG_BYTES_MAX);
    let at = output::last_lines(file, floor, end, usize::try_from(lines).unwrap_or(usize::MAX))?.max(floor);
    let (mut shown, mut bytes, mut dropped) = (Shown::plain(), Vec::new(), 0);
    output::read_range(file, at, end, &mut |piece| {
        match piece {
            Piece::Bytes(piece) => shown.push(piece, &mut bytes),
            Piece::Dropped(n) => dropped += n,
        }
        Ok(())
    })?;
    shown.finish(&mut bytes);
    Ok(End { text: String::from_utf8_lossy(&bytes).into_owned(), before: at, dropped })
}
