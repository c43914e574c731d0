//! The output of a job as markup: colours become classes, everything else that a terminal would
//! obey is left out or shown as text. Pure.
//!
//! No text of an output is hidden: a carriage return begins a line instead of overwriting one, and
//! control characters are written as they are written in messages. What is left out are orders:
//! titles, the targets of links, moves of the cursor.

use std::fmt::Write;

use maud::{Escaper, Markup, PreEscaped};

use crate::escape;

/// How text is shown, from an escape sequence on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// 0 to 15; `None`: the colour of the page.
    ink: Option<u8>,
    paper: Option<u8>,
    is_bold: bool,
    is_dim: bool,
    is_italic: bool,
    is_underlined: bool,
    is_struck: bool,
}

/// Longest escape sequence that is waited for, in bytes.
const SEQUENCE_BYTES_MAX: usize = 4_096;
/// Longest text that is looked at at once, in bytes: a look may come no further than one byte.
const TEXT_BYTES_MAX: usize = 64;

impl Style {
    /// Returns the classes of it; empty: none.
    fn classes(self) -> String {
        let mut all = String::new();
        let flags =
            [(self.is_bold, "b"), (self.is_dim, "d"), (self.is_italic, "i"), (self.is_underlined, "u"), (self.is_struck, "s")];
        self.ink.iter().for_each(|n| _ = write!(all, "f{n} "));
        self.paper.iter().for_each(|n| _ = write!(all, "g{n} "));
        flags.iter().filter(|(is, _)| *is).for_each(|(_, class)| _ = write!(all, "{class} "));
        all.truncate(all.trim_end().len());
        all
    }

    /// Returns it as a text for the next request.
    pub fn to_text(self) -> String {
        self.classes().replace(' ', ".")
    }

    /// Reads what [`Style::to_text`] has returned; everything else is left out.
    pub fn of_text(text: &str) -> Self {
        let mut style = Self::default();
        for word in text.split('.') {
            let colour = |stem: &str| word.strip_prefix(stem)?.parse::<u8>().ok().filter(|n| *n < 16);
            match word {
                "b" => style.is_bold = true,
                "d" => style.is_dim = true,
                "i" => style.is_italic = true,
                "u" => style.is_underlined = true,
                "s" => style.is_struck = true,
                _ => (style.ink, style.paper) = (colour("f").or(style.ink), colour("g").or(style.paper)),
            }
        }
        style
    }

    /// Obeys `ESC [ parameters m`.
    fn obey(&mut self, parameters: &str) {
        let all: Vec<u16> = parameters.split(';').flat_map(numbers).collect();
        let mut numbers = all.into_iter();
        while let Some(n) = numbers.next() {
            match n {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                2 => self.is_dim = true,
                3 => self.is_italic = true,
                4 => self.is_underlined = true,
                9 => self.is_struck = true,
                22 => (self.is_bold, self.is_dim) = (false, false),
                23 => self.is_italic = false,
                24 => self.is_underlined = false,
                29 => self.is_struck = false,
                30..=37 | 90..=97 => self.ink = Some(basic(n)),
                40..=47 | 100..=107 => self.paper = Some(basic(n - 10)),
                38 => self.ink = extended(&mut numbers).or(self.ink),
                48 => self.paper = extended(&mut numbers).or(self.paper),
                39 => self.ink = None,
                49 => self.paper = None,
                _ => {}
            }
        }
    }
}

/// Returns the numbers of a parameter. One with colons has parts of its own: a kind of underline,
/// or a colour with its space.
fn numbers(parameter: &str) -> Vec<u16> {
    let parts: Vec<u16> = parameter.split(':').map(|one| one.parse().unwrap_or(0)).collect();
    match parts.as_slice() {
        [4, kind] => vec![if *kind == 0 { 24 } else { 4 }],
        [which @ (38 | 48), 2, _, red, green, blue, ..] => vec![*which, 2, *red, *green, *blue],
        _ => parts,
    }
}

/// Returns the colour of 30 to 37 and 90 to 97.
fn basic(n: u16) -> u8 {
    u8::try_from(if n >= 90 { n - 90 + 8 } else { n - 30 }).unwrap_or(0)
}

/// Returns the nearest of 16 colours to one of 256, or of 16 million.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => match numbers.next()? {
            n @ 0..=15 => u8::try_from(n).ok(),
            n @ 16..=231 => {
                let level = |at: u16| ((n - 16) / at % 6) * 51;
                Some(nearest(level(36), level(6), level(1)))
            }
            n => {
                let grey = n.min(255).saturating_sub(232) * 10 + 8;
                Some(nearest(grey, grey, grey))
            }
        },
        2 => Some(nearest(numbers.next()?, numbers.next()?, numbers.next()?)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let most = red.max(green).max(blue);
    let bit = |level: u16, at: u8| if level > most / 2 && most > 60 { 1 << at } else { 0 };
    let hue = bit(red, 0) | bit(green, 1) | bit(blue, 2);
    match (hue, most) {
        (0, 0..=60) => {
            if most > 30 {
                8
            } else {
                0
            }
        }
        (7, 61..=160) => 8,
        (7, 161..=220) => 7,
        (hue, 200..) => hue + 8,
        (hue, _) => hue,
    }
}

