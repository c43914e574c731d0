//! How much of the processors long answers have: what others leave, and a little where they leave
//! nothing.
//!
//! A niceness does not hold clients back that ask again and again: a job that starts still finds
//! both processors taken, for as long as a slice lasts. So a long answer waits, in its turn, until
//! those before it are made good. What it will use is charged when it gets its turn, as much as the
//! others have used of late, and put right when it is made: else all that wait would have theirs at
//! once.
//!
//! ```text
//! credit:  + a share of what others leave, a little in any case   - what an answer uses
//!          at most BURST                                          below 0: the next one waits
//! ```

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sysinfo::System;
use tokio::time::{sleep, timeout};

use crate::sync::lock;
use crate::web::limits::{PACE_BURST, PACE_DEBT, PACE_RESERVE, PACE_SHARE, PACE_SPAN, THREAD_WAIT};
use crate::web::problem::Problem;

/// What an answer is thought to use before there was one, in seconds of a processor.
const USUAL: f64 = 0.01;
/// The weight of the newest answer in what is usual.
const NEWEST: f64 = 0.125;

/// The credit of one kind of answers.
pub struct Pace {
    /// The first in the line waits for the credit, the others for it.
    first: tokio::sync::Mutex<()>,
    least: f64,
    state: Mutex<State>,
}

struct State {
    credit: Credit,
    /// What an answer has used of late, in seconds of a processor.
    usual: f64,
    machine: Machine,
}

/// The turn of one answer. If it is not made, its charge is given back.
pub struct Turn {
    pace: Arc<Pace>,
    /// What was charged before, in seconds of a processor.
    advance: f64,
}

impl Pace {
    /// `least`: the processors that these answers have in any case.
    pub fn new(least: f64) -> Arc<Self> {
        let now = Instant::now();
        let credit = Credit { seconds: PACE_BURST.as_secs_f64(), at: now, rate: least };
        let state = State { credit, usual: USUAL, machine: Machine::new(now) };
        Arc::new(Self { first: tokio::sync::Mutex::new(()), least, state: Mutex::new(state) })
    }

    /// Waits until there is credit for another long answer.
    ///
    /// # Errors
    /// There was none for long.
    pub async fn turn(self: &Arc<Self>) -> Result<Turn, Problem> {
        self.turn_within(THREAD_WAIT).await
    }

    async fn turn_within(self: &Arc<Self>, patience: Duration) -> Result<Turn, Problem> {
        let credit = async {
            let _first = self.first.lock().await;
            loop {
                match self.take(Instant::now()) {
                    Ok(advance) => return Turn { pace: Arc::clone(self), advance },
                    Err(wait) => sleep(wait).await,
                }
            }
        };
        timeout(patience, credit).await.map_err(|_| {
            Problem::busy(
                "long answers have had their share of the processors, which jobs need; ask for fewer rows, or less often",
            )
        })
    }

    /// Charges what is usual, or returns how long to wait.
    fn take(&self, now: Instant) -> Result<f64, Duration> {
        let mut state = lock(&self.state);
        let processors = state.machine.processors;
        if let Some(spare) = state.machine.spare(now) {
            state.credit.measured(now, rate(self.least, spare, processors));
        }
        let wait = state.credit.wait(now);
        if !wait.is_zero() {
            // What others leave may be more soon.
            return Err(wait.min(PACE_SPAN));
        }
        let advance = state.usual;
        state.credit.seconds -= advance;
        Ok(advance)
    }

    /// Does what waits for no turn: what it uses is not taken for the use of others.
    pub fn noted<T>(&self, make: impl FnOnce() -> T) -> T {
        let (made, used) = timed(make);
        lock(&self.state).machine.own += used;
        made
    }
}

impl Turn {
    /// Makes the answer, and charges what this thread has used for it.
    pub fn charged<T>(mut self, make: impl FnOnce() -> T) -> T {
        let (made, used) = timed(make);
        let advance = std::mem::take(&mut self.advance);
        let mut state = lock(&self.pace.state);
        state.machine.own += used;
        state.usual += (used.as_secs_f64() - state.usual) * NEWEST;
        state.credit.settle(Instant::now(), advance, used);
        made
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.pace.state).credit.seconds += self.advance;
    }
}

/// Does something, and returns what this thread has used for it.
fn timed<T>(make: impl FnOnce() -> T) -> (T, Duration) {
    let before = used_by_thread();
    let made = make();
    (made, used_by_thread().saturating_sub(before))
}

