//! A queue and its worker inside a program.
//!
//! ```sh
//! cargo run --example embed -- /tmp/jobs.db
//! ```

use tenure::{Job, Queue, minutes};

fn main() -> tenure::Result<()> {
    tenure::init(); // the first statement: this program is started again, to start jobs
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "jobs.db".into());
    let queue = Queue::open(path)?;
    let id = queue.add(Job::command(["make", "--version"]).retries(3).timeout(minutes(10)).lane("ci"))?;
    let worker = queue.worker().slots(4).start()?;
    let job = queue.wait(id)?;
    println!("{} {:?}", job.state, job.exit_code);
    worker.stop() // running jobs continue; drain() waits for them
}