/// What became of a piece of an output.
pub struct Rendered {
    pub markup: Markup,
    /// How the text that follows is shown.
    pub style: Style,
    /// Bytes that were read: what follows is not complete yet.
    pub used: usize,
}

/// Shows a piece of an output. `is_last`: nothing follows, so that what is not complete is shown as
/// it is.
pub fn render(bytes: &[u8], style: Style, is_last: bool) -> Rendered {
    let mut out = Out { html: String::with_capacity(bytes.len() + bytes.len() / 8), style, is_open: false };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let step = if rest[0] == 0x1b { escape_sequence(rest) } else { Some(plain(rest)) };
        match step {
            Some(Step { length, what }) if length > 0 => {
                out.push(what, &rest[..length]);
                at += length;
            }
            _ if is_last || rest.len() > SEQUENCE_BYTES_MAX => {
                out.push(What::Shown, &rest[..1]);
                at += 1;
            }
            _ => break,
        }
    }
    out.close();
    Rendered { markup: PreEscaped(out.html), style: out.style, used: at }
}

struct Step {
    /// 0: it is not complete.
    length: usize,
    what: What,
}

enum What {
    Text,
    /// As an escape in a message.
    Shown,
    Line,
    Style,
    Nothing,
}

/// Reads text up to the next byte that is none.
fn plain(rest: &[u8]) -> Step {
    if rest.starts_with(b"\r\n") {
        return Step { length: 2, what: What::Line };
    }
    match rest[0] {
        b'\n' => return Step { length: 1, what: What::Line },
        // Whether a line feed follows is not known yet.
        b'\r' => return Step { length: usize::from(rest.len() > 1), what: What::Line },
        b'\t' => return Step { length: 1, what: What::Text },
        0..=0x1f | 0x7f => return Step { length: 1, what: What::Shown },
        _ => {}
    }
    let rest = &rest[..rest.len().min(TEXT_BYTES_MAX)];
    let length = rest.iter().position(|byte| matches!(byte, 0..=0x1f | 0x7f)).unwrap_or(rest.len());
    match std::str::from_utf8(&rest[..length]) {
        Ok(_) => Step { length, what: What::Text },
        Err(error) if error.valid_up_to() > 0 => Step { length: error.valid_up_to(), what: What::Text },
        Err(error) => match error.error_len() {
            Some(wrong) => Step { length: wrong, what: What::Shown },
            // A character that is cut, by the end of the piece or by a control character.
            None if length == rest.len() => Step { length: 0, what: What::Shown },
            None => Step { length, what: What::Shown },
        },
    }
}

/// Reads an escape sequence; `None`: it is not complete.
fn escape_sequence(rest: &[u8]) -> Option<Step> {
    let nothing = |length| Some(Step { length, what: What::Nothing });
    match rest.get(1)? {
        b'[' => {
            let length = 2 + rest[2..].iter().position(|byte| !matches!(byte, 0x20..=0x3f))?;
            match rest[length] {
                b'm' if rest[2..length].iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) => {
                    Some(Step { length: length + 1, what: What::Style })
                }
                0x40..=0x7e => nothing(length + 1),
                _ => nothing(length),
            }
        }
        // A title, a link: text that ends with BEL or ESC \.
        b']' | b'P' | b'_' | b'^' | b'X' => {
            let end = rest.iter().enumerate().skip(2).find(|(_, byte)| matches!(byte, 0x07 | 0x1b | b'\n'))?.0;
            match rest[end] {
                0x07 => nothing(end + 1),
                0x1b => rest.get(end + 1).and_then(|next| nothing(end + if *next == b'\\' { 2 } else { 0 })),
                _ => nothing(end),
            }
        }
        0x20..=0x2f => {
            let length = 2 + rest[2..].iter().position(|byte| !matches!(byte, 0x20..=0x2f))?;
            nothing(length + 1)
        }
        0x30..=0x7e => nothing(2),
        _ => nothing(1),
    }
}

struct Out {
    html: String,
    style: Style,
    is_open: bool,
}

impl Out {
    fn push(&mut self, what: What, bytes: &[u8]) {
        match what {
            What::Text => self.text(&String::from_utf8_lossy(bytes)),
            What::Shown => match std::str::from_utf8(bytes) {
                Ok(text) => self.text(&escape::whole(text)),
                Err(_) => bytes.iter().for_each(|byte| self.text(&format!("\\x{byte:02x}"))),
            },
            What::Line => self.html.push('\n'),
            What::Style => {
                self.close();
                self.style.obey(&String::from_utf8_lossy(&bytes[2..bytes.len() - 1]));
            }
            What::Nothing => {}
        }
    }

