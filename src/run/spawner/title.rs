//! What `ps` shows of a shim: `tenure-shim 12`. A fork that executes nothing would be shown with
//! the arguments of the spawner.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Where the kernel reads the arguments of this process from; forks have it at the same place.
#[derive(Debug, Clone, Copy)]
pub struct Title {
    start: usize,
    bytes: usize,
}

impl Title {
    /// Finds the arguments; `None` if the kernel does not show where they are, or they differ.
    pub fn find(arguments: &[&str]) -> Option<Self> {
        let stat = fs::read("/proc/self/stat").ok()?;
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<&[u8]> =
            stat[after_name..].split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty()).collect();
        // Fields 48 and 49 of the whole line, of which two precede the parenthesis.
        let number = |index: usize| OsStr::from_bytes(fields.get(index)?).to_str()?.parse::<usize>().ok();
        let (start, end) = (number(45)?, number(46)?);
        let expected: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
        (start > 0 && end.checked_sub(start) == Some(expected)).then_some(Self { start, bytes: expected })
    }

    /// Overwrites them with another text, cut to their length.
    pub fn set(&self, text: &str) {
        let text = &text.as_bytes()[..text.len().min(self.bytes - 1)];
        let area = self.start as *mut u8;
        // SAFETY: the kernel put the arguments there, so many bytes on the writable stack of the
        // main thread, which never goes away. This process has one thread and does not look at its
        // arguments any more; if it did, it would still find a NUL at the end of each.
        unsafe {
            area.write_bytes(0, self.bytes);
            area.copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
    }
}
