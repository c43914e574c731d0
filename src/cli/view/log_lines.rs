//! Lines of logs: each with the number of its job where several jobs are shown, or only those that
//! match.
//!
//! A line is held until its end has come, so that lines of jobs that run at the same time do not
//! mix. Of a line longer than [`LINE_BYTES_MAX`] only that much is held, and searched; the rest
//! passes through.

use std::io::{self, IsTerminal, Write};

use regex::bytes::Regex;

use crate::cli::face;
use crate::job::JobId;
use crate::run::output::Piece;
use crate::shown::Shown;
use crate::units::size_text;

/// Most bytes of one line that are held.
const LINE_BYTES_MAX: usize = 256 << 10;
/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// Stdout, for lines of several logs.
pub struct Screen {
    out: Box<dyn Write>,
    is_filtered: bool,
    bytes: Vec<u8>,
    /// The job whose line has not ended.
    open: Option<JobId>,
}

impl Screen {
    /// `raw`: control sequences pass to a terminal.
    pub fn new(raw: bool) -> Self {
        Self { out: Box::new(io::stdout()), is_filtered: !raw && io::stdout().is_terminal(), bytes: Vec::new(), open: None }
    }

    /// Adds a line, or a part of one.
    fn add(&mut self, job: JobId, prefix: &[u8], part: &[u8]) -> io::Result<()> {
        if self.open.is_some_and(|open| open != job) {
            self.end_line();
        }
        if self.open.is_none() {
            self.bytes.extend_from_slice(prefix);
        }
        match self.is_filtered {
            // A colour that a line leaves on is not one of the next line.
            true => {
                let (text, end) = part.strip_suffix(b"\n").map_or((part, &b""[..]), |text| (text, b"\n"));
                let mut shown = Shown::default();
                shown.push(text, &mut self.bytes);
                shown.finish(&mut self.bytes);
                self.bytes.extend_from_slice(end);
            }
            false => self.bytes.extend_from_slice(part),
        }
        self.open = (!part.ends_with(b"\n")).then_some(job);
        if self.bytes.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn end_line(&mut self) {
        self.bytes.push(b'\n');
        self.open = None;
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        self.out.flush()
    }

    /// Ends the last line, and writes what was added.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            self.end_line();
        }
        self.flush()
    }
}

/// Where a job is in its present line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// All of it is held.
    Held,
    /// Its beginning was shown, or was not.
    Longer { shown: bool },
}

/// The log of one job, as lines.
pub struct LogLines {
    job: JobId,
    prefix: Vec<u8>,
    pattern: Option<Regex>,
    line: Vec<u8>,
    place: Place,
    is_told: bool,
    /// Lines that were shown.
    pub matched: u64,
}

impl LogLines {
    /// `is_one_of_several`: each line begins with the number of the job.
    pub fn new(job: JobId, is_one_of_several: bool, pattern: Option<Regex>) -> Self {
        let prefix = if is_one_of_several { format!("{job}| ").into_bytes() } else { Vec::new() };
        Self { job, prefix, pattern, line: Vec::new(), place: Place::Held, is_told: false, matched: 0 }
    }

