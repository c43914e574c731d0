//! Where chance comes from: a seed, the same numbers for the same one (splitmix64); or bytes, as long as there are some.

use std::collections::VecDeque;

pub enum Dice {
    Seeded(u64),
    Bytes(VecDeque<u8>),
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self::Seeded(seed)
    }

    /// Whether the bytes are used up. A seed never is.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.is_empty())
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }

    /// An index into a list of so many.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    pub fn toss(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.index(i + 1));
        }
    }

    fn draw(&mut self) -> u64 {
        match self {
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
            Self::Bytes(bytes) => u64::from(bytes.pop_front().unwrap_or(0)),
        }
    }
}

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
