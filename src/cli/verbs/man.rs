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
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
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
    let failed = |error| Error::io(format!("writing manual pages into {}", dir.display()), error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    let paths = manual::paths(root);
    for path in &paths {
        replace(&dir.join(format!("{}.1", manual::name(path))), manual::page(root, path).as_bytes()).map_err(failed)?;
    }
    face::say(&format!("{} manual pages are in {}", paths.len(), dir.display()));
    Ok(exit::OK)
}

/// A page is complete or absent, and a link in its place is replaced, not followed.
fn replace(file: &Path, page: &[u8]) -> std::io::Result<()> {
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&new).and_then(|mut file| file.write_all(page));
    let replaced = written.and_then(|()| std::fs::rename(&new, file));
    if replaced.is_err() {
        let _it_may_not_be_ours_or_not_be_there = std::fs::remove_file(&new);
    }
    replaced
}
