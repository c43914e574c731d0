//! Why a command cannot be executed, as text: the kernel has one errno for a dozen faults.
//!
//! Called after `execve` has failed, or before a job is added. Examines names, modes and the first
//! bytes of a file, and executes nothing. Each answer is the reason and the remedy.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, StatVfsMountFlags, access, statvfs};

use super::elf;
use crate::job::shell_line;

/// Where a command without a slash is searched when the environment has no `PATH`.
pub const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Bytes of a file that are examined. The kernel reads 256 for the first line of a script.
const HEAD_BYTES: usize = 4096;
const FIRST_LINE_BYTES: usize = 256;
/// Longest path that is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 160;

/// A command that `execve` has refused.
pub struct Refused<'a> {
    pub errno: i32,
    pub argv: &'a [Vec<u8>],
    /// What was tried: one path, or one for each directory of `PATH`.
    pub candidates: &'a [&'a Path],
    /// The directory in which it was tried.
    pub cwd: &'a Path,
    /// Where a name without a slash was searched.
    pub path: &'a [u8],
    /// Whether the job's user may execute a file, or traverse a directory.
    pub may: &'a dyn Fn(&Path) -> bool,
}

/// Whether this process may execute the file, or traverse the directory.
pub fn we_may(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

/// Returns the reason and the remedy, if more is known than the errno says.
pub fn explain(refused: &Refused<'_>) -> Option<String> {
    let errno = refused.errno;
    match errno {
        libc::ETXTBSY => return Some("some process has it open for writing; write a new file and rename it".into()),
        libc::E2BIG => {
            return Some("its arguments and its environment are too long together; put data in a file or use --stdin".into());
        }
        _ => {}
    }
    let there = |path: &&Path| fs::metadata(within(refused.cwd, path)).is_ok_and(|meta| meta.is_file());
    let tried = match refused.candidates {
        [only] => Some(only),
        // Of several candidates, the one that exists and still cannot be executed.
        many => many.iter().find(|path| there(path)),
    };
    if let Some(path) = tried.filter(|path| refused.candidates.len() > 1 || there(path)) {
        let path = within(refused.cwd, path);
        return fault_for(&path, refused.cwd, refused.may).or_else(|| not_for_that_user(&path, errno));
    }
    shell_line::hint(refused.argv).or_else(|| match tried {
        Some(path) => missing(&within(refused.cwd, path), refused.may)
            .or_else(|| fault_for(&within(refused.cwd, path), refused.cwd, refused.may)),
        None if errno == libc::ENOENT => {
            let path = shorten(&String::from_utf8_lossy(refused.path));
            Some(format!(
                "it is in no directory of {path}; install it, write its whole path, or set PATH (of a job: -e PATH=...)"
            ))
        }
        None => None,
    })
}

/// Explains what is wrong with a file that is to be executed in a directory, as far as can be seen;
/// `None`: nothing.
pub fn fault_of(path: &Path, cwd: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    let path = within(cwd, path);
    if fs::metadata(&path).is_err() { missing(&path, may) } else { fault_for(&path, cwd, may) }
}

/// Why a directory cannot be entered.
pub fn explain_directory(dir: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    let shown = shown(dir);
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => Some(format!("it is {}; name a directory with --cwd", kind(&meta))),
        Ok(meta) => obstacle_above(dir, may).or_else(|| {
            (!may(dir))
                .then(|| format!("the job's user may not enter it ({}); chmod +x it, or name another with --cwd", owned(&meta)))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(match missing_ancestor(dir) {
            Some(first) if first != dir => {
                format!("{} does not exist; mkdir -p {}, or name another with --cwd", self::shown(first), word(dir))
            }
            _ if fs::symlink_metadata(dir).is_ok() => format!("{shown} is a link that leads nowhere; name another with --cwd"),
            _ => format!("mkdir -p {}, or name another with --cwd", word(dir)),
        }),
        Err(_) => obstacle_above(dir, may),
    }
}

/// Explains why a file cannot be opened as standard input.
pub fn explain_input(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Err(_) => missing(path, &we_may),
        Ok(meta) if access(path, Access::READ_OK).is_err() => {
            Some(format!("the worker's user may not read it ({}); chmod it, or name another file", owned(&meta)))
        }
        Ok(_) => None,
    }
}

/// Explains why there is nothing at a path.
fn missing(path: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    if let Some(obstacle) = obstacle_above(path, may) {
        return Some(obstacle);
    }
    if let Ok(target) = fs::read_link(path) {
        return Some(match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                format!("it is a link to {}, which does not exist; correct the link", shown(&target))
            }
            _ => "it is a link that leads to itself; correct the link".into(),
        });
    }
    let first = missing_ancestor(path)?;
    let what = if first == path { "it" } else { "its directory" };
    Some(format!("{} does not exist; correct the path, or make {what} before the job starts", shown(first)))
}

