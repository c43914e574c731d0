//! The jobs of lines of `add --from` that have a `ref`, for the lines that wait for them.

use crate::job::{JobId, Need};
use crate::store::job::enqueue::Added;

/// The jobs of each line that has a `ref`, in order of the lines, across chunks.
pub type Refs = Vec<Ids>;

/// The ids of one line, kept small: a file may have a million lines with a `ref`.
pub enum Ids {
    /// One job, or the jobs of an array: the first, and how many there are.
    InSequence(JobId, u32),
    Each(Box<[JobId]>),
}

impl Ids {
    pub fn of(added: &[Added]) -> Self {
        let in_sequence = added.windows(2).all(|pair| pair[0].id.0 + 1 == pair[1].id.0);
        match (added, u32::try_from(added.len())) {
            ([first, ..], Ok(count)) if in_sequence => Self::InSequence(first.id, count),
            _ => Self::Each(added.iter().map(|one| one.id).collect()),
        }
    }

    pub fn push_to(&self, ids: &mut Vec<(JobId, Need)>, need: Need) {
        match self {
            Self::InSequence(first, count) => ids.extend((0..i64::from(*count)).map(|n| (JobId(first.0 + n), need))),
            Self::Each(all) => ids.extend(all.iter().map(|id| (*id, need))),
        }
    }
}

/// The refs of earlier chunks, and those of this one.
pub struct Known<'a> {
    pub before: &'a Refs,
    pub here: Refs,
}

impl Known<'_> {
    pub fn get(&self, number: usize) -> Option<&Ids> {
        match number.checked_sub(self.before.len()) {
            Some(here) => self.here.get(here),
            None => self.before.get(number),
        }
    }
}
