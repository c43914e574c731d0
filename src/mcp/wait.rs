//! `wait`: looks at a job until it has ended, for a bounded time, and holds no thread meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::document::shapes;
use crate::job::JobId;
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::file::File;
use crate::mcp::limits::{LOOKS, WAIT_SECONDS_DEFAULT, WAIT_SECONDS_MAX};
use crate::mcp::text;
use crate::mcp::threads::Threads;
use crate::queue::JobInfo;

pub async fn wait(threads: &Threads, arguments: &Arguments) -> Answered {
    let (id, seconds) = (arguments.job()?, arguments.whole("seconds", 0, WAIT_SECONDS_MAX)?.unwrap_or(WAIT_SECONDS_DEFAULT));
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut pause, longest) = LOOKS;
    loop {
        let job = threads.run(move |file| look(file, id)).await?;
        if job.has_ended() || Instant::now() >= until {
            return Ok(Answer { document: shapes::job(&job), text: text::waited(&job) });
        }
        sleep_until(until.min(Instant::now() + pause)).await;
        pause = longest.min(pause * 2);
    }
}

fn look(file: &File, id: JobId) -> Result<JobInfo, Failure> {
    let queue = file.reader()?;
    let job = file.job(&queue, id)?;
    if job.has_ended() {
        // What is answered must still be true after a power cut.
        queue.store.flush_now()?;
    }
    Ok(job)
}
