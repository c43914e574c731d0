//! Chance that can be played again.

pub use crate::model::dice::{Dice, seed, seed_or};
