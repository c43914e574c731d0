//! Whatever is done, in whatever order, a file stays what the plain model says. See `model/mod.rs`.

#[path = "model/mod.rs"]
mod model;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Histories that are played unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 60;
/// Changes the histories; `TENURE_MODEL_SEED` overrides it.
const SEED: u64 = 20_260_101;

#[test]
fn any_history_leaves_the_file_as_the_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("PROPTEST_CASES").unwrap_or(u64::from(CASES)) as u32;
    let seed = number("TENURE_MODEL_SEED").unwrap_or(SEED);
    println!("TENURE_MODEL_SEED={seed} PROPTEST_CASES={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let histories = prop::collection::vec(any::<[u8; 6]>(), 1..120);
    // Each panic on the way to the shortest history would be told; only the last one is worth it.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let played = runner.run(&histories, |steps| {
        let played = std::panic::catch_unwind(|| model::play::play(&steps));
        played.map_err(|cause| TestCaseError::fail(text_of(&cause)))
    });
    std::panic::set_hook(told);
    match played {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        Err(TestError::Fail(why, steps)) => {
            eprintln!("seed {seed}: {why}\nthe shortest history that was found: {steps:?}");
            model::play::tell();
            model::play::play(&steps);
            panic!("it went well when it was played once more");
        }
    }
}

fn text_of(cause: &Box<dyn std::any::Any + Send>) -> String {
    let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}
