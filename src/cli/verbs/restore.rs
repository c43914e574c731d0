//! `tenure restore`: restore a backup. Nothing in it starts by itself: every live job is held.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::copies;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::escape::quote_text;
use crate::cli::view::table::count;
use crate::error::{self, Error, Result, exit};
use crate::store::Restored;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The copy that `tenure backup` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    if let Err(error) = std::fs::metadata(&args.file) {
        return Err(Error::File(format!("there is no backup {}: {}", args.file.display(), error::words(&error))));
    }
    let restored = copies::restore(face, &args.file)?;
    if face.json {
        let moved = restored.moved_to.as_ref().map(|path| path.to_string_lossy().into_owned());
        let kept = restored.kept.as_ref().map(|kept| kept.path.to_string_lossy().into_owned());
        let only = restored.kept.as_ref().and_then(|kept| kept.only_here.clone());
        let only = only.map(|only| only.into_iter().collect::<std::collections::BTreeMap<_, _>>());
        face.document(json!({"file_id": restored.file_id, "held": restored.held, "lost": restored.lost, "moved_to": moved,
                             "kept": kept, "not_in_backup": only}))?;
    } else {
        tell(&restored);
    }
    Ok(exit::OK)
}

fn tell(restored: &Restored) {
    let many = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let held = count(many(restored.held), "job", "is held", "are held");
    let lost = count(many(restored.lost), "unfinished run", "is closed as lost", "are closed as lost");
    face::say(&format!("restored; {held}, {lost}"));
    if let Some(moved) = &restored.moved_to {
        face::say(&format!("the damaged file is kept as {}", moved.display()));
    }
    if let Some(kept) = &restored.kept {
        let name = quote_text(&kept.path.to_string_lossy());
        match &kept.only_here {
            Some(only) if kept.jobs() > 0 => {
                let states: Vec<String> = only.iter().map(|(state, n)| format!("{n} {state}")).collect();
                let jobs = count(kept.jobs(), "job", "is", "are");
                face::say(&format!(
                    "{jobs} not in the backup ({}); list the jobs of the file: tenure --db {name} ls -a",
                    states.join(", ")
                ));
            }
            Some(_) => {}
            None => face::say("the replaced file is damaged, and what stood in it alone cannot be counted"),
        }
        face::say(&format!(
            "the replaced file is kept as {name}; remove it when you need it no more, or go back: tenure restore {name}"
        ));
    }
    if restored.held > 0 {
        face::say("check them (tenure ls), then let them start: tenure release ID");
    }
}
