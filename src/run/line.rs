//! One line of a run file: `KIND key=value key=value #crc32`.
//!
//! Text, so that a person can read it; with a checksum, so that a torn or damaged line is never
//! taken for a record.

use std::fmt::{Display, Write};

/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 2048;
/// Longest free text in a line, in bytes after escaping. All lines of a run fit into the block that
/// its header occupies, so that a full disk does not cost a record, and into the smallest pipe.
pub const TEXT_BYTES_MAX: usize = 900;
/// ` #` and eight digits.
const SEAL_BYTES: usize = 10;

/// Writes a line.
pub struct Writer(String);

impl Writer {
    pub fn new(kind: &str) -> Self {
        Self(kind.to_owned())
    }

    /// Adds a value without blanks and control bytes.
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        // Writing to a String never fails.
        let _ = write!(self.0, " {key}={value}");
        self
    }

    /// Like [`Writer::with`], if there is a value.
    pub fn with_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds free text, escaped and cut to [`TEXT_BYTES_MAX`].
    pub fn with_text(self, key: &str, text: &str) -> Self {
        self.with(key, escape(text))
    }

    /// As [`Writer::with_text`], cut to so many bytes.
    pub fn with_short_text(self, key: &str, text: &str, bytes_max: usize) -> Self {
        self.with(key, escape_within(text, bytes_max))
    }

    /// As [`Writer::seal`], with blanks up to a length, so that the line can be written over.
    pub fn seal_at(mut self, bytes: usize) -> Vec<u8> {
        let missing = bytes.saturating_sub(self.0.len());
        self.0.extend(std::iter::repeat_n(' ', missing));
        self.seal()
    }

    /// The line with its checksum and its newline.
    pub fn seal(self) -> Vec<u8> {
        let sum = crc32fast::hash(self.0.as_bytes());
        format!("{} #{sum:08x}\n", self.0).into_bytes()
    }
}

/// A line with a valid checksum.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub kind: &'a str,
    fields: &'a str,
}

impl<'a> Line<'a> {
    /// Checks a line (without its newline); `None` if it is damaged.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > LINE_BYTES_MAX {
            return None;
        }
        let (body, seal) = bytes.split_at(bytes.len().checked_sub(SEAL_BYTES)?);
        let digits = std::str::from_utf8(seal.strip_prefix(b" #")?).ok()?;
        // One spelling only, so that each changed bit is damage.
        let spelled = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !spelled || u32::from_str_radix(digits, 16).ok()? != crc32fast::hash(body) {
            return None;
        }
        let body = std::str::from_utf8(body).ok()?;
        let (kind, fields) = body.split_once(' ').unwrap_or((body, ""));
        Some(Self { kind, fields })
    }

    /// The value of a key; the first one counts.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.fields.split(' ').filter_map(|field| field.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// A value that parses, or `None`.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// Free text; bytes that are not UTF-8 are replaced.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(unescape)
    }

    /// The first word after the kind.
    pub fn first_word(&self) -> &'a str {
        self.fields.split(' ').next().unwrap_or_default()
    }
}

fn escape(text: &str) -> String {
    escape_within(text, TEXT_BYTES_MAX)
}

fn escape_within(text: &str, bytes_max: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_graphic() && byte != b'%';
        if escaped.len() + if plain { 1 } else { 3 } > bytes_max {
            break;
        }
        if plain {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(escaped, "%{byte:02x}");
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code = match (first, more) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back() {
        for text in ["", "plain", "two words # and = and %41", "ü\n\0\u{7f}", "%", "%%4", "100%"] {
            let line = Writer::new("K").with_text("t", text).with("n", 7).seal();
            let line = Line::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!((line.kind, line.text("t").as_deref(), line.number("n")), ("K", Some(text), Some(7)));
        }
    }

    #[test]
    fn long_text_is_cut() {
        let line = Writer::new("K").with_text("t", &"ü".repeat(10_000)).seal();
        assert!(line.len() <= TEXT_BYTES_MAX + 20);
        assert!(Line::parse(line.strip_suffix(b"\n").unwrap()).unwrap().text("t").unwrap().starts_with("üüü"));
    }

    #[test]
    fn each_flipped_bit_is_seen() {
        let whole = Writer::new("KIND").with("a", 1).seal();
        let whole = whole.strip_suffix(b"\n").unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Line::parse(&bytes).is_none(), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(Line::parse(&whole[..length]).is_none());
        }
    }
}
