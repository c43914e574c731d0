//! What a command says of the jobs that it was given: a line for each of a few, and one line for
//! many.

use crate::cli::face;
use crate::cli::face::Face;
use crate::error::{Error, Result};

/// Up to so many jobs are told of one by one; of more, one line tells all.
const LINES_MAX: usize = 10;
/// Most refusals that are told one by one where there are many jobs.
const REFUSALS_MAX: usize = 10;

/// Whether there is a line for each job.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Wordy {
    /// Print a line for each job, also of many
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

/// What a command says of its jobs: a line for each of a few, and one line for many.
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

    /// Tells of one job: `text` or `document` where each is told, and `word` to be counted.
    ///
    /// # Errors
    /// When the reader has gone.
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

    /// Tells why nothing was done to one job.
    pub fn refuse(&mut self, error: &Error) {
        self.refused += 1;
        if self.is_each_told || self.refused <= REFUSALS_MAX {
            face::complain(&error.to_string());
        }
    }

    /// The same where it takes time to learn why: it is asked only if it is told.
    ///
    /// # Errors
    /// When it cannot be learned.
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

    /// What is said once, after all: where each job is told, it stands in its line.
    pub fn note(&mut self, note: String) {
        if !self.is_each_told && !note.is_empty() {
            self.note = Some(note);
        }
    }

    /// The line for many. True: something was refused.
    pub fn end(self) -> bool {
        if !self.is_each_told {
            let refused = (self.refused > 0).then_some(("refused", self.refused));
            let counts: Vec<String> = self.counts.iter().copied().chain(refused).map(|(word, n)| format!("{n} {word}")).collect();
            face::say(&format!("{} jobs: {}{}", self.jobs, counts.join(", "), self.note.unwrap_or_default()));
        }
        self.refused > 0
    }
}
