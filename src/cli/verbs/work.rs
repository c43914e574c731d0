//! `tenure work`: runs the worker.
//!
//! The worker itself is the facade's (`queue::process`). What is left here belongs to a program
//! with a terminal and a person: signals become orders before anything of the worker exists, so
//! that one that comes while it starts does not end it half-way, and INT means more at a terminal
//! than elsewhere; settings and options become those of the worker; messages at the start and at
//! the end. A program that embeds a worker has its own of each.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::unbounded;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
#[cfg(feature = "web")]
use crate::cli::verbs::web;
use crate::cli::view::table::{count, held_text};
use crate::cli::watch::idle;
use crate::cli::worker_options;
use crate::config::OnTerm;
use crate::error::{Result, exit};
use crate::host::surroundings;
use crate::queue::{Ended, Queue, process};
use crate::units;
use crate::worker::{OnTerm as Told, Options, signals};

/// Headings of the options in the help.
const WHICH: &str = "Which jobs it runs";
const SHUTDOWN: &str = "How it ends";

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Run up to N jobs at once (default: one for each CPU)
    #[arg(long, value_name = "N", help_heading = WHICH)]
    pub slots: Option<usize>,
    /// Run only jobs of this queue; may be given several times
    #[arg(long, value_name = "QUEUE", value_parser = values::parse_name, help_heading = WHICH)]
    pub queue: Vec<String>,
    /// On TERM, wait for the running jobs
    ///
    /// Without it, the worker detaches from them: they run on under their shims, and the next
    /// worker takes them over.
    #[arg(long, conflicts_with = "on_term", help_heading = SHUTDOWN)]
    pub drain: bool,
    /// Set what TERM does to the running jobs
    ///
    /// ACTION is detach, drain or end. The default is detach, and end where nothing would survive
    /// the worker.
    #[arg(long, value_name = "ACTION", hide_possible_values = true, help_heading = SHUTDOWN)]
    pub on_term: Option<OnTerm>,
    /// Send KILL so long after TERM (default: 8s)
    ///
    /// It applies where the runs end with the worker.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, help_heading = SHUTDOWN)]
    pub stop_timeout: Option<u64>,
    /// End every run of this file, and exit
    ///
    /// Each gets TERM, has its grace, and gets KILL after --stop-timeout. Refused while a worker
    /// serves the file: it would start the next jobs.
    #[arg(long, conflicts_with_all = ["slots", "queue", "drain", "on_term", "until_idle", "until_empty"], help_heading = SHUTDOWN)]
    pub end_runs: bool,
    /// With --end-runs: only at a machine shutdown
    ///
    /// The service manager is asked; otherwise nothing is done.
    #[arg(long, requires = "end_runs", help_heading = SHUTDOWN)]
    pub at_shutdown: bool,
    /// Do not log the start and the end of each job
    #[arg(long, conflicts_with = "end_runs")]
    pub quiet: bool,
    /// Exit when no job runs or could start now
    #[arg(long, conflicts_with = "until_empty", help_heading = SHUTDOWN)]
    pub until_idle: bool,
    /// Exit when no job runs or waits for its time
    #[arg(long, help_heading = SHUTDOWN)]
    pub until_empty: bool,
    /// Serve web pages, the API and metrics at this address too
    ///
    /// ADDR is 127.0.0.1:8080 or unix:PATH. `tenure web` does it in a process of its own.
    #[cfg(feature = "web")]
    #[arg(long, value_name = "ADDR", conflicts_with = "end_runs")]
    pub web: Option<crate::web::Address>,
    /// Time between two rounds of the reaper. For tests: what it does is right at any interval
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, hide = true)]
    pub tick: Option<u64>,
}

pub fn run(face: &Face, args: Args) -> Result<u8> {
    if !args.end_runs {
        return work(face, &args);
    }
    if !args.at_shutdown || surroundings::is_stopping_now() {
        end_runs(face, args.at_shutdown)?;
    }
    Ok(exit::OK)
}

