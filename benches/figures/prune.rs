//! Claims while old jobs are removed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tenure::store::{Role, Store};

use crate::claim;
use crate::fill::{ENDED_WITHIN_MS, Fill};
use crate::nest::{Nest, end};
use crate::numbers::percentile;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit, thousands};

/// The history is removed in so many parts, one in each round.
const PARTS: usize = 4;

/// `tenure prune` of a long history while a worker's store claims, against the same claims alone.
pub fn prune(plan: &Plan) -> Found {
    let ended = plan.of(20_000, 400_000, 1_000_000);
    let nest = Fill { ended, ready: plan.of(20_000, 200_000, 500_000), held: 0 }.make();
    let store = nest.store(Role::Worker);
    let mut run = 1 << 40;
    let (mut p99, mut p50, mut worst) = (vec![], vec![], 0.0_f64);
    for part in 1..=PARTS {
        let alone = claims_ms(&store, &mut run, Until::Elapsed(Duration::from_secs(plan.of(1, 5, 10))));
        let older_than = ENDED_WITHIN_MS / 1_000 * (PARTS - part) as i64 / PARTS as i64;
        let mut child = pruning(&nest, older_than);
        let beside = claims_ms(&store, &mut run, Until::Ended(&mut child));
        end(&mut child);
        p50.push((percentile(&beside, 0.5), percentile(&alone, 0.5)));
        p99.push((percentile(&beside, 0.99), percentile(&alone, 0.99)));
        worst = beside.iter().copied().fold(worst, f64::max);
    }
    let left = nest.count(&store, "done");
    assert!(left <= 1, "{left} ended jobs are left");
    let count = thousands(ended as i64);
    let row = |what: String, pairs: &[(f64, f64)]| Row::against(&what, Unit::Milliseconds, "claims alone", pairs);
    let how = format!(
        "one claim, its commit and its flush, again and again through the store of a worker, while `tenure prune` \
         removes {count} ended jobs in {PARTS} rounds (their logs do not exist); the longest claim of all took \
         {worst:.0} ms"
    );
    Found::rows(vec![
        row("claim beside a prune, p99".into(), &p99).bar(Bar::AtMost(3.0)).how(how.clone()),
        row("claim beside a prune, p50".into(), &p50).how(how),
    ])
}

enum Until<'a> {
    Elapsed(Duration),
    Ended(&'a mut Child),
}

/// Claims one job after the other; how long each took, in milliseconds.
fn claims_ms(store: &Store, run: &mut i64, mut until: Until<'_>) -> Vec<f64> {
    let (begun, mut took) = (Instant::now(), vec![]);
    loop {
        match &mut until {
            Until::Elapsed(time) if begun.elapsed() >= *time => return took,
            Until::Ended(child) => {
                if let Some(status) = child.try_wait().expect("a status") {
                    assert!(status.success(), "tenure prune");
                    return took;
                }
            }
            Until::Elapsed(_) => {}
        }
        *run += 1;
        let (this, one) = (*run, Instant::now());
        store.write(move |conn| claim::one(conn, this)).expect("claimed");
        took.push(one.elapsed().as_secs_f64() * 1_000.0);
    }
}

fn pruning(nest: &Nest, older_than_s: i64) -> Child {
    let args = ["prune".to_owned(), "--older-than".to_owned(), format!("{older_than_s}s")];
    nest.tenure(&args).stdout(Stdio::null()).spawn().expect("the program runs")
}
