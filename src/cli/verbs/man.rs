//! `tenure man`: the manual page of a verb, or all of them as files.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::cli::face;
use crate::cli::help::manual;
use crate::cli::parse::mistakes;
use crate::error::{Error, Result, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The verb, such as `add` or `queue set`
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    pub path: Vec<String>,
    /// Write all pages into this directory
    ///
    /// It is made if it does not exist. Pages that are there are replaced.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

pub fn run(args: &Args, mut root: Command) -> Result<u8> {
    root.build();
    if let Some(dir) = &args.dir {
        return write_all(&root, dir);
    }
    if let Some(mistake) = mistakes::unknown_path(&root, &args.path) {
        return Err(Error::Invalid(mistake));
    }
    face::write_bytes(manual::page(&root, &args.path).as_bytes())?;
    Ok(exit::OK)
}

fn write_all(root: &Command, dir: &Path) -> Result<u8> {
    std::fs::create_dir_all(dir).map_err(|error| Error::io(format!("creating {}", dir.display()), error))?;
    let paths = manual::paths(root);
    for path in &paths {
        let file = dir.join(format!("{}.1", manual::name(path)));
        replace(&file, manual::page(root, path).as_bytes())
            .map_err(|error| Error::io(format!("writing {}", file.display()), error))?;
    }
    face::say(&format!("{} manual pages are in {}", paths.len(), dir.display()));
    Ok(exit::OK)
}

/// A page is complete or absent, and a link in its place is replaced, not followed.
fn replace(file: &Path, page: &[u8]) -> std::io::Result<()> {
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let mut created = std::fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
    let replaced = created.write_all(page).and_then(|()| std::fs::rename(&new, file));
    if replaced.is_err() {
        let _the_first_error_counts = std::fs::remove_file(&new);
    }
    replaced
}