/// Runs the worker until it ends.
///
/// # Errors
/// There is a worker already, or the file cannot be used.
fn work(face: &Face, args: &Args) -> Result<u8> {
    if (args.until_idle || args.until_empty) && idle::wait(face, &args.queue, args.until_empty)? {
        return tell_who_waits(&face.queue()?);
    }
    let until_stopped = !args.until_idle && !args.until_empty;
    let options = Options { door: worker_options::door(&face.settings)?, ..worker_options::options(face) };
    // Before the worker exists: an address that is in use is a mistake of the command line.
    #[cfg(feature = "web")]
    let bound = args.web.as_ref().map(web::bind).transpose()?;
    #[cfg(feature = "web")]
    let _socket = bound.as_ref().and_then(|bound| bound.file.clone()).map(web::Gone);
    let (orders, ordered) = unbounded();
    // Before the worker exists: a signal that comes while it starts must not end it half-way.
    let drains = options.on_term == Some(Told::Drain);
    let _listening = signals::listen(drains, std::io::stdin().is_terminal(), orders)?;
    let mut worker = Queue::of(&face.before_worker()?).worker().options(options).queues(args.queue.clone());
    if args.until_idle {
        worker = worker.until_idle();
    } else if args.until_empty {
        worker = worker.until_empty();
    }
    if let Some(ms) = args.tick {
        worker = worker.tick(Duration::from_millis(ms));
    }
    let started = |path: &Path, slots: usize| {
        let db = path.display();
        log::info!("the worker of {db} has started, {slots} slots");
        #[cfg(feature = "web")]
        if let Some(bound) = bound {
            web::serve_beside(face, bound, path);
        }
        if std::io::stdin().is_terminal() && until_stopped {
            face::say(&format!(
                "the worker of {db} runs, {slots} slots; interrupt to let the jobs end, and again to cancel them"
            ));
        }
    };
    let Some(finished) = worker.run(&ordered, started)? else { return Ok(exit::OK) };
    if finished.left_running > 0 {
        let left = i64::try_from(finished.left_running).unwrap_or(i64::MAX);
        face::say(&match finished.nothing_survives {
            None => {
                format!("{}; the next worker takes over", count(left, "job", "is left to its shim", "are left to their shims"))
            }
            Some(why) => format!("{} with the worker, because {why}", count(left, "job", "ends", "end")),
        });
    }
    match finished.ended? {
        Ended::Idle => tell_who_waits(&finished.queue),
        Ended::Stopped => Ok(exit::OK),
    }
}

/// Ends every run of the file, and reports how many.
///
/// # Errors
/// As [`process::end_runs`].
fn end_runs(face: &Face, beside_worker: bool) -> Result<()> {
    let at_most = Duration::from_millis(face.settings.stop_timeout_ms.value);
    let ended = process::end_runs(&face.settings.db.value, at_most, beside_worker)?;
    if ended > 0 {
        face::say(&count(i64::try_from(ended).unwrap_or(i64::MAX), "run", "was ended", "were ended"));
    }
    Ok(())
}

/// Reports how many jobs wait and why, if none could be started.
fn tell_who_waits(queue: &Queue) -> Result<u8> {
    let counts = queue.counts()?;
    if counts.queued > 0 {
        let held = held_text(&counts);
        face::say(&format!("{}{held}; tenure why ID says more", count(counts.queued, "job", "waits", "wait")));
    }
    tell_what_is_left(queue)?;
    Ok(exit::OK)
}

/// Reports resources that could not be torn down yet, as a person might assume that they are gone.
fn tell_what_is_left(queue: &Queue) -> Result<()> {
    let left = queue.resources_left()?;
    if left > 0 {
        let left = count(left, "resource", "is not torn down yet", "are not torn down yet");
        face::say(&format!("{left}; a worker continues with that; see tenure resource ls"));
    }
    Ok(())
}
