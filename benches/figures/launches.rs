//! What it costs to start a run and to see its end.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use tenure::run::{Record, Status, runfile};
use tenure::store::{Role, Store};

use crate::drain::xargs;
use crate::nest::Nest;
use crate::plan::Plan;
use crate::processes::{cpu_with_children_ms, family};
use crate::row::{Found, Row, Unit};
use crate::runs::{Running, Runs};
use crate::shims;

/// Runs of `/bin/true`, two at a time, each until its last record, against `xargs -P2 -n1
/// /bin/true`; and what a run costs that does nothing.
pub fn launches(plan: &Plan) -> Found {
    let launches = plan.of(100, 1_000, 3_000);
    let per_second = |seconds: f64| launches as f64 / seconds;
    let us_each = |ms: f64| ms * 1_000.0 / launches as f64;
    let runs = Runs::new();
    let (me, spawner) = (std::process::id(), runs.spawner.pid());
    // A shim that waits for its next run has not been reaped.
    let cpu = || cpu_with_children_ms(me) + family(spawner).into_iter().map(cpu_with_children_ms).sum::<f64>();
    let rows = PlainRows::new();
    let (mut rates, mut cpus, mut durable, mut durable_cpus) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds() {
        let (before, begun) = (cpu(), Instant::now());
        two_durable_at_a_time(&runs, &rows, launches);
        let (floor, floor_cpu) = (per_second(begun.elapsed().as_secs_f64()), us_each(cpu() - before));
        let (before, begun) = (cpu(), Instant::now());
        two_at_a_time(&runs, launches);
        let (ours, our_cpu) = (per_second(begun.elapsed().as_secs_f64()), us_each(cpu() - before));
        let before = cpu();
        let theirs = per_second(xargs(launches, 2));
        let their_cpu = us_each(cpu() - before);
        rates.push((ours, theirs));
        cpus.push((our_cpu, their_cpu));
        durable.push((floor, theirs));
        durable_cpus.push((floor_cpu, their_cpu));
    }
    drop(runs);
    let row = |what, unit, pairs: &[(f64, f64)]| Row::against(what, unit, "xargs -P2 -n1", pairs);
    let how = format!(
        "{launches} runs of `/bin/true` through a spawner, two at a time, each until its tree is known to be gone, \
         without a worker and a file"
    );
    let durable_how = format!(
        "{launches} such runs from two threads; before each, one transaction of two updates of a plain table of two \
         columns, through the store of a worker, is waited for until it is flushed: no job can cost less that is known \
         on disk before it starts"
    );
    let mut found = Found::rows(vec![
        row("launches alone, 2 at once", Unit::PerSecond, &rates).how(how),
        row("CPU of a launch alone", Unit::Microseconds, &cpus).how("of the same runs, with the program that asks for them"),
        row("durable launches, 2 at once", Unit::PerSecond, &durable).how(durable_how),
        row("CPU of a durable launch", Unit::Microseconds, &durable_cpus)
            .how("of the same runs, with the program that asks for them and writes"),
    ]);
    found.add(shims::shims(plan));
    found
}

fn two_at_a_time(runs: &Runs, count: usize) {
    let mut in_flight: Vec<Running> = Vec::new();
    let mut started = 0;
    while started < count || !in_flight.is_empty() {
        while started < count && in_flight.len() < 2 {
            in_flight.push(runs.start(&["/bin/true"]));
            started += 1;
        }
        let mut fds: Vec<_> = in_flight.iter().map(|run| PollFd::from_borrowed_fd(run.pipe.as_fd(), PollFlags::IN)).collect();
        poll(&mut fds, None).expect("a poll");
        drop(fds);
        in_flight.retain_mut(|run| {
            loop {
                match run.pipe.next().expect("a status") {
                    Status::Record(Record::Drained(_)) => {
                        runfile::unlink(&runs.place, run.launch.run).expect("unlinked");
                        return false;
                    }
                    Status::Record(_) => {}
                    Status::NothingYet => return true,
                    Status::Closed => panic!("a run ended without DRAINED"),
                }
            }
        });
    }
}

/// A table without a guard, an index or a trigger, in a file that a worker's store writes.
struct PlainRows {
    _nest: Nest,
    store: Store,
}

impl PlainRows {
    fn new() -> Self {
        let nest = Nest::new();
        let store = nest.store(Role::Worker);
        let made = store.write(|conn| Ok(conn.execute_batch("CREATE TABLE plain (id INTEGER PRIMARY KEY, state TEXT)")?));
        made.expect("a table is made");
        Self { _nest: nest, store }
    }

    /// Ends one row and begins the next, durably.
    fn next(&self, slot: usize, n: usize) {
        let (this, before) = ((2 * n + slot) as i64, (2 * n + slot) as i64 - 2);
        let written = self.store.write(move |conn| {
            conn.prepare_cached("UPDATE plain SET state = 'done' WHERE id = ?1")?.execute([before])?;
            conn.prepare_cached("INSERT OR REPLACE INTO plain VALUES (?1, 'running')")?.execute([this])?;
            Ok(())
        });
        written.expect("a row is written");
    }
}

fn two_durable_at_a_time(runs: &Runs, rows: &PlainRows, count: usize) {
    std::thread::scope(|scope| {
        for slot in 0..2 {
            scope.spawn(move || {
                for n in 0..count / 2 {
                    rows.next(slot, n);
                    runs.to_its_end(&["/bin/true"]);
                }
            });
        }
    });
}
