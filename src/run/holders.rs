//! Which processes have a file open for writing.
//!
//! A process that has cleared its environment and left its session no longer carries the cookie;
//! but while its output goes to the log of its run, it has that log open, and no other process
//! opens a log for writing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::process::{all_pids, threads};

/// `O_WRONLY` and `O_RDWR` in the octal flags of `/proc/PID/fdinfo/N`.
const WRITES: u32 = 0o3;

/// Returns the processes, other than this one, that have the file at `path` open for writing, as
/// far as they may be examined.
pub(super) fn writers_of(path: &Path) -> Vec<i32> {
    let Ok(meta) = fs::metadata(path) else { return Vec::new() };
    let me = std::process::id().cast_signed();
    let pids = all_pids().unwrap_or_default();
    pids.into_iter().filter(|pid| *pid != me && writes(*pid, meta.dev(), meta.ino())).collect()
}

/// Whether a process has the file with this identity open for writing. A main thread that has ended
/// shows no descriptors; the others do.
pub(super) fn writes(pid: i32, dev: u64, ino: u64) -> bool {
    thread_writes(&format!("/proc/{pid}"), dev, ino).unwrap_or_else(|| {
        let others = threads(pid).into_iter().filter(|thread| *thread != pid);
        others.filter_map(|thread| thread_writes(&format!("/proc/{pid}/task/{thread}"), dev, ino)).any(|writes| writes)
    })
}

/// `None`: it has no descriptors, or they may not be read.
fn thread_writes(proc: &str, dev: u64, ino: u64) -> Option<bool> {
    let mut entries = fs::read_dir(format!("{proc}/fd")).ok()?.flatten().peekable();
    entries.peek()?;
    Some(entries.any(|entry| {
        let same = fs::metadata(entry.path()).is_ok_and(|meta| meta.dev() == dev && meta.ino() == ino);
        same && is_for_writing(proc, &entry.file_name().to_string_lossy())
    }))
}

fn is_for_writing(proc: &str, fd: &str) -> bool {
    let info = fs::read_to_string(format!("{proc}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & WRITES != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_found_and_a_reader_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let meta = file.as_file().metadata().unwrap();
        let reading = std::process::Command::new("sleep").arg("60").stdin(file.reopen().unwrap()).spawn();
        let for_reading = fs::File::open(file.path()).unwrap();
        let reader = std::process::Command::new("sleep").arg("60").stdin(for_reading).spawn();
        let (mut writer, mut reader) = (reading.unwrap(), reader.unwrap());
        let (writes_it, reads_it) = (
            writes(writer.id().cast_signed(), meta.dev(), meta.ino()),
            writes(reader.id().cast_signed(), meta.dev(), meta.ino()),
        );
        let found = writers_of(file.path());
        for child in [&mut writer, &mut reader] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(writes_it && !reads_it);
        assert_eq!(found, [writer.id().cast_signed()]);
    }
}
