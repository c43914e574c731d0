//! Descriptors of a forked process or a new program: which ones it keeps, and under which numbers.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `/dev/null` over 0 to 2, so that no shim keeps a client's terminal or pipe open.
pub fn silence_standard_fds() -> io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in 0..3 {
        // SAFETY: no memory is involved; no code in this process owns these three.
        if unsafe { libc::dup2(null.as_raw_fd(), fd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A copy of a descriptor under a fixed number, closed by `execve`.
pub fn at_fd(fd: &impl AsFd, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; no code owns the descriptor that had this number before.
    if unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and known to no other code.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from this number on: at once, or one by one if the system refuses that.
/// An open one would keep the locks of other runs.
///
/// # Errors
/// Neither way works.
pub fn close_from(first: u32) -> io::Result<()> {
    close_range_above(first).or_else(|_| close_one_by_one(first.cast_signed()))
}

/// The system call alone.
pub fn close_range_above(first: u32) -> io::Result<()> {
    // SAFETY: called only where no code will use or close the descriptors that are closed here.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn close_one_by_one(first: i32) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    // The directory itself was closed with the end of the loop: no code uses its number.
    for fd in open.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: as above: no code will use or close these descriptors.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_close_the_same() {
        const FIRST: i32 = 900;
        let null = fs::File::open("/dev/null").unwrap();
        let is_open = |fd: i32| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok();
        for close in [|| close_range_above(FIRST.cast_unsigned()), || close_one_by_one(FIRST)] {
            for fd in [FIRST - 1, FIRST, FIRST + 1, FIRST + 90] {
                std::mem::forget(at_fd(&null, fd).unwrap());
            }
            close().unwrap();
            assert!(is_open(FIRST - 1) && ![FIRST, FIRST + 1, FIRST + 90].into_iter().any(is_open));
        }
        // SAFETY: made above, and known to no other code.
        drop(unsafe { OwnedFd::from_raw_fd(FIRST - 1) });
    }
}
