//! How much of the processors long answers have: what others leave, and a little where they leave
//! nothing.
//!
//! A niceness does not hold clients back that ask again and again: a job that starts still finds
//! both processors taken, for as long as a slice lasts. So the threads of the file tell what their
//! answers have used, and a long one waits, in its turn, until those before it are made good.
//!
//! ```text
//! credit:  + a share of what others leave, a little in any case   - what an answer has used
//!          at most BURST                                          below 0: the next one waits
//! ```

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sysinfo::System;
use tokio::time::{sleep, timeout};

use crate::sync::lock;
use crate::web::limits::{PACE_BURST, PACE_SHARE, PACE_SPAN, THREAD_WAIT};
use crate::web::problem::Problem;

/// The credit of one kind of answers.
pub struct Pace {
    /// The first in the line waits for the credit, the others for it.
    first: tokio::sync::Mutex<()>,
    least: f64,
    state: Mutex<State>,
}

struct State {
    credit: Credit,
    machine: Machine,
}

impl Pace {
    /// `least`: the processors that these answers have in any case.
    pub fn new(least: f64) -> Self {
        let now = Instant::now();
        let credit = Credit { seconds: PACE_BURST.as_secs_f64(), at: now, rate: least };
        Self { first: tokio::sync::Mutex::new(()), least, state: Mutex::new(State { credit, machine: Machine::new(now) }) }
    }

    /// Waits until there is credit for another long answer.
    ///
    /// # Errors
    /// There was none for long.
    pub async fn turn(&self) -> Result<(), Problem> {
        self.turn_within(THREAD_WAIT).await
    }

    async fn turn_within(&self, patience: Duration) -> Result<(), Problem> {
        let credit = async {
            let _first = self.first.lock().await;
            loop {
                let wait = self.wait(Instant::now());
                if wait.is_zero() {
                    break;
                }
                sleep(wait).await;
            }
        };
        timeout(patience, credit).await.map_err(|_| Problem::busy("the processors are busy with other work"))
    }

    fn wait(&self, now: Instant) -> Duration {
        let mut state = lock(&self.state);
        if let Some(spare) = state.machine.spare(now) {
            state.credit.change_rate(now, rate(self.least, spare));
        }
        // What others leave may be more soon.
        state.credit.wait(now).min(PACE_SPAN)
    }

    /// Makes an answer, and charges what this thread has used for it.
    pub fn charged<T>(&self, make: impl FnOnce() -> T) -> T {
        let before = used_by_thread();
        let made = make();
        let used = used_by_thread().saturating_sub(before);
        let mut state = lock(&self.state);
        state.credit.spend(Instant::now(), used);
        state.machine.own += used;
        made
    }
}

fn used_by_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Returns the credit of a second, in seconds of a processor, if others leave so many processors.
fn rate(least: f64, spare: f64) -> f64 {
    (spare * PACE_SHARE).max(least)
}

/// Time of processors that may be used, in seconds.
#[derive(Debug, Clone, Copy)]
struct Credit {
    seconds: f64,
    at: Instant,
    /// What is added each second.
    rate: f64,
}

impl Credit {
    fn reach(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.seconds = (self.seconds + passed * self.rate).min(PACE_BURST.as_secs_f64());
        self.at = now.max(self.at);
    }

    fn change_rate(&mut self, now: Instant, rate: f64) {
        self.reach(now);
        self.rate = rate;
    }

    fn spend(&mut self, now: Instant, used: Duration) {
        self.reach(now);
        self.seconds -= used.as_secs_f64();
    }

    /// Returns how long it lasts until nothing is owed.
    fn wait(&mut self, now: Instant) -> Duration {
        self.reach(now);
        match self.seconds < 0.0 {
            true => Duration::from_secs_f64(-self.seconds / self.rate).max(Duration::from_millis(1)),
            false => Duration::ZERO,
        }
    }
}

