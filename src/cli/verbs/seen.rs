//! `tenure seen`: the failures so far were looked at, so `status` does not show them any more.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::table::count;
use crate::error::{Result, exit};
use crate::queue::Queue;
use crate::store::job::failures::COUNTED_MAX;

pub fn run(face: &Face) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let unseen = queue.unseen_failures(0)?;
    queue.seen()?;
    if face.json {
        face.document(json!({"jobs": unseen.jobs, "hooks": unseen.hooks}))?;
    } else {
        let least = if unseen.jobs >= COUNTED_MAX { "at least " } else { "" };
        let jobs = count(unseen.jobs, "failed job", "", "");
        let hooks = match unseen.hooks {
            0 => String::new(),
            n => format!(" and {}", count(n, "hook that was given up", "", "")),
        };
        face::say(&format!("{least}{jobs}{hooks} will not be shown by status any more"));
    }
    Ok(exit::OK)
}
