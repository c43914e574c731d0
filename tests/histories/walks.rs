//! A thousand tasks walk through their pipeline in an order that chance finds. See `model/walks`.

use crate::model::dice::Dice;
use crate::model::walks::{Walks, play_bytes};
use crate::support::seed;

#[test]
fn no_stage_is_skipped_or_done_twice_and_no_task_hangs() {
    Walks::play(1_000, 12_000, Dice::new(seed()));
}

#[test]
fn three_tasks_walk_to_their_end_for_any_bytes() {
    let mut dice = Dice::new(seed());
    for _ in 0..60 {
        let bytes: Vec<u8> = (0..dice.below(900)).map(|_| dice.below(256) as u8).collect();
        play_bytes(&bytes);
    }
}
