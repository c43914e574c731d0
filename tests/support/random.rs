//! Chance that can be played again.

pub use crate::model::dice::Dice;

/// A seed for what is drawn by chance; printed, and taken from `SEED` where that is set.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    seed_or(std::hash::RandomState::new().build_hasher().finish())
}

/// The same where a run without `SEED` is to draw the same as the one before.
pub fn seed_or(default: u64) -> u64 {
    let seed = std::env::var("SEED").map_or(default, |text| text.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    seed
}
