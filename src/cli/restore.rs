//! `tenure restore`: bring a backup back. Nothing in it starts by itself: every job that was not at its end is held.

use std::path::PathBuf;

use serde_json::json;

use super::face::{self, Face};
use super::worker_calls;
use crate::error::{Result, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The copy that `tenure backup` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let restored = worker_calls::restore(face, &args.file)?;
    if face.json {
        let moved = restored.moved_to.as_ref().map(|path| path.to_string_lossy().into_owned());
        face.document(json!({"file_id": restored.file_id, "held": restored.held, "lost": restored.lost, "moved_to": moved}))?;
        return Ok(exit::OK);
    }
    face::say(&format!(
        "restored; {} jobs are held, {} runs that were under way are closed as lost",
        restored.held, restored.lost
    ));
    if let Some(moved) = &restored.moved_to {
        face::say(&format!("the damaged file is kept as {}", moved.display()));
    }
    if restored.held > 0 {
        face::say("look at them (tenure ls), then let them start: tenure release ID");
    }
    Ok(exit::OK)
}
