//! `list`, `show` and `why`.

use serde_json::json;

use crate::document::shapes;
use crate::job::{JobId, State};
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::file::File;
use crate::mcp::limits::{LIST_BYTES_MAX, ROWS_DEFAULT, ROWS_MAX, RUNS_MAX};
use crate::mcp::text;
use crate::parse::values;
use crate::queue::why::{Explainer, stopped};
use crate::queue::{Filter, JobInfo};

/// Returns jobs, the newest first.
pub fn list(file: &File, arguments: &Arguments) -> Answered {
    let state = |word: &str| word.parse::<State>().map_err(|why| why.to_string());
    let limit = arguments.whole("limit", 1, ROWS_MAX)?.unwrap_or(ROWS_DEFAULT);
    let mut filter = Filter::all().limit(usize::try_from(limit).unwrap_or(usize::MAX));
    filter = filter.states(arguments.texts("state", state)?);
    if let Some(label) = arguments.text("label", values::parse_label)? {
        filter = filter.label(label);
    }
    let wanted = arguments.text("queue", values::parse_name)?;
    if let Some(other) = wanted.as_deref().filter(|name| !file.setup.allowed.shows(name)) {
        return Err(Failure::refused(format!("queue: this server does not show the queue {other:?}; omit the argument")));
    }
    if let Some(queue) = wanted.as_deref().or(file.setup.allowed.queue()) {
        filter = filter.queue(queue);
    }
    if let Some(before) = arguments.whole("before", 1, i64::MAX.cast_unsigned())? {
        filter = filter.between(JobId(1), JobId(i64::try_from(before - 1).unwrap_or(i64::MAX)));
    }
    let queue = file.reader()?;
    let (mut jobs, next) = queue.page(&filter, LIST_BYTES_MAX)?;
    stopped::mark(&queue, &mut jobs)?;
    let documents: Vec<_> = jobs.iter().map(shapes::job).collect();
    Ok(Answer { document: shapes::versioned(json!({"jobs": documents, "next": next})), text: text::list(&jobs, next) })
}

/// Returns everything that is recorded of a job, with its newest runs.
pub fn show(file: &File, arguments: &Arguments) -> Answered {
    let queue = file.reader()?;
    let mut jobs = [file.job(&queue, arguments.job()?)?];
    stopped::mark(&queue, &mut jobs)?;
    let [job] = &jobs;
    let mut record = queue.record(job.id)?;
    record.runs.drain(..record.runs.len().saturating_sub(RUNS_MAX));
    let mut document = shapes::job_with_record(job, &record);
    if let (false, Some(document)) = (file.setup.allowed.shows_variables(), document.as_object_mut()) {
        document.remove("env");
    }
    Ok(Answer { document, text: text::whole(job) })
}

/// Returns why a job waits or has ended.
pub fn why(file: &File, arguments: &Arguments) -> Answered {
    let queue = file.reader()?;
    let id = file.job(&queue, arguments.job()?)?.id;
    let (facts, all) = Explainer::new(&queue.store, file.now(), &file.setup.floors)?.of(id)?;
    let (job, step) = (JobInfo::of(facts.job), queue.step(id)?);
    Ok(Answer { document: shapes::versioned(shapes::why(&job, step.as_ref(), &all)), text: text::why(&job, &all) })
}