    /// Adds a piece of the log. A part that was dropped ends a line.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn piece(&mut self, piece: Piece<'_>, screen: &mut Screen) -> io::Result<()> {
        match piece {
            Piece::Bytes(bytes) => bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|part| self.part(part, screen)),
            Piece::Dropped(bytes) => {
                self.end(screen)?;
                screen.finish()?;
                let of_job = if self.prefix.is_empty() { String::new() } else { format!(" of job {}", self.job) };
                let bytes = size_text(bytes);
                face::say(&format!("{bytes} of output{of_job} were dropped here, as the log had reached its limit"));
                Ok(())
            }
        }
    }

    fn part(&mut self, part: &[u8], screen: &mut Screen) -> io::Result<()> {
        let is_end = part.ends_with(b"\n");
        match self.place {
            Place::Longer { shown } => {
                if shown {
                    screen.add(self.job, &self.prefix, part)?;
                }
                if is_end {
                    self.place = Place::Held;
                }
                Ok(())
            }
            Place::Held => {
                self.line.extend_from_slice(part);
                if is_end {
                    self.show_if_meant(screen).map(|_| ())
                } else if self.line.len() >= LINE_BYTES_MAX {
                    self.tell_long();
                    self.place = Place::Longer { shown: self.show_if_meant(screen)? };
                    Ok(())
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Shows what is held, if it matches.
    fn show_if_meant(&mut self, screen: &mut Screen) -> io::Result<bool> {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let is_meant = self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        if is_meant {
            self.matched += 1;
            screen.add(self.job, &self.prefix, &self.line)?;
        }
        self.line.clear();
        Ok(is_meant)
    }

    fn tell_long(&mut self) {
        if self.pattern.is_some() && !std::mem::replace(&mut self.is_told, true) {
            let most = size_text(LINE_BYTES_MAX as u64);
            face::say(&format!("job {} wrote a line of more than {most}; only its beginning is searched", self.job));
        }
    }

    /// Shows a last line that has no end.
    ///
    /// # Errors
    /// The reader has gone.
    pub fn end(&mut self, screen: &mut Screen) -> io::Result<()> {
        if self.place == Place::Held && !self.line.is_empty() {
            self.show_if_meant(screen)?;
        }
        self.place = Place::Held;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen { out: Box::new(io::sink()), is_filtered: false, bytes: Vec::new(), open: None }
    }

    fn shown(lines: &mut LogLines, screen: &mut Screen, text: &[u8]) -> String {
        lines.piece(Piece::Bytes(text), screen).unwrap();
        String::from_utf8(std::mem::take(&mut screen.bytes)).unwrap()
    }

    #[test]
    fn lines_of_two_jobs_do_not_mix() {
        let mut screen = screen();
        let (mut first, mut second) = (LogLines::new(JobId(1), true, None), LogLines::new(JobId(12), true, None));
        assert_eq!(shown(&mut first, &mut screen, b"a\n\nb"), "1| a\n1| \n", "an unfinished line is held");
        assert_eq!(shown(&mut second, &mut screen, b"c\n"), "12| c\n");
        assert_eq!(shown(&mut first, &mut screen, b"d\n"), "1| bd\n");
        shown(&mut first, &mut screen, b"end");
        first.end(&mut screen).unwrap();
        second.piece(Piece::Bytes(b"e\n"), &mut screen).unwrap();
        assert_eq!(screen.bytes, b"1| end\n12| e\n", "the last line of a job is ended by the next job");
    }

    #[test]
    fn a_line_of_any_length_takes_little_memory() {
        for (pattern, is_shown) in [(None, true), (Some("^x"), true), (Some("y"), false)] {
            let mut lines = LogLines::new(JobId(1), true, pattern.map(|pattern| Regex::new(pattern).unwrap()));
            lines.is_told = true;
            let (mut screen, chunk) = (screen(), vec![b'x'; 64 << 10]);
            for _ in 0..64 {
                lines.piece(Piece::Bytes(&chunk), &mut screen).unwrap();
                assert!(lines.line.capacity() <= 2 * LINE_BYTES_MAX && screen.bytes.capacity() <= 4 * LINE_BYTES_MAX);
            }
            assert_eq!(lines.matched, u64::from(is_shown), "{pattern:?}");
            assert_eq!(screen.open.is_some(), is_shown, "{pattern:?}");
            assert_eq!(shown(&mut lines, &mut screen, b"\nxy\n"), if is_shown { "\n1| xy\n" } else { "1| xy\n" });
        }
    }

    #[test]
    fn a_pattern_is_about_the_line_without_prefix_and_end() {
        let mut screen = screen();
        let mut lines = LogLines::new(JobId(12), true, Some(Regex::new("^b$|12").unwrap()));
        assert_eq!(shown(&mut lines, &mut screen, b"a\nb\r\nbb\nc12"), "12| b\r\n");
        lines.end(&mut screen).unwrap();
        assert_eq!((screen.bytes.as_slice(), lines.matched), (&b"12| c12"[..], 2));
    }

    #[test]
    fn a_terminal_gets_lines_with_their_own_colour_and_nothing_else() {
        let mut screen = Screen { is_filtered: true, ..screen() };
        let mut lines = LogLines::new(JobId(1), true, None);
        let text = shown(&mut lines, &mut screen, b"\x1b[31mred\n\x1b[2J\n");
        assert_eq!(text, "1| \x1b[31mred\x1b[0m\n1| ^[[2J\n");
    }
}
