//! The names of the lines of a file, kept small: a file may have a million of them, and they are
//! all that is kept of a line whose jobs were added.

use std::hash::{BuildHasher, RandomState};

/// Slot of the table without a name.
const FREE: u32 = u32::MAX;
/// Slots of the first table.
const SLOTS_MIN: usize = 64;

/// Names, each with its number in order of appearance.
pub struct LineNames {
    /// All names, one after another.
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<usize>,
    /// Numbers of names, each in the first free slot from that of its hash on. At most half of the
    /// slots are taken.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Default for LineNames {
    fn default() -> Self {
        Self { text: String::new(), ends: Vec::new(), slots: vec![FREE; SLOTS_MIN], hasher: RandomState::new() }
    }
}

impl LineNames {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the number of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        Some(self.slots[self.slot(name)]).filter(|number| *number != FREE).map(|number| number as usize)
    }

    /// Adds a name and returns its number; `None` if it was added before.
    pub fn add(&mut self, name: &str) -> Option<usize> {
        let number = self.len();
        let slot = self.slot(name);
        if self.slots[slot] != FREE {
            return None;
        }
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.slots[slot] = u32::try_from(number).expect("a file has fewer names");
        if 2 * self.len() > self.slots.len() {
            self.grow();
        }
        Some(number)
    }

    fn name(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// Returns the slot of a name, or the one in which it belongs.
    fn slot(&self, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        while self.slots[slot] != FREE && self.name(self.slots[slot] as usize) != name {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; 2 * self.slots.len()];
        for number in 0..self.len() {
            let slot = self.slot(self.name(number));
            self.slots[slot] = number as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_number_of_its_first_appearance() {
        let mut names = LineNames::default();
        for number in 0..1000 {
            assert_eq!(names.add(&number.to_string()), Some(number));
            assert_eq!(names.add(&number.to_string()), None, "it is taken");
        }
        assert_eq!(names.add(""), Some(1000));
        for number in 0..1000 {
            assert_eq!(names.find(&number.to_string()), Some(number));
        }
        assert_eq!((names.find(""), names.find("1000"), names.len()), (Some(1000), None, 1001));
    }
}
