//! A program with a worker inside, for the tests of it: `embedded FILE work` ends when nothing is left to do, `embedded FILE serve` works
//! until it is killed, `embedded FILE stop` until a job runs, and `embedded FILE end` ends that job.

use std::process::Command;
use std::time::Duration;

use tenure::{Call, Failure, Filter, Queue};

/// Between two looks for a file, in milliseconds.
const LOOK_MS: u64 = 5;

fn main() -> tenure::Result<()> {
    tenure::init_with(&[
        ("greet", greet),
        ("count", count),
        ("fail", fail),
        ("refuse", refuse),
        ("later", later),
        ("panic", panic_at_once),
        ("sleep", sleep),
        ("steps", steps),
        ("grow", grow),
    ]);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let queue = Queue::open(&arguments[0])?;
    let worker = queue.worker().slots(2);
    let worker = if arguments[1] == "work" { worker.until_idle() } else { worker };
    let worker = if arguments[1] == "end" { worker.end_jobs_on_stop(Duration::from_secs(8)) } else { worker };
    let worker = worker.start()?;
    if ["stop", "end"].contains(&arguments[1].as_str()) {
        while queue.list(&Filter::all())?.iter().all(|job| job.pid.is_none()) {
            std::thread::sleep(Duration::from_millis(LOOK_MS)); // No event tells another thread.
        }
        return worker.stop();
    }
    worker.wait()?;
    Ok(())
}

fn greet(call: &Call) -> Result<(), Failure> {
    println!("greeting {}", call.argument(0)?);
    call.progress(50.0, "half")?;
    call.set_result(&format!("hello {} from run {}", call.argument(0)?, call.run()))?;
    Ok(())
}

/// Adds another job to its own queue.
fn count(call: &Call) -> Result<(), Failure> {
    let n: u32 = call.argument(0)?.parse()?;
    if n > 0 {
        call.queue()?.add(tenure::Job::call("count", [(n - 1).to_string()]))?;
    }
    Ok(())
}

fn fail(_: &Call) -> Result<(), Failure> {
    std::fs::read("/not/there")?;
    Ok(())
}

fn refuse(call: &Call) -> Result<(), Failure> {
    Err(Failure::permanent(format!("attempt {} was the last", call.attempt())))
}

fn later(_: &Call) -> Result<(), Failure> {
    Err(Failure::not_now("the moon is not full"))
}

fn panic_at_once(_: &Call) -> Result<(), Failure> {
    panic!("this handler is broken");
}

/// Sleeps, and so does a child of its own that has left its session.
fn sleep(call: &Call) -> Result<(), Failure> {
    let mut child = Command::new("setsid").args(["sleep", "600"]).spawn()?;
    std::fs::write(call.argument(0)?, format!("{} {}", std::process::id(), child.id()))?;
    child.wait()?;
    Ok(())
}

/// Prints a line, waits for a file, and prints another.
fn steps(call: &Call) -> Result<(), Failure> {
    println!("begun");
    while !std::path::Path::new(call.argument(0)?).exists() {
        std::thread::sleep(Duration::from_millis(LOOK_MS)); // No event tells of a file that is made.
    }
    println!("ended");
    call.set_result("both")?;
    Ok(())
}

/// Takes more and more memory.
fn grow(_: &Call) -> Result<(), Failure> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1 << 20]);
    }
}
