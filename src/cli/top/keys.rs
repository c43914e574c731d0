//! What was typed. Pure: bytes of a terminal to keys.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Tab,
    BackTab,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Longest sequence of one key that is understood, in bytes.
const SEQUENCE_BYTES_MAX: usize = 16;

/// Takes the keys from the front of what was read. What may be the beginning of a key stays, until
/// the caller says with `is_all` that no more comes at once; then an escape is the key Escape.
pub fn take(bytes: &mut Vec<u8>, is_all: bool) -> Vec<Key> {
    let (mut keys, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match first(&bytes[at..], is_all) {
            Some((key, length)) => {
                keys.extend(key);
                at += length;
            }
            None => break,
        }
    }
    bytes.drain(..at);
    keys
}

/// Returns the first key, `None` inside for what is not one, and its length; `None`: its end has
/// not come yet.
fn first(bytes: &[u8], is_all: bool) -> Option<(Option<Key>, usize)> {
    Some(match bytes[0] {
        0x1b => return escape(bytes, is_all),
        b'\r' | b'\n' => (Some(Key::Enter), 1),
        b'\t' => (Some(Key::Tab), 1),
        0x7f | 0x08 => (Some(Key::Backspace), 1),
        byte @ 0x01..=0x1a => (Some(Key::Ctrl(char::from(byte - 1 + b'a'))), 1),
        0x00..0x20 => (None, 1),
        _ => return character(bytes, is_all),
    })
}

fn character(bytes: &[u8], is_all: bool) -> Option<(Option<Key>, usize)> {
    let head = &bytes[..bytes.len().min(4)];
    let chunk = head.utf8_chunks().next()?;
    if let Some(c) = chunk.valid().chars().next() {
        return Some((Some(Key::Char(c)).filter(|_| !c.is_control()), c.len_utf8()));
    }
    let is_cut = std::str::from_utf8(head).is_err_and(|error| error.error_len().is_none());
    if is_cut && !is_all { None } else { Some((None, chunk.invalid().len().max(1))) }
}

fn escape(bytes: &[u8], is_all: bool) -> Option<(Option<Key>, usize)> {
    match bytes.get(1) {
        None if is_all => Some((Some(Key::Escape), 1)),
        None => None,
        Some(b'[' | b'O') => sequence(bytes, is_all),
        // Alt and a key: not one of ours.
        Some(0x1b) => Some((Some(Key::Escape), 1)),
        Some(_) => Some((None, 2)),
    }
}

fn sequence(bytes: &[u8], is_all: bool) -> Option<(Option<Key>, usize)> {
    let end = bytes.iter().skip(2).take(SEQUENCE_BYTES_MAX).position(|byte| (0x40..=0x7e).contains(byte));
    let Some(end) = end.map(|end| end + 2) else {
        let is_unfinished = !is_all && bytes.len() < SEQUENCE_BYTES_MAX;
        return if is_unfinished { None } else { Some((None, bytes.len().min(SEQUENCE_BYTES_MAX))) };
    };
    let number = bytes[2..end].split(|byte| *byte == b';').next().unwrap_or_default();
    let key = match (bytes[end], number) {
        (b'A', _) => Some(Key::Up),
        (b'B', _) => Some(Key::Down),
        (b'H', _) | (b'~', b"1" | b"7") => Some(Key::Home),
        (b'F', _) | (b'~', b"4" | b"8") => Some(Key::End),
        (b'Z', _) => Some(Key::BackTab),
        (b'M', b"") => Some(Key::Enter),
        (b'~', b"5") => Some(Key::PageUp),
        (b'~', b"6") => Some(Key::PageDown),
        _ => None,
    };
    Some((key, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        take(&mut bytes.to_vec(), true)
    }

    #[test]
    fn keys_of_terminals_are_understood() {
        use Key::*;
        let typed = b"jK\x1b[A\x1bOB\x1b[1;5A\t\x1b[Z\r\x7f\x03\x1a\x1b[5~\x1b[6~\x1b[H\x1b[4~/\xc3\xbc";
        let expected = [
            Char('j'),
            Char('K'),
            Up,
            Down,
            Up,
            Tab,
            BackTab,
            Enter,
            Backspace,
            Ctrl('c'),
            Ctrl('z'),
            PageUp,
            PageDown,
            Home,
            End,
            Char('/'),
            Char('ü'),
        ];
        assert_eq!(keys(typed), expected);
        assert_eq!(keys(b"\x1b"), [Escape]);
        assert_eq!(keys(b"\x1b\x1b"), [Escape, Escape]);
    }

    #[test]
    fn the_pieces_of_a_read_make_the_same_keys() {
        let typed = "a\x1b[5~\u{fc}\u{1f680}\x1b[Aq".as_bytes();
        for cut in 0..typed.len() {
            let mut bytes = typed[..cut].to_vec();
            let mut all = take(&mut bytes, false);
            bytes.extend(&typed[cut..]);
            all.extend(take(&mut bytes, true));
            assert_eq!((all, bytes.len()), (keys(typed), 0), "{cut}");
        }
    }

    #[test]
    fn what_is_no_key_is_passed_over_and_ends() {
        for wrong in [&b"\xff\xfe"[..], b"\x00\x1c\x1f", b"\x1b[99;99R", b"\x1b[200~", b"\x1b[?1;2c", b"\x1bx", b"\xc2\x9b"] {
            assert_eq!(keys(wrong), [], "{wrong:?}");
        }
        let mut long = b"\x1b[".to_vec();
        long.extend([b'1'; 100]);
        assert!(take(&mut long.clone(), true).iter().all(|key| matches!(key, Key::Char('1'))));
        take(&mut long, false);
        assert!(long.len() < 100, "a sequence without an end is not waited for");
    }
}
