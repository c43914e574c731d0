//! The output of a command about several jobs: a line for each of a few, and one line for many.

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Error, Result};

/// Up to this number of jobs, each has a line; more are summarized in one line.
const LINES_MAX: usize = 10;
/// Most refusals that are reported one by one if there are many jobs.
const REFUSALS_MAX: usize = 10;

/// Whether there is a line for each job.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Wordy {
    /// Print a line for each job, also of many
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

/// The output of a command about several jobs: a line for each of a few, and one line for many.
pub struct Report<'a> {
    face: &'a Face,
    is_each_told: bool,
    jobs: usize,
    counts: Vec<(&'static str, usize)>,
    refused: usize,
    note: Option<String>,
}

impl<'a> Report<'a> {
    pub fn new(face: &'a Face, jobs: usize, wordy: Wordy) -> Self {
        let is_each_told = face.json || wordy.verbose || jobs <= LINES_MAX;
        Self { face, is_each_told, jobs, counts: Vec::new(), refused: 0, note: None }
    }

    /// Reports one job: `text` or `document` if each is reported, and `word` for the summary.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn tell(&mut self, word: &'static str, text: impl FnOnce() -> String, document: impl FnOnce() -> String) -> Result<()> {
        match self.counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => self.counts.push((word, 1)),
        }
        if self.face.json {
            return face::print(&format!("{}\n", document()));
        }
        if self.is_each_told {
            face::say(&text());
        }
        Ok(())
    }

    /// Reports why nothing was done to one job.
    pub fn refuse(&mut self, error: &Error) {
        self.refused += 1;
        if self.is_each_told || self.refused <= REFUSALS_MAX {
            face::complain(&error.to_string());
        }
    }

    /// The same if the reason is expensive: it is determined only if it is reported.
    ///
    /// # Errors
    /// It cannot be determined.
    pub fn refuse_with(&mut self, why: impl FnOnce() -> Result<Error>) -> Result<()> {
        self.refused += 1;
        if self.is_each_told || self.refused <= REFUSALS_MAX {
            match why() {
                Ok(error) | Err(error @ (Error::Refused(_) | Error::NotFound(_))) => face::complain(&error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds a note to the summary; if each job is reported, its line has it.
    pub fn note(&mut self, note: String) {
        if !self.is_each_told && !note.is_empty() {
            self.note = Some(note);
        }
    }

    /// Prints the summary. True: something was refused.
    pub fn end(self) -> bool {
        if !self.is_each_told {
            let refused = (self.refused > 0).then_some(("refused", self.refused));
            let counts: Vec<String> = self.counts.iter().copied().chain(refused).map(|(word, n)| format!("{n} {word}")).collect();
            face::say(&format!("{} jobs: {}{}", self.jobs, counts.join(", "), self.note.unwrap_or_default()));
        }
        self.refused > 0
    }
}