/// The highest part of a path that does not exist.
fn missing_ancestor(path: &Path) -> Option<&Path> {
    let is_missing = |part: &&Path| fs::symlink_metadata(part).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    path.ancestors().take_while(|part| is_missing(part)).last()
}

/// Finds a part of the path that is not a directory, or that the job's user may not traverse.
fn obstacle_above(path: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    above.reverse();
    for part in above {
        match fs::metadata(part) {
            Ok(meta) if !meta.is_dir() => {
                return Some(format!("{} is {}, not a directory; correct the path", shown(part), kind(&meta)));
            }
            Ok(meta) if !may(part) => {
                let owned = owned(&meta);
                return Some(format!(
                    "the job's user may not pass through {} ({owned}); chmod +x it, or move what is in it",
                    shown(part)
                ));
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    None
}

fn fault_for(path: &Path, cwd: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    if let Some(obstacle) = obstacle_above(path, may) {
        return Some(obstacle);
    }
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() {
        let inside = if meta.is_dir() { "; name a program in it" } else { "; name a program" };
        return Some(format!("it is {}{inside}", kind(&meta)));
    }
    if meta.mode() & 0o111 == 0 {
        return Some(format!("it is not executable; chmod +x {}", word(path)));
    }
    if !may(path) {
        return Some(format!(
            "the job's user may not execute it ({}); chmod or chown it, or run the job as another user",
            owned(&meta)
        ));
    }
    if statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Some("its file system is mounted noexec; copy it to another, or name its interpreter in front of it".into());
    }
    let head = head_of(path)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        return fault_of_script(line, path, cwd, may);
    }
    fault_of_format(&head, path)
}

/// Checks the first line of a script, without its `#!`.
fn fault_of_script(head: &[u8], path: &Path, cwd: &Path, may: &dyn Fn(&Path) -> bool) -> Option<String> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(FIRST_LINE_BYTES)];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let name = line[start..].split(|byte| is_blank(byte) || *byte == 0).next().unwrap_or_default();
    if name.ends_with(b"\r") {
        let text = String::from_utf8_lossy(name);
        return Some(format!(
            "its first line names the interpreter {:?}, with a carriage return: its lines end with CR LF; sed -i 's/\\r$//' {}",
            shorten(&text),
            word(path)
        ));
    }
    if name.is_empty() {
        return Some("its first line, #!, names no interpreter; write #!/bin/sh".into());
    }
    let interpreter = cwd.join(OsStr::from_bytes(name));
    let named = format!("its first line names the interpreter {:?}", shorten(&String::from_utf8_lossy(name)));
    match fs::metadata(&interpreter) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some(format!("{named}, which does not exist; install it, or correct the first line"))
        }
        Err(_) => Some(format!("{named}, which cannot be reached; correct the first line")),
        Ok(meta) if !meta.is_file() => Some(format!("{named}, which is {}; correct the first line", kind(&meta))),
        Ok(_) if !may(&interpreter) => Some(format!("{named}, which the job's user may not execute; correct the first line")),
        Ok(_) => {
            let of_it = head_of(&interpreter)?;
            let fault = if of_it.starts_with(b"#!") { None } else { fault_of_format(&of_it, &interpreter) };
            fault.map(|fault| format!("{named}, and of that: {fault}")).or_else(|| fault_of_argument(line, path))
        }
    }
}

/// Explains why an interpreter does not find the argument in the first line of a script: the
/// carriage return at its end. The kernel executes such a script.
pub fn carriage_return(path: &Path, cwd: &Path) -> Option<String> {
    let path = within(cwd, path);
    let head = head_of(&path)?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    fault_of_argument(&line[..line.len().min(FIRST_LINE_BYTES)], &path)
}

