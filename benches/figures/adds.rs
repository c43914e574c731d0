//! `add` as one process for each job.

use std::time::Instant;

use crate::nest::Nest;
use crate::peers::{Tsp, missing};
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit};

/// `tenure add` against `tsp -n`, in turn. In both, the only slot is taken by a job that sleeps, so
/// that nothing is started meanwhile.
pub fn adds(plan: &Plan) -> Found {
    let adds = plan.of(20, 200, 400);
    let no_op = ["/bin/true".to_owned()];
    let is_here = missing("tsp").is_none();
    let (mut pairs, mut loads, mut nests) = (vec![], vec![], vec![]);
    for _ in 0..plan.rounds() {
        let nest = Nest::new();
        let working = nest.work_at_nothing();
        let tsp = is_here.then(|| Tsp::new("1"));
        if let Some(tsp) = &tsp {
            tsp.add(&["/bin/sleep", "3600"].map(String::from));
        }
        let (mut ours, mut theirs, mut load) = (0.0, 0.0, 0.0);
        for _ in 0..adds {
            let begun = Instant::now();
            nest.add(&no_op);
            ours += begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            match &tsp {
                Some(tsp) => tsp.add(&no_op),
                None => assert!(std::process::Command::new("/bin/true").status().expect("it runs").success()),
            }
            theirs += begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            start_only(&nest);
            load += begun.elapsed().as_secs_f64();
        }
        pairs.push((adds as f64 / ours, adds as f64 / theirs));
        loads.push((adds as f64 / load, adds as f64 / theirs));
        drop((working, tsp));
        crate::cage::expect_no_children("add");
        nests.push(nest);
    }
    let reference = if is_here { "tsp -n" } else { "spawn + wait" };
    let row = Row::against("add, one process each", Unit::PerSecond, reference, &pairs).how(format!(
        "{adds} times `tenure add -- /bin/true` and `tsp -n /bin/true` in turn, each as a process that is waited \
         for; a worker runs, and its only slot is taken by a sleeping job, as is that of `tsp`, so no job \
         starts meanwhile"
    ));
    let row = if is_here { row.bar(Bar::AtLeast(0.6)).headline() } else { row };
    let load = Row::against("tenure that ends at once", Unit::PerSecond, reference, &loads)
        .how("of the same rounds: a process of tenure that is started and ends before it does anything; no add can be faster");
    Found { rows: vec![row, load], notes: missing("tsp").into_iter().collect(), ..Found::default() }
}

/// A process of tenure that ends before it has read its arguments: a spawner without a worker.
fn start_only(nest: &Nest) {
    nest.tenure(&["__spawner"]).stdout(std::process::Stdio::null()).status().expect("it runs");
}
