//! What a claim costs.

use std::time::Instant;

use crate::ROUNDS;
use crate::nest::Nest;
use crate::numbers::median;

/// One claim among 1,000,000 ready jobs against one among 1,000; the same with 100,000 delayed jobs of higher priority ahead.
pub fn claim() {
    let small = Claims::new(1_000, 0);
    let large = Claims::new(1_000_000, 0);
    let delayed = Claims::new(1_000, 100_000);
    let (mut to_large, mut to_delayed, mut base) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let s = small.per_claim_us();
        base.push(s);
        to_large.push(large.per_claim_us() / s);
        to_delayed.push(delayed.per_claim_us() / s);
    }
    println!(
        "claim: {:.0} us each at 1,000 ready; at 1,000,000: {:.2} times; with 100,000 delayed of higher priority ahead: {:.2} times",
        median(base),
        median(to_large),
        median(to_delayed)
    );
}

struct Claims {
    _nest: Nest,
    store: tenure::store::Store,
    next_run: std::cell::Cell<i64>,
}

impl Claims {
    fn new(ready: usize, delayed: usize) -> Self {
        use tenure::store::{Options, Role, Store};
        let nest = Nest::new();
        let store = Store::open(&nest.db(), Options { role: Role::Client, ..Options::default() }).expect("a store");
        fill(&store, ready, 0, 0);
        fill(&store, delayed, 9, i64::MAX / 2);
        Self { _nest: nest, store, next_run: std::cell::Cell::new(1) }
    }

    fn per_claim_us(&self) -> f64 {
        use tenure::job::{Nonce, RunId};
        use tenure::store::{
            job::claim::{Scope, claim},
            job::ids::Prepared,
        };
        const N: i64 = 100;
        let first = self.next_run.get();
        self.next_run.set(first + N);
        let spent = self
            .store
            .write(move |conn| {
                let begun = Instant::now();
                for n in 0..N {
                    let prepared = [Prepared { run: RunId(first + n), nonce: Nonce([0; 16]) }];
                    let claimed = claim(conn, &Scope::default(), &prepared, "bench", "boot", 1_000_000)?;
                    assert_eq!(claimed.len(), 1);
                }
                Ok(begun.elapsed())
            })
            .expect("claimed");
        spent.as_secs_f64() * 1e6 / N as f64
    }
}

fn fill(store: &tenure::store::Store, n: usize, priority: i64, available_at: i64) {
    use tenure::job::{Argv, NewJob};
    let mut job = NewJob { available_at, ..NewJob::new(Argv::from_strs(&["/bin/true"]).expect("a command")) };
    job.placement.priority = priority;
    let mut left = n;
    while left > 0 {
        let batch = vec![job.clone(); left.min(10_000)];
        left -= batch.len();
        store.write(move |conn| tenure::store::job::enqueue::add(conn, &batch, 1_000)).expect("added");
    }
}