/// Checks for a carriage return after an argument in the first line of a script, without its `#!`.
fn fault_of_argument(line: &[u8], path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let (interpreter, argument) = text.trim_start_matches([' ', '\t']).split_once([' ', '\t'])?;
    let argument = argument.trim_matches([' ', '\t']);
    if !argument.ends_with('\r') || !keeps_carriage_return(interpreter, argument) {
        return None;
    }
    Some(format!(
        "its first line gives {interpreter} the argument {:?}, with a carriage return: its lines end with CR LF; sed -i 's/\\r$//' {}",
        shorten(argument),
        word(path)
    ))
}

/// Whether an interpreter treats the carriage return as part of its argument. Perl does not, nor
/// does an `env` that splits.
fn keeps_carriage_return(interpreter: &str, argument: &str) -> bool {
    const SHELLS: [&str; 6] = ["sh", "ash", "bash", "dash", "ksh", "zsh"];
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    match name {
        "env" => !["-S", "-vS", "--split-string"].iter().any(|splits| argument.starts_with(splits)),
        _ => SHELLS.contains(&name) || name.starts_with("python") || name.ends_with("awk"),
    }
}

/// Explains a format that the kernel cannot execute.
fn fault_of_format(head: &[u8], path: &Path) -> Option<String> {
    if head.is_empty() {
        return Some("it is empty; write it, or correct the path".into());
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        let remedy = format!("sed -i '1s/^\\xef\\xbb\\xbf//' {}", word(path));
        return Some(format!("a byte order mark precedes its #!; {remedy}"));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("it is text in UTF-16; convert it to UTF-8".into());
    }
    if head.starts_with(b"\x7fELF") {
        return elf::fault_of(head);
    }
    let other = [(&b"MZ"[..], "Windows"), (b"\xcf\xfa\xed\xfe", "macOS"), (b"\xca\xfe\xba\xbe", "macOS or for Java")];
    if let Some((_, system)) = other.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (!elf::kernel_knows_more()).then(|| format!("it is a program for {system}; give one for Linux"));
    }
    // Any other text file is a script that does not name its interpreter.
    let is_text = !head.iter().take(FIRST_LINE_BYTES).any(|byte| *byte == 0);
    let remedy = if is_text {
        format!("write #!/bin/sh on its first line, or name its interpreter: -- sh {}", word(path))
    } else {
        "give a program for Linux".into()
    };
    (!elf::kernel_knows_more()).then(|| format!("it is neither a program nor a script with #! on its first line; {remedy}"))
}

/// Nothing is wrong with the file as far as can be seen.
fn not_for_that_user(path: &Path, errno: i32) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    (errno == libc::EACCES).then(|| format!("the job's user may not execute it ({}); chmod +x {}", owned(&meta), word(path)))
}

/// The path from the root, without `.` in it.
fn within(cwd: &Path, path: &Path) -> PathBuf {
    cwd.join(path).components().collect()
}

fn head_of(path: &Path) -> Option<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut head = Vec::new();
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_file() => "a file",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

fn owned(meta: &Metadata) -> String {
    format!("mode {:04o}, owner {}", meta.mode() & 0o7777, meta.uid())
}

pub(super) fn shown(path: &Path) -> String {
    shorten(&path.display().to_string())
}

/// A path as a person types it.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    if text.len() > SHOWN_BYTES_MAX { "FILE".into() } else { shell_line::word(&text) }
}

/// Removes the middle of a long text, so that the remedy after it is kept.
pub(super) fn shorten(text: &str) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.to_owned();
    }
    let (head, tail) = (text.floor_char_boundary(SHOWN_BYTES_MAX / 3), text.ceil_char_boundary(text.len() - SHOWN_BYTES_MAX / 2));
    format!("{}...{}", &text[..head], &text[tail..])
}

/// Returns the paths to try for a name, in order. Like `execvp`; an empty directory is the current
/// one.
pub fn candidates(name: &[u8], path: &[u8]) -> Vec<PathBuf> {
    if name.contains(&b'/') {
        return vec![PathBuf::from(OsStr::from_bytes(name))];
    }
    let dirs = path.split(|byte| *byte == b':').map(|dir| if dir.is_empty() { b".".as_slice() } else { dir });
    dirs.map(|dir| PathBuf::from(OsStr::from_bytes(&[dir, b"/", name].concat()))).collect()
}