    fn text(&mut self, text: &str) {
        if !self.is_open {
            let classes = self.style.classes();
            if !classes.is_empty() {
                _ = write!(self.html, "<span class=\"{classes}\">");
                self.is_open = true;
            }
        }
        let mut out = Escaper::new(&mut self.html);
        for c in text.chars() {
            _ = if c != '\t' && escape::is_unsafe(c) {
                write!(out, "{}", escape::whole(&c.to_string()))
            } else {
                out.write_char(c)
            };
        }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.html.push_str("</span>");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        render(text.as_bytes(), Style::default(), true).markup.into_string()
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(html("a\x1b[1;31mb\x1b[0mc"), "a<span class=\"f1 b\">b</span>c");
        assert_eq!(html("\x1b[38;5;9mx\x1b[48;2;0;0;255my"), "<span class=\"f9\">x</span><span class=\"f9 g12\">y</span>");
        assert_eq!(html("\x1b[4mu\x1b[24m\x1b[39mv"), "<span class=\"u\">u</span>v");
        let style = render(b"\x1b[1;9;93;44m", Style::default(), true).style;
        assert_eq!((style.to_text().as_str(), Style::of_text(&style.to_text())), ("f11.g4.b.s", style));
        assert_eq!(Style::of_text("f99.<script>.g-1..b"), Style { is_bold: true, ..Style::default() });
    }

    #[test]
    fn nothing_of_an_output_is_markup_or_obeyed() {
        assert_eq!(html("<b onclick=\"x\">&"), "&lt;b onclick=&quot;x&quot;&gt;&amp;");
        assert_eq!(html("\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x1b\\!"), "link!");
        assert_eq!(html("\x1b[2J\x1b[H\x1b[?25la\x1bcb\x1b(Bc"), "abc");
        assert_eq!(html("x\u{202e}y\u{8}z\0"), "x\\u{202e}y\\x08z\\x00");
        assert_eq!(html("50%\r100%\r\nend"), "50%\n100%\nend");
    }

    #[test]
    fn a_part_with_colons_is_one_parameter() {
        let style = |text: &[u8]| render(text, Style::default(), true).style.to_text();
        assert_eq!(style(b"\x1b[1m\x1b[4:3m"), "b.u");
        assert_eq!(style(b"\x1b[1;4m\x1b[4:0m"), "b");
        assert_eq!(style(b"\x1b[38:2::255:0:0m"), style(b"\x1b[38;2;255;0;0m"));
        assert_eq!(style(b"\x1b[38:5:9m"), "f9");
    }

    #[test]
    fn a_large_log_of_wrong_bytes_takes_no_longer_than_text() {
        // Quadratic work would take minutes.
        let rendered = render(&vec![0xff; 256 << 10], Style::default(), true);
        assert_eq!(rendered.used, 256 << 10);
    }

    #[test]
    fn a_look_at_a_large_log_is_short() {
        // One byte that ends nothing: what is looked for ends within a bound, and not with the log.
        for begin in [b"\x1b]".as_slice(), b"\x1b[", b"\x1bP", b"\x1b_", b"\x9d", &[0xc2, 0x9d]] {
            let bytes = [begin, &[b'1'; 256 << 10]].concat();
            let rendered = render(&bytes, Style::default(), false);
            assert!(rendered.used > 250 << 10, "{begin:?}: {}", rendered.used);
        }
    }

    #[test]
    fn what_is_cut_waits_for_its_rest() {
        let bytes = "ä\x1b[31mö".as_bytes();
        for cut in 0..=bytes.len() {
            let first = render(&bytes[..cut], Style::default(), false);
            let rest = render(&bytes[first.used..], first.style, true);
            let both = first.markup.into_string() + &rest.markup.into_string();
            assert_eq!(both, "ä<span class=\"f1\">ö</span>", "{cut}");
        }
        assert_eq!(render(&[0xff, b'a', 0xc3], Style::default(), true).markup.into_string(), "\\xffa\\xc3");
        let endless = [b"\x1b]".as_slice(), &[b'x'; 10_000]].concat();
        assert!(render(&endless, Style::default(), false).used > 0, "an output is not waited for without end");
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless_in_pieces(bytes in prop::collection::vec(prop_oneof![Just(0x1b_u8), Just(b'['), Just(b'm'), Just(b'<'), any::<u8>()], 0..200), cut in 0_usize..200) {
            let cut = cut.min(bytes.len());
            let first = render(&bytes[..cut], Style::default(), false);
            let rest = render(&bytes[first.used..], first.style, true);
            let html = first.markup.into_string() + &rest.markup.into_string();
            prop_assert_eq!(first.used + rest.used, bytes.len());
            let without = regex::Regex::new("<span class=\"[a-z0-9 ]*\">|</span>|&(lt|gt|amp|quot);").unwrap().replace_all(&html, "");
            prop_assert!(!without.contains(['<', '>', '&', '"']) && !without.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", html);
        }
    }
}
