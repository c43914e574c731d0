//! Several clients that add at once.

use std::time::{Duration, Instant};

use crate::nest::Nest;
use crate::numbers::median;
use crate::plan::Plan;
use crate::row::{Bar, Found, Row, Unit};

const ADDERS: usize = 8;

/// 8 loops of `tenure add`, each as one process after the other: the slowest loop against the
/// fastest one, and the longest add against the median.
pub fn adders(plan: &Plan) -> Found {
    let seconds = plan.of(1, 8, 20);
    let (mut fair, mut longest, mut nests) = (vec![], vec![], vec![]);
    for _ in 0..plan.of(1, 3, 5) {
        let nest = Nest::new();
        let working = nest.work_at_nothing();
        let end = Instant::now() + Duration::from_secs(seconds);
        let adder = || {
            let mut took = vec![];
            while Instant::now() < end {
                let begun = Instant::now();
                nest.add(&["/bin/true".to_owned()]);
                took.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
            took
        };
        let took: Vec<Vec<f64>> = std::thread::scope(|scope| {
            let adders: Vec<_> = (0..ADDERS).map(|_| scope.spawn(adder)).collect();
            adders.into_iter().map(|adder| adder.join().expect("it adds")).collect()
        });
        let rates = || took.iter().map(|took| took.len() as f64 / seconds as f64);
        fair.push((rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max)));
        let all = took.concat();
        longest.push((all.iter().copied().fold(0.0, f64::max), median(all)));
        drop(working);
        nests.push(nest);
    }
    let how = format!(
        "{ADDERS} threads, each starts `tenure add -- /bin/true` again and again for {seconds} s and waits for it; \
         a worker runs whose only slot is taken"
    );
    Found::rows(vec![
        Row::against("8 adders, the slowest", Unit::PerSecond, "the fastest", &fair).bar(Bar::AtLeast(0.8)).how(how),
        Row::against("8 adders, the longest add", Unit::Milliseconds, "median add", &longest)
            .bar(Bar::AtMost(10.0))
            .how("of the same adds"),
    ])
}
