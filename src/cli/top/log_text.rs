//! The end of a log as plain lines for the pane: no byte of a job commands the terminal.

use crate::cli::view::escape;

/// Columns of a tabulator.
const TAB: usize = 8;

/// Returns the last lines of a piece of a log. Colours are dropped, a carriage return begins its
/// line anew (as a progress bar does), and everything else that a terminal would obey is escaped.
/// `is_cut`: the piece begins in the midst of the log.
pub fn lines(bytes: &[u8], is_cut: bool, most: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let whole = match text.split_once('\n') {
        Some((_, rest)) if is_cut => rest,
        _ => &text,
    };
    let all: Vec<&str> = whole.strip_suffix('\n').unwrap_or(whole).split('\n').collect();
    let all = if whole.is_empty() { &[][..] } else { &all[all.len().saturating_sub(most)..] };
    all.iter().map(|line| shown(line)).collect()
}

fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
    let mut plain = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let end = body.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'));
        match end.filter(|end| body[*end..].starts_with(['m', 'K'])) {
            Some(end) => rest = &body[end + 1..],
            None => {
                plain.push('\x1b');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    let mut tabbed = String::new();
    for c in plain.chars() {
        match c {
            '\t' => (0..TAB - tabbed.chars().count() % TAB).for_each(|_| tabbed.push(' ')),
            c => tabbed.push(c),
        }
    }
    escape::line(&tabbed).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_as_a_person_would_see_it() {
        let log = b"one\n\x1b[1;32mok\x1b[0m\ta\n10%\r 50%\r100%\r\nhalf";
        assert_eq!(lines(log, false, 9), ["one", "ok      a", "100%", "half"]);
        assert_eq!(lines(log, false, 2), ["100%", "half"]);
        assert_eq!(lines(log, true, 9), ["ok      a", "100%", "half"]);
        assert_eq!(lines(b"a\n\n", false, 9), ["a", ""]);
        assert!(lines(b"", false, 9).is_empty());
    }

    #[test]
    fn nothing_in_a_log_commands_the_terminal() {
        let log = b"\x1b[2J\x1b]0;t\x07\x1b[?1049h\x1b[3m\xff\x9b31m\xc2\x9b\xe2\x80\xaex\x1b[1;\x1b[\x1b";
        for line in lines(log, false, 9) {
            assert!(!line.contains(escape::is_unsafe), "{line:?}");
            assert!(line.contains(r"\x1b[2J") && line.contains(r"\x1b]0;t\x07"), "{line}");
        }
    }
}
