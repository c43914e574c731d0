//! What a claim costs in a large file.

use std::cell::Cell;
use std::time::Instant;

use tenure::job::{Nonce, RunId};
use tenure::store::job::claim::{Scope, claim};
use tenure::store::job::ids::Prepared;
use tenure::store::{Role, Store};

use crate::fill::{Fill, old};
use crate::nest::Nest;
use crate::numbers::median;
use crate::plan::Plan;
use crate::plot::{Axis, Plot, Series};
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Ready jobs of the reference.
const SMALL: usize = 1_000;
/// Claims of one transaction.
const CLAIMS: i64 = 50;

/// A claim among very many ready jobs, behind very many held ones of higher priority, and in a file
/// with a long history, each against one in a file of 1,000 ready jobs.
pub fn claims(plan: &Plan) -> Found {
    let ready = plan.of(20_000, 10_000_000, 10_000_000);
    let held = plan.of(10_000, 1_000_000, 1_000_000);
    let mut nests: Vec<Nest> = vec![];
    let mut file = |fill: Fill| {
        nests.push(fill.make());
        Claims::on(nests.last().expect("it was made"))
    };
    let mut sizes = vec![SMALL];
    while sizes[sizes.len() - 1] * 10 <= ready {
        sizes.push(sizes[sizes.len() - 1] * 10);
    }
    let of_size: Vec<Claims> = sizes.iter().map(|ready| file(Fill { ready: *ready, ..Fill::default() })).collect();
    let behind_held = file(Fill { ready: SMALL, held, ended: 0 });
    let (history, ended) = old(plan);
    let in_history = Claims::on(history);
    let (mut of_sizes, mut of_held, mut of_history) = (vec![vec![]; sizes.len()], vec![], vec![]);
    // Once before: the pages that a file was filled through are not those of this connection.
    of_size.iter().chain([&behind_held, &in_history]).for_each(|claims| {
        claims.each_us();
    });
    for _ in 0..plan.of(2, 9, 9) {
        for (claims, times) in of_size.iter().zip(&mut of_sizes) {
            times.push(claims.each_us());
        }
        // Against the small file in the same round; it has too few for more.
        let of_small = of_sizes[0][of_sizes[0].len() - 1];
        of_held.push((behind_held.each_us(), of_small));
        of_history.push((in_history.each_us(), of_small));
    }
    let of_ready: Vec<_> = of_sizes[sizes.len() - 1].iter().copied().zip(of_sizes[0].iter().copied()).collect();
    let how = format!(
        "{CLAIMS} claims of one job each in one transaction, whose commit is not counted; against the same in a \
         file of 1,000 ready jobs. Labels and 100 priorities are mixed, so neighbours in the queue are not \
         neighbours in the file"
    );
    let row = |what: String, pairs: &[(f64, f64)]| {
        Row::against(&what, Unit::Microseconds, "at 1,000 ready", pairs).bar(Bar::AtMost(1.3)).how(how.clone())
    };
    let thousands = |n: usize| thousands(n as i64);
    let points = sizes.iter().zip(&of_sizes).map(|(rows, us)| (*rows as f64, median(us.clone())));
    let plot = Plot {
        file: "claim-latency",
        title: "one claim against the ready jobs in the file".into(),
        how: "Each point is a median of the same claims as in the table.".into(),
        x: Axis { label: "ready jobs".into(), log: true },
        y: Axis { label: "µs for a claim".into(), log: false },
        series: vec![Series { name: "median".into(), points: points.collect() }],
    };
    let rows = vec![
        row(format!("claim at {} ready", thousands(sizes[sizes.len() - 1])), &of_ready).headline(),
        row(format!("claim, {} held ahead", thousands(held)), &of_held),
        row(format!("claim, {} ended", thousands(ended)), &of_history),
    ];
    Found { rows, plots: vec![plot], ..Found::default() }
}

/// Claims on a file, one after the other.
pub struct Claims {
    store: Store,
    next_run: Cell<i64>,
}

impl Claims {
    pub fn on(nest: &Nest) -> Self {
        // Above every run that the file knows.
        Self { store: nest.store(Role::Client), next_run: Cell::new(1 << 40) }
    }

    /// Microseconds for one claim.
    fn each_us(&self) -> f64 {
        let first = self.next_run.replace(self.next_run.get() + CLAIMS);
        let spent = self.store.write(move |conn| {
            let begun = Instant::now();
            for n in 0..CLAIMS {
                one(conn, first + n)?;
            }
            Ok(begun.elapsed())
        });
        spent.expect("claimed").as_secs_f64() * 1e6 / CLAIMS as f64
    }
}

/// Claims the next job.
pub fn one(conn: &rusqlite::Connection, run: i64) -> tenure::Result<()> {
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([0; 16]) }];
    assert_eq!(claim(conn, &Scope::default(), &prepared, "bench", "boot", 1_000_000)?.len(), 1, "a job is claimed");
    Ok(())
}
