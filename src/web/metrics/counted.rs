//! What has happened since the server was started.

use std::collections::BTreeSet;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::label::{Labels, OTHER, QUEUES_MAX, labels};
use crate::error::Result;
use crate::store::Store;
use crate::store::job::measure::{self, Measured};

/// Events that are read at once, and in one scrape at most.
const PAGE_EVENTS: usize = 2_000;
const PAGES_MAX: usize = 25;

/// Upper bounds of histograms, in seconds.
const BOUNDS: [f64; 15] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0];

/// Counters and histograms, and the last event that is in them.
pub struct Counted {
    event: i64,
    /// The queues that have labels of their own.
    queues: BTreeSet<String>,
    claims: Family<Labels, Counter>,
    settles: Family<Labels, Counter>,
    waited: Family<Labels, Histogram>,
    ran: Family<Labels, Histogram>,
    /// Whether events are left for the next scrape.
    behind: Gauge,
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

impl Counted {
    /// Begins after an event.
    pub fn from(event: i64) -> Self {
        Self {
            event,
            queues: BTreeSet::new(),
            claims: Family::default(),
            settles: Family::default(),
            waited: Family::new_with_constructor(histogram),
            ran: Family::new_with_constructor(histogram),
            behind: Gauge::default(),
        }
    }

    /// Counts what has happened since the last time, up to a limit. `newest`: the newest event.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_on(&mut self, store: &Store, newest: i64) -> Result<()> {
        // A copy that was restored has fewer.
        self.event = self.event.min(newest);
        for _ in 0..PAGES_MAX {
            let from = self.event;
            let (all, last) = store.read(|conn| measure::since(conn, from, PAGE_EVENTS))?;
            all.into_iter().for_each(|one| self.count(one));
            self.event = last;
            // A page that is not full is the last one.
            if usize::try_from(last - from).unwrap_or(0) < PAGE_EVENTS {
                self.behind.set(0);
                return Ok(());
            }
        }
        self.behind.set(1);
        Ok(())
    }

    fn count(&mut self, one: Measured) {
        let seconds = |ms: i64| std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
        match one {
            Measured::Claimed { queue, waited_ms } => {
                let of = labels(&[("queue", self.label(&queue))]);
                self.claims.get_or_create(&of).inc();
                if let Some(ms) = waited_ms {
                    self.waited.get_or_create(&of).observe(seconds(ms));
                }
            }
            Measured::Ended { queue, outcome, reason, ran_ms } => {
                let queue = self.label(&queue).to_owned();
                self.settles.get_or_create(&labels(&[("queue", &queue), ("outcome", &outcome), ("reason", &reason)])).inc();
                if let Some(ms) = ran_ms {
                    self.ran.get_or_create(&labels(&[("queue", &queue)])).observe(seconds(ms));
                }
            }
        }
    }

    /// Returns the label of a queue: only so many have their own.
    fn label<'a>(&mut self, queue: &'a str) -> &'a str {
        if !self.queues.contains(queue) {
            if self.queues.len() >= QUEUES_MAX {
                return OTHER;
            }
            self.queues.insert(queue.to_owned());
        }
        queue
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("claims", "Jobs that were claimed, since the server was started", self.claims.clone());
        registry.register("settles", "Runs of jobs that have ended, since the server was started", self.settles.clone());
        registry.register("job_wait_seconds", "Time from when a job could start to its claim", self.waited.clone());
        registry.register("job_run_seconds", "Time from the start of a run to its end", self.ran.clone());
        registry.register("metrics_behind", "1: more has happened than one scrape reads", self.behind.clone());
    }
}
