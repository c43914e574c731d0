//! A program with a queue of its own: it adds jobs, works until nothing is left to do, and reads what became of them.
//!
//! ```sh
//! cargo run --example embed -- /tmp/embedded.db
//! ```

use std::path::PathBuf;

use tenure::error::Result;
use tenure::job::{Argv, NewJob};
use tenure::store::{Options, Role, Store, enqueue, read};
use tenure::worker::{self, Until, Worker};

fn main() -> Result<()> {
    // First of all: the worker starts this very program again to be its spawner.
    tenure::run::spawner::main_if_spawner();

    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("embedded.db"), PathBuf::from);
    let store = Store::open(&path, Options::new(Role::Client))?;
    let n: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(3);
    let jobs = (0..n).map(|n| NewJob::new(command(&format!("echo this is {n}; exit {}", n % 2)))).collect::<Vec<_>>();
    // When this returns the jobs are on the disk.
    let added = store.write(move |conn| enqueue::add(conn, &jobs, now_ms()))?;

    let options = worker::Options { slots: 2, until: Until::Idle, ..worker::Options::work() };
    let worker = Worker::start(&store, Options::new(Role::Worker), options)?;
    let (_no_orders, orders) = crossbeam_channel::bounded(1);
    let summary = worker.wait(&orders)?;
    println!("the worker ended: {:?}", summary.ended);

    for job in added.iter().take(5) {
        let id = job.id;
        let job = store.read(move |conn| read::job(conn, id))?;
        println!("{:?}", job.map(|job| (job.id, job.state, job.reason, job.exit_code)));
    }
    Ok(())
}

fn command(line: &str) -> Argv {
    Argv::shell(line).expect("a short line without NUL bytes is a command")
}

fn now_ms() -> i64 {
    tenure::clock::Clock::System.now_ms()
}
