//! A job's output as it may be shown: everything that would command a terminal is made visible.
//! Colours stay, or are left out for a reader that is not a terminal.
//!
//! A filter over a stream of bytes: what it was given in pieces gives the same as what it was given
//! at once. It keeps at most [`SEQUENCE_BYTES_MAX`] bytes back.

use crate::escape::is_unsafe;

/// Longest colour sequence that is let through, in bytes.
const SEQUENCE_BYTES_MAX: usize = 64;

/// Makes output safe for a terminal.
#[derive(Debug, Default)]
pub struct Shown {
    /// The beginning of a sequence or of a character whose end has not come yet.
    held: Vec<u8>,
    coloured: bool,
    leaves_out_colours: bool,
}

impl Shown {
    /// Leaves out colours.
    #[cfg(feature = "mcp")]
    pub fn plain() -> Self {
        Self { leaves_out_colours: true, ..Self::default() }
    }

    /// Adds what may be shown of `input` to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(input);
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            match self.step(rest, out) {
                Some(used) => rest = &rest[used..],
                None => {
                    self.held = rest.to_vec();
                    return;
                }
            }
        }
    }

    /// Adds what was held back, and takes back a colour that the job left on.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            visible_byte(byte, out);
        }
        if std::mem::take(&mut self.coloured) {
            out.extend_from_slice(b"\x1b[0m");
        }
    }

    /// Takes one thing from the front of `rest`; `None` when its end has not come yet.
    fn step(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        match rest[0] {
            0x1b => match colour(rest) {
                Colour::Whole(length) if self.leaves_out_colours => Some(length),
                Colour::Whole(length) => {
                    out.extend_from_slice(&rest[..length]);
                    self.coloured = !matches!(&rest[..length], b"\x1b[m" | b"\x1b[0m");
                    Some(length)
                }
                Colour::Unfinished => None,
                Colour::No => {
                    visible_byte(0x1b, out);
                    Some(1)
                }
            },
            b'\t' | b'\r' | b'\n' | 0x20..=0x7e => {
                out.push(rest[0]);
                Some(1)
            }
            0x00..0x80 => {
                visible_byte(rest[0], out);
                Some(1)
            }
            0x80.. => character(rest, out),
        }
    }
}

enum Colour {
    Whole(usize),
    Unfinished,
    No,
}

/// `ESC [ digits and separators m`.
fn colour(rest: &[u8]) -> Colour {
    if rest.len() == 1 {
        return Colour::Unfinished;
    }
    if rest[1] != b'[' {
        return Colour::No;
    }
    let parameters =
        rest[2..].iter().take(SEQUENCE_BYTES_MAX).take_while(|b| b.is_ascii_digit() || matches!(b, b';' | b':')).count();
    match rest.get(2 + parameters) {
        _ if parameters >= SEQUENCE_BYTES_MAX => Colour::No,
        Some(b'm') => Colour::Whole(3 + parameters),
        Some(_) => Colour::No,
        None => Colour::Unfinished,
    }
}

/// One character beyond ASCII, or one byte that is none.
fn character(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let window = &rest[..rest.len().min(4)];
    let text = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(e) if e.valid_up_to() > 0 => std::str::from_utf8(&window[..e.valid_up_to()]).unwrap_or_default(),
        Err(e) if e.error_len().is_none() => return None,
        Err(_) => "",
    };
    match text.chars().next() {
        Some(c) if is_unsafe(c) => {
            out.extend_from_slice(format!("\\u{{{:x}}}", c as u32).as_bytes());
            Some(c.len_utf8())
        }
        Some(c) => {
            out.extend_from_slice(&rest[..c.len_utf8()]);
            Some(c.len_utf8())
        }
        None => {
            visible_byte(rest[0], out);
            Some(1)
        }
    }
}

/// `^[` for control characters, as `cat -v` shows them; `\xff` for what is not a character.
fn visible_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        0x00..0x20 | 0x7f => out.extend_from_slice(&[b'^', byte ^ 0x40]),
        0x80.. => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut shown, mut out) = (Shown::default(), Vec::new());
        pieces.iter().for_each(|piece| shown.push(piece, &mut out));
        shown.finish(&mut out);
        out
    }

    #[test]
    fn text_tabs_and_colours_pass() {
        assert_eq!(show(&[b"a\tb\r\n"]), b"a\tb\r\n");
        assert_eq!(show(&["ü 🚀".as_bytes()]), "ü 🚀".as_bytes());
        assert_eq!(show(&[b"\x1b[1;31mred\x1b[0m"]), b"\x1b[1;31mred\x1b[0m");
        assert_eq!(show(&[b"\x1b[38:5:1mx"]), b"\x1b[38:5:1mx\x1b[0m", "a colour left on is taken back");
    }

    #[cfg(feature = "mcp")]
    #[test]
    fn a_reader_that_is_not_a_terminal_gets_no_colours() {
        let (mut shown, mut out) = (Shown::plain(), Vec::new());
        shown.push(b"\x1b[1;31mred\x1b[0m \x1b[2J", &mut out);
        shown.finish(&mut out);
        assert_eq!(out, b"red ^[[2J");
    }

    #[test]
    fn control_sequences_are_made_visible() {
        assert_eq!(show(&[b"\x1b[2J"]), b"^[[2J");
        assert_eq!(show(&[b"\x1b]0;title\x07"]), b"^[]0;title^G");
        assert_eq!(show(&[b"\x08\x0b\x7f\x00"]), b"^H^K^?^@");
        assert_eq!(show(&[b"\xc2\x9b31m"]), b"\\u{9b}31m");
        assert_eq!(show(&[b"\x9b31m\xff"]), b"\\x9b31m\\xff");
        assert_eq!(show(&["\u{202e}".as_bytes()]), b"\\u{202e}");
        assert_eq!(show(&[b"\x1b["]), b"^[[");
        let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"m"].concat();
        assert!(!show(&[&long]).contains(&0x1b));
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let whole = "a\x1b[31mü\u{202e}\x1b[2J🚀\u{9b}\x1b".as_bytes();
        let expected = show(&[whole]);
        for at in 0..whole.len() {
            assert_eq!(show(&[&whole[..at], &whole[at..]]), expected, "cut at {at}");
        }
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(show(&single), expected);
    }

    #[test]
    fn nothing_but_colours_ever_commands_the_terminal() {
        // Every pair of bytes after an ESC, and every pair of bytes alone.
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                for input in [vec![a, b], vec![0x1b, a, b]] {
                    let (mut shown, mut out) = (Shown::default(), Vec::new());
                    shown.push(&input, &mut out);
                    for byte in std::mem::take(&mut shown.held) {
                        visible_byte(byte, &mut out);
                    }
                    let colour = input == b"\x1b[m";
                    let text = String::from_utf8(out).unwrap();
                    assert!(colour || !text.chars().any(|c| c.is_control() && !"\t\r\n".contains(c)), "{input:?} -> {text:?}");
                }
            }
        }
    }
}
