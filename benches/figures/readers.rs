//! The readers of the command line.

use std::time::Instant;

use crate::fill::{Fill, READY_IN_OLD, old};
use crate::nest::Nest;
use crate::numbers::median;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Jobs of the small file.
const FEW: usize = 10;

/// `status`, `ls`, `show` and `why` as processes, in a file with a long history and in one of 10
/// jobs.
pub fn readers(plan: &Plan) -> Found {
    let small = Fill { ended: FEW / 2, ready: FEW / 2, held: 0 }.make();
    let (large, ended) = old(plan);
    let times = plan.of(3, 10, 40);
    // A ready job: the last one in the small file, one of the last in the other.
    let last = [3 + FEW, 3 + ended + READY_IN_OLD].map(|id| id.to_string());
    let verbs: [&[&str]; 4] = [&["status"], &["ls", "-n", "5"], &["show"], &["why"]];
    let mut rows = vec![];
    for verb in verbs {
        let args = |id| if verb[0] == "show" || verb[0] == "why" { vec![verb[0], id] } else { verb.to_vec() };
        let in_turn = || {
            let (of_large, of_small): (Vec<f64>, Vec<f64>) =
                (0..times).map(|_| (ms(large, &args(&last[1])), ms(&small, &args(&last[0])))).unzip();
            (median(of_large), median(of_small))
        };
        in_turn();
        let pairs: Vec<_> = (0..plan.rounds()).map(|_| in_turn()).collect();
        let how = format!("the whole process; {times} in turn for each round, of which the median counts; without a worker");
        let what = format!("{}, {} jobs", verb[0], thousands((ended + READY_IN_OLD) as i64));
        let row = Row::against(&what, Unit::Milliseconds, "10 jobs", &pairs).bar(Bar::AtMost(1.3)).how(how);
        rows.push(if verb[0] == "ls" { row.headline() } else { row });
    }
    Found::rows(rows)
}

fn ms(nest: &Nest, args: &[&str]) -> f64 {
    let begun = Instant::now();
    nest.ok(args);
    begun.elapsed().as_secs_f64() * 1_000.0
}