fn used_by_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Returns the credit of a second, in seconds of a processor, if others leave so many of the
/// processors.
fn rate(least: f64, spare: f64, processors: f64) -> f64 {
    ((spare - processors * PACE_RESERVE) * PACE_SHARE).max(least)
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

    /// Takes over a rate that was measured for the time until now.
    fn measured(&mut self, now: Instant, rate: f64) {
        self.rate = rate;
        self.reach(now);
    }

    /// Puts right what was charged before. A long answer keeps others waiting for a while only.
    fn settle(&mut self, now: Instant, advance: f64, used: Duration) {
        self.reach(now);
        let most = self.rate * PACE_DEBT.as_secs_f64();
        self.seconds = (self.seconds + advance - used.as_secs_f64()).max(-most);
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
    /// Those that this process may use.
    processors: f64,
    at: Instant,
    /// What was used for answers since then.
    own: Duration,
}

impl Machine {
    fn new(now: Instant) -> Self {
        let mut system = System::new().ok();
        system.iter_mut().for_each(System::refresh_cpu_usage);
        let system = system.filter(|system| !system.cpus().is_empty());
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
        // Of all processors of the machine; a container may have few of them.
        let busy = f64::from(system.global_cpu_usage()) / 100.0 * system.cpus().len() as f64;
        let own = std::mem::take(&mut self.own).as_secs_f64() / span.as_secs_f64();
        self.at = now;
        Some(left(self.processors, busy, own))
    }
}

/// Returns how many of the processors others leave, of whom `own` of the busy ones is none. A
/// machine that does nothing while this process works does not report.
fn left(processors: f64, busy: f64, own: f64) -> f64 {
    if busy <= 0.0 && own > 0.0 {
        return 0.0;
    }
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

    /// A pace of a machine that does not report, with so much credit.
    fn pace(seconds: f64) -> Arc<Pace> {
        let pace = Pace::new(LEAST);
        let mut state = pace.state.lock().unwrap();
        state.machine.system = None;
        state.credit.seconds = seconds;
        drop(state);
        pace
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn busy(time: Duration) {
        let begun = used_by_thread();
        while used_by_thread() < begun + time {}
    }

    #[test]
    fn what_was_used_is_waited_for() {
        let (mut credit, start) = credit(0.0, 0.25);
        credit.settle(start, 0.0, Duration::from_millis(500));
        assert_eq!(credit.wait(start), Duration::from_secs(2));
        assert_eq!(credit.wait(start + Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(credit.wait(start + Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(credit.wait(start), Duration::ZERO, "an earlier instant gives and takes nothing");
    }

    #[test]
    fn a_rest_saves_no_more_than_the_burst() {
        let (mut credit, start) = credit(0.0, 1.0);
        let later = start + Duration::from_secs(1_000);
        credit.settle(later, 0.0, PACE_BURST + Duration::from_secs(3));
        assert_eq!(credit.wait(later), Duration::from_secs(3));
    }

    #[test]
    fn one_costly_answer_keeps_no_others_waiting_for_ever() {
        let (mut credit, start) = credit(0.0, 0.02);
        credit.settle(start, 0.0, Duration::from_secs(1_000));
        assert_eq!(credit.wait(start), PACE_DEBT);
    }

    #[test]
    fn a_rate_counts_for_the_time_that_it_was_measured_for() {
        let (mut credit, start) = credit(-0.1, 0.02);
        credit.measured(start + Duration::from_secs(1), 0.25);
        assert!((credit.seconds - 0.15).abs() < 1e-9, "{credit:?}");
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
            (2.0, 60.0, 0.5, 0.0),
            (2.0, 0.0, 0.5, 0.0),
        ] {
            assert!((left(processors, busy, own) - spare).abs() < 1e-9, "{processors} {busy} {own}");
        }
        assert!(rate(0.5, 0.0, 2.0) >= 0.5 && rate(0.0, 2.0, 2.0) > rate(0.0, 1.0, 2.0));
        assert!(rate(0.01, 0.5, 2.0) <= 0.01, "a machine that is nearly full leaves nothing");
    }

    #[test]
    fn a_turn_is_charged_before_the_next_one_is_given() {
        let begun = Instant::now();
        let pace = pace(0.0);
        pace.state.lock().unwrap().usual = 0.02;
        let _turns = run(async { tokio::try_join!(pace.turn(), pace.turn()).unwrap() });
        let least = Duration::from_secs_f64(0.02 / LEAST) - Duration::from_millis(1);
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_turn_that_is_not_used_is_given_back() {
        let pace = pace(PACE_BURST.as_secs_f64());
        let before = pace.state.lock().unwrap().credit.seconds;
        let turn = run(pace.turn()).unwrap();
        assert!(pace.state.lock().unwrap().credit.seconds < before);
        drop(turn);
        assert!((pace.state.lock().unwrap().credit.seconds - before).abs() < 1e-9);
    }

    #[test]
    fn a_turn_that_does_not_come_is_told() {
        let pace = pace(-LEAST * PACE_DEBT.as_secs_f64());
        let problem = run(pace.turn_within(Duration::from_millis(5))).err().unwrap();
        assert_eq!((problem.status, problem.is_of_server), (503, true));
    }

    #[test]
    fn what_a_thread_uses_is_charged() {
        let (begun, used) = (Instant::now(), Duration::from_millis(50));
        let pace = pace(PACE_BURST.as_secs_f64());
        run(pace.turn()).unwrap().charged(|| busy(used));
        let saved = begun.elapsed().as_secs_f64() * LEAST;
        let state = pace.state.lock().unwrap();
        assert!(state.machine.own >= used && state.usual > USUAL);
        let most = PACE_BURST.as_secs_f64() - used.as_secs_f64() + saved;
        assert!(state.credit.seconds <= most, "{} {most}", state.credit.seconds);
    }

    #[test]
    fn what_has_just_happened_is_no_use_of_others_and_no_debt() {
        let pace = pace(0.0);
        pace.noted(|| busy(Duration::from_millis(5)));
        let state = pace.state.lock().unwrap();
        assert!(state.machine.own >= Duration::from_millis(5) && state.credit.seconds >= 0.0);
    }
}
