//! Remembers what was examined and found without a fault.
//!
//! Many jobs have few programs and directories, and to examine one of them takes a third of the
//! time in which a job is added.

use std::collections::HashSet;

/// Most that are remembered.
const SOUND_MAX: usize = 1_000;

/// Programs and directories without a fault.
#[derive(Default)]
pub struct Sound {
    all: HashSet<Vec<u8>>,
    /// The one in question.
    key: Vec<u8>,
}

impl Sound {
    /// Whether these texts, none of which contains a NUL byte, identify one that was found sound.
    pub fn has<const N: usize>(&mut self, texts: [&[u8]; N]) -> bool {
        self.key.clear();
        for text in texts {
            self.key.extend_from_slice(text);
            self.key.push(0);
        }
        self.all.contains(&self.key)
    }

    /// Remembers the one that was asked for last.
    pub fn found(&mut self) {
        if self.all.len() < SOUND_MAX {
            self.all.insert(self.key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_found_is_remembered() {
        let mut sound = Sound::default();
        assert!(!sound.has([b"p", b"/bin/true"]));
        sound.found();
        assert!(!sound.has([b"p/", b"bin/true"]), "where a text ends makes a difference");
        assert!(sound.has([b"p", b"/bin/true"]));
        for i in 0..2 * SOUND_MAX {
            sound.has([i.to_string().as_bytes()]);
            sound.found();
        }
        assert_eq!(sound.all.len(), SOUND_MAX);
    }
}
