//! `tenure --system wait`
//!
//! The client asks again: a connection that waits would be a place that another request lacks.

use std::time::{Duration, Instant};

use super::{not_here, pick};
use crate::cli::face::{self, Face};
use crate::cli::parse::select::{Part, Selector};
use crate::cli::verbs::wait::Args;
use crate::cli::view::{code, table};
use crate::error::{Error, Result, exit};
use crate::job::{JobId, State};
use crate::queue::JobInfo;
use crate::queue::people::System;

/// Interval between two questions, in milliseconds: first and longest.
const ASK_MS_MIN: u64 = 100;
const ASK_MS_MAX: u64 = 2_000;

pub fn run(face: &Face, system: &System, args: &Args) -> Result<u8> {
    if args.since.is_some() || face.json {
        return not_here("--since or --json of wait");
    }
    let until = args.timeout.map(|ms| Instant::now() + Duration::from_millis(ms));
    let ids = pick::many(system, &args.which, &State::ALL)?;
    let mut left = ids.clone();
    let mut ended: Vec<JobInfo> = Vec::new();
    let mut pause = Pause::default();
    loop {
        for shown in look(system, &left)? {
            if shown.job.has_ended() {
                left.retain(|id| *id != shown.job.id);
                ended.push(shown.job);
            }
        }
        if left.is_empty() || (args.any && !ended.is_empty()) {
            break;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            face::say("not all have ended within the timeout");
            return Ok(exit::TIMEOUT);
        }
        pause.rest(until);
    }
    for job in ended.iter().filter(|job| job.state != State::Done) {
        face::say(&format!("job {} is {}", job.id, table::state(job)));
    }
    Ok(match &ended[..] {
        [one] if ids.len() == 1 || args.any => code::of_job(one),
        all if all.iter().all(|job| job.state == State::Done) => exit::OK,
        _ => exit::FAILED,
    })
}

fn look(system: &System, ids: &[JobId]) -> Result<Vec<pick::Shown>> {
    let gone = |error| match error {
        Error::NotFound(_) => Error::NotFound("a job is gone: it was removed while it was waited for".into()),
        other => other,
    };
    pick::named(system, &[Selector(ids.iter().map(|id| Part::One(*id)).collect())], &State::ALL).map_err(gone)
}

/// The time between two questions, which grows.
pub struct Pause(u64);

impl Default for Pause {
    fn default() -> Self {
        Self(ASK_MS_MIN)
    }
}

impl Pause {
    pub fn rest(&mut self, until: Option<Instant>) {
        let pause = Duration::from_millis(self.0);
        let left = until.map_or(pause, |until| until.saturating_duration_since(Instant::now()));
        std::thread::sleep(pause.min(left));
        self.0 = (self.0 * 5 / 4).min(ASK_MS_MAX);
    }

    /// Something has happened.
    pub fn stir(&mut self) {
        self.0 = ASK_MS_MIN;
    }
}
