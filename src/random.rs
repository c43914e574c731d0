//! Random bytes. The kernel's own call; where a filter of system calls refuses it, the device that
//! gives the same.

use std::fs::File;
use std::io::{self, Read};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Where the bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Kernel,
    Device,
}

/// Fills the buffer. Never blocks once the machine is up, and never tries for ever.
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
