//! After any operations, in any order, a file equals the plain model. See `model/mod.rs`.

mod bent_tasks;
mod many;
mod walks;

use std::cell::Cell;
use std::sync::Once;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::support::seed;

/// Histories that are played unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 60;

#[test]
fn any_history_leaves_the_file_as_the_model_says() {
    let (mut runner, seed) = runner(0);
    let histories = prop::collection::vec(any::<[u8; 6]>(), 1..120);
    let played = quietly(|| {
        runner.run(&histories, |steps| {
            let played = std::panic::catch_unwind(|| crate::model::play::play(&steps));
            played.map_err(|cause| TestCaseError::fail(text_of(&cause)))
        })
    });
    match played {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        Err(TestError::Fail(why, steps)) => {
            eprintln!("seed {seed}: {why}\nthe shortest history that was found: {steps:?}");
            crate::model::play::tell();
            crate::model::play::play(&steps);
            panic!("it went well when it was played once more");
        }
    }
}

#[test]
fn any_history_leaves_the_owners_of_the_model() {
    let (mut runner, seed) = runner(2);
    let histories = prop::collection::vec(any::<[u8; 4]>(), 1..200);
    let played = quietly(|| {
        runner.run(&histories, |steps| {
            let played = std::panic::catch_unwind(|| crate::model::owners::play(&steps));
            played.map_err(|cause| TestCaseError::fail(text_of(&cause)))
        })
    });
    if let Err(error) = played {
        panic!("seed {seed}: {error}");
    }
}

#[test]
fn repair_makes_a_file_written_without_guards_valid() {
    let (mut runner, seed) = runner(1);
    let histories = (prop::collection::vec(any::<[u8; 6]>(), 5..60), prop::collection::vec(any::<[u8; 3]>(), 1..6));
    let repaired = quietly(|| {
        runner.run(&histories, |(steps, wrongs)| {
            let conn = crate::model::play::left_by(&steps);
            let written = crate::model::hostile::write(&conn, &wrongs);
            for _round in 0..2 {
                tenure::store::upkeep::repair::repair(&conn, 2_000_000).unwrap();
                tenure::store::upkeep::recount::all(&conn, 2_000_000).unwrap();
                tenure::store::upkeep::due::process(&conn, 0, 1_000).unwrap();
            }
            // A row that is whole in itself and was only moved is not found, so counts may be off. But no job waits without end.
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                crate::model::truths::check_but(
                    &conn,
                    &["the counts are the truth", "everything is counted", "a queued job counts what it waits for"],
                );
            }));
            checked.map_err(|cause| TestCaseError::fail(format!("{} after {written:?}", text_of(&cause))))?;
            assert_eq!(tenure::store::upkeep::repair::repair(&conn, 2_000_000).unwrap(), []);
            Ok(())
        })
    });
    if let Err(error) = repaired {
        panic!("seed {seed}: {error}");
    }
}

/// What plays histories, and its seed. `salt`: each test draws others from the same seed.
fn runner(salt: u8) -> (TestRunner, u64) {
    let (cases, seed) = (cases(), seed());
    println!("PROPTEST_CASES={cases}");
    let mut bytes = [salt; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    (TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)), seed)
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does not tell the panics on the way to the shortest history; only the last one is worth it.
fn quietly<T>(f: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                tell(panic);
            }
        }));
    });
    QUIET.set(true);
    let answer = f();
    QUIET.set(false);
    answer
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn cases() -> u32 {
    number("PROPTEST_CASES").map_or(CASES, |cases| cases as u32)
}

fn text_of(cause: &Box<dyn std::any::Any + Send>) -> String {
    let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}
