//! Reading logs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use tenure::run::output::{Follow, Piece, tail};

use crate::run::harness::Bench;

/// A log as text, with `<n>` for what was dropped.
fn shown(path: &Path, lines: Option<usize>) -> String {
    let mut text = String::new();
    tail(path, lines, &mut |piece| {
        add(&mut text, piece);
        Ok(())
    })
    .unwrap();
    text
}

fn add(text: &mut String, piece: Piece<'_>) {
    match piece {
        Piece::Bytes(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
        Piece::Dropped(bytes) => text.push_str(&format!("<{bytes}>")),
    }
}

#[test]
fn the_last_lines_are_those_of_tail() {
    let bench = Bench::without_spawner();
    let path = bench.path("log");
    assert_eq!(shown(&path, Some(3)), "", "no log yet");
    let long = "x".repeat(200_000);
    for text in
        ["", "\n", "\n\n", "a", "a\n", "a\nb", "a\nb\nc\n", "\na\n\n", &format!("{long}\n{long}\nend"), &"line\n".repeat(50_000)]
    {
        fs::write(&path, text).unwrap();
        assert_eq!(shown(&path, None), text);
        for count in [0, 1, 2, 3, 40_000] {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let expected = lines[lines.len().saturating_sub(count)..].concat();
            assert!(shown(&path, Some(count)) == expected, "the last {count} of {:.20}", text.escape_debug());
        }
    }
}

#[test]
fn what_was_dropped_is_told_and_not_read_as_zeros() {
    let bench = Bench::without_spawner();
    let path = bench.path("log");
    let text = format!("{}{}", "head 56\n".repeat(512), "tail 56\n".repeat(100_000));
    fs::write(&path, &text).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 4096, 151 * 4096).unwrap();
    let kept = "tail 56\n".repeat((text.len() - 152 * 4096) / 8);
    assert!(shown(&path, None) == format!("{}<{}>{kept}", "head 56\n".repeat(512), 151 * 4096));
    assert_eq!(shown(&path, Some(2)), "tail 56\ntail 56\n");
    let all = kept.lines().count();
    assert!(shown(&path, Some(all - 1)) == kept["tail 56\n".len()..]);
    assert!(shown(&path, Some(all + 1)) == format!("<{}>{kept}", 151 * 4096), "more than is left: the gap is shown");
}

#[test]
fn following_shows_each_byte_once() {
    let bench = Bench::without_spawner();
    let path = bench.path("log");
    let mut follow = Follow::from(&path, 0);
    let mut text = String::new();
    let mut more = |text: &mut String| {
        follow
            .read(&mut |piece| {
                add(text, piece);
                Ok(())
            })
            .unwrap()
    };
    assert_eq!(more(&mut text), 0, "no log yet");
    let mut file = File::create(&path).unwrap();
    assert_eq!(more(&mut text), 0);
    file.write_all(b"one\ntw").unwrap();
    assert_eq!(more(&mut text), 6);
    assert_eq!(more(&mut text), 0);
    file.write_all(b"o\n").unwrap();
    assert_eq!(more(&mut text), 2);
    assert_eq!(text, "one\ntwo\n");
    file.set_len(0).unwrap();
    assert_eq!(more(&mut text), 0, "the job has cut its log");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"new\n").unwrap();
    assert_eq!(more(&mut text), 4);
    assert_eq!(text, "one\ntwo\nnew\n");
}
