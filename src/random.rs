//! Random bytes: by the kernel's call, or from the device if a filter of system calls refuses that.

use std::fs::File;
use std::io::{self, Read};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// The source of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Kernel,
    Device,
}

/// Fills the buffer. Never blocks once the machine is up, and never retries without end.
///
/// # Errors
/// Neither the call nor the device may be used.
pub fn fill(bytes: &mut [u8]) -> io::Result<Source> {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(_) => {
                File::open("/dev/urandom")?.read_exact(&mut bytes[filled..])?;
                return Ok(Source::Device);
            }
        }
    }
    Ok(Source::Kernel)
}
