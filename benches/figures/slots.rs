//! Jobs a second against slots.

use std::time::Instant;

use crate::drain::xargs;
use crate::nest::Nest;
use crate::numbers::median;
use crate::plan::Plan;
use crate::plot::{Axis, Plot, Series};
use crate::row::Found;

const SLOTS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// No-op jobs a second at 1 to 32 slots, against `xargs` with as many processes at once.
pub fn slots(plan: &Plan) -> Found {
    let jobs = plan.of(100, 2_000, 4_000);
    let (mut ours, mut theirs) = (vec![vec![]; SLOTS.len()], vec![vec![]; SLOTS.len()]);
    let mut nests = vec![];
    for _ in 0..plan.of(1, 3, 5) {
        for (at, slots) in SLOTS.into_iter().enumerate() {
            let nest = Nest::new();
            nest.add_no_ops(jobs);
            let begun = Instant::now();
            nest.ok(&["work", "--until-idle", "--slots", &slots.to_string()]);
            ours[at].push(jobs as f64 / begun.elapsed().as_secs_f64());
            theirs[at].push(jobs as f64 / xargs(jobs, slots));
            nests.push(nest);
        }
    }
    let series = |name: &str, rates: &[Vec<f64>]| Series {
        name: name.into(),
        points: SLOTS.iter().zip(rates).map(|(slots, rates)| (*slots as f64, median(rates.clone()))).collect(),
    };
    let plot = Plot {
        file: "slots",
        title: "no-op jobs a second against slots".into(),
        how: format!("Each point is the median of {} drains of {jobs} jobs, fewer than in the row of the table.", plan.rounds()),
        x: Axis { label: "slots".into(), log: true },
        y: Axis { label: "jobs a second".into(), log: false },
        series: vec![series("tenure work --until-idle", &ours), series("xargs -P SLOTS -n1", &theirs)],
    };
    let rates: Vec<String> =
        SLOTS.iter().zip(&ours).map(|(slots, rates)| format!("{slots}: {:.0}/s", median(rates.clone()))).collect();
    let notes = vec![format!("no-op jobs by slots: {}", rates.join(", "))];
    Found { plots: vec![plot], notes, ..Found::default() }
}
