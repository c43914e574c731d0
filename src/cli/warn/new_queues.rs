//! Warns about a new queue whose name is similar to that of another one: a worker that serves only
//! the other does not start its jobs.

use std::collections::BTreeSet;

use crate::cli::view::escape::quote_text;
use crate::error::Result;
use crate::job::nearest::{NAMES_MAX, edits};
use crate::store::{Store, job::read};

/// Most queues that are checked, whose names are kept in memory.
const CHECKED_MAX: usize = 10_000;
/// Shorter names are not compared: most of them are similar.
const NAME_CHARS_MIN: usize = 4;

/// The queues that were checked already.
#[derive(Debug, Default)]
pub struct NewQueues(BTreeSet<String>);

impl NewQueues {
    /// Returns a warning about this queue, once. A file that cannot be read is reported when it is
    /// written.
    pub fn check(&mut self, store: &Store, queue: &str) -> Option<String> {
        if self.0.contains(queue) || self.0.len() >= CHECKED_MAX || queue.chars().count() < NAME_CHARS_MIN {
            return None;
        }
        self.0.insert(queue.to_owned());
        let names = names_if_new(store, queue).unwrap_or_default();
        let similar = similar(queue, names.iter().map(String::as_str))?;
        Some(format!(
            "the queue {queue:?} is new, and there is a queue {similar:?}; if that one is meant: tenure set ID queue={}",
            quote_text(similar)
        ))
    }
}

/// Returns the names of all queues, if this is a new one.
fn names_if_new(store: &Store, queue: &str) -> Result<Vec<String>> {
    store.read(|conn| if read::has_queue(conn, queue)? { Ok(Vec::new()) } else { read::queue_names(conn, NAMES_MAX) })
}

/// Returns the name that differs in one place; numbered queues are meant to differ in their number.
fn similar<'a>(queue: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let without_digits = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let letters = without_digits(queue);
    names.into_iter().find(|name| edits(queue, name) == 1 && without_digits(name) != letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_similar_that_differs_in_one_place_but_its_number() {
        let names = ["default", "build", "gpu1", "nightly"];
        for (typed, meant) in [
            ("biuld", Some("build")),
            ("buil", Some("build")),
            ("builds", Some("build")),
            ("Build", Some("build")),
            ("defualt", Some("default")),
            ("nighly", Some("nightly")),
            ("bulid2", None),
            ("gpu2", None),
            ("gpu12", None),
            ("test", None),
        ] {
            assert_eq!(similar(typed, names), meant, "{typed}");
        }
    }
}
