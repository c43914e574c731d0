//! `tenure doctor`: finds and explains what is wrong.
use super::face::Face;
use crate::error::{Result, exit};
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repair what can be repaired without harm; needs the file for itself
    #[arg(long)]
    pub fix: bool,
}
pub fn run(_face: &Face, _args: &Args) -> Result<u8> {
    Ok(exit::OK)
}
