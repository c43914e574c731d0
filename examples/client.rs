//! A client of a queue: it adds, waits and cancels, and is refused. The worker is another program, such as `tenure work`.
//!
//! ```sh
//! cargo run --example client -- /tmp/jobs.db
//! ```

use tenure::{Error, Job, Queue};

fn main() -> tenure::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "jobs.db".into());
    let queue = Queue::open(path)?;

    let job = queue.add(Job::command(["echo", "hi"]))?;
    let end = queue.wait(job)?;
    println!("job {job}: {}, exit code {}", end.state, end.exit_code.unwrap_or(-1));

    let job = queue.add(Job::command(["sleep", "600"]))?;
    queue.cancel(job)?;
    println!("job {job}: {}", queue.wait(job)?.state);

    match queue.hold(job) {
        Err(Error::Refused(why)) => println!("refused: {why}"), // for good: the text says what to do instead
        Err(Error::Busy(why)) => println!("again: {why}"),      // another program holds the write lock of the file
        held => held?,
    }
    Ok(())
}
