//! `tenure backup`: a copy of the file while it is in use.

use std::path::PathBuf;

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Result, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The path of the copy, which must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub overwrite: bool,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.reader()?;
    store.backup(&args.file, args.overwrite)?;
    face::say(&format!("the file is copied to {}; logs and secrets are not in it", args.file.display()));
    Ok(exit::OK)
}