/// What the machine does, read once in each span.
struct Machine {
    /// `None`: it does not report; no more than the least is used.
    system: Option<System>,
    processors: f64,
    at: Instant,
    /// What was used for answers since then.
    own: Duration,
}

impl Machine {
    fn new(now: Instant) -> Self {
        let mut system = System::new().ok();
        system.iter_mut().for_each(System::refresh_cpu_usage);
        let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        Self { system, processors, at: now, own: Duration::ZERO }
    }

    /// Returns how many processors others have left in the last span, if it is over.
    fn spare(&mut self, now: Instant) -> Option<f64> {
        let span = now.saturating_duration_since(self.at);
        if span < PACE_SPAN {
            return None;
        }
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        let busy = f64::from(system.global_cpu_usage()) / 100.0 * self.processors;
        let own = std::mem::take(&mut self.own).as_secs_f64() / span.as_secs_f64();
        self.at = now;
        Some(left(self.processors, busy, own))
    }
}

/// Returns how many of the processors others leave, of whom `own` of the busy ones is none.
fn left(processors: f64, busy: f64, own: f64) -> f64 {
    (processors - (busy - own).max(0.0)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: f64 = 0.05;

    fn credit(seconds: f64, rate: f64) -> (Credit, Instant) {
        let at = Instant::now();
        (Credit { seconds, at, rate }, at)
    }

    #[test]
    fn what_was_used_is_waited_for() {
        let (mut credit, start) = credit(1.0, 0.25);
        credit.spend(start, Duration::from_millis(1_500));
        assert_eq!(credit.wait(start), Duration::from_secs(2));
        assert_eq!(credit.wait(start + Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(credit.wait(start + Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(credit.wait(start), Duration::ZERO, "an earlier instant gives and takes nothing");
    }

    #[test]
    fn a_rest_saves_no_more_than_the_burst() {
        let (mut credit, start) = credit(0.0, 1.0);
        let later = start + Duration::from_secs(1_000);
        credit.spend(later, PACE_BURST + Duration::from_secs(3));
        assert_eq!(credit.wait(later), Duration::from_secs(3));
    }

    #[test]
    fn others_come_first_and_the_own_use_is_no_others() {
        for (processors, busy, own, spare) in [
            (2.0, 0.0, 0.0, 2.0),
            (2.0, 1.5, 0.0, 0.5),
            (2.0, 1.5, 1.5, 2.0),
            (2.0, 2.0, 0.5, 0.5),
            (2.0, 2.5, 0.0, 0.0),
            (2.0, 0.1, 0.5, 2.0),
        ] {
            assert!((left(processors, busy, own) - spare).abs() < 1e-9, "{processors} {busy} {own}");
        }
        assert!(rate(0.5, 0.0) >= 0.5 && rate(0.0, 2.0) > rate(0.0, 1.0));
    }

    #[test]
    fn long_answers_wait_in_turn_while_nothing_is_left() {
        let pace = Pace::new(LEAST);
        pace.state.lock().unwrap().machine.system = None;
        let begun = Instant::now();
        pace.state.lock().unwrap().credit.spend(begun, PACE_BURST + Duration::from_millis(20));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::try_join!(pace.turn(), pace.turn()).unwrap() });
        let least = Duration::from_secs_f64(0.02 / LEAST);
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_turn_that_does_not_come_is_told() {
        let pace = Pace::new(LEAST);
        pace.state.lock().unwrap().machine.system = None;
        pace.state.lock().unwrap().credit.spend(Instant::now(), Duration::from_secs(1_000_000));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let problem = runtime.block_on(pace.turn_within(Duration::from_millis(5))).unwrap_err();
        assert_eq!((problem.status, problem.is_of_server), (503, true));
    }

    #[test]
    fn what_a_thread_uses_is_charged() {
        let pace = Pace::new(LEAST);
        pace.charged(|| {
            let begun = used_by_thread();
            while used_by_thread() < begun + Duration::from_millis(5) {}
        });
        assert!(pace.state.lock().unwrap().machine.own >= Duration::from_millis(5));
    }
}
