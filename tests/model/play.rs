//! Plays steps on a file and on the model, and compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tenure::job::{Nonce, RunId};
use tenure::store::job::ids;
use tenure::store::job::ids::Prepared;

use super::file;
use super::world::World;

/// One step: what is done, and five bytes that say to what.
pub type Step = [u8; 6];

/// Most steps of one history.
pub const STEPS_MAX: usize = 400;

const START_MS: i64 = 1_000_000;
/// More than there is of anything.
pub(super) const LIMIT: usize = 100_000;

/// Whether a history that fails is told.
static TELL: AtomicBool = AtomicBool::new(false);

/// From now on a history that fails is told, step by step.
pub fn tell() {
    TELL.store(true, Ordering::Relaxed);
}

/// Plays a history without comparing, for what it leaves behind.
pub fn left_by(steps: &[Step]) -> Connection {
    let mut play = Play::new();
    steps.iter().take(STEPS_MAX).for_each(|step| play.step(*step));
    std::mem::replace(&mut play.conn, file::fresh())
}

/// Plays a whole history. Panics where file and model differ.
pub fn play(steps: &[Step]) {
    let mut play = Play::new();
    for step in steps.iter().take(STEPS_MAX) {
        play.step(*step);
        play.compare();
    }
}

pub(super) struct Play {
    pub(super) conn: Connection,
    pub(super) world: World,
    /// Run ids that are reserved.
    pub(super) free_runs: std::ops::Range<i64>,
    pub(super) events: BTreeMap<String, String>,
    pub(super) ended: BTreeMap<String, String>,
    /// Jobs that were retried or pruned in this step.
    pub(super) moved: BTreeSet<i64>,
    pub(super) log: Vec<String>,
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() && TELL.load(Ordering::Relaxed) {
            eprintln!("the history:\n{}", self.log.join("\n"));
        }
    }
}

impl Play {
    pub(super) fn new() -> Self {
        let world = World { now: START_MS, ..World::default() };
        Self {
            conn: file::fresh(),
            world,
            free_runs: 0..0,
            events: BTreeMap::new(),
            ended: BTreeMap::new(),
            moved: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        self.moved.clear();
        self.conn.execute_batch("SAVEPOINT step").unwrap();
        self.act(step);
        self.world.let_go();
        self.conn.execute_batch("RELEASE step").unwrap();
    }

    pub(super) fn act(&mut self, [op, a, b, c, d, e]: Step) {
        if op >= 216 {
            return self.resource(a, b, c);
        }
        if op >= 200 {
            return self.suspension(a, b);
        }
        match op % 32 {
            0..=3 => self.add(a, b, c, d, e),
            4 => self.plain_add(a, b, c),
            5 => self.plain_cancel(a),
            6 => self.plain_update(a, b, c),
            7..=10 => self.claim(a, b, c),
            11 => self.started(a, b),
            12 => self.check(a, b),
            13..=17 => self.settle(a, b, c, d),
            18 => self.cancel(a, b),
            19 => self.retry(a, b & 1 == 1),
            20 => self.hold(a, b & 1 == 1),
            21 => self.set(a, b, c, d),
            22 => self.queue(a, b, c),
            23 => self.lane(a, b),
            24 => self.process_due(),
            25 => self.plain_depend(a, b, c),
            26 => self.repair_and_recount(),
            27 => self.prune(a),
            28 => self.clock(a, b),
            29 => self.crash(a, b),
            30 => self.undone([a % 28, b, c, d, e, a ^ b]),
            _ => self.tamper(a, b),
        }
    }

    // ---- choosing

    pub(super) fn some_job(&self, a: u8) -> Option<i64> {
        let n = self.world.jobs.len();
        (n > 0).then(|| *self.world.jobs.keys().nth(usize::from(a) % n).unwrap())
    }

    pub(super) fn some_run(&self, a: u8) -> Option<i64> {
        // Half of the time one that is open.
        let open: Vec<i64> = self.world.runs.iter().filter(|(_, run)| run.open).map(|(id, _)| *id).collect();
        if a.is_multiple_of(2) && !open.is_empty() {
            return Some(open[usize::from(a / 2) % open.len()]);
        }
        let n = self.world.runs.len();
        (n > 0).then(|| *self.world.runs.keys().nth(usize::from(a / 2) % n).unwrap())
    }

    pub(super) fn new_runs(&mut self, n: usize) -> Vec<Prepared> {
        (0..n)
            .map(|_| {
                if self.free_runs.is_empty() {
                    self.free_runs = ids::reserve_runs(&self.conn, 4).unwrap();
                }
                let run = self.free_runs.next().unwrap();
                Prepared { run: RunId(run), nonce: nonce(run) }
            })
            .collect()
    }
}

pub(super) fn nonce(run: i64) -> Nonce {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    Nonce(bytes)
}
